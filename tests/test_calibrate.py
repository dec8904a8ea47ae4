"""Calibration: figures against ones worked out by hand and by other ways, and 400 published answers with labels."""

import math

import pytest
from conftest import real_data
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_nb.calibrate import (by_length, calibration, confusion, kappa, labels_of, plot_confusion, precision, recall,
                              share)
from ssr_nb.judge import judge
from ssr_nb.records import LABELS, RecordError, Response, Verdict
from ssr_nb.formats import load_solutions


def counts_of(kept, error, lost, avoided):
    return {(label, truth): 0 for label in LABELS for truth in (True, False)} | {
        ("correct", True): kept, ("correct", False): error, ("incorrect", True): lost, ("incorrect", False): avoided}


def test_confusion_counts_labels_on_right_and_on_wrong_answers():
    labels = ["correct"] * 5 + ["incorrect"] * 4 + ["rejected"]
    verdicts = [Verdict(f"q{i}", label) for i, label in enumerate(labels)]
    right = {(f"q{i}", 0): i % 2 == 0 for i in range(10)}
    counts = confusion(verdicts, right)
    assert counts == counts_of(3, 2, 2, 2) | {("rejected", False): 1}
    assert confusion([Verdict("q", "correct", extra={"sample": 1})], {("q", 0): False, ("q", 1): True}) == counts_of(
        1, 0, 0, 0)
    with pytest.raises(RecordError, match=r"no label for \('q0', 0\)"):
        confusion(verdicts, {})


@pytest.mark.parametrize("error", [7, 0])
def test_the_picture_of_a_confusion_matrix_says_what_it_shows(error):
    import matplotlib
    matplotlib.use("agg")

    ax = plot_confusion(counts_of(20, error, 10, 15), "a judge")
    assert [text.get_text() for text in ax.texts[:4]] == ["20", str(error), "10", "15"] and len(ax.texts) == 8
    assert [text.get_text() for text in ax.texts if text.get_color() == "crimson"] == ["7"] * (error > 0)
    assert min(text.get_fontsize() for text in ax.texts) >= 12
    assert all([ax.get_title(), ax.get_xlabel(), ax.get_ylabel()])
    assert [label.get_text() for label in ax.get_yticklabels()] == list(LABELS)
    matplotlib.pyplot.close(ax.figure)


def test_kappa_by_hand():
    assert kappa(counts_of(20, 5, 10, 15)) == pytest.approx(0.4)  # agree 0.7, by chance 0.5
    assert (kappa(counts_of(10, 0, 0, 10)) == 1 and kappa(counts_of(0, 10, 10, 0)) == -1
            and kappa(counts_of(5, 5, 5, 5)) == 0)
    assert math.isnan(kappa(counts_of(10, 0, 0, 0))) and math.isnan(kappa(counts_of(0, 0, 0, 0)))


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.booleans()), min_size=1, max_size=60))
@settings(deadline=None)
def test_figures_from_the_definitions(rows):
    counts = {(label, truth): rows.count((label, truth)) for label in LABELS for truth in (True, False)}
    accepted, right = [label == "correct" for label, _ in rows], [truth for _, truth in rows]
    agree = sum(a == r for a, r in zip(accepted, right)) / len(rows)
    chance = sum((accepted.count(x) / len(rows)) * (right.count(x) / len(rows)) for x in (True, False))
    if chance < 1:
        assert kappa(counts) == pytest.approx((agree - chance) / (1 - chance))
    both = sum(a and r for a, r in zip(accepted, right))
    for found, total in ((precision(counts), sum(accepted)), (recall(counts), sum(right))):
        assert (found.count, found.total) == (both, total)
        if total:
            z, p = 1.959963984540054, both / total
            middle, half = ((p + z * z / (2 * total)) / (1 + z * z / total),
                            z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total)))
            assert (found.low, found.high) == pytest.approx((max(0, middle - half), min(1, middle + half)), abs=1e-9)


