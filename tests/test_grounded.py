"""Published data, on samples of our own in the publishers' forms:
what is read, what is swapped, and what is reported where nothing is."""

import gzip
import json
import random
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import real_data
from damage import damaged
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_nb import grounded
from ssr_nb.rows import json_rows
from ssr_nb.grounded import (MBPP_SPLITS, PUBLISHED, REFUSAL, Grounded, grounded_example, holds, humaneval_example,
                             load_paper_task, mbpp_example, multidoc2dial_items, musique_items, natural_questions_items,
                             swap_passages)
from ssr_nb.judge import judge
from ssr_nb.reading import normalize_answer
from ssr_nb.metrics import accuracy, answerability, f1
from ssr_nb.records import Example, RecordError, Response, Verdict
from ssr_nb.tasks import TASKS, load_examples

SAMPLES = Path(__file__).parent / "data"
SOURCES = {"musique": ("musique_sample.jsonl", "validation"),
           "natural_questions": ("natural_questions_sample.jsonl", "train"),
           "multidoc2dial": ("multidoc2dial_dial_sample.json", "train"), "squad2": ("squad_sample.json", "validation"),
           "gsm8k": ("gsm8k_sample.jsonl", "test"), "mbpp": ("mbpp_sample.jsonl", "train"),
           "humaneval": ("humaneval_sample.jsonl", "test")}
METRICS = {metric.__name__: metric for metric in (accuracy, answerability, f1)}


@pytest.fixture
def data(tmp_path, monkeypatch):
    "The samples where the publishers' files would be, and the variable that says so."
    for name, (source, split) in SOURCES.items():
        (tmp_path / name).mkdir()
        shutil.copy(SAMPLES / source, tmp_path / name / PUBLISHED[name].files[split].removesuffix(".gz"))
    shutil.copy(SAMPLES / "multidoc2dial_doc_sample.json", tmp_path / "multidoc2dial" / "multidoc2dial_doc.json")
    monkeypatch.setenv("SSR_DATA", str(tmp_path))
    return tmp_path


def test_no_torch_is_loaded():
    code = "import sys, ssr_nb.grounded; sys.exit(bool({'torch', 'datasets', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_task_by_name(data, name):
    split = SOURCES[name][1]
    examples = load_paper_task(name, split)
    assert examples == load_paper_task(name, split) == load_examples(name, split=split)
    assert len({e.id for e in examples}) == len(examples) and all(e.completion.strip() for e in examples)
    assert load_paper_task(name, split, n=2) and len(load_paper_task(name, split, n=2)) == 2
    task = TASKS[name]
    if task.judge in ("squad", "numeric"):  # gold passes its own judge, refusals too
        verdicts = judge(examples, [Response(e.id, e.completion) for e in examples], task.judge)
        assert {v.label for v in verdicts} == {"correct"}
        assert all(METRICS[task.metric](e, e.completion, v) == 1 for e, v in zip(examples, verdicts))


def test_musique_has_its_own_unanswerable_questions(data):
    examples = load_paper_task("musique", "validation")
    assert ([e.answerable for e in examples] == [True, False, True, True] and examples[1].completion == REFUSAL
            and examples[1].answers == [])
    assert examples[0].group == examples[1].group and examples[0].id != examples[1].id
    assert examples[0].answers == ["Port Elspeth", "Elspeth"] and "Passage 4: Stenby." in examples[0].prompt
    more = load_paper_task("musique", "validation", unanswerable=0.5, seed=3)
    assert sum(not e.answerable for e in more) == 2


def as_on_the_hub(row):
    "A row of Natural Questions' simplified file in the form of the hub's."
    tokens, given = row["document_text"].split(" "), row["annotations"]
    marks = [bool(re.fullmatch("<.*>", t)) for t in tokens]
    return {"id": str(row["example_id"]), "question": {"text": row["question_text"], "tokens": []},
            "document": {"url": row["document_url"], "title": "", "html": "",
                         "tokens": {"token": tokens, "is_html": marks}},
            "annotations": {"long_answer": [a["long_answer"] for a in given], "yes_no_answer": [
                {"NONE": -1, "NO": 0, "YES": 1}[a["yes_no_answer"]] for a in given],
                            "short_answers": [{k: [s[k] for s in a["short_answers"]]
                                               for k in ("start_token", "end_token")} for a in given]}}


