"""The gate before shipping: what it lets through, what it stops, and what it can't tell."""

import json

import pytest

from ssr_nb.cli import main
from ssr_nb.gate import OUTCOMES, gate, outcome, read_samples, scores_for_gate
from ssr_nb.records import RecordError, Score, write_records


def pair(task, n, both, lost, gained, groups=0):
    "Scores of a base model and a tuned one: right in both, only before, only after, and else wrong in both."
    before = [i < both + lost for i in range(n)]
    after = [i < both or both + lost <= i < both + lost + gained for i in range(n)]
    extra = [{"group": f"g{i % groups}"} if groups else {} for i in range(n)]
    return [Score(f"{task}-{i}", task, method, 0, rate, float(right), extra=extra[i]) for method, rate, rights in
            [("base", None, before), ("ssr", 1e-3, after)] for i, right in enumerate(rights)]


TARGET = pair("target", 200, both=60, lost=5, gained=60)
KEPT = pair("general:facts", 600, both=500, lost=6, gained=6)
LOST = pair("general:facts", 600, both=400, lost=100, gained=5)
UNCLEAR = pair("general:facts", 60, both=40, lost=4, gained=3)


@pytest.mark.parametrize("low, high, line, expected", [
    (-1.9, 0.0, -2, 0), (-2.0, 0.0, -2, 0), (-2.1, 0.0, -2, 2), (-5.0, -2.1, -2, 1), (-5.0, -2.0, -2, 2), (3.0, 9.0, 3, 0),
    (2.9, 9.0, 3, 2), (0.0, 2.9, 3, 1), (None, None, -2, 2)])
def test_the_end_of_the_interval_decides(low, high, line, expected):
    assert outcome(low, high, line) == OUTCOMES[expected]


@pytest.mark.parametrize("general, expected", [(KEPT, 0), (LOST, 1), (UNCLEAR, 2)])
def test_three_outcomes(general, expected):
    assert gate(TARGET + general, 2, 3).outcome == OUTCOMES[expected]


def test_a_gain_that_is_too_small_stops():
    small = pair("target", 2000, both=900, lost=20, gained=30)
    found = gate(small + KEPT, 2, 10)
    assert found.outcome == "fail" and [f.outcome for f in found.findings] == ["fail", "pass"]


def test_a_loss_in_one_task_does_not_hide_behind_the_others():
    others = [s for k in range(6) for s in pair(f"general:skill{k}", 400, both=380, lost=0, gained=15)]
    scores = TARGET + others + LOST
    assert gate(scores, 5, 3).outcome == "pass"
    each = gate(scores, 5, 3, each=True)
    assert each.outcome == "fail" and {f.name: f.outcome for f in each.findings}["facts"] == "fail"


def test_groups_count_and_not_items():
    "Two hundred questions on three passages are three passages."
    scores = pair("target", 200, both=60, lost=5, gained=60) + pair("general:facts", 600, 500, 6, 6, groups=3)
    assert gate(scores, 2, 3).findings[1].units == 3
    assert gate(scores, 2, 3).outcome == "too few items to tell"


def test_the_rate_is_that_of_validation():
    other = [Score(s.id, s.task, "ssr", 0, 3e-3, 0.0) for s in TARGET + KEPT if s.method == "base"]
    with pytest.raises(RecordError, match="expected one learning rate"):
        gate(TARGET + KEPT + other)
    chosen = pair("validation", 50, 10, 0, 20)
    chosen += [Score(s.id, s.task, "ssr", 0, 3e-3, 0.0) for s in chosen if s.method == "base"]
    assert gate(TARGET + KEPT + other + chosen, 2, 3).arm == ("ssr", 1e-3)
    assert gate(TARGET + KEPT + other, 2, 3, rate=3e-3).outcome == "fail"


@pytest.mark.parametrize("scores, options, message", [
    (TARGET, {}, "no score of a general ability"), (KEPT, {"must_gain": 3}, "no score of the target"),
    (TARGET + KEPT, {"method": "sft"}, "expected one of \\['ssr'\\]"), (TARGET + KEPT, {"may_lose": -1}, "may_lose=-1"),
    (TARGET + KEPT, {"rate": 0.5}, "no such rate"), (TARGET + KEPT[:-1], {}, "expected the same items in every arm"),
    ([s for s in TARGET + KEPT if s.method == "base"], {}, "found no method"),
])
def test_what_can_not_be_judged_is_refused(scores, options, message):
    with pytest.raises(ValueError, match=message):
        gate(scores, **options)


def test_losses_have_no_points():
    nats = [Score(s.id, "general:text", s.method, 0, s.learning_rate, 2 + s.score, extra={"metric": "score"}) for s in KEPT]
    with pytest.raises(ValueError, match="a margin in points"):
        gate(TARGET + nats)


def test_the_command(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    for general, status in ((KEPT, 0), (LOST, 3), (UNCLEAR, 4)):
        write_records(run / "scores.jsonl", TARGET + general)
        with pytest.raises(SystemExit) as end:
            main(["gate", str(run), "--may-lose", "2", "--must-gain", "3", "--out", str(tmp_path / "gate.json")])
        assert end.value.code == status
        told = json.loads((tmp_path / "gate.json").read_text())
        assert told["outcome"] == OUTCOMES[(0, 3, 4).index(status)] and told["outcome"] in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["RUN", "--scores", "x.jsonl"], ["nowhere"], ["--scores", "x.jsonl"],
                                       ["RUN", "--may-lose", "-1"]])
