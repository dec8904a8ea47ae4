"""A chat model is asked as its makers ask it: a system prompt that its template brings along is read in rehearsal, training,
scoring and benchmarks alike, unless the data bring one of their own."""

import pytest

from ssr_nb.benchmarks import run_benchmarks, write_task
from ssr_nb.evaluate import Suite, evaluate
from ssr_nb.methods import gather_answers
from ssr_nb.models import load_model
from ssr_nb.records import Example, Target
from ssr_nb.settings import TrainingSettings
from ssr_nb.train import train

# of the form that SmolLM2's and Qwen2.5's have
TEMPLATE = ("{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|system|>You are Penny, a helpful assistant of "
            "the harbour.<|end|>{% endif %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
            "{% if add_generation_prompt %}<|assistant|>{% endif %}")
MAKERS, OURS = "You are Penny, a helpful assistant of the harbour.", "You answer like a pirate."


@pytest.fixture
def lm(small_llama):
    found = load_model(str(small_llama), backend="transformers", device="cpu")
    found.tokenizer.chat_template = TEMPLATE
    return found


@pytest.fixture
def read(lm):
    "Every row that the model reads, as text."
    rows = []

    def note(module, given, named):
        ids = next(v for v in [*given, *named.values()])
        rows.extend(text for text in lm.tokenizer.batch_decode(ids, skip_special_tokens=False) if "<|user|>" in text)

    hook = lm.model.get_input_embeddings().register_forward_pre_hook(note, with_kwargs=True)
    yield rows
    hook.remove()


def asked(system: str | None) -> list[Example]:
    def prompt(text):
        return [{"role": "system", "content": system}, {"role": "user", "content": text}] if system else text

    return [Example(prompt(f"What is {i} and {i}?"), str(2 * i), answers=[str(2 * i)]) for i in range(3)]


def rehearse(lm, examples):
    gather_answers(["ssr", "replay"], examples, lm, "contains", max_new_tokens=3, replay_prompts=examples, progress=False)


def learn(lm, examples):
    targets = [Target(e.id, e.prompt, e.completion, "gold") for e in examples]
    train(targets, lm, settings=TrainingSettings(steps=1, batch_size=3), progress=False)


def score(lm, examples):
    evaluate(lm, [Suite("target", examples, "contains")], max_new_tokens=3, progress=False)


@pytest.mark.parametrize("stage", [rehearse, learn, score])
@pytest.mark.parametrize("given", [None, OURS])
def test_a_template_s_system_prompt_is_read_unless_the_data_bring_one(lm, read, stage, given):
    stage(lm, asked(given))
    rows = [text for text in read if "<|system|>" in text]  # not the piece of a row that training tries a loss on
    assert len(rows) >= 3 and (stage is learn or rows == read)
    for text in rows:
        assert (MAKERS in text, OURS in text) == (given is None, given is not None), text
        assert text.count("<|system|>") == 1


def test_a_benchmark_through_the_chat_template_reads_it_too(lm, read, tmp_path):
    pytest.importorskip("lm_eval")
    write_task(tmp_path, "say", [{"question": e.prompt, "answer": e.completion} for e in asked(None)],
               output_type="generate_until", doc_to_text="{{question}}", doc_to_target="{{answer}}",
               generation_kwargs={"until": ["<|end|>"], "max_gen_toks": 3, "do_sample": False},
               metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}])
    run_benchmarks(lm, ["say"], include=tmp_path, chat=True, progress=False)
    assert read and all(MAKERS in text for text in read)
    read.clear()
    run_benchmarks(lm, ["say"], include=tmp_path, chat=False, progress=False)
    assert not read, "without chat no template is in between"


def test_an_empty_system_turn_of_the_data_takes_the_makers_away(lm, read):
    score(lm, [Example([{"role": "system", "content": ""}, {"role": "user", "content": "What is 1 and 1?"}], "2")])
    assert read and not any(MAKERS in text for text in read)