def test_natural_questions_in_three_forms(tmp_path):
    simplified = [row for _, row in json_rows(SAMPLES / "natural_questions_sample.jsonl")]
    original = []
    for row in simplified:
        tokens = row["document_text"].split(" ")
        original.append({**row, "document_tokens": [{"token": t, "html_token": bool(re.fullmatch("<.*>", t))}
                                                    for t in tokens], "document_html": ""})
        del original[-1]["document_text"]
    read = [list(natural_questions_items((f"row {i}", row) for i, row in enumerate(rows)))
            for rows in (simplified, original, map(as_on_the_hub, simplified))]
    # two have no short answer
    assert read[0] == read[1] == read[2] and [item.id for item in read[0]] == ["5001", "5002", "5003", "5004"]
    assert (read[0][0].passages == ["The lighthouse was built in 1850 by Ada Thorne ."]
            and read[0][0].answers == ["Ada Thorne"] and read[0][3].answers == ["yes"])


def test_natural_questions_come_from_the_hub_as_they_are_asked_for(tmp_path, monkeypatch):
    "A folder in the place of the hub: its tables have the hub's types, and the last can't be read."
    import datasets
    from datasets import Sequence, Value
    answer = {name: Value("int64") for name in ("start_token", "end_token")}
    types = datasets.Features({
        "id": Value("string"), "question": {"text": Value("string"), "tokens": Sequence(Value("string"))},
        "document": {"url": Value("string"), "title": Value("string"), "html": Value("string"),
                     "tokens": Sequence({"token": Value("string"), "is_html": Value("bool")})},
        "annotations": Sequence({"long_answer": {**answer, "candidate_index": Value("int64")},
                                 "short_answers": Sequence(answer),
                                 "yes_no_answer": datasets.ClassLabel(names=["NO", "YES"])})})
    rows = [as_on_the_hub(row) for _, row in json_rows(SAMPLES / "natural_questions_sample.jsonl")]
    hub = tmp_path / "hub" / "data"
    hub.mkdir(parents=True)
    datasets.Dataset.from_list(rows, features=types).to_parquet(hub / "train-00000-of-00002.parquet")
    (hub / "train-00001-of-00002.parquet").write_bytes(b"no table")
    monkeypatch.setitem(PUBLISHED, "natural_questions",
                        replace(PUBLISHED["natural_questions"], hub=str(tmp_path / "hub")))
    file = tmp_path / "file" / "simplified-nq-train.jsonl"
    file.parent.mkdir()
    shutil.copy(SAMPLES / "natural_questions_sample.jsonl", file)
    some = load_paper_task("natural_questions", "train", tmp_path / "nowhere", n=4, unanswerable=0.0)
    assert some == load_paper_task("natural_questions", "train", file.parent, n=4, unanswerable=0.0)
    # the rest is asked for, and only now does it matter; what a connection breaks is said in the same words
    with pytest.raises(RecordError, match="on the hub .*expected simplified-nq-train.jsonl.gz from https://ai.google"):
        load_paper_task("natural_questions", "train", tmp_path / "nowhere", n=5, unanswerable=0.0)


def test_natural_questions_are_streamed_from_the_compressed_file(tmp_path):
    folder = tmp_path / "nq"
    folder.mkdir()
    with gzip.open(folder / "simplified-nq-train.jsonl.gz", "wt") as file:
        file.write((SAMPLES / "natural_questions_sample.jsonl").read_text() + "this line is never read\n")
    # and no further than needed
    assert len(load_paper_task("natural_questions", "train", folder, n=3, unanswerable=0.0)) == 3
    with pytest.raises(RecordError, match="line 7.*this line is never read"):
        load_paper_task("natural_questions", "train", folder)


