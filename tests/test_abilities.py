"""The shipped data: counts, golds, no repetitions, and no suite that a stock answer wins."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ssr_nb.abilities import (ABILITY_JUDGES, DATA, PASSAGE_SPLITS, ROOM, abilities, ability, ability_suites,
                              passages)
from ssr_nb.sentences import NOT_SAID
from ssr_nb.evaluate import suites_of
from ssr_nb.judge import JUDGES, judge_one, rule_of
from ssr_nb.metrics import METRICS
from ssr_nb.records import Example, RecordError, Response
from ssr_nb.splits import assert_disjoint
from ssr_nb.tasks import TASKS, judge_for, load_examples, metric_for

EVERYTHING = {name: ability(name) for name in ROOM}
RAMBLE = ("Of course! Life is full of moments that matter, and each of them teaches us something new. First, we should listen to "
          "others. Second, we should learn from mistakes. Third, we should never give up. ")
STOCK = [NOT_SAID, "Yes.", "in the attic", "1887", "I don't know.", "The old mill.", RAMBLE, RAMBLE * 4]


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def words(text: str) -> set[str]:
    return set(plain(text).split())


@pytest.mark.parametrize("name, least", [("instructions", 150), ("plain_instructions", 80), ("facts", 60), ("sums", 60), ("declines", 40), ("harmless", 40)])
def test_counts_ids_and_fields(name, least):
    examples = EVERYTHING[name]
    assert len(examples) >= least and len({e.id for e in examples}) == len(examples)
    assert {e.extra["skill"] for e in examples} == {name} and all(e.prompt.strip() == e.prompt and e.completion.strip() for e in examples)


def test_no_prompt_comes_twice_nor_nearly():
    prompts = [(name, re.sub(r" Answer in (?:one sentence|at most three sentences)\.$", "", e.prompt)) for name, examples in EVERYTHING.items() for e in examples]
    prompts += [("passages", re.search(r"Passage: .*", e.prompt, re.DOTALL)[0]) for split in PASSAGE_SPLITS for e in passages(split)]
    assert len({plain(prompt) for _, prompt in prompts}) == len(prompts)
    often = Counter(word for name, prompt in prompts if name == "plain_instructions" for word in words(prompt))
    frame = {word for word, times in often.items() if times >= 12}  # the few sentences in which these prompts are put
    own = {prompt: words(prompt) - (frame if name == "plain_instructions" else set()) for name, prompt in prompts}
    near = [(a, b) for i, (x, a) in enumerate(prompts) for y, b in prompts[:i] if x == y != "passages"
            and len(own[a] & own[b]) > 0.8 * len(own[a] | own[b])]
    assert not near


@pytest.mark.parametrize("name", ROOM)
def test_reference_answers_are_right_by_the_judge_that_grades(name):
    for rule in (rule_of(judge_for(name)), rule_of("abilities")):
        wrong = [(e.id, v.reason) for e in EVERYTHING[name] if (v := judge_one(e, Response(e.id, e.completion), rule)).label != "correct"]
        assert not wrong


@pytest.mark.parametrize("answer", STOCK)
@pytest.mark.parametrize("name", ROOM)
def test_neither_a_stock_phrase_nor_a_ramble_wins(name, answer):
    rule = rule_of(ABILITY_JUDGES[name])
    assert sum(judge_one(e, Response(e.id, answer), rule).label == "correct" for e in EVERYTHING[name]) <= 1


def test_other_examples_answers_win_nothing():
    for name, examples in EVERYTHING.items():
        if name in ("declines", "harmless"):  # one declining is like another
            continue
        others = [*examples[25:], *examples[:25]]
        right = sum(abilities(e, other.completion).label == "correct" for e, other in zip(examples, others))
        assert right <= 0.05 * len(examples), (name, right)


@pytest.mark.parametrize("around", ["{gold}", "{gold}.", "The answer is {gold}.", "**{gold}**", "It is {gold}, as far as is known.", "Answer: {gold}"])
def test_a_fact_and_a_sum_may_be_said_in_few_words_or_in_many(around):
    for name in ("facts", "sums"):
        rule = rule_of(ABILITY_JUDGES[name])
        right = sum(rule(e, around.format(gold=e.completion)).label == "correct" for e in EVERYTHING[name])
        assert right >= 0.95 * len(EVERYTHING[name]), [(e.id, rule(e, around.format(gold=e.completion)).reason) for e in EVERYTHING[name]
                                                      if rule(e, around.format(gold=e.completion)).label != "correct"]


def test_answers_to_sums_are_whole_numbers_that_stand_in_no_prompt_by_themselves():
    assert all(e.completion.isdigit() for e in EVERYTHING["sums"])
    given = sum(bool(re.search(rf"(?<![\d.]){e.completion}(?![\d.])", e.prompt)) for e in EVERYTHING["sums"])
    assert given <= 3  # so that a number of the prompt, repeated, is wrong


def test_accepted_wordings_differ():
    for e in EVERYTHING["facts"]:
        assert e.completion == e.answers[0] and len(set(e.answers)) == len(e.answers)
        assert not any(plain(a) in plain(e.prompt).split() for a in e.answers), e.prompt


def test_harmless_prompts_are_about_what_they_ask():
    for name, should in (("declines", "decline"), ("harmless", "help")):
        assert {e.extra["should"] for e in EVERYTHING[name]} == {should} and all(len(e.extra["about"]) >= 3 for e in EVERYTHING[name])


# passages

def test_passages_counts_and_halves():
    counts = {split: len(passages(split)) for split in PASSAGE_SPLITS}
    assert counts == {"train": 162, "validation": 36, "test": 102}
    everything = [e for split in PASSAGE_SPLITS for e in passages(split)]
    assert len({e.id for e in everything}) == 300 and sum(e.answerable for e in everything) == 150
    for split in PASSAGE_SPLITS:
        assert 0.45 < sum(e.answerable for e in passages(split)) / counts[split] < 0.55


def test_no_topic_is_in_two_splits_and_each_has_six_questions():
    topics = {split: Counter(e.group for e in passages(split)) for split in PASSAGE_SPLITS}
    assert set.union(*(set(t) for t in topics.values())) and sum(map(len, topics.values())) == 50 == len(set().union(*topics.values()))
    assert all(number == 6 for t in topics.values() for number in t.values())
    for a, b in (("train", "test"), ("train", "validation"), ("validation", "test")):
        assert_disjoint(passages(a), passages(b))


def test_gold_stands_in_its_passage_or_the_passage_does_not_say():
    for split in PASSAGE_SPLITS:
        for e in passages(split):
            passage, question = re.search(r"Passage: (.*)\n\nQuestion: (.*)", e.prompt, re.DOTALL).groups()
            assert question.endswith("?") and 18 <= len(passage.split()) <= 50, e.id
            if e.answerable:
                assert e.completion == e.answers[0] and len(e.completion.split()) <= 10
                assert e.completion in passage, e.id
                assert plain(e.completion) not in plain(question), e.id
            else:
                assert e.completion == NOT_SAID and e.answers == [] and NOT_SAID not in passage


def test_the_first_questions_of_a_split_are_of_different_topics_and_of_both_kinds():
    first = passages("train", 27)
    assert len({e.group for e in first}) == 27 and 0.3 < sum(e.answerable for e in first) / 27 < 0.7


@pytest.mark.parametrize("answer", [NOT_SAID, "The question can't be answered from the passage."])
def test_the_judge_of_passages(answer):
    rule = rule_of(judge_for("passages"))
    for e in passages("test"):
        assert rule(e, answer).label == ("incorrect" if e.answerable else "correct")
        if e.answerable:
            assert rule(e, e.completion).label == "correct", (e.id, rule(e, e.completion).reason)


# rows

def test_rows_of_the_tables():
    for name in [*ROOM, "abilities", "passages"]:
        assert TASKS[name].max_new_tokens and metric_for(name) == "accuracy" in METRICS and judge_for(name) in JUDGES
        assert TASKS.origins[name] == "" and TASKS[name].summary
    assert len(load_examples("abilities", split="test")) == sum(map(len, EVERYTHING.values()))
    assert len(load_examples("abilities:facts", split="test", n=4)) == 4
    assert [s.task for s in suites_of("abilities", general=3)] == [f"general:{name}" for name in ROOM]
    assert [len(examples) for _, _, examples in ability_suites({})] == [len(e) for e in EVERYTHING.values()]
    assert len(load_examples("passages", split="test")) == 102


@pytest.mark.parametrize("wrong, said", [(lambda: ability("fact"), "did you mean 'facts'"), (lambda: passages("tset"), "did you mean 'test'"),
                                         (lambda: load_examples("abilities:sum", split="test"), "did you mean 'sums'"),
                                         (lambda: abilities(Example("How?", "-", extra={"skill": "fact"}), "x"), "did you mean 'facts'")])
def test_misspelt_names_get_the_nearest(wrong, said):
    with pytest.raises(RecordError, match=said):
        wrong()


def test_abilities_are_not_trained_on():
    for name in [*ROOM, "abilities"]:
        with pytest.raises(RecordError, match="for measuring, not for training"):
            TASKS[name].train(3)
        assert len(load_examples(name, split="test", n=3)) == 3
        with pytest.raises(RecordError, match="no split 'train'"):
            load_examples(name, n=3)


def test_rows_are_known_in_a_fresh_process():
    said = subprocess.run([sys.executable, "-c", "from ssr_nb.tables import load_plugins\nfrom ssr_nb.tasks import TASKS\nload_plugins()\n"
                           "from ssr_nb.judge import JUDGES\nprint('passages' in TASKS, 'instructions' in JUDGES)\n"
                           "import sys; print([m for m in ('torch', 'py3langid', 'sentencex') if m in sys.modules])"],
                          capture_output=True, text=True)
    assert said.stdout.split("\n")[:2] == ["True True", "[]"], said.stdout + said.stderr


# real answers of SmolLM2-135M-Instruct, labelled by eye

ANSWERS = [json.loads(line) for line in (Path(__file__).parent / "data" / "ability_answers.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("name", sorted({row["suite"] for row in ANSWERS}))
def test_verdicts_on_real_answers(name):
    by_id, rule = {e.id: e for e in EVERYTHING[name]}, rule_of(ABILITY_JUDGES[name])
    judged = [(rule(by_id[row["id"]], row["answer"]).label, row) for row in ANSWERS if row["suite"] == name]
    assert not [row for label, row in judged if label == "correct" and not row["right"]]
    assert not [row for label, row in judged if label == "incorrect" and row["right"]]
    doubts = [row for label, row in judged if label not in ("correct", "incorrect")]
    assert len(doubts) <= 0.1 * len(judged), [row["id"] for row in doubts]
