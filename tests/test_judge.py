"""Judge: tables of answers as real models give them, hostile ones too, and the official SQuAD
score written once more."""
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_nb.judge import (JUDGES, Judge, check_judge, judge, judge_row, loops, register, rule_of, summary,
                          tally, unfit)
from ssr_nb.rules import all_of, any_of, by_answerable, contains, exact, numeric, squad_at
from ssr_nb.numbers import final_number
from ssr_nb.options import option
from ssr_nb.reading import squad_scores, visible
from ssr_nb.records import Example, RecordError, Response, Verdict, read_records
from ssr_nb.refusals import refuses, stance
from ssr_nb.tables import pack_rows
from ssr_nb.formats import load_solutions
from ssr_nb.tasks import load_examples

SAMPLES = Path(__file__).parent / "data"
SHARED = Path(os.environ.get("SSR_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
with_shared = pytest.mark.skipif(not (SHARED / "gsm8k_model_solutions_slice.jsonl").exists(),
                                 reason=f"no published data in {SHARED} (SSR_SHARED_DATA names another folder)")

WHERE = Example("The lamp of mira is in the attic.\nWhere is the lamp?", "attic", id="q1",
                answers=["attic", "the attic"], answerable=True)
NOWHERE = Example("The lamp of mira is in the attic.\nWhere is the drum?", "i do not know", id="q2", answers=[],
                  answerable=False)


def label(rule, example, answer, **response):
    [verdict] = judge([example], [Response(example.id, answer, **response)], rule)
    assert verdict.reason and verdict.judge == rule_of(rule).__name__
    return verdict.label


def in_a_process(code, **given):
    "What a fresh Python process prints; its working folder is not this one's."
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, **given)
    assert said.returncode == 0, said.stderr
    return said.stdout.strip()


@pytest.mark.parametrize("asked", ["'squad'", "{'name': 'squad', 'threshold': 0.5}", "{'name': 'llm', 'model': 'big'}"])
def test_no_torch(asked):
    "Neither the module, nor the table with the rows of others, nor a judge that would load a model later."
    assert in_a_process(f"import sys\nfrom ssr_nb.judge import check_judge, rule_of\ncheck_judge({asked})\n"
                        f"print(rule_of({asked}).__name__, {{'torch', 'datasets', 'transformers', 'matplotlib', 'httpx'}} "
                        "& set(sys.modules))").endswith("set()")


# SQuAD, against a second writing of the official rule that shares no code with the first

def reference_tokens(text):
    kept = [c for c in text.lower() if c not in "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"]
    return re.split(r"\s+", re.sub(r"\b(?:the|an|a)\b", " ", "".join(kept)).strip()) if kept else [""]


def reference(prediction, answers):
    words = lambda text: [t for t in reference_tokens(text) if t]
    usable = [a for a in answers if words(a)] or [""]
    best_em = best_f1 = 0.0
    for gold in usable:
        p, g = words(prediction), words(gold)
        em = 1.0 if p == g else 0.0
        left, same = list(g), 0
        for word in p:
            if word in left:
                left.remove(word)
                same += 1
        if not p or not g:
            f1 = em
        elif same == 0:
            f1 = 0.0
        else:
            precision, recall = same / len(p), same / len(g)
            f1 = 2 * precision * recall / (precision + recall)
        best_em, best_f1 = max(best_em, em), max(best_f1, f1)
    return best_em, best_f1


SOME_TEXT = st.lists(st.sampled_from(["a", "The", "an", "cat", "cat,", "1850", "1.5", "-", "'", "É", "é", "\u00a0",
                                      "  ", "\n", "theatre", "a-b", "“x”", "ß", "_"]), max_size=8).map(" ".join)


@settings(max_examples=400, deadline=None)
@given(SOME_TEXT | st.text(max_size=20), st.lists(SOME_TEXT | st.text(max_size=10), max_size=4))
def test_squad_scores_equal_the_official_rule(prediction, answers):
    assert squad_scores(prediction, answers) == pytest.approx(reference(prediction, answers))


@pytest.mark.parametrize("prediction, answers, em, f1", [
    ("", [], 1, 1), ("the", [], 1, 1), ("attic", [], 0, 0), ("", ["attic"], 0, 0), ("Attic!", ["the attic"], 1, 1),
    ("", ["the", "."], 1, 1), ("cat", ["the", "cat"], 1, 1), ("the old attic", ["attic"], 0, 2 / 3),
    ("cat cat", ["cat"], 0, 2 / 3), ("x", ["cat", "x y"], 0, 2 / 3)])
def test_squad_scores_table(prediction, answers, em, f1):
    assert squad_scores(prediction, answers) == (em, pytest.approx(f1))


@pytest.mark.parametrize("answers, said, wanted", [
    (["1850"], "1850.", "correct"), (["1850"], "It was built in 1850.", "incorrect"), (["1850"], "1851", "incorrect"),
    (["King Henry I"], "King Henry II", "incorrect"), (["2.5 kilograms"], "25 kilograms", "incorrect"),
    (["-7"], "7", "incorrect"), (["10th and 11th centuries"], "in the 10th and 11th centuries", "correct"),
    (["1850"], "The passage does not say.", "incorrect")])
def test_squad_verdicts(answers, said, wanted):
    assert label("squad", Example("When ?", answers[0], answers=answers, answerable=True), said) == wanted


@pytest.mark.parametrize("said, wanted", [("The passage doesn't say.", "correct"), ("attic", "incorrect"),
                                          ("Unanswerable.", "correct"), ("", "rejected")])
@pytest.mark.parametrize("rule", ["squad", "exact", "contains", "refusal"])
def test_no_answer_means_refusal(rule, said, wanted):
    assert label(rule, NOWHERE, said) == wanted


@pytest.mark.parametrize("said, wanted", [
    ("in the attic .", "correct"), ("The lamp is in the attic, the passage says", "correct"),
    ("The lamp is in the attic, mira says", "unparsed"),
    ("It is not in the attic.", "unparsed"), ("It isn’t in the attic.", "unparsed"),
    ("attic, cellar, loft, kitchen", "unparsed"), ("The attic? No, the cellar.", "unparsed"),
    ("attic or cellar", "unparsed"), ("either the attic or the cellar", "unparsed"), ("atticus", "incorrect"),
    ("cellar", "incorrect"), ("The passage does not say, but maybe attic", "incorrect"),
    ("in the at\u200btic", "correct"), ("\u200fattic", "correct"), ("<script>alert(1)</script> attic", "rejected"),
    ("attic\x07", "rejected"), ("\u202ecitta attic", "rejected"), ("ＡＴＴＩＣ", "correct")])
def test_contains(said, wanted):
    assert label("contains", WHERE, said) == wanted


def test_contains_wants_yes_and_no_first():
    yes = Example("Is it ?", "yes")
    assert [label("contains", yes, s)
            for s in ["Yes, it is.", "I would say that yes", "no"]] == ["correct", "unparsed", "incorrect"]


def test_numbers_are_compared_as_written():
    heavy = Example("How heavy ?", "2.5 kilograms")
    assert label("exact", heavy, "25 kilograms") == "incorrect" and label("exact", heavy, "2.5 kilograms.") == "correct"
    assert label("contains", Example("t ?", "7"), "It is -7.") == "unparsed"


# numbers

NUMBERS = [
    ("#### 18", 18), ("A: 18", 18), ("The answer is 18.", 18), ("$1,800.00", 1800), ("18 apples", 18),
    ("1/2", Fraction(1, 2)), ("18.0", 18), ("It is -7.", -7), ("−7", -7), ("-$5", -5), ("$-5", -5), ("minus 5", -5),
    ("3.25", Fraction(13, 4)), (".5", Fraction(1, 2)), ("25%", 25), ("1,260 people", 1260), ("**18**", 18),
    ("The answer is **18**.", 18), ("**Answer:** 18", 18), ("**Final answer: 18**", 18), (r"\boxed{18}", 18),
    (r"$\boxed{1{,}800}$", 1800), (r"\(\boxed{\frac{3}{4}}\)", Fraction(3, 4)), (r"\boxed{\$18}", 18),
    (r"\boxed{18 \text{ apples}}", 18), ("１８", 18), ("١٨", 18), ("1 1/2 cups", Fraction(3, 2)), ("1½", Fraction(3, 2)),
    ("16 - 3 = 13\n13 * 2 = 26", 26), ("So 9 * 2 = $18 per day.", 18), ("2 million dollars", 2_000_000),
    ("70k", 70_000), ("#### 1,080", 1080), ("Answer: $18", 18), ("The final answer is: 18", 18),
    ("the answer to the question is 18", 18), ("She had 3. She got 4.\nNow she has 7.", 7), ("#### -3", -3),
    ("A: 10.833333333333332", Fraction("10.833333333333332")), ("The answer was 5 at first.\n#### 18", 18),
    ("48/2 = 24. 48+24 = 72. #### 72", 72), ("x = 5", 5), ("1.234,50", Fraction("1234.5")), ("10³", 1000),
    ("\u200b18\u200b", 18), ("She makes 9 x 2 = 18 dollars every day.", 18), ("20-2=18", 18),
    ("Answer: 16-3-4=9 eggs, 9*2 = 18", 18),
]
NO_NUMBERS = ["18 or 20", "between 10 and 12", "10-12", "The answer is not 18.", "It isn't 18.", "A: 18\nA: 20",
              "#### 18\n#### 20", "I like trains.", "", "A:", "1/0", "9" * 80, "0." + "3" * 5000, "12:30", "5²"[1:]]


@pytest.mark.parametrize("text, value", NUMBERS)
def test_final_numbers(text, value):
    assert final_number(text) == (value, "")
    gold = Example("How many ?", "steps\n#### 18", answers=[str(value)])
    assert numeric(gold, text).label == "correct"


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_doubtful_numbers(text):
    value, why = final_number(text)
    assert value is None and why
    assert numeric(Example("How many ?", "#### 18"), text).label == "unparsed"


@settings(max_examples=300, deadline=None)
@given(st.integers(-10**9, 10**9), st.sampled_from([
    "#### {}", "A: {}", "The answer is {}.", "It has 3 of 4 parts.\n\nSo it is {} apples.", "**{}**", r"\boxed{{{}}}"]),
       st.booleans())
def test_whole_numbers_are_read_back(value, form, commas):
    assert final_number(form.format(f"{value:,}" if commas else value))[0] == value


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200) | st.text(alphabet="0123456789.,-/$%#=: aAn\n{}\\boxed", max_size=80))
def test_no_text_breaks_a_rule(text):
    for name in ("exact", "contains", "squad", "numeric", "refusal"):
        for example in (WHERE, NOWHERE, Example("How many ?", "#### 18")):
            [verdict] = judge([example], [Response(example.id, text)], name)
            assert not verdict.reason.startswith("the rule failed"), verdict


