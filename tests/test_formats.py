"""Formats: hostile files, and every format as published."""

import csv
import gzip
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import real_data
from damage import damaged

from ssr_nb.formats import (SHAPES, SQUAD_REFUSAL, Shape, columns_of, load_solutions, read_examples, squad_example,
                            without_calculator)
from ssr_nb.records import Example, RecordError, Response, read_records, write_records
from ssr_nb.rows import dataset_rows, file_rows, json_rows, read_document, splits_in

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
    "no accepted answer": ([{"question": "2 + 2 ?", "answer": []}], r"\[0\]: found answer = \[\]"),
    "accepted answer that is blank": ([{"question": "2 + 2 ?", "answer": ["4", " "]}], r"\[0\]: found answer = "),
    "text alone": ([{"text": "Rye keeps long."}], r"\[0\]: found rows of text alone; expected a prompt"),
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
                                           (b'{"id": 1, "prompt": "a", "completion": "b"}\n'
                                            b'{"id": "1", "prompt": "a", "completion": "c"}\n', "line 2: found id '1' of two"),
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
    ('[{"prompt": "a", "completion": NaN}]', r"bad.json, line 1: found \[0\].completion = NaN; expected a number"),
    ('[\n{"prompt": "a", "completion": NaN}]', r"found \[0\].completion = NaN; expected a number that JSON knows"),
    ('[{"prompt": ' + "9" * 5000 + "}]", "bad.json, line 1: found a number of 5,000 digits"),
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
    with pytest.raises(RecordError, match=r"row 2 \(line 3\): found ZeroDivisionError: .* in the function for the completion"):
        load_examples(tmp_path / "q.csv", columns={"prompt": "Q", "completion": lambda row: str(1 / (int(row["n"]) - 2))})
    with pytest.raises(RecordError, match=r"row 1 \(line 2\): found no column 'a' for the completion; expected one of n, Q, A"):
        load_examples(tmp_path / "q.csv", columns="prompt=Q,completion=a")


def test_a_table_in_our_own_shape_may_hold_numbers(tmp_path):
    pytest.importorskip("datasets")
    (tmp_path / "q.csv").write_text("id,prompt,completion,answers\n1,2 + 2 ?,4,4\n2,1 / 2 ?,0.5,.5\n")
    first, second = load_examples(tmp_path / "q.csv")
    assert first == Example("2 + 2 ?", "4", "1", ["4"]) and second.completion == "0.5"
    (tmp_path / "gap.csv").write_text("prompt,completion\n2 + 2 ?,4\n3 + 3 ?,\n")
    with pytest.raises(RecordError, match=r"gap.csv: found an empty gold answer in 1 of 2 rows \(row 2 \(line 3\)\)"):
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


# one behaviour for all kinds of files

def written(folder, rows, kind):
    "The rows as a file of that kind."
    import datasets

    path = folder / f"rows.{kind}"
    lines = "\n".join(map(json.dumps, rows)) + "\n"
    if kind in ("jsonl", "json"):
        path.write_text(lines if kind == "jsonl" else json.dumps(rows))
    elif kind.endswith(".gz"):
        plain = written(folder, rows, kind.removesuffix(".gz"))
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    elif kind == "parquet":
        datasets.Dataset.from_list(rows).to_parquet(path)
    elif kind in ("csv", "tsv"):
        names = list(dict.fromkeys(name for row in rows for name in row))
        with open(path, "w", newline="") as file:
            writer = csv.DictWriter(file, names, delimiter="," if kind == "csv" else "\t")
            writer.writeheader()
            writer.writerows(rows)
    else:
        (folder / "folder").mkdir()
        written(folder / "folder", rows, kind.partition(" of ")[2]).rename(folder / "folder" / f"train.{kind.partition(' of ')[2]}")
        return folder / "folder"
    return path