def test_a_broken_command_is_no_verdict(arguments, tmp_path, capsys):
    write_records(tmp_path / "scores.jsonl", TARGET + KEPT)
    with pytest.raises(SystemExit) as end:
        main(["gate", *[str(tmp_path) if a == "RUN" else a for a in arguments]])
    assert end.value.code in (1, 2)


def test_scores_made_elsewhere(tmp_path):
    "Two files of `ssr evaluate`, whatever method they say, and two folders of lm-eval."
    for name, method in (("base", "base"), ("tuned", "ssr")):
        write_records(tmp_path / f"{name}.jsonl", [s for s in TARGET + KEPT if s.method == method])
        folder = tmp_path / name / "model"
        folder.mkdir(parents=True)
        lines = [{"doc_id": i, "filter": kind, "metrics": ["acc"], "acc": float((i % 5 != 0) != (name == "tuned" and i < 2)),
                  "doc_hash": "0" * 64, "filtered_resps": ["yes"], "arguments": {}}
                 for i in range(400) for kind in ("none", "other")]
        (folder / "samples_arc_easy_2026-01-01T00.jsonl").write_text("{}\n")  # an older run
        (folder / "samples_arc_easy_2026-02-01T00.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    found = gate(scores_for_gate(None, tmp_path / "tuned.jsonl", tmp_path / "base.jsonl"), 2, 3)
    assert found.outcome == "pass" and found.arm[0] == "tuned"
    found = gate(scores_for_gate(None, tmp_path / "tuned", tmp_path / "base"), 2)
    assert found.findings[0].items == 400 and abs(found.findings[0].difference) < 1e-9


def test_broken_samples_are_named(tmp_path):
    with pytest.raises(RecordError, match="--log_samples"):
        read_samples(tmp_path, "base")
    (tmp_path / "samples_arc_2026.jsonl").write_text('{"doc_id": 0}\n{broken\n')
    with pytest.raises(RecordError, match="samples_arc_2026.jsonl, line 2"):
        read_samples(tmp_path, "base")


def test_the_task_from_one_tool_and_general_abilities_from_another(tmp_path, capsys):
    "`ssr evaluate` scores the task; lm-eval, or `ssr benchmark` with base and tuned in one file, the general abilities."
    for name, method in (("base", "base"), ("tuned", "ssr")):
        write_records(tmp_path / f"{name}.jsonl", [s for s in TARGET if s.method == method])
        (tmp_path / name).mkdir()
        lines = [{"doc_id": i, "filter": "none", "metrics": ["acc"], "acc": float(i % 5 != 0), "doc_hash": "0" * 64,
                  "filtered_resps": ["yes"], "arguments": {}} for i in range(400)]
        (tmp_path / name / "samples_arc_easy_2026-02-01T00.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    write_records(tmp_path / "both.jsonl", KEPT)

    def ended(*general):
        line = [word for flag, name, other in (("--base-scores", "base", general[0]), ("--scores", "tuned", general[1]))
                for word in (flag, str(tmp_path / f"{name}.jsonl"), flag, str(tmp_path / other))]
        with pytest.raises(SystemExit) as end:
            main(["gate", *line, "--may-lose", "2", "--must-gain", "3"])
        return end.value.code, capsys.readouterr()

    for general in (("base", "tuned"), ("both.jsonl", "both.jsonl")):
        code, told = ended(*general)
        assert code == 0 and "target 32.5 -> 60.0" in told.out and "general" in told.out


@pytest.mark.parametrize("scores, said", [
    (TARGET + [Score(s.id, s.task, "sft", 0, 1e-3, s.score) for s in TARGET if s.method == "ssr"], "scores of sft at 0.001, ssr at 0.001"),
    ([s for s in TARGET if s.method == "ssr"] + [Score(s.id, s.task, "ssr", 0, 3e-3, s.score) for s in TARGET if s.method == "ssr"],
     "scores of ssr at 0.001, ssr at 0.003")])
def test_scores_of_several_models_are_no_model(scores, said, tmp_path):
    write_records(tmp_path / "tuned.jsonl", scores)
    write_records(tmp_path / "base.jsonl", [s for s in TARGET + KEPT if s.method == "base"])
    with pytest.raises(RecordError, match=f"tuned.jsonl: found {said}; expected those of one model"):
        scores_for_gate(None, tmp_path / "tuned.jsonl", tmp_path / "base.jsonl")


def test_an_item_that_comes_twice_is_named(tmp_path):
    write_records(tmp_path / "tuned.jsonl", [s for s in TARGET + KEPT if s.method == "ssr"])
    write_records(tmp_path / "again.jsonl", [s for s in TARGET if s.method == "ssr"])
    with pytest.raises(RecordError, match="again.jsonl: found item 'target-0' of 'target', which is in .*tuned.jsonl too"):
        scores_for_gate(None, [tmp_path / "tuned.jsonl", tmp_path / "again.jsonl"], [tmp_path / "tuned.jsonl"])