@pytest.mark.parametrize("text", ["attic " * 10_000, "9" * 100_000, "a" * 100_000, "- " * 40_000, "#### " * 20_000,
                                  "the passage " * 10_000, "((((" * 20_000, "1,234" * 20_000,
                                  "8 is " * 20_000, "room 8 " * 20_000, "a: b, and c " * 10_000, " " * 100_000 + "attic"])
def test_very_long_answers_take_no_long_time(text):
    "A pattern that goes back over the text for each letter would compute for minutes."
    import time
    begin = time.process_time()
    for name in ("exact", "contains", "squad", "numeric", "refusal"):
        for example in (WHERE, NOWHERE):
            rule_of(name)(example, text)
            unfit(example, Response(example.id, text))
    assert time.process_time() - begin < 20


# refusals

REFUSALS = """mira is not mentioned in the passage .
The passages don't say.
The given documents do not provide information about this.
None of the passages mention it.
The provided passages do not mention who paid.
The question can't be answered from the passages.
i do not know
the passage does not say where the lamp of mira is .
I cannot answer that.
I'm sorry, but I cannot answer that from the text.
I don't know.
I can’t answer this question based on the passage.
It is not mentioned in the passage.
That isn't stated in the text.
The passage doesn't mention who paid for it.
The text does not explicitly state the price.
The provided passage does not contain this information.
There is no information about the price in the passage.
There is not enough information to answer.
This cannot be determined from the passage.
It can't be determined.
The question cannot be answered from the given text.
The question can't be answered from the passage.
Unanswerable
unanswerable.
The question is unanswerable.
Not mentioned.
The answer isn't in the passage.
The passage never says who paid.
Nothing in the text says who paid.
No answer
Not enough information.
Based on the passage, it is impossible to determine who paid.
According to the article, this is not specified. The article does not say.
The passage says nothing about the price.
The passage gives no information on that.
Unfortunately, the document doesn't provide that detail.
The passage only describes the dough. It does not say what a loaf costs.
The passage does not say who might have paid.
I am unable to answer this from the context.
We do not know.
However, the passage does not specify this.
The answer is not given in the text.
No information is given in the passage about its cost.
**The passage does not say.**""".split("\n")
NOT_REFUSALS = """the Tomb of the Unknown Soldier
unknown soldier
no
not guilty
The Unanswered Question
no one
nothing
not in 1850
the attic
he did not answer the letter
It was not built in 1850.
They could not agree on a price
No, it is not.
a lack of information
the information office
The king did not know of the plot.
The passage to India
They found no gold in the mountains.
because the question was hard
the unanswerable letter
There is no water on the moon
knowledge
can't stop""".split("\n")
BOTH = """The passage does not say, but maybe attic
the passage does not say ... but maybe attic
I don't know, probably the attic.
In the attic. The passage does not say more.
The lamp is in the attic; the passage does not say whose it is.
It is not mentioned. However, I think it is the attic.
The passage does not mention it. It might be the attic.
I can't answer that, though my guess is the attic""".split("\n")


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text):
    assert stance(text) == "refusal"
    assert label("refusal", NOWHERE, text) == "correct" and label("contains", WHERE, text) == "incorrect"


