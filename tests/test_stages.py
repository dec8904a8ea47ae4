"""Tasks one after another on one adapter: what is refused, what a run leaves, and that it goes on stage by stage."""

import json
from dataclasses import replace

import pytest

from ssr_nb.comparison import Comparison, check
from ssr_nb.models import load_model
from ssr_nb.stages import matrix_of, run_stages, show_stages

STAGES = [{"name": name, "train": {"task": task, "n": 16}, "target": {"task": task, "n": 6}}
          for name, task in (("rooms", "microworld"), ("jobs", "microworld:jobs"))]
SMALL = Comparison(methods=["sft", "ssr"], learning_rates=[3e-3], seeds=[0], backend="transformers", resamples=100,
                   items={"general": 1}, training={"steps": 3, "batch_size": 8}, stages=STAGES)


@pytest.fixture(scope="module")
def lm():
    return load_model("microworld", backend="transformers", device="cpu")


@pytest.mark.long
def test_a_killed_run_ends_as_one_that_was_not(lm, tmp_path, monkeypatch):
    whole = run_stages(SMALL, tmp_path / "whole", say=lambda line: None, lm=lm)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        from ssr_nb import stages
        run_stage, done = stages.run_stage, []

        def dying(run, chain, number, base):
            if len(done) == 1:
                raise KeyboardInterrupt
            done.append(number)
            return run_stage(run, chain, number, base)

        patched.setattr(stages, "run_stage", dying)
        run_stages(SMALL, tmp_path / "killed", say=lambda line: None, lm=lm)
    first = tmp_path / "killed" / "arms" / "sft-0.003-0" / "1-rooms"
    before = (first / "scores.jsonl").stat().st_mtime_ns
    again = run_stages(SMALL, tmp_path / "killed", say=lambda line: None, lm=lm)
    assert again["chains"] == whole["chains"] and (first / "scores.jsonl").stat().st_mtime_ns == before
    for name in ("1-rooms", "2-jobs"):
        one, other = (tmp_path / run / "arms" / "ssr-0.003-0" / name / "adapter" / "adapter_model.safetensors"
                      for run in ("whole", "killed"))
        assert one.read_bytes() == other.read_bytes()
    assert (tmp_path / "whole" / "arms" / "ssr-0.003-0" / "2-jobs" / "responses.jsonl").exists()
    assert not (tmp_path / "whole" / "arms" / "sft-0.003-0" / "2-jobs" / "responses.jsonl").exists(), "gold needs no answers"
    lines = show_stages(whole, tmp_path / "whole")
    assert "rooms, from its own stage to the end" in "\n".join(lines) and (tmp_path / "whole" / "stages.png").stat().st_size > 5000
    with pytest.raises(ValueError, match="another training"):
        run_stages(replace(SMALL, training={"steps": 4, "batch_size": 8}), tmp_path / "whole", lm=lm)
    assert json.loads((tmp_path / "whole" / "stages.json").read_text())["columns"] == ["rooms", "jobs", "general"]


@pytest.mark.parametrize("changed, named", [
    ("test", "test items of 'target:first'"), ("train", "training examples of 'second'"),
    ("prompts", "judge of 'target:first'"), ("code", "judge of the training answers of 'first'"), ("model", "base model")])
def test_a_run_of_which_something_changed_is_refused_with_its_name(lm, tmp_path, monkeypatch, changed, named):
    "As in a comparison without stages: else the rows of the matrix are about different things."
    from ssr_nb import stages
    from ssr_nb.records import Example, write_records

    def rows(start, gold="it is {}"):
        return [Example(f"what is {start + i} ?", gold.format(start + i), id=f"{start}-{i}") for i in range(3)]
    for name, start in (("train", 0), ("test", 10), ("train2", 20), ("test2", 30)):
        write_records(tmp_path / f"{name}.jsonl", rows(start))
    (tmp_path / "replies.jsonl").write_text('{"id": "a", "response": "Verdict: correct", "model": "m"}\n')
    judge = {"name": "llm", "replies": str(tmp_path / "replies.jsonl")}
    config = replace(SMALL, methods=["sft"], stages=[
        {"name": name, "train": {"examples": str(tmp_path / f"train{end}.jsonl")},
         "target": {"examples": str(tmp_path / f"test{end}.jsonl")}, "judge": judge} for name, end in (("first", ""), ("second", "2"))])
    monkeypatch.setattr(stages, "base_scores_of", lambda run: [])
    monkeypatch.setattr(stages, "run_stage", lambda *a: [])
    monkeypatch.setattr(stages, "summary_of", lambda *a: {})

    def begun():
        return run_stages(config, tmp_path / "run", say=lambda line: None, lm=lm)
    begun()
    begun()  # nothing has changed
    if changed == "test":
        write_records(tmp_path / "test.jsonl", rows(10, "it was {}"))
    elif changed == "train":
        write_records(tmp_path / "train2.jsonl", rows(20, "it was {}"))
    elif changed == "prompts":
        with open(tmp_path / "replies.jsonl", "a") as file:
            file.write('{"id": "b", "response": "Verdict: correct", "model": "m"}\n')
    else:
        monkeypatch.setattr("ssr_nb.compare._code" if changed == "code" else "ssr_nb.stages.fingerprint", lambda *a: "another")
    with pytest.raises(ValueError, match="changed since the run began") as told:
        begun()
    assert named in str(told.value)


