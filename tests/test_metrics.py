"""What each metric reads of an answer, what it is blind to, and that a row of the table holds to its word."""

import math

import pytest

from ssr_nb.metrics import FORMATS, METRICS, Metric, accuracy, answerability, exact_match, f1, measure
from ssr_nb.records import Example, RecordError, Verdict

TEAM = Example("Which team won Super Bowl 50?", "Denver Broncos", id="team")
ALIASES = Example("Who wrote it?", "Twain", id="author", answers=["Mark Twain", "Samuel Clemens"])
REFUSED = Example("Who won Super Bowl 99?", "I can't answer that from the passage.", id="none", answerable=False)


@pytest.mark.parametrize("example, answer, exact, shared, stands", [
    (TEAM, "the denver broncos.", 1, 1, 1), (TEAM, "Denver", 0, 2 / 3, 1), (TEAM, "Carolina", 0, 0, 1),
    (TEAM, "I don't know.", 0, 0, 0), (ALIASES, "Samuel Clemens", 1, 1, 1), (ALIASES, "Twain", 0, 2 / 3, 1),
    (REFUSED, "I can't answer that from the passage.", 1, 1, 1), (REFUSED, "Denver Broncos", 0, 0, 0)])
def test_what_an_answer_is_worth(example, answer, exact, shared, stands):
    assert exact_match(example, answer) == exact and math.isclose(f1(example, answer), shared)
    assert answerability(example, answer) == stands


@pytest.mark.parametrize("label, right", [("correct", 1), ("incorrect", 0), ("unparsed", 0), ("rejected", 0)])
def test_accuracy_is_what_the_judge_said(label, right):
    assert accuracy(TEAM, "whatever", Verdict("team", label)) == right and accuracy(TEAM, "Denver Broncos") == 0


def test_rows_say_what_a_table_needs():
    for name, row in METRICS.items():
        assert row.name == name and row.heading and row.format in FORMATS and row.better in ("higher", "lower")
    assert METRICS["kl_nats"].per == "kl_tokens" and METRICS["gold_nats"].per == "gold_tokens"
    assert {m.name for m in METRICS.values() if m.of and m.tested} == {"accuracy", "exact_match", "f1", "answerability"}


@pytest.mark.parametrize("name, shown", [("percent", "25.0"), ("nats", "0.25"), ("nats_per_token", "0.25"),
                                         ("perplexity", "1.3"), ("number", "0.2")])
def test_formats(name, shown):
    assert FORMATS[name].text(0.25) == shown


@pytest.mark.parametrize("given, message", [
    ({"format": "percnt"}, "'mine': found format 'percnt'; expected one of .*did you mean 'percent'"),
    ({"better": "hihger"}, "found better 'hihger'; expected one of higher, lower .did you mean 'higher'")])
def test_a_row_with_a_mistake_is_refused(given, message):
    with pytest.raises(RecordError, match=message):
        Metric("mine", "mine", **given)


def test_measures_hold_to_their_word():
    assert measure(["f1", "exact_match"], TEAM, "Denver") == {"f1": 2 / 3, "exact_match": 0.0}
    with pytest.raises(RecordError, match="'exact_mach'.*did you mean 'exact_match'"):
        measure(["exact_mach"], TEAM, "Denver")
    with pytest.raises(RecordError, match="'gold_nats', which isn't read off an answer"):
        measure(["gold_nats"], TEAM, "Denver")


@pytest.mark.parametrize("value, form, message", [(7, "percent", "found 7.0; expected 0 to 1"),
                                                  (-0.5, "percent", "found -0.5"), (math.nan, "percent", "found nan"),
                                                  (math.inf, "number", "found inf; expected a finite number")])
def test_a_metric_that_leaves_its_range_is_named_with_the_example(value, form, message):
    METRICS.add(Metric("mine", "mine", lambda example, answer, verdict: value, form))
    try:
        with pytest.raises(RecordError, match=f"metric 'mine', example 'team': {message}"):
            measure(["mine"], TEAM, "Denver")
    finally:
        del METRICS["mine"]