@pytest.mark.parametrize("text", NOT_REFUSALS)
def test_what_is_no_refusal(text):
    assert not refuses(text)
    assert label("exact", Example("What ?", text, answers=[text], answerable=True), text) == "correct"


@pytest.mark.parametrize("text", BOTH)
def test_refusal_and_answer_at_once_is_neither(text):
    assert stance(text) == "both"
    for rule in ("contains", "squad", "exact", "refusal"):
        assert label(rule, WHERE, text) == label(rule, NOWHERE, text) == "incorrect"


def test_refusal_alone_can_not_tell_content():
    assert label("refusal", WHERE, "attic") == "unparsed" and label("refusal", WHERE, "I don't know.") == "incorrect"


# before any rule

@pytest.mark.parametrize("answer, reason", [
    ("", "empty"), (" \n\t", "empty"), ("\u200b\ufeff", "empty"), ("...", "nothing but punctuation"),
    ("attic " * 20, "loops"), ("a b c " * 9, "loops"), ("x" * 60, "loops"),
    ("Where is the lamp?", "repeats the prompt"),
    ("The lamp of mira is in the attic. Where is the lamp?", "repeats the prompt"),
    ("attic</s>", "leftovers"), ("attic<|eot_id|>", "leftovers"), ("attic\nUser: and the drum?", "leftovers"),
    ("attic \ufffd", "broken text"), ("attic\x00", "broken text")])
def test_answers_that_are_none(answer, reason):
    assert unfit(WHERE, Response("q1", answer)).startswith(reason)
    assert label("contains", WHERE, answer) == "rejected"


FUNCTION = '''from typing import List


def close(numbers: List[float], threshold: float) -> bool:
    """ Tell for a given list of numbers whether any two of them are closer to each other than
    a given threshold, and nothing else about the numbers in that list.
    >>> close([1.0, 2.0], 0.5)
    False
    """
'''
BODY = "    ordered = sorted(numbers)\n    return any(b - a < threshold for a, b in zip(ordered, ordered[1:]))\n"


@pytest.mark.parametrize("answer, fit", [
    (f"Here is the function:\n\n```python\n{FUNCTION}{BODY}```", True), (f"Sure.\n{FUNCTION}{BODY}", True), (FUNCTION + BODY, True),
    (f"```python\n{FUNCTION}{BODY}```\nIt sorts first.", True), (BODY, True),
    (FUNCTION, False), (f"Sure.\n{FUNCTION}", False), (f"```python\n{FUNCTION}```", False)])
