"""Tables and pictures of a run: what a figure is comes from the summary, and what people call their tasks and methods
is data."""

import json
import re
import warnings
from pathlib import Path

import matplotlib
import matplotlib.pyplot
import pytest
from rich.console import Console

from ssr_nb.html_report import arms_table, basis, differences_table, page, sentence, skills_table
from ssr_nb.metrics import METRICS, Metric
from ssr_nb.records import Example, Response, Score, Verdict, write_json, write_records
from ssr_nb.report import (FEW, LOOKS, MANY, at_the_edge, caption, chief, columns_in, columns_of, headline, is_right,
                           one_rate, plain, plot_losses, plot_pareto, plot_skills, points, quoted, read_summary, report,
                           side_by_side, table, task_name, tasks_of, too_few, unended, with_p)
from ssr_nb.statistics import summarize

matplotlib.use("agg")
OLD = Path(__file__).parent / "data" / "summary_without_columns.json"  # of a run of base, SFT and SSR, as it was written before
AWKWARD = ["$x_{$", "[/b]", "[red]x", "_mine", "$$", r"\frac{", ":smile:", "p", "target", "KL (target)", "a:b", "100% {}",
           "<b>&amp;"]


def scores_of(method, rate, right, task="target", seed=0, **extra):
    return [Score(f"q{i}", task, method, seed, rate, float(ok), f"{method} says {i}", dict(extra))
            for i, ok in enumerate(right)]


def a_summary(shifts=(), skills=("sums",), methods=("sft", "ssr"), rates=(1e-4, 1e-3), **extra) -> dict:
    scores = []
    for task in ("validation", "target", *(f"shift:{s}" for s in shifts), *(f"general:{s}" for s in skills)):
        for method in ("base", *methods):
            for rate in (None,) if method == "base" else rates:
                right = [(i + len(method) + (rate == 1e-3)) % 3 > 0 for i in range(12)]
                kl = {"kl_nats": 0.2, "kl_tokens": 2, "gold_nats": 3.0, "gold_tokens": 2}
                measured = kl if task.split(":")[0] in ("target", "general") else {}
                scores += scores_of(method, rate, right, task, **measured, **extra)
    return summarize(scores, resamples=100) | {"config": {"model": "made-up", "backend": "transformers"}}


def printed(summary, width=200) -> str:
    with (screen := Console(width=width, color_system=None, force_jupyter=False)).capture() as shown:
        screen.print(table(summary, width))
    return shown.get()


# --- what a figure is


def test_a_summary_of_an_earlier_version_reads_the_same():
    summary = json.loads(OLD.read_text())
    assert "columns" not in summary
    assert columns_of(summary) == {name: name for name in (
        "target", "answerable", "unanswerable", "jobs", "shifted", "general")} | {
        "gold nats (target)": "ppl of gold", "KL (target)": "KL target, nats/token",
        "KL (general)": "KL general, nats/token"}
    assert tasks_of(summary)[:4] == ["target", "jobs", "shifted", "general:category"] and len(tasks_of(summary)) == 12
    known = columns_in(summary)
    assert {name for name, c in known.items() if c["tested"]} == set(summary["differences"][0]["p"])
    assert {name: c["better"] for name, c in known.items()} == {n: f["better"] for n, f in summary["figures"].items()}
    ssr = next(arm for arm in quoted(summary) if arm["method"] == "ssr")
    row = next(line for line in printed(summary).splitlines() if re.match(r"│ ssr +│ +\*", line))
    assert f"{100 * ssr['target'][0]:.1f} ±" in row and f"{ssr['KL (general)'][0]:.2f}" in row


def test_a_new_summary_loses_nothing_without_its_columns():
    summary = a_summary(shifts=["jobs", "p"])
    old = {key: value for key, value in summary.items() if key != "columns"}
    assert columns_in(old) == summary["columns"]
    assert printed(old) == printed(summary) and headline(old) == headline(summary) and sentence(old) == sentence(summary)


