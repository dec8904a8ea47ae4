"""Short passages: where sentences end, what is cut around which answer, whole articles, a balanced draw, and the example
configuration for a real small model, run on a tiny one."""

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT, real_data
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_model import make_tiny_model
from typer.testing import CliRunner

from ssr_nb.compare import compare
from ssr_nb.comparison import check, load_data, read_comparison
from ssr_nb.rows import json_rows
from ssr_nb.judge import rule_of
from ssr_nb.real import real_comparison
from ssr_nb.respond import respond
from ssr_nb.records import RecordError, Response, Verdict, read_records, write_records
from ssr_nb.sentences import (NOT_SAID, around, chosen_articles, drawn, load_squad_sentences, sentence_spans,
                              sentences_example, titles_of)
from ssr_nb.tasks import Source, judge_for, load_examples, metric_for, read_source

SAMPLE = Path(__file__).parent / "data" / "squad_sample.json"


def cut(text: str) -> list[str]:
    return [text[a:b] for a, b in sentence_spans(text)]


@pytest.mark.parametrize("whole", [
    "The organ of J. S. Bach stood in St. Thomas until 1747.", "Dr. Anna A. Thorne met Mr. Bell.", "It weighs approx. 2.5 kg.",
    "See fig. 3 and pp. 12 to 14.", "The U.S. Navy bought No. 5 of them.", "He lived (b. 1802, d. 1871) in Mt. Vernon.",
    "Bell, Thorne & Co. Ltd. of London built it.", "He rose to Lt. Gen. Fox, i.e. Tom.", "The firm of Henry Gates, Jr. and Ann.",
    "Bread, salt, etc. were sold at 5 a.m. daily.", "W. E. B. Moor wrote it.", "Yahoo! was a firm.", "Version 1.2.3 of Jan. 5 works.",
    "U. S. Secretary Gray spoke."])
def test_what_ends_no_sentence(whole):
    assert cut(whole) == [whole] and cut(f"{whole} The end came.") == [whole, "The end came."]


@pytest.mark.parametrize("parts", [
    ["It was made in the U.S.", "The war began."], ["Is it?", "It is!", "Good."],
    ['He said "Stop."', "Then he left."], ["It works.[4]", "Others don't."], ["Wait ...", "Now."],
    ["Vitamin C.", "It helps."], ["Is it No.", "The answer was yes."], ["Élan was a word.", "Östra was another."], ["First", "Second"]])
def test_what_ends_one(parts):
    assert cut(("\n" if parts == ["First", "Second"] else " ").join(parts)) == parts


@pytest.mark.parametrize("one", ["He was born in 1850. 5 years later he moved.", "It fell.[citation needed]", "He left. (So did she.)"])
def test_in_doubt_two_stay_one(one):
    assert cut(f"{one} The end came.")[0].startswith(one)


@given(st.text(alphabet="aB. !?\n\"')J5", max_size=60))
@settings(deadline=None)
def test_no_letter_is_lost(text):
    spans = sentence_spans(text)
    assert all(a < b for a, b in spans) and all(b <= c for (_, b), (c, _) in zip(spans, spans[1:]))
    assert "".join(text[a:b] for a, b in spans).split() == [] or "".join(
        text[a:b] for a, b in spans).replace(" ", "").replace("\n", "") == text.replace(" ", "").replace("\n", "")


def test_one_sentence_or_two_and_as_many_as_the_answer_touches():
    text = "One is here. Two is here. Three is here."
    assert around(text, 0, 3) == "One is here." and around(text, 13, 16) == "One is here. Two is here."
    assert around(text, 13, 31) == "Two is here. Three is here."


def test_every_question_of_the_sample_is_cut_around_its_answer():
    rows = list(json_rows(SAMPLE))
    for place, row in rows:
        example, passage = sentences_example(row, place), None
        passage = example.prompt.split("Passage: ")[1].split("\n\nQuestion:")[0]
        assert passage in row["context"] and 1 <= len(sentence_spans(passage)) <= 2
        sought = row["answers"] or row["plausible_answers"]
        assert sought[0]["text"] in passage and example.group == row["title"]
        assert (example.completion == NOT_SAID) == row["is_impossible"] == (not example.answerable)
        assert rule_of("contains")(example, example.completion).label == "correct"