KINDS = ["jsonl", "json", "csv", "tsv", "parquet", "jsonl.gz", "json.gz", "csv.gz", "tsv.gz", "folder of csv", "folder of jsonl",
         "folder of parquet"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_the_same_in_every_kind_of_file(kind, tmp_path, capsys):
    rows = [{"id": 1, "prompt": "How many?", "completion": 4, "masked": "x"}, {"id": 2, "prompt": "So?", "completion": 5},
            {"id": 1, "prompt": "How many?", "completion": 4, "masked": "x"}]
    first, second = load_examples(written(tmp_path, rows, kind))
    assert (first.id, first.completion, first.extra) == ("1", "4", {"own_masked": "x"}) and second.completion == "5"
    assert "1 of 3 rows are there twice, and kept once: " in capsys.readouterr().err


@pytest.mark.parametrize("kind", KINDS)
def test_texts_stay_the_texts_they_are(kind, tmp_path):
    golds = ["True", "NA", "00501", "None", "nan", "1e5", "2026-01-02", 'He said "no"', "a, b; c", "0.50", "inf", "\u00e9\u4e16"]
    rows = [{"prompt": f'Which "one is number {i}?', "completion": gold} for i, gold in enumerate(golds)]
    examples = load_examples(written(tmp_path, rows, kind))
    assert [e.completion for e in examples] == golds and examples[0].prompt == 'Which "one is number 0?'


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_refused_is_refused_in_every_kind_of_file(kind, tmp_path):
    same = {"prompt": "a ?", "completion": "b"}
    with pytest.raises(RecordError, match=r"id 'q' of two examples .* in .*(line 1|row 1|\[0\])"):
        load_examples(written(tmp_path, [same | {"id": "q"}, same | {"id": "q", "completion": "c"}], kind))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "csv" not in kind and "tsv" not in kind])
@pytest.mark.parametrize("value, said", [(float("nan"), "score = NaN"), (float("-inf"), "score = -Infinity")])
def test_no_number_is_refused_with_row_and_column(kind, value, said, tmp_path):
    rows = [{"prompt": "a ?", "completion": "b", "score": 1.5}, {"prompt": "c ?", "completion": "d", "score": value}]
    with pytest.raises(RecordError, match=rf"(line 2|row 2|\[1\]).*{said}"):
        load_examples(written(tmp_path, rows, kind))


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "folder of jsonl"])
def test_true_is_no_gold_answer_since_it_has_several_names(kind, tmp_path):
    with pytest.raises(RecordError, match=r"(line 1|row 1|\[0\]): found completion = true; expected a text, such as"):
        load_examples(written(tmp_path, [{"prompt": "Is it?", "completion": True}], kind))


@pytest.mark.parametrize("name", ["prompt", "completion", "note", "answers"])
def test_half_a_character_is_refused_with_row_and_column(name, tmp_path):
    row = {"prompt": "a", "completion": "b"} | {name: "half \ud83d"}
    for kind in ("jsonl", "json", "jsonl.gz"):
        with pytest.raises(RecordError, match=rf"(line 1|\[0\]): found half a character \(U\+D83D\) in {name}"):
            load_examples(written(tmp_path, [row], kind))


@pytest.mark.parametrize("text, prompts", [
    ('prompt\tcompletion\n"Who said this?\tPlato\nQ2\tA2\nQ3\tA3\n', ['"Who said this?', "Q2", "Q3"]),
    ('prompt\tcompletion\nWho said "this?\tPlato\nQ2\tA2\nQ3\tA3\n', ['Who said "this?', "Q2", "Q3"]),
    ('prompt\tcompletion\n"A"\tPlato\nQ2\t"A2\n', ['"A"', "Q2"]),
    ('prompt\tcompletion\n"one\ttwo"\tPlato\n"a\nb"\tA2\n', ["one\ttwo", "a\nb"]),
    ('prompt\tcompletion\n"say ""hi"""\tPlato\n', ['say "hi"']), ('prompt\tcompletion\r\nQ1\tA1\r\n', ["Q1"])])
def test_quotes_in_tsv_are_marks_where_they_fit_and_text_elsewhere(text, prompts, tmp_path):
    (tmp_path / "q.tsv").write_bytes(text.encode())
    assert [e.prompt for e in load_examples(tmp_path / "q.tsv")] == prompts


@pytest.mark.parametrize("text, said", [
    ('prompt,completion\n"Is it?,True\nB,C\n', "line 1: found .*quotes are closed"),
    ("prompt,completion\nIs it, or not?,True\n", r"row 1 \(line 2\): found 3 cells; expected 2"),
    ("prompt,completion\nIs it\n", r"row 1 \(line 2\): found 1 cells; expected 2"),
    ("prompt,completion,prompt\na,b,c\n", "line 1: found the column 'prompt' twice"), ("", "no rows")])
