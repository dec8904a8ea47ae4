"""Records: hostile files, torn files, and what must come back unchanged."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_nb.files import replacing
from ssr_nb.records import (Appender, Example, RecordError, Response, Score, Target, Verdict, from_row,
                            iterate_lines, iterate_records, read_json, read_records, to_row, write_json,
                            write_records)

TEXT = st.text(min_size=1).filter(lambda s: s.strip())


@given(prompt=TEXT, completion=st.text(),
       extra=st.dictionaries(st.text(min_size=1).map("x-{}".format), st.integers() | st.text() | st.none(), max_size=3))
def test_an_example_survives_the_way_through_json(prompt, completion, extra):
    example = Example(prompt, completion, answerable=True, answers=["a"], extra=extra)
    assert from_row(Example, json.loads(json.dumps(to_row(example)))) == example


@settings(deadline=None)  # the disk takes what it takes
@given(st.lists(st.text(), min_size=1, max_size=5))
def test_any_text_survives_the_way_through_a_file(tmp_path_factory, texts):
    path = tmp_path_factory.mktemp("r") / "responses.jsonl"
    records = [Response(f"q{i}", text, "stop", -1.5, 3, "m") for i, text in enumerate(texts)]
    write_records(path, records)
    assert read_records(path, Response) == records


def test_a_lone_surrogate_does_not_stop_a_run(tmp_path):
    path = tmp_path / "r.jsonl"
    with Appender(path, Response) as out:
        out.write(Response("q1", "half a \ud83d smile"))
    assert read_records(path, Response)[0].response == "half a \ud83d smile"


def test_line_ends_inside_text_stay_inside_the_record(tmp_path):
    record = Response("q1", "a\nb\r\nc\u2028d\x85e\x00f")
    write_records(tmp_path / "r.jsonl", [record])
    assert read_records(tmp_path / "r.jsonl", Response) == [record]


@pytest.mark.parametrize("content, cls, line, words", [
    (b'{"prompt": "a", "completion": "b"}\n{"prompt": "a"\n', Example, 2, "one JSON object a line"),
    (b'{"prompt": "a"}\n', Example, 1, "no field 'completion'"),
    (b'{"prompt": "", "completion": "b"}\n', Example, 1, "isn't blank"),
    (b'{"prompt": [], "completion": "b"}\n', Example, 1, "list of"),
    (b'{"prompt": [{"role": "user"}], "completion": "b"}\n', Example, 1, "messages"),
    (b'{"prompt": "a", "completion": ["b"]}\n', Example, 1, "completion"),
    (b'{"prompt": "a", "completion": "b", "answerable": "yes"}\n', Example, 1, "true or false"),
    (b'{"prompt": "a", "completion": "b", "answers": "b"}\n', Example, 1, "a list of strings"),
    (b'[1, 2]\n', Example, 1, "a JSON object"),
    (b'"text"\n', Example, 1, "a JSON object"),
    (b'\xff\xfe{"prompt"', Example, 1, "UTF-8"),
    (b'{"id": "q", "response": "x", "logprob": NaN}\n', Response, 1, "NaN"),
    (b'{"id": "q", "response": "x", "finish_reason": "eos"}\n', Response, 1, "stop, length"),
    (b'{"id": "q", "response": "x"}\n\n{"id": "q", "response": "y"}\n', Response, 3, "line 1 has already"),
    (b'{"id": "q", "label": "maybe"}\n', Verdict, 1, "correct, incorrect, unparsed, rejected"),
    (b'{"id": "q", "label": "correct", "score": 1.5}\n', Verdict, 1, "from 0 to 1"),
    (b'{"id": "q", "prompt": "a", "completion": "b", "source": "silver"}\n', Target, 1,
     "own, paraphrase, gold, replay"),
    (b'{"id": true, "task": "t", "method": "m", "seed": 0, "score": 1}\n', Score, 1, "id to be a string"),
    (b'{"id": 7.5, "response": "x"}\n', Response, 1, "id to be a string"),
    (b'{"id": "q", "response": "x", "logprob": 1e999}\n', Response, 1, "found logprob = Infinity"),
    (b'{"id": "q", "response": "x", "seen": [1, -Infinity]}\n', Response, 1, "found seen[1] = -Infinity"),
    (b'{"id": ' + b"9" * 5000 + b', "response": "x"}\n', Response, 1, "found a number of 5,000 digits"),
    (b'{"id": "q", "response": "x"}\n{"id": "p", "response": "x", "seen": 1' + b"0" * 300 + b'}\n', Response, 2, "at most 300 digits"),
    (b'{"id": "q", "response": "x", "seen": {"a": [1e400]}}\n', Response, 1, "found seen.a[0] = Infinity"),
    (b'{"id": "q", "response": "x", "seen": -1e400}\n', Response, 1, "found seen = -Infinity"),
    (b'{"id": "q", "response": "x", "seen": ' + b"[" * 5000 + b"]" * 5000 + b'}\n', Response, 1, "nested too deep"),
    (b'{"id": "q", "response": "x", "seen": ' + b'{"a": ' * 500 + b"1" + b"}" * 500 + b'}\n', Response, 1, "nested too deep"),
    (b'{"id": "q", "response": "x", "logprob": [0.5]}\n', Response, 1, "logprob to be a number"),
    (b'{"id": "q", "response": "x", "tokens": [7]}\n', Response, 1, "tokens to be a whole number"),
    (b'{"id": "q", "response": "x", "sample": [7]}\n', Response, 1, "sample to be a whole number"),
    (b'{"id": "q", "label": "correct", "sample": {"a": 7}}\n', Verdict, 1, "sample to be a whole number"),
    (b'{"id": "q", "prompt": "a", "completion": "b", "source": "gold", "masked": 7}\n', Target, 1, "masked to be a list"),
    (b'{"id": "q", "task": "t", "method": "m", "seed": 0, "score": [1]}\n', Score, 1, "score to be a number"),
    (b'{"id": "q", "task": "t", "method": "m", "seed": [0], "score": 1}\n', Score, 1, "seed to be a whole number"),
    (b'{"id": "q", "response": "a", "special_tokens": "<s>"}\n', Response, 1, "special_tokens to be a list of strings"),
    (b'{"id": "q", "task": "t", "method": "m", "seed": 0, "score": 1, "kl_nats": [1]}\n', Score, 1, "kl_nats to be a number"),
    (b'{"id": "q", "task": "t", "method": "m", "seed": 0, "score": 1, "gold_tokens": "9"}\n', Score, 1, "gold_tokens to be a"),
    (b'{"id": "q", "task": "t", "method": "m", "seed": 0, "score": 1, "learning_rate": [1]}\n', Score, 1, "learning_rate to"),
    (b'{"id": "q", "task": "t", "method": "m", "seed": 0, "score": 1, "group": ["a"]}\n', Score, 1, "group to be a string"),
    (b'{"prompt": [{"role": "asistant", "content": "hi"}], "completion": "b"}\n', Example, 1, "mean 'assistant'"),
    (b'{"id": "q", "prompt": [{"role": "wizard", "content": "hi"}], "completion": "b", "source": "gold"}\n', Target, 1,
     "found the role 'wizard' in turn 0; expected one of system, user"),
    (b'{"prompt": "half \\ud83d", "completion": "b"}\n', Example, 1, "half a character (U+D83D)"),
    (b'{"id": "q", "prompt": [{"role": "user", "content": "a"}], "completion": "\\udc00", "source": "gold"}\n', Target, 1, "(U+DC00)"),
    (b'{"messages": [{"role": "USER", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n', Example, 1,
     "mean 'user'"),
    (b'{"id": "q", "task": "t", "method": "m", "seed": true, "score": 1}\n', Score, 1, "whole number"),
    (b'', Example, None, "at least one example"),
    (b'\n\n', Example, None, "at least one example"),
])
def test_a_bad_file_is_an_error_with_file_line_found_and_expected(tmp_path, content, cls, line, words):
    path = tmp_path / "bad.jsonl"
    path.write_bytes(content)
    with pytest.raises(RecordError) as caught:
        read_records(path, cls)
    assert caught.value.line == line and str(path) in str(caught.value) and words in str(caught.value)
    assert "found" in str(caught.value) and "expected" in str(caught.value)


def test_a_windows_file_reads(tmp_path):
    path = tmp_path / "w.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt": "a", "completion": "b"}\r\n{"prompt": "c", "completion": "d"}')
    assert [e.prompt for e in read_records(path, Example)] == ["a", "c"]


def test_samples_of_one_prompt_are_told_apart(tmp_path):
    two = [Response("q", "a", extra={"sample": 0}), Response("q", "a", extra={"sample": 1})]
    write_records(tmp_path / "r.jsonl", two)
    assert read_records(tmp_path / "r.jsonl", Response) == two
    with pytest.raises(RecordError, match="'q' twice"):
        write_records(tmp_path / "r.jsonl", [two[0], two[0]])
    assert read_records(tmp_path / "r.jsonl", Response) == two, "the old file stays"


def test_a_failed_replacement_leaves_the_old_file_and_no_rubbish(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"new": float("nan")})
    with pytest.raises(KeyError):
        with replacing(tmp_path / "a.json") as beside:
            beside.write_text("half")
            raise KeyError
    assert (json.loads((tmp_path / "a.json").read_text()) == {"old": 1}
            and [p.name for p in tmp_path.iterdir()] == ["a.json"])


def test_a_bad_line_in_the_middle_is_not_taken_for_a_torn_one(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"id": "q1", "resp\n{"id": "q2", "response": "x"}\n')
    with pytest.raises(RecordError, match="line 1"), Appender(path, Response):
        pass
    assert path.read_bytes().startswith(b'{"id": "q1", "resp\n'), "nothing of the user's is thrown away"


def test_a_last_line_without_its_line_end_is_kept(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"id": "q1", "response": "x"}')
    with Appender(path, Response) as out:
        assert [r.id for r in out.finished] == ["q1"]
        out.write(Response("q2", "y"))
    assert [r.id for r in read_records(path, Response)] == ["q1", "q2"]


WRITER = """
import sys, time
from ssr_nb.records import Appender, Response
with Appender(sys.argv[1], Response) as out:
    done = {r.id for r in out.finished}
    print("ready", flush=True)
    for i in range(400):
        if f"q{i}" not in done:
            out.write(Response(f"q{i}", "é" * (i % 50)))
            time.sleep(0.0005)
