"""The page of a run: what a model says shows as text and never runs, and the controls do what they say,
in a real browser."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2.utils import htmlsafe_json_dumps

from ssr_nb.comparison import Comparison
from ssr_nb.statistics import summarize
from ssr_nb.evaluate import SEPARATOR
from ssr_nb.html_report import LONGEST, browser, evenly, html_report, page, read_answers, sentence
from ssr_nb.tables import spelt_out
from ssr_nb.records import Example, Response, Score, Verdict, read_records, write_json, write_records
from ssr_nb.rehearse import METHODS as TABLE
from ssr_nb.rehearse import mix, rehearse
from ssr_nb.report import LOOKS, read_summary, report

HOSTILE = [
    "</script><script>window.__pwned = 1</script>", "<img src=x onerror='window.__pwned = 2'>",
    "[a link](javascript:window.__pwned=3)", "{{ 7 * 7 }} {% raw %} &lt;b&gt;", "\x1b[31mred\x00\x9b", "\u202egnp.exe",
    "a\u2028b\u2029c\u200bd", "<!--<script>", "\ud800 alone", "'\"><svg onload=window.__pwned=4>",
    "https://example.com/ <a href='https://example.com/'>x</a>", "<style>*{display:none}</style>",
]
METHODS = ["sft", "ssr", "rft"]


def make_run(folder: Path, methods=METHODS, general=True, tests=24, says=HOSTILE) -> Path:
    "A finished run's folder without any training: made-up answers, real verdicts, targets and statistics."
    whole = [text.replace("\ud800", "\ufffd") for text in says]  # half a character is refused where data is read
    prompts = [f"question {i} of {len(says)}: {whole[i % len(whole)]}" for i in range(tests)]
    examples = [Example(f"training {p}", f"gold {i}", id=f"train-{i}") for i, p in enumerate(prompts)]
    responses = [Response(e.id, f"own {whole[i % len(whole)]}", model="made-up", extra={"sample": 0})
                 for i, e in enumerate(examples)]
    verdicts = [Verdict(e.id, ("correct", "incorrect", "unparsed", "rejected")[i % 4],
                        reason=f"why {says[i % len(says)]}", extra={"sample": 0}) for i, e in enumerate(examples)]
    write_records(folder / "examples.jsonl", examples)
    write_records(folder / "responses.jsonl", responses)
    write_records(folder / "verdicts.jsonl", verdicts)
    mixes = {}
    for method in methods:
        targets = rehearse(examples, responses, verdicts, method if method in METHODS else "ssr")
        write_records(folder / f"targets-{method}.jsonl", targets)
        mixes[method] = mix(examples, targets, responses, verdicts).__dict__
    suites = ["validation", "target"] + (["general:<b>bold</b>", "general:sum"] if general else [])
    write_records(folder / "tests.jsonl", [Example(p, f"gold {i}", id=f"{task}{SEPARATOR}item-{i}") for task in suites
                                           for i, p in enumerate(prompts)])
    arms = [("base", None, 0)] + [(m, rate, seed) for m in methods for rate in (1e-4, 1e-3) for seed in (0, 1)]
    scores = []
    for m, rate, seed in arms:
        for task in suites:
            for i in range(tests):
                right = (i + len(m) + seed * (i == 3) + (rate == 1e-3)) % 3 > 0 if m != "base" else i % 2 == 0
                kept = {"label": "correct" if right else "incorrect", "reason": f"because {says[(i + 1) % len(says)]}"}
                scores.append(Score(f"item-{i}", task, m, seed, rate, float(right),
                                    f"{m} says {says[i % len(says)]}", kept))
    write_records(folder / "scores.jsonl", scores)
    for m, rate, seed in arms[1:]:
        settings = {"learning_rate": rate, "seed": seed}
        write_json(folder_of(folder, m, rate, seed) / "adapter" / "training.json",
                   {"method": m, "settings": settings, "losses": [2.0, 1.0, 0.5]})
    config = Comparison(methods=methods, learning_rates=[1e-4, 1e-3], seeds=[0, 1], backend="transformers").__dict__
    model = {"model": "<img src='https://example.com/x.png'>", "device": "cpu", "versions": {"torch": "2.13.0"}}
    write_json(folder / "summary.json", summarize(scores, resamples=200)
               | {"mixes": mixes, "config": config, "model": model, "seconds": {"total": 1.5}})
    return folder


def folder_of(folder, method, rate, seed):
    path = folder / "arms" / f"{method}-{rate:g}-{seed}" / "adapter"
    path.mkdir(parents=True)
    return path.parent


def data_of(html: str) -> dict:
    return json.loads(re.search(r'id="examples-data">(.*?)</script>', html, re.S).group(1))


def elements_of(html: str) -> list[tuple]:
    "Every start tag of a page with its attributes, as an HTML parser finds them."
    found = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append((tag, attributes))
    parser.feed(html)
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    "A run full of hostile text, with its page."
    folder = make_run(tmp_path_factory.mktemp("run"))
    html_report(folder)
    return folder


# --- without a browser


@pytest.mark.parametrize("text", HOSTILE)
def test_json_survives_and_holds_no_markup(text):
    "Raw, too: what a model said is safe in the page's data even where nobody has made it visible before."
    for said in (spelt_out(text), text):
        safe = str(htmlsafe_json_dumps({"a": [said]}, allow_nan=False))
        assert not set("<>&'\u2028\u2029\x00\x1b") & set(safe) and json.loads(safe) == {"a": [said]}
        safe.encode("utf-8")
    with pytest.raises(ValueError):
        htmlsafe_json_dumps([float("nan")], allow_nan=False)


def test_what_hides_is_spelt_out_and_what_is_text_stays():
    assert (spelt_out("\x00\x1b\x7f\x85\u202e\u2066\u200b\ufeff\ud800\U000e0041")
            == r"\x00\x1b\x7f\x85\u202e\u2066\u200b\ufeff\ud800\U000e0041")
    plain = "Zeile\n\tzwei, naïve, עברית, فارسی می‌خواهم, हिन्दी, 👩‍🔬 <b>&amp;"
    assert spelt_out(plain) == plain


def test_no_hostile_text_is_markup(run):
    html = (run / "report.html").read_text(encoding="utf-8")
    outside = re.sub(r'<script type="application/json".*?</script>', "", html, flags=re.S)
    for raw in ("<script>window", "<img src=x", "<img src=&#39;https", "<svg onload", "<style>*", "<a href='",
                "<b>bold", "\x1b", "\x00", "\u202e", "\u2028", "\u200b"):
        assert raw not in html, raw
    assert "&lt;img src=&#39;https://example.com/x.png&#39;&gt;" in outside and "&lt;b&gt;bold&lt;/b&gt;" in outside
    assert html.count("<script") == 2, "the data and the page's own script"
    asked = elements_of(html)
    assert all(value.startswith(("data:", "#")) for _, attributes in asked for name, value in attributes
               if name in ("src", "href", "action", "srcset"))
    assert (not [name for _, attributes in asked for name, _ in attributes if name.startswith("on")]
            and not {"iframe", "object", "base"} & {tag for tag, _ in asked})
    for text in HOSTILE:
        assert any(spelt_out(text) in stored for stored in data_of(html)["strings"]), text


def test_every_item_keeps_what_was_said(run):
    data = data_of((run / "report.html").read_text(encoding="utf-8"))
    text = data["strings"]
    said = {(s.task, s.id): s for s in read_records(run / "scores.jsonl", Score) if s.method == "base"}
    tests = [item for item in data["items"] if item["set"] == "test"]
    assert len(tests) == len(said)
    for item in tests:
        score = said[next(k for k in said if spelt_out(k[0]) == text[item["task"]] and k[1] == item["id"])]
        assert (text[item["own"][0]["text"]] == spelt_out(score.response)
                and item["own"][0]["label"] == score.extra["label"])
    rft = [method["name"] for method in data["methods"]].index("rft")
    dropped = [item for item in data["items"] if item["set"] == "train" and item["after"][rft] is None]
    assert len(dropped) == 18, "rft drops the three quarters that were not judged correct"


def test_page_is_small_for_a_big_run(tmp_path):
    folder = make_run(tmp_path, tests=400, says=["word " * 900])
    summary = read_summary(folder)
    shown = browser(folder, summary, read_answers(folder, summary), most_items=300, most_bytes=200_000)
    data = json.loads(shown["data"])
    assert len(shown["data"]) <= 200_000 and 0 < len(data["items"]) < 600
    assert max(map(len, data["strings"])) < LONGEST + 100 and "more characters" in max(data["strings"], key=len)
    assert f"{sum(i['set'] == 'test' for i in data['items'])} of 1,600 test items" in shown["note"]
    assert {data["strings"][i["task"]] for i in data["items"]
            if i["set"] == "test"} == {"target", "validation", "general:<b>bold</b>", "general:sum"}
    assert evenly([1, 2, 3], 5) == [1, 2, 3] and len(evenly(list(range(1000)), 7)) == 7


def test_own_data_without_general_skills(tmp_path):
    html = page(make_run(tmp_path, general=False), report(tmp_path))
    assert "what was kept has not been measured" in html and "general" not in sentence(read_summary(tmp_path))


@pytest.mark.parametrize("there", ["nothing", "a folder", "a file"])
def test_a_report_of_what_is_no_run_makes_nothing(tmp_path, there):
    run = tmp_path / "run"
    run.mkdir() if there == "a folder" else run.write_text("mine") if there == "a file" else None
    with pytest.raises(ValueError, match="found no such file; expected the folder of a finished run"):
        html_report(run)
    assert [p.name for p in tmp_path.rglob("*")] == ["run"] * (there != "nothing")


def test_run_passed_on_without_its_answers(tmp_path):
    "A summary alone gives a page that says what it lacks."
    make_run(tmp_path / "whole")
    (tmp_path / "summary.json").write_bytes((tmp_path / "whole" / "summary.json").read_bytes())
    html = page(tmp_path, report(tmp_path))
    assert "holds no answers to show" in html and "holds no loss curves" in html and 'id="arms"' in html


def test_every_method_and_one_that_nobody_knows(tmp_path):
    methods = [*TABLE, "<i>mine</i>"]
    assert set(LOOKS) == {"base", *TABLE}
    html = page(make_run(tmp_path, methods=methods), report(tmp_path))
    assert html.count('<tr class="quoted"') == len(methods) + 2, (
        "the arms' table quotes each once and base, the skills' table base")
    for method, (shade, _, _) in LOOKS.items():
        assert shade in html, method
    assert "<i>" not in html


def test_sentence_picks_its_winner_on_validation(tmp_path):
    summary = read_summary(make_run(tmp_path, methods=["rft", "sft"]))
    best = max((a for a in summary["arms"] if a["quoted"] and a["method"] != "base"), key=lambda a: a["validation"][0])
    assert f"{best['method']} is right" in sentence(summary) and "than base" in sentence(summary)


def test_colours_of_text_reach_a_projectors_contrast():
    "Seven to one, WCAG's AAA, for every colour of text on both backgrounds."
    css = (Path(__file__).parent.parent / "ssr_nb" / "templates" / "report.css").read_text()
    named = dict(re.findall(r"--(\w+): (#[0-9a-f]{3,6});", css))

    def luminance(code):
        code = "".join(c * 2 for c in code[1:]) if len(code) == 4 else code[1:]
        parts = [int(code[i:i + 2], 16) / 255 for i in (0, 2, 4)]
        return sum(w * (p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4)
                   for w, p in zip((0.2126, 0.7152, 0.0722), parts))

    for text in ("ink", "dim", "link", "right", "wrong"):
        for ground in ("paper", "soft"):
            assert (luminance(named[ground]) + 0.05) / (luminance(named[text]) + 0.05) >= 7, (text, ground)


# --- in headless Chromium

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def chromium():
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is not installed (on Debian: apt-get install chromium), "
                    "so the page was not tried in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


def opened(chromium, run, **options):
    "The run's page in a new tab, with what its console said and every request it made."
    context = chromium.new_context(**options)
    tab = context.new_page()
    tab.said, tab.asked = [], []
    tab.on("console", lambda message: tab.said.append(message.text))
    tab.on("pageerror", lambda error: tab.said.append(str(error)))
    tab.on("request", lambda request: tab.asked.append(request.url))
    tab.goto((run / "report.html").as_uri())
    return tab


@pytest.fixture
def tab(chromium, run):
    found = opened(chromium, run)
    yield found
    assert found.said == [], "the console stays empty"
    assert [url for url in found.asked if not url.startswith("data:")] == [(run / "report.html").as_uri()], (
        "nothing but the file itself is asked for")
    assert found.evaluate("window.__pwned") is None
    found.context.close()


def shown(tab) -> list[str]:
    return tab.locator("details.item").evaluate_all("all => all.map(one => one.textContent)")


def count(tab) -> int:
    return int(tab.locator("#count").inner_text().split()[0])


def test_opens(tab):
    assert "On the target task ssr is right" in tab.locator(".headline").inner_text()
    assert count(tab) == 96 and len(shown(tab)) == 20
    assert tab.locator("img").count() == 4
    assert tab.locator("img").evaluate_all("all => all.every(one => one.complete && one.naturalWidth > 300 && one.alt)")


def test_hostile_text_is_shown(tab):
    while tab.locator("#more").is_visible():
        tab.locator("#more").click()
    tab.evaluate("document.querySelectorAll('details.item').forEach(one => one.open = true)")
    tab.wait_for_function("[...document.querySelectorAll('details.item > div')].every(one => one.hasChildNodes())")
    page_text = "\n".join(shown(tab))
    for text in HOSTILE:
        assert spelt_out(f"base says {text}") in page_text and spelt_out(f"because {text}") in page_text, text
    assert tab.locator("#items script, #items img, #items a, #items style").count() == 0
    assert tab.locator("#items svg").count() == tab.locator("#items svg.mark").count() > 0


def test_training_examples_show_too(tab):
    tab.select_option("#set", "train")
    assert count(tab) == 24 and not tab.locator("#change").is_visible() and not tab.locator("#task").is_visible()
    tab.select_option("#verdict", "unparsed")
    assert count(tab) == 6
    tab.locator("details.item > summary").first.click()
    tab.wait_for_function("document.querySelector('details.item > div').hasChildNodes()")  # filled when it has opened
    first = tab.locator("details.item").first.inner_text()
    assert spelt_out(HOSTILE[2]) in first and "from: gold" in first and "rft" in first and "dropped" in first


def test_filters(tab, run):
    data = data_of((run / "report.html").read_text(encoding="utf-8"))
    tests = [item for item in data["items"] if item["set"] == "test"]
    right = lambda answer: answer["label"] == "correct"  # noqa: E731
    for m, method in enumerate(data["methods"]):
        for change, (before, after) in {"right-wrong": (True, False), "wrong-right": (False, True),
                                        "wrong-wrong": (False, False)}.items():
            tab.select_option("#change", change)
            tab.select_option("#method", label=method["name"])
            expected = sum((right(i["own"][0]), right(i["after"][m])) == (before, after) for i in tests)
            assert count(tab) == expected > 0, (method, change)
    tab.locator("button[type=reset]").click()
    tab.wait_for_function("document.getElementById('count').textContent.startsWith('96 ')")
    tab.select_option("#verdict", "incorrect")
    assert (count(tab) == sum(not right(i["own"][0]) for i in tests)
            and all("base: incorrect" in text for text in shown(tab)))
    tab.select_option("#task", label="general:<b>bold</b>")
    assert count(tab) == 12 and all("general:<b>bold</b>" in text for text in shown(tab))


def test_search(tab):
    tab.fill("#search", "ONERROR=")
    assert 0 < count(tab) < 96
    assert tab.locator("#count").inner_text().startswith(f"{count(tab)} items match")
    tab.fill("#search", "question 5 of")
    assert count(tab) == 4 and all("question 5 of" in text for text in shown(tab))
    tab.fill("#search", "nobody says this")
    assert count(tab) == 0 and shown(tab) == []


def test_sort(tab):
    column = lambda n: tab.locator(f"#arms tbody tr > :nth-child({n})").evaluate_all(  # noqa: E731
        "all => all.map(one => one.dataset.value)")
    before = column(3)
    button = tab.locator("#arms thead th:nth-child(3) button")
    button.click()
    down = [float(v) for v in column(3)]
    assert down == sorted(down, reverse=True) and down != [float(v) for v in before]
    assert (tab.locator("#arms th[aria-sort]").evaluate_all("all => all.map(one => one.getAttribute('aria-sort'))")
            == ["descending"])
    button.click()
    assert [float(v) for v in column(3)] == down[::-1] or sorted(down) == [float(v) for v in column(3)]
    assert tab.locator("#arms thead th:nth-child(3)").get_attribute("aria-sort") == "ascending"
    tab.locator("#arms thead th:nth-child(2) button").click()
    assert column(2)[-1] == "", "the base model has no rate and stays last"
    tab.locator("#arms thead th:nth-child(1) button").click()
    assert column(1) == sorted(column(1))
    tab.check("#only-quoted")
    assert tab.locator("#arms tbody tr:visible").count() == 1 + len(METHODS)


def test_works_without_a_mouse(tab):
    focused = "document.activeElement"

    def reach(selector, most=60):
        for _ in range(most):
            tab.keyboard.press("Tab")
            if tab.evaluate(f"{focused}.matches({json.dumps(selector)})"):
                assert tab.evaluate(f"getComputedStyle({focused}).outlineStyle") == "solid", (
                    f"{selector}: focus can be seen")
                return
        raise AssertionError(f"{selector} can't be reached with the Tab key")

    reach(".skip")
    reach("#arms thead th:nth-child(3) button")
    tab.keyboard.press("Enter")
    assert tab.locator("#arms thead th:nth-child(3)").get_attribute("aria-sort") == "descending"
    tab.keyboard.press("Space")
    assert tab.locator("#arms thead th:nth-child(3)").get_attribute("aria-sort") == "ascending"
    reach("#set")
    tab.keyboard.press("ArrowDown")
    assert tab.locator("#set").input_value() == "train" and count(tab) == 24
    reach("#search")
    tab.keyboard.type("question 2 of")
    assert count(tab) == 1
    reach("details.item > summary")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("details.item[open] h3")
    names = tab.locator("#filters select, #filters input").evaluate_all("all => all.map(one => one.labels.length)")
    assert names and all(n == 1 for n in names)


def test_more_keeps_the_reader_in_place(tab):
    tab.locator("#more").focus()
    tab.keyboard.press("Enter")
    assert len(shown(tab)) == 40
    assert (
        tab.evaluate("[...document.querySelectorAll('details.item > summary')].indexOf(document.activeElement)") == 20)


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_no_width_scrolls_sideways(chromium, run, width):
    tab = opened(chromium, run, viewport={"width": width, "height": 800})
    tab.locator("details.item > summary").first.click()
    tab.wait_for_function("document.querySelector('details.item > div').hasChildNodes()")  # filled when it has opened
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    tab.context.close()


def test_reads_without_javascript(chromium, run):
    tab = opened(chromium, run, java_script_enabled=False)
    assert "need JavaScript" in tab.locator("noscript").inner_text() and tab.locator("#arms tbody tr").count() == 7
    tab.context.close()


def test_policy_stops_what_an_escape_would_miss(chromium, run):
    "Markup put into the page on purpose neither runs nor asks the network."
    tab = opened(chromium, run)
    tab.evaluate("""() => {
        window.stopped = [];
        document.addEventListener('securitypolicyviolation', event => window.stopped.push(event.effectiveDirective));
        document.body.insertAdjacentHTML('beforeend', `<img src="https://example.com/x.png" onerror="window.__pwned = \
5">`);
        const script = document.createElement('script'); script.textContent = 'window.__pwned = 6'; \
document.body.append(script);
        return fetch('https://example.com/').catch(() => {});
    }""")
    tab.wait_for_function("window.stopped.length >= 3")
    assert tab.evaluate("window.__pwned") is None and {"img-src", "script-src-elem",
                                                       "connect-src"} <= set(tab.evaluate("window.stopped"))
    tab.context.close()
