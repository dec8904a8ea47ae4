"""Formats: hostile files, and every format as published."""

import gzip
import json
from pathlib import Path

import pytest
from conftest import real_data
from damage import damaged

from ssr_nb.formats import (SHAPES, SQUAD_REFUSAL, Shape, columns_of, file_rows, json_rows, load_solutions,
                            read_document, read_examples, splits_in, squad_example, without_calculator)
from ssr_nb.records import Example, RecordError, Response, read_records, write_records

SAMPLES = Path(__file__).parent / "data"


def load_examples(path, **how):
    return read_examples(file_rows(path), path, **how)


def squad(*questions, context="Rye keeps long.", title="Bread"):
    return {"data": [{"title": title, "paragraphs": [{"context": context, "qas": list(questions)}]}]}


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
    for source, split in (("two", "tst"), ("three", "trian")):
        with pytest.raises(RecordError, match=f"split '{split}'; expected one of train.*did you mean '(test|train)'"):
            list(file_rows(tmp_path / source, split))
    assert [len(list(file_rows(tmp_path / "two", split))) for split in splits_in(tmp_path / "two")] == [3, 2]
    assert all(splits_in(tmp_path / name) == ["train"] for name in ("one", "three", "rows.jsonl", "rows.parquet"))


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
    "unknown fields": ([{"q": "a", "a": "b"}], r"\[0\]: found the fields \[\"a\", \"q\"\].*columns: "),
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


def test_a_forced_format(tmp_path):
    (tmp_path / "g.jsonl").write_text('{"question": "2 + 2 ?", "answer": "#### 4", "prompt": "other"}\n')
    assert load_examples(tmp_path / "g.jsonl", format="gsm8k")[0].prompt == "2 + 2 ?"
    with pytest.raises(RecordError, match="format 'gsmk'"):
        load_examples(tmp_path / "g.jsonl", format="gsmk")


def test_a_row_that_is_there_twice_is_kept_once_and_said(tmp_path, capsys):
    (tmp_path / "g.jsonl").write_text('{"question": "2 + 2 ?", "answer": "#### 4"}\n' * 3)
    assert len(load_examples(tmp_path / "g.jsonl")) == 1
    assert "2 of 3 rows are there twice" in capsys.readouterr().err


# answers made elsewhere, and the published files

def test_solutions_sample(tmp_path):
    examples, responses = load_solutions(SAMPLES / "model_solutions_sample.jsonl")
    assert len(examples) == 4 and len(responses) == 8 and {r.id for r in responses} == {e.id for e in examples}
    assert [r.extra["sample"] for r in responses[:2]] == [0, 1] and sum(r.extra["is_correct"] for r in responses) == 4
    write_records(tmp_path / "responses.jsonl", responses)  # distinct keys, valid rows
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


def test_the_published_files_whole():
    squad = load_examples(real_data("squad_v2_dev_slice.json"))
    assert (len(squad) == 1287 and sum(not e.answerable for e in squad) == 760
            and len({e.group for e in squad}) == 4)
    train, test = (load_examples(real_data(f"gsm8k_{split}_slice.jsonl")) for split in ("train", "test"))
    assert (len(train), len(test)) == (2000, 300) and not any("<<" in e.completion for e in train)
    examples, responses = load_solutions(real_data("gsm8k_model_solutions_slice.jsonl"))
    assert (len(examples), len(responses)) == (100, 400)
    pytest.importorskip("datasets")
    assert len(load_examples(real_data("TruthfulQA.csv"), columns="prompt=Question,completion=Best Answer")) == 817
    assert len(load_examples(real_data("ifeval_prompts.jsonl"), columns="prompt=prompt,completion=prompt,id=key")) > 500


# whatever a row lacks, it is named

def named_or_read(read, document, where):
    "Reading gives examples, or an error that says where; never another error."
    for what, changed in damaged(document):
        try:
            examples = read(changed)
        except RecordError as error:
            assert where in str(error) and "expected" in str(error), f"{what}: {error}"
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error
        else:
            assert all(isinstance(e.prompt, (str, list)) and isinstance(e.completion, str) for e in examples), what


@pytest.mark.parametrize("format, row", [
    ("squad", {"id": "q1", "title": "Bread", "context": "Rye keeps.", "question": "What keeps?",
               "answers": [{"text": "Rye", "answer_start": 0}], "is_impossible": False}),
    ("squad", {"id": "q1", "title": "Bread", "context": "Rye keeps.", "question": "What keeps?",
               "answers": {"text": ["Rye"], "answer_start": [0]}}),
    ("gsm8k", {"question": "2 + 2 ?", "answer": "2 + 2 = <<2+2=4>>4\n#### 4"}),
    ("records", {"prompt": "a ?", "completion": "b", "id": "q1", "answers": ["b"], "answerable": True, "group": "g"}),
    ("records", {"messages": [{"role": "user", "content": "a ?"}, {"role": "assistant", "content": "b"}]})])
def test_a_row_with_any_damage_is_read_or_named(format, row):
    named_or_read(lambda changed: [SHAPES[format].example(changed, "here, row 7")], row, "here, row 7")
    for other in (None, 7, "x", []):
        with pytest.raises(RecordError, match="here, row 7"):
            SHAPES[format].example(other, "here, row 7")