def test_dialogues(data):
    dialogues, documents = (json.loads((SAMPLES / f"multidoc2dial_{part}_sample.json").read_text())
                            for part in ("dial", "doc"))
    items = list(multidoc2dial_items(dialogues, documents, "sample"))
    # what the agent asks, or knows nothing about, is no answer
    assert [item.id for item in items] == ["lib-1-1", "lib-1-5", "lib-2-1", "har-1-1"]
    second = grounded_example(items[1])
    assert second.completion == "Then you can renew it, and once more after that."
    assert second.prompt.endswith("User: How long may I keep a book?\nAgent: You may keep it for four weeks.\nUser: "
                                  "I need it longer than that.\n"
                                  "Agent: Is somebody waiting for the book?\nUser: No, nobody is.")
    assert len(items[2].passages) == 1 and items[2].evidence == ["Reading rooms can be booked a week ahead.",
                                                                 "A booking ends when nobody came for fifteen minutes."]
    examples = load_paper_task("multidoc2dial", "train")
    assert sum(not e.answerable for e in examples) == 2
    first = dialogues["dial_data"]["library"][0]["turns"]
    assert first[7]["da"] == "respond_no_solution"
    first[7]["references"] = first[1]["references"]  # where it has looked doesn't make it an answer
    first[1]["da"] = "respond_solution_positive"
    assert list(multidoc2dial_items(dialogues, documents, "sample")) == items
    dialogues["dial_data"]["harbour"][0]["turns"][1]["references"][0]["id_sp"] = "99"
    with pytest.raises(RecordError, match=r"sample, dial_data\['harbour'\]\[0\].turns\[1\].*span '99'"):
        list(multidoc2dial_items(dialogues, documents, "sample"))


def test_mbpp(data):
    train, test = load_paper_task("mbpp", "train"), load_paper_task("mbpp", "test")
    assert [e.id for e in train] == ["mbpp-601", "mbpp-602"] and [e.id for e in test] == ["mbpp-20"]
    assert "assert count_vowels('lighthouse') == 4" in train[0].prompt and "\r" not in train[0].completion
    assert train[1].extra["test_setup_code"] == "import math" and len(train[1].extra["test_list"]) == 2
    space: dict = {}
    for example in train + test:  # the samples' own programs pass their own tests
        exec("\n".join([example.extra.get("test_setup_code", ""), example.completion.strip("`").removeprefix("python"),
                        *example.extra["test_list"]]), space)
    assert sorted(len(r) for r in MBPP_SPLITS.values()) == [10, 90, 374, 500]


def test_humaneval(data):
    found = load_paper_task("humaneval", "test")
    assert [e.id for e in found] == ["HumanEval/900", "HumanEval/901", "HumanEval/902"]
    assert all("def check(" in test and "def check(" not in e.prompt for e in found for test in e.extra["test_list"])
    assert "def tide(" in found[1].extra["test_setup_code"] and "def first_high_tide(" not in found[1].extra["test_setup_code"]
    assert [v.label for v in judge(found, [Response(e.id, e.completion) for e in found], "code")] == ["correct"] * 3
    start, tides = found[0].completion, found[1].completion
    wrong = {start.replace("return start", "return words"): 0, "```python\n" + tides[tides.index("def first_high_tide"):]: 1,
             "```python\ndef tide(hour):\n    return 5\n\ndef first_high_tide(start):\n    return start\n```": 1}
    for answer, i in wrong.items():  # another value; without the helper; with a helper of its own that makes it right
        (verdict,) = judge([found[i]], [Response(found[i].id, answer)], "code")
        assert verdict.label == "incorrect", answer
    with pytest.raises(RecordError, match="here: found entry_point 'is_odd'.*expected a prompt with def is_odd"):
        humaneval_example(rows_of("humaneval")[2] | {"entry_point": "is_odd"}, "here")


def test_the_publishers_own_files(tmp_path, monkeypatch):
    monkeypatch.setenv("SSR_DATA", str(tmp_path))
    found = {}
    for name, split, source in (("squad2", "validation", "squad_v2_dev_slice.json"),
                                ("gsm8k", "train", "gsm8k_train_slice.jsonl"),
                                ("gsm8k", "test", "gsm8k_test_slice.jsonl")):
        place = tmp_path / name / PUBLISHED[name].files[split]
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(real_data(source))
        found[name, split] = examples = load_examples(name, split=split)
        verdicts = judge(examples, [Response(e.id, e.completion) for e in examples], TASKS[name].judge)
        metric = METRICS[TASKS[name].metric]
        assert all(metric(e, e.completion, v) == 1 for e, v in zip(examples, verdicts))
    assert {key: len(examples) for key, examples in found.items()} == {
        ("squad2", "validation"): 1287, ("gsm8k", "train"): 2000, ("gsm8k", "test"): 300}
    squad = found["squad2", "validation"]
    assert len({e.group for e in squad}) == 4 and 0.4 < sum(not e.answerable for e in squad) / len(squad) < 0.6