def test_a_damaged_table_is_named_with_its_row(text, said, tmp_path):
    (tmp_path / "q.csv").write_text(text)
    with pytest.raises(RecordError, match=f"q.csv.*{said}"):
        load_examples(tmp_path / "q.csv")
    (tmp_path / "latin.csv").write_bytes("prompt,completion\na,b\nWo?,K\u00f6ln\n".encode("latin-1"))
    with pytest.raises(RecordError, match="latin.csv, line 3: found bytes that are not UTF-8"):
        load_examples(tmp_path / "latin.csv")


def test_a_spreadsheet_of_semicolons_and_empty_optional_cells(tmp_path):
    (tmp_path / "q.csv").write_text("\ufeffid;prompt;completion;answerable\n;How much?;2,50;\n7;And?;3;FALSE\n")
    first, second = load_examples(tmp_path / "q.csv")
    assert (first.completion, first.answerable, second.id, second.answerable) == ("2,50", None, "7", False)


# the shapes that people have

def only(tmp_path, *rows, **how):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    return load_examples(path, **how)


USER, GOLD = {"role": "user", "content": "Name a river."}, {"role": "assistant", "content": "The Elbe"}
TALK = [USER, GOLD]


@pytest.mark.parametrize("row, prompt, gold", [
    ({"instruction": "Translate to Danish.", "input": "a cat", "output": "en kat"}, "Translate to Danish.\n\na cat", "en kat"),
    ({"instruction": "Name a river.", "input": "", "output": "The Elbe", "text": "..."}, "Name a river.", "The Elbe"),
    ({"instruction": "Name a river.", "output": 7}, "Name a river.", "7"),
    ({"instruction": "Name a river.", "input": None, "output": "The Elbe", "history": None}, "Name a river.", "The Elbe"),
    ({"prompt": "Name a river.", "completion": "The Elbe", "data": "mine"}, "Name a river.", "The Elbe"),
    ({"instruction": "Name it.", "context": "A river.", "response": "Elbe", "category": "x"}, "Name it.\n\nA river.", "Elbe"),
    ({"instruction": "Name a river.", "output": "The Elbe", "system": "Be brief."},
     [{"role": "system", "content": "Be brief."}, USER], "The Elbe"),
    ({"conversations": [{"from": "human", "value": "Name a river."}, {"from": "gpt", "value": "The Elbe"}]}, [USER], "The Elbe"),
    ({"conversations": TALK, "system": "Be brief."}, [{"role": "system", "content": "Be brief."}, USER], "The Elbe"),
    ({"conversation": [{"from": "User", "value": "Name a river."}, {"from": "model", "value": "The Elbe"}]}, [USER], "The Elbe"),
    ({"prompt": "Name a river.", "prompt_id": "x", "messages": TALK}, [USER], "The Elbe"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "Name a"}, {"type": "text", "text": " river."}]},
                   {"role": "assistant", "content": [{"type": "text", "content": "The Elbe"}]}]}, [USER], "The Elbe"),
    ({"messages": [{"role": "developer", "content": "Be brief."}, *TALK]}, [{"role": "system", "content": "Be brief."}, USER],
     "The Elbe"),
    ({"messages": [*TALK, USER, GOLD | {"content": "Go away", "weight": 0}]}, [USER], "The Elbe"),
    ({"messages": [USER | {"weight": None, "tool_calls": None}, GOLD | {"weight": 1}]}, [USER], "The Elbe"),
    ({"prompt": [USER], "completion": [GOLD]}, [USER], "The Elbe"), ({"prompt": "Name a river.", "completion": [GOLD]},
                                                                   "Name a river.", "The Elbe"),
    ({"prompt": "Name a river.", "completion": "The Elbe", "label": True}, "Name a river.", "The Elbe"),
    ({"prompt": "Name a river.", "chosen": "The Elbe", "rejected": "Paris"}, "Name a river.", "The Elbe"),
    ({"chosen": TALK, "rejected": [USER, GOLD | {"content": "Paris"}], "prompt": "Name a river."}, "Name a river.", "The Elbe"),
    ({"prompt": [USER], "chosen": [GOLD], "rejected": [GOLD | {"content": "Paris"}]}, [USER], "The Elbe"),
    ({"chosen": "\n\nHuman: Name a river.\n\nAssistant: The Elbe", "rejected": "\n\nHuman: Name a river.\n\nAssistant: No"},
     "Name a river.", "The Elbe"),
    ({"conversations": [{"from": "human", "value": "Name a river."}], "chosen": {"from": "gpt", "value": "The Elbe"},
      "rejected": {"from": "gpt", "value": "No"}}, "Name a river.", "The Elbe"),
    ({"system": "", "question": "Name a river.", "chosen": "The Elbe", "rejected": "No"}, "Name a river.", "The Elbe"),
    ({"question": "name a river", "answer": ["The Elbe", "Elbe"]}, "name a river", "The Elbe"),
], ids=str)
def test_a_shape_that_people_have(row, prompt, gold, tmp_path):
    [example] = only(tmp_path, row)
    assert (example.prompt, example.completion) == (prompt, gold)
    [again] = only(tmp_path, row | {"id": 12})
    assert again.id == "12"


