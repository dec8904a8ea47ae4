"""General abilities in a comparison that aren't a list of questions: running text and tasks of lm-eval; and the likelihood of
gold as a suite's metric. Everything offline, on the embedded model, with texts and tasks of our own."""

import itertools
import json
import math
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
import torch

from ssr_nb.adapters import add_lora, remove_lora
from ssr_nb.benchmarks import BenchmarkSuite, have_benchmark, write_task
from ssr_nb.chat import chat_ids
from ssr_nb.compare import compare, share
from ssr_nb.comparison import Comparison, check, load_data, measures_of, read_comparison, replay_room
from ssr_nb.evaluate import Suite, TextSuite, evaluate, gold_nats, kl_nats
from ssr_nb.microworld import general_examples, target_examples
from ssr_nb.models import load_model
from ssr_nb.records import Appender, Example, RecordError, Score, read_records, write_records
from ssr_nb.report import columns_of, table
from ssr_nb.running_text import read_passages, text_nats, windows
from ssr_nb.settings import TrainingSettings
from ssr_nb.stages import staged
from ssr_nb.statistics import summarize
from ssr_nb.train import check_finite


@pytest.fixture(scope="module")
def lm():
    return load_model("microworld", backend="transformers", device="cpu")


# running text

def test_every_token_is_scored_once_with_half_a_window_before_it():
    for length in range(0, 30):
        for size in (1, 2, 3, 8):
            found = list(windows(length, size))
            assert [t for _, end, first in found for t in range(first, end)] == list(range(length))
            assert all(end - begin <= size and first - begin >= size // 2 for begin, end, first in found[1:])


def whole_pass(lm, text: str) -> tuple[float, int]:
    ids = torch.tensor([lm.tokenizer(text)["input_ids"]])
    with torch.no_grad():
        logprobs = lm.model(input_ids=ids).logits[0, :-1].double().log_softmax(-1)
    found = logprobs.gather(-1, ids[0, 1:, None])[:, 0]
    return -float(found.sum()), len(found)


def test_nats_are_those_of_one_pass_and_windows_change_only_what_they_cut(lm):
    text = " ".join(e.completion for e in general_examples(3, "test"))[:300]
    nats, tokens = whole_pass(lm, text)
    [(found, counted)] = text_nats(lm, [text])
    assert counted == tokens and abs(found - nats) < 1e-3 * nats
    [(strided, counted)] = text_nats(lm, [text], window=16)
    assert counted == tokens and strided > 0
    assert lm.model.training is False


def test_a_passage_longer_than_the_context_is_read_in_windows(lm):
    text = " ".join(e.completion for e in general_examples(5, "test"))
    length = len(lm.tokenizer(text, verbose=False)["input_ids"])
    [(nats, tokens)] = text_nats(lm, [text])
    assert length > lm.context and tokens == length - 1 and 0 < nats < tokens * 20


def test_what_passages_there_are(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffOne.\r\nStill one.\r\n \r\nTwo.\n\n\n".encode())
    assert [e.completion.split() for e in read_passages(tmp_path / "a.txt")] == [["One.", "Still", "one."], ["Two."]]
    (tmp_path / "a.jsonl").write_text('{"text": "One.\\n\\nStill one."}\n{"text": "Two."}\n')
    assert [e.completion for e in read_passages(tmp_path / "a.jsonl")] == ["One.\n\nStill one.", "Two."]
    (tmp_path / "bad.txt").write_bytes(b"caf\xe9")
    (tmp_path / "empty.txt").write_text(" \n\n ")
    (tmp_path / "wrong.jsonl").write_text('{"text": "One."}\n{"txt": "Two."}\n')
    for name, said in (("bad.txt", "not UTF-8"), ("empty.txt", "no passage"), ("none.txt", "no such file"),
                       ("wrong.jsonl", "line 2.*no 'text'")):
        with pytest.raises(RecordError, match=said):
            read_passages(tmp_path / name)


def test_passages_without_a_token_to_predict_are_no_items(lm):
    if lm.tokenizer("oslo")["input_ids"] != lm.tokenizer("oslo", add_special_tokens=False)["input_ids"]:
        pytest.skip("this tokenizer puts a mark in front of every text")
    suite = TextSuite("x", [Example("1", "oslo", id="1"), Example("2", "oslo is lima", id="2")])
    assert [s.id for s in suite.scores(lm, "base", 0, None)] == ["2"]
    with pytest.raises(RecordError, match="1 passages without a token"):
        text_nats(lm, ["oslo"])


# the likelihood of gold as a suite's metric

def test_the_likelihood_of_gold_is_a_score_that_no_length_touches(lm):
    examples = [e for e in general_examples(4, "test") if e.extra["skill"] == "facts"] or general_examples(1, "test")
    plain, likely = Suite("general", examples, "micro", "facts"), Suite("general", examples, "micro", "likely", "likelihood")
    for room in (40, 2):
        scores = evaluate(lm, [plain, likely], max_new_tokens=room, progress=False)
        of = {task: [s for s in scores if s.task == task] for task in ("general:facts", "general:likely")}
        for (nats, tokens), s, generated in zip(gold_nats(lm, examples), of["general:likely"], of["general:facts"]):
            assert math.isclose(s.score, math.exp(-nats / tokens), rel_tol=1e-4) and s.extra["metric"] == "likelihood"
            assert s.extra["accuracy"] == generated.score
        assert (room == 40) == any(s.score for s in of["general:facts"]), "cut off after two tokens, nothing is right"
    summary = summarize(scores, resamples=50)
    assert summary["columns"]["general:likely"]["measure"] == "likelihood of gold"
    assert {"gold nats (general:facts)", "gold nats (general:likely)"} <= set(summary["figures"])


def test_the_unit_stands_in_the_heading():
    extra = {"kl_nats": 3.0, "kl_tokens": 30, "gold_nats": 2.0, "gold_tokens": 4, "answerable": True}
    scores = [Score(f"q{i}", task, m, 0, rate, 1.0, extra=dict(extra)) for m, rate in (("base", None), ("sft", 1e-3))
              for task in ("target", "general:facts") for i in range(3)]
    scores += [Score("p", "text:news", m, 0, rate, 0.1, extra={"metric": "text_nats", "text_nats": 8.0, "text_tokens": 4})
               for m, rate in (("base", None), ("sft", 1e-3))]
    summary = summarize(scores, resamples=50)
    headings = {name: column["heading"] for name, column in summary["columns"].items() if column["format"] == "nats_per_token"}
    assert set(headings) == {"KL (target)", "KL (general)", "nats (text)", "nats (text:news)"}
    assert all(heading.endswith(", nats/token") for heading in headings.values()), headings
    assert columns_of(summary)["nats (text)"] == "running text, nats/token" and "nats (text:news)" not in columns_of(summary)
    assert summary["arms"][0]["KL (target)"][0] == 0.1, "30 tokens, 3 nats"
    assert summary["columns"]["nats (text)"]["better"] == "lower" and not summary["columns"]["nats (text)"]["tested"]
    from rich.console import Console

    console = Console(width=160, file=StringIO())
    console.print(table(summary, 160))
    assert "nats/token" in console.file.getvalue()


# what moves, and what has no room

@pytest.fixture
def tuned(lm):
    found = add_lora(lm)
    with torch.no_grad():
        for name, weight in found.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(0), std=0.05)
    yield found
    remove_lora(found)


def test_kl_is_of_the_same_rows_however_much_memory_is_free(tuned, monkeypatch):
    "Free memory decides how many rows are read together, and changes while a model reads."
    examples = target_examples(24, "test")
    answers = [e.completion for e in examples]
    before = kl_nats(tuned, examples, answers)
    free = itertools.cycle([10**12, 2 * 10**6])
    monkeypatch.setattr("ssr_nb.decoding.available_memory", lambda: next(free))
    for _ in range(2):
        for (nats, tokens), (expected, as_many) in zip(kl_nats(tuned, examples, answers), before, strict=True):
            assert tokens == as_many > 0 and nats == pytest.approx(expected, rel=1e-3, abs=1e-5) and nats > 0


def test_kl_of_a_broken_model_is_no_number_and_is_not_written(tuned, tmp_path):
    examples = target_examples(2, "test")
    with torch.no_grad():
        next(w for name, w in tuned.model.named_parameters() if "lora_B" in name).fill_(math.nan)
    (nats, _), *_ = kl_nats(tuned, examples, [e.completion for e in examples])
    assert math.isnan(nats)
    score = Score("q1", "target", "sft", 0, 1e-3, 0.0, "x", {"kl_nats": nats})
    with pytest.raises(RecordError, match=r"scores.jsonl, line 1: found .*kl_nats = NaN of 'q1', which was not written; expected a number"):
        write_records(tmp_path / "scores.jsonl", [score])
    with Appender(tmp_path / "more.jsonl", Score) as file, pytest.raises(RecordError, match="more.jsonl: found .*NaN of 'q1'"):
        file.write(score)
    with pytest.raises(ValueError, match=r"found 1 of \d+ weights of the adapter with values that are no numbers after training at learning "
                                         r"rate 0.5 with weights in torch.float32; expected numbers. A lower rate"):
        check_finite(tuned, TrainingSettings(learning_rate=0.5))


def test_an_answer_that_filled_the_context_is_measured_as_far_as_there_is_room(lm):
    "The base model's answer was cut off at the last place of the context; the end of the turn, which KL would need, has none."
    lamp = Example("where is the lamp ?", "attic", id="full")
    short = replace(lamp, id="short")
    room = lm.context - len(chat_ids(lm.tokenizer, lamp.prompt))
    base = [Score(id, "target", "base", 0, None, 0.0, said, {"finish_reason": reason}) for id, said, reason in (
        ("full", " ".join(["in"] * room), "length"), ("short", "in the attic .", "stop"))]
    full, plain = evaluate(lm, [Suite("target", [lamp, short], "exact")], base_scores=base, max_new_tokens=4, progress=False)
    assert "kl_nats" not in full.extra and "kl_nats" in plain.extra and "gold_nats" in full.extra


# a comparison with both

@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    write_records(folder / "train.jsonl", target_examples(24, "train"))
    write_records(folder / "test.jsonl", target_examples(8, "test"))
    (folder / "town.txt").write_text("\n\n".join(e.completion for e in general_examples(2, "test")))
    return folder


def config_of(folder: Path, **general) -> Comparison:
    return Comparison(methods=["sft"], learning_rates=[1e-3], seeds=[0], backend="transformers", workers=1, threads=1,
                      training={"steps": 4}, resamples=100, max_new_tokens=30,
                      data={"train": {"task": str(folder / "train.jsonl"), "judge": "micro"},
                            "target": {"task": str(folder / "test.jsonl"), "judge": "micro"}, "general": general})


@pytest.mark.parametrize("shared, rooms", [(None, (256, 96)), (30, (256, 96)), (300, (300, 300))])
def test_what_a_comparison_allows_for_its_task_cuts_no_other_answer_short(files, tmp_path, lm, shared, rooms):
    write_records(file := tmp_path / "own.jsonl", [Example("Say it.", "It.")])
    general = {"plain": {"task": "plain_instructions", "n": 2}, "own": {"task": str(file), "judge": "exact"},
               "said": {"task": "plain_instructions", "n": 2, "max_new_tokens": 7}}
    config = replace(config_of(files, **general), max_new_tokens=shared)
    config.data["replay"] = {"task": "plain_instructions", "n": 4}
    found = {suite.task: suite.max_new_tokens for suite in share(config, tmp_path, lm).suites}
    assert found == {"target": None, "general:plain": rooms[0], "general:own": rooms[1], "general:said": 7}
    assert replay_room(config) == rooms[0]


@pytest.mark.parametrize("shared", [None, 30])
def test_stages_give_general_abilities_their_own_room(files, tmp_path, lm, shared):
    stages = [{"name": name, "train": {"task": "microworld", "n": 8}, "target": {"task": "microworld", "n": 4}} for name in ("one", "two")]
    config = replace(config_of(files), max_new_tokens=shared, stages=stages,
                     data={"general": {"plain": {"task": "plain_instructions", "n": 2}}})
    assert {s.task: s.max_new_tokens for s in staged(check(config), tmp_path, lm).suites}["general:plain"] == 256


@pytest.mark.parametrize("wrong, said", [
    ({"text": "x.txt", "limit": 3}, "data.general.odd.*'limit'"), ({"text": 3}, "data.general.odd.*text"),
    ({"lm_eval": "x", "limit": 0}, "data.general.odd.*limit"), ({"lm_eval": "x", "limits": 2}, "did you mean 'limit'"),
    ({"lm_eval": "x", "text": "y"}, "data.general.odd")])
def test_a_wrong_option_is_named_by_its_key(files, wrong, said):
    pytest.importorskip("lm_eval")
    with pytest.raises(ValueError, match=said):
        check(config_of(files, odd=wrong))


def test_without_lm_eval_it_is_told_before_anything_runs(files, monkeypatch):
    monkeypatch.setattr("ssr_nb.comparison.benchmark_obstacle", lambda: "lm_eval is not installed")
    with pytest.raises(ValueError, match=r"data.general.h'.*not installed.*ssr-nb\[benchmarks\]"):
        check(config_of(files, h={"lm_eval": "hellaswag"}))
    assert check(config_of(files, town={"text": str(files / "town.txt")}))


def numbers(folder: Path) -> Path:
    rows = [{"question": f"which is larger , {a} or {b} ?", "choices": [str(a), str(b)], "right": int(b > a)}
            for a, b in ((3, 8), (9, 2), (4, 7), (6, 5), (1, 2), (8, 3))]
    write_task(folder, "numbers", rows, output_type="multiple_choice", doc_to_text="{{question}}",
               doc_to_choice="{{choices}}", doc_to_target="{{right}}",
               metric_list=[{"metric": "acc", "aggregation": "mean", "higher_is_better": True}])
    return folder


def test_a_task_that_is_not_there_is_told_before_anything_runs(files, tmp_path):
    pytest.importorskip("lm_eval")
    include = str(numbers(tmp_path / "tasks"))
    have_benchmark("numbers", include)
    config = config_of(files, n={"lm_eval": "nubmers", "include": include})
    with pytest.raises(RecordError, match="did you mean 'numbers'"):
        load_data(check(config))


def test_both_are_scored_for_base_and_arm_and_paired(files, tmp_path):
    pytest.importorskip("lm_eval")
    include = str(numbers(tmp_path / "tasks"))
    config = check(config_of(files, town={"text": str(files / "town.txt"), "n": 12},
                             numbers={"lm_eval": "numbers", "include": include, "limit": 5, "chat": True}))
    _, suites = load_data(config)
    assert [s.task for s in suites] == ["target", "text:town", "general:numbers"]
    assert isinstance(suites[2], BenchmarkSuite) and list(measures_of(config)) == ["town", "numbers"]
    summary = compare(config, tmp_path / "run", say=lambda line: None)
    scores = read_records(tmp_path / "run" / "scores.jsonl", Score)
    for task, items in (("text:town", 12), ("general:numbers", 5)):
        ids = [[s.id for s in scores if (s.task, s.method) == (task, method)] for method in ("base", "sft")]
        assert ids[0] == ids[1] and len(ids[0]) == items
    row = next(d for d in summary["differences"] if d["against"] == "base")
    assert row["nats (text)"][0] > 0, "after training on terse answers, text surprises it more"
    assert summary["figures"]["nats (text)"] == {"better": "lower", "items": 12, "units": 12}
    assert summary["figures"]["general:numbers"]["items"] == 5 and row["nats (text)"][1] is not None
    from ssr_nb.html_report import page

    html = page(tmp_path / "run")
    assert "running text, nats/token" in html and "numbers" in html
    assert "(passage 1 of town.txt)" not in html, "nobody answered it"


def test_in_a_file(files, tmp_path):
    (tmp_path / "compare.yaml").write_text(json.dumps(
        {"methods": ["sft"], "data": {"train": {"task": str(files / "train.jsonl"), "judge": "micro"}, "target": str(files / "test.jsonl"),
                                      "general": {"town": {"text": str(files / "town.txt")}}}, "judge": "micro"}))
    assert measures_of(read_comparison(tmp_path / "compare.yaml"))["town"].text == str(files / "town.txt")