def test_the_hub_s_form_has_no_plausible_answers():
    context = "The mill grinds rye. The lamp of Mira is in the attic. Tom paints boats."
    row = {"id": "1", "title": "House", "context": context, "question": "Where is the lamp of Tom?",
           "answers": {"text": [], "answer_start": []}}
    example = sentences_example(row, "row 1")
    assert "The mill grinds rye. The lamp of Mira is in the attic.\n" in example.prompt and example.completion == NOT_SAID
    row["answers"] = {"text": ["boats"], "answer_start": [context.index("boats")]}
    assert "attic. Tom paints boats.\n" in sentences_example(row, "row 1").prompt


@pytest.mark.parametrize("answer, wrong", [({"text": "cellar", "answer_start": 3}, "'cellar', which isn't|\"cellar\", which isn't"),
                                           ({"text": "attic"}, "no 'answer_start'"), ({"text": "attic", "answer_start": "3"}, "answer_start")])
def test_an_answer_that_stands_nowhere_is_named(answer, wrong):
    row = {"context": "The lamp is in the attic.", "question": "Where?", "answers": [answer], "is_impossible": False}
    with pytest.raises(RecordError, match=wrong) as error:
        sentences_example(row, "squad.json, data[0]")
    assert "squad.json, data[0]" in str(error.value)


def test_an_answer_at_another_place_than_said_is_found():
    row = {"context": "One. The lamp is in the attic.", "question": "Where?", "answers": [{"text": "attic", "answer_start": 0}]}
    assert "The lamp is in the attic." in sentences_example(row, "here").prompt


def test_titles_by_name_and_by_range():
    names = [f"T{i}" for i in range(9)]
    parts = [chosen_articles(names, span, 3, "x") for span in ("1-4", "5-7", "8-9")]
    assert sorted(sum(parts, [])) == names and parts[0] == chosen_articles(names[::-1], "1-4", 3, "x")
    assert chosen_articles(names, "1-4", 4, "x") != parts[0]
    assert titles_of("A,Fresno,_California,B") == ["A", "Fresno,_California", "B"]
    for wrong, said in (("T10", "did you mean 'T1'"), ("0-3", "1-9"), ("3-2", "1-9"), ("1-10", "1-9"), (["T1", "X"], "'X'")):
        with pytest.raises(RecordError, match=said):
            chosen_articles(names, wrong, 0, "x")


def test_a_balanced_draw():
    some = load_squad_sentences("train", part=str(SAMPLE))
    for share in (0.0, 0.25, 0.5, 1.0):
        chosen = drawn(some, 8, share, 1, "x")
        assert Counter(e.answerable for e in chosen)[False] == round(8 * share) and len(chosen) == 8
    everything = drawn(some, None, 0.5, 0, "x")
    assert Counter(e.answerable for e in everything) == {True: 8, False: 8}
    assert len(drawn(some, None, 0.0, 0, "x")) == 13 and len(drawn(some, None, None, 0, "x")) == 21
    assert [e.id for e in drawn(some, 8, 0.5, 0, "x")] != [e.id for e in drawn(some, 8, 0.5, 1, "x")]
    with pytest.raises(RecordError, match="8 questions without an answer; expected 10 for n = 20"):
        drawn(some, 20, 0.5, 0, "x")