def test_read_summary_knows_its_columns(tmp_path):
    summary = a_summary()
    write_json(tmp_path / "summary.json", {key: value for key, value in summary.items() if key != "columns"})
    assert read_summary(tmp_path)["columns"] == summary["columns"]
    with pytest.raises(ValueError, match="nothing.summary.json: found no such file"):
        read_summary(tmp_path / "nothing")


def test_further_metrics_have_columns():
    summary = a_summary(f1=0.7, exact_match=0.5)
    assert list(columns_of(summary).values())[:3] == ["target", "exact match", "F1"]
    assert "70.0" in printed(summary) and "accuracy, exact match, F1 in %, KL in nats per token" in printed(summary)
    assert [h["text"] for h in differences_table(summary)["headings"]] == [
        "method", "against", "target", "exact match", "F1", "general", "p, target", "p, general"]
    assert "f1 (target)" not in tasks_of(summary)
    assert printed(summary, 60).count("F1") == 0 and "general" in printed(summary, 60)


def test_a_run_that_is_scored_by_another_metric():
    summary = a_summary(metric="f1")
    assert "scores" in sentence(summary) and "in F1 than" in sentence(summary)
    assert plot_pareto(summary).axes[0].get_xlabel() == "target task, F1 in %"
    assert plot_skills(summary).axes[0].get_ylabel() == "F1 in %"


def test_a_run_that_is_scored_in_another_unit():
    METRICS.add(Metric("words", "words", lambda e, a, v: len(a.split()), "number", "lower", tested=False))
    try:
        summary = a_summary(metric="words", skills=())
        assert "p 0" not in headline(summary) and "(tested" not in printed(summary) and "in %" not in printed(summary)
        assert tasks_of(summary) == [] and "words" in sentence(summary)
        best = min((a for a in summary["arms"] if a["method"] == "ssr"), key=lambda a: a["validation"][0])
        assert best["quoted"]
    finally:
        del METRICS["words"]


@pytest.mark.parametrize("width", [60, 80, 100, 132, 200])
def test_no_width_shortens_a_figure(width):
    summary = a_summary(shifts=[f"domain {i}" for i in range(6)])
    text = printed(summary, width)
    assert "…" not in text and "general" in text
    headings = [h for h in columns_of(summary).values() if f" {h.replace(', nats/token', ',')} " in text]
    assert len(headings) == len(columns_of(summary)) if width == 200 else "target" in headings


def test_the_quoted_rates_can_be_told_without_bold_type():
    summary = a_summary()
    for arm in summary["arms"]:
        if arm["method"] != "base":
            line = next(x for x in printed(summary).splitlines()
                        if re.match(rf"│ {arm['method']} +│ [* ]*{arm['learning_rate']:g} ", x))
            assert ("*" in line) == arm["quoted"]
    assert "*: each method's own best rate, chosen on validation" in printed(summary)


def test_where_one_rate_was_tried_nothing_is_said_to_have_chosen_it():
    several = a_summary()
    one = several | {"arms": quoted(several), "rate_chosen_on": "target"}
    assert one_rate(one) and not one_rate(several)
    for said in (printed(one), headline(one), basis(one)):
        assert "one" in said and "chosen" not in said and "best" not in said, said
    assert "its best rate on validation" in headline(several) and "chosen on validation" in basis(several)


# --- names are data


def test_a_terminal_prints_a_name_as_it_is_written():
    summary = a_summary(shifts=AWKWARD, skills=AWKWARD, methods=["sft", *AWKWARD])
    text = printed(summary, 400)
    for name in AWKWARD:
        assert sum(f" {name} " in line for line in text.splitlines()) >= 3, f"{name}: a heading, and two arms"
        assert f"{name} at " in headline(summary)


