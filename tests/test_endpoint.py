"""Endpoints: a scripted server on loopback that fails in every way we know of, and
`transformers serve` with the embedded model."""

import base64
import gzip
import html
import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import unicodedata
import urllib.error
import urllib.parse
import urllib.request
from email.utils import formatdate
from pathlib import Path

import httpx
import pytest
from scripted_server import completion, raw, serving, speaking

from ssr_nb.endpoint import (
    Endpoint, EndpointError, _worded, api_key, complete, pause, respond_through, retry_after, without_key)
from ssr_nb.llm_judge import endpoint_speaker
from ssr_nb.records import Example, RecordError, Response, read_records

ROOT = Path(__file__).parent.parent
KEY = "sk-very-secret-0123456789"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in ("SSR_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def quick(url, **settings):
    return Endpoint(url, "m", **({"timeout": 5, "first_wait": 0.01, "retries": 4} | settings))


def questions(count):
    return [Example(f"question {i}", f"gold {i}", id=f"q{i}") for i in range(count)]


def echo(body):
    return completion("re: " + body["messages"][-1]["content"])


def ask(endpoint, count=1, **settings):
    return respond_through(endpoint, questions(count), progress=False, **settings)


def test_the_request_and_what_becomes_of_the_reply():
    with serving(lambda n, body: completion("  yes \n", tokens=7)) as (url, script):
        [response] = ask(quick(url), max_new_tokens=11)
    assert script.bodies == [{"model": "m", "messages": [{"role": "user", "content": "question 0"}], "max_tokens": 11,
                              "temperature": 0.0, "top_p": 1.0}]
    assert (response.response, response.finish_reason, response.tokens, response.logprob,
            response.model) == ("yes", "stop", 7, None, "m")


@pytest.mark.parametrize("ended, reason", [("stop", "stop"), ("length", "length"), ("content_filter", "length"),
                                           ("tool_calls", "length"), (None, "length")])
def test_whatever_did_not_end_by_itself_counts_as_cut_off(ended, reason):
    with serving(lambda n, body: completion("half an ans", ended)) as (url, _):
        [response] = ask(quick(url))
    assert (response.finish_reason == reason
            and response.extra.get("ended", "-") == (ended if reason == "length" and ended != "length" else "-"))


def test_no_content_is_an_empty_answer():
    with serving(lambda n, body: completion(None)) as (url, _):
        assert ask(quick(url))[0].response == ""


def test_text_of_any_kind_arrives():
    text = "ｆｕｌｌ \u202e right to left 😀 \ud800 \x00 \n\t\""
    with serving(lambda n, body: echo(body)) as (url, script):
        [response] = respond_through(quick(url), [Example(text, "x", id="q")], progress=False)
    assert script.bodies[0]["messages"][0]["content"] == text and response.response == "re: " + text


PASSING = {
    "429": (429, {}, {"error": "slow down"}), "500": (500, {}, b"oops"),
    "502 with a page": (502, {"content-type": "text/html"}, b"<html>bad gateway</html>"),
    "503": (503, {"retry-after": "0"}, b""), "529": (529, {}, b"overloaded"), "408": (408, {}, b""),
    "half a reply": b'{"choices": [{"mess', "an empty reply": b"", "a page": b"<html>welcome</html>",
    "no choices": {"choices": []}, "null": b"null", "a list": b"[1]", "an error as 200": {"error": {"message": "x"}},
    "content that is a number": completion(7), "an ending that is a list": completion("x", ["stop"]),
    "deep": b"[" * 100_000, "less than was promised": (200, {"content-length": "1000"}, b"{"),
    "not gzip": (200, {"content-encoding": "gzip"}, b"not gzip"),
}


@pytest.mark.parametrize("failure", PASSING.values(), ids=PASSING)
def test_what_may_pass_is_tried_again(failure):
    def answer(number, body):
        if number < 2:
            return failure
        return completion("at last")

    with serving(answer) as (url, script):
        assert ask(quick(url, timeout=1))[0].response == "at last"
    assert len(script.bodies) == 3 and script.bodies[0] == script.bodies[2]


@pytest.mark.parametrize("failure", ["429", "500", "half a reply"])
def test_patience_ends(failure):
    with (serving(lambda n, body: PASSING[failure]) as (url, script),
          pytest.raises(EndpointError, match=r"example 'q0'.*expected a chat completion.*within 3 tries")):
        ask(quick(url, retries=2))
    assert len(script.bodies) == 3


@pytest.mark.parametrize("status", [301, 307, 400, 401, 403, 404, 422])
def test_what_will_not_pass_stops_at_once(status):
    with serving(lambda n, body: (status, {"location": "http://127.0.0.1:9/"},
                                  {"error": "the context is too long"})) as (url, script):
        with pytest.raises(EndpointError, match=f"example 'q0'.*status {status}.*too long.*'m'"):
            ask(quick(url))
    assert len(script.bodies) == 1


@pytest.mark.parametrize("said", ["This model's maximum context length is 4096 tokens. However, you requested 4100 tokens",
                                  "the request exceeds the available context size", "context_length_exceeded"])
def test_a_prompt_over_the_context_is_cut_off_and_the_others_are_answered(said):
    def answer(number, body):
        return (400, {}, {"error": {"message": said}}) if "question 1" in body["messages"][0]["content"] else echo(body)

    with serving(answer) as (url, script):
        responses = respond_through(quick(url), questions(3), progress=False)
        heard = sorted(endpoint_speaker(quick(url)).ask(["question 0", "question 1"]))
    assert [r.finish_reason for r in responses] == ["stop", "length", "stop"] and responses[1].response == ""
    assert responses[1].extra["ended"] == "context length exceeded" and len(script.bodies) == 5
    assert [h[2] for h in heard] == ["stop", "length"] and heard[1][1] == "", "for a judge that is no verdict"


def test_a_server_that_hangs_and_one_that_trickles():
    release = threading.Event()

    def answer(number, body):
        if number == 0:
            release.wait(10)
        return [b" "] * 200 if number == 1 else completion("at last")

    began = time.monotonic()
    with serving(answer) as (url, script):
        assert ask(quick(url, timeout=0.5))[0].response == "at last"
        release.set()
    assert len(script.bodies) == 3 and time.monotonic() - began < 5


def test_a_flood_is_cut_off(monkeypatch):
    monkeypatch.setattr("ssr_nb.endpoint.MOST_BYTES", 100_000)
    with serving(lambda n, body: b" " * 10_000_000 if n == 0 else completion("at last")) as (url, script):
        assert ask(quick(url))[0].response == "at last"


def test_nobody_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        with pytest.raises(EndpointError, match="ConnectError"):
            ask(quick(f"http://127.0.0.1:{port}/v1", retries=1))


def test_retry_after_is_waited_for():
    with serving(lambda n, body: (429, {"retry-after": "1"}, b"") if n == 0 else completion("x")) as (url, script):
        ask(quick(url))
    assert script.times[1] - script.times[0] >= 1


def test_a_long_rest_is_an_error_at_once():
    with (serving(lambda n, body: (429, {"retry-after": "86400"}, b"quota")) as (url, script),
          pytest.raises(EndpointError, match="asks to wait 86,400 s.*quota")):
        ask(quick(url))
    assert len(script.bodies) == 1


@pytest.mark.parametrize("value, seconds", [("0", 0), ("3", 3), ("1.5", 1.5), ("-1", None), ("", None), ("soon", None),
                                            ("inf", None), ("nan", None), ("9" * 400, 1e9)])
def test_retry_after_values(value, seconds):
    assert retry_after(httpx.Headers({"retry-after": value})) == seconds


def test_retry_after_as_a_date():
    assert (retry_after(httpx.Headers({"retry-after": formatdate(time.time() + 50, usegmt=True)}))
            == pytest.approx(50, abs=2))
    assert retry_after(httpx.Headers({"retry-after": formatdate(time.time() - 50, usegmt=True)})) == 0
    assert retry_after(httpx.Headers({})) is None


def test_pauses_double_up_to_the_longest_and_differ():
    endpoint, draw = Endpoint("http://h", "m", first_wait=1, longest_wait=10), random.Random(0)
    for attempt, longest in enumerate([1, 2, 4, 8, 10, 10]):
        waits = [pause(attempt, endpoint, draw=draw) for _ in range(300)]
        assert 0 <= min(waits) < 0.1 * longest and 0.9 * longest < max(waits) <= longest
    assert all(5 <= pause(5, endpoint, asked=5.0, draw=draw) <= 6 for _ in range(100))
    assert pause(10_000, endpoint, draw=draw) <= 10


def test_as_many_at_once_as_allowed_and_no_more():
    def answer(number, body):
        time.sleep(0.05)
        return echo(body)

    with serving(answer) as (url, script):
        responses = ask(quick(url, concurrency=5), 30)
    assert script.most_at_once == 5 and [r.response for r in responses] == [f"re: question {i}" for i in range(30)]


def test_the_file_is_in_the_order_of_the_examples_and_kept_as_it_grows(tmp_path):
    out, draw = tmp_path / "r.jsonl", random.Random(1)

    def answer(number, body):
        time.sleep(draw.uniform(0, 0.03))
        return echo(body)

    with serving(answer) as (url, _):
        responses = respond_through(quick(url), questions(40), out, progress=False)
    assert read_records(out, Response) == responses and [r.id for r in responses] == [f"q{i}" for i in range(40)]


def test_one_failure_keeps_what_was_under_way_and_begins_nothing_new(tmp_path):
    def answer(number, body):
        if "question 3" == body["messages"][0]["content"]:
            return 401, {}, b"no"
        time.sleep(0.2)
        return echo(body)

    with serving(answer) as (url, script), pytest.raises(EndpointError, match="'q3'"):
        respond_through(quick(url, concurrency=4), questions(100), tmp_path / "r.jsonl", progress=False)
    kept = {r.id for r in read_records(tmp_path / "r.jsonl", Response)}
    assert kept == {"q0", "q1", "q2"} | {body["messages"][0]["content"].replace("question ", "q")
                                         for body in script.bodies} - {"q3"} and len(script.bodies) < 12


def test_other_answers_are_never_mixed_in(tmp_path):
    out = tmp_path / "r.jsonl"
    with serving(lambda n, body: echo(body)) as (url, script):
        respond_through(quick(url), questions(3), out, progress=False)
        before, asked = out.read_bytes(), len(script.bodies)
        assert (len(respond_through(quick(url + "/"), questions(3), out, progress=False)) == 3
                and len(script.bodies) == asked)
        for change, said in [(dict(max_new_tokens=5), "other settings"), (dict(temperature=0.5), "other settings")]:
            with pytest.raises(RecordError, match=said):
                respond_through(quick(url), questions(3), out, progress=False, **change)
        with pytest.raises(RecordError, match="another model"):
            respond_through(Endpoint(url, "other"), questions(3), out, progress=False)
        with pytest.raises(RecordError, match="another prompt"):
            respond_through(quick(url), [Example("changed", "x", id="q0")] + questions(3)[1:], out, progress=False)
        with pytest.raises(RecordError, match="'q0' twice"):
            respond_through(quick(url), questions(3) + questions(1), progress=False)
    assert out.read_bytes() == before


def test_samples_bring_their_own_seeds():
    with serving(lambda n, body: completion(str(body["seed"]))) as (url, script):
        responses = ask(quick(url), 2, temperature=1.0, samples=3, seed=4)
        again = ask(quick(url), 2, temperature=1.0, samples=3, seed=4)
        other = ask(quick(url), 2, temperature=1.0, samples=3, seed=5)
    assert len({r.response for r in responses}) == 6 and responses == again
    assert not {r.response for r in responses} & {r.response for r in other}


@pytest.mark.parametrize("settings", [{"url": "localhost:8000"}, {"url": "ftp://h/v1"}, {"url": "http://u:p@h/v1"},
                                      {"url": "http://h/v1?key=p"}, {"url": ""}, {"model": ""},
                                      {"concurrency": 0}, {"retries": -1}, {"timeout": 0}, {"timeout": float("inf")},
                                      {"first_wait": float("nan")}, {"url": "http://h:99999/v1"}, {"url": "http://h:p/v1"},
                                      {"url": "http://[::1/v1"}, {"url": "http://h/\x1b[2J"}, {"url": "http://h/\u202ev1"},
                                      {"url": "http://h/v1\r\nx: y"}, {"url": "http://h h/v1"}])
def test_addresses_and_settings_that_make_no_sense(settings):
    with pytest.raises(ValueError, match="expected|found") as error:
        Endpoint(**({"url": "http://h/v1", "model": "m"} | settings))
    assert str(error.value).isprintable()


def test_what_is_secret_in_an_address_that_can_not_be_read_is_not_repeated():
    with pytest.raises(ValueError, match="host or port") as error:
        Endpoint("http://me:pass/word@h/v1", "m")
    assert "pass" not in str(error.value) and "word" not in str(error.value)


@pytest.mark.parametrize("name, value", [("ALL_PROXY", "odd://h"), ("ALL_PROXY", "http://127.0.0.1:99999"), ("SSL_CERT_FILE", "/no/such/file")])
def test_what_the_environment_says_of_connections_is_an_error_in_words(name, value, monkeypatch):
    for proxy in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(proxy, raising=False)
        monkeypatch.delenv(proxy.upper(), raising=False)
    monkeypatch.setenv(name, value)
    with pytest.raises(EndpointError, match="expected"):
        ask(quick("http://no-such-host.invalid/v1", retries=0))


@pytest.mark.parametrize("given, url", [("http://h:1", "http://h:1/v1"), ("http://h/v1/", "http://h/v1"),
                                        ("https://h/api/v3/chat/completions", "https://h/api/v3")])
def test_the_address_ends_where_the_protocol_begins(given, url):
    assert Endpoint(given, "m").url == url


def test_openai_knows_the_limit_by_its_newer_name_alone():
    body = {"messages": [], "max_tokens": 7}
    assert _worded(Endpoint("https://api.openai.com/v1", "m"), body) == {"model": "m", "messages": [],
                                                                         "max_completion_tokens": 7}
    for url in ("http://127.0.0.1:8000/v1", "https://api.openai.com.example.org/v1"):
        assert _worded(Endpoint(url, "m"), body) == {"model": "m"} | body


def test_whose_key_goes_where(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai")
    assert [api_key(u)
            for u in ("https://api.openai.com/v1", "http://api.openai.com/v1", "https://api.openai.com.evil.org/v1",
                      "http://127.0.0.1/v1")] == ["sk-openai", "", "", ""]
    monkeypatch.setenv("SSR_API_KEY", KEY)
    assert api_key("http://127.0.0.1/v1") == KEY
    for broken in ("two words", "line\nfeed", "schlüssel"):
        monkeypatch.setenv("SSR_API_KEY", broken)
        with pytest.raises(ValueError, match="expected") as error:
            api_key("http://127.0.0.1/v1")
        assert broken not in str(error.value)


def test_the_key_is_sent_and_never_shown(monkeypatch, tmp_path, caplog, capfd):
    monkeypatch.setenv("SSR_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with serving(lambda n, body: echo(body)) as (url, script):
        respond_through(quick(url), questions(2), tmp_path / "r.jsonl", progress=False)
        assert {h["authorization"] for h in script.headers} == {f"Bearer {KEY}"}
        assert KEY not in repr(quick(url))
    for status in (401, 500):
        with (serving(lambda n, body: (status, {}, {"error": f"Incorrect API key provided: {KEY}"})) as (url, _),
              pytest.raises(EndpointError, match="the key") as error):
            respond_through(quick(url, retries=0), questions(2), tmp_path / "s.jsonl", progress=False)
        assert KEY not in str(error.value) and KEY not in repr(error.value.__cause__) + repr(error.value.__context__)
    with (serving(lambda n, body: (401, {}, b"x" * 190 + KEY.encode())) as (url, _),
          pytest.raises(EndpointError) as error):
        ask(quick(url))
    assert KEY[:6] not in str(error.value), "not even a part of it, where the message is shortened"
    shown = capfd.readouterr()
    assert KEY not in caplog.text + shown.out + shown.err
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_whoever_stops_reading_stops_the_asking():
    def answer(number, body):
        time.sleep(0.02)
        return echo(body)

    with serving(answer) as (url, script):
        replies = complete(quick(url, concurrency=2),
                           [(str(i), {"messages": [{"content": str(i)}]}) for i in range(200)])
        next(replies)
        replies.close()
        asked = len(script.bodies)
        time.sleep(0.2)
        assert len(script.bodies) == asked < 20


RUN = """
import sys
from ssr_nb.endpoint import Endpoint, respond_through
from ssr_nb.records import Example
respond_through(Endpoint(sys.argv[1], "m", concurrency=3), [Example(f"question {i}", "x", \
id=f"q{i}") for i in range(60)], sys.argv[2], progress=False)
"""


@pytest.mark.long
def test_a_kill_costs_only_what_was_under_way(tmp_path):
    out, whole, draw = tmp_path / "r.jsonl", tmp_path / "whole.jsonl", random.Random(3)

    def answer(number, body):
        time.sleep(0.03)
        return echo(body)

    def run(path, kill_at=None):
        process = subprocess.Popen([sys.executable, "-c", RUN, url, str(path)],
                                   env=os.environ | {"PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if kill_at and path.exists() and path.read_bytes().count(b"\n") >= kill_at:
                break
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL) if kill_at else None
        return process.wait(30)

    with serving(answer) as (url, script):
        assert run(whole) == 0
        asked = len(script.bodies)
        assert run(out, 15) != 0 and run(out, 35) != 0
        assert run(out) == 0
    assert out.read_bytes() == whole.read_bytes()
    assert len(script.bodies) - asked <= 60 + 2 * 4, "answers that were kept are not asked for again"


@pytest.fixture(scope="module")
def transformers_serve(tmp_path_factory):
    "`transformers serve` with the embedded model on a free port of loopback; gives its address and the model's name."
    from ssr_nb.microworld import MODEL_PATH

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("home")
    env = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home), "OMP_NUM_THREADS": "1", "NO_PROXY": "127.0.0.1"}
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(MODEL_PATH), "--host", "127.0.0.1",
               "--port", str(port), "--device", "cpu", "--dtype", "float32"]
    with open(home / "log", "wb") as log:
        server = subprocess.Popen(command, env=env, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                (urllib.request.build_opener(urllib.request.ProxyHandler({}))
                 .open(f"http://127.0.0.1:{port}/health", timeout=2).close())
                break
            except (OSError, urllib.error.URLError):
                assert server.poll() is None and time.monotonic() < deadline, (home / "log").read_text()[-2000:]
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/v1", str(MODEL_PATH)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


@pytest.mark.long
def test_a_real_server_gives_the_local_answers(transformers_serve, tmp_path):
    from ssr_nb.machine import set_threads
    from ssr_nb.microworld import general_examples, target_examples
    from ssr_nb.models import load_model
    from ssr_nb.respond import respond

    set_threads(1)
    url, model = transformers_serve
    examples = target_examples(24, "train") + general_examples(1)
    served = respond_through(Endpoint(url, model, concurrency=4), examples, tmp_path / "r.jsonl", max_new_tokens=40,
                             progress=False)
    local = respond(examples, load_model(backend="transformers", device="cpu"), max_new_tokens=40, progress=False)
    assert [(r.id, r.response, r.finish_reason) for r in served] == [(r.id, r.response, r.finish_reason) for r in local]
    assert len({r.response for r in local}) > 20
    cut = respond_through(Endpoint(url, model), examples[:3], max_new_tokens=3, progress=False)
    assert {r.finish_reason for r in cut} == {"length"} and all(r.tokens == 3 for r in cut)


@pytest.mark.long
def test_a_real_server_says_what_is_wrong(transformers_serve):
    with pytest.raises(EndpointError, match="status 4.*'no-such-model'"):
        ask(Endpoint(transformers_serve[0], "no-such-model", retries=0))


def test_thoughts_of_a_served_model_are_kept_apart(tmp_path):
    with serving(lambda n, body: completion("<think>\nthe attic?\n</think>\n\nIn the attic.")) as (url, _):
        answer, = respond_through(Endpoint(url, "m"), [Example("Where?", "attic", id="q")], tmp_path / "r.jsonl",
                                  progress=False)
    assert answer.response == "In the attic." and answer.extra["thinking"] == "the attic?"


# Servers that attack: each says, on a raw socket, what no good server says.
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
ENDLESS = {
    "silence": (b"", b""), "headers": (OK + b"x: ", b"x"), "many headers": (OK, b"x: y\r\n"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "early hints": (b"", b"HTTP/1.1 103 x\r\nlink: y\r\n\r\n"),
    "a chunk's extension": (CHUNKED + b"5;a=", b"x"), "a chunk's size": (CHUNKED, b"0"),
    "chunks": (CHUNKED, b"1\r\n \r\n"), "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"x: y\r\n"),
    "a body": (OK + b"content-length: 100000\r\n\r\n", b" "), "a body without a length": (OK + b"\r\n", b" "),
}


@pytest.mark.parametrize("before, piece", ENDLESS.values(), ids=ENDLESS)
def test_the_time_limit_is_for_the_whole_exchange(before, piece):
    def speak(number, asked, send):
        send(before)
        while True:
            send(piece)
            time.sleep(0.03)

    with speaking(speak) as url, pytest.raises(EndpointError, match="not over after 0.4 s"):
        ask(quick(url, timeout=0.4, retries=0))


@pytest.mark.parametrize("before, piece", [(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), (CHUNKED, b"1\r\n \r\n")])
def test_a_flood_starves_nobody(before, piece):
    def speak(number, asked, send):
        if b"question 0" in asked:
            send(before)
            while True:
                send(piece * 2000)
        send(raw(echo(json.loads(asked.partition(b"\r\n\r\n")[2]))))

    with speaking(speak) as url:
        replies = complete(quick(url, timeout=1.5, retries=0, concurrency=2), [(f"{i}", {"messages": [
            {"role": "user", "content": f"question {i}"}]}) for i in range(4)])
        assert sorted(number for number, _ in (next(replies) for _ in range(1))) != [0]
        with pytest.raises(EndpointError, match="not over"):
            list(replies)


BOMB = gzip.compress(gzip.compress(bytes(300_000_000), 9), 9)


@pytest.mark.parametrize("status, coding", [(200, "gzip"), (200, "gzip, gzip"), (200, "deflate"), (401, "gzip, gzip")])
def test_compressed_replies_are_not_unpacked(status, coding):
    def answer(number, body):
        return (status, {"content-encoding": coding}, BOMB) if "question 0" in str(body) else echo(body)

    tracemalloc.start()
    with serving(answer) as (url, script):
        if status == 200:
            assert [r.finish_reason for r in ask(quick(url, retries=1), 2)] == ["length", "stop"]
        else:
            with pytest.raises(EndpointError, match="status 401"):
                ask(quick(url, retries=1), 2)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 30_000_000 and script.headers[0]["accept-encoding"] == "identity"


def test_identity_is_no_compression():
    with serving(lambda n, body: (200, {"content-encoding": "identity"}, echo(body))) as (url, _):
        assert ask(quick(url))[0].response == "re: question 0"


STEERING = ["\x1b[2J", "\x1b]0;title\x07", "\x1b]8;;http://evil\x1b\\link", "\x9b31m", "\x07", "\x08" * 9, "\x00", "\u202e", "\u2066",
            "\u200f", "\x85", "\u2028", "\x1bc", "\x1b\x1b[0m[31m", "\ufeff", "\U000e0041"]


@pytest.mark.parametrize("text", STEERING, ids=ascii)
def test_nothing_that_a_server_says_steers_the_terminal(text, capfd):
    for content in (f"no {text} way".encode(), json.dumps({"error": f"no {text} way"}).encode()):
        with serving(lambda n, body: (401, {}, content)) as (url, _), pytest.raises(EndpointError, match="no.*way") as error:
            ask(quick(url))
        assert _harmless(str(error.value))
    with serving(lambda n, body: completion("x", f"odd {text}")) as (url, _):
        [response] = ask(quick(url))
    with serving(lambda n, body: (400, {}, {"error": f"content_filter {text}"}) if n else echo(body)) as (url, _):
        responses = ask(quick(url, concurrency=1), 2)
    said = capfd.readouterr()
    assert "odd" in said.err and _harmless(said.out + said.err) and _harmless(response.extra["ended"])
    assert _harmless(responses[1].extra["said"])


def _harmless(text):
    return all(c == "\n" or unicodedata.category(c) not in ("Cc", "Cf", "Zl", "Zp", "Cs") for c in text)


FORMS = {
    "whole": KEY, "its end": KEY[8:], "its middle": KEY[5:13], "in capitals": KEY.upper(), "in quotes": f'"{KEY}"',
    "url": "".join(f"%{ord(c):02x}" for c in KEY), "URL": "".join(f"%{ord(c):02X}" for c in KEY), "url twice":
    "".join(f"%25{ord(c):02x}" for c in KEY), "json": "".join(f"\\u{ord(c):04x}" for c in KEY), "json twice":
    "".join(f"\\\\u{ord(c):04X}" for c in KEY), "x": "".join(f"\\x{ord(c):02x}" for c in KEY),
    "html": "".join(f"&#{ord(c)};" for c in KEY), "html x": "".join(f"&#x{ord(c):x};" for c in KEY),
    "mixed": KEY[:3] + "".join(f"%{ord(c):02x}" for c in KEY[3:6]) + KEY[6:], "hex": KEY.encode().hex(), "spaced": " ".join(KEY),
    "a line each": "\n".join(KEY), "unseen": "\u200b".join(KEY), "coloured": "\x1b[0m".join(KEY), "backwards": KEY[::-1],
    **{f"base64 after {n}": base64.b64encode(b"x" * n + KEY.encode() + b"y").decode() for n in range(4)},
    "base64 url": base64.urlsafe_b64encode(KEY.encode()).decode(), "base64 of a part": base64.b64encode(KEY[4:14].encode()).decode(),
    "basic": base64.b64encode(f"user:{KEY}".encode()).decode(),
}


ROUNDABOUT = {
    "dashed": "-".join(KEY), "starred": "*".join(KEY), "added up": "' + '".join(KEY), "accented": "\u0301".join(KEY),
    "wide": "".join(chr(ord(c) + 0xFEE0) for c in KEY), "varied": "\ufe0f".join(KEY), "tags": "".join(chr(ord(c) + 0xE0000) for c in KEY),
    "octal": "".join(f"\\{ord(c):03o}" for c in KEY), "html without an end": "".join(f"&#{ord(c)}" for c in KEY),
    "hex, parted": KEY.encode().hex(":"), "hex, a number each": " ".join(hex(ord(c)) for c in KEY), "code points":
    " ".join(f"U+{ord(c):04X}" for c in KEY), "for mail": "".join(f"={ord(c):02X}" for c in KEY), "%u": "".join(f"%u{ord(c):04x}" for c in KEY),
    "decimal": str([ord(c) for c in KEY]), "binary": " ".join(f"{ord(c):08b}" for c in KEY), "titled": "\x1b]0;x\x07".join(KEY),
    "html in url": "".join(f"%26%23{ord(c)}%3b" for c in KEY), "json in url": "".join(f"%5Cu{ord(c):04x}" for c in KEY),
    "decimal, backwards": str([ord(c) for c in KEY[::-1]]),
}
CODED = {"base64 twice": base64.b64encode(base64.b64encode(KEY.encode())), "base64 backwards": base64.b64encode(KEY.encode())[::-1],
         "base64 of it backwards": base64.b64encode(KEY[::-1].encode())}


@pytest.mark.parametrize("written", ROUNDABOUT.values(), ids=ROUNDABOUT)
def test_a_text_that_spells_the_key_out_is_blotted_out_as_a_whole(written, monkeypatch):
    assert without_key(f"It is {written} ok", KEY) == "[the key]" and without_key(written[:-1], KEY[:-2]) == "[the key]"
    monkeypatch.setenv("SSR_API_KEY", KEY)
    message = {"content": f"It is {written} ok", "reasoning_content": f"hm {written}"}
    with serving(lambda n, body: {"choices": [{"message": message, "finish_reason": "stop"}]} if n else (500, {}, f"no {written}".encode())) as (url, _):
        [response] = ask(quick(url, retries=1))
    assert (response.response, response.extra["thinking"]) == ("[the key]", "[the key]")


@pytest.mark.parametrize("written", CODED.values(), ids=CODED)
def test_the_key_in_base64_of_base64_or_backwards_is_found(written):
    assert without_key(f"It is {written.decode().strip('=')} ok", KEY) == "It is [the key] ok"


def test_numbers_and_lone_letters_that_are_no_key_stay():
    for text in ("1, 2, 3, 100, 115, 107: a list", "s - k - i - n - n - y", "73:6b:2d:00", "U+0073 U+006B", "a b c d e f g h i j", "x = [" + "115, " * 50):
        assert without_key(text, KEY) == text


def _parts(written):
    "Every eight characters of the key, or of how it is written, between which nothing stands."
    return {written[i: i + 8] for i in range(len(written) - 7)} | {KEY[i: i + 8] for i in range(len(KEY) - 7)}


@pytest.mark.parametrize("written", FORMS.values(), ids=FORMS)
def test_the_key_is_never_shown_in_any_form(written, monkeypatch, tmp_path, capfd):
    monkeypatch.setenv("SSR_API_KEY", KEY)
    out, texts = tmp_path / "r.jsonl", []
    message = {"content": f"It is {written} ok", "reasoning_content": f"hm {written}"}
    with serving(lambda n, body: {"choices": [{"message": message, "finish_reason": f"odd {written}"}]}) as (url, _):
        [response] = respond_through(quick(url), questions(1), out, progress=False)
    texts += [response.response, response.extra["thinking"], response.extra["ended"]]
    assert response.response.startswith("It is") and response.response.endswith("ok") and "[the key]" in response.response
    for status in (400, 401, 500):
        for content in (f"Wrong key {written} here".encode(), json.dumps({"error": f"Wrong key {written} here"}).encode()):
            with (serving(lambda n, body: (status, {}, content)) as (url, _), pytest.raises(EndpointError) as error):
                ask(quick(url, retries=0))
            texts.append(str(error.value))
    shown = capfd.readouterr()
    hidden = re.compile("|".join(map(re.escape, sorted(_parts(KEY)))), re.IGNORECASE)
    for text in (*texts, shown.out, shown.err, json.loads(out.read_text())["response"]):
        assert not hidden.search(text) and not hidden.search("".join(text.split())) and written not in text
        assert not hidden.search(urllib.parse.unquote(urllib.parse.unquote(html.unescape(text))))


def test_what_only_looks_like_a_key_stays(monkeypatch):
    monkeypatch.setenv("SSR_API_KEY", KEY)
    text = "A very secret place: 100%25 of 0123456 \\u0041 &#65; Zm9vYmFy\n\n  indented"
    assert without_key(text, KEY) == text and without_key(text, "") == text
    monkeypatch.setenv("SSR_API_KEY", "EMPTY")  # as the manual of vLLM has it: no secret, and a word of answers
    with serving(lambda n, body: completion("The attic is EMPTY.")) as (url, _):
        assert ask(quick(url))[0].response == "The attic is EMPTY."
    with serving(lambda n, body: (401, {}, b"wrong key EMPTY")) as (url, _), pytest.raises(EndpointError) as error:
        ask(quick(url))
    assert "EMPTY" not in str(error.value)


def _with(usage):
    return b'{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}], "usage": ' + usage + b"}"


ABSURD = [b'{"completion_tokens": %s}' % value for value in
          (b"1e400", b"-1e400", b"-5", b'"5"', b"[5]", b"{}", b"true", b"NaN", b"5.5", b"1e18", b"9" * 30, b"9" * 5000, b"9" * 2_000_000)]
ELSEWHERE = [b'{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop", %s}], %s}' % (a, b) for a, b in (
    (b'"logprobs": [1e400]', b'"id": 1'), (b'"index": NaN', b'"id": 1'), (b'"index": 0', b'"created": -Infinity'), (b'"index": 0', b'"created": 1e999999'),
    (b'"index": 0', b'"created": ' + b"9" * 5000))]
DEEP = [b"[" * 100_000, b'{"a":' * 100_000, b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"]


@pytest.mark.parametrize("content", [*map(_with, ABSURD), *ELSEWHERE, *DEEP], ids=lambda c: ascii(c[-40:]))
def test_absurd_replies_end_one_item_and_not_the_run(content):
    with serving(lambda n, body: content if "question 1" in str(body) else echo(body)) as (url, _):
        responses = ask(quick(url, retries=1), 3)
    assert [r.finish_reason for r in responses] == ["stop", "length", "stop"]
    assert responses[1].extra["refused"] == "unusable" and responses[1].response == "" and responses[1].tokens == 0


@pytest.mark.parametrize("usage", [b"null", b"{}", b'{"completion_tokens": null}', b'{"completion_tokens": 5.0}', b'{"completion_tokens": 0}'])
def test_numbers_that_make_sense(usage):
    "And none, where none was counted."
    with serving(lambda n, body: _with(usage)) as (url, _):
        [response] = ask(quick(url))
    assert response.response == "fine" and response.tokens in (None, 0, 5)


@pytest.mark.parametrize("content", [_with(b"[1]"), _with(b'"x"'), _with(b"5"), *(good[:-1] + b', "error": {"message": "lost"}}' for good in [_with(b"{}")]),
                                     b'{"choices": [{"message": {"content": "fine"}, "finish_reason": "stop", "error": "lost"}]}'])
def test_an_answer_beside_an_error_is_none(content):
    with serving(lambda n, body: content if "question 1" in str(body) else echo(body)) as (url, _):
        responses = ask(quick(url, retries=0), 2)
    assert responses[1].response == "" and responses[1].extra["refused"] == "unusable"


TOO_LONG = [
    (400, "This model's maximum context length is 4096 tokens. However, you requested 4100 tokens"),
    (400, "'max_tokens' or 'max_completion_tokens' is too large: 5000. This model's maximum context length is 4096 tokens"),
    (400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096."),
    (400, "The maximum prompt length of this model is 8192, and the request has 9001 tokens."),
    (400, "Found 9001 tokens; the maximum input length is 8192."),
    (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000 `inputs` tokens"),
    (422, "Input validation error: `inputs` must have less than 1024 tokens. Given: 2000"),
    (400, "the request exceeds the available context size, try increasing it"), (500, "the request exceeds the available context size"),
    (400, "input length exceeds maximum context length"), (400, "The input (5000 tokens) is longer than the model's context length"),
    (400, "The input token count (1000001) exceeds the maximum number of tokens allowed (1000000)."),
    (400, "prompt is too long: 208310 tokens > 200000 maximum"), (413, "Request exceeds the maximum allowed number of bytes"), (413, ""),
    (400, "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"),
    (400, "Please reduce the length of the messages or completion."), (400, "Input is too long for requested model."),
    (400, "max_tokens must be at least 1, got -904."), (400, "Range of input length should be [1, 30720]"),
    (400, "Unable to submit request because the input token count is 40000 but model only supports up to 32768."),
]
FILTERED = [
    (400, '{"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}'),
    (400, "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."),
    (400, "Output blocked by content filtering policy"), (400, "Invalid prompt: your prompt was flagged as potentially violating our usage policy"),
    (400, "Your request was rejected as a result of our safety system"), (403, "Your chosen model requires moderation and your input was flagged"),
    (400, "The request was rejected because it was considered high risk"), (400, "sensitive_words_detected"),
    (400, "blocked output: please note we have a list of blocked n-grams"), (400, "系统检测到输入或生成内容可能包含不安全或敏感内容"),
    (400, "Content Exists Risk"), (200, '{"promptFeedback": {"blockReason": "SAFETY"}}'), (422, "blocked by the guardrail"),
]
REFUSED = [(400, "Conversation roles must alternate user/assistant/user/assistant"), (422, "Template error: no such role"), (400, "")]


@pytest.mark.parametrize("kind, status, said", [(kind, *w) for kind, wordings in (
    ("too long", TOO_LONG), ("filtered", FILTERED), ("refused", REFUSED)) for w in wordings])
def test_one_refused_prompt_is_counted_and_the_run_goes_on(kind, status, said, tmp_path, capfd):
    out = tmp_path / "r.jsonl"
    with serving(lambda n, body: (status, {}, said.encode()) if "question 0" in str(body) else echo(body)) as (url, script):
        responses = respond_through(quick(url, concurrency=1), questions(3), out, progress=False)
        asked = len(script.bodies)
        assert respond_through(quick(url), questions(3), out, progress=False) == responses and len(script.bodies) == asked == 3
    assert [(r.finish_reason, r.extra.get("refused")) for r in responses] == [("length", kind), ("stop", None), ("stop", None)]
    assert "1 of 3 answers" in capfd.readouterr().err and read_records(out, Response) == responses


@pytest.mark.parametrize("kind, status, said", [("too long", *TOO_LONG[0]), ("too long", *TOO_LONG[3]), ("filtered", *FILTERED[0]),
                                                ("refused", *REFUSED[0]), ("unusable", 200, '{"choices": []}')])
def test_where_every_prompt_is_refused_the_set_up_is_wrong(kind, status, said, tmp_path):
    out = tmp_path / "r.jsonl"
    with (serving(lambda n, body: (status, {}, said.encode())) as (url, _),
          pytest.raises(EndpointError, match=rf"not one answer to 10 of 10 prompts \({kind}\); expected")):
        respond_through(quick(url, retries=1), questions(10), out, progress=False)
    with serving(lambda n, body: echo(body)) as (url, _):  # mended: nothing of it was kept
        assert {r.finish_reason for r in respond_through(quick(url), questions(10), out, progress=False)} == {"stop"}


def test_a_wrong_set_up_is_told_early_and_length_at_the_end():
    with serving(lambda n, body: (400, {}, b"no")) as (url, script), pytest.raises(EndpointError, match="20 of 200 prompts"):
        ask(quick(url, concurrency=4), 200)
    assert len(script.bodies) < 40
    with serving(lambda n, body: (400, {}, b"prompt is too long") if n < 60 else echo(body)) as (url, script):
        assert sum(r.finish_reason == "length" for r in ask(quick(url, concurrency=1), 70)) == 60


def test_a_run_that_had_answers_before_may_be_refused_the_rest(tmp_path):
    out = tmp_path / "r.jsonl"
    with serving(lambda n, body: echo(body) if n == 0 else (400, {}, b"content_filter")) as (url, _):
        respond_through(quick(url), questions(1), out, progress=False)
        responses = respond_through(quick(url), questions(3), out, progress=False)
    assert [r.extra.get("refused") for r in responses] == [None, "filtered", "filtered"]


@pytest.mark.parametrize("ended, reason", [
    *[(e, "stop") for e in ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "STOP", "COMPLETE", "stop_word", "eot",
                                     "end_of_turn", "done", "finish")],
    *[(e, "length") for e in ("length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens", "token_limit", "limit",
                                       "ERROR_LIMIT", "incomplete")]])
def test_endings_that_are_known(ended, reason, capfd):
    with serving(lambda n, body: completion("x", ended)) as (url, _):
        [response] = ask(quick(url))
    assert response.finish_reason == reason and "ended" not in response.extra and not capfd.readouterr().err


@pytest.mark.parametrize("ended", ["tired", "", None, "abort", "tool_calls"])
def test_an_unknown_ending_is_doubt_and_is_told_once(ended, capfd):
    with serving(lambda n, body: completion("x", ended)) as (url, _):
        responses = ask(quick(url), 5)
    assert {r.finish_reason for r in responses} == {"length"} and capfd.readouterr().err.count("ended with") == 1


@pytest.mark.parametrize("ended", ["content_filter", "refusal", "SAFETY", "content_filter: PROHIBITED_CONTENT", "ERROR_TOXIC", "blocked"])
def test_an_answer_cut_by_a_filter_is_counted_as_filtered(ended):
    with serving(lambda n, body: completion("half", ended) if "question 1" in str(body) else echo(body)) as (url, _):
        responses = ask(quick(url), 2)
    assert (responses[1].finish_reason, responses[1].extra["refused"], responses[1].response) == ("length", "filtered", "half")


THOUGHT = {
    "parts": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Rome"}]},
    "a thought as text": {"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Ro"}, {"type": "text", "text": "me"}]},
    "beside": {"content": "Rome", "reasoning_content": "hm"}, "beside, otherwise": {"content": "Rome", "reasoning": "hm"},
    "within": {"content": "<think>hm</think>Rome"}, "reasoning": {"content": [{"type": "reasoning", "text": "hm"}, "Rome"]},
}


@pytest.mark.parametrize("message", THOUGHT.values(), ids=THOUGHT)
def test_content_in_parts_and_thoughts_kept_apart(message):
    with serving(lambda n, body: {"choices": [{"message": message, "finish_reason": "stop"}]}) as (url, _):
        [response] = ask(quick(url))
    assert (response.response, response.extra["thinking"]) == ("Rome", "hm")


UNWANTED = {
    "temperature": ["Unsupported value: 'temperature' does not support 0.0 with this model. Only the default (1) value is supported.",
                    "`temperature` is deprecated for this model.", "Input validation error: `temperature` must be strictly positive", "`temperature` needs to be strictly positive, got 0.0",
                    "`temperature` may only be set to 1 when thinking is enabled.", "Only temperature=1 is allowed for this model", "temperature: Input should be greater than 0"],
    "top_p": ["`temperature` and `top_p` cannot both be specified for this model.", "unknown field: top_p", "top_p must be in (0, 1)",
              "Invalid value: top_p", "You can't set top_p here"],
    "seed": ['{"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}',
             "Unrecognized request argument supplied: seed", 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'],
    "max_tokens": ["Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."],
}


@pytest.mark.parametrize("name, said", [(name, said) for name, all_said in UNWANTED.items() for said in all_said])
@pytest.mark.parametrize("status", [400, 422])
def test_what_a_server_does_not_take_is_left_out_and_told_once(name, said, status, capfd):
    with serving(lambda n, body: (status, {}, said.encode()) if name in body else echo(body)) as (url, script):
        responses = ask(quick(url, concurrency=2), 8, temperature=0.5)
    assert {r.finish_reason for r in responses} == {"stop"} and all(r.extra["left_out"] == [name] for r in responses)
    assert len(script.bodies) <= 10 and capfd.readouterr().err.count(f"refuses '{name}'") == 1
    assert all(("max_tokens" in body) != ("max_completion_tokens" in body) for body in script.bodies), "the limit stays"


def test_a_length_out_of_range_is_not_left_out(capfd):
    said = b"max_tokens must be at most 8"
    with serving(lambda n, body: (400, {}, said) if "question 0" in str(body) else echo(body)) as (url, script):
        responses = ask(quick(url, concurrency=1), 3)
    assert responses[0].extra["refused"] == "refused" and "left_out" not in responses[1].extra


def test_status_451_is_one_filtered_prompt():
    with serving(lambda n, body: (451, {}, b"not for you") if "question 0" in str(body) else echo(body)) as (url, _):
        responses = ask(quick(url), 3)
    assert [r.extra.get("refused") for r in responses] == ["filtered", None, None]


def test_several_parameters_and_one_that_does_not_help(capfd):
    def picky(number, body):
        name = next((n for n in ("temperature", "max_tokens", "top_p") if n in body), None)
        return (400, {}, f"Unsupported parameter: '{name}'".encode()) if name else echo(body)

    with serving(picky) as (url, script):
        assert ask(quick(url, concurrency=1), 3)[2].finish_reason == "stop" and len(script.bodies) == 6
    with serving(lambda n, body: (400, {}, b"unknown role; temperature, seed") if "question 0" in str(body) else echo(body)) as (url, script):
        responses = ask(quick(url, concurrency=1), 3)
    assert "left_out" not in responses[1].extra and script.bodies[-1]["temperature"] == 0.0
    with serving(lambda n, body: (400, {}, b"max_tokens, max_completion_tokens: not supported")) as (url, script), pytest.raises(EndpointError):
        ask(quick(url))
    assert len(script.bodies) <= 3


INTERRUPTED = """
import sys
from ssr_nb.endpoint import Endpoint, respond_through
from ssr_nb.records import Example
try:
    respond_through(Endpoint(sys.argv[1], "m", concurrency=4, timeout=60, first_wait=60, retries=5), [Example(f"question {i}", \
"x", id=f"q{i}") for i in range(20)], sys.argv[2], progress=False)
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.parametrize("then", ["requests under way", "a pause", "a pause that was asked for", "a flood"])
def test_ctrl_c_ends_at_once_and_keeps_what_is_finished(then, tmp_path):
    out, enough = tmp_path / "r.jsonl", threading.Event()

    def speak(number, asked, send):
        if number < 6:
            return send(raw(echo(json.loads(asked.partition(b"\r\n\r\n")[2]))))
        enough.set()
        if "pause" in then:
            return send(raw({}, 503, b"retry-after: 60\r\n" if "asked" in then else b""))
        while True:
            send(b"HTTP/1.1 100 Continue\r\n\r\n" * 500 if then == "a flood" else b"")
            time.sleep(0.01)

    with speaking(speak) as url:
        process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, url, str(out)], stderr=subprocess.PIPE,
                                   env=os.environ | {"PYTHONPATH": str(ROOT)})
        assert enough.wait(60)
        deadline = time.monotonic() + 20
        while out.read_bytes().count(b"\n") < 6 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=15)
    assert process.returncode == 130 and not said, said
    assert len(read_records(out, Response)) == 6


def test_dates_that_no_calendar_has():
    for value in ("1 Jan 99999999999999999999 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "Mon, 99 Foo 2020", "1e400"):
        assert retry_after(httpx.Headers({"retry-after": value})) in (None, 0, 1e9)


def test_tools_of_a_prompt_are_asked_for_beside_the_messages():
    tool = {"type": "function", "function": {"name": "level_of"}}
    asked = []

    def offered(number, body):
        asked.append(body)
        return completion("two metres")

    with serving(offered) as (url, _):
        prompt = [{"role": "user", "content": "How high is the Elbe?", "tools": [tool]}]
        respond_through(quick(url), [Example(prompt, "2", id="q"), Example("And the Rhine?", "3", id="r")], progress=False)
    by_text = {body["messages"][0]["content"]: body for body in asked}
    assert by_text["How high is the Elbe?"]["tools"] == [tool] and "tools" not in by_text["And the Rhine?"]
    assert all(set(turn) == {"role", "content"} for body in asked for turn in body["messages"])