def test_a_function_that_is_completed_begins_as_the_prompt_does(answer, fit):
    found = unfit(Example(FUNCTION, BODY), Response("x", answer))
    assert found == "" if fit else found == "repeats the prompt"


@pytest.mark.parametrize("mark", [
    "<thinking>where?</thinking>", "[THINK]where?[/THINK]", "<reasoning>", "</think>", "<scratchpad>", "[PAD]", "<pad>", "<unk>", "[UNK]",
    "</s>", "<bos>", "<extra_id_0>", "<tool_call>{}</tool_call>", "<function_call>", "<function=search>", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]",
    "<invoke name='x'>", "<|assistant|>", "<|im_start|>", "<｜end▁of▁sentence｜>", "<start_of_turn>", "<<SYS>>", "[INST]", "<analysis>",
    "[gMASK]", "<sop>", "<image>", "<inner_monologue>", "◁think▷", "◁/think▷", "<0x0A>", "▁"])
def test_marks_that_are_left_over(mark):
    for answer in (f"{mark} attic", f"attic {mark}", f"attic\n{mark}\n"):
        assert unfit(WHERE, Response("q1", answer)).startswith("leftovers"), answer
    asked = Example(f"What does {mark} mean?", "a mark")
    assert not unfit(asked, Response("x", f"{mark} is a mark of the template"))
    assert not unfit(Example("Which mark?", f"it is {mark}"), Response("x", f"This one: {mark}"))


@pytest.mark.parametrize("said", ["Question: {}", "Q: {}", "**Question:** {}", "{}", "Prompt: {}"])
def test_the_question_over_again_is_no_answer_whatever_its_label(said):
    asked = Example("Where does Mira keep the drum?", "attic")
    assert unfit(asked, Response("x", said.format(asked.prompt))) == "repeats the prompt"


@pytest.mark.parametrize("prompt, said, repeats", [
    ("Passage: The drum of Mira, which her aunt had bought in town, is in the attic.\n\nQuestion: Where is the drum?",
     "The drum of Mira, which her aunt had bought in town, is in the attic.", False),
    ("The drum of Mira, which her aunt had bought in town, is in the attic.\n\nWhere is the drum?",
     "The drum of Mira, which her aunt had bought in town, is in the attic.", False),
    ("Passage: The drum of Mira, which her aunt had bought in town, is in the cellar.\n\nQuestion: Where is the drum?",
     "The drum of Mira, which her aunt had bought in town, is in the cellar.", True),  # no gold in it
    ("Passage: Mira lives in town. The drum that her aunt had bought is in the attic.\n\nQuestion: Where is the drum?",
     "Mira lives in town. The drum that her aunt had bought is in the attic.", True),  # all of the passage
    ("Is the drum that Mira's aunt had bought for her in the attic or in the cellar?\n\nSay where.",
     "Is the drum that Mira's aunt had bought for her in the attic or in the cellar?", True),
    ("The drum of Mira, which her aunt had bought in town, is in the attic.",
     "The drum of Mira, which her aunt had bought in town, is in the attic.", True)])
def test_the_one_sentence_of_a_passage_is_no_mere_repetition_where_it_holds_gold(prompt, said, repeats):
    found = unfit(Example(prompt, "in the attic", answers=["attic", "in the attic"]), Response("x", said))
    assert found == ("repeats the prompt" if repeats else "")
    if not repeats:
        assert judge([Example(prompt, "attic", id="x")], [Response("x", said)], "contains")[0].label == "correct"


def test_what_a_passage_itself_says_with_would_is_no_doubt_of_the_answers():
    asked = Example("Passage: The lamp would burn for the next nine days.\n\nQuestion: How long did the lamp burn?", "nine days", id="x")
    for said, label in [("It would burn for the next nine days.", "correct"), ("It would be nine days.", "unparsed"),
                        ("The lamp might burn for the next nine days.", "unparsed")]:
        assert judge([asked], [Response("x", said)], "contains")[0].label == label, said


def test_a_clause_after_and_makes_no_list():
    asked = Example("Passage: The mill was built in 1712 and sold soon.\n\nQuestion: When was the mill built?", "1712", id="x")
    for said, label in [("The mill was built in 1712, and it was sold soon.", "correct"), ("The mill was built in 1712, and in 1713.", "unparsed"),
                        ("The mill was built in 1712 and it was sold in 1713.", "unparsed")]:
        assert judge([asked], [Response("x", said)], "contains")[0].label == label, said


@pytest.mark.parametrize("call", ['{"name": "find", "arguments": {"what": "attic"}}', '[{"name": "find", "arguments": {}}]',
                                  '```json\n{"name": "find", "parameters": {"what": "attic"}}\n```',
                                  '{"type": "function", "name": "find", "parameters": {}}'])
def test_a_call_without_a_mark_is_no_answer(call):
    assert unfit(WHERE, Response("q1", call)) == "leftovers: a call of a tool"
    assert not unfit(Example("Where is it?", call), Response("x", call))
    assert not unfit(Example(f"Fill this in: {call}", "attic"), Response("x", call.replace("find", "look")))
    assert not unfit(WHERE, Response("q1", '{"name": "attic", "floor": 3}'))