def test_an_alpaca_with_a_history_is_a_conversation(tmp_path):
    [example] = only(tmp_path, {"instruction": "And its source?", "output": "Czechia", "history": [["Name a river.", "The Elbe"]]})
    assert example.prompt == [*TALK, {"role": "user", "content": "And its source?"}]


def test_choices_of_bbq_and_answers_of_nq_open(tmp_path):
    bbq = {"context": "Ann and Bo met.", "question": "Who was late?", "ans0": "Ann", "ans1": "Bo", "ans2": "Not told", "label": 2}
    (tmp_path / "bbq.csv").write_text("context,question,ans0,ans1,ans2,label\nAnn and Bo met.,Who was late?,Ann,Bo,Not told,2\n")
    assert load_examples(tmp_path / "bbq.csv") == only(tmp_path, bbq)
    [example] = only(tmp_path, bbq)
    assert example.completion == "Not told" and example.group == "Ann and Bo met." and "- Bo\n" in example.prompt
    assert only(tmp_path, bbq | {"label": 0})[0].completion == "Ann"
    for label in (3, -1, True, None, "b"):
        with pytest.raises(RecordError, match=r"\[0\]: found label = "):
            only(tmp_path, bbq | {"label": label})
    [open_one] = only(tmp_path, {"question": "who", "answer": ["Ada", 7, "Ada"]})
    assert open_one.answers == ["Ada", "7"] and SHAPES["nq-open"].judge == "contains"


@pytest.mark.parametrize("more", [{}, {"answers": None}, {"answers": []}, {"answers": {"text": [], "answer_start": []}},
                                  {"answers": [{"text": "", "answer_start": -1}]}, {"answers": {"text": [""]}}])
@pytest.mark.parametrize("impossible", [True, "true", 1])
def test_no_answer_in_other_languages(more, impossible, tmp_path):
    document = squad({"id": 0, "question": "Wer singt?", "is_impossible": impossible, **more})
    (tmp_path / "de.json").write_text(json.dumps(document))
    [example] = load_examples(tmp_path / "de.json")
    assert not example.answerable and example.answers == [] and example.id == "0"


# what must not become gold

@pytest.mark.parametrize("mark", [{"label": False}, {"label": "False"}, {"label": "bad"}, {"is_correct": False}, {"correct": 0},
                                  {"rejected": True}, {"weight": 0}, {"weight": 0.0}, {"train": False}, {"kto_tag": False}])
@pytest.mark.parametrize("shape", [{"prompt": "Is it green?", "completion": "Yes."}, {"messages": TALK}, {"conversations": TALK},
                                   {"instruction": "Is it green?", "output": "Yes."}, {"question": "Is it?", "answer": ["Yes"]}],
                         ids=lambda shape: next(iter(shape)))
def test_a_row_marked_bad_is_never_gold(mark, shape, tmp_path, capsys):
    good = {"prompt": "Name a river.", "completion": "The Elbe"} if "prompt" in shape else shape | {"id": "good"}
    [example] = only(tmp_path, good, shape | {"id": "bad"} | mark)
    assert example.id != "bad" and "1 of 2 rows are left out: marked bad" in capsys.readouterr().err
    with pytest.raises(RecordError, match="1 rows, and none with an answer to learn"):
        only(tmp_path, shape | mark)


