"""Runs notebooks as nbdev_test does, and compares what they print with the outputs that they keep.

    python tests/run_notebook.py nbs/06_rehearse.ipynb [--flags slow]
    python tests/run_notebook.py nbs --jobs 2 [--short]

With `--short` those named in tests/long_notebooks.txt are passed over, and their number is printed.

Each runs in a process of its own: what one adds to a table, another must not find. Where there are several, that process
is forked from one that has PyTorch and the other large libraries loaded, which takes longer than most notebooks do; what
is ours is never loaded before.

A reader sees the kept outputs, so a list, a message or a table that today's code would print differently is a fault.
Where a model computes, another processor rounds otherwise: then numbers are left out of the comparison and words stay in
it. Cells whose words differ from run to run are in tests/varying_outputs.txt, by notebook and cell. Pictures are not
compared, nor are cells that print times or memory."""

import argparse
import builtins
import importlib
import json
import os
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from difflib import unified_diff
from pathlib import Path

ROOT = Path(__file__).parent.parent
SKIPPED = {"slow", "gpu", "hub"}
LARGE = ("torch", "transformers", "transformers.models.auto", "transformers.generation.utils", "peft", "trl", "datasets", "pandas", "scipy.stats",
         "matplotlib.pyplot", "execnb.shell")  # loaded once for all
MEASURED = re.compile(r"perf_counter|monotonic|peak_memory|tokens/s|this_machine|installed_version|getpid|\bdescribe\(")
NUMBER = re.compile(r"[-+±]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?%?")


def varying(notebook: str) -> set[str]:
    "The cells of a notebook whose words differ from run to run."
    lines = (ROOT / "tests" / "varying_outputs.txt").read_text(encoding="utf-8").splitlines()
    return {line.split()[1] for line in lines if line.startswith(f"{notebook} ")}


def long_ones() -> set[str]:
    "The notebooks that compute for long."
    lines = (ROOT / "tests" / "long_notebooks.txt").read_text(encoding="utf-8").splitlines()
    return {line.strip() for line in lines if line.strip() and not line.startswith("#")}


def text_of(outputs: list[dict]) -> str:
    "What a cell printed and gave back, as text; standard error and pictures are not part of it."
    parts, in_stream = [], False
    for output in outputs:
        streamed = output["output_type"] == "stream"
        if streamed and output.get("name") == "stderr":
            continue
        if streamed:
            text = "".join(output["text"])  # a kernel may send one text in pieces
            parts[-1:] = [parts[-1] + text] if in_stream else [*parts[-1:], text]
        elif output["output_type"] in ("execute_result", "display_data"):
            data = output["data"]
            if not any(kind.startswith("image/") for kind in data):
                parts.append("".join(data.get("text/markdown") or data.get("text/html") or data.get("text/plain", "")))
        in_stream = streamed
    return "\n".join(parts)


def comparable(text: str, numbers: bool) -> list[str]:
    """Lines without colours, addresses and the white space that only aligns, and with one word for every hash, which goes
    with the package's code; without numbers, too, where a model computed."""
    text = re.sub(r"\x1b\[[0-9;]*m|(?: at )?0x[0-9a-f]+", "", text)
    text = re.sub(r"\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{12,64}\b", "(hash)", text)
    text = text if numbers else NUMBER.sub("#", text)
    return [line for line in (re.sub(r"[ \t]+", " ", re.sub(r"[─━]+", "-", line)).strip() for line in text.splitlines()) if line]


def differences(kept: dict[str, dict], run: list, exempt: set[str], numbers: bool) -> list[str]:
    "For each cell whose fresh output isn't the kept one, the lines that differ; none for a notebook that keeps no outputs."
    found = []
    if not any(cell.get("outputs") for cell in kept.values()):
        return found
    for cell in run:
        before = kept.get(cell.get("id"))
        if before is None or cell["cell_type"] != "code" or cell["id"] in exempt or MEASURED.search("".join(before["source"])):
            continue
        old, new = (comparable(text_of(outputs), numbers) for outputs in (before["outputs"], cell.get("outputs", [])))
        if old != new and (numbers or " ".join(old) != " ".join(new)):  # a number of another length breaks a line elsewhere
            found.append("\n".join([f"cell {cell['id']}", *unified_diff(old, new, "kept", "fresh", n=0, lineterm="")]))
    return found