@pytest.mark.parametrize("answer", ["Assistant: attic", "attic\nHuman: and the drum?", "**User:** attic", "attic\n### Instruction: more",
                                    "system: attic", "### Response:\nattic", "## Instruction\nattic", "Action: search[attic]",
                                    "Thought: where is it?\nAction: attic", "attic\nObservation: found", "Action Input: attic"])
def test_turns_of_a_talk_are_left_over(answer):
    assert unfit(WHERE, Response("q1", answer)).startswith("leftovers")


@pytest.mark.parametrize("answer", ["in the attic <3", "[attic]", "`</s>` stands in the attic", "```html\n<script>go()</script>\n```",
                                    "the user: she is in the attic", "x < s > attic", "a thinking man in the attic",
                                    "action: none was taken in the attic", "Ġgantija", "# The attic"])
def test_what_is_no_leftover(answer):
    assert not unfit(WHERE, Response("q1", answer))


def test_cut_off_is_rejected_even_if_right():
    assert label("exact", WHERE, "attic", finish_reason="length") == "rejected"


def test_gold_is_never_trivial():
    copy = Example("repeat :\nred red red red red red red red red", "red red red red red red red red red")
    assert label("exact", copy, copy.completion) == "correct"
    assert label("exact", Example("which sign ?", "+"), "+") == "correct"
    assert not loops("one two three four five six seven eight nine ten")


def test_hidden_characters():
    assert visible("a\u00adb\u2060c") == "abc" and visible("e\u0301") == "é" and visible("x²") == "x²"


# composition, registry

def test_composition():
    either, both = any_of(exact, contains), all_of(contains, exact)
    assert label(either, WHERE, "in the attic .") == "correct" and label(both, WHERE, "in the attic .") == "incorrect"
    assert label(both, WHERE, "the attic") == "correct" and label(either, WHERE, "cellar") == "incorrect"
    assert either.__name__ == "exact or contains" and both.__name__ == "contains and exact"
    assert label(by_answerable(squad_at(0.5)), NOWHERE, "i do not know") == "correct"


@pytest.fixture
def rows():
    "The table as it was, after a test that adds to it."
    JUDGES.named("llm")  # and with the rows that other modules add
    before = dict(JUDGES)
    yield JUDGES
    for name in set(JUDGES) - set(before):
        del JUDGES[name]


def test_register(rows):
    register("mine", lambda example, answer: Verdict(example.id, "correct", reason="always"))
    assert label("mine", WHERE, "x") == "correct"
    for taken in ("mine", "exact", "llm", "code"):
        with pytest.raises(RecordError, match=f"'{taken}' already"):
            register(taken, exact)


@pytest.mark.parametrize("asked, said", [
    ("nosuch", "found judge 'nosuch'; expected one of exact, contains, squad"),
    ("sqaud", "did you mean 'squad'"), (None, "found judge None"), (3, "found judge 3"), (["squad"], "found judge"),
    ({"name": "sqaud"}, "did you mean 'squad'"), ({"threshold": 0.5}, "without a name; expected .*name: squad"),
    ({"name": "squad", "treshold": 0.5}, "judge 'squad': .*'treshold'.*did you mean 'threshold'"),
    ({"name": "squad", "threshold": 85}, "judge 'squad': found threshold=85; expected .*at most 1"),
    ({"name": "squad", "threshold": float("nan")}, "judge 'squad': found threshold=nan"),
    ({"name": "squad", "threshold": "high"}, "judge 'squad': found threshold='high'"),
    ({"name": "exact", "threshold": 0.5}, "judge 'exact' with threshold; expected nothing to set"),
])
def test_judges_that_there_are_none_of(asked, said):
    for use in (check_judge, rule_of, lambda asked: judge([WHERE], [Response("q1", "attic")], asked)):
        with pytest.raises(ValueError, match=said):
            use(asked)


def test_a_judge_must_be_asked_for():
    with pytest.raises(TypeError, match="judge"):
        judge([WHERE], [Response("q1", "attic")])


def test_what_verdicts_carry_tells_the_settings(tmp_path):
    assert rule_of("squad").__name__ == rule_of({"name": "squad", "threshold": 0.85}).__name__ == "squad"
    loose = {"name": "squad", "threshold": "5e-1"}  # as YAML reads 5e-1
    assert rule_of(loose).__name__ == "squad threshold=0.5" and label(loose, WHERE, "the old attic") == "correct"
    responses = [Response("q1", "the old attic")]
    judge([WHERE], responses, "squad", tmp_path / "v.jsonl")
    with pytest.raises(RecordError, match="verdict of judge 'squad' on 'q1'; expected verdicts of 'squad threshold=0.5'"):
        judge([WHERE], responses, loose, tmp_path / "v.jsonl")


def test_names_of_options_of_every_kind(rows):
    @dataclass(frozen=True)
    class Options:
        least: int = option(help="No default.")
        places: list = option(factory=lambda: ["attic"])
        where: str | None = option(None)

    rows.add(Judge("picky", lambda options: exact, options=Options))
    named = {"least=3": {"least": 3}, "least=3 places=['barn'] where=here": {"least": 3, "places": ["barn"], "where": "here"}}
    for title, given in named.items():
        assert rule_of({"name": "picky"} | given).__name__ == f"picky {title}"
    with pytest.raises(ValueError, match="judge 'picky': .*least"):
        check_judge("picky")