@pytest.mark.parametrize("row", [{"label": 3}, {"label": "sports"}, {"weight": 72}, {"weight": 0.5}, {"train": "ICE 5"}, {"good": "yes"}])
def test_a_column_of_somebodys_own_is_no_mark(row, tmp_path):
    [example] = only(tmp_path, {"prompt": "a", "completion": "b"} | row)
    assert example.extra == row


def test_a_label_that_may_mean_two_things_is_refused(tmp_path):
    for label in (0, "0"):
        with pytest.raises(RecordError, match=r"\[0\]: found label = .*rename the column"):
            only(tmp_path, {"prompt": "a", "completion": "b", "label": label})
    assert only(tmp_path, {"q": "a", "label": 0}, columns={"prompt": "q", "completion": "label"})[0].completion == "0"
    with pytest.raises(RecordError, match="none with an answer to learn"):
        only(tmp_path, {"q": "a", "say": "b", "is_correct": False}, columns={"prompt": "q", "completion": "say"})


@pytest.mark.parametrize("turn", [{"weight": 0}, {"train": False}, {"loss": False}, {"weight": "0"}, {"training": 0},
                                  {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}])
def test_a_turn_that_must_not_be_learnt_is_left_out_and_counted(turn, tmp_path, capsys):
    bad = {"messages": [USER, GOLD | turn]}
    [example] = only(tmp_path, {"messages": TALK}, bad, bad)
    assert example.completion == "The Elbe" and "2 of 3 rows are left out: " in capsys.readouterr().err


def test_pairs_are_told_with_their_number_and_those_without_a_choice_left_out(tmp_path, capsys):
    pair = {"prompt": "Name a river.", "chosen": "The Elbe", "rejected": "Paris"}
    assert len(only(tmp_path, pair, pair | {"prompt": "Name another.", "rejected": "The Elbe"})) == 1
    said = capsys.readouterr().err
    assert "1 of 2 rows are pairs: chosen is gold" in said and "1 of 2 rows are left out: chosen and rejected are the same" in said


@pytest.mark.parametrize("row, said", [
    ({"prompt": "What is it?", "completion": "A cat", "image": "cat.png"}, "the column 'image'"),
    ({"conversations": TALK, "images": ["cat.png"]}, "the column 'images'"), ({"messages": TALK, "audio": {"path": "a.wav"}}, "'audio'"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, GOLD]}, "type 'image_url'"),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "input_audio"}]}, GOLD]},
     r"messages\[0\].content\[1\]: found a part of type 'input_audio'"),
    ({"messages": [USER, {"role": "wizard", "content": "x"}]}, r"messages\[1\]: found the role 'wizard'"),
    ({"messages": [USER, {"role": "asistant", "content": "x"}]}, "did you mean 'assistant'"),
    ({"conversations": [{"from": "humman", "value": "x"}, {"from": "gpt", "value": "y"}]}, "did you mean 'human'"),
    ({"prompt": [{"role": "usr", "content": "x"}], "completion": "y"}, "did you mean 'user'"),
    ({"messages": [USER]}, "ends in an assistant turn"), ({"messages": [GOLD]}, "a turn before it"), ({"messages": []}, "a list of turns"),
    ({"messages": [USER, GOLD | {"weight": 0.5}]}, r"messages\[1\]: found weight = 0.5; expected 0 or 1"),
    ({"messages": [{"role": "user", "content": None}, GOLD]}, "a user's turn without text"),
    ({"messages": ["a", "b"]}, r"messages\[0\]: found \"a\""), ({"messages": TALK, "tools": "none"}, "found tools \"none\""),
    ({"instruction": "a", "output": True}, "output = true"), ({"instruction": "a", "output": ["b"]}, "output ="),
    ({"chosen": "The Elbe", "rejected": "Paris"}, "without a prompt"), ({"question": "a", "answer": [True]}, r"answer\[0\] = true"),
    ({"prompt": "a", "completion": "b", "answers": [True]}, "answers = true")], ids=str)
def test_what_no_template_can_tell_is_refused_with_its_row(row, said, tmp_path):
    with pytest.raises(RecordError, match=rf"rows.json, \[1\].*{said}"):
        only(tmp_path, {"prompt": "ok ?", "completion": "ok"} if {"prompt", "messages"} & set(row) else good_like(row), row)


def good_like(row):
    "A row of the same shape that can be read."
    if "conversations" in row:
        return {"conversations": TALK}
    return ({"instruction": "x", "output": "y"} if "instruction" in row else {"prompt": "x", "chosen": "y", "rejected": "z"}
            if "chosen" in row else {"question": "x", "answer": ["y"]})


