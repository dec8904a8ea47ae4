"""The forecast as a command: what it reads, what it says where nothing can be said, and what it refuses."""

import json

import pytest

from ssr_nb.forecast import KnownRun, evidence, evidence_lines, forecast_lines, known_runs, like_it, neighbours, target_files
from ssr_nb.records import RecordError
from ssr_nb.why import Forecast


def run_of(*sets, plain=True):
    "A known run in which each target set of so many nats lost so many points."
    return KnownRun("made", "a made-up run", "some/model", [
        {"method": f"m{i}", "learning_rate": 1e-3, "nats": nats, "nats_per_target": nats, "lost": [lost, lost - 0.01, lost + 0.01],
         "drift": [lost, lost, lost], "targets": str(i), "plain": plain} for i, (nats, lost) in enumerate(sets)])


@pytest.mark.parametrize("sets", [[], [(0.3, 0.0)], [(0.3, 0.0), (3.5, 0.4)]])
def test_of_two_sets_it_says_that_nothing_can_be_said(sets):
    said = evidence(run_of(*sets), 1e-3)
    assert f"{len(sets)} different target sets" in said and "says nothing" in said and "+" not in said


def test_arms_that_share_their_targets_are_one_set():
    run = run_of((0.3, 0.0), (3.5, 0.4), (3.5, 0.3))
    for row in run.rows[1:]:
        row["targets"] = "gold"
    assert "2 different target sets" in evidence(run, 1e-3)


def test_of_three_sets_there_is_a_rank_correlation():
    assert "+1.00" in evidence(run_of((0.3, 0.0), (1.0, 0.1), (3.5, 0.4)), 1e-3, resamples=50)
    assert "0 different target sets" in evidence(run_of((0.3, 0.0), (1.0, 0.1), (3.5, 0.4), plain=False), 1e-3)


def test_a_set_whose_forecast_is_not_known_is_left_out():
    run = run_of((0.3, 0.0), (1.0, 0.1), (3.5, 0.4))
    run.rows[0]["nats"] = None
    assert "2 different" in evidence(run, 1e-3) and neighbours(0.5, run, 1e-3)[0] is None


def test_neighbours_are_the_nearest():
    run = run_of((0.3, 0.0), (1.0, 0.1), (3.5, 0.4))
    assert [row["nats"] for row in neighbours(2.0, run, 1e-3)] == [1.0, 3.5] and like_it(9.0, run, 1e-3).count("lost") == 1


def test_the_order_is_said_and_points_of_another_model_are_called_so():
    lines = forecast_lines({"ssr": Forecast(0.3, 3, 10, 1), "sft": Forecast(3.5, 10, 3, 1)}, [run_of((0.3, 0.0), (3.5, 0.4))], "m")
    assert lines[-1].endswith("ssr < sft") and "another base model" in lines[0]


def test_the_committed_runs_can_be_read():
    runs = known_runs()
    assert "all_methods" in {run.name for run in runs}
    assert all("says nothing" in line or "rank correlation" in line or line.endswith(":") for line in evidence_lines(runs, 50))


@pytest.mark.parametrize("content, named", [('[{"nam": "x"}]', "did you mean 'name'"), ('[{"name": "x"}]', "title"), ("{", "JSON")])
def test_a_file_of_runs_that_is_none_is_named(tmp_path, content, named):
    (tmp_path / "runs.json").write_text(content)
    with pytest.raises(ValueError, match=named):
        known_runs(tmp_path / "runs.json")


@pytest.mark.parametrize("line, named", [("", "neither a run nor --targets"), ("{run} --targets a.jsonl --model microworld", "both"),
                                         ("{run} --model microworld", "no targets"), ("--targets a.jsonl", "--model")])
def test_the_command_says_what_is_missing(tmp_path, line, named, capsys):
    from ssr_nb.cli import main
    with pytest.raises(SystemExit) as stop:
        main(["forecast", *line.format(run=tmp_path).split()])
    assert stop.value.code == 2 and named in capsys.readouterr().err


def test_target_files_go_by_their_methods(tmp_path):
    for name in ("sft", "gold-where-wrong"):
        (tmp_path / f"targets-{name}.jsonl").write_text("")
    assert list(target_files(tmp_path)) == ["gold-where-wrong", "sft"]
    with pytest.raises(RecordError, match="--targets"):
        target_files(tmp_path / "elsewhere")


def test_the_command_forecasts_files(tmp_path, capsys):
    from ssr_nb.cli import main
    from ssr_nb.microworld import target_examples
    from ssr_nb.records import Target, write_records
    for folder, shorter in (("a", False), ("b", True)):
        write_records(tmp_path / folder / "targets.jsonl", [Target(e.id, e.prompt, e.completion.split()[0] if shorter else e.completion,
                                                                   "gold") for e in target_examples(4, "train")])
    try:
        main(["forecast", "--targets", str(tmp_path / "a" / "targets.jsonl"), "--targets", str(tmp_path / "b" / "targets.jsonl"),
              "--model", "microworld", "--backend", "transformers", "--limit", "3", "--out", str(tmp_path / "f.json")])
    except SystemExit as stop:
        assert not stop.code
    assert "the record of such forecasts" in capsys.readouterr().out
    assert [f["targets"] for f in json.loads((tmp_path / "f.json").read_text())["forecasts"].values()] == [3, 3], "two of one name"
