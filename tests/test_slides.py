"""Slides from a notebook, opened from their folder in a real browser: whole, without a network, and without the library's cells."""

import importlib
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
for needed in ("sphinx_revealjs", "latex2mathml", "mkdocs"):
    if find_spec(needed) is None:
        pytest.skip(f"slides need {needed}: make slides installs it", allow_module_level=True)


@pytest.fixture(scope="module")
def maker():
    sys.path.insert(0, str(ROOT / "docs"))
    yield importlib.import_module("slides")
    sys.path.remove(str(ROOT / "docs"))


@pytest.fixture(scope="module")
def made(maker, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("slides")
    maker.write_slides(maker.lessons()[:2], out)
    return out


def cell(kind: str, source: str, *outputs: str):
    new = nbformat.v4.new_markdown_cell if kind == "md" else nbformat.v4.new_code_cell
    made = new(source)
    if outputs:
        made["outputs"] = [nbformat.v4.new_output("stream", text=text) for text in outputs]
    return made


def placed(maker, *cells) -> list[tuple[str, str]]:
    found = maker.slides_of(nbformat.v4.new_notebook(cells=list(cells))).cells
    return [(c.source.split("\n")[0], c.metadata["slideshow"]["slide_type"]) for c in found]


def test_a_heading_begins_a_slide_and_the_library_is_left_out(maker):
    assert placed(maker, cell("md", "# One"), cell("py", "#| default_exp x"), cell("py", "#| export\ndef f(): ..."),
                  cell("py", "import os\nfrom a import (b,\n  c)"), cell("py", "#| hide\nf()"), cell("py", "#| slow\nf()"),
                  cell("md", "## Two"), cell("md", "more")) == [("# One", "slide"), ("f()", "-"), ("## Two", "slide"), ("more", "-")]


def test_a_heading_within_a_cell_begins_a_slide_too(maker):
    assert placed(maker, cell("md", "# One\n\ntext"), cell("md", "an end\n\n## Two\n\n## Three")) == [
        ("# One", "slide"), ("an end", "-"), ("## Two", "slide"), ("## Three", "slide")]
    assert placed(maker, cell("md", "```\n# a comment\n```"))[0] == ("```", "slide")


def test_what_does_not_fit_goes_below(maker):
    long = "\n".join(["line"] * (maker.LINES - 2))
    assert [place for _, place in placed(maker, cell("md", "# One"), cell("py", "f()", long), cell("py", "g()", "out"))] == [
        "slide", "-", "subslide"]


def test_a_place_given_by_hand_stays(maker):
    by_hand = cell("md", "# One")
    by_hand.metadata["slideshow"] = {"slide_type": "fragment"}
    assert placed(maker, cell("md", "# Zero"), by_hand)[1] == ("# One", "fragment")


@pytest.mark.parametrize("text, drawn", [("with $x_1$ and $y$", 2), ("`$x$` and ```\n$y$\n```", 0), ("it costs $5 or $6", 0),
                                         ("$$\\frac{1}{2}$$", 1)])
def test_formulas_are_drawn_and_code_and_prices_are_not(maker, text, drawn):
    assert maker.formulas(text).count("<math") == drawn


def test_links_into_the_book_become_words_and_others_stay(maker):
    assert maker.words("see [07](07_losses.ipynb) and [a paper](https://arxiv.org/abs/1)") == "see 07 and [a paper](https://arxiv.org/abs/1)"


def test_slides_open_from_their_folder(made):
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed (on Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1280, "height": 800})
        faults = []
        tab.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: faults.append(str(error)))
        tab.on("request", lambda asked: faults.append(asked.url) if urlsplit(asked.url).scheme.startswith("http") else None)
        for path in sorted(made.glob("*.html")):
            tab.goto(path.as_uri())
            if path.stem == "index":
                assert tab.locator("a").count() == len(list(made.glob("*.html"))) - 1
                continue
            tab.wait_for_function("Reveal.isReady()")
            count = tab.evaluate("Reveal.getTotalSlides()")
            for _ in range(count - 1):
                tab.keyboard.press("Space")
            assert count > 5 and tab.evaluate("Reveal.isLastSlide()"), path.name
            shown = tab.content()
            assert "#| export" not in shown and "default_exp" not in shown
            assert tab.evaluate("Reveal.getSlides().every(s => s.scrollWidth <= s.clientWidth + 1)"), path.name
        browser.close()
    assert faults == []