def test_empty_gold_is_told_with_its_number_before_anything_is_made(tmp_path):
    rows = [{"prompt": f"{i} ?", "completion": "" if i % 2 else "yes"} for i in range(10)]
    with pytest.raises(RecordError, match=r"an empty gold answer in 5 of 10 rows \(\[1\], \[3\], \[5\] …\)"):
        only(tmp_path, *rows)
    for gold in (" \n", "\u200b", "<think>\nI wonder", "<think>I wonder", "<think> Well, I wonder", "[THINK]hm",
                 "<think>hm</think>", None):
        with pytest.raises(RecordError, match="empty gold answer|no field 'completion'"):
            only(tmp_path, {"prompt": "a", "completion": gold})
    for row in ({"instruction": "a", "output": " "}, {"instruction": "a", "response": ""}, {"messages": [USER, GOLD | {"content": ""}]},
                {"prompt": "a", "chosen": "", "rejected": "b"}):
        with pytest.raises(RecordError, match="an empty gold answer in 1 of 1 rows"):
            only(tmp_path, row)
    (tmp_path / "one.jsonl").write_text('{"data": "mine", "prompt": "a", "completion": "b"}\n')
    assert load_examples(tmp_path / "one.jsonl")[0].extra == {"data": "mine"}


# thoughts and tools

@pytest.mark.parametrize("row", [
    {"prompt": "Name a river.", "completion": "<think>\nEurope?\n</think>\n\nThe Elbe"},
    {"messages": [USER, GOLD | {"reasoning_content": "Europe?"}]}, {"prompt": "a", "completion": "[THINK]Europe?[/THINK]The Elbe"},
    {"messages": [USER, {"role": "assistant", "content": [{"type": "thinking", "thinking": "Europe?"}, {"type": "text", "text": "The Elbe"}]}]},
    {"instruction": "Name a river.", "output": "Europe?\n</think>\nThe Elbe"},
    {"conversations": [{"from": "human", "value": "Name a river."}, {"from": "gpt", "value": "<think>Europe?</think>The Elbe"}]}], ids=str)
def test_a_thought_in_gold_is_left_out_or_kept_as_the_user_says(row, tmp_path, capsys):
    [example] = only(tmp_path, row)
    assert example.completion == "The Elbe" and "1 of 1 rows have a thought in gold, which is left out" in capsys.readouterr().err
    [kept] = only(tmp_path, row, thoughts="keep")
    assert kept.completion == "<think>\nEurope?\n</think>\n\nThe Elbe" and kept.answers == ["The Elbe"]
    assert "which is kept" in capsys.readouterr().err
    with pytest.raises(RecordError, match="thoughts='kep'; expected one of drop, keep .*'keep'"):
        only(tmp_path, row, thoughts="kep")


@pytest.mark.parametrize("text", ["It is the </think> tag, of course.", "<think> opens a thought.", "<think>, of course", "<think> and </think> mark a thought.", "<think>…</think> is how it's marked.", "Write `<think>` first.",
                                  "Use <think>x</think> there.", "```\n<think>\nhm\n</think>\n```", "<thinking is fun>", "a < think > b"])
def test_a_text_that_names_a_tag_is_not_cut(text, tmp_path):
    for thoughts in ("drop", "keep"):
        assert only(tmp_path, {"prompt": "a", "completion": text}, thoughts=thoughts)[0].completion == text


def test_thoughts_of_earlier_turns_go_with_those_of_gold(tmp_path):
    row = {"messages": [USER, GOLD | {"content": "<think>Hm</think>The Elbe"}, USER, GOLD]}
    assert only(tmp_path, row)[0].prompt == [*TALK, USER]
    assert only(tmp_path, row, thoughts="keep")[0].prompt[1]["content"] == "<think>Hm</think>The Elbe"


