"""The run on a real chat model: what it compares, what it says was lost, and the command from end to end on a tiny model."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ssr_nb import real
from ssr_nb.cli import main
from ssr_nb.compare import compare
from ssr_nb.comparison import Comparison, load_data
from ssr_nb.evaluate import SEPARATOR
from ssr_nb.real import losses_of, real_comparison, told_losses
from ssr_nb.records import Example, Score, read_records, write_json, write_records


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
    arguments = ["real", "--model", str(small_llama), "--out", str(tmp_path / "run"), "--workers", "1", "--dtype", "float32"]
    done(arguments)
    first = capsys.readouterr().out
    assert first.startswith("Selective Self-Rehearsal on a real chat model")
    assert "sft lost" in first and "ssr lost" in first and (tmp_path / "run" / "report.html").is_file()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["figures"]["general"]["items"] == 5 and summary["config"]["methods"] == ["sft", "ssr"]
    assert summary["config"]["dtype"] == "float32" == summary["model"]["dtype"]
    done(arguments)
    assert "0 arms to run" in capsys.readouterr().out


def test_a_run_goes_on_from_what_is_kept_of_it(tmp_path):
    spec = importlib.util.spec_from_file_location("keep", Path(__file__).parents[1] / "benchmarks" / "real_models" / "keep.py")
    spec.loader.exec_module(keep := importlib.util.module_from_spec(spec))
    config = dict(methods=["sft", "ssr"], learning_rates=[3e-3], seeds=[0], backend="transformers", workers=1, threads=1, resamples=50,
                  items={"train": 16, "validation": 4, "target": 6, "shift": 2, "general": 1}, training={"steps": 2, "batch_size": 8})
    summary = compare(Comparison(**config), tmp_path / "run", say=lambda line: None)
    scores = read_records(tmp_path / "run" / "base" / "scores.jsonl", Score)
    scores[0].response = "one\u2028two\x85three"  # what ends a line for Python, and not in a file of lines
    scores[0].extra["reason"], scores[1].extra["reason"] = 'gold is not in it: "a lamp"', "another number: 12, gold 160"
    write_records(tmp_path / "run" / "base" / "scores.jsonl", scores)
    keep.keep(tmp_path / "run", tmp_path / "kept")
    kept = {path.name: path for path in (tmp_path / "kept").iterdir()}
    assert sorted(kept) == ["answers.json", "by_rate.json", "config.json", "lost.json", "scores.jsonl.xz", "summary.json"]
    said = json.loads(kept["answers.json"].read_text())["ssr 0.003"]
    cut = sum(s.extra["finish_reason"] == "length" for s in read_records(tmp_path / "run/arms/ssr-0.003-0/scores.jsonl", Score)
              if s.task.startswith("general:"))
    assert said["answers"] == 6 and sum(int(count.split()[0]) for count in said["general cut off"].values()) == cut
    row, = json.loads(kept["by_rate.json"].read_text())
    assert (row["method"], row["against"], row["learning_rate"]) == ("ssr", "sft", 3e-3)
    found = [r for r in summary["differences"] if (r["method"], r["against"]) == ("ssr", "sft")]
    assert row["target"][0] == pytest.approx(found[0]["target"][0])

    lines: list[str] = []
    keep.lay_back(tmp_path / "again", tmp_path / "kept")
    laid = read_records(tmp_path / "again" / "base" / "scores.jsonl", Score)
    assert [replace(s, extra={}) for s in laid] == [replace(s, extra={}) for s in scores]
    assert [s.extra["reason"] for s in laid[:2]] == ["gold is not in it", "another number: 12"], "gold may be published data"
    assert [s.extra for s in laid[2:]] == [s.extra for s in scores[2:]], "nothing else is quoted here"
    more = compare(Comparison(**config | {"methods": ["sft", "ssr", "replay"]}), tmp_path / "again", say=lines.append)
    assert any("1 arms to run" in line for line in lines), "replay alone"
    assert {(r["method"], r["against"]) for r in more["differences"]} >= {("replay", "sft"), ("ssr", "sft")}
    assert [a for a in more["arms"] if a["method"] in ("base", "sft", "ssr")] == summary["arms"]

    (tmp_path / "again" / "arms" / "ssr-0.003-0" / "scores.jsonl").unlink()
    assert (tmp_path / "again" / "arms" / "ssr-0.003-0" / "seconds.json").exists(), "before the scores, which say that an arm is done"
    keep.lay_back(tmp_path / "other", tmp_path / "kept")
    with pytest.raises(ValueError, match="another items"):
        compare(Comparison(**config | {"items": config["items"] | {"target": 7}}), tmp_path / "other", say=lines.append)
    changed = json.loads((tmp_path / "kept" / "config.json").read_text())
    changed["hashes"]["test items of 'target'"] = "of other data"
    (tmp_path / "kept" / "config.json").write_text(json.dumps(changed))
    keep.lay_back(tmp_path / "odd", tmp_path / "kept")
    with pytest.raises(ValueError, match="found test items of 'target' changed since the run began"):
        compare(Comparison(**config), tmp_path / "odd", say=lines.append)


def test_lost_prompts_of_published_data_are_not_kept_whatever_their_suite_is_called():
    spec = importlib.util.spec_from_file_location("keep", Path(__file__).parents[1] / "benchmarks" / "real_models" / "keep.py")
    spec.loader.exec_module(keep := importlib.util.module_from_spec(spec))
    general = {"knowledge": {"task": "gsm8k:file.jsonl"}, "reading": {"examples": "squad2-sentences"}, "facts": "facts", "story": {"text": "x.txt"}}
    found = keep._general({"config": {"data": {"general": general}}})
    assert {suite for suite, source in found.items() if keep.re.split("[:-]", source)[0] in keep.PUBLISHED} == {"knowledge", "reading"}
    assert keep._general({"config": {"data": "microworld"}}) == {}
