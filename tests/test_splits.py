"""Splits that share nothing."""

import random

import pytest
from conftest import real_data
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_nb.records import Example, RecordError, write_records
from ssr_nb.splits import assert_disjoint, bundles, near_copies, same_prompt, split_examples, tell_near_copies
from ssr_nb.tasks import load_examples


def made(groups):
    return [Example(f"question {i} ?", str(i), group=g) for i, g in enumerate(groups)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([None, *"abcdefgh"]), min_size=4, max_size=60), st.integers(1, 10), st.integers(1, 10),
       st.integers(0, 5))
def test_splits_share_nothing(groups, train, test, seed):
    examples = made(groups)
    try:
        splits = split_examples(examples, {"train": train, "test": test}, seed)
    except RecordError:
        return
    assert (len(splits["train"]), len(splits["test"])) == (train, test)
    assert_disjoint(splits["train"], splits["test"])
    assert splits == split_examples(examples, {"train": train, "test": test}, seed)
    for split in splits.values():
        assert split == sorted(split, key=lambda e: int(e.completion))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([None, *"abcd"])), max_size=40))
def test_bundles_hold_everything_once_and_join_what_hangs_together(rows):
    examples = [Example(f"question {prompt}", str(i), group=group) for i, (prompt, group) in enumerate(rows)]
    made_of = bundles(examples)
    assert sorted(e.completion for b in made_of for e in b) == sorted(e.completion for e in examples)
    for i, bundle in enumerate(made_of):
        for other in made_of[i + 1:]:
            assert not {e.prompt for e in bundle} & {e.prompt for e in other}
            assert not {e.group for e in bundle if e.group} & {e.group for e in other if e.group}


def test_shares_use_everything_and_seeds_differ():
    examples = made([None] * 100)
    splits = split_examples(examples, {"train": 0.8, "test": 0.2})
    assert (len(splits["train"]), len(splits["test"])) == (80, 20)
    assert splits != split_examples(examples, {"train": 0.8, "test": 0.2}, seed=1)


@pytest.mark.parametrize("sizes", [{}, {"train": 0}, {"train": -1}, {"train": 1.5}, {"train": 0.0}, {"train": True},
                                   {"train": "10"}, {"train": 101}, {"a": 0.7, "b": 0.7}])
def test_sizes_that_make_no_sense(sizes):
    with pytest.raises(RecordError, match="expected"):
        split_examples(made([None] * 100), sizes)


def test_one_group_can_not_be_two_splits():
    with pytest.raises(RecordError, match="can't make"):
        split_examples(made(["a"] * 100), {"train": 50, "test": 50})


def test_overlaps_are_named():
    train = [Example("Where is the  lamp ?", "a", id="t1"), Example("other ?", "b", id="t2")]
    test = [Example([{"role": "user", "content": "where is the lamp ?"}], "c", id="e1")]
    with pytest.raises(RecordError, match="1 prompts of train in test: 't1' = 'e1'.*where is the lamp"):
        assert_disjoint(train, test)
    with pytest.raises(RecordError, match='1 groups of train in test: "g"'):
        assert_disjoint([Example("a ?", "1", group="g")], [Example("b ?", "2", group="g")])
    assert same_prompt(Example("ｗｈｅｒｅ ?", "")) == same_prompt(Example("Where\n?", ""))


def test_published_files_whole():
    squad = load_examples(real_data("squad_v2_dev_slice.json"))
    splits = split_examples(squad, {"train": 48, "test": 16})
    assert_disjoint(splits["train"], splits["test"])
    assert_disjoint(*(load_examples(real_data(f"gsm8k_{split}_slice.jsonl")) for split in ("train", "test")))


# the same question, and nearly the same

def one(text, system=None):
    return Example([*([{"role": "system", "content": system}] if system else []), {"role": "user", "content": text}], "x", id="e1")


@pytest.mark.parametrize("text", [
    "where is the lamp ?", "Where is the lamp", "WHERE IS THE LAMP!", "where is the “lamp”?", "«Where is the lamp?»", "where\u200b is the lamp?",
    "Where is the\u00a0lamp\ufeff?", "Whe\u00adre is the lamp?", "Where is the lamp？", "Where, is the lamp?", "¿Where is the lamp?",
    "Where is\u200bthe lamp...", "'Where is the lamp?'", "Where is the lamp ?!", "ｗｈｅｒｅ is the lamp?", "Where is the ‘lamp’?"])
@pytest.mark.parametrize("system", [None, "You are a helpful assistant.", "Answer from memory, in one word, and say so where you can't."])
def test_the_same_question_is_seen_however_it_is_written(text, system):
    train = [Example("Where is the lamp?", "attic", id="t1"), Example("Another one?", "x", id="t2")]
    with pytest.raises(RecordError, match="1 prompts of train in test: 't1' = 'e1'"):
        assert_disjoint(train, [one(text, system)])
    with pytest.raises(RecordError, match="1 prompts of train in test: 'e1' = 't1'"):
        assert_disjoint([one(text, system)], train)
    assert len(bundles([*train, one(text, system)])) == 2