def test_tools_travel_with_the_prompt_however_they_are_written(tmp_path):
    tool = {"type": "function", "function": {"name": "level_of", "parameters": {"river": {"type": "string"}}}}
    ways = [{"tools": [tool]}, {"tools": json.dumps([tool])}, {"functions": [tool["function"]]}]
    asked = {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "level_of", "arguments": '{"river": "Elbe"}'}}]}
    for way in ways:
        [example] = only(tmp_path, {"messages": [USER, asked, {"role": "tool", "content": "2", "tool_call_id": "c"}, GOLD]} | way)
        assert example.prompt[0]["tools"] == [tool] and example.prompt[1]["content"] == ""
        assert example.prompt[1]["tool_calls"][0]["function"]["arguments"] == {"river": "Elbe"}
    assert only(tmp_path, {"prompt": "a", "completion": "b", "tools": [tool]})[0].prompt == [{"role": "user", "content": "a", "tools": [tool]}]
    assert only(tmp_path, {"prompt": "a", "completion": "b", "tools": []})[0].prompt == "a"


@pytest.mark.parametrize("format, row", [
    ("preference", {"prompt": "Name a river.", "chosen": "The Elbe", "rejected": "Paris"}), ("sharegpt", {"conversations": TALK}),
    ("alpaca", {"instruction": "a", "input": "b", "output": "c"}), ("nq-open", {"question": "a", "answer": ["b"]}),
    ("bbq", {"context": "a", "question": "b", "ans0": "c", "ans1": "d", "ans2": "e", "label": 1})])
def test_a_row_of_a_newer_shape_with_any_damage_is_read_or_named(format, row, tmp_path):
    path = tmp_path / "d.json"

    def read(changed):
        path.write_text(json.dumps([changed]))
        return load_examples(path, format=format)

    named_or_read(read, row, "d.json")


def test_large_files_are_read_piece_by_piece(tmp_path):
    with open(tmp_path / "large.csv", "w") as file:
        file.write("prompt,completion\n" + "".join(f"{i} ?,{i}\n" for i in range(3)) + "broken,with,more\n")
    assert len(load_examples(tmp_path / "large.csv", n=3)) == 3
    import datasets
    datasets.Dataset.from_list([{"prompt": f"{i} ?", "completion": str(i)} for i in range(2500)]).to_parquet(tmp_path / "large.parquet")
    assert len(load_examples(tmp_path / "large.parquet", n=3)) == 3 and len(load_examples(tmp_path / "large.parquet")) == 2500


def test_pictures_of_a_data_set_are_refused_before_one_is_decoded(tmp_path):
    import datasets
    rows = datasets.Dataset.from_dict({"prompt": ["a"], "completion": ["b"], "photo": [{"bytes": b"no picture", "path": None}]})
    rows.cast_column("photo", datasets.Image()).save_to_disk(tmp_path / "saved")
    with pytest.raises(RecordError, match="the column 'photo' of image"):
        load_examples(tmp_path / "saved")


def test_a_table_on_the_hub_is_text_too(tmp_path, monkeypatch):
    import datasets
    (tmp_path / "train.csv").write_text("prompt,completion\nWhich code?,00501\nGroup?,NA\nIs it?,True\n")
    load, asked = datasets.load_dataset, []

    def from_hub(source, config=None, **how):
        asked.append(how)
        return load("csv", data_files=str(tmp_path / "train.csv"), **how)

    monkeypatch.setattr(datasets, "load_dataset", from_hub)
    files = {"train": ["hf://datasets/owner/codes/train.csv"]}
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *_: SimpleNamespace(config=SimpleNamespace(data_files=files)))
    for streaming in (False, True):
        rows = [row["completion"] for _, row in dataset_rows("owner/codes", "train", streaming=streaming)]
        assert rows == ["00501", "NA", "True"]
    assert [bool(how.get("features")) for how in asked] == [False, True] * 2, "first as it is, then with every column as text"


@pytest.mark.parametrize("said, gold, counted", [
    ("<think>\n\n</think>\n\nThe Elbe.", "The Elbe.", True), ("<think></think>The Elbe.", "The Elbe.", True),
    ("<thinking> </thinking> The Elbe.", "The Elbe.", True),
    ("<think></think> is how it writes no thought.", "<think></think> is how it writes no thought.", False)])
def test_an_empty_thought_in_gold_is_a_thought(said, gold, counted, tmp_path, capsys):
    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps({"prompt": "Name a river.", "completion": said}) + "\n")
    assert [example.completion for example in load_examples(path)] == [gold]
    assert ("have a thought in gold" in capsys.readouterr().err) == counted
    kept = load_examples(path, thoughts="keep")[0]
    assert kept.completion == gold and (kept.answers == [gold]) == counted
