"""Tasks: hostile files, every format as published, and splits that share nothing."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_nb.records import Example, RecordError, Response, write_records
from ssr_nb.tasks import (SQUAD_REFUSAL, assert_disjoint, bundles, load_examples, load_solutions, same_prompt,
                          split_examples, without_calculator)

SAMPLES = Path(__file__).parent / "data"
SHARED = Path(os.environ.get("SSR_SHARED_DATA") or Path(__file__).parents[2] / "shared" / "data")
with_shared = pytest.mark.skipif(not (SHARED / "squad_v2_dev_slice.json").exists(),
                                 reason=f"no published data in {SHARED} (SSR_SHARED_DATA names another folder)")


def squad(*questions, context="Rye keeps long.", title="Bread"):
    return {"data": [{"title": title, "paragraphs": [{"context": context, "qas": list(questions)}]}]}


def test_neither_torch_nor_datasets_is_loaded():
    code = "import sys, ssr_nb.tasks; sys.exit(bool({'torch', 'datasets', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# formats

def test_squad_sample():
    examples = load_examples(SAMPLES / "squad_sample.json")
    published = [q for a in json.loads((SAMPLES / "squad_sample.json").read_text())["data"] for p in a["paragraphs"]
                 for q in p["qas"]]
    assert [e.id for e in examples] == [q["id"] for q in published]
    for example, question in zip(examples, published):
        assert question["question"] in example.prompt
        assert example.answerable is not question["is_impossible"]
        assert set(example.answers) == {a["text"] for a in question["answers"]}
        assert example.completion == (question["answers"][0]["text"] if example.answerable else SQUAD_REFUSAL)
    assert len({e.group for e in examples}) == 3


def test_squad_of_one_line_and_pretty_printed_are_the_same(tmp_path):
    document = json.loads((SAMPLES / "squad_sample.json").read_text())
    (tmp_path / "a.json").write_text(json.dumps(document))
    (tmp_path / "b.json").write_text(json.dumps(document, indent=2), encoding="utf-8-sig")
    assert load_examples(tmp_path / "a.json") == load_examples(tmp_path / "b.json")


def test_squad_1_without_is_impossible_and_without_a_title(tmp_path):
    document = squad({"question": "What keeps?", "id": "q1", "answers": [{"text": "Rye"}]})
    del document["data"][0]["title"]
    (tmp_path / "a.json").write_text(json.dumps(document))
    [example] = load_examples(tmp_path / "a.json")
    assert example.answerable and example.group == "Rye keeps long."


def test_squad_as_the_hub_has_it(tmp_path):
    rows = [{"id": "q1", "title": "Bread", "context": "Rye keeps long.", "question": "What keeps?",
             "answers": {"text": ["Rye", "Rye"], "answer_start": [0, 0]}},
            {"id": "q2", "title": "Bread", "context": "Rye keeps long.", "question": "Why?",
             "answers": {"text": [], "answer_start": []}}]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    first, second = load_examples(tmp_path / "rows.jsonl")
    assert first.answers == ["Rye"] and second.completion == SQUAD_REFUSAL and second.answers == []


def test_gsm8k_sample():
    examples = load_examples(SAMPLES / "gsm8k_sample.jsonl")
    assert [e.answers for e in examples] == [["12"], ["13.5"], ["1260"], ["-7"], ["315"], ["12"], ["2400"], ["94"]]
    assert not any("<<" in e.completion for e in examples) and all("####" in e.completion for e in examples)


@pytest.mark.parametrize("text, plain", [("1 <<1+1=2>>2", "1 2"), ("a << b", "a << b"), ("x<<1>>y<<2>>z", "xyz"),
                                         ("<<a\nb>>", "<<a\nb>>")])
def test_without_calculator(text, plain):
    assert without_calculator(text) == plain


def test_own_files_in_both_forms(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"prompt": "a ?", "completion": "1", "note": "x"}\n\n{"messages": [{"role": '
                                         '"user", "content": "b ?"}, {"role": "assistant", "content": "2"}]}\n')
    first, second = load_examples(tmp_path / "mine.jsonl")
    assert first.extra == {"note": "x"} and second.completion == "2"
    (tmp_path / "list.json").write_text(
        json.dumps([{"prompt": "a ?", "completion": "1"}, {"prompt": "b ?", "completion": "2"}], indent=1))
    assert [e.completion for e in load_examples(tmp_path / "list.json")] == ["1", "2"]
    assert [e.completion for e in load_examples(tmp_path / "list.json", n=1)] == ["1"]


def test_columns(tmp_path):
    (tmp_path / "q.csv").write_text('Question,Best,All\n"a, b?",x,x; y\nc?,z,z\n')
    columns = {"prompt": "Question", "completion": "Best", "answers": lambda row: row["All"].split("; ")}
    pytest.importorskip("datasets")
    examples = load_examples(tmp_path / "q.csv", columns=columns)
    assert [(e.prompt, e.answers) for e in examples] == [("a, b?", ["x", "y"]), ("c?", ["z"])]
    with pytest.raises(RecordError, match="no column 'Bset'"):
        load_examples(tmp_path / "q.csv", columns=columns | {"completion": "Bset"})
    with pytest.raises(RecordError, match="'prompt' and 'completion'"):
        load_examples(tmp_path / "q.csv", columns={"prompt": "Question"})


def test_whatever_datasets_saves(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = [{"prompt": f"{i} ?", "completion": str(i)} for i in range(5)]
    data = datasets.Dataset.from_list(rows)
    data.save_to_disk(tmp_path / "one")
    datasets.DatasetDict(train=data.select(range(3)), test=data.select(range(3, 5))).save_to_disk(tmp_path / "two")
    data.to_parquet(tmp_path / "rows.parquet")
    data.to_json(tmp_path / "rows.jsonl")
    (tmp_path / "three").mkdir()
    data.to_parquet(tmp_path / "three" / "train.parquet")
    for source in ("one", "rows.parquet", "rows.jsonl", "three"):
        assert [e.completion for e in load_examples(tmp_path / source)] == list("01234"), source
    assert [e.completion for e in load_examples(tmp_path / "two", split="test")] == ["3", "4"]
    with pytest.raises(RecordError, match="no split 'dev'.*train"):
        load_examples(tmp_path / "two", split="dev")


def test_the_hub_out_of_reach_says_what_was_asked(monkeypatch):
    datasets = pytest.importorskip("datasets")
    asked = []

    def unreachable(*args, **kwargs):
        asked.append((args, kwargs))
        raise ConnectionError("Couldn't reach the hub\nand more")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    for source in ("owner/name", "hub:owner/name"):
        with pytest.raises(RecordError,
                           match="owner/name, configuration main, split test.*Couldn't reach the hub;.*connection"):
            load_examples(source, split="test", config="main")
    assert asked[0] == (("owner/name", "main"), {"split": "test", "streaming": False})


# bad input

BAD = {
    "no answers": (squad({"question": "Why?", "id": "q1"}), r"data\[0\]\.paragraphs\[0\]\.qas\[0\].*answers"),
    "impossible with an answer": (squad({"question": "Why?", "id": "q1", "answers": [{"text": "Rye"}],
                                         "is_impossible": True}), "is_impossible = true with 1 answers"),
    "possible without": (squad({"question": "Why?", "id": "q1", "answers": [], "is_impossible": False}),
                         "is_impossible = false with 0 answers"),
    "answer without text": (squad({"question": "Why?", "id": "q1", "answers": [{"txt": "Rye"}]}),
                            r"qas\[0\], answers\[0\].*no 'text'"),
    "blank answer": (squad({"question": "Why?", "id": "q1", "answers": [{"text": " "}]}), r"answers\[0\]"),
    "no question": (squad({"id": "q1", "answers": []}), r"qas\[0\].*no 'question'"),
    "question that is a number": (squad({"id": "q1", "question": 3, "answers": []}), r"qas\[0\]: found question = 3"),
    "no context": ({"data": [{"paragraphs": [{"qas": []}]}]}, r"data\[0\]\.paragraphs\[0\].*no 'context'"),
    "no paragraphs": ({"data": [{"title": "Bread"}]}, r"data\[0\].*no 'paragraphs'"),
    "article that is a text": ({"data": ["Bread"]}, r"data\[0\]: found \"Bread\""),
    "data that is no list": ({"data": {}}, "found data = {}"),
    "no questions at all": ({"data": []}, "no rows"),
    "two questions under one id": (squad({"question": "Why?", "id": "q1", "answers": []},
                                         {"question": "When?", "id": "q1", "answers": []}), "id 'q1' of two examples"),
    "unknown fields": ([{"q": "a", "a": "b"}], r"\[0\]: found the fields \[\"a\", \"q\"\].*columns="),
    "rows that are texts": (["a", "b"], r"\[0\]: found \"a\""),
    "a number": (7, "line 1: found 7"),
    "answers of no number": ([{"question": "2 + 2 ?", "answer": "four"}], r"\[0\].*'four'|\[0\].*\"four\".*#### 18"),
    "answer that is a list": ([{"question": "2 + 2 ?", "answer": ["4"]}], r"found answer = \[\"4\"\]"),
    "model solutions": ([{"question": "2 + 2 ?", "ground_truth": "A: 4"}], "load_solutions"),
    "prompt without completion": ([{"prompt": "a"}], "completion"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named_with_their_place(name, tmp_path):
    content, said = BAD[name]
    (tmp_path / "bad.json").write_text(json.dumps(content))
    with pytest.raises(RecordError, match=said) as error:
        load_examples(tmp_path / "bad.json")
    assert "bad.json" in str(error.value) and "expected" in str(error.value)


@pytest.mark.parametrize("content, said", [(b"", "no rows"), (b"\xff\xfe{}", "UTF-8"), (b"{\n", "line 1"),
                                           (b'{"prompt": "a", "completion": "b"}\n{"pro', "line 2"),
                                           (b'{"prompt": "a", "completion": "b"}\n' * 2, "line 2.*again"),
                                           (b"[" * 100_000, "nested too deep|line 1")])
def test_bad_bytes(content, said, tmp_path):
    (tmp_path / "bad.jsonl").write_bytes(content)
    with pytest.raises(RecordError, match=said):
        load_examples(tmp_path / "bad.jsonl")


@pytest.mark.parametrize("source", ["nowhere.json", "no such thing", "a/b/c", "microworld:moon",
                                    "/nowhere/at/all.parquet"])
def test_sources_that_are_nothing(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecordError, match="expected"):
        load_examples(source)


def test_a_forced_format(tmp_path):
    (tmp_path / "g.jsonl").write_text('{"question": "2 + 2 ?", "answer": "#### 4", "prompt": "other"}\n')
    assert load_examples(tmp_path / "g.jsonl", format="gsm8k")[0].prompt == "2 + 2 ?"
    with pytest.raises(RecordError, match="format 'gsmk'"):
        load_examples(tmp_path / "g.jsonl", format="gsmk")


def test_a_row_that_is_there_twice_is_kept_once_and_said(tmp_path, capsys):
    (tmp_path / "g.jsonl").write_text('{"question": "2 + 2 ?", "answer": "#### 4"}\n' * 3)
    assert len(load_examples(tmp_path / "g.jsonl")) == 1
    assert "2 of 3 rows are there twice" in capsys.readouterr().err


# splits

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


# the micro-world, answers made elsewhere, the published files

@pytest.mark.parametrize("source", ["microworld", "microworld:shifted", "microworld:jobs", "microworld:general"])
def test_the_microworld_by_name(source):
    pytest.importorskip("ssr_nb.microworld")
    first, second = (load_examples(source, split="test", n=6) for _ in range(2))
    assert first == second and len(first) >= 6 and all(e.prompt and e.completion for e in first)


def test_solutions_sample(tmp_path):
    examples, responses = load_solutions(SAMPLES / "model_solutions_sample.jsonl")
    assert len(examples) == 4 and len(responses) == 8 and {r.id for r in responses} == {e.id for e in examples}
    assert [r.extra["sample"] for r in responses[:2]] == [0, 1] and sum(r.extra["is_correct"] for r in responses) == 4
    write_records(tmp_path / "responses.jsonl", responses)  # distinct keys, valid rows
    from ssr_nb.records import read_records
    assert read_records(tmp_path / "responses.jsonl", Response) == responses


@pytest.mark.parametrize("row, said", [
    ({"question": "a ?"}, "ground_truth"), ({"question": "a ?", "ground_truth": "A: 4"}, "for each model"),
    ({"question": "a ?", "ground_truth": "A: 4", "m": {"solution": "4"}}, "m: found no 'is_correct'"),
    ({"question": "a ?", "ground_truth": "four", "m": {"solution": "4", "is_correct": True}}, "four")])
def test_bad_solutions(row, said, tmp_path):
    (tmp_path / "s.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(RecordError, match=said):
        load_solutions(tmp_path / "s.jsonl")
    with pytest.raises(RecordError, match="no such file"):
        load_solutions(tmp_path / "absent.jsonl")


@with_shared
def test_published_squad_whole():
    examples = load_examples(SHARED / "squad_v2_dev_slice.json")
    assert (len(examples) == 1287 and sum(not e.answerable for e in examples) == 760
            and len({e.group for e in examples}) == 4)
    splits = split_examples(examples, {"train": 48, "test": 16})
    assert_disjoint(splits["train"], splits["test"])


@with_shared
def test_published_gsm8k_whole():
    train, test = load_examples(SHARED / "gsm8k_train_slice.jsonl"), load_examples(SHARED / "gsm8k_test_slice.jsonl")
    assert (len(train), len(test)) == (2000, 300)
    assert_disjoint(train, test)
    assert not any("<<" in e.completion for e in train)


@with_shared
def test_published_solutions_and_a_published_table():
    examples, responses = load_solutions(SHARED / "gsm8k_model_solutions_slice.jsonl")
    assert (len(examples), len(responses)) == (100, 400)
    pytest.importorskip("datasets")
    assert len(load_examples(SHARED / "TruthfulQA.csv",
                             columns={"prompt": "Question", "completion": "Best Answer"})) == 817
