"""General benchmarks through lm-eval, for real, on local tasks and without a network:
what the benchmarks notebook can't show well."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from ssr_nb import benchmarks
from ssr_nb.benchmarks import PAPER_BENCHMARKS, compare_benchmarks, metric_of, run_benchmarks, sample_score, write_task
from ssr_nb.microworld import general_examples
from ssr_nb.adapters import add_lora, remove_lora
from ssr_nb.machine import ModelError, OutOfMemory
from ssr_nb.models import fingerprint, load_model
from ssr_nb.records import RecordError, Score, read_records, write_records
from ssr_nb.respond import completion_logprobs

pytest.importorskip("lm_eval")


@pytest.fixture(scope="module")
def lm():
    return load_model("microworld", backend="transformers", device="cpu")


@pytest.fixture(scope="module")
def rows():
    found = []
    for example in general_examples(12, "test"):
        if example.extra["skill"] == "compare":
            first, *middle, last, end = example.completion.split()
            found.append({"question": example.prompt,
                          "choices": [" ".join([last, *middle, first, end]), example.completion], "right": 1})
    return found


@pytest.fixture(scope="module")
def tasks(tmp_path_factory, rows):
    "A folder with a task of choices, one of answers, and a group of two parts."
    folder = tmp_path_factory.mktemp("tasks")
    choice = dict(output_type="multiple_choice", doc_to_text="{{question}}", doc_to_choice="{{choices}}",
                  doc_to_target="{{right}}", metric_list=[{"metric": m, "aggregation": "mean", "higher_is_better": True}
                                                          for m in ("acc", "acc_norm")])
    write_task(folder, "numbers", rows, **choice)
    write_task(folder, "part_one", rows[:5], **choice)
    write_task(folder, "part_two", rows[5:], **choice)
    (folder / "both.yaml").write_text("group: both\ntask: [part_one, part_two]\naggregate_metric_list:\n  - "
                                      "metric: acc\n")
    copies = [{"question": e.prompt, "answer": e.completion} for e in general_examples(6, "test")
              if e.extra["skill"] == "copy"]
    write_task(folder, "say", copies, output_type="generate_until", doc_to_text="{{question}}",
               doc_to_target="{{answer}}",
               generation_kwargs={"until": ["<eos>"], "max_gen_toks": 20, "do_sample": False},
               metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}])
    return folder


def run(lm, tasks, names, **settings):
    return run_benchmarks(lm, names, include=tasks, chat=True, progress=False, **settings)


def test_choices_are_those_of_our_own_likelihoods(lm, tasks, rows):
    scores = run(lm, tasks, ["numbers"], metrics={"numbers": "acc"})
    assert ([s.id for s in scores] == [f"numbers/{i}" for i in range(len(rows))]
            and {s.task for s in scores} == {"general:numbers"})
    for score, row in zip(scores, rows):
        likely = [float(values[:-1].sum())
                  for values in completion_logprobs(lm, [(row["question"], choice) for choice in row["choices"]])]
        assert (score.score == float(likely[1] > likely[0])
                and score.response == row["choices"][likely.index(max(likely))])
    assert sum(s.score for s in scores) > 0.8 * len(scores)  # the base model knows its numbers: this is no coin


ENDLESS_WHEN_RED = "{% if 'red' in messages[-1].content %}{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}{% endif %}x"


def test_a_chat_template_without_an_end_is_given_up_by_the_harness_too(lm, monkeypatch):
    "When the model was loaded, the template ended. What it does with an item is seen item by item."
    from ssr_nb import rendering
    monkeypatch.setattr(rendering, "_renderer", rendering.Renderer(0.3))
    tokenizer = benchmarks._bounded_tokenizer(lm.tokenizer)
    lm.tokenizer.chat_template, kept = ENDLESS_WHEN_RED, lm.tokenizer.chat_template
    try:
        assert tokenizer.apply_chat_template([{"role": "user", "content": "hello"}], tokenize=False) == "x"
        with pytest.raises(ModelError, match="more than 0.3 seconds"):
            tokenizer.apply_chat_template([{"role": "user", "content": "red"}], tokenize=False)

        def harness(lm, *a):
            benchmarks._bounded_tokenizer(lm.tokenizer).apply_chat_template([{"role": "user", "content": "red"}])
        monkeypatch.setattr(benchmarks, "_samples", harness)
        with pytest.raises(ModelError, match="one that ends soon"):  # and not "a task that lm-eval knows"
            benchmarks._fitting(lm, "say", None, 4, {})
    finally:
        lm.tokenizer.chat_template = kept


@pytest.mark.parametrize("template", [None, "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}\n{% endfor %}"
                                      "{% if add_generation_prompt %}assistant:{% endif %}"])
@pytest.mark.parametrize("said", ["It is", "It is ", " It is\n", "hello"])
def test_the_harness_s_texts_are_those_of_the_tokenizer(lm, template, said):
    kept = lm.tokenizer.chat_template
    lm.tokenizer.chat_template = template or kept
    try:
        bounded = benchmarks._bounded_tokenizer(lm.tokenizer)
        for messages, end in (([{"role": "user", "content": "hello"}], {"add_generation_prompt": True}),
                              ([{"role": "user", "content": "hello"}, {"role": "assistant", "content": said}],
                               {"continue_final_message": True})):
            assert (bounded.apply_chat_template(messages, tokenize=False, **end)
                    == lm.tokenizer.apply_chat_template(messages, tokenize=False, **end))
    finally:
        lm.tokenizer.chat_template = kept


def test_the_harness_is_given_the_bounded_tokenizer(lm, monkeypatch):
    import lm_eval
    import lm_eval.models.huggingface as huggingface
    given = []
    monkeypatch.setattr(huggingface, "HFLM", lambda **settings: given.append(settings["tokenizer"]))
    monkeypatch.setattr(lm_eval, "simple_evaluate", lambda **settings: {"samples": {}})
    benchmarks._samples(lm, "say", None, 4, {})
    assert given[0].apply_chat_template.__module__ == "ssr_nb.benchmarks"


def test_the_model_and_the_random_numbers_are_as_they_were(lm, tasks):
    before, config, template = fingerprint(lm), lm.model.generation_config, lm.tokenizer.chat_template
    lm.model.train()
    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    run(lm, tasks, ["say"])
    assert (lm.model.training and lm.model.generation_config is config and fingerprint(lm) == before
            and lm.tokenizer.chat_template == template)
    assert (random.getstate() == states[0] and np.array_equal(np.random.get_state()[1], states[1])
            and torch.equal(torch.get_rng_state(), states[2]))
    assert lm.tokenizer.padding_side == "left"
    lm.model.eval()


def test_nothing_is_printed(lm, tasks, capfd, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # no git repository, which git would say
    run(lm, tasks, ["say"], limit=2)
    assert capfd.readouterr() == ("", "")


def test_groups_limits_and_files(lm, tasks, rows, tmp_path):
    scores = run(lm, tasks, ["both"])
    assert {s.task for s in scores} == {"general:both"} and len(scores) == len(rows) == len({s.id for s in scores})
    assert len(run(lm, tasks, ["numbers", "say"], limit=3)) == 6
    assert read_records(write_records(tmp_path / "scores.jsonl", scores), Score) == scores


@pytest.mark.long
def test_base_and_tuned_in_one_process(lm, tasks):
    expected = run(lm, tasks, ["numbers", "say"])
    tuned = add_lora(lm, seed=0)
    with torch.no_grad():
        for name, weight in tuned.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.3, generator=torch.Generator().manual_seed(0))
    scores = compare_benchmarks(tuned, ["numbers", "say"], "ssr", learning_rate=1e-3, include=tasks, chat=True,
                                progress=False)
    base = [s for s in scores if s.method == "base"]
    assert base == expected and {s.learning_rate for s in base} == {None}
    other = [s for s in scores if s.method == "ssr"]
    assert [(s.task, s.id, s.extra["hash"]) for s in other] == [(s.task, s.id, s.extra["hash"]) for s in base]
    assert [s.response for s in other] != [s.response for s in base]
    remove_lora(tuned)
    with pytest.raises(ModelError, match="no adapter"):
        compare_benchmarks(lm, ["say"], "ssr", include=tasks)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB"),
                                   RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
                                   MemoryError()], ids=["card", "processor", "Python"])
@pytest.mark.long
def test_out_of_memory_halves_the_batch(lm, tasks, monkeypatch, error):
    expected, asked, samples = run(lm, tasks, ["numbers"]), [], benchmarks._samples

    def limited(lm, task, manager, batch_size, options, most=4):
        asked.append(batch_size)
        if batch_size > most:
            raise error
        return samples(lm, task, manager, batch_size, options)

    monkeypatch.setattr(benchmarks, "_samples", limited)
    assert run(lm, tasks, ["numbers"]) == expected and asked == [16, 8, 4]
    asked.clear()
    monkeypatch.setattr(benchmarks, "_samples", lambda *a: limited(*a, most=0))
    with pytest.raises(OutOfMemory, match="a single row of numbers"):
        run(lm, tasks, ["numbers"], batch_size=6)
    assert asked == [6, 3, 1]


def test_where_the_harness_or_a_task_is_missing(lm, tasks, monkeypatch):
    with pytest.raises(RecordError, match="nothing_like_it.*include= the folder"):
        run(lm, tasks, ["nothing_like_it"])
    broken = write_task(tasks / "broken", "torn", [{"question": "a"}], output_type="generate_until",
                        doc_to_text="{{question}}", doc_to_target="{{answer}}", metric_list=[{"metric": "exact_match"}])
    broken.with_suffix(".jsonl").write_text("{")
    with pytest.raises(RecordError, match="^torn: found"):
        run_benchmarks(lm, ["torn"], include=tasks / "broken", progress=False)
    monkeypatch.setattr(benchmarks, "benchmark_obstacle", lambda: "lm_eval is not installed")
    with pytest.raises(ModelError, match=r"pip install 'ssr-nb\[benchmarks\]'"):
        run(lm, tasks, ["say"])


# the harness's own tasks, with rows of our own in the form that their publishers use: split, row, expected metric
PUBLISHED = {
    "mmlu_anatomy": ("test", {"question": "Which is a bone?", "choices": ["rye", "rib", "rug", "rain"], "answer": 1,
                              "subject": "anatomy"}, "acc"),
    "truthfulqa_mc2": ("validation", {"question": "Do loaves shrink?", "mc2_targets": {
        "choices": ["Hardly.", "By half."], "labels": [1, 0]}}, "acc"),
    "hellaswag": ("validation", {"ind": 1, "activity_label": "Baking", "ctx_a": "She kneads the dough.",
                                 "ctx_b": "then she", "endings": ["lets it rest.", "sings.", "sails.", "rains."],
                                 "label": "0"}, "acc_norm"),
    "gsm8k": ("test", {"question": "A baker makes 12 loaves an hour. How many in 5 hours?",
                       "answer": "12 * 5 = <<12*5=60>>60\n#### 60"}, "exact_match"),
    "winogrande": ("validation", {"sentence": "The loaf didn't fit into the bag since the _ was small.",
                                  "option1": "loaf", "option2": "bag", "answer": "2"}, "acc"),
    "ifeval": ("train", {"key": 1, "prompt": "Say where rye grows, without commas.",
                         "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}, "prompt_level_strict_acc"),
}


def task_manager(*folders):
    "The harness's own tasks of these folders: all of its tasks would take a while to read."
    import lm_eval.tasks
    root = Path(lm_eval.tasks.__file__).parent
    return lm_eval.tasks.TaskManager(include_path=[str(root / name) for name in folders], include_defaults=False)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_benchmarks_that_papers_quote(small_llama, tmp_path, monkeypatch, name):
    "Every step but the download: the harness's prompt, metric and filter, and ours of its several metrics."
    import yaml

    if name == "ifeval":
        monkeypatch.setattr("nltk.download", lambda *a, **k: True)  # the task asks the net as it is imported
    split, row, metric = PUBLISHED[name]
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    manager = task_manager("mmlu/default", "truthfulqa", "hellaswag", "gsm8k", "winogrande", "ifeval")
    (tmp_path / "local.yaml").write_text(yaml.safe_dump({
        "include": str(manager.task_index[name].yaml_path), "task": "local", "tag": None, "dataset_path": "json",
        "dataset_name": None, "dataset_kwargs": {"data_files": {split: str(tmp_path / "rows.jsonl")}},
        "training_split": None, "fewshot_split": None}))
    lm = load_model(small_llama, backend="transformers", device="cpu")
    [score] = run_benchmarks(lm, ["local"], include=tmp_path, few_shot=0, chat=True, progress=False)
    assert score.extra["benchmark_metric"] == metric and 0 <= score.score <= 1 and score.task == "general:local"


def test_the_names_of_the_paper_are_the_harness_s_own():
    known = task_manager("mmlu/default", "truthfulqa", "hellaswag", "gsm8k").all_tasks
    assert set(PAPER_BENCHMARKS) <= set(known)


def test_what_a_task_needs_besides_is_said(lm, tmp_path):
    (tmp_path / "own.py").write_text("import a_module_that_is_not_there\n")
    path = write_task(tmp_path, "special", [{"question": "a"}], output_type="generate_until",
                      doc_to_text="{{question}}", doc_to_target="a", metric_list=[{"metric": "exact_match"}])
    path.write_text(path.read_text() + "process_results: !function own.process\n")
    with pytest.raises(RecordError, match="^special: .*expected a_module_that_is_not_there, which this task needs"):
        run_benchmarks(lm, ["special"], include=tmp_path, progress=False)


SAMPLE = {"doc_id": 3, "metrics": ["exact_match"], "filter": "strict-match", "exact_match": True, "doc_hash": "0" * 64,
          "filtered_resps": ["18"], "arguments": [("q", {})]}


def test_metrics_and_filters():
    flexible = SAMPLE | {"filter": "flexible-extract"}
    assert (metric_of([flexible, SAMPLE], "gsm8k") == ("exact_match", "strict-match")
            and metric_of([flexible], "gsm8k")[1] == "flexible-extract")
    many = SAMPLE | {"metrics": ["acc", "acc_norm"], "filter": "none"}
    assert (metric_of([many], "hellaswag") == ("acc_norm", "none")
            and metric_of([many], "hellaswag", "acc") == ("acc", "none"))
    strict = SAMPLE | {"metrics": ["inst_level_strict_acc", "prompt_level_strict_acc"], "filter": "none"}
    assert metric_of([strict], "ifeval")[0] == "prompt_level_strict_acc"
    with pytest.raises(RecordError, match="word_perplexity"):
        metric_of([SAMPLE | {"metrics": ["word_perplexity"]}], "wikitext")
    with pytest.raises(RecordError, match="'f1' among them"):
        metric_of([SAMPLE], "gsm8k", "f1")
    score = sample_score(SAMPLE, "gsm8k", "gsm8k", "exact_match", "ssr", 1, 1e-4)
    assert (score.id, score.task, score.score, score.response) == ("gsm8k/3", "general:gsm8k", 1.0, "18")
    for value in ([1, 0], 17.3, None):
        with pytest.raises(RecordError, match="a number from 0 to 1"):
            sample_score(SAMPLE | {"exact_match": value}, "a", "a", "exact_match", "ssr", 0, None)


def test_a_written_task_is_plain_yaml(tmp_path):
    import yaml

    path = write_task(tmp_path / "new", "mine", [{"question": "größer?"}], output_type="generate_until")
    assert yaml.safe_load(path.read_text())["dataset_kwargs"]["data_files"]["test"] == str(
        (tmp_path / "new" / "mine.jsonl").resolve())
    assert json.loads((tmp_path / "new" / "mine.jsonl").read_text()) == {"question": "größer?"}
