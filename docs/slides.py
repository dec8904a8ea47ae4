"""Slides from notebooks, for a beamer without a network: python docs/slides.py [--out FOLDER] [NOTEBOOK ...]

A heading begins a slide, and what doesn't fit on it goes below it. Cells of the library, imports and hidden cells are
left out. reveal.js is copied from the package sphinx-revealjs, which carries it whole."""

import argparse
import html
import re
import shutil
import warnings
from importlib.util import find_spec
from pathlib import Path

import nbformat
from nbconvert import SlidesExporter
from pages import ROOT, mathml, title_of

LINES = 16  # of text, code or output on a slide, roughly
HIDDEN = re.compile(r"^#\|\s*(export|exporti|default_exp|hide)\b", re.M)
IMPORTS = re.compile(r"(?:(?:import|from|#\|)[^\n]*(?:\([^)]*\))?\s*)+")


def formulas(text: str) -> str:
    "Markdown whose formulas are MathML; what stands between backticks is left alone."
    def one(found: re.Match) -> str:
        if found["code"]:
            return found["code"]
        return mathml(found["block"] or found["inline"], "block" if found["block"] else "inline")

    pattern = r"(?P<code>```.*?```|`[^`\n]*`)|\$\$(?P<block>.+?)\$\$|\$(?P<inline>[^\s$](?:[^$\n]*[^\s$])?)\$(?!\d)"
    return re.sub(pattern, one, text, flags=re.S)


def words(text: str) -> str:
    "Links to other notebooks become their words: the slides lie in a folder of their own."
    return re.sub(r"\[([^]]+)\]\((?!https?:)[^)]*\)", r"\1", text)


def height(cell) -> int:
    "About how many lines of a slide a cell takes; a picture counts as twelve."
    if cell.cell_type == "markdown":
        return sum(1 + len(line) // 95 for line in cell.source.splitlines())
    shown = 0
    for output in cell.outputs:
        data = output.get("data", {})
        picture = any(kind.startswith("image/") for kind in data)
        shown += 12 if picture else len((output.get("text") or data.get("text/plain", "")).splitlines())
    return len(cell.source.splitlines()) + shown


def kept(cell) -> bool:
    "Whether a cell is for the class: no library, no imports, nothing hidden."
    if cell.cell_type != "code":
        return cell.cell_type == "markdown"
    return bool(cell.source.strip()) and not HIDDEN.search(cell.source) and not IMPORTS.fullmatch(cell.source.strip())


def parted(cell) -> list:
    "A cell of prose in pieces, one from each heading to the next; a cell of code whole."
    if cell.cell_type != "markdown" or "```" in cell.source:
        return [cell]
    pieces = [piece for piece in re.split(r"^(?=#{1,3} )", cell.source, flags=re.M) if piece.strip()]
    return [nbformat.from_dict({**cell, "source": piece.strip(), "metadata": {**cell.metadata}}) for piece in pieces]


def slides_of(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    "The notebook's cells for the class, each told whether it begins a slide, goes below one, or stands on it still."
    filled, cells = 0, []
    for cell in (piece for cell in filter(kept, notebook.cells) for piece in parted(cell)):
        heading = cell.cell_type == "markdown" and re.match(r"#{1,3} ", cell.source)
        filled += height(cell)
        place = "slide" if heading or not cells else "subslide" if filled > LINES else "-"
        filled = filled if place == "-" else height(cell)
        if cell.cell_type == "markdown":
            cell.source = formulas(words(cell.source))
        else:
            cell.source = "\n".join(line for line in cell.source.splitlines() if not line.startswith("#|"))
        cell.metadata["slideshow"] = {"slide_type": cell.metadata.get("slideshow", {}).get("slide_type", place)}
        cells.append(cell)
    return nbformat.from_dict({**notebook, "cells": cells})


def deck(path: Path) -> str:
    "One notebook as the HTML of its slides."
    exporter = SlidesExporter(template_file=str(Path(__file__).parent / "slides.html.j2"), reveal_url_prefix="reveal.js", reveal_theme="white",
                              exclude_input_prompt=True, exclude_output_prompt=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Alternative text is missing")
        made, _ = exporter.from_notebook_node(slides_of(nbformat.read(path, 4)),
                                              {"metadata": {"name": title_of(path)}})
    return made


def reveal() -> Path:
    "The folder of reveal.js within the package that carries it; the package itself is not imported."
    found = find_spec("sphinx_revealjs")
    if found is None:
        raise SystemExit("found no package sphinx-revealjs, which carries reveal.js; make slides installs it")
    return Path(found.submodule_search_locations[0]) / "_static" / "revealjs"


def write_slides(notebooks: list[Path], out: Path) -> list[Path]:
    "A file of slides for each notebook, an index, and reveal.js beside them."
    out.mkdir(parents=True, exist_ok=True)
    for part in ("dist", "plugin/notes"):
        shutil.copytree(reveal() / part, out / "reveal.js" / part, dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("*.map", "*.esm.js"))
    shutil.copy(reveal() / "LICENSE", out / "reveal.js")
    written = [out / f"{path.stem}.html" for path in notebooks]
    for path, target in zip(notebooks, written):
        target.write_text(deck(path), encoding="utf-8")
    entries = "".join(f'<li><a href="{t.name}">{html.escape(title_of(p))}</a></li>' for p, t in zip(notebooks, written))
    (out / "index.html").write_text('<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Slides</title>'
                                    '<meta name="viewport" content="width=device-width"><h1>Slides</h1>'
                                    f"<p>Arrow keys turn the pages, S opens the speaker's view, Esc shows all.</p>"
                                    f"<ul>{entries}</ul></html>", encoding="utf-8")
    return written


def lessons() -> list[Path]:
    "The lessons, or the notebook of the method itself where there are none."
    return sorted((ROOT / "nbs" / "lessons").glob("*.ipynb")) or [ROOT / "nbs" / "06_rehearse.ipynb"]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--out", type=Path, default=ROOT / "_slides")
    asked = parser.parse_args()
    for written in write_slides(asked.notebooks or lessons(), asked.out):
        print(written)
