"""Runs a notebook as nbdev_test does, and compares what it prints with the outputs that it keeps.

    python tests/run_notebook.py nbs/06_rehearse.ipynb [--flags slow]

A reader sees the kept outputs, so a list, a message or a table that today's code would print differently is a fault.
Where a model computes, another processor rounds otherwise: then numbers are left out of the comparison and words stay in
it. Cells whose words differ from run to run are in tests/varying_outputs.txt, by notebook and cell. Pictures are not
compared, nor are cells that print times or memory."""

import argparse
import json
import os
import re
import sys
from difflib import unified_diff
from pathlib import Path

ROOT = Path(__file__).parent.parent
SKIPPED = {"slow", "gpu", "hub"}
MEASURED = re.compile(r"perf_counter|monotonic|peak_memory|tokens/s|this_machine|installed_version|getpid|\bdescribe\(")
NUMBER = re.compile(r"[-+±]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?%?")


def varying(notebook: str) -> set[str]:
    "The cells of a notebook whose words differ from run to run."
    lines = (ROOT / "tests" / "varying_outputs.txt").read_text(encoding="utf-8").splitlines()
    return {line.split()[1] for line in lines if line.startswith(f"{notebook} ")}


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
    "Lines without colours, addresses and the white space that only aligns; without numbers, too, where a model computed."
    text = re.sub(r"\x1b\[[0-9;]*m|(?: at )?0x[0-9a-f]+", "", text)
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
        if old != new:
            found.append("\n".join([f"cell {cell['id']}", *unified_diff(old, new, "kept", "fresh", n=0, lineterm="")]))
    return found


def run(path: Path, forced: set[str]) -> list[str]:
    "Execute a notebook; the cells whose outputs differ. What a cell raises goes through."
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
    return differences(kept, ran, varying(path.stem), numbers="torch" not in sys.modules)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--flags", nargs="*", default=[])
    asked = parser.parse_args()
    print(f"Starting {asked.notebook}", flush=True)
    faults = run(asked.notebook.resolve(), set(asked.flags))
    print(f"- Completed {asked.notebook}")
    if faults:
        sys.exit(f"{asked.notebook}: found other outputs than the kept ones; expected the same (run the notebook and save "
                 "it, or name a cell that varies in tests/varying_outputs.txt)\n" + "\n".join(faults))
