"""Kept outputs are compared with fresh ones: what differs is found, and what may differ isn't."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from run_notebook import comparable, long_ones, text_of

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "tests" / "run_notebook.py"


def notebook(folder: Path, *cells: tuple[str, str]) -> Path:
    "A notebook of (source, what it is said to have printed)."
    made = [{"cell_type": "code", "id": f"cell{i}", "metadata": {}, "execution_count": None, "source": source,
             "outputs": [{"output_type": "stream", "name": "stdout", "text": kept}] if kept else []}
            for i, (source, kept) in enumerate(cells)]
    path = folder / "made.ipynb"
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def ran(path: Path, *flags: str):
    return subprocess.run([sys.executable, str(SCRIPT), str(path), *(["--flags", *flags] if flags else [])],
                          capture_output=True, text=True, cwd=ROOT)


@pytest.mark.parametrize("source, kept", [("print('a list', [1, 2])", "a list [1]\n"), ("print('new words')", "old words\n"),
                                          ("print('one')", ""), ("x = 1", "something\n"), ("print(0.25)", "0.26\n")])
def test_an_output_that_is_out_of_date_is_found(tmp_path, source, kept):
    done = ran(notebook(tmp_path, ("print('as ever')", "as ever\n"), (source, kept)))
    assert done.returncode == 1 and "cell cell1" in done.stderr and "cell cell0" not in done.stderr


@pytest.mark.parametrize("source, kept", [
    ("print('the same,   wider')", "the same, wider\n"), ("import sys\nprint('gone', file=sys.stderr)", ""),
    ("import time\nprint('took', time.perf_counter())", "took 3.2\n"), ("print(object())", "<object object at 0x7f>\n"), ("print(object())", "<object object>\n"),
    ("#| slow\nprint('not run')", "kept from a longer run\n"), ("#| eval: false\nprint('not run')", "kept\n")])
def test_what_may_differ_is_no_fault(tmp_path, source, kept):
    done = ran(notebook(tmp_path, (source, kept)))
    assert done.returncode == 0, done.stderr


def test_a_notebook_that_keeps_no_outputs_has_nothing_to_compare(tmp_path):
    assert ran(notebook(tmp_path, ("print('run elsewhere')", ""))).returncode == 0


def test_where_a_model_computes_numbers_may_differ_and_words_may_not(tmp_path):
    model = ("import sys\nsys.modules['torch'] = sys", "")  # as if it had been imported
    assert ran(notebook(tmp_path, model, ("print('right: 78.5%')", "right: 78.3%\n"))).returncode == 0
    assert ran(notebook(tmp_path, model, ("print('right: 78.5%')", "wrong: 78.5%\n"))).returncode == 1
    broken = "print('train 9.5 s, evaluate,\\nall arms 3.2 s')"
    assert ran(notebook(tmp_path, model, (broken, "train 109.5 s,\nevaluate, all arms 43.2 s\n"))).returncode == 0
    assert ran(notebook(tmp_path, (broken, "train 9.5 s,\nevaluate, all arms 3.2 s\n"))).returncode == 1, "the same numbers"


def test_a_text_that_came_in_pieces_is_one_text():

    def piece(text, name="stdout"):
        return {"output_type": "stream", "name": name, "text": text}

    value = {"output_type": "execute_result", "data": {"text/plain": "3"}}
    assert text_of([piece("in "), piece("pieces"), value, piece("after")]) == "in pieces\n3\nafter"
    assert text_of([piece("a warning", "stderr"), piece("said")]) == "said"


def test_an_error_stops_the_run_and_a_forced_flag_runs_the_cell(tmp_path):
    done = ran(notebook(tmp_path, ("assert 1 == 2, 'not equal'", "")))
    assert done.returncode == 1 and "not equal" in done.stderr
    assert ran(notebook(tmp_path, ("#| slow\nprint('fresh')", "kept\n")), "slow").returncode == 1


@pytest.mark.long
def test_several_run_in_processes_of_their_own_and_what_fails_is_named(tmp_path):
    folders = [tmp_path / name for name in "abc"]
    cells = [[("import json\njson.mine = 1", ""), ("print('kept')", "kept\n")],
             [("import json, sys\nprint(hasattr(json, 'mine'), 'ssr_nb' in sys.modules)", "False False\n")],
             [("print('new')", "old\n")]]
    for folder, of in zip(folders, cells):
        folder.mkdir()
        notebook(folder, *of)
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path), "--jobs", "2"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and done.stdout.count("- Completed") == 3 and done.stderr.strip() == f"failed: {folders[2] / 'made.ipynb'}"
    assert "cell cell0" in done.stdout
    (folders[2] / "made.ipynb").unlink()
    assert subprocess.run([sys.executable, str(SCRIPT), str(tmp_path)], capture_output=True, cwd=ROOT).returncode == 0


def test_a_library_that_is_loaded_already_counts_when_it_is_asked_for():
    code = ("import sys\nsys.path.insert(0, 'tests')\nimport run_notebook, colorsys\n"
            "asked = run_notebook.watch_for('colorsys')\nprint(asked())\nimport colorsys\nprint(asked())")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT).stdout.split() == ["False", "True"]


def test_long_notebooks_exist_and_are_passed_over_where_one_asks_for_short_ones(tmp_path):
    stems = {path.stem for path in (ROOT / "nbs").rglob("*.ipynb")}
    assert long_ones() and long_ones() <= stems
    notebook(tmp_path, ("1 / 0", ""))
    (tmp_path / "made.ipynb").rename(tmp_path / f"{min(long_ones())}.ipynb")
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path), "--short"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and done.stdout.strip().endswith("(make test-notebooks runs them): 1")


def test_a_hash_is_one_word_and_a_number_is_none():
    assert comparable("judge of 'target' 4a7b0c9d1e2f", True) == comparable("judge of 'target' 0c9d1e2f4a7b", True)
    assert comparable("123456 rows", True) != comparable("654321 rows", True) and comparable("feedbeef faded", True) == ["feedbeef faded"]


def test_exempt_cells_exist():
    for line in (ROOT / "tests" / "varying_outputs.txt").read_text().splitlines():
        if not line.startswith("#"):
            name, cell, why = line.split(maxsplit=2)
            path = next((ROOT / "nbs").rglob(f"{name}.ipynb"), None)
            assert path and f'"id": "{cell}"' in path.read_text() and why, line