def test_a_source_takes_titles_and_a_share_and_others_say_that_they_do_not():
    source = read_source({"task": f"squad2-sentences:{SAMPLE}", "titles": ["Gull_Rock", "Oster_bread"], "n": 8, "unanswerable": 0.5})
    assert {e.group for e in source.load()} == {"Gull_Rock", "Oster_bread"} and len(source.load("test")) == 8
    assert judge_for(source) == "contains" and metric_for(source) == "accuracy" and source.task.max_new_tokens == 48
    assert source.load() == Source(f"squad2-sentences:{SAMPLE}", titles="Gull_Rock,Oster_bread", n=8, unanswerable=0.5).load()
    for wrong in ({"task": str(SAMPLE), "titles": ["Gull_Rock"]}, {"task": f"gsm8k:{SAMPLE}", "unanswerable": 0.5},
                  {"task": f"squad2-sentences:{SAMPLE}", "columns": "prompt=a,completion=b"}):
        with pytest.raises(RecordError, match="expected that for"):
            read_source(wrong).load()
    with pytest.raises(ValueError, match="unanswerable"):
        read_source({"task": "squad2-sentences", "unanswerable": 1.5})


def test_on_the_command_line(tmp_path):
    from ssr_nb.cli import app

    said = ["--examples", f"squad2-sentences:{SAMPLE}", "--titles", "Gull_Rock,Chess_clock", "--unanswerable", "0.5"]
    source = Source(said[1], titles=said[3], unanswerable=0.5)
    answers, out = tmp_path / "responses.jsonl", tmp_path / "verdicts.jsonl"
    write_records(answers, [Response(e.id, e.completion) for e in source.load()])
    done = CliRunner().invoke(app, ["judge", *said, "--responses", str(answers), "--out", str(out)])
    assert done.exit_code == 0, done.output
    verdicts = read_records(out, Verdict)
    assert len(verdicts) == 10 and {(v.label, v.judge) for v in verdicts} == {("correct", "contains")}


def squad_of(articles: int, thing: str) -> dict:
    "A document in SQuAD's form, of sentences of our own: an article has two questions of each kind."
    def article(i: int) -> dict:
        context = f"The {thing} of Dr. Moor no. {i} was built in {1700 + i}. It stands by a river, and it has {i + 8} rooms."

        def ask(kind: str, question: str, text: str) -> dict:
            return {"id": f"{thing} {i} {question}", "question": f"{question} {thing} {i}?", "is_impossible": kind != "answers",
                    "answers": [], kind: [{"text": text, "answer_start": context.index(text)}]}
        asked = [ask("answers", "When was it built,", str(1700 + i)), ask("answers", "How many rooms has", f"{i + 8} rooms"),
                 ask("plausible_answers", "Who owns", "Dr. Moor"), ask("plausible_answers", "How high is", "a river")]
        return {"title": f"{thing}_{i}", "paragraphs": [{"context": context, "qas": asked}]}

    return {"version": "ours", "data": [article(i) for i in range(articles)]}


EXAMPLE = ROOT / "benchmarks" / "real_models" / "smollm2.yaml"


@pytest.fixture
def published_files(tmp_path, monkeypatch):
    "Files of our own where the publishers' would be."
    (tmp_path / "squad2").mkdir()
    for name, articles, thing in (("train-v2.0.json", 210, "mill"), ("dev-v2.0.json", 110, "forge")):
        (tmp_path / "squad2" / name).write_text(json.dumps(squad_of(articles, thing)))
    (tmp_path / "gsm8k").mkdir()
    shutil.copy(SAMPLE.parent / "gsm8k_sample.jsonl", tmp_path / "gsm8k" / "test.jsonl")
    monkeypatch.setenv("SSR_DATA", str(tmp_path))
    monkeypatch.chdir(ROOT)
    return tmp_path