@pytest.mark.parametrize("names", [AWKWARD, *(AWKWARD[i:i + 4] for i in range(0, len(AWKWARD), 4))], ids=len)
def test_a_picture_draws_a_name_as_it_is_written(names, tmp_path):
    "Few methods are drawn in another way than many."
    summary = a_summary(shifts=names, skills=names, methods=names)
    for number, arm in enumerate(a for a in summary["arms"] if a["method"] != "base"):
        write_json(tmp_path / "arms" / f"arm-{number}" / "adapter" / "training.json", {
            "method": arm["method"], "settings": {"learning_rate": arm["learning_rate"]}, "losses": [2.0, 1.0]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures = [plot_pareto(summary), plot_skills(summary), plot_losses(tmp_path, summary)]
        for figure in figures:
            figure.canvas.draw()
    for figure in figures:
        texts = [text.get_text() for text in figure.findobj(matplotlib.text.Text)]
        assert [name for name in names if not any(plain(name) in text for text in texts)] == []
        assert [text for text in texts if matplotlib.cbook.is_math_text(text)] == []
        matplotlib.pyplot.close(figure)


def test_names_of_figures_that_collide_keep_apart():
    summary = a_summary(shifts=["p", "jobs"], skills=["p"])
    assert [task_name(summary, task) for task in tasks_of(summary)] == ["target", "jobs", "p", "p"]
    for made in (arms_table(summary), skills_table(summary), differences_table(summary)):
        assert all(len(row["cells"]) == len(made["headings"]) for row in made["rows"]), made["caption"]


def test_a_page_of_awkward_names(tmp_path):
    summary = a_summary(shifts=AWKWARD, skills=AWKWARD, methods=["sft", *AWKWARD])
    write_json(tmp_path / "summary.json", summary)
    write_records(tmp_path / "scores.jsonl", [Score("q", f"general:{n}", "base", 0, None, 1.0, "x") for n in AWKWARD])
    html = page(tmp_path, report(tmp_path))
    assert "<b>&amp;" not in html and "&lt;b&gt;&amp;amp;" in html and "[/b]" in html


HOSTILE = ["\x1b[31mred", "two\nlines", "\u202egpj.exe", "\ud800", "x" * 300, "😀 naïve 東京", "-x", "a/b", "=1+1", "", " ",
           "\x9b31m", "general:", "../../x", "`x`", "{{ 7*7 }}", "%s %(x)s {0}", "\\x1b[31m", "</script>", "runs[v2]", "[link=x]y[/link]"]


def test_a_summary_from_elsewhere_is_shown_whatever_its_names_are(tmp_path, capsys):
    """Names of a comparison are checked when it begins; those of a folder that somebody sends may be anything."""
    folder = tmp_path / "runs[v2] [/b]"
    summary = a_summary(shifts=HOSTILE[1::4], skills=HOSTILE, methods=["sft", *HOSTILE[::3]]) | {"seconds": {"total": 1.0}}
    write_json(folder / "summary.json", summary)
    for number, arm in enumerate(a for a in summary["arms"] if a["method"] != "base"):
        write_json(folder / "arms" / f"arm-{number}" / "adapter" / "training.json", {
            "method": arm["method"], "settings": {"learning_rate": arm["learning_rate"]}, "losses": [2.0, 1.0]})
    write_records(folder / "scores.jsonl", [Score("q", f"general:{n}", "base", 0, None, 1.0, "x") for n in HOSTILE])
    from ssr_nb.cli import _show

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no glyph that a font lacks is told about
        _show(folder)
    said, html = capsys.readouterr(), (folder / "report.html").read_text()
    assert "runs[v2] [/b]/report.html" in said.out.replace("\n", "") and "x1b" in said.out
    for text in (said.out, html):
        assert not {"\x1b", "\x9b", "\u202e"} & set(text)
    assert "&lt;/script&gt;" in html and "{{ 7*7 }}" in html and {p.name for p in folder.glob("*.png")} == {
        "losses.png", "pareto.png", "skills.png"}


@pytest.mark.parametrize("name", ["\x1b[31mred", "two\nlines", "a\tb", "\u202egpj", "\ud800", "x" * 61, "", " ", " x", "\x1f", True, None])
def test_a_name_that_can_not_be_shown_is_refused_before_anything_runs(tmp_path, name):
    from ssr_nb.comparison import Comparison, check
    from ssr_nb.evaluate import Suite

    for part in ("general", "shift"):
        with pytest.raises(ValueError, match=f"key 'data.{part}': found the name"):
            check(Comparison(data={"train": "a", "target": "b", part: {name: "c"}}))
    if name:
        with pytest.raises(ValueError, match="a suite of the role general: found the name"):
            Suite("general", [], "exact", name)


@pytest.mark.parametrize("name", ["a/b", "../x", "..", "-x", ".x", "a\\b", "C:x", "x*", "x\ny", "", "x" * 61])
def test_a_method_s_name_names_files(name):
    from ssr_nb.rehearse import METHODS, Method

    with pytest.raises(ValueError, match="a method: found the name"):
        METHODS.add(Method(name, ("gold",)))
    assert name not in METHODS


def test_names_that_are_shown_as_they_are_may_be_given():
    from ssr_nb.tables import check_name

    for name in [*AWKWARD, "😀 naïve 東京", "-x", "a/b", "=1+1", "runs[v2]", "target", "p"]:
        check_name(name, "data.general")
    for name in ["$x_{$", "[b]", "runs[v2]", "target", "naïve 😀", "a b"]:
        check_name(name, "methods", for_files=True)


# --- few items, and figures without an interval


def a_small_run(items: int, right: dict[str, list[int]], **extra) -> dict:
    "A run of the target and one skill, in which each method has so many of `items` right."
    scores = [score for task in ("target", "general:sums") for method, answers in right.items()
              for score in scores_of(method, None if method == "base" else 1e-3, answers, task, **extra)]
    assert all(len(answers) == items for answers in right.values())
    return summarize(scores, resamples=100) | {"config": {"model": "made-up", "backend": "transformers"}}


def test_three_of_three_is_not_certain_anywhere():
    summary = a_small_run(3, {"base": [0, 0, 0], "sft": [1, 1, 1]})
    text = printed(summary)
    assert "100.0 (44-100)" in text and "0.0 (0-56)" in text and "±0.0" not in text
    assert "Wilson's score interval" in caption(summary) and "no interval" not in caption(summary)
    assert "+100.0 (-12.3 to +100.0; p" in headline(summary) and "Too few items to tell sft from base" in headline(summary)
    notes = [cell["note"] for made in (arms_table(summary), differences_table(summary)) for row in made["rows"]
             for cell in row["cells"]]
    assert "43.8 to 100.0" in notes or "43.9 to 100.0" in notes
    assert "no clear difference" in sentence(summary) and "Too few items" in basis(summary)


def test_one_group_is_shown_without_an_interval_and_with_the_reason(tmp_path):
    summary = json.loads(json.dumps(a_small_run(
        20, {"base": [0] * 20, "sft": [1, 0] * 10, "ssr": [1] * 20}, group="p"), allow_nan=False))
    target = {arm["method"]: arm["target"] for arm in summary["arms"]}
    assert target == {"base": [0.0, None, None], "sft": [0.5, None, None], "ssr": [1.0, None, None]}
    assert "100.0 ±?" in printed(summary) and "±?: no interval (one group)" in caption(summary)
    assert "+50.0 (no interval: one group; p 1) on the target" in headline(summary)
    assert "with this one group, and about" in too_few(summary)
    assert "than sft (no interval: one group, p = 1.000: no clear difference)" in sentence(summary)
    for figure in (plot_pareto(summary), plot_skills(summary)):
        figure.canvas.draw()
        matplotlib.pyplot.close(figure)
    write_json(tmp_path / "summary.json", summary)
    assert "no interval: one group" in page(tmp_path, [])


def test_a_figure_that_is_no_share_says_why_it_has_no_interval():
    d = {"words": [1.5, None, None], "intervals": {"words": "none: too few items"}}
    assert with_p(d, "words", "number") == "+1.50 (no interval: too few items)"
    assert with_p({"words": [1.5, None, None]}, "words", "number") == "+1.50 (no interval)"


@pytest.mark.parametrize("items, alike, said", [(40, 0.5, True), (4000, 0.9, False), (400, 1.0, False)])
def test_the_headline_says_when_items_are_too_few_to_tell(items, alike, said):
    "Two methods that are equally good, and disagree on so many items."
    first = [i % 2 for i in range(items)]
    second = [right if i < alike * items else 1 - right for i, right in enumerate(first)]
    summary = a_small_run(items, {"base": first, "sft": first, "ssr": second})
    assert ("Too few items to tell ssr from sft: on the target" in headline(summary)) == said == bool(too_few(summary))
    needed = chief(summary)["power"]["target"]["needed"]
    assert not said or f"about {needed:,} are needed for 80%" in headline(summary)
    assert too_few({**summary, "differences": [{k: v for k, v in d.items() if k != "power"}
                                               for d in summary["differences"]]}) == "", "an earlier version's summary"


def test_a_difference_that_was_seen_is_not_told_that_items_are_few():
    summary = a_small_run(30, {"base": [0] * 30, "sft": [0] * 30, "ssr": [1] * 25 + [0] * 5})
    assert chief(summary)["power"]["target"]["power"] < 0.8 and too_few(summary) == ""


def test_answers_that_had_no_end_are_told_wherever_the_figures_are():
    "Of the base model half, of SFT none, and of SSR one in twenty, which alone wouldn't be worth a word."
    def of(method: str, task: str, ended: list[bool]) -> list[Score]:
        rate = None if method == "base" else 1e-3
        return [Score(f"q{i}", task, method, 0, rate, float(end), "Dear Madam,", {"finish_reason": "stop" if end else "length"})
                for i, end in enumerate(ended)]

    ends = {"base": [True, False] * 20, "sft": [True] * 40, "ssr": [False] * 2 + [True] * 38}
    scores = [score for method, ended in ends.items() for score in (*of(method, "target", [True] * 40), *of(method, "general:letters", ended))]
    summary = summarize(scores, resamples=100)
    assert [(r["task"], r["method"], r["cut_off"], r["answers"]) for r in summary["cut_off"]] == [
        ("general:letters", "base", 20, 40), ("general:letters", "sft", 0, 40), ("general:letters", "ssr", 2, 40)]
    said = "letters: base 20 of 40, sft 0 of 40, ssr 2 of 40"
    assert said in headline(summary) and said in basis(summary) and said in unended(summary)
    one_in_twenty = [s for s in scores if (s.task, s.method) != ("general:letters", "base")] + of("base", "general:letters", [True] * 40)
    assert "cut off" not in headline(summarize(one_in_twenty, resamples=100))
    assert unended({key: value for key, value in summary.items() if key != "cut_off"}) == "", "an earlier version's summary"


# --- small things


def test_points_and_p_values():
    assert points([0.05, -0.012, 0.09]) == "+5.0 (-1.2 to +9.0)" and points([0.5, 0.4, 0.6], sign=False).startswith("50.0")
    d = {"target": [0.05, 0.01, 0.09], "KL": [1.5, 1.0, 2.0], "p_holm": {"target": 0.0004}}
    assert with_p(d, "target") == "+5.0 (+1.0 to +9.0; p < 0.001)"
    assert with_p(d, "KL", "nats_per_token") == "+1.50 (+1.00 to +2.00)"


def test_looks_are_each_used_once():
    assert len({shade for shade, _, _ in LOOKS.values()}) == len({mark for _, mark, _ in LOOKS.values()}) == len(LOOKS)


def test_an_answer_is_right_where_the_judge_said_so():
    partly = Score("q", "target", "sft", 0, 1.0, 0.8, "nearly", {"label": "correct"})
    wrong = Score("q", "target", "sft", 0, 1.0, 1.0, "<i>no</i>", {"label": "incorrect"})
    assert is_right(partly) and not is_right(wrong)
    assert is_right(Score("q", "target", "sft", 0, 1.0, 1.0)) and not is_right(Score("q", "target", "sft", 0, 1.0, 0.8))
    html = side_by_side([Example("a <b>question</b>", "gold", id="q")], [wrong])
    assert "✗" in html and "<i>no" not in html and "<b>question" not in html


def test_a_run_without_pictures_to_draw(tmp_path):
    write_json(tmp_path / "summary.json", a_summary(skills=()))
    write_records(tmp_path / "examples.jsonl", [Example("q", "gold", id="q")])
    write_records(tmp_path / "responses.jsonl", [Response("q", "own")])
    write_records(tmp_path / "verdicts.jsonl", [Verdict("q", "incorrect")])
    assert report(tmp_path) == []


# --- a best rate at the end of its grid


@pytest.mark.parametrize("chosen, said", [
    ({"sft": 2, "ssr": 1}, ["sft (0.003): the best rate is the highest tried, so a method's own best may lie beyond."]),
    ({"sft": 1, "ssr": 0}, ["ssr (0.0003): the best rate is the lowest tried, so a method's own best may lie beyond."]),
    ({"sft": 2, "ssr": 2}, ["sft (0.003), ssr (0.003): the best rate is the highest tried, so a method's own best may lie beyond."]),
    ({"sft": 0, "ssr": 2}, ["ssr (0.003): the best rate is the highest tried", "sft (0.0003): the best rate is the lowest tried"]),
    ({"sft": 1, "ssr": 1}, [])])
def test_a_best_rate_at_the_end_of_its_grid_is_said(chosen, said):
    rates, scores = (3e-4, 1e-3, 3e-3), []
    for task in ("validation", "target", "general:sums"):
        scores += scores_of("base", None, [1, 0] * 6, task=task)
        for method, best in chosen.items():
            for i, rate in enumerate(rates):
                scores += scores_of(method, rate, ([1, 1] if i == best else [1, 0]) * 6, task=task)
    summary = summarize(scores, resamples=100)
    lines = at_the_edge(summary).splitlines()
    assert len(lines) == len(said) and all(line.startswith(start) for line, start in zip(lines, said))
    for line in lines:
        assert line in headline(summary).splitlines(), "what `ssr compare` ends with"
        assert line in basis(summary), "the page"
    assert "may lie beyond" not in headline(summary) + basis(summary) or lines


def test_of_one_rate_nothing_is_said_about_its_grid():
    summary = summarize([*scores_of("base", None, [1, 0] * 6), *scores_of("sft", 1e-3, [1, 1] * 6)], resamples=100)
    assert at_the_edge(summary) == ""


@pytest.mark.parametrize("changed, said", [
    (lambda s: s | {"arms": [a for a in s["arms"] if a["method"] != "base"]}, "'base' among them"), (lambda s: s | {"arms": 3}, "'base'"),
    (lambda s: s | {"figures": {k: v for k, v in s["figures"].items() if k != "target"}}, "'target' among them")])
def test_a_summary_without_its_base_model_or_target_is_refused(changed, said, tmp_path):
    summary = changed(json.loads((Path(__file__).parent / "data" / "summary_without_columns.json").read_text()))
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(ValueError, match=said):
        read_summary(tmp_path)


@pytest.mark.parametrize("number", [4, 9, 17])
def test_with_many_methods_the_quoted_arms_are_drawn_and_named_once(number):
    summary = a_small_run(8, {"base": [1, 0] * 4, "sft": [1, 0] * 4})
    base, tuned = summary["arms"]
    for i in range(number):
        for rate in (1e-4, 1e-3):
            summary["arms"].append(tuned | {"method": f"mine {i}", "learning_rate": rate, "quoted": rate == 1e-3})
    figure, methods = plot_pareto(summary), number + 2
    axes, few, many = figure.axes[0], methods <= FEW, methods > MANY
    legend = [text.get_text() for one in figure.legends for text in one.get_texts()]
    names = [text.get_text() for text in axes.texts if text.get_text().startswith(("mine", "base", "sft"))]
    assert len(axes.containers) == (methods if many else methods + number), "the other rates too, where there is room"
    assert len(names) == (0 if few else methods) and len(set(names)) == len(names)
    assert len(legend) == (0 if many else methods)
    matplotlib.pyplot.close(figure)