def test_rows_are_found_by_name_mapping_and_not_for_a_rule():
    assert judge_row("squad").metrics[0] == "accuracy" and judge_row({"name": "llm"}) is judge_row("llm") is JUDGES["llm"]
    assert judge_row(exact) is None
    with pytest.raises(RecordError, match="did you mean 'squad'"):
        judge_row({"name": "sqaud"})


def test_every_row_says_what_it_is():
    JUDGES.named("exact")
    for row in JUDGES.values():
        assert row.summary and row.metrics and (row.options is None or row.options.__doc__), row.name


def test_a_factory_that_makes_no_rule_is_an_error_and_not_many_unparsed_answers(rows):
    rows.add(Judge("forgetful", lambda: None))
    with pytest.raises(RecordError, match="found None, made by judge 'forgetful'; expected a rule"):
        judge([WHERE], [Response("q1", "attic")], "forgetful")


def test_a_judge_that_keeps_something_is_told_where(rows, tmp_path):
    told = []

    def make(keep=None):
        told.append(keep)
        return exact

    rows.add(Judge("keeper", make, keeps=True))
    for given, out in [({}, None), ({"out": tmp_path / "v.jsonl"}, tmp_path / "v"),
                       ({"out": tmp_path / "w.jsonl", "keep": "elsewhere"}, "elsewhere"), ({"keep": "there"}, "there")]:
        judge([WHERE], [Response("q1", "attic")], "keeper", **given)
        assert told.pop() == out


NOTEBOOK = """
from dataclasses import dataclass
from ssr_nb.judge import JUDGES, Judge, register, rule_of
from ssr_nb.rules import any_of, contains, exact
from ssr_nb.options import check_options, option
from ssr_nb.records import Verdict

limit = 2

@dataclass(frozen=True)
class ShortOptions:
    words: int = option(limit, "Most words.", at_least=1)
    def __post_init__(self):
        check_options(self)

def make_short(options):
    def short(example, answer):
        return Verdict(example.id, "correct" if len(answer.split()) <= options.words else "incorrect", reason="words")
    return short

def by_the_table(example, answer):
    return JUDGES["exact"].make()(example, answer)

JUDGES.add(Judge("short", make_short, options=ShortOptions))
register("a lambda", lambda example, answer: Verdict(example.id, "correct" if len(answer) > limit else "incorrect", reason="l"))
register("by the table", by_the_table)
register("either", any_of(rule_of("exact"), rule_of("contains")))
register("llm or exact", any_of(exact, rule_of({"name": "llm", "model": "nowhere"})))
"""
ASKED = ["short", {"name": "short", "words": 5}, "a lambda", "by the table", "either", "llm or exact"]
WORKER = f"""
from pathlib import Path
from ssr_nb.judge import judge
from ssr_nb.records import Example, Response
from ssr_nb.tables import unpack_rows
unpack_rows(Path("rows.bin").read_bytes())
example = Example("Where ?", "attic", id="q1", answers=["attic", "in the attic"], answerable=True)
for asked in {ASKED!r}:
    [v] = judge([example], [Response("q1", "in the attic")], asked)
    print(v.judge, v.label, sep=": ")
"""


def test_judges_of_a_notebook_are_known_to_another_process(rows, tmp_path):
    exec(NOTEBOOK, {"__name__": "__main__"})
    (tmp_path / "rows.bin").write_bytes(pack_rows())
    assert in_a_process(WORKER, cwd=tmp_path).splitlines() == [
        "short: incorrect", "short words=5: correct", "a lambda: correct", "by the table: correct", "either: correct",
        "llm or exact: correct"]


def test_judges_of_a_plugin_are_known_where_it_is_named(tmp_path):
    (tmp_path / "shortest.py").write_text(NOTEBOOK.replace('"short"', '"shortest"'))
    said = in_a_process("from ssr_nb.judge import JUDGES, rule_of\nfrom ssr_nb.tables import load_plugins, pack_rows\n"
                        "load_plugins(['shortest.py'])\nprint(rule_of('shortest').__name__, "
                        "rule_of({'name': 'shortest', 'words': 9}).__name__, sep=', ')\n"
                        "try:\n    rule_of('shortes')\nexcept ValueError as error:\n    print(error)\n"
                        "print(JUDGES.origins['shortest'].endswith('shortest.py'), b'shortest' in pack_rows())",
                        cwd=tmp_path).splitlines()
    assert said[0] == "shortest, shortest words=9" and "did you mean 'shortest'" in said[1] and said[2] == "True False"


def test_a_rule_that_fails_is_unparsed_and_one_that_gives_no_verdict_an_error():
    def fails(example, answer):
        raise ZeroDivisionError("oh")

    [verdict] = judge([WHERE], [Response("q1", "attic")], fails)
    assert verdict.label == "unparsed" and "ZeroDivisionError: oh" in verdict.reason
    for given_back in (True, Verdict("q1", "right"), Verdict("q1", "correct", 7.0)):
        with pytest.raises(RecordError, match="a Verdict"):
            judge([WHERE], [Response("q1", "attic")], lambda example, answer: given_back)


# agreement

def samples(*texts):
    return [Response("q1", text, extra={"sample": i}) for i, text in enumerate(texts)]


def test_agreement_counts_the_samples_that_a_rule_accepts():
    said = samples("in the attic", "It is in the attic.", "the cellar", "Perhaps the attic.", "attic")
    labels = lambda least: [v.label for v in judge([WHERE], said, {"name": "agreeing", "at_least": least})]
    assert labels(3) == ["correct", "correct", "incorrect", "unparsed", "correct"]
    assert labels(4) == ["unparsed", "unparsed", "incorrect", "unparsed", "unparsed"]
    [first, *_] = judge([WHERE], said, {"name": "agreeing", "at_least": 4})
    assert first.reason == "too few agree: 3 of 5 samples, 4 wanted" and first.judge == "agreeing at_least=4"
    assert judge([WHERE], samples("attic"), {"name": "agreeing", "rule": "exact", "at_least": 1})[0].label == "correct"


