"""The site, built from the notebooks and opened from its folder in a real browser: nothing dead, nothing fetched,
found by search, read on a phone and by keyboard."""

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent
for needed in ("mkdocs", "material", "mkdocstrings", "latex2mathml"):
    pytest.importorskip(needed, reason="the site is built with the docs extra: pip install -c constraints.txt '.[docs]'")
MODULES = [p.stem for p in sorted((ROOT / "ssr_nb").glob("*.py")) if not p.name.startswith("_")]
pytestmark = pytest.mark.long  # the whole site is built, and opened in a browser


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    "The whole site, built once, without a warning."
    folder = tmp_path_factory.mktemp("site") / "_site"
    done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
                          cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])})
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


class Page(HTMLParser):
    "What matters of a page: ids, links, headings, everything that a browser would fetch, pictures without a text."

    def __init__(self, text: str):
        super().__init__()
        self.ids, self.links, self.headings, self.fetched, self.mute = set(), [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.ids |= {found.get("id"), found.get("name")}
        if tag == "a" and found.get("href"):
            self.links.append(found["href"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.fetched += [found["src"]] if found.get("src") else []
        self.fetched += [found["href"]] if tag == "link" and found.get("rel") in ("stylesheet", "icon", "preload") else []
        if tag == "img" and not found.get("alt"):
            self.mute.append(found.get("src"))


@pytest.fixture(scope="session")
def pages(site) -> dict[Path, Page]:
    return {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}


def own_pages(pages, site):
    "The pages that the theme lays out; a run's report is one file of its own, tested with the report."
    return {path: page for path, page in pages.items()
            if path.name != "404.html" and (path.parent.name != "reports" or path.name == "index.html")}


# --- without a browser


def test_every_notebook_module_and_committed_run_has_its_page(site):
    notebooks = [p.relative_to(ROOT / "nbs").with_suffix(".html") for p in (ROOT / "nbs").rglob("*.ipynb")
                 if p.parent.name in ("nbs", "lessons", "tutorials")]
    runs = ["reports/" + "_".join(p.parent.relative_to(ROOT / "benchmarks").parts) + ".html"
            for p in (ROOT / "benchmarks").rglob("summary.json") if "arms" in json.loads(p.read_text())]
    wanted = [*notebooks, *[f"reference/{m}.html" for m in MODULES], *runs, "glossary.html", "reports/index.html"]
    assert runs and [str(w) for w in wanted if not (site / w).is_file()] == []


@pytest.mark.parametrize("name", MODULES)
def test_reference_has_every_public_name(pages, site, name):
    module = importlib.import_module(f"ssr_nb.{name}")
    ids = pages[site / "reference" / f"{name}.html"].ids
    assert module.__all__ and [n for n in module.__all__ if f"ssr_nb.{name}.{n}" not in ids] == []


def test_no_dead_link_and_no_missing_file(pages, site):
    dead = []
    for path, page in own_pages(pages, site).items():
        for link in page.links + page.fetched:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                dead.append((path.name, link))
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
                dead.append((path.name, link))
    assert dead == []


def test_nothing_is_fetched_from_elsewhere(pages):
    assert [(path.name, f) for path, page in pages.items() for f in page.fetched
            if urlsplit(f).scheme not in ("", "data") or urlsplit(f).netloc] == []


def test_one_title_and_headings_in_order(pages, site):
    for path, page in own_pages(pages, site).items():
        assert page.headings.count(1) == 1 and page.headings[0] == 1, (path.name, page.headings)
        jumps = [(a, b) for a, b in zip(page.headings, page.headings[1:]) if b > a + 1]
        assert jumps == [], (path.name, jumps)


def test_pictures_have_a_text(pages, site):
    assert [(path.name, page.mute) for path, page in own_pages(pages, site).items() if page.mute] == []


def test_kept_outputs_are_shown_and_directives_are_not(site):
    text = (site / "06_rehearse.html").read_text(encoding="utf-8")
    assert 'class="output"' in text and "#| export" not in text and "<math" in text and "arithmatex" not in text


def test_formulas_are_drawn(pages, site):
    "None is left as TeX between dollars or brackets, but in what a model has said, which a table shows as it was said."
    for path in own_pages(pages, site):
        text = re.sub(r"<td [^>]*vertical-align:top.*?</td>", "", path.read_text(encoding="utf-8"), flags=re.S)
        text = re.sub(r"<(pre|code|script|title|annotation)\b.*?</\1>", "", text, flags=re.S)
        assert not re.search(r"\\(frac|text|mathrm|sum|cdot|begin)\b", text), path.name


# --- in a browser


@pytest.fixture(scope="module")
def chromium():
    path = shutil.which("chromium")
    if not path:
        pytest.skip("chromium is not installed (on Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


def opened(chromium, path: Path, width: int = 1200, height: int = 900):
    "A page from its folder, with what it complained of and what it asked a network for."
    context = chromium.new_context(viewport={"width": width, "height": height})
    tab = context.new_page()
    tab.faults = []
    tab.on("console", lambda message: tab.faults.append(message.text) if message.type in ("error", "warning") else None)
    tab.on("pageerror", lambda error: tab.faults.append(str(error)))
    tab.on("request", lambda asked: tab.faults.append(asked.url) if urlsplit(asked.url).scheme.startswith("http") else None)
    tab.goto(path.as_uri())
    return tab


def some_pages(site: Path) -> list[Path]:
    "One page of each kind, and those with the widest outputs."
    names = ["index.html", "06_rehearse.html", "08b_statistics.html", "12_why.html", "10_report.html", "glossary.html",
             "reference/index.html", "reference/cli.html", "reference/microworld.html", "reports/index.html",
             "tutorials/01_quickstart.html"]
    return [site / n for n in names] + sorted((site / "lessons").glob("*.html"))


def test_no_fault_no_request_and_no_sideways_scroll_on_a_phone(chromium, site):
    tab = opened(chromium, site / "index.html", 390, 844)
    for path in some_pages(site):
        tab.goto(path.as_uri())
        widths = tab.evaluate("[document.scrollingElement.scrollWidth, innerWidth]")
        assert tab.faults == [] and widths[0] <= widths[1], (path.name, tab.faults, widths)
    tab.context.close()


@pytest.mark.parametrize("width", [390, 1200])
def test_search_finds_and_leads_there(chromium, site, width):
    tab = opened(chromium, site / "index.html", width)
    if width < 1000:
        tab.locator("label[for=__search]").first.click()
    else:
        tab.keyboard.press("/")
    tab.keyboard.type("rehearsal")
    result = tab.locator(".md-search-result__link")
    result.first.wait_for(timeout=20000)
    assert result.count() >= 3 and tab.faults == []
    where = result.first.get_attribute("href")
    tab.keyboard.press("Enter")
    tab.wait_for_url(lambda url: Path(urlsplit(url).path).name == Path(urlsplit(where).path).name)
    assert "rehears" in tab.locator("article").inner_text().lower()
    tab.context.close()


def test_keyboard_skips_to_the_text_and_reaches_the_rest(chromium, site):
    tab = opened(chromium, site / "06_rehearse.html")
    tab.keyboard.press("Tab")
    skip = tab.evaluate("[document.activeElement.className, document.activeElement.getAttribute('href')]")
    assert "md-skip" in skip[0]
    tab.wait_for_function("getComputedStyle(document.activeElement).opacity == 1")  # it fades in
    tab.keyboard.press("Enter")
    assert tab.evaluate("location.hash") == skip[1] and tab.locator(f"[id='{unquote(skip[1][1:])}']").count()
    seen = []
    for _ in range(30):
        tab.keyboard.press("Tab")
        seen.append(tab.evaluate("""(() => {const e = document.activeElement, r = e.getBoundingClientRect();
          const s = getComputedStyle(e);
          return [e.tagName, e.closest('article') != null, r.width > 0 && s.visibility == 'visible', s.outlineStyle]})()"""))
    assert all(shown for _, _, shown, _ in seen) and any(inside for _, inside, _, _ in seen), seen
    tab.context.close()


def test_glossary_has_what_the_notebooks_use_in_order_and_links_to_a_stage():
    text = (ROOT / "nbs" / "glossary.md").read_text(encoding="utf-8")
    entries = dict(re.findall(r"^## (.+)\n\n(.+)", text, re.M))
    names = [name.lower() for name in entries]
    assert names == sorted(names, key=lambda name: name.replace("-", " "))
    assert [name for name, said in entries.items() if not re.search(r"\]\(\d\d\w*\.ipynb\)", said)] == []
    asked = ("nats, kl divergence, perplexity, logits, lora, rank, adapter, chat template, trl, peft, holm, paired interval, bootstrap, "
             "wilson, tango, on-policy, rehearsal, replay, own answer, gold, judge, verdict, forgetting, validation, greedy decoding, "
             "temperature, checkpoint, gguf, bfloat16, quantisation, endpoint, seed, shifted labels, epoch, learning rate, warm-up")
    assert [word for word in asked.split(", ") if not any(name.startswith(word) for name in names)] == []
