"""The shape of the code: small cells, small functions, no circle of imports, no general module that knows the micro-world,
and no import that would come before Unsloth."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(p for p in (ROOT / "ssr_nb").glob("*.py") if p.name not in ("__init__.py", "_modidx.py"))
STAGES = sorted((ROOT / "nbs").glob("*.ipynb"))


def code_of(cell: dict) -> str:
    return "".join(cell["source"]) if cell["cell_type"] == "code" else ""


def exports(cell: dict) -> bool:
    return bool(re.match(r"#\|\s*export", code_of(cell)))


def size(cell: dict) -> int:
    return sum(bool(line.strip()) for line in code_of(cell).splitlines())


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def only_imports(cell: dict) -> bool:
    return all(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.parse(code_of(cell)).body)


@pytest.mark.parametrize("path", STAGES, ids=lambda p: p.stem)
def test_an_exporting_cell_is_one_idea(path):
    large = {i: size(cell) for i, cell in enumerate(cells(path)) if exports(cell) and size(cell) > 40}
    assert not large, f"{path.name}: cells with more than 40 lines {large}"


def test_exporting_cells_are_mostly_small():
    sizes = [size(cell) for path in STAGES for cell in cells(path) if exports(cell)]
    assert len(sizes) > 200 and median(sizes) <= 18, median(sizes)


@pytest.mark.parametrize("path", STAGES, ids=lambda p: p.stem)
def test_an_exporting_cell_is_followed_by_one_that_shows_it(path):
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    alone = [code_of(a).splitlines()[1] for a, b in zip(code, [*code[1:], None]) if exports(a) and not only_imports(a)
             and (b is None or exports(b)) and "__main__" not in code_of(a)]
    assert not alone, f"{path.name}: {alone}"


def functions(path: Path) -> list[tuple[str, int]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [(node.name, node.end_lineno - node.lineno + 1) for node in ast.walk(tree)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_functions_are_under_40_lines(path):
    assert not [(name, lines) for name, lines in functions(path) if lines > 40]


def imported(path: Path) -> set[str]:
    "The modules of the package that a module imports when it is imported itself."
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.level == 1 and node.module:
            found.add(node.module)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ssr_nb."):
            found.add(node.module.removeprefix("ssr_nb."))
    return found


def test_no_circle_of_imports():
    graph, done = {path.stem: imported(path) for path in MODULES}, []
    while len(done) < len(graph):
        ready = [name for name in graph if name not in done and graph[name] <= set(done)]
        assert ready, f"a circle among {sorted(set(graph) - set(done))}"
        done += ready


def test_no_general_module_knows_the_microworld():
    knows = {path.stem for path in MODULES if "microworld" in path.read_text(encoding="utf-8").lower()}
    assert knows <= {"microworld", "pretraining", "microprobes", "tasks", "demo"}, knows


@pytest.mark.parametrize("path", MODULES, ids=lambda p: p.stem)
def test_a_module_says_at_once_what_it_is_for(path):
    doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert doc and len(doc) > 30, path.name


def test_importing_any_module_leaves_the_first_import_to_unsloth():
    code = ("import importlib, sys\nfor name in sys.argv[1:]:\n    importlib.import_module('ssr_nb.' + name)\n"
            "    early = {'transformers', 'trl', 'peft'} & set(sys.modules)\n    assert not early, (name, early)")
    done = subprocess.run([sys.executable, "-c", code, *[p.stem for p in MODULES]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


def is_picture(output: dict) -> bool:
    data = output.get("data", {})
    return any(kind.startswith("image/") for kind in data) or "<svg" in "".join(data.get("text/html", ""))


def is_drawn(cell: dict) -> bool:
    "Whether a cell has a picture, or draws one when it runs."
    code = code_of(cell)
    return any(map(is_picture, cell.get("outputs", []))) or "ssr_nb.pictures import" in code or cell["cell_type"] == "markdown" and "![" in "".join(cell["source"])


@pytest.mark.parametrize("path", STAGES, ids=lambda p: p.stem)
def test_a_stage_has_a_picture(path):
    assert any(map(is_drawn, cells(path))), f"{path.name}: found no picture; expected one that shows the idea of the stage"


@pytest.mark.parametrize("path", STAGES, ids=lambda p: p.stem)
def test_a_stage_is_prose_rather_than_a_wall_of_code(path):
    "Three words to a line of code: the words that explain it, beside docstrings and comments."
    words = sum(len("".join(cell["source"]).split()) for cell in cells(path) if cell["cell_type"] == "markdown")
    lines = sum(map(size, cells(path)))
    assert words >= 3 * lines, f"{path.name}: {words} words to {lines} lines of code"


@pytest.mark.parametrize("path", STAGES, ids=lambda p: p.stem)
def test_what_a_cell_prints_is_read(path):
    "After an output stands a sentence that says what to see in it; a page may have a few that speak for themselves."
    found = cells(path)
    unread = [code_of(cell).splitlines()[0] for cell, after in zip(found, [*found[1:], None])
              if cell.get("outputs") and not exports(cell) and not code_of(cell).startswith(("%%writefile", "print(help_of", "said = help_of"))
              and (after is None or after["cell_type"] == "code" or re.match(r"#+ ", "".join(after["source"])))]
    assert len(unread) <= 2, f"{path.name}: nothing is said about the outputs of {unread}"


@pytest.mark.parametrize("path", STAGES, ids=lambda p: p.stem)
def test_what_no_test_runs_keeps_what_it_showed(path):
    "A cell that takes minutes or needs a model isn't run by `make test`, so nobody would see that its output is gone."
    flags = lambda cell: set(re.findall(r"^#\|\s*(slow|hub|gpu)", code_of(cell), re.MULTILINE))
    shows = lambda cell: re.match(r"(?:print|HTML|plt\.show|figure)\b|[\[{(f]", code_of(cell).splitlines()[-1])
    gone = [code_of(cell)[:80] for cell in cells(path) if cell["cell_type"] == "code" and flags(cell) and "gpu" not in flags(cell)
            and shows(cell) and not cell["outputs"]]
    assert not gone, f"{path.name}: found no output of {gone}; run them and keep what they show"