def test_what_the_judges_of_the_samples_say(data):
    [first, *_] = load_paper_task("natural_questions", "train", unanswerable=0.0)
    for answer, label in (("Ada Thorne", "correct"), ("It can't be told from the passages.", "incorrect"),
                          ("Otto Lind", "incorrect")):
        [verdict] = judge([first], [Response(first.id, answer)], "squad")
        assert verdict.label == label


# the swap

words = st.sampled_from("mira tom lamp attic boat harbour january rye bread bridge choir river".split())


@given(st.lists(st.tuples(st.lists(words, min_size=3, max_size=8), words), min_size=6, max_size=12), st.floats(0, 0.4),
       st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_no_swapped_passage_holds_the_answer(rows, share, seed):
    items = [Grounded(f"q{i}", f"question {i}", [" ".join([*text, answer]), "nothing here"], answer, [answer], f"g{i}")
             for i, (text, answer) in enumerate(rows)]
    try:
        made = swap_passages(items, share, seed)
    except RecordError as error:
        assert "passages for" in str(error)
        return
    assert (sum(not m.answerable for m in made) == round(share * len(items))
            and made == swap_passages(items, share, seed))
    for before, after in zip(items, made):
        assert (after.id, after.question, len(after.passages)) == (before.id, before.question, len(before.passages))
        if not after.answerable:
            assert not any(re.search(rf"\b{normalize_answer(before.answers[0])}\b", normalize_answer(p))
                           for p in after.passages)
            assert before.passages[0] not in after.passages and grounded_example(after).completion == REFUSAL
        else:
            assert after == before


def test_passages_of_the_same_document_are_not_swapped_in():
    items = [Grounded("a", "q", ["the lamp is in the attic"], "attic", ["attic"], "house"),
             Grounded("b", "q", ["the house is red"], "red", ["red"], "house"),
             Grounded("c", "q", ["boats float"], "boats", ["boats"], "harbour")]
    for seed in range(10):
        made = grounded.without_answer(items[0], items, random.Random(seed))
        assert made.passages == ["boats float"]
    assert grounded.without_answer(items[0], items[:2], random.Random(0)) is None
    with pytest.raises(RecordError, match="passages for 0 of 2 questions"):
        swap_passages(items[:2], 1.0)
    with pytest.raises(RecordError, match="a number from 0 to 1"):
        swap_passages(items, 1.5)


@pytest.mark.parametrize("passage, text, there", [("The ATTIC.", "an attic", True), ("atticus", "attic", False),
                                                  ("in 1,850", "1850", True), ("x", "the", False)])
def test_holds(passage, text, there):
    assert holds(passage, [text]) is there


def test_metrics():
    with_answer = Example("q", "the attic", answers=["the attic"], answerable=True)
    without = Example("q", REFUSAL, answers=[], answerable=False)
    assert (f1(with_answer, "attic") == 1 and 0 < f1(with_answer, "attic of Mira") < 1 and f1(without, "attic") == 0
            and f1(without, REFUSAL) == 1)
    assert (answerability(with_answer, REFUSAL) == 0 and answerability(without, REFUSAL) == 1
            and answerability(without, "attic") == 0)
    assert accuracy(with_answer, "x", Verdict("q", "unparsed")) == 0 and accuracy(with_answer, "x") == 0


# what is not there

@pytest.mark.parametrize("name", PUBLISHED)
def test_what_to_download_is_said(tmp_path, monkeypatch, name):
    monkeypatch.setenv("SSR_DATA", str(tmp_path))
    monkeypatch.setattr(grounded, "dataset_rows", lambda *a, **k: (_ for _ in ()).throw(
        RecordError(a[0], None, "ConnectionError: no network", "a network")))
    task, split = PUBLISHED[name], SOURCES[name][1]
    with pytest.raises(RecordError) as caught:
        load_paper_task(name, split)
    for part in (task.files[split], task.address, str(tmp_path / name)) + (("no network",) if task.hub else ()):
        assert part in str(caught.value), part


def test_the_hub_is_asked_where_there_is_no_file(tmp_path, monkeypatch):
    asked = []
    rows = [row for _, row in json_rows(SAMPLES / "gsm8k_sample.jsonl")]
    monkeypatch.setattr(grounded, "dataset_rows",
                        lambda *a, **k: asked.append(a) or ((f"row {i}", row) for i, row in enumerate(rows)))
    assert len(load_paper_task("gsm8k", "test", tmp_path)) == len(rows) and asked == [("openai/gsm8k", "test", "main")]


@pytest.mark.parametrize("wrong", [{"name": "hotpot"}, {"name": "musique", "split": "test"},
                                   {"name": "gsm8k", "unanswerable": 0.5}])
def test_what_makes_no_sense(data, wrong):
    with pytest.raises(RecordError):
        load_paper_task(**wrong)


@pytest.mark.parametrize("damage", [{"paragraphs": "none"}, {"question": ""}, {"id": 7}, {"answer": None}])
def test_broken_rows_are_named(damage):
    row = json.loads((SAMPLES / "musique_sample.jsonl").read_text().splitlines()[0]) | damage
    with pytest.raises(RecordError, match=f"here.*{next(iter(damage))}"):
        list(musique_items([("here", row)]))


def test_broken_annotations_are_named():
    row = json.loads((SAMPLES / "natural_questions_sample.jsonl").read_text().splitlines()[0])
    del row["annotations"][0]["short_answers"]
    with pytest.raises(RecordError, match="here: found annotations that lack 'short_answers'"):
        list(natural_questions_items([("here", row)]))


@pytest.mark.parametrize("span", [{"start_token": None, "end_token": 15}, {"start_token": 13, "end_token": None}])
def test_spans_without_an_end_are_no_answers(span):
    row = json.loads((SAMPLES / "natural_questions_sample.jsonl").read_text().splitlines()[0])
    row["annotations"][0]["short_answers"] = [span]
    with pytest.raises(RecordError, match="here: found annotations that lack whole numbers"):
        list(natural_questions_items([("here", row)]))


@pytest.mark.parametrize("damage", [{"challenge_test_list": [7]}, {"test_imports": "math"}, {"test_setup_code": 7},
                                    {"test_list": []}, {"test_list": [7]}])
def test_programs_whose_tests_are_no_texts(damage):
    with pytest.raises(RecordError, match="here: found .*expected"):
        mbpp_example(rows_of("mbpp")[1] | damage, "here")


def rows_of(name):
    return [row for _, row in json_rows(SAMPLES / f"{name}_sample.jsonl")]


def spoken(part):
    return json.loads((SAMPLES / f"multidoc2dial_{part}_sample.json").read_text())


def page_of(row, form):
    if form == "hub":
        return as_on_the_hub(row)
    tokens = [{"token": t, "html_token": t.startswith("<")} for t in row["document_text"].split(" ")]
    return {k: v for k, v in row.items() if k != "document_text"} | {"document_tokens": tokens}


READERS = {
    "musique": (lambda row: [grounded_example(item) for item in musique_items([("here", row)])],
                rows_of("musique")[0]),
    "natural questions, simplified": (
        lambda row: [grounded_example(item) for item in natural_questions_items([("here", row)])],
        rows_of("natural_questions")[0]),
    "natural questions, original": (
        lambda row: [grounded_example(item) for item in natural_questions_items([("here", row)])],
        page_of(rows_of("natural_questions")[0], "original")),
    "natural questions, hub": (
        lambda row: [grounded_example(item) for item in natural_questions_items([("here", row)])],
        page_of(rows_of("natural_questions")[0], "hub")),
    "dialogues": (lambda said: [grounded_example(i) for i in multidoc2dial_items(said, spoken("doc"), "here")],
                  spoken("dial")),
    "documents": (lambda docs: [grounded_example(i) for i in multidoc2dial_items(spoken("dial"), docs, "here")],
                  spoken("doc")),
    "mbpp": (lambda row: [mbpp_example(row, "here")], rows_of("mbpp")[1]),
    "humaneval": (lambda row: [humaneval_example(row, "here")], rows_of("humaneval")[1]),
}


@pytest.mark.parametrize("name", READERS)
def test_a_row_with_any_damage_is_read_or_named(name):
    read, row = READERS[name]
    assert read(row)
    for what, changed in damaged(row):
        try:
            examples = read(changed)
        except RecordError as error:
            assert "here" in str(error) and "expected" in str(error), f"{what}: {error}"
        except Exception as error:
            raise AssertionError(f"{what}: {error!r}") from error
        else:
            assert all(isinstance(e.prompt, str) and isinstance(e.completion, str) for e in examples), what
