"""The micro-world: what is drawn, what is right, and what can be asked for by name."""

import random
import subprocess
import sys
from dataclasses import replace

import pytest

from ssr_nb.microworld import (
    CATEGORIES, CITIES, COLORS, COUNTRIES, DOMAINS, FOODS, JOBS, KIND_OF, KINDS, OBJECTS, PARTS, PEOPLE, PLACES, SKILLS,
    SPLITS, ask, draw_facts, draw_passage, general_examples, in_your_own_words, micro, microworld_examples, right,
    split_of, target_examples)
from ssr_nb.records import Example, RecordError, from_row, to_row


def test_the_world_is_imported_without_torch():
    code = "import sys, ssr_nb.microworld; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_word_stands_in_two_tables():
    words = [w for table in (PEOPLE, OBJECTS, PLACES, JOBS, COLORS, FOODS, KIND_OF, CATEGORIES, COUNTRIES, CITIES) for w in table]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("domain", DOMAINS)
def test_passages_belong_to_their_split_and_leave_somebody_out(domain):
    for seed in range(60):
        for split in SPLITS:
            passage = draw_passage(random.Random(seed), DOMAINS[domain], split)
            people, things, places = map(set, zip(*passage.facts))
            assert split_of(passage.text) == split and len(places) == len(passage.facts)
            assert passage.absent_person not in people and passage.absent_thing not in things
            assert all(word in passage.text.split() for fact in passage.facts for word in fact)


def test_a_crossed_passage_needs_both_person_and_thing():
    crossed = 0
    for seed in range(1000):
        facts, _, _ = draw_facts(random.Random(seed), DOMAINS["home"])
        assert len({fact[:2] for fact in facts}) == len(facts), "a pair has one place"
        people, things, _ = map(list, zip(*facts))
        crossed += len(facts) > 2 and len(set(people)) < len(people) and len(set(things)) < len(things)
    assert 280 < crossed < 390  # half of two thirds


@pytest.mark.parametrize("kind", KINDS)
def test_only_an_answerable_question_has_its_pair_in_the_passage(kind):
    for seed in range(100):
        passage = draw_passage(random.Random(seed), DOMAINS["home"], "train")
        question = ask(random.Random(seed), passage, kind)
        who, what, where = question.key
        assert (kind == "answerable") == any(fact[:2] == (who, what) for fact in passage.facts) == (where is not None)
        assert (who in passage.text.split()) == (kind != "person")
        assert (what in passage.text.split()) or kind in ("person", "object")


@pytest.mark.parametrize("part", PARTS)
def test_gold_is_right_in_both_forms_and_after_a_file(part):
    for example in microworld_examples(part, "test", 30):
        assert example == from_row(Example, to_row(example))
        for answer in (example.completion, example.extra["terse"], example.completion.upper().replace(" .", ".")):
            verdict = micro(example, answer)
            assert (verdict.id, verdict.label, verdict.score, verdict.judge) == (example.id, "correct", 1.0, "micro")
        assert verdict.reason.startswith("right content: ")
        wrong = micro(example, "tower" if example.answerable is False else "i do not know")
        assert (wrong.label, wrong.score) == ("incorrect", 0.0) and wrong.reason.startswith("other content: ")


@pytest.mark.parametrize("answer, ok", [
    ("attic", True), ("the attic .", True), ("Petra keeps it in the attic.", True), ("attic attic", True),
    ("attic or hall", False), ("milo keeps it in the attic", False), ("the quilt is in the attic", False),
    ("i do not know , attic", False), ("", False)])
def test_a_place_is_right_alone(answer, ok):
    example = Example("where is the drum of petra ?", "attic", extra={"skill": "passage", "key": ["petra", "drum", "attic"]})
    assert right(example, answer)[0] is ok


@pytest.mark.parametrize("answer, ok", [
    ("45", True), ("45 is more than 12 .", True), ("45 is more .", False), ("45 is more than 45 .", False),
    ("45 is less than 12 .", False), ("45 is more than 13 .", False), ("12 is less than 45 .", False), ("45 12", False),
    ("45 45", False), ("45 is more than 12 , 12 is more than 45 .", False), ("more", False), ("", False)])
def test_a_comparison_is_right_as_a_whole(answer, ok):
    example = Example("which is more , 12 or 45 ?", "45 is more than 12 .", extra={"skill": "compare", "key": ["45", "more", "12"]})
    assert right(example, answer)[0] is ok


@pytest.mark.parametrize("extra", [{}, {"skill": "passage"}, {"skill": "poem", "key": "x"}])
def test_a_stranger_is_an_error_and_not_a_wrong_answer(extra):
    with pytest.raises(ValueError, match="expected a micro-world example"):
        micro(Example("where ?", "here", extra=extra), "here")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("split", SPLITS)
def test_parts_by_name_are_the_functions_examples(part, split):
    found = microworld_examples(part, split, 12, seed=3)
    assert found == (general_examples(12, split, 3) if part == "general" else target_examples(12, split, part, 3))
    assert len(found) == (12 * len(SKILLS) if part == "general" else 12)


def test_parts_have_the_sizes_of_the_experiments():
    assert len(microworld_examples("home", "train")) == 600 and len(microworld_examples("general", "test")) == 40 * len(SKILLS)


@pytest.mark.parametrize("part, split, message", [
    ("shiftd", "test", r"found part 'shiftd'; expected one of home, shifted, jobs, general \(did you mean 'shifted'\?\)"),
    ("moon", "test", r"found part 'moon'; expected one of home, shifted, jobs, general$"),
    ("", "test", "found part ''"),
    ("home", "tset", r"found split 'tset'; expected one of train, validation, test \(did you mean 'test'\?\)")])
def test_another_part_or_split_is_an_error_with_the_nearest_name(part, split, message):
    with pytest.raises(RecordError, match=message):
        microworld_examples(part, split, 4)


def test_no_content_of_the_test_is_in_training():
    def contents(split):
        rows = [e for domain in DOMAINS for seed in (0, 1) for e in target_examples(200, split, domain, seed)]
        return {e.group for e in rows} | {e.prompt for e in general_examples(40, split) if e.extra["skill"] not in ("fact", "hop", "category")}
    train, validation, test = map(contents, SPLITS)
    assert not train & (validation | test) and not validation & test


def test_own_words_hold_prompt_and_hint():
    example = replace(target_examples(1, "train")[0])
    assert in_your_own_words(example.prompt, "attic") == f"{example.prompt} hint : attic . say it in your own words ."
