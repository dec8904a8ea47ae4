"""Splits that share nothing."""

import pytest
from conftest import real_data
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_nb.records import Example, RecordError
from ssr_nb.splits import assert_disjoint, bundles, same_prompt, split_examples
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