@pytest.mark.parametrize("a, b", [("What's the capital?", "What’s the capital ?"), ("l'eau est-elle chaude ?", "L’eau est-elle chaude?"),
                                  ("天は青いか。", "天は青いか？"), ("क्या यह सही है।", "क्या यह सही है?"), ("a—b?", "a-b?"), ("Cafe\u0301?", "Café")])
def test_quotes_and_marks_of_any_script(a, b):
    assert same_prompt(Example(a, "")) == same_prompt(one(b))


MEANT = ["What is 5?", "What is -5?", "What is .5?", "What is 5!?", "What is 5%?", "What is $5?", "What is 1.5?", "What is 1,5?", "What is 15?",
         "What is 1 5?", "What is 2 + 2?", "What is 2 - 2?", "What is 2 * 2?", "What is 2 / 2?", "Is x < 2?", "Is x > 2?", "Is x = 2?", "What is (1, 5)?",
         "What is (15)?", "Solve y' = 2.", "Solve y'' = 2.", "Solve y = 2.", "Split at ','.", "Split at '.'.", "Is it C?", "Is it C#?", "Is it C++?",
         "What is x² ?", "What is x2?", "What is \"\" in Python?", "What is in Python?", "???", "!!!"]


def test_a_mark_that_carries_meaning_tells_two_questions_apart():
    seen = {}
    for text in MEANT:
        assert seen.setdefault(same_prompt(Example(text, "")), text) == text
    assert_disjoint([Example(text, "a") for text in MEANT[::2]], [Example(text, "b") for text in MEANT[1::2]])


def test_a_passage_in_the_system_turn_is_part_of_the_question():
    rye, rivers = (one("What is it about?", f"Here is a passage on {name}. " * 20) for name in ("rye", "rivers"))
    assert_disjoint([rye], [rivers])
    assert len(bundles([rye, rivers])) == 2
    with pytest.raises(RecordError, match="1 prompts"):
        assert_disjoint([rye], [Example("what is it about", "?")])
    assert len(bundles([rye, rivers, Example("What is it about ?", "?")])) == 1


def test_earlier_turns_and_calls_are_part_of_the_question():
    turns = [{"role": "user", "content": "Name a river."}, {"role": "assistant", "content": "The Elbe"}, {"role": "user", "content": "And its source?"}]
    other = [turns[0], {"role": "assistant", "content": "The Rhine"}, turns[2]]
    assert same_prompt(Example(turns, "")) != same_prompt(Example(other, ""))
    calls = [[turns[0], {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": name}}]}, turns[2]] for name in ("up", "down")]
    assert len({same_prompt(Example(call, "")) for call in calls}) == 2


def test_near_copies_are_listed_and_not_refused(capsys):
    text = "How many loaves does the baker of the old town make in {} hours, if he makes twelve of them an hour?"
    train = [Example(text.format(n), "x", id=f"t{n}") for n in ("three", "30")] + [Example("How high is the Elbe?", "x", id="far")]
    test = [Example(text.format("40"), "x", id="e1"), Example("Which town lies on the Rhine?", "x", id="e2"),
            Example(text.format("thirty three").upper()[:40], "x", id="e3")]
    pairs = near_copies(train, test)
    assert ("t30", "e1") in {(a.id, b.id) for a, b, _ in pairs} and all(0.8 <= alike < 1 for *_, alike in pairs)
    assert {b.id for _, b, _ in pairs} == {"e1"} and "far" not in {a.id for a, _, _ in pairs}
    assert tell_near_copies(train, test, "target") == pairs
    said = capsys.readouterr().err
    assert said.startswith("1 of 3 prompts of target are nearly in train: 't30'") and len(said.splitlines()) == 1
    assert near_copies(train, test[1:2]) == tell_near_copies(train, test[1:2]) == [] and capsys.readouterr().err == ""


def test_no_near_copy_is_missed_close_to_the_least_likeness():
    draw, words = random.Random(3), [f"{a}{b}" for a in ("bar", "tel", "mor", "sun", "kip") for b in ("ko", "lim", "das", "ver")]
    train = [Example(" ".join(draw.choices(words, k=18)), "a") for _ in range(150)]
    test = [Example(" ".join([*example.prompt.split()[:-1], draw.choice(words)]), "b") for example in train]
    alike = [(a, b) for a, b in zip(train, test) if a.prompt != b.prompt]
    found = {(a.id, b.id) for a, b, _ in near_copies(train, test)}
    assert len(alike) > 100 and {(a.id, b.id) for a, b in alike} <= found


def test_a_comparison_on_data_of_ones_own_tells_of_near_copies(tmp_path, capsys):
    from ssr_nb.comparison import Comparison, load_data
    text = "How many loaves does the baker of the old town make in {} hours, if he makes twelve of them an hour?"
    for name, hours in (("train", (3, 5)), ("test", (4,))):
        write_records(tmp_path / f"{name}.jsonl", [Example(text.format(n), str(12 * n)) for n in hours])
    data = {"train": str(tmp_path / "train.jsonl"), "target": str(tmp_path / "test.jsonl")}
    load_data(Comparison(data=data, judge="numeric"))
    assert "1 of 1 prompts of target are nearly in train" in capsys.readouterr().err