def test_agreement_is_the_same_in_a_run_that_goes_on(tmp_path):
    said = samples("in the attic", "attic", "the attic", "cellar")
    asked = {"name": "agreeing", "rule": {"name": "squad", "threshold": 0.9}, "at_least": 2}
    whole = judge([WHERE], said, asked, tmp_path / "whole.jsonl")
    lines = (tmp_path / "whole.jsonl").read_bytes().splitlines(keepends=True)
    for done in range(5):
        (tmp_path / "v.jsonl").write_bytes(b"".join(lines[:done]))
        assert judge([WHERE], said, asked, tmp_path / "v.jsonl") == whole
    assert [v.label for v in whole] == ["incorrect", "correct", "correct", "incorrect"]


@pytest.mark.parametrize("wrong, said", [({"at_least": 0}, "at least 1"), ({"rule": "sqaud"}, "did you mean 'squad'"), ({"rul": "exact"}, "did you mean 'rule'")])
def test_agreement_that_can_not_be_asked_for(wrong, said):
    with pytest.raises(ValueError, match=said):
        rule_of({"name": "agreeing"} | wrong)


# likelihood, and judges joined

def by_likelihood(*pairs):
    return [Response("q1", text, logprob=logprob, tokens=4, extra={"sample": i}) for i, (text, logprob) in enumerate(pairs)]


def test_likelihood_doubts_what_surprised_the_model_and_what_has_none():
    said = by_likelihood(("in the attic", -0.2), ("in the attic", -4.0), ("in the attic", None), ("the cellar", -0.1))
    found = judge([WHERE], said, {"name": "likely", "rule": "contains", "at_least": -0.6})
    assert [v.label for v in found] == ["correct", "unparsed", "unparsed", "incorrect"]
    assert found[1].reason == "unlikely to the model itself: -1.00 nats a token, -0.6 wanted"
    assert found[2].reason == "no likelihood of it is kept" and found[0].judge == "likely at_least=-0.6"


def test_joined_judges_accept_together_and_the_second_is_asked_about_what_the_first_accepts(monkeypatch):
    seen = []

    def second(example, answer):
        return Verdict(example.id, "correct" if "the" in answer else "incorrect", 1.0, "seen")

    second.prepare = lambda pairs: seen.extend(answer for _, answer in pairs)
    monkeypatch.setitem(JUDGES, "second", Judge("second", lambda: second))
    said = by_likelihood(("in the attic", -0.2), ("attic", -0.2), ("the cellar", -0.2), ("in the attic", -9.0))
    found = judge([WHERE], said, {"name": "joined", "rules": ["contains", "second"]})
    assert [v.label for v in found] == ["correct", "incorrect", "incorrect", "correct"]
    assert seen == ["in the attic", "attic", "in the attic"]
    found = judge([WHERE], said, {"name": "joined", "rules": ["contains", "likely", "second"]})
    assert [v.label for v in found] == ["correct", "incorrect", "incorrect", "unparsed"]


def test_likelihood_goes_around_agreement():
    said = by_likelihood(("in the attic", -0.2), ("attic", -9.0), ("cellar", -0.1))
    around = {"name": "likely", "rule": {"name": "agreeing", "at_least": 2}}
    assert [v.label for v in judge([WHERE], said, around)] == ["correct", "unparsed", "incorrect"]


@pytest.mark.parametrize("wrong, said", [
    ({"name": "likely", "at_least": 0.5}, "at most 0"), ({"name": "likely", "rule": "sqaud"}, "did you mean 'squad'"),
    ({"name": "joined"}, "two judges or more"), ({"name": "joined", "rules": ["contains"]}, "two judges or more"),
    ({"name": "joined", "rules": ["contains", {"name": "squad", "treshold": 1}]}, "did you mean 'threshold'"),
    ({"name": "agreeing", "rule": "likely"}, "around that")])
def test_joints_that_can_not_be_asked_for(wrong, said):
    with pytest.raises(ValueError, match=said):
        rule_of(wrong)


def test_a_rule_that_fails_on_a_sample_is_no_agreement(monkeypatch):
    def fails(example, answer):
        if answer == "attic":
            raise ZeroDivisionError("oh")
        return Verdict(example.id, "correct", 1.0)

    monkeypatch.setitem(JUDGES, "fails", Judge("fails", lambda: fails))
    said = samples("in the attic", "the attic", "attic")
    assert [v.label for v in judge([WHERE], said, {"name": "agreeing", "rule": "fails", "at_least": 2})] == ["correct", "correct", "unparsed"]


def test_golds_without_a_number_are_reported_once(capsys):
    examples = [Example(f"{i} ?", gold, id=f"q{i}") for i, gold in enumerate(["5", "(3, 4)", "#### 7", "9 m^2"])]
    verdicts = judge(examples, [Response(e.id, "5") for e in examples], "numeric")
    assert [v.label for v in verdicts] == ["correct", "unparsed", "incorrect", "unparsed"]
    assert capsys.readouterr().err == "numeric: 2 of 4 golds hold no single number; their answers are unparsed\n"
    judge(examples[:1], [Response("q0", "5")], "numeric")
    assert capsys.readouterr().err == ""