def test_a_document_and_a_file_of_solutions_with_any_damage(tmp_path):
    path = tmp_path / "d.json"

    def through(read):
        return lambda changed: path.write_text(json.dumps(changed)) and read(path)

    document = {"data": [{"title": "Bread", "paragraphs": [{"context": "Rye keeps.", "qas": [
        {"id": "q1", "question": "What keeps?", "answers": [{"text": "Rye"}], "is_impossible": False}]}]}]}
    named_or_read(through(load_examples), document, "d.json")
    row = json.loads((SAMPLES / "model_solutions_sample.jsonl").read_text().splitlines()[0])
    named_or_read(through(lambda path: load_solutions(path)[0]), row, "d.json")


# lines, documents, tables

@pytest.mark.parametrize("text, said", [
    ('[\n {"prompt": "a",\n  "completion" "b"}\n]', "bad.json, line 3: found .*one JSON document"),
    ('{"prompt": "a", "completion": "b"}\n{"prompt"\n', "bad.json, line 2: found .*one JSON object a line"),
    ('[{"prompt": "a", "completion": NaN}]', "bad.json: found NaN; expected numbers that JSON knows"),
    ('[\n{"prompt": "a", "completion": NaN}]', "found NaN; expected numbers that JSON knows"),
    ('{"prompt": "a", "completion": "b"}\n' + "[" * 100_000, "line 2: found values nested too deep"),
    ("[\n" * 100_000, "nested too deep")])
def test_a_broken_file_is_named_with_the_line_where_it_breaks(tmp_path, text, said):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(RecordError, match=said):
        list(json_rows(tmp_path / "bad.json"))


def test_bytes_that_are_no_text_are_named_with_their_line(tmp_path):
    (tmp_path / "bad.json").write_bytes(b'[\n{"prompt": "a",\n "completion": "\xff"}]')
    with pytest.raises(RecordError, match="bad.json, line 3: found bytes that are not UTF-8"):
        read_document(tmp_path / "bad.json")


def test_lines_are_read_from_a_compressed_file_and_no_further_than_asked(tmp_path):
    rows = [{"question": f"{i} + 0 ?", "answer": f"#### {i}"} for i in range(3)]
    with gzip.open(tmp_path / "g.jsonl.gz", "wt") as file:
        file.write("\n\n" + "\n".join(map(json.dumps, rows)) + "\nnever read\n")
    assert [e.answers for e in load_examples(tmp_path / "g.jsonl.gz", n=2)] == [["0"], ["1"]]
    with pytest.raises(RecordError, match="g.jsonl.gz, line 6: found .*never read"):
        load_examples(tmp_path / "g.jsonl.gz")
    whole = gzip.compress((tmp_path / "g.jsonl.gz").read_bytes())
    (tmp_path / "torn.jsonl.gz").write_bytes(whole[:-20])
    with pytest.raises(RecordError, match="torn.jsonl.gz, line 1"):
        load_examples(tmp_path / "torn.jsonl.gz")


def test_own_records_are_read_no_further_than_asked(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"prompt": "a", "completion": "1"}\n{"prompt": "b", "completion": "2"}\n'
                                      '{"prompt": 3}\n')
    assert [e.completion for e in load_examples(tmp_path / "m.jsonl", n=2)] == ["1", "2"]
    with pytest.raises(RecordError, match="m.jsonl, line 3"):
        load_examples(tmp_path / "m.jsonl")


def test_columns_of_a_table_fit_the_fields(tmp_path):
    pytest.importorskip("datasets")
    (tmp_path / "q.csv").write_text("n,Q,A\n1,2 + 2 ?,4\n2,1 / 2 ?,0.5\n3,7 - 7 ?,0\n")
    first, second, third = load_examples(tmp_path / "q.csv", columns="id=n, prompt=Q ,completion=A,answers=A")
    assert (first.id, first.completion, first.answers, second.completion) == ("1", "4", ["4"], "0.5")
    with pytest.raises(RecordError, match=r"row 2: found ZeroDivisionError: .* in the function for the completion"):
        load_examples(tmp_path / "q.csv", columns={"prompt": "Q", "completion": lambda row: str(1 / (row["n"] - 2))})
    with pytest.raises(RecordError, match="row 1: found no column 'a' for the completion; expected one of n, Q, A"):
        load_examples(tmp_path / "q.csv", columns="prompt=Q,completion=a")


def test_a_table_in_our_own_shape_may_hold_numbers(tmp_path):
    pytest.importorskip("datasets")
    (tmp_path / "q.csv").write_text("id,prompt,completion,answers\n1,2 + 2 ?,4,4\n2,1 / 2 ?,0.5,.5\n")
    first, second = load_examples(tmp_path / "q.csv")
    assert first == Example("2 + 2 ?", "4", "1", ["4"]) and second.completion == "0.5"
    (tmp_path / "gap.csv").write_text("prompt,completion\n2 + 2 ?,4\n3 + 3 ?,\n")
    with pytest.raises(RecordError, match="gap.csv, train, row 2: found no field 'completion'"):
        load_examples(tmp_path / "gap.csv")


@pytest.mark.parametrize("text", ["prompt", "prompt=", "=Q,completion=A", "prompt=Q;completion=A", "prompt=Q", "",
                                  "prompt=Q,,completion=A"])
def test_columns_that_are_written_wrongly(text):
    with pytest.raises(RecordError, match="columns"):
        columns_of(text)


def test_a_format_is_a_row_of_its_table(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"ask": "a ?", "say": "b"}\n')
    with pytest.raises(RecordError, match="the fields"):
        load_examples(tmp_path / "c.jsonl")
    SHAPES.add(Shape("asked", (frozenset({"ask", "say"}),), lambda row, place: Example(row["ask"], row["say"])))
    try:
        assert load_examples(tmp_path / "c.jsonl") == [Example("a ?", "b")]
    finally:
        del SHAPES["asked"]