"""


def test_kill_minus_nine_loses_nothing_and_doubles_nothing(tmp_path):
    path = tmp_path / "r.jsonl"
    for number in range(6):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(0.01 + 0.011 * number)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    subprocess.run([sys.executable, "-c", WRITER, str(path)], check=True, stdout=subprocess.DEVNULL)
    assert [r.id for r in iterate_records(path, Response)] == [f"q{i}" for i in range(400)]


@pytest.mark.parametrize("content, said", [
    (gzip.compress(b'{"a": 1}\n' * 3, mtime=0)[:-9], "line 4: found EOFError|line 1: found EOFError"),
    (b'{"a": 1}\n', "line 1: found BadGzipFile.*expected a whole gzip file"),
    (gzip.compress(b'{"a": 1}\n{"b"\n', mtime=0), "line 2: found .*one JSON object a line"),
    (gzip.compress(b'{"a": 1}\n' + b"[" * 100_000, mtime=0), "line 2: found values nested too deep")])
def test_a_damaged_compressed_file_is_named_with_its_line(tmp_path, content, said):
    (tmp_path / "rows.jsonl.gz").write_bytes(content)
    with pytest.raises(RecordError, match=said) as error:
        list(iterate_lines(tmp_path / "rows.jsonl.gz"))
    assert "rows.jsonl.gz" in str(error.value)


def test_an_id_that_is_a_number_is_the_same_id_in_every_kind_of_record(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"id": 7, "response": "a", "label": "correct", "prompt": "p", "completion": "c", '
                                      '"source": "gold", "task": "t", "method": "m", "seed": 0, "score": 1}\n')
    assert {read_records(tmp_path / "r.jsonl", cls)[0].id for cls in (Example, Response, Verdict, Target, Score)} == {"7"}
    (tmp_path / "two.jsonl").write_text('{"id": 7, "response": "a"}\n{"id": "7", "response": "b"}\n')
    with pytest.raises(RecordError, match="line 2: found id '7' again"):
        read_records(tmp_path / "two.jsonl", Response)


def test_a_column_of_somebodys_own_named_sample_does_not_number_an_example(tmp_path):
    (tmp_path / "e.jsonl").write_text('{"id": "q", "prompt": "a", "completion": "b", "sample": 0}\n'
                                      '{"id": "q", "prompt": "a", "completion": "b", "sample": 1}\n')
    with pytest.raises(RecordError, match="line 2: found id 'q' again"):
        read_records(tmp_path / "e.jsonl", Example)


@pytest.mark.parametrize("content, said", [
    (b'{"rate":\n 1e400}', "line 2: found rate = Infinity"), (b'{"a": 1,\n"b": ' + b"7" * 400 + b"}", "line 2: found a number of 400"),
    (b'{"a": 1,\n"b": NaN}', "line 2: found b = NaN"), (b'{"a": 1,\n\n"b": }', "line 3: found .*column 6"), (b"[" * 9999, "nested too deep"),
    (b'{"a": "\n\xff"}', "line 2: found bytes that are not UTF-8"), (b"", "line 1: found .*expected a record"),
    (b"[1, 2]", "found \\[1, 2\\]; expected a record: an object with 'rate'"), (b'{"a": 1}', "found no 'rate' among"),
])
def test_a_json_file_that_is_none_is_named_with_its_line(tmp_path, content, said):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RecordError, match=said) as error:
        read_json(tmp_path / "run.json", "rate", expected="a record")
    assert "run.json" in str(error.value) and len(str(error.value)) < 500
    with pytest.raises(RecordError, match="nothing.json: found no such file; expected a record"):
        read_json(tmp_path / "nothing.json", expected="a record")


TWICE = '{"prompt": "Where?", "completion": "the attic", "completion": "the cellar"}'


@pytest.mark.parametrize("name, content, line", [
    ("rows.jsonl", '{"prompt": "Q", "completion": "A"}\n' + TWICE, 2), ("rows.json", "[\n" + TWICE + "]", 2),
    ("nested.jsonl", '{"prompt": "Q", "completion": "A", "meta": {"a": [{"b": 1, "b": 1}]}}', 1),
    ("escaped.jsonl", '{"prompt": "Q", "completion": "A", "pr\\u006fmpt": "R"}', 1)])
def test_a_key_that_stands_twice_is_refused_with_file_and_line(name, content, line, tmp_path):
    from ssr_nb.tasks import load_examples

    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(RecordError, match=rf"{name}, line {line}.*twice in one object"):
        load_examples(tmp_path / name)


def test_the_same_key_in_different_objects_is_none_twice():
    from ssr_nb.records import json_value, repeated_key

    assert repeated_key('[{"a": "a\\": {", "b": {"a": 1}}, {"a": 2}]') is None
    assert json_value('{"a": {"a": {"a": 1}}}') == {"a": {"a": {"a": 1}}}


PRECIOUS = {"a thesis": b"years of work", "several lines": b"\\section{One}\nyears of\nwork", "a configuration": b'{"methods": ["sft"]}',
            "JSON on several lines": b'{\n "a": 1\n}', "records of another kind": b'{"id": "q1", "label": "correct"}\n{"id": "q2", "label": "corr',
            "a table": b"id,response\nq1,x", "bytes": b"\x89PNG\r\n\x1a\n\xff\xfe", "a number": b"42", "a text": b'"attic"', "a list": b'[{"id": "q1"'}


@pytest.mark.parametrize("content", PRECIOUS.values(), ids=PRECIOUS)
def test_a_file_of_another_kind_is_not_taken_for_a_torn_one(content, tmp_path):
    "Whoever names the wrong file as an output loses nothing of it, whether it ends in a line end or not."
    path = tmp_path / "mine"
    for whole in (content, content + b"\n"):
        path.write_bytes(whole)
        with pytest.raises(RecordError, match="mine, line"), Appender(path, Response):
            pass
        assert path.read_bytes() == whole


@pytest.mark.parametrize("tail", [b"{", b'{"', b'{"id": "q2", "resp', b"\0" * 40, b'{"id": "q2", "response": "\xc3'])
def test_what_may_be_the_beginning_of_a_record_is_dropped(tail, tmp_path, capsys):
    path = tmp_path / "r.jsonl"
    path.write_bytes(b'{"id": "q1", "response": "x"}\n' + tail)
    with Appender(path, Response) as out:
        assert [r.id for r in out.finished] == ["q1"]
    assert "torn" in capsys.readouterr().err and path.read_bytes().endswith(b'"x"}\n')
