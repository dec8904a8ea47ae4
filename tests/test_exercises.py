"""The course: every exercise accepts its right answer and refuses five wrong ones, lessons are what they promise to be,
and student copies give nothing away."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy
import pytest
import yaml

from ssr_nb.exercises import check, exercises, seal, seal_file

ROOT = Path(__file__).parent.parent
LESSONS = sorted((ROOT / "nbs" / "lessons").glob("*.ipynb"))
PLAIN = {row["id"]: row for row in yaml.safe_load((ROOT / "nbs/solutions/answers.yaml").read_text(encoding="utf-8"))}
sys.path.insert(0, str(ROOT / "tools"))


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def text_of(cell: dict) -> str:
    return "".join(cell["source"])


def one_right(row: dict):
    "An answer that must be right; for a function, one that gives the results in turn."
    if "answer" in row:
        return row["answer"][0] if isinstance(row["answer"], list) else row["answer"]
    if "between" in row:
        return sum(row["between"]) / 2
    by_case = {json.dumps(case): result for case, result in zip(row["cases"], row["results"])}
    return lambda *given: by_case[json.dumps(list(given))]


WRONG_FUNCTIONS = {"none": lambda *given: None, "zero": lambda *given: 0, "first": lambda *given: given[0],
                   "last": lambda *given: given[-1], "text": lambda *given: str(given), "raises": lambda *given: 1 / 0}


@pytest.mark.parametrize("id", PLAIN)
def test_the_right_answer_is_right(id):
    assert check(id, one_right(PLAIN[id])).mark == "right"


@pytest.mark.parametrize("id", [id for id, row in PLAIN.items() if "cases" not in row])
def test_five_plausible_answers_are_not_right(id):
    plausible = PLAIN[id]["plausible"]
    assert len(plausible) >= 5
    marks = {str(answer): check(id, answer).mark for answer in plausible}
    assert "right" not in marks.values(), marks


@pytest.mark.parametrize("id", [id for id, row in PLAIN.items() if "cases" in row])
def test_functions_that_do_something_else_are_not_right(id):
    marks = {name: check(id, function).mark for name, function in WRONG_FUNCTIONS.items()}
    assert "right" not in marks.values() and len(marks) >= 5, marks


@pytest.mark.parametrize("id", [id for id, row in PLAIN.items() if "machines" in row])
def test_the_figure_of_each_machine_is_right(id):
    "Where an answer depends on a run, what several kinds of processor gave stands beside it."
    found = PLAIN[id]["machines"]
    assert len(found) >= 3 and all(check(id, figure).mark == "right" for figure in found), found


@pytest.mark.parametrize("id", [id for id, row in PLAIN.items() if "between" in row])
def test_a_range_has_ends(id):
    "Just inside is right, and far outside isn't; a per cent may be given as a share, which is nearly right."
    row = PLAIN[id]
    low, high = row["between"]
    step = row.get("step", 1)
    assert check(id, low).mark == check(id, f"{high}").mark == "right"
    reach = max(abs(high - low), step) + max(abs(end - edge) for end, edge in zip(row.get("nearly", [low, high]), [low, high]))
    assert check(id, high + reach + 2 * step).mark == check(id, low - reach - 2 * step).mark == "not yet"
    if row.get("percent"):
        assert check(id, sum(row["between"]) / 200).mark == "nearly"


def test_what_is_sealed_is_current(tmp_path):
    made = seal_file(ROOT / "nbs/solutions/answers.yaml", tmp_path / "sealed.json")
    assert made.read_bytes() == (ROOT / "ssr_nb/templates/exercises.json").read_bytes(), "run `make exercises`"


def test_no_answer_can_be_read_in_the_package():
    "Of words and numbers; the hint may speak about anything but the answer."
    for id, row in PLAIN.items():
        sealed = exercises()[id]
        if "answer" in row:
            for answer in row["answer"] if isinstance(row["answer"], list) else [row["answer"]]:
                shown = " ".join([sealed["hint"], *sealed["wrong"].values()]).casefold()
                assert len(str(answer)) < 3 or str(answer).casefold() not in shown, (id, answer)
        if row.get("then"):
            assert row["then"] not in json.dumps(sealed), id


def test_an_answer_that_is_no_answer():
    assert check("1.1").mark == check("1.1", ...).mark == "open"
    assert check("1.1", "about a third").mark == check("1.1", True).mark == "not yet"
    assert "function" in check("1.3", 5).text
    for no_number in (float("nan"), float("inf"), [29.0], numpy.array([1, 2]), {}, "29,0"):
        assert check("1.1", no_number).mark == "not yet", no_number
    assert check("1.1", numpy.float32(29)).mark == check("1.1", numpy.array(29.0)).mark == "right"
    with pytest.raises(ValueError, match="did you mean"):
        check("1.l")


def test_a_function_that_changes_its_argument_spoils_no_other_check():
    def emptying(labels):
        labels.clear()
        return 0
    assert check("1.3", emptying).mark != "right"
    assert check("1.3", lambda labels: 100 * labels.count("correct") / len(labels) if labels else 0).mark == "right"


def test_an_exercise_of_no_kind_is_refused():
    with pytest.raises(ValueError, match="expected 'answer', 'between' or 'cases'"):
        seal({"id": "0.1", "hint": "x", "anwser": "a"})


def test_a_number_stands_once(tmp_path):
    (tmp_path / "plain.yaml").write_text("- {id: '1.1', answer: a, hint: x}\n- {id: '1.1', answer: b, hint: x}\n")
    with pytest.raises(ValueError, match="1.1 more than once"):
        seal_file(tmp_path / "plain.yaml", tmp_path / "out.json")


def named_in(paths: list[Path]) -> set[str]:
    return {id for path in paths for cell in cells(path) for id in re.findall(r'check\("([\w.-]+)"', text_of(cell))}


def test_every_exercise_stands_in_a_notebook_and_has_a_solution():
    pages = [p for p in (ROOT / "nbs").rglob("*.ipynb") if "solutions" not in p.parts and p.name != "15_exercises.ipynb"]
    assert named_in(pages) == set(PLAIN)
    assert named_in(sorted((ROOT / "nbs/solutions").glob("*.ipynb"))) == set(PLAIN)


@pytest.mark.parametrize("path", sorted((ROOT / "nbs").glob("*.ipynb")), ids=lambda p: p.stem)
def test_an_exercise_of_a_stage_has_a_check(path):
    for cell in cells(path):
        part = re.split(r"^#+ Exercises?\s*$", text_of(cell), flags=re.M)
        if cell["cell_type"] == "markdown" and len(part) > 1:
            unchecked = [line for line in part[1].splitlines() if re.match(r"(\d+\.|\*\*\S+\*\*) ", line) and "check(" not in line]
            assert "check(" in part[1] and not unchecked, unchecked


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_lesson_is_what_it_promises(path):
    found = cells(path)
    words = "\n".join(text_of(c) for c in found if c["cell_type"] == "markdown")
    code = [text_of(c) for c in found if c["cell_type"] == "code"]
    assert "**After this lesson you will be able to**" in text_of(found[0]) and "minutes" in text_of(found[0])
    assert "**Predict.**" in words and "## Exercises" in words
    assert 2 <= len(named_in([path])) <= 3
    assert any("image/png" in o.get("data", {}) for c in found for o in c.get("outputs", [])), "no picture"
    assert "#| export" not in "\n".join(code)
    long = [c for c in code if sum(bool(line.strip()) for line in c.splitlines()) > 12]
    assert not long, long
    wide = [line for c in code for line in c.splitlines() if len(line) > 100]
    assert not wide, wide


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    from course import student_copy
    return student_copy(tmp_path_factory.mktemp("student") / "copy")


def test_a_student_copy_gives_nothing_away(copy):
    assert not (copy / "nbs/solutions").exists() and not (copy / "nbs/lessons/teacher.md").exists()
    assert not list(copy.rglob("answers.yaml"))
    lessons = sorted((copy / "nbs/lessons").glob("*.ipynb"))
    assert [p.name for p in lessons] == [p.name for p in LESSONS]
    assert not [1 for p in lessons for c in cells(p) if c.get("outputs")]
    assert (copy / "ssr_nb/embedded/model.safetensors").exists() and (copy / "nbs/lessons/passages.jsonl").exists()


def test_a_student_copy_can_be_imported_and_checks_answers(copy, tmp_path):
    code = "import ssr_nb, ssr_nb.exercises as e; print(ssr_nb.__file__); print(e.check('5.3', 'ssr'))"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(copy), "PATH": ""},
                          capture_output=True, text=True)
    assert str(copy) in done.stdout and "not yet" in done.stdout, done.stderr


def test_a_folder_that_exists_is_left_alone(tmp_path):
    from course import student_copy
    with pytest.raises(SystemExit, match="exists"):
        student_copy(tmp_path)


def test_the_zip_for_a_class_has_a_start_for_each_system(tmp_path):
    from course import class_zip
    names = set(zipfile.ZipFile(class_zip(tmp_path / "class.zip", wheels=False)).namelist())
    assert {"ssr_nb_class/start.sh", "ssr_nb_class/start.bat", "ssr_nb_class/nbs/lessons/1_own_answers.ipynb"} <= names
    assert not [n for n in names if "solutions" in n or "teacher" in n]


def wheel(folder: Path, name: str, version: str, *needs: str) -> None:
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as packed:
        packed.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(
            ["Metadata-Version: 2.1", f"Name: {name}", *(f"Requires-Dist: {need}" for need in needs), "", "Requires-Dist: of the text"]))


def test_a_zip_for_windows_has_what_windows_alone_needs(tmp_path):
    "pip goes by the machine on which it runs, so what another system needs is looked up in the wheels."
    from course import WINDOWS, lacking
    wheel(tmp_path, "bars", "4.70", 'colorama>=0.4; platform_system == "Windows"', 'curses; sys_platform != "win32"',
          'jupyter; extra == "notebook"', "hub-tools[fast]<2")
    wheel(tmp_path, "hub_tools", "2.1", 'speedups; extra == "fast"', "plain")
    assert lacking(tmp_path, WINDOWS) == ["colorama>=0.4", "hub-tools<2", "speedups", "plain"], "2.1 isn't below 2, and has gone"
    wheel(tmp_path, "hub_tools", "1.9", 'speedups; extra == "fast"')
    for name in ("colorama", "speedups"):
        wheel(tmp_path, name, "1.0")
    assert lacking(tmp_path, WINDOWS) == []
    assert lacking(tmp_path, {**WINDOWS, "sys_platform": "linux", "platform_system": "Linux"}) == ["curses"]


def test_what_starts_a_lesson_on_windows_stops_at_the_first_failure(tmp_path):
    from course import class_zip
    with zipfile.ZipFile(class_zip(tmp_path / "class.zip", wheels=False)) as packed:
        lines = packed.read("ssr_nb_class/start.bat").decode().splitlines()
    assert len(lines) == 4 and all(line.endswith("|| exit /b 1") for line in lines) and ".venv\\Scripts\\jupyter" in lines[-1]