# files

def numbered(n=20):
    return ([Example(f"{i} ?", str(i), id=f"q{i}") for i in range(n)],
            [Response(f"q{i}", str(i + i % 2)) for i in range(n)])


def test_resumes_from_every_byte(tmp_path, capsys):
    examples, responses = numbered(3)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "verdicts.jsonl"
    verdicts = judge(examples, responses, "exact", whole)
    content = whole.read_bytes()
    for size in range(len(content) + 1):
        out.write_bytes(content[:size])
        assert judge(examples, responses, "exact", out) == verdicts
        assert out.read_bytes() == content


def test_samples_are_told_apart(tmp_path):
    responses = [Response("q1", text, extra={"sample": i}) for i, text in enumerate(["attic", "cellar"])]
    verdicts = judge([WHERE], responses, "exact", tmp_path / "v.jsonl")
    assert [(v.extra["sample"], v.label) for v in verdicts] == [(0, "correct"), (1, "incorrect")]
    assert read_records(tmp_path / "v.jsonl", Verdict) == verdicts
    with pytest.raises(RecordError, match="several responses under one id: 'q1'"):
        judge([WHERE], [Response("q1", "a"), Response("q1", "b")], "exact")


def test_what_does_not_belong_together_is_named(tmp_path, capsys):
    examples, responses = numbered(3)
    out = tmp_path / "v.jsonl"
    with pytest.raises(RecordError, match="1 of 3 responses without an example: 'q2'"):
        judge(examples[:2], responses, "exact", out)
    judge(examples, responses[:2], "exact", out)
    assert "1 of 3 examples have no response: 'q2'" in capsys.readouterr().err
    with pytest.raises(RecordError, match="judge 'exact'.*'contains'"):
        judge(examples, responses, "contains", out)
    changed = [Response("q0", "another"), *responses[1:]]
    for made_for in [lambda: judge(examples, changed, "exact", out),
                     lambda: judge(examples, responses[1:], "exact", out)]:
        with pytest.raises(RecordError, match="'q0' that was made for another answer"):
            made_for()


def test_counts(tmp_path):
    examples, responses = numbered(10)
    verdicts = judge(examples, [*responses[:9], Response("q9", "")], "exact")
    assert tally(verdicts) == {"correct": {"the accepted answer": 5}, "incorrect": {"another answer": 4},
                               "unparsed": {}, "rejected": {"empty": 1}}
    assert "10 verdicts" in summary(verdicts) and "50.0%" in summary(verdicts) and summary([])


# samples and published files

def test_the_samples_gold_is_right():
    for name, rule in [("squad_sample.json", "squad"), ("squad_sample.json", "exact"),
                       ("squad_sample.json", "contains"), ("gsm8k_sample.jsonl", "numeric")]:
        examples = load_examples(SAMPLES / name)
        verdicts = judge(examples, [Response(e.id, e.completion) for e in examples], rule)
        assert [v for v in verdicts if v.label != "correct"] == []


def test_numeric_agrees_with_the_samples_labels():
    examples, responses = load_solutions(SAMPLES / "model_solutions_sample.jsonl")
    assert [v.label == "correct"
            for v in judge(examples, responses, "numeric")] == [r.extra["is_correct"] for r in responses]


def test_micro_takes_any_wording():
    pytest.importorskip("ssr_nb.microworld")
    examples = load_examples("microworld", n=40)
    assert {v.label for v in judge(examples, [Response(e.id, e.completion) for e in examples], "micro")} == {"correct"}
    assert {label("micro", e, "i do not know") for e in examples if e.answerable} == {"incorrect"}


@pytest.mark.parametrize("question, gold, said, right", [
    ("When was it built?", "1861", "The lighthouse was built in 1861 by a crew of {} men.", ("forty", "40")),
    ("Under whom was it built?", "Tom Bell", "It was built by {} men under Tom Bell.", ("forty", "40")),
    ("How many rooms has it?", "12", "It has {} rooms.", ("twelve", "12")),
    ("How many men built it?", "forty", "It was built by {} men.", ("forty", "40"))])
def test_a_number_is_the_tasks_own_in_words_and_in_digits(question, gold, said, right):
    passage = "The lighthouse was built in 1861 by a crew of forty men under Tom Bell. It has 12 rooms."
    example = Example(f"Passage: {passage}\n\nQuestion: {question}", gold, id="l", answers=[gold], answerable=True)
    for number in (*right, "fifty", "50"):
        assert (label("contains", example, said.format(number)) == "correct") == (number in right), number


@with_shared
def test_numeric_agrees_with_every_published_label():
    examples, responses = load_solutions(SHARED / "gsm8k_model_solutions_slice.jsonl")
    verdicts = judge(examples, responses, "numeric")
    assert len(verdicts) == 400
    assert [v.label == "correct" for v in verdicts] == [r.extra["is_correct"] for r in responses]


@with_shared
@pytest.mark.parametrize("file, rule", [("squad_v2_dev_slice.json", "squad"), ("squad_v2_dev_slice.json", "contains"),
                                        ("gsm8k_train_slice.jsonl", "numeric")])
def test_published_gold_is_right(file, rule):
    examples = load_examples(SHARED / file)
    verdicts = judge(examples, [Response(e.id, e.completion) for e in examples], rule)
    assert [v for v in verdicts if v.label != "correct"] == []
    assert not any(refuses(answer) for e in examples for answer in e.answers)
