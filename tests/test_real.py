"""The run on a real chat model: what it compares, what it says was lost, and the command from end to end on a tiny model."""

import json

import pytest

from ssr_nb import real
from ssr_nb.cli import main
from ssr_nb.comparison import load_data
from ssr_nb.evaluate import SEPARATOR
from ssr_nb.real import losses_of, real_comparison, told_losses
from ssr_nb.records import Example, Score, write_json, write_records


def test_it_compares_what_it_says():
    config = real_comparison()
    train_set, suites = load_data(config)
    assert len(train_set) >= 160 and {s.name for s in suites if s.role == "general"} == set(real.GENERAL)
    target, = (s for s in suites if s.role == "target")
    answerable = [e.answerable for e in target.examples]
    assert len(answerable) >= 100 and 0.4 < sum(answerable) / len(answerable) < 0.6
    assert not {e.group for e in train_set} & {e.group for e in target.examples}, "topics of training and test differ"
    assert real_comparison("squad2").data["train"]["task"] == "squad2-sentences"


@pytest.mark.parametrize("options, message", [({"data": "squad"}, "did you mean 'squad2'"), ({"rate": 0}, "learning_rates"),
                                              ({"workers": 0}, "workers")])
def test_what_does_not_fit_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        real_comparison(**options)


@pytest.fixture
def run(tmp_path):
    said = {"base": ["three: oak, ash, elm", "Paris", "no"], "sft": ["not said", "Paris", "not said"], "ssr": ["oak, ash, elm", "Rome", "no"]}
    right = {"base": [1, 1, 0], "sft": [0, 1, 0], "ssr": [1, 0, 0]}
    tasks = ["general:lists", "general:facts", "general:facts"]
    write_records(tmp_path / "tests.jsonl", [Example(f"Question {i}?", "gold", id=f"{task}{SEPARATOR}{i}") for i, task in enumerate(tasks)])
    write_records(tmp_path / "scores.jsonl", [
        Score(str(i), tasks[i], method, 0, None if method == "base" else 1e-3, float(right[method][i]), said[method][i])
        for method in said for i in range(3)])
    write_json(tmp_path / "summary.json", {"figures": ["target"], "differences": [], "columns": {"target": {}}, "arms": [
        {"method": m, "learning_rate": None if m == "base" else 1e-3, "quoted": True} for m in said]})
    return tmp_path


def test_what_was_lost_is_what_was_right_before_and_is_not_after(run):
    assert [(c.prompt, c.before, c.after) for c in losses_of(run, "sft")] == [("Question 0?", "three: oak, ash, elm", "not said")]
    assert [c.task for c in losses_of(run, "ssr")] == ["facts"]
    told = "\n".join(told_losses(run))
    assert "sft lost 1 general prompts" in told and "after:  not said" in told and "before: Paris" in told
    assert "not said" not in "\n".join(told_losses(run, most=0))
    with pytest.raises(ValueError, match="found no method 'stf'.*did you mean 'sft'"):
        losses_of(run, "stf")


def done(arguments):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 0


@pytest.mark.long
def test_the_command_from_end_to_end_and_again(small_llama, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(real, "GENERAL", {"instructions": 3, "facts": 2})
    monkeypatch.setattr(real, "QUESTIONS", {"passages": {"train": {"task": "passages", "split": "train", "n": 8},
                                                         "target": {"task": "passages", "split": "test", "n": 4}}})
    arguments = ["real", "--model", str(small_llama), "--out", str(tmp_path / "run"), "--workers", "1"]
    done(arguments)
    first = capsys.readouterr().out
    assert "sft lost" in first and "ssr lost" in first and (tmp_path / "run" / "report.html").is_file()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["figures"]["general"]["items"] == 5 and summary["config"]["methods"] == ["sft", "ssr"]
    done(arguments)
    assert "0 arms to run" in capsys.readouterr().out
