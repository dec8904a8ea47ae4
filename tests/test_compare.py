"""What a comparison refuses before it runs, and what its headline says."""

import os

import pytest

from ssr_nb.compare import compare
from ssr_nb.comparison import Comparison, check, load_data
from ssr_nb.records import Example, Score, write_records
from ssr_nb.report import headline, points, table
from ssr_nb.statistics import summarize


def scores_of(method, rate, right, task="target", seeds=(0,)):
    return [Score(f"q{i}", task, method, seed, rate, float(ok)) for seed in seeds for i, ok in enumerate(right)]


@pytest.mark.parametrize("backend, inside", [("auto", True), ("transformers", False)])
def test_what_unsloth_writes_is_inside_the_run(backend, inside, tmp_path, monkeypatch):
    monkeypatch.setenv("UNSLOTH_COMPILE_LOCATION", "")
    monkeypatch.delenv("UNSLOTH_COMPILE_LOCATION")  # so that it is as before afterwards
    monkeypatch.setattr("ssr_nb.compare._base_model", lambda config: (_ for _ in ()).throw(InterruptedError))
    with pytest.raises(InterruptedError):
        compare(Comparison(backend=backend), tmp_path / "run", say=lambda line: None)
    place = os.environ.get("UNSLOTH_COMPILE_LOCATION")
    assert place == (str(tmp_path / "run" / "unsloth_compiled_cache") if inside else None)


def test_the_headline_says_it_when_sft_wins():
    scores = []
    for task in ("target", "general:sums"):
        scores += (scores_of("base", None, [1, 0] * 20, task=task) + scores_of("sft", 1e-3, [1, 1] * 20, task=task)
                   + scores_of("ssr", 1e-3, [1, 0] * 20, task=task))
    said = headline(summarize(scores, resamples=500))
    assert "ssr against sft, each at its own best rate: -50.0" in said and said.count("\n") == 2
    assert "p 0.004) on the target" in said, "no draw of 500 is as large: 1 of 501, times two tests against sft"


def test_the_caption_says_what_was_run_and_corrected():
    scores = (scores_of("base", None, [1, 0] * 20) + scores_of("sft", 1e-3, [1, 1] * 20)
              + scores_of("ssr", 1e-3, [1, 0] * 20))
    summary = summarize(scores, resamples=500)
    caption = table(summary).caption
    assert ("target 40" in caption and "500 paired bootstrap" in caption and "Holm" in caption
            and "(2 against base, 1 against sft, 1 against ssr)" in caption)
    del summary["families"]
    assert "Holm" not in table(summary).caption, "a summary of an earlier version, without a correction"


def test_points_of_nothing_have_no_minus_sign():
    assert points([-0.0, 0.0, 0.0]) == "+0.0 (+0.0 to +0.0)"


@pytest.mark.parametrize("key, value", [("methods", []), ("methods", ["sft", "sft"]), ("learning_rates", [-1.0]),
                                        ("seeds", [0.5]), ("seeds", [True]), ("judge", "vibes"),
                                        ("backend", "jax"), ("items", {"tests": 3}), ("items", {"train": 0}),
                                        ("training", {"seed": 1}), ("data", {"target": "x"}), ("workers", 0)])
def test_a_wrong_value_is_named_by_its_key(key, value):
    with pytest.raises(ValueError, match=key):
        check(Comparison(**{key: value}))


def test_a_prompt_of_training_in_a_test_suite_stops_the_run(tmp_path):
    rows = [Example(f"what is {i} plus 1 ?", str(i + 1)) for i in range(6)]
    write_records(tmp_path / "train.jsonl", rows[:4])
    write_records(tmp_path / "test.jsonl", rows[3:])
    config = Comparison(data={"train": str(tmp_path / "train.jsonl"), "target": str(tmp_path / "test.jsonl")},
                        judge="numeric")
    with pytest.raises(ValueError, match="what is 3 plus 1"):
        load_data(config)
    write_records(tmp_path / "test.jsonl", rows[4:])
    train_set, suites = load_data(config)
    assert len(train_set) == 4 and [s.task for s in suites] == ["target"]


def test_the_base_model_is_loaded_as_the_file_says(tmp_path, monkeypatch):
    asked = {}

    def loader(name, **how):
        asked.update(how, name=name)
        raise KeyboardInterrupt

    monkeypatch.setattr("ssr_nb.compare.load_model", loader)
    with pytest.raises(KeyboardInterrupt):
        compare(Comparison(model="some/model", backend="transformers", device="cpu", dtype="bfloat16", load_in_4bit=True,
                           training={"max_length": 900}), tmp_path)
    assert asked == {"name": "some/model", "backend": "transformers", "device": "cpu", "dtype": "bfloat16",
                     "load_in_4bit": True, "max_length": 900}