def test_the_second_stage_goes_on_with_the_adapter_of_the_first(lm, tmp_path):
    from ssr_nb.adapters import load_adapter, remove_lora
    from ssr_nb.records import Target
    from ssr_nb.microworld import target_examples
    from ssr_nb.settings import TrainingSettings
    from ssr_nb.train import train

    targets = [Target(e.id, e.prompt, e.completion, "gold") for e in target_examples(8, "train")]
    settings = TrainingSettings(steps=2, batch_size=4, learning_rate=1e-9)
    remove_lora(train(targets, lm, tmp_path / "one", replace(settings, learning_rate=3e-3), progress=False).lm)
    weights = {}
    for name, how in (("two", {"start": tmp_path / "one"}), ("fresh", {})):
        trained = train(targets, lm, tmp_path / name, settings, progress=False, **how)
        weights[name] = [p.detach().clone() for n, p in trained.lm.model.named_parameters() if "lora_B" in n]
        remove_lora(trained.lm)
    first = load_adapter(lm, tmp_path / "one")
    begun = [p.detach().clone() for n, p in first.model.named_parameters() if "lora_B" in n]
    remove_lora(first)
    assert all((a - b).abs().max() < 1e-6 for a, b in zip(weights["two"], begun))
    assert max(float(w.abs().max()) for w in begun) > 1e-4 > max(float(w.abs().max()) for w in weights["fresh"])
    with pytest.raises(ValueError, match="another run"):
        train(targets, lm, tmp_path / "two", settings, progress=False)


@pytest.mark.parametrize("given, named", [
    ({"stages": [{"name": "a", "train": "gsm8k"}]}, "stages"), ({"stages": [{"name": "a/b"} | STAGES[0] | {"name": "a/b"}]}, "a/b"),
    ({"stages": [STAGES[0], STAGES[0]]}, "different names"), ({"stages": ["rooms"]}, "stages"), ({"stages": "rooms"}, "stages"),
    ({"stages": STAGES, "methods": ["replay"]}, "replay"), ({"stages": STAGES, "methods": ["wise"]}, "scaling"),
    ({"stages": STAGES, "probe": {"every": 2, "general": "facts"}}, "probe"), ({"stages": STAGES, "data": "gsm8k"}, "general"),
    ({"stages": [STAGES[0] | {"judge": "exat"}]}, "did you mean 'exact'"), ({"stages": [STAGES[0] | {"train": {"task": "facts", "nn": 1}}]}, "nn"),
    ({"stages": STAGES, "data": {"train": "gsm8k"}}, "general")])
def test_what_makes_no_sense_is_refused_with_its_key(given, named):
    with pytest.raises(ValueError, match=named):
        check(Comparison(**given))


def test_a_test_item_of_one_stage_may_not_be_trained_on_in_another(lm, tmp_path):
    stages = [STAGES[0], {"name": "again", "train": {"task": "microworld", "split": "test", "n": 6}, "target": "microworld:jobs"}]
    with pytest.raises(ValueError):
        run_stages(replace(SMALL, stages=stages), tmp_path / "run", say=lambda line: None, lm=lm)


def test_a_matrix_of_several_seeds_has_their_mean():
    from ssr_nb.records import Score
    made = [[Score(f"q{i}", task, "x", seed, 1e-3, float(i < right + seed)) for task in ("target:a", "general:b") for i in range(8)
             for seed in ((0, 1) if number else (0,))] for number, right in enumerate((4, 5))]
    cells = matrix_of(made, ["a"], resamples=50)["matrix"]
    assert [row[0][0] for row in cells] == [4 / 8, 5.5 / 8]