def test_the_example_configuration_takes_articles_that_differ(published_files):
    config = read_comparison(EXAMPLE)
    assert not {part: s for part, s in config.data.items() if part in ("train", "validation", "target") and "titles" not in s}
    wide = {"train": "1-160", "validation": "161-210", "target": "1-100"}  # our articles have four questions, theirs hundreds
    data = config.data | {part: config.data[part] | {"titles": titles} for part, titles in wide.items()}
    train_set, suites = load_data(replace(config, data=data))
    validation, target = [next(s for s in suites if s.role == role) for role in ("validation", "target")]
    sets = [train_set, validation.examples, target.examples]
    assert [len(some) for some in sets] == [320, 100, 200] and {validation.judge, target.judge} == {"contains"}
    assert all(Counter(e.answerable for e in some)[False] == len(some) / 2 for some in sets)
    groups = [{e.group for e in some} for some in sets]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and len(groups[2]) > 80
    with pytest.raises(RecordError, match="of train in test"):
        load_data(replace(config, data=data | {"validation": data["validation"] | {"titles": "160-210", "n": 204}}))


def test_the_short_run_takes_its_questions_from_the_publishers_files(published_files):
    "`make real DATA=squad2`, with articles of two passages each; theirs have dozens."
    for name, thing in (("train-v2.0.json", "mill"), ("dev-v2.0.json", "forge")):
        whole = squad_of(100, thing)
        for one, other in zip(whole["data"], whole["data"][50:]):
            one["paragraphs"] += other["paragraphs"]
        (published_files / "squad2" / name).write_text(json.dumps(whole | {"data": whole["data"][:50]}))
    train_set, suites = load_data(real_comparison("squad2"))
    target = next(s for s in suites if s.role == "target")
    assert [len(train_set), len(target.examples), target.judge] == [160, 100, "contains"]
    assert all(Counter(e.answerable for e in some) == {True: len(some) / 2, False: len(some) / 2} for some in (train_set, target.examples))
    assert {s.name for s in suites if s.role == "general"} == {"plain_instructions", "facts", "sums", "declines", "harmless"}


def test_the_example_configuration_runs_on_a_tiny_model(published_files, tmp_path, monkeypatch):
    model, config = make_tiny_model(tmp_path / "model", context=512), read_comparison(EXAMPLE)
    assert len(config.learning_rates) >= 3 and len(config.seeds) >= 2 and {"sft", "ssr", "replay"} <= set(config.methods)
    data = {part: config.data[part] | {"n": 8} for part in ("train", "validation", "target")}
    data["general"] = {name: {"task": name, "n": 2} if isinstance(suite, str) else suite
                       for name, suite in config.data["general"].items()}
    small = check(replace(config, model=str(model), learning_rates=[1e-3], seeds=[0], data=config.data | data,
                          training={"steps": 2, "batch_size": 4}, resamples=200, threads=1))
    asked, rooms = [], []

    def listening(examples, lm, *given, max_new_tokens, **how):
        asked.append(len(examples))
        rooms.append(max_new_tokens)
        return respond(examples, lm, *given, max_new_tokens=max_new_tokens, **how)

    monkeypatch.setattr("ssr_nb.methods.respond", listening)
    monkeypatch.setattr("ssr_nb.evaluate.respond", listening)
    summary = compare(small, tmp_path / "run", say=lambda line: None)
    assert {arm["method"] for arm in summary["arms"]} == {"base", *config.methods}
    assert summary["figures"]["nats (text)"]["items"] == 16
    assert list(zip(asked, rooms))[:4] == [(8, 48), (160, 256), (16, 48), (6, 256)], "passages, replay, target, three suites of equal room"


def test_real_articles(monkeypatch):
    file = real_data("squad_v2_dev_slice.json")
    whole = load_squad_sentences("validation", part=str(file))
    kinds = {kind: [len(e.prompt.split()) for e in whole if e.answerable == kind] for kind in (True, False)}
    means = [sum(lengths) / len(lengths) for lengths in kinds.values()]
    assert len(whole) == 1287 and abs(means[0] - means[1]) < 5 and max(means) < 90, means
    assert all(any(a in e.prompt for a in e.answers) for e in whole if e.answerable)
    for titles, n in ((["Steam_engine"], 320), (["Packet_switching"], 100), (["Normans", "Harvard_University"], 200)):
        assert len(load_squad_sentences("train", n, part=str(file), titles=titles, unanswerable=0.5)) == n
