"""Many answers by kind, in our own words: those that must be doubted, whose every acceptance would train an error, and
those that should be accepted."""

import pytest
from judged_answers import (BOTH, CONTAINS_DOUBT, CONTAINS_RIGHT, EXACT_DOUBT, EXACT_RIGHT, LIKE_REFUSALS, MATH_DOUBT,
                            MATH_RIGHT, NO_REFUSALS, NUMERIC_DOUBT, NUMERIC_RIGHT, REFUSALS, rows)

from ssr_nb.judge import judge, rule_of
from ssr_nb.records import Example, Response
from ssr_nb.refusals import stance

SILENT = "The passage does not say."


def verdict(rule, gold, answer, answerable=None):
    [found] = judge([Example("Question?", gold, id="x", answerable=answerable)], [Response("x", answer)], rule)
    assert not found.reason.startswith("the rule failed"), found
    return found


def by(name, text):
    return [pytest.param(name, *row, id=f"{name}: {' | '.join(row)}"[:70].replace("\n", " ")) for row in rows(text)]


def of_several(text):
    return [pytest.param(*row, id=" | ".join(row)[:70].replace("\n", " ")) for row in rows(text)]


@pytest.mark.parametrize("rule, gold, answer", [*by("contains", CONTAINS_DOUBT), *by("numeric", NUMERIC_DOUBT),
                                                *of_several(EXACT_DOUBT), *of_several(LIKE_REFUSALS)])
def test_doubted(rule, gold, answer):
    found = verdict(rule, gold, answer)
    assert found.label in ("unparsed", "incorrect", "rejected") and found.reason, found


@pytest.mark.parametrize("rule, gold, answer", [*by("contains", CONTAINS_RIGHT), *by("numeric", NUMERIC_RIGHT),
                                                *of_several(EXACT_RIGHT)])
def test_accepted(rule, gold, answer):
    found = verdict(rule, gold, answer)
    assert found.label == "correct", found


@pytest.mark.parametrize("answer", [row[0] for row in rows(REFUSALS)])
def test_refused(answer):
    assert stance(answer) == "refusal" and verdict("refusal", SILENT, answer, False).label == "correct"


@pytest.mark.parametrize("answer", [row[0] for row in rows(NO_REFUSALS)])
def test_not_refused(answer):
    assert stance(answer) != "refusal" and verdict("refusal", SILENT, answer, False).label == "incorrect"


@pytest.mark.parametrize("answer", [row[0] for row in rows(BOTH)])
def test_refused_and_answered_at_once(answer):
    assert stance(answer) == "both"
    for rule in ("refusal", "contains", "squad", "exact"):
        assert verdict(rule, SILENT, answer, False).label == "incorrect"


@pytest.fixture(scope="module")
def math():
    "One rule, and so one process that compares, for all."
    pytest.importorskip("math_verify")
    return rule_of("math")


@pytest.mark.parametrize("gold, answer", of_several(MATH_DOUBT))
def test_formulas_doubted(math, gold, answer):
    assert verdict(math, gold, answer).label in ("unparsed", "incorrect")


@pytest.mark.parametrize("gold, answer", of_several(MATH_RIGHT))
def test_formulas_accepted(math, gold, answer):
    assert verdict(math, gold, answer).label == "correct"


@pytest.mark.parametrize("text, wanted", [(NUMERIC_DOUBT, False), (NUMERIC_RIGHT, True)], ids=["doubted", "accepted"])
def test_numbers_by_the_judge_for_formulas(math, text, wanted):
    wrong = [row for row in rows(text) if (verdict(math, *row).label == "correct") != wanted]
    # as formulas, golds in brackets or with signs are equal to themselves in other writing
    assert not [row for row in wrong if not wanted], wrong
    assert len(wrong) < 0.05 * len(rows(text)), wrong


def test_there_are_twenty_of_each_kind():
    for text in (CONTAINS_DOUBT, CONTAINS_RIGHT, NUMERIC_DOUBT, NUMERIC_RIGHT, EXACT_DOUBT, EXACT_RIGHT, MATH_DOUBT, MATH_RIGHT,
                 REFUSALS, NO_REFUSALS, BOTH):
        assert len(rows(text)) >= 20


@pytest.mark.parametrize("answer", [r"x \neq 8", r"x \not= 8", r"x \ne 8"])
def test_what_is_not_equal_is_no_number_whatever_writes_it(answer):
    assert verdict("numeric", "8", answer).label == "unparsed"


MILL = ("The Arlen mill was finished in 1790 by the builder Osric Vane. His nephew Tam Vane ran it until 1831, when the wheel was "
        "moved to Lund. The mill grinds rye and throws out the bran.\n\nQuestion: ")


@pytest.mark.parametrize("asked, gold, said", [
    ("Who built the mill?", "Osric Vane", "The mill was built by Osric Vane in 1831."),
    ("Who built the mill?", "Osric Vane", "The mill was built by Osric Vane in Lund."),
    ("When was the mill finished?", "1790", "It was begun in 1790."),
    ("When was the mill finished?", "1790", "In 1790 it burned."),
    ("Where was the wheel moved to?", "Lund", "It was moved from Lund."),
    ("Where was the wheel moved to?", "Lund", "Out of Lund."),
    ("Where did the wheel come from?", "Lund", "It came to Lund."),
    ("What does the mill throw out?", "the bran", "The mill buys the bran."),
    ("What does the mill throw out?", "the bran", "The mill takes up the bran."),
    ("What does the mill throw out?", "the bran", "The mill needs the bran."),
    ("What does the mill throw out?", "the bran", "The bran is thrown out by trucks."),
    ("What does the mill throw out?", "the bran", "The mill throws out the bran of Prague."),
    ("Who built the mill?", "Osric Vane", "The mill was sold by Osric Vane."),
    ("Who built the mill?", "Osric Vane", "The mill was built for Osric Vane."),
])
def test_a_sentence_of_the_task_turned_round_is_a_doubt(asked, gold, said):
    [found] = judge([Example(MILL + asked, gold, id="x")], [Response("x", said)], "contains")
    assert found.label == "unparsed", found


@pytest.mark.parametrize("asked, gold, said", [
    ("Who built the mill?", "Osric Vane", "The Arlen mill was built by Osric Vane."),
    ("Who built the mill?", "Osric Vane", "The mill was built by Osric Vane in 1790. It was finished in 1790."),
    ("Who built the mill?", "Osric Vane", "Osric Vane did."),
    ("Who built the mill?", "Osric Vane", "It was Osric Vane, a builder."),
    ("When was the mill finished?", "1790", "It was finished in 1790."),
    ("Where was the wheel moved to?", "Lund", "In 1831, it was moved to Lund."),
    ("What does the mill throw out?", "the bran", "The mill throws out the bran."),
    ("What does the mill throw out?", "the bran", "It is the bran."),
    ("When was the first door opened?", "1790", "It was opened in 1790."),
    ("What did it carry?", "rye", "It carried rye."),
])
def test_a_sentence_of_the_task_is_accepted(asked, gold, said):
    [found] = judge([Example(MILL + asked, gold, id="x")], [Response("x", said)], "contains")
    assert found.label == "correct", found