def watch_for(library: str) -> Callable[[], bool]:
    "From now on, whether ours or a notebook has imported the library, be it loaded already or not."
    loaded, asked, plain = set(sys.modules), [], builtins.__import__

    def watched(name, globals=None, *rest, **more):
        if name.partition(".")[0] == library and (globals or {}).get("__name__") not in loaded - {"__main__"}:
            asked.append(name)
        return plain(name, globals, *rest, **more)

    builtins.__import__ = watched
    return lambda: bool(asked) or library in sys.modules and library not in loaded


def run(path: Path, forced: set[str]) -> list[str]:
    "Execute a notebook; the cells whose outputs differ. What a cell raises goes through."
    computes = watch_for("torch")
    from execnb.nbio import read_nb
    from execnb.shell import CaptureShell

    kept = {cell["id"]: cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]}
    ran = []

    def passed_over(cell) -> bool:
        flags = set(re.findall(r"^#\|\s*([\w-]+)", cell["source"], re.M))
        skip = cell["cell_type"] != "code" or re.search(r"^#\|\s*eval:\s*false", cell["source"], re.M) or flags & (SKIPPED - forced)
        ran.extend([] if skip else [cell])
        return bool(skip)

    os.environ["IN_TEST"] = "1"
    sys.path[0] = str(ROOT)  # instead of this script's folder
    notebook, here = read_nb(path), Path.cwd()
    for cell in notebook.cells:  # a cell that says nothing any more would otherwise keep what it said
        if cell["cell_type"] == "code":
            cell["outputs"] = []
    shell = CaptureShell(path)
    try:
        os.chdir(path.parent)
        shell.run_all(notebook, exc_stop=True, preproc=passed_over)
    except BaseException:
        sys.stderr.write(shell.prettytb(fname=path) + "\n")
        raise SystemExit(1) from None
    finally:
        os.chdir(here)
    return differences(kept, ran, varying(path.stem), numbers=not computes())


def report(path: Path, forced: set[str]) -> int:
    "Run a notebook and print what became of it; the status to exit with."
    print(f"Starting {path}", flush=True)
    faults = run(path.resolve(), forced)
    print(f"- Completed {path}", flush=True)
    if faults:
        print(f"{path}: found other outputs than the kept ones; expected the same (run the notebook and save it, or name "
              "a cell that varies in tests/varying_outputs.txt)\n" + "\n".join(faults), file=sys.stderr)
    return int(bool(faults))


def forked(path: Path, forced: set[str], printed: Path) -> int:
    "Run a notebook in a fork of this process, which writes what it prints to a file; the fork's process id."
    if child := os.fork():
        return child
    status = 1
    try:
        out = os.open(printed, os.O_WRONLY | os.O_CREAT)
        os.dup2(out, 1)
        os.dup2(out, 2)
        status = report(path, forced)
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def run_all(paths: list[Path], forced: set[str], jobs: int) -> list[Path]:
    "Run notebooks, so many side by side, the largest first; those that failed."
    if not paths:
        return []
    if "hub" not in forced:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # read when the libraries are loaded
    for library in LARGE:
        importlib.import_module(library)
    waiting, running, failed = sorted(paths, key=lambda path: -path.stat().st_size), {}, []
    with tempfile.TemporaryDirectory() as folder:
        while waiting or running:
            while waiting and len(running) < jobs:
                path, printed = waiting.pop(0), Path(folder, f"{len(waiting)}.txt")
                running[forked(path, forced, printed)] = path, printed, time.monotonic()
            child, status, used = os.wait4(-1, 0)
            path, printed, began = running.pop(child)
            failed += [path] if status else []
            print(f"{printed.read_text(encoding='utf-8', errors='replace').rstrip()} "
                  f"({time.monotonic() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} of computing)", flush=True)
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path, nargs="+", help="notebooks, or folders of them")
    parser.add_argument("--flags", nargs="*", default=[])
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="without those that compute for long")
    asked = parser.parse_args()
    notebooks = [found for given in asked.notebook for found in (
        [given] if given.is_file() else sorted(p for p in given.rglob("*.ipynb") if not any(s.startswith(".") for s in p.parts)))]
    if asked.short:
        short = [path for path in notebooks if path.stem not in long_ones()]
        print(f"notebooks that compute for long, passed over (make test-notebooks runs them): {len(notebooks) - len(short)}")
        notebooks = short
    if len(notebooks) == 1:
        sys.exit(report(notebooks[0], set(asked.flags)))
    if failed := run_all(notebooks, set(asked.flags), asked.jobs):
        sys.exit("failed: " + ", ".join(map(str, failed)))
