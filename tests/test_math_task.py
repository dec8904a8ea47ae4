"""MATH: boxes as they come, the publishers' folders and files, and what no judge can take."""

import json

import pytest

from ssr_nb.judge import judge
from ssr_nb.math_task import boxes, load_math, math_example
from ssr_nb.records import RecordError, Response
from ssr_nb.tasks import TASKS, load_examples, read_source


def row(number, **more):
    return {"problem": f"What is {number} + 1?", "solution": rf"It is $\boxed{{{number + 1}}}$.", "level": "Level 2",
            "type": "Algebra"} | more


@pytest.mark.parametrize("text, found", [
    (r"\boxed{\frac{\sqrt{2}}{2}}", [r"\frac{\sqrt{2}}{2}"]),
    (r"$\boxed 5$.", ["5"]), (r"$\boxed5$", ["5"]), (r"\boxed\pi", [r"\pi"]), (r"\fbox{x}", ["x"]),
    (r"\boxed{\{a, b\}}", [r"\{a, b\}"]), (r"\boxed{1} and again \boxed{1}", ["1"]), (r"\boxed{1}, \boxed{2}", ["1", "2"]),
    (r"\boxed{\left[0, 1\right)}", [r"\left[0, 1\right)"]), (r"\boxed{", []), (r"\boxed{1", []), (r"\boxed{ }", []),
    ("boxed in", []), (r"\boxed", []),
])
def test_boxes(text, found):
    assert boxes(text) == found


def test_the_archive_a_file_and_a_users_file_give_the_same_golds(tmp_path):
    rows = [row(n, type=subject) for n, subject in enumerate(["Algebra", "Geometry", "Algebra", "Precalculus"])]
    for n, one in enumerate(rows):
        path = tmp_path / "archive" / "train" / one["type"].lower() / f"{n}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(one))
    lines = "".join(json.dumps(one) + "\n" for one in rows)
    (tmp_path / "file").mkdir()
    (tmp_path / "file" / "train.jsonl").write_text(lines)
    (tmp_path / "own.jsonl").write_text(lines)
    golds = [sorted(e.answers[0] for e in found) for found in (
        load_math("train", folder=tmp_path / "archive"), TASKS.named("math").load("train", None, 0, str(tmp_path / "file")),
        load_examples(tmp_path / "own.jsonl"))]
    assert golds == [["1", "2", "3", "4"]] * 3
    assert read_source(str(tmp_path / "own.jsonl")).task.judge == "math" == TASKS.named("math").judge
    drawn = [load_math("train", 2, seed, tmp_path / "file") for seed in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1] and any(other != drawn[0] for other in drawn[2:])
    with pytest.raises(RecordError, match="no SUBJECT/NUMBER.json"):
        (tmp_path / "none" / "test").mkdir(parents=True)
        load_math("test", folder=tmp_path / "none")


def test_a_column_with_the_answer_goes_before_the_box_and_no_answer_is_an_error():
    assert math_example(row(1, answer="3", subject="Geometry"), "x").answers == ["3"]
    assert math_example(row(1), "x").extra == {"subject": "Algebra", "level": "Level 2"}
    with pytest.raises(RecordError, match="line 3.*without .boxed"):
        math_example(row(1, solution="It is two."), "file, line 3")


def test_golds_that_cannot_be_compared_are_counted_at_the_start_and_never_accepted_in_another_form(capsys):
    pytest.importorskip("math_verify")
    examples = [math_example(row(0), "a"), math_example(row(1, solution=r"$\boxed{2}$ or $\boxed{3}$"), "b"),
                math_example(row(2, solution=r"\boxed{\text{even}}"), "c"), math_example(row(3, solution=r"\boxed{\text{even}}"), "d")]
    said = [r"\boxed{1}", r"\boxed{3}", "even", "It is odd."]
    verdicts = judge(examples, [Response(e.id, text) for e, text in zip(examples, said)], "math")
    assert [v.label for v in verdicts] == ["correct", "unparsed", "correct", "unparsed"]
    assert "math: 3 of 4 golds can't be compared" in capsys.readouterr().err
