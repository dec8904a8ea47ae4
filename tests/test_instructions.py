"""Rules for instructions: right and wrong answers of every kind, hostile ones, and agreement with IFEval's own checks."""

import importlib.util
import json
from pathlib import Path

import pytest

from ssr_nb.abilities import ability
from ssr_nb.instructions import INSTRUCTIONS, Kind, checks_of, counted, detected, instructions, sentence_counts
from ssr_nb.judge import judge, judge_one
from ssr_nb.records import Example, RecordError, Response

PROMPTS = Path(__file__).parent.parent.parent / "shared" / "data" / "ifeval_prompts.jsonl"

# kind: parameters, an answer that keeps it, and answers that don't (True after one: a doubt)
CASES = {
    "keywords:existence": ({"keywords": ["river", "boat"]}, "A boat on the river.", ["A ship on the river.", ("Boats on a river.", True)]),
    "keywords:frequency": ({"keyword": "sea", "frequency": 2, "relation": "at least"}, "Sea and sea.",
                           ["The sea and our searching.", ("The sea and the seas.", True)]),
    "keywords:forbidden_words": ({"forbidden_words": ["ill"]}, "He will be well.", ["He is ill.", "ILL!"]),
    "keywords:letter_frequency": ({"letter": "z", "let_frequency": 2, "let_relation": "at least"}, "Zoo of zebras", ["A zoo."]),
    "language:response_language": ({"language": "de"}, "Der Zug fährt heute leider erst gegen Abend ab.",
                                   ["The train leaves rather late this evening.", ("Oma", True),
                                    "Sure, here is the sentence that you wanted:\nDer Zug fährt heute leider erst am Abend ab."]),
    "length_constraints:number_sentences": ({"num_sentences": 2, "relation": "exactly"}, "It rained. Dr. Hale paid 3.5 pounds.",
                                            ["It rained.", "One. Two. Three.", ("A title\nIt rained. We left.", True)]),
    "length_constraints:number_paragraphs": ({"num_paragraphs": 2}, "One.\n\n***\n\nTwo.", ["One.\n\nTwo.", "One.\n***\n***\nTwo.", "***Bold***"]),
    "length_constraints:number_words": ({"num_words": 4, "relation": "at most"}, "Two wheels and pedals",
                                        ["It has two wheels and pedals.", ("A well-known old thing", True)]),
    "length_constraints:nth_paragraph_first_word": ({"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "however"},
                                                    "One.\n\nHowever, two.", ["However, one.", "One.\n\nTwo, however.", "One.\n\nTwo.\n\nHowever."]),
    "length_constraints:number_lines": ({"num_lines": 2, "relation": "exactly"}, "One,\n\ntwo.", ["One, two.", "1\n2\n3"]),
    "detectable_content:number_placeholders": ({"num_placeholders": 2}, "Dear [name], see you on [date].", ["Dear [name], [ ] [1].", "[a link](x) [name]"]),
    "detectable_content:postscript": ({"postscript_marker": "P.S."}, "Bye.\n\nP.S. Write soon!", ["Bye. I add a postscript.", "Bye.\nP.S.", "The P.S. is missing."]),
    "detectable_format:number_bullet_lists": ({"num_bullets": 2}, "Look:\n* One\n- Two", ["* One", "* One\n* Two\n* Three", "*One* and\n-5\n---"]),
    "detectable_format:numbered_list": ({"num_items": 2}, "1. One\n2. Two", ["1. One", "1. One\n3. Two", "1. One\n2. Two\n3. Three", "It is 1. One 2. Two"]),
    "detectable_format:separated_list": ({"num_items": 3, "separator": ";"}, "whale; cod; crab.",
                                         ["whale; cod", "Here are three of the animals: whale; cod; crab", "whale;\ncod;\ncrab", "whale; ; crab"]),
    "detectable_format:constrained_response": ({}, "My answer is no.", ["No.", "My answer is yes. My answer is no."]),
    "detectable_format:only_answer": ({"answers": ["false"]}, "\"False.\"", ["It is false.", "true", "true or false"]),
    "detectable_format:number_highlighted_sections": ({"num_highlights": 2}, "* *Old Mill*\n* **Raven Tower**", ["*one* two", "* a\n* b", ("** ** **", True)]),
    "detectable_format:multiple_sections": ({"section_spliter": "Part", "num_sections": 2}, "Part 1\nWe begin here.\n**Part 2**\nWe end here.",
                                            ["I use Part 1 and Part 2.", "Part 1\nPart 2", "Part 1\nWe begin here."]),
    "detectable_format:json_format": ({}, "```json\n{\"a\": [1]}\n```", ["{a: 1}", "Here: {\"a\": 1}", "7", "{\"a\": NaN}", "[" * 100_000 + "1"]),
    "detectable_format:json_keys": ({"keys": ["a", "b"]}, "{\"b\": 1, \"a\": \"x\"}", ["{\"a\": 1}", "{\"a\": 1, \"b\": 2, \"c\": 3}", "[1]", "{\"a\": 1, \"b\": \"\"}"]),
    "detectable_format:title": ({}, "<<The River>>\nIt flows.", ["<The River>", "<<>> It flows", "The River"]),
    "combination:two_responses": ({}, "Tea ****** Coffee", ["Tea", "Tea ****** tea", "Tea *** Coffee", "Tea ****** Coffee ****** Milk"]),
    "combination:repeat_prompt": ({"prompt_to_repeat": "Why red?"}, "Why red?\nSince green goes.", ["Why red?", "Since green goes.", "You ask: Why red? Since"]),
    "startend:start_checker": ({"start_phrase": "Arr"}, "Arr, matey.", ["Arrive soon.", "He said arr.", "```\nArr, matey.\n```"]),
    "startend:end_checker": ({"end_phrase": "Sleep well."}, "It is late. Sleep well.", ["Sleep well. Bye.", ("Sleep well", True), "```\nSleep well.\n```"]),
    "startend:quotation": ({}, "“Hold on to something.”", ["He said \"no\".", "\"No", ("\"\"", True), ("\"Go,\" he said, \"now.\"", True)]),
    "change_case:capital_word_frequency": ({"capital_frequency": 2, "capital_relation": "at least"}, "STOP and GO", ["stop", ("I said STOP", True)]),
    "change_case:english_capital": ({}, "THE FLOOR IS WET.", ["The floor is wet.", "DER ZUG FÄHRT HEUTE LEIDER ERST GEGEN ABEND AB."]),
    "change_case:english_lowercase": ({}, "the moon rises.", ["The moon rises.", "der zug fährt heute leider erst gegen abend ab."]),
    "punctuation:no_comma": ({}, "One and two.", ["One, two.", "一，二"]),
}


def asking(kind: str, kwargs: dict, prompt: str = "Write.") -> Example:
    return Example(prompt, "-", id=kind, extra={"instruction_id_list": [kind], "kwargs": [kwargs]})


def test_every_kind_has_cases():
    assert set(CASES) == set(INSTRUCTIONS)


@pytest.mark.parametrize("kind", CASES)
def test_right_and_wrong_answers(kind):
    kwargs, right, wrong = CASES[kind]
    example = asking(kind, kwargs)
    assert instructions(example, right).label == "correct", instructions(example, right)
    for case in wrong:
        answer, label = (case[0], "unparsed") if isinstance(case, tuple) else (case, "incorrect")
        verdict = instructions(example, answer)
        assert verdict.label == label, (answer, verdict)


@pytest.mark.parametrize("kind", CASES)
def test_line_ends_and_spaces_around_change_nothing(kind):
    kwargs, right, wrong = CASES[kind]
    example = asking(kind, kwargs)
    for answer in [right, *(case[0] if isinstance(case, tuple) else case for case in wrong)]:
        expected = instructions(example, answer).label
        for changed in (answer.replace("\n", "\r\n"), f"  {answer}  \n\n", answer.replace("\n", "  \n")):
            assert instructions(example, changed).label == expected, (answer, changed)


@pytest.mark.parametrize("answer", ["", "   ", "***", "\r\n"])
def test_nothing_said_is_a_doubt(answer):
    for kind, (kwargs, _, _) in CASES.items():
        assert instructions(asking(kind, kwargs), answer).label != "correct"
    assert instructions(asking("punctuation:no_comma", {}), answer).label == "unparsed"


def test_a_cut_off_answer_is_not_kept():
    example = asking("punctuation:no_comma", {})
    assert judge_one(example, Response("x", "One and two", finish_reason="length"), instructions).label == "rejected"


def test_repeating_the_prompt_keeps_nothing():
    for example in ability("instructions"):
        for line in [example.prompt, *example.prompt.split(". ")]:
            assert judge_one(example, Response(example.id, line), instructions).label != "correct", line


@pytest.mark.parametrize("count, wanted, relation, kept", [(3, 3, "at least", True), (3, 3, "less than", False), (3, 3, "at most", True),
                                                           (4, 3, "at most", False), (3, 3, "exactly", True), (2, 3, "exactly", False)])
def test_relations(count, wanted, relation, kept):
    assert counted(count, count, wanted, relation, "words").kept is kept


@pytest.mark.parametrize("extra, said", [
    ({}, "two lists"), ({"instruction_id_list": [], "kwargs": []}, "two lists"),
    ({"instruction_id_list": ["punctuation:no_coma"], "kwargs": [{}]}, "did you mean 'punctuation:no_comma'"),
    ({"instruction_id_list": ["punctuation:no_comma"], "kwargs": [{"n": 1}]}, "unexpected keyword argument 'n'"),
    ({"instruction_id_list": ["length_constraints:number_words"], "kwargs": [{"num_words": 3, "relation": "atleast"}]}, "at least"),
])
def test_what_no_rule_can_check_is_an_error(extra, said):
    with pytest.raises(RecordError, match=said):
        instructions(Example("Write.", "-", id="e7", extra=extra), "One.")


def test_null_parameters_are_not_given():
    example = asking("length_constraints:number_words", {"num_words": 2, "relation": "exactly", "keyword": None})
    assert instructions(example, "Two words").label == "correct"


@pytest.mark.parametrize("text, count", [
    ("Mr. J. R. Hale left the U.S. in 1990. It rained.", 2), ("It costs $4.99! Really?", 2), ("She asked, \"Why?\" and left.", 1),
    ("- One\n- Two\n- Three", 3), ("1. Boil water.\n2. Wait 3 min. or so.", 2), ("the robot hums. it rests.", 2),
    ("THE FLOOR IS WET. WALK!", 2), ("```\nOne. Two.\n```", 2)])
def test_sentences(text, count):
    low, high = sentence_counts(text)
    assert low <= count <= high and high - low <= len(text.split("\n")), (low, high)


def test_languages():
    assert detected("Les enfants jouent dans le jardin derrière la maison.").language == "fr"
    assert not detected("ok").sure and not detected("1 2 3").sure and not detected("").sure


def test_the_score_is_the_share_kept_and_reasons_name_the_kind():
    example = Example("Write.", "-", extra={"instruction_id_list": ["punctuation:no_comma", "change_case:english_lowercase"], "kwargs": [{}, {}]})
    verdict = instructions(example, "One and two")
    assert verdict.label == "incorrect" and verdict.score == 0.5 and verdict.reason.startswith("english_lowercase")
    assert judge([example], [Response(example.id, "one and two")], "instructions")[0].label == "correct"


def test_a_kind_of_ones_own():
    INSTRUCTIONS.add(Kind("own:shout", lambda text: checks_of(asking("punctuation:no_comma", {}), text)[0][1], own=True))
    try:
        assert instructions(asking("own:shout", {}), "No").label == "correct"
    finally:
        del INSTRUCTIONS["own:shout"]


# answers on which our rule and IFEval's part, by kind, and why
PARTED = {
    "keywords:existence": "a keyword within another word", "keywords:frequency": "a keyword within another word",
    "detectable_format:number_bullet_lists": "-5 and *highlights* at the beginning of a line are no points",
    "detectable_format:multiple_sections": "sections that are spoken of, or empty",
    "detectable_content:number_placeholders": "[1], [ ] and links", "detectable_content:postscript": "a marker without a postscript",
    "combination:repeat_prompt": "the request without an answer", "detectable_format:json_format": "a bare value, and NaN",
    "detectable_format:constrained_response": "several options at once", "startend:quotation": "typographic quotation marks",
    "combination:two_responses": "answers that differ in case alone", "length_constraints:number_paragraphs": "bold italics",
    "punctuation:no_comma": "commas of other scripts",
    "keywords:letter_frequency": "", "startend:end_checker": "", "detectable_format:title": "",
}


def ifeval():
    if importlib.util.find_spec("lm_eval") is None or importlib.util.find_spec("langdetect") is None:
        pytest.skip("lm_eval[ifeval] isn't installed: pip install 'ssr-nb[benchmarks]'")
    try:
        from lm_eval.tasks.ifeval import instructions_registry
    except Exception as error:  # it fetches data of nltk when it is imported
        pytest.skip(f"lm-eval's IFEval can't be imported here: {type(error).__name__}")
    return instructions_registry.INSTRUCTION_DICT


def theirs(registry, kind, kwargs, answer):
    "What IFEval's check says, None where it needs data that aren't here or knows no such relation."
    check = registry[kind](kind)
    try:
        check.build_description(**kwargs)
        return bool(answer.strip()) and bool(check.check_following(answer))
    except (LookupError, ValueError, RecursionError):
        return None


@pytest.mark.parametrize("kind", [kind.name for kind in INSTRUCTIONS.values() if not kind.own])
def test_agrees_with_ifeval_on_the_cases(kind):
    registry = ifeval()
    kwargs, right, wrong = CASES[kind]
    answers = [(right, True)] + [(case, False) for case in wrong if isinstance(case, str)]
    if kind == "language:response_language":
        answers = answers[:2]  # their language is that of the most letters
    for answer, ours in answers:
        other = theirs(registry, kind, kwargs, answer.replace("“", '"').replace("”", '"') if ours else answer)
        if other is None:
            pytest.skip(f"{kind} can't be asked of lm-eval here: data of nltk, or a relation that is ours")
        if not ours and other and kind in PARTED:
            continue  # ours is the stricter rule
        assert other == ours, (kind, answer)


def test_agrees_with_ifeval_on_its_own_prompts():
    registry = ifeval()
    if not PROMPTS.is_file():
        pytest.skip("IFEval's prompts aren't at hand")
    rows = [json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
    answers = [example.completion for example in ability("instructions")]
    asked = agreed = 0
    stricter, laxer = [], []
    for i, row in enumerate(rows):
        for kind, kwargs in zip(row["instruction_id_list"], row["kwargs"]):
            kwargs = {key: value for key, value in kwargs.items() if value is not None}
            for answer in answers[i % 12::12]:
                ours, other = checks_of(asking(kind, kwargs), answer)[0][1].kept, theirs(registry, kind, kwargs, answer)
                if ours is None or other is None:
                    continue
                asked, agreed = asked + 1, agreed + (ours == other)
                (stricter if other else laxer).extend([(kind, answer)] * (ours != other))
    assert asked > 5_000 and agreed / asked > 0.99, (asked, agreed)
    assert {kind for kind, _ in stricter} <= set(PARTED) | {"language:response_language"}, stricter[:5]
    assert {kind for kind, _ in laxer} <= {"language:response_language", "change_case:english_capital", "change_case:english_lowercase",
                                           "startend:quotation", "change_case:capital_word_frequency"}, laxer[:5]
