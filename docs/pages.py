"""What mkdocs asks while it builds the site: notebooks become pages with the outputs that they keep, modules become
reference pages, committed runs become reports, and formulas become MathML. Nothing is executed."""

import base64
import html
import json
import re
import shutil
import tempfile
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
REPOSITORY = "https://github.com/ssr-nb/ssr_nb"
SECTIONS = {  # the stages, by the first digits of their names
    "Records and settings": ("00",), "Data": ("01", "02"), "Models and answers": ("03", "04"), "Judges": ("05",),
    "Training": ("06", "07"), "Measuring": ("08",), "Comparing": ("09", "10", "11"), "Why it works": ("12", "13"),
}
ANSI = re.compile(r"\x1b\[[0-9;]*m")


# --- a notebook as a page


def read_cells(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source_of(cell: dict) -> str:
    return "".join(cell["source"])


def title_of(path: Path) -> str:
    "The first heading of a notebook or of a page of Markdown."
    text = path.read_text(encoding="utf-8") if path.suffix == ".md" else source_of(read_cells(path)[0])
    return re.search(r"^# (.+)", text, re.M)[1].strip().replace("`", "")


def fence(text: str, language: str) -> str:
    "A block of code, its fence longer than any within."
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    return f"{'`' * (longest + 1)}{language}\n{text.rstrip()}\n{'`' * (longest + 1)}\n"


def prose(text: str, notebook: Path) -> str:
    """Markdown as mkdocs reads it: a blank line before a list, links to pages instead of notebooks.
    What links to the repository's other files goes to where they are published."""
    def link(found: re.Match) -> str:
        where = found[1]
        if re.match(r"[a-z]+:|#", where):
            return found[0]
        inside, _, anchor = where.partition("#")
        target = (notebook.parent / inside).resolve()
        if notebook.stem == "index" and not target.exists():  # its links are those of the README, one folder up
            target = (ROOT / inside).resolve()
        if target == ROOT / "README.md":
            target = ROOT / "nbs" / "index.ipynb"
        if not target.is_relative_to(ROOT / "nbs"):
            return f"]({REPOSITORY}/blob/main/{target.relative_to(ROOT)})"
        up = "../" * len(notebook.parent.relative_to(ROOT / "nbs").parts)
        page = str(target.relative_to(ROOT / "nbs")).replace(".ipynb", ".md")
        return f"]({up}{page}{'#' + anchor.lower() if anchor else ''})"

    text = re.sub(r"!\[([^]]*)\]\(https?:[^)]+\)", r"\1", text)  # a badge elsewhere is not fetched; its words stay
    text = re.sub(r"\]\(([^)\s]+)\)", link, text)
    return re.sub(r"^((?!\s*(?:[-*]|\d+\.) ).+\n)(?=(?:[-*]|\d+\.) )", r"\1\n", text, flags=re.M)


def picture(png: str, name: str, heading: str, images: dict[str, bytes]) -> str:
    images[name] = base64.b64decode(png)
    return f'<img src="{Path(name).name}" alt="Picture under the heading {html.escape(heading)}" loading="lazy">\n'


def output(out: dict, name: str, heading: str, notebook: Path, images: dict[str, bytes]) -> str:
    "One kept output, in the richest form that needs no JavaScript."
    data = {kind: "".join(value) for kind, value in out.get("data", {}).items() if not isinstance(value, dict)}
    if "image/png" in data:
        return picture(data["image/png"], name, heading, images)
    if "text/html" in data:
        return f"<div>{data['text/html']}</div>\n".replace("\n\n", "\n")
    if "text/markdown" in data:
        return re.sub(r"^#+ (.+)", r"**\1**", prose(data["text/markdown"], notebook), flags=re.M) + "\n"
    text = "".join(out["text"]) if out["output_type"] == "stream" else data.get("text/plain", "")
    return fence(ANSI.sub("", text), "text") if text.strip() else ""


def joined(outputs: list[dict]) -> list[dict]:
    "The outputs of a cell; what a kernel sent of one stream in pieces is one piece again."
    whole: list[dict] = []
    for out in outputs:
        if out["output_type"] == "stream" and whole and whole[-1].get("name") == out["name"]:
            whole[-1] = whole[-1] | {"text": ["".join(whole[-1]["text"]) + "".join(out["text"])]}
        else:
            whole.append(out)
    return whole


def code(cell: dict) -> str:
    "A cell's code without the directives of nbdev; imports are folded away."
    lines = [line for line in source_of(cell).splitlines() if not line.startswith("#|")]
    text = "\n".join(lines).strip("\n")
    if not text:
        return ""
    block = fence(text, "python")
    if all(re.match(r"(import|from|\s|\)|$)", line) for line in lines):
        return f'<details class="imports" markdown="1">\n<summary>Imports</summary>\n\n{block}\n</details>\n'
    exported = "#| export" in source_of(cell)
    return f'<div class="{"library" if exported else "shown"}" markdown="1">\n\n{block}\n</div>\n'


def about(notebook: Path, cells: list[dict]) -> str:
    "Where a page comes from, and the module that it exports."
    path = notebook.relative_to(ROOT)
    module = next((m[1] for c in cells if (m := re.match(r"#\| default_exp (\w+)", source_of(c)))), None)
    reference = f" Its functions are in the [reference](reference/{module}.md) of `ssr_nb.{module}`." if module else ""
    return f'<p class="about" markdown="span">This page is the notebook `{path}`, with the outputs it keeps.{reference}</p>\n'


def page_of(notebook: Path) -> tuple[str, dict[str, bytes]]:
    "The Markdown of a notebook, and its pictures by the path that they have in the site."
    cells, parts, images, heading = read_cells(notebook), [], {}, ""
    stem = notebook.relative_to(ROOT / "nbs").with_suffix("").as_posix()
    for number, cell in enumerate(cells):
        if cell["cell_type"] == "markdown":
            parts.append(prose(source_of(cell), notebook))
            heading = (re.findall(r"^#+ (.+)", source_of(cell), re.M) or [heading])[-1].replace("`", "")
        elif cell["cell_type"] == "code":
            shown = [output(out, f"{stem}-{number}-{i}.png", heading, notebook, images)
                     for i, out in enumerate(joined(cell["outputs"]))]
            if "hide-input" not in cell["metadata"].get("tags", []):
                parts.append(code(cell))
            if any(shown):
                parts.append('<div class="output" markdown="1">\n\n' + "\n".join(shown) + "\n</div>")
    if notebook.stem != "index":
        parts.insert(1, about(notebook, cells))
    return "\n\n".join(filter(None, parts)) + "\n", images


# --- reference and reports


def modules() -> dict[str, Path]:
    "Every module of the package that a notebook exports, with its notebook."
    found = {}
    for path in sorted((ROOT / "ssr_nb").glob("*.py")):
        made_from = re.search(r"File to edit: \.\./(nbs/\S+\.ipynb)", path.read_text(encoding="utf-8"))
        if made_from and not path.name.startswith("_"):
            found[path.stem] = ROOT / made_from[1]
    return dict(sorted(found.items(), key=lambda item: item[1]))


def reference_of(module: str, notebook: Path) -> str:
    return (f"# ssr_nb.{module}\n\nExplained and exported by [{notebook.stem}](../{notebook.stem}.md).\n\n"
            f"::: ssr_nb.{module}\n")


def reference_index(found: dict[str, Path]) -> str:
    rows = [f"| [`ssr_nb.{m}`]({m}.md) | [{n.stem}](../{n.stem}.md) | {title_of(n)} |" for m, n in found.items()]
    return ("# Reference\n\nEvery public name of the package, with its signature and what its docstring says, "
            "module by module in the order of the stages.\n\n| module | notebook | about |\n| --- | --- | --- |\n"
            + "\n".join(rows) + "\n")


def reports() -> dict[str, tuple[str, Path, str]]:
    "The committed runs: name -> (what the run found, its folder, its report as one HTML file), from the summary that is kept."
    from ssr_nb.html_report import html_report, sentence
    from ssr_nb.report import read_summary

    found = {}
    for path in sorted((ROOT / "benchmarks").rglob("summary.json")):
        if "arms" not in json.loads(path.read_text(encoding="utf-8")):
            continue  # a summary of something else than a run
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(path, folder)
            run, report = path.parent, html_report(folder)[0].read_text(encoding="utf-8")
            found["_".join(run.relative_to(ROOT / "benchmarks").parts)] = sentence(read_summary(folder)), run, report
    return found


def reports_index(found: dict[str, tuple[str, Path, str]]) -> str:
    parts = ["# Reports", "Runs whose summaries are in the repository, each as the page that `ssr compare` writes at its end. "
             "The answers of the models are not kept there, so these pages show the tables and the pictures only."]
    for name, (said, run, _) in found.items():
        asked = next(iter(sorted(run.glob("*.yaml"))), run / "summary.json").relative_to(ROOT)
        parts.append(f"## {name.replace('_', ' ').capitalize()}\n\n{html.escape(said)}\n\n"
                     f"[Open the report]({name}.html), made from `{asked.as_posix()}`.")
    return "\n\n".join(parts) + "\n"


# --- what mkdocs calls


def entry(path: Path) -> dict[str, str]:
    "A page in the navigation, under the number of its notebook; a lesson's title has its own."
    number = re.match(r"\d\d[a-z]?", path.stem)
    title = f"{number[0]} · {title_of(path)}" if number else title_of(path)
    return {title: path.relative_to(ROOT / "nbs").with_suffix(".md").as_posix()}


def navigation(sources: list[Path]) -> list:
    top = [p for p in sources if p.parent == ROOT / "nbs"]
    below = {folder: [entry(p) for p in sources if p.parent.name == folder] for folder in ("lessons", "tutorials")}
    stages = [{name: [entry(p) for p in top if p.stem[:2] in numbers]} for name, numbers in SECTIONS.items()]
    nav = [{"Start": "index.md"}, {"Lessons": below["lessons"]}, {"Stages": stages}, {"Tutorials": below["tutorials"]},
           {"Reports": "reports/index.md"},
           {"Reference": ["reference/index.md", *[f"reference/{m}.md" for m in modules()]]}, {"Glossary": "glossary.md"}]
    return [part for part in nav if next(iter(part.values()))]


def on_files(files: Files, config) -> Files:
    "Every page of the site, from what is in the repository."
    sources = sorted(p for p in (ROOT / "nbs").rglob("*") if p.suffix in (".ipynb", ".md")
                     and p.parent.name in ("nbs", "lessons", "tutorials") and ".ipynb_checkpoints" not in p.parts)
    made: dict[str, str | bytes] = {}
    for source in sources:
        uri = source.relative_to(ROOT / "nbs").with_suffix(".md").as_posix()
        if source.suffix == ".ipynb":
            made[uri], images = page_of(source)
            made |= images
        else:
            made[uri] = prose(source.read_text(encoding="utf-8"), source)
    found, runs = modules(), reports()
    made["reference/index.md"] = reference_index(found)
    made |= {f"reference/{m}.md": reference_of(m, notebook) for m, notebook in found.items()}
    made["reports/index.md"] = reports_index(runs)
    made |= {f"reports/{name}.html": page for name, (*_, page) in runs.items()}
    made |= {f"assets/{name}": (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("site.css", "iframe-worker.js")}
    config.nav = navigation(sources)
    themes = [file for file in files if file.src_dir != config.docs_dir]
    return Files(themes + [File.generated(config, uri, content=content) for uri, content in made.items()])


def mathml(tex: str, display: str = "inline") -> str:
    "A formula as MathML. The sign of a prime stands high by itself, so it is not raised once more."
    prime = r"<msup>(<mi>\w</mi>)<(?:mi|mo)>&#x02032;</(?:mi|mo)></msup>"
    return re.sub(prime, r'\1<mo lspace="0" rspace="0">&#x02032;</mo>', convert(tex.strip(), display=display))


def on_page_content(content: str, page, config, files) -> str:
    "Formulas as MathML, which browsers draw by themselves."
    return re.sub(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>',
                  lambda found: mathml(html.unescape(found[2]), "block" if found[1] == "div" else "inline"),
                  content, flags=re.S)