def test_shares_of_nothing_and_of_all():
    assert (str(share(0, 0)) == "unknown (none)" and math.isnan(share(0, 0).value)
            and (share(0, 0).low, share(0, 0).high) == (0, 1))
    assert share(0, 7).low == 0 and share(7, 7).high == pytest.approx(1) and share(7, 7, 0.99).low < share(7, 7).low < 1


def made(rows):
    "Verdicts and responses from (label, right, words)."
    responses = [Response("e", " ".join(["word"] * words), extra={"sample": i, "right": right})
                 for i, (_, right, words) in enumerate(rows)]
    return [Verdict("e", label, judge="j", extra={"sample": i}) for i, (label, _, _) in enumerate(rows)], responses


@given(st.lists(st.tuples(st.sampled_from(LABELS), st.booleans(), st.integers(0, 30)), min_size=1, max_size=50),
       st.integers(1, 6))
@settings(deadline=None)
def test_every_answer_is_in_one_bin(rows, bins):
    verdicts, responses = made(rows)
    table = by_length(verdicts, responses, labels_of(responses), bins)
    assert 1 <= len(table) <= bins and sum(r.total + w.total for *_, r, w in table) == len(rows)
    for (low, high, of_right, of_wrong), after in zip(table, table[1:] + [(math.inf, math.inf)]):
        assert low <= high < after[0]
        part = [row for row in rows if low <= row[2] <= high]
        assert (of_right.total == sum(right for _, right, _ in part)
                and of_wrong.count == sum(label == "correct" and not right for label, right, _ in part))


def test_the_text_holds_the_figures():
    verdicts, responses = made([("correct", True, 3)] * 20 + [("correct", False, 9)] * 5 + [("incorrect", True, 3)] * 6
                               + [("unparsed", True, 4)] * 4 + [("rejected", False, 9)] * 15)
    text = calibration(verdicts, responses)
    assert ("50 labelled verdicts of j\n" in text and "20 of 25 accepted answers are right" in text
            and "20 of 30 right answers are accepted" in text)
    assert [line.split() for line in text.splitlines()[2:6]] == [["correct", "20", "5"], ["incorrect", "6", "0"],
                                                                 ["unparsed", "4", "0"], ["rejected", "0", "15"]]
    assert "80.0% (60.9% to 91.1%)" in text and text.splitlines()[8].split() == ["Cohen's", "kappa", "0.40"]
    assert len(text.splitlines()) > 10 and "words" not in calibration([Verdict("e", "correct", extra={"right": True})])


def test_some_labels_are_enough_and_are_counted():
    verdicts, responses = made([("correct", True, 3)] * 5)
    for response in responses[2:]:
        del response.extra["right"]
    assert "2 labelled verdicts of j (3 more without a label)" in calibration(verdicts, responses)


@pytest.mark.parametrize("label", [1, "true", None, 0.0, []])
def test_labels_that_are_none(label):
    with pytest.raises(RecordError, match="right = .* on 'e'; expected true or false"):
        labels_of([Response("e", "x", extra={"right": label})])


def test_no_labels_at_all():
    for verdicts, responses in (([], []), ([Verdict("e", "correct")], [Response("e", "x")]),
                                ([Verdict("e", "correct")], [Response("other", "x", extra={"right": True})])):
        with pytest.raises(RecordError, match="no label on any"):
            calibration(verdicts, responses)


def test_published_solutions():
    """400 real answers of models to grade-school sums, labelled by their publisher:
    the numeric judge agrees with the labels."""
    examples, responses = load_solutions(real_data("gsm8k_model_solutions_slice.jsonl"))
    verdicts = judge(examples, responses, "numeric")
    labels = labels_of(responses)
    counts = confusion(verdicts, labels)
    assert len(labels) == len(responses) >= 300 and 0.1 < sum(labels.values()) / len(labels) < 0.9
    assert precision(counts).low > 0.95 and recall(counts).low > 0.9 and kappa(counts) > 0.95
    text = calibration(verdicts, responses)
    assert f"{len(responses)} labelled verdicts of numeric" in text and "accepted of the wrong" in text
