"""What the respond notebook can't show: kills at random moments, hostile files, and that
answers are those of a plain loop."""
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_model import WORDS, make_tiny_model

from ssr_nb import decoding
from ssr_nb.adapters import adapter_disabled, add_lora, remove_lora
from ssr_nb.chat import answer_ids, chat_ids, stop_ids
from ssr_nb.decoding import bytes_of_row, decodes_fast, in_trees, prefix_tree, rows_that_fit, tree_inputs
from ssr_nb.machine import OutOfMemory
from ssr_nb.models import load_model
from ssr_nb.records import Example, RecordError, Response, read_records, write_records
from ssr_nb.respond import _response as make_response
from ssr_nb.judge import judge
from ssr_nb.respond import (batches_by_length, check_prompts, completion_logprobs, generate_batch, iterate_logprobs, perplexity,
                            respond)


def prompts(count: int, seed: int = 0) -> list[Example]:
    draw = random.Random(seed)
    return [Example(" ".join(draw.choices(WORDS, k=draw.randint(1, 40))), "ba", id=f"p{i}") for i in range(count)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def lm(folder):
    return load_model(folder, backend="transformers", device="cpu")


@torch.no_grad()
def plainly(lm, prompt, max_new_tokens):
    """Greedy decoding as in a textbook: no cache, no batch, no padding."""
    ids, stops, said, logprob = chat_ids(lm.tokenizer, prompt), stop_ids(lm), [], 0.0
    while len(said) < max_new_tokens:
        logprobs = lm.model(input_ids=torch.tensor([ids + said])).logits[0, -1].log_softmax(-1)
        said.append(int(logprobs.argmax()))
        logprob += float(logprobs.max())
        if said[-1] in stops:
            break
    return said, logprob


def text_of(lm, said):
    "What an answer of these tokens reads like, marks within it included, but for the end of its turn."
    return lm.tokenizer.decode(said[:-1] if said[-1] in stop_ids(lm) else said).strip()


@pytest.mark.parametrize("batch_size", [1, 7, "auto"])
def test_answers_are_those_of_a_plain_loop(lm, batch_size):
    examples = prompts(30)
    responses = respond(examples, lm, max_new_tokens=12, batch_size=batch_size, progress=False)
    for example, response in zip(examples, responses):
        said, logprob = plainly(lm, example.prompt, 12)
        stopped = said[-1] in stop_ids(lm)
        assert (response.id == example.id and response.finish_reason == ("stop" if stopped else "length")
                and response.tokens == len(said))
        assert response.response == text_of(lm, said)
        assert response.logprob == pytest.approx(logprob, abs=1e-3)
    assert {r.finish_reason for r in responses} == {"stop", "length"}  # the tiny model shows both
    assert len({r.tokens for r in responses}) > 3


@pytest.fixture
def large(lm, monkeypatch):
    "The tiny model, answered as one of fifty million weights."
    monkeypatch.setattr("ssr_nb.decoding.LARGE", 1)
    before = lm.model.config._attn_implementation
    yield lm
    lm.model.config._attn_implementation = before


@pytest.mark.parametrize("batch_size", [1, 7, "auto"])
def test_answers_of_rows_that_leave_when_they_are_done_are_those_of_a_plain_loop(large, batch_size, monkeypatch):
    rows = []
    hook = large.model.get_output_embeddings().register_forward_hook(lambda layer, given, found: rows.append(len(found)))
    with_beginning = [replace(e, prompt=" ".join(WORDS[:20]) + " " + e.prompt) for e in prompts(30)]
    for examples in (prompts(30), with_beginning):
        rows.clear()
        responses = respond(examples, large, max_new_tokens=24, batch_size=batch_size, progress=False)
        computed = sum(rows)
        for example, response in zip(examples, responses):
            said, logprob = plainly(large, example.prompt, 24)
            assert (response.response, response.tokens) == (text_of(large, said), len(said))
            assert response.finish_reason == ("stop" if said[-1] in stop_ids(large) else "length")
            assert response.logprob == pytest.approx(logprob, abs=1e-3)
        if batch_size == "auto":
            assert computed < 0.8 * 24 * len(examples), "rows that had ended were computed to the end"
    hook.remove()
    assert large.model.config._attn_implementation == "grouped_heads"
    assert "grouped_heads" not in large.model.config.to_json_string(), "what is saved names an attention of ours"


def test_what_prompts_begin_with_alike_is_read_once(large):
    """Two passages of forty words with twenty questions each, read to write an answer and to read one or two."""
    examples = [Example(" ".join([*WORDS[:40]][::order]) + " " + word, "ba", id=f"{order} {word}")
                for word in WORDS[40:60] for order in (1, -1)]
    read = []
    hook = large.model.get_input_embeddings().register_forward_hook(lambda layer, given, found: read.append(given[0].numel()))
    ways = [lambda: respond(examples, large, max_new_tokens=1, progress=False),
            lambda: completion_logprobs(large, [(e.prompt, "fa") for e in examples]),
            lambda: list(iterate_logprobs(large, [(e.prompt, "fa", "fe") for e in examples]))]
    for way in ways:
        read.clear()
        way()
        assert sum(read) < 2 * 50 + 40 * 6, read
    hook.remove()


token_rows = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=9), min_size=1, max_size=12)


@given(token_rows, st.integers(1, 20))
def test_a_tree_has_each_beginning_once_and_a_place_sees_what_it_grows_from(rows, most):
    groups = in_trees(rows, most)
    assert sorted(i for group in groups for i in group) == list(range(len(rows)))
    for group in groups:
        tree = prefix_tree([rows[i] for i in group])
        assert len(tree.tokens) <= most or len(group) == 1
        assert len(tree.tokens) == len({tuple(rows[i][:end]) for i in group for end in range(1, len(rows[i]) + 1)})
        sees = tree_inputs(tree)["attention_mask"][0, 0]
        for i, path in zip(group, tree.paths):
            assert [tree.tokens[place] for place in path] == rows[i]
            assert [tree.depths[place] for place in path] == list(range(len(path)))
            assert [sees[place].nonzero().flatten().tolist() for place in path] == [path[:end] for end in range(1, len(path) + 1)]


@pytest.mark.parametrize("most", [1, 3, 512])
def test_prompts_of_any_lengths_are_answered_as_each_alone(large, monkeypatch, most):
    "Single tokens, one prompt that begins another, the same one twice; in trees of a place, a few, or all in one."
    monkeypatch.setattr(decoding.in_trees, "__defaults__", (most,))
    rows = [[5], [6], [5, 6, 7, 8], [5, 6], [9, 5, 6, 7], [5, 6], [5, 6, 9, 9, 9, 9]]
    for asked in (rows, rows[:2], rows[2:3]):
        together = generate_batch(large, asked, 6)
        for (tokens, values, stopped), row in zip(together, asked):
            [(alone, apart, ended)] = generate_batch(large, [row], 6)
            assert (tokens, stopped) == (alone, ended) and values == pytest.approx(apart, abs=1e-4)


def test_samples_of_rows_that_leave_are_the_same(lm, monkeypatch):
    examples = prompts(12)
    settings = dict(max_new_tokens=16, temperature=1.2, samples=3, seed=1, progress=False)
    before = lm.model.config._attn_implementation
    plain = respond(examples, lm, **settings)
    monkeypatch.setattr("ssr_nb.decoding.LARGE", 1)
    leaving = respond(examples, lm, **settings)
    lm.model.config._attn_implementation = before
    assert [r.response for r in leaving] == [r.response for r in plain]
    assert [r.logprob for r in leaving] == pytest.approx([r.logprob for r in plain], abs=1e-3)


def test_a_small_model_is_answered_by_transformers_alone(lm):
    respond(prompts(3), lm, max_new_tokens=4, progress=False)
    assert not decodes_fast(lm) and lm.model.config._attn_implementation == "sdpa"


@pytest.mark.parametrize("sliding", [False, True])
def test_a_cache_that_is_not_of_keys_and_values_alone_is_left_to_transformers(tmp_path, monkeypatch, sliding):
    from transformers import MistralConfig, MistralForCausalLM

    from ssr_nb.models import LanguageModel

    model = MistralForCausalLM(MistralConfig(vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                             num_attention_heads=2, num_key_value_heads=1,
                                             sliding_window=8 if sliding else None))
    monkeypatch.setattr("ssr_nb.decoding.LARGE", 1)
    assert decodes_fast(LanguageModel(model, None, "mistral", "transformers", "cpu", torch.float32)) != sliding


def test_a_state_space_model_is_answered_as_before(monkeypatch):
    from transformers import MambaConfig, MambaForCausalLM

    from ssr_nb.models import LanguageModel

    model = MambaForCausalLM(MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, state_size=4)).eval()
    monkeypatch.setattr("ssr_nb.decoding.LARGE", 1)
    assert not decodes_fast(LanguageModel(model, None, "mamba", "transformers", "cpu", torch.float32))


@pytest.mark.parametrize("free, expected", [(None, 96), (10**12, 96), (10**5, 1)])
def test_a_batch_fits_the_memory_that_is_there(lm, monkeypatch, free, expected):
    monkeypatch.setattr("ssr_nb.decoding.available_memory", lambda: free)
    assert rows_that_fit(lm, 60, 96) == expected
    row = bytes_of_row(lm, 60)
    monkeypatch.setattr("ssr_nb.decoding.available_memory", lambda: 2 * 30 * row)
    assert rows_that_fit(lm, 60, 96) == 24 and rows_that_fit(lm, 60, 96, at_once=2) == 12 and rows_that_fit(lm, 60, 96, at_once=99) == 1
    sizes, plain = [], sys.modules["ssr_nb.respond"].generate_batch
    monkeypatch.setattr("ssr_nb.respond.generate_batch", lambda lm, rows, *more: sizes.append(len(rows)) or plain(lm, rows, *more))
    respond(prompts(50), lm, max_new_tokens=4, progress=False)
    assert max(sizes) <= 30 and len(sizes) > 1


def test_the_output_layer_of_a_model_in_bfloat16_is_given_contiguous_states(folder):
    half, seen = load_model(folder, "transformers", "cpu", "bfloat16"), []
    half.model.lm_head.register_forward_hook(lambda layer, given, found: seen.append(given[0].is_contiguous()))
    respond(prompts(5), half, max_new_tokens=3, progress=False)
    completion_logprobs(half, [("ba de", "fa"), ("ba", "fe")])
    assert len(seen) > 3 and all(seen) and not half.model.lm_head._forward_pre_hooks


def test_settings_that_a_model_brings_along_are_overruled(lm):
    examples = prompts(8)
    before = [r.response for r in respond(examples, lm, max_new_tokens=12, progress=False)]
    config, lm.model.generation_config = lm.model.generation_config, type(lm.model.generation_config)(
        do_sample=True, temperature=5.0, repetition_penalty=3.0, top_k=3, eos_token_id=4, pad_token_id=0)
    try:
        assert [r.response for r in respond(examples, lm, max_new_tokens=12, progress=False)] == before
    finally:
        lm.model.generation_config = config


@pytest.mark.parametrize("brought", [{"no_repeat_ngram_size": 2}, {"suppress_tokens": list(range(5, 30))}, {"min_new_tokens": 11},
                                     {"bad_words_ids": [[i] for i in range(5, 30)]}, {"stop_strings": ["ba"]}])
@pytest.mark.parametrize("adapted", [False, True])
def test_what_a_model_brings_along_and_nobody_names_is_away_too(lm, brought, adapted):
    examples, own = prompts(8), lm.model.generation_config
    before = [r.response for r in respond(examples, lm, max_new_tokens=12, progress=False)]
    tuned = add_lora(lm) if adapted else lm  # a fresh adapter changes nothing
    lm.model.generation_config = odd = type(own)(eos_token_id=own.eos_token_id, pad_token_id=own.pad_token_id, **brought)
    try:
        assert [r.response for r in respond(examples, tuned, max_new_tokens=12, progress=False)] == before
        base = tuned.model.get_base_model() if adapted else tuned.model
        assert base.generation_config is odd, "the model keeps what it had"
    finally:
        lm.model.generation_config = own
        if adapted:
            remove_lora(tuned)


def test_a_model_in_training_mode_answers_without_dropout_and_goes_on_training(lm):
    tuned = add_lora(lm, dropout=0.5)
    with torch.no_grad():
        for name, weight in tuned.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(generator=torch.Generator().manual_seed(0), std=0.3)
    examples = prompts(6)
    expected = respond(examples, tuned, max_new_tokens=8, progress=False)
    tuned.model.train()
    assert respond(examples, tuned, max_new_tokens=8, progress=False) == expected and tuned.model.training
    with adapter_disabled(tuned):
        assert [r.response for r in respond(examples, tuned, max_new_tokens=8,
                                            progress=False)] != [r.response for r in expected]
    remove_lora(tuned)


def test_sampling_depends_on_the_seed_and_not_on_the_company(lm):
    examples = prompts(20)
    drawn = respond(examples, lm, max_new_tokens=8, temperature=1.5, samples=3, seed=5, progress=False)
    assert [(r.id, r.extra["sample"]) for r in drawn] == [(e.id, s) for e in examples for s in range(3)]
    few = respond(examples[3:5], lm, max_new_tokens=8, temperature=1.5, samples=2, seed=5, batch_size=1, progress=False)
    assert [r.response for r in few] == [r.response for r in drawn if r.id in ("p3", "p4") and r.extra["sample"] < 2]
    other = respond(examples, lm, max_new_tokens=8, temperature=1.5, samples=3, seed=6, progress=False)
    assert sum(a.response == b.response for a, b in zip(drawn, other)) < len(drawn) / 2
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    respond(examples[:2], lm, max_new_tokens=4, temperature=1.0, progress=False)
    assert torch.equal(torch.rand(1), expected)  # nobody else's random numbers are disturbed


def test_sampling_follows_the_model(lm):
    """First tokens of 600 draws against the model's distribution; top-p keeps the likeliest alone."""
    example = Example("ba de", "x", id="one")
    with torch.no_grad():
        share = lm.model(input_ids=torch.tensor([chat_ids(lm.tokenizer, example.prompt)])).logits[0, -1].softmax(-1)
    drawn = respond([example], lm, max_new_tokens=1, temperature=1.0, samples=600, progress=False)
    likeliest = lm.tokenizer.decode([int(share.argmax())], skip_special_tokens=True)
    seen = sum(r.response == likeliest for r in drawn) / 600
    assert seen == pytest.approx(float(share.max()), abs=0.07)
    assert {r.response for r in respond([example], lm, max_new_tokens=1, temperature=1.0, top_p=1e-6, samples=20,
                                        progress=False)} == {likeliest}


ANSWER = """
import os, sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from ssr_nb.models import load_model
from ssr_nb.respond import respond
from test_respond import prompts
lm = load_model({model!r}, backend="transformers", device="cpu")
print("ready", flush=True)
for out in sys.stdin:  # a fork for each run: a process of its own to kill, without loading everything again
    child = os.fork()
    if not child:
        respond(prompts(60), lm, out.strip(), max_new_tokens=24, batch_size=5, progress=False)
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.long
def test_kill_9_at_random_moments_ends_with_the_same_file(folder, tmp_path):
    draw = random.Random(time.time_ns())
    code = ANSWER.format(tests=os.path.dirname(__file__), model=str(folder))
    server = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert server.stdout.readline() == "ready\n"

    def run(out, kill_after=None) -> int:
        """How a run on that file ended: 0, or -9 if it was killed before."""
        server.stdin.write(f"{out}\n")
        server.stdin.flush()
        pid = int(server.stdout.readline())
        if kill_after is not None:
            time.sleep(kill_after)
            with contextlib.suppress(ProcessLookupError):  # it was done before
                os.kill(pid, signal.SIGKILL)
        return int(server.stdout.readline())

    whole, out = tmp_path / "undisturbed.jsonl", tmp_path / "killed.jsonl"
    began = time.perf_counter()
    assert run(whole) == 0
    seconds = time.perf_counter() - began
    undisturbed = whole.read_bytes()
    assert undisturbed.count(b"\n") == 60
    kills = 0
    while kills < 12:
        if run(out, kill_after=draw.uniform(0, seconds / 2)) == 0:
            assert out.read_bytes() == undisturbed
            out.unlink()
            continue
        kills += 1
        if kills % 3 == 0 and out.exists() and out.stat().st_size > 10:
            # as if the kill had come within the write of a line
            os.truncate(out, out.stat().st_size - draw.randint(1, min(200, out.stat().st_size)))
    assert run(out) == 0 and out.read_bytes() == undisturbed
    server.communicate()


def test_more_samples_and_more_examples_keep_what_is_there(lm, tmp_path):
    out = tmp_path / "r.jsonl"
    few = respond(prompts(10), lm, out, max_new_tokens=6, temperature=1.0, samples=2, progress=False)
    more = respond(prompts(14), lm, out, max_new_tokens=6, temperature=1.0, samples=3, progress=False)
    assert [r for r in more if r.id in {f.id for f in few} and r.extra["sample"] < 2] == few and len(more) == 42
    assert read_records(out, Response) == more


def test_answers_that_do_not_belong_are_refused_and_kept(lm, folder, tmp_path):
    out = tmp_path / "r.jsonl"
    respond(prompts(6), lm, out, max_new_tokens=6, progress=False)
    before = out.read_bytes()
    other = load_model(make_tiny_model(tmp_path / "other", seed=1), backend="transformers", device="cpu")
    edited = prompts(6)
    edited[2].prompt += " ba"
    for what, call in {
        "another model": lambda: respond(prompts(6), other, out, max_new_tokens=6, progress=False),
        "other settings": lambda: respond(prompts(6), lm, out, max_new_tokens=7, progress=False),
        "another prompt": lambda: respond(edited, lm, out, max_new_tokens=6, progress=False),
        "another model and other settings": lambda: respond(prompts(6), other, out, max_new_tokens=7, progress=False),
        "these examples only": lambda: respond(prompts(5), lm, out, max_new_tokens=6, progress=False),
    }.items():
        with pytest.raises(RecordError, match=what):
            call()
        assert out.read_bytes() == before
    write_records(out, [Response("p0", "mine")])
    with pytest.raises(RecordError, match="made elsewhere"):
        respond(prompts(6), lm, out, max_new_tokens=6, progress=False)
    out.write_text('{"id": "p0"}\n')
    with pytest.raises(RecordError, match="line 1"):
        respond(prompts(6), lm, out, max_new_tokens=6, progress=False)


@pytest.mark.parametrize("wrong", [{"temperature": -1}, {"top_p": 0}, {"top_p": 1.1}, {"samples": 0}, {"samples": 2},
                                   {"max_new_tokens": 0}, {"at_once": 0},
                                   {"batch_size": 0}, {"batch_size": "many"}, {"temperature": float("nan")}])
def test_settings_that_make_no_sense(lm, wrong):
    with pytest.raises(ValueError, match="expected"):
        respond(prompts(2), lm, **({"max_new_tokens": 2, "progress": False} | wrong))


def test_context_limits_the_answer_and_refuses_the_prompt(lm):
    long = Example(" ".join(["ba"] * 80), "x", id="long")
    short = Example("ba", "x", id="short")
    for batch_size in (1, 2):
        responses = respond([short, long], lm, max_new_tokens=200, batch_size=batch_size, progress=False)
        assert all(r.tokens + len(chat_ids(lm.tokenizer, e.prompt)) <= 96 for r, e in zip(responses, [short, long]))
    with pytest.raises(RecordError, match="example 'p'.*context|'p'.*expected fewer than 96"):
        respond([Example(" ".join(["ba"] * 120), "x", id="p")], lm, progress=False)
    over = [Example(" ".join(["ba"] * (100 + i)), "x", id=f"p{i}") for i in range(5)]
    with pytest.raises(RecordError, match=r"found 5 of 6 prompts too long: 'p0' \(\d+ tokens\), 'p1' .*, 'p2' .* …; expected fewer than 96"):
        respond([short, *over], lm, progress=False)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_long_prompt_cuts_no_neighbour_short(lm, temperature):
    "The context holds 96 tokens: the long prompt leaves a few, and the short ones all that was asked for."
    long, *short = [Example(" ".join(["ba"] * 80), "x", id="long"), *(replace(e, prompt=e.prompt[:60]) for e in prompts(6))]
    how = {"max_new_tokens": 30, "progress": False, "temperature": temperature}
    alone = {r.id: r for r in respond(short, lm, batch_size=1, **how)}
    together = [r for r in respond([long, *short], lm, batch_size=7, **how) if r.id != "long"]
    assert [r.response for r in together] == [alone[r.id].response for r in together]
    assert max(r.tokens for r in together) > 96 - len(chat_ids(lm.tokenizer, long.prompt))


def test_gold_that_the_context_cannot_hold_is_named(lm):
    fine, over = prompts(3), [Example("ba " * 40, "de " * 60, id=f"g{i}") for i in range(5)]
    check_prompts([*fine, *over], lm)
    with pytest.raises(RecordError, match=r"found 5 of 8 prompts too long with their gold: 'g0', 'g1', 'g2' …; expected at most 96 tokens"):
        check_prompts([*fine, *over], lm, gold=True)


def test_a_mark_within_an_answer_is_noted_and_not_accepted(lm):
    "Words, the beginning of a further turn, words, and the end of the turn; without the mark they would read as one answer."
    words, marks = lm.tokenizer("ba de", add_special_tokens=False)["input_ids"], lm.tokenizer.all_special_tokens
    end = stop_ids(lm)[0]
    for mark in (m for m in marks if lm.tokenizer.convert_tokens_to_ids(m) not in stop_ids(lm)):
        tokens = [*words, lm.tokenizer.convert_tokens_to_ids(mark), *words, end]
        odd = make_response(lm, "q", 0, tokens, [0.0] * len(tokens), True, "key", False)
        assert odd.extra["special_tokens"] == [mark] and mark in odd.response
        verdict, = judge([Example("fi?", "ba de", id="q")], [odd], "contains")
        assert verdict.label == "rejected" and verdict.reason == f"leftovers: {mark}"
    plain = make_response(lm, "q", 0, [*words, end], [0.0] * 3, True, "key", False)
    assert "special_tokens" not in plain.extra and plain.response == "ba de"
    thought = make_response(lm, "q", 0, tokens, [0.0] * len(tokens), True, "key", True)
    assert thought.extra["special_tokens"] == [mark], "a judge's reply, too"


def test_the_same_id_twice_and_nothing_at_all(lm, tmp_path):
    with pytest.raises(RecordError, match="'p0' twice"):
        respond(prompts(2) + prompts(1), lm, progress=False)
    assert respond([], lm, progress=False) == []


def test_nothing_is_shown_where_nobody_watches(lm, capfd):
    respond(prompts(3), lm, max_new_tokens=3)
    assert capfd.readouterr() == ("", "")


def test_batches_hold_every_row_once():
    draw = random.Random(0)
    for _ in range(200):
        lengths = [draw.randint(1, 300) for _ in range(draw.randint(0, 60))]
        budget, size = draw.randint(1, 2000), draw.choice(["auto", 1, 3, 100])
        batches = batches_by_length(lengths, size, budget)
        assert sorted(i for b in batches for i in b) == list(range(len(lengths)))
        flat = [lengths[i] for b in batches for i in b]
        assert flat == sorted(flat, reverse=True)
        assert all(len(b) == 1 or (len(b) * max(lengths[i] for i in b) <= budget if size == "auto" else len(b) <= size)
                   for b in batches)


@pytest.mark.parametrize("batch_size", [1, 4, "auto"])
def test_logprobs_of_given_text(lm, batch_size):
    draw = random.Random(3)
    pairs = [(e.prompt, " ".join(draw.choices(WORDS, k=draw.randint(0, 12)))) for e in prompts(15)]
    for (prompt, completion), values in zip(pairs, completion_logprobs(lm, pairs, batch_size)):
        asked, answer = chat_ids(lm.tokenizer, prompt), answer_ids(lm.tokenizer, prompt, completion)
        with torch.no_grad():
            table = lm.model(input_ids=torch.tensor([asked + answer])).logits[0].log_softmax(-1)
        expected = [float(table[len(asked) - 1 + i, token]) for i, token in enumerate(answer)]
        assert values.dtype == torch.float32 and values.tolist() == pytest.approx(expected, abs=1e-4)
    assert perplexity(lm, pairs) == pytest.approx(float((-torch.cat(completion_logprobs(lm, pairs)).mean()).exp()),
                                                  rel=1e-5)
    assert completion_logprobs(lm, []) == []


def test_two_models_are_walked_through_side_by_side(lm):
    pairs = [(e.prompt, "ba de fi") for e in prompts(9)]
    seen = []
    for (batch, first), (again, second) in zip(iterate_logprobs(lm, pairs, 4), iterate_logprobs(lm, pairs, 4)):
        assert batch == again and all(torch.equal(a, b) for a, b in zip(first, second))
        assert all(torch.allclose(table.exp().sum(-1), torch.ones(len(table))) for table in first)
        seen += batch
    assert sorted(seen) == list(range(9))


def test_a_large_vocabulary_makes_small_batches(lm, monkeypatch):
    sizes = []
    forward = lm.model.forward
    monkeypatch.setattr(lm.model, "forward", lambda *args, **kwargs: (
        sizes.append((len(kwargs["input_ids"]), kwargs["logits_to_keep"])), forward(*args, **kwargs))[1])
    pairs = [("ba", "de " * 20)] * 12
    whole = completion_logprobs(lm, pairs)
    assert sizes == [(12, 21)]
    monkeypatch.setattr("ssr_nb.respond.LOGITS_PER_TOKEN", 1)
    monkeypatch.setitem(sys.modules["ssr_nb.respond"].TOKENS_PER_BATCH, "cpu", 3 * 21 * lm.model.config.vocab_size)
    sizes.clear()
    small = completion_logprobs(lm, pairs)
    assert sizes == [(3, 21)] * 4 and all(torch.allclose(a, b, atol=1e-5) for a, b in zip(whole, small))


def short_of_memory(lm, monkeypatch, most: int) -> list[int]:
    """From now on the model runs out of memory with more than so many rows;
    returns the list of batch sizes that it is asked for."""
    sizes, forward = [], lm.model.forward

    def limited(*args, **kwargs):
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(*args, **kwargs)

    monkeypatch.setattr(lm.model, "forward", limited)
    return sizes


@pytest.mark.parametrize("settings", [{}, {"temperature": 1.2, "samples": 2}])
def test_out_of_memory_halves_the_batch_and_goes_on(lm, tmp_path, monkeypatch, capfd, settings):
    # some come near the context's end
    examples, settings = prompts(25), settings | {"max_new_tokens": 60, "batch_size": 10, "progress": False}
    expected = respond(examples, lm, tmp_path / "plenty.jsonl", **settings)
    with monkeypatch.context() as patch:
        sizes = short_of_memory(lm, patch, most=3)
        answers = respond(examples, lm, tmp_path / "short.jsonl", **settings)
    assert [(a.id, a.response, a.tokens, a.finish_reason, a.extra)
            for a in answers] == [(a.id, a.response, a.tokens, a.finish_reason, a.extra) for a in expected]
    assert [a.logprob for a in answers] == pytest.approx([a.logprob for a in expected], abs=1e-3)
    over = [size for size in sizes if size > 3]
    assert over and all(later <= (size + 1) // 2 for size, later in zip(over, over[1:])), "what was too much once is not tried again"
    assert f"out of memory with {over[0]} rows; going on with {(over[0] + 1) // 2}" in capfd.readouterr().err
    assert respond(examples, lm, tmp_path / "short.jsonl", **settings) == answers  # and found again


def stopping_after(count, said, *arguments):
    said.append(arguments)
    if len(said) > count:
        raise KeyboardInterrupt
    return make_response(*arguments)


def test_out_of_memory_and_stopped_goes_on_where_it_was(lm, tmp_path, monkeypatch):
    examples, out = prompts(12), tmp_path / "r.jsonl"
    with monkeypatch.context() as patch:
        sizes = short_of_memory(lm, patch, most=2)
        said = []
        patch.setattr("ssr_nb.respond._response", lambda lm, id, *a: stopping_after(5, said, lm, id, *a))
        with pytest.raises(KeyboardInterrupt):
            respond(examples, lm, out, max_new_tokens=5, batch_size=8, progress=False)
    there = read_records(out, Response)
    assert len(there) == 4 and sizes[:2] == [8, 4]  # two parts of two; the third was cut short
    answers = respond(examples, lm, out, max_new_tokens=5, batch_size=8, progress=False)
    assert [r.response for r in answers] == [r.response
                                             for r in respond(examples, lm, max_new_tokens=5, progress=False)]
    assert all(a in answers for a in there)


def test_one_row_that_does_not_fit_is_an_error(lm, monkeypatch, tmp_path):
    short_of_memory(lm, monkeypatch, most=0)
    with pytest.raises(OutOfMemory, match="a single row in respond"):
        respond(prompts(3), lm, tmp_path / "r.jsonl", max_new_tokens=3, progress=False)
    with pytest.raises(OutOfMemory, match="a single row in reading answers"):
        completion_logprobs(lm, [("ba", "de")])


def test_other_errors_are_not_taken_for_a_lack_of_memory(lm, monkeypatch):
    monkeypatch.setattr(lm.model, "forward",
                        lambda *a, **k: (_ for _ in ()).throw(RuntimeError("device-side assert triggered")))
    with pytest.raises(RuntimeError, match="device-side"):
        respond(prompts(3), lm, max_new_tokens=3, progress=False)


def test_batches_side_by_side_say_the_same(lm, tmp_path):
    examples, threads = prompts(40), torch.get_num_threads()
    for settings in ({}, {"temperature": 1.0, "samples": 2}):
        files = [tmp_path / f"{len(settings)}-{at_once}.jsonl" for at_once in (1, 4)]
        for at_once, file in zip((1, 4), files):
            respond(examples, lm, file, max_new_tokens=12, batch_size=8, at_once=at_once, progress=False, **settings)
        assert files[0].read_bytes() == files[1].read_bytes()
    assert torch.get_num_threads() == threads and not lm.model.training


def test_an_error_in_one_of_several_batches_keeps_what_was_finished_before(lm, tmp_path, monkeypatch):
    "The third batch fails: the two before it are in the file, and what has not begun never does."
    import ssr_nb.respond
    begun, plain = [], ssr_nb.respond.generate_batch

    def third_fails(*arguments):
        begun.append(len(begun))
        if len(begun) == 3:
            raise KeyError("the third batch")
        return plain(*arguments)
    monkeypatch.setattr(ssr_nb.respond, "generate_batch", third_fails)
    examples, out = prompts(80), tmp_path / "responses.jsonl"
    with pytest.raises(KeyError, match="third"):
        respond(examples, lm, out, max_new_tokens=8, batch_size=8, at_once=2, progress=False)
    kept = out.read_bytes().splitlines()
    assert len(kept) == 16 and len(begun) < 10
    monkeypatch.setattr(ssr_nb.respond, "generate_batch", plain)
    whole = respond(examples, lm, max_new_tokens=8, batch_size=8, progress=False)
    assert respond(examples, lm, out, max_new_tokens=8, batch_size=8, at_once=2, progress=False) == whole


def test_reading_in_halves_reads_the_same(lm, monkeypatch):
    pairs = [(e.prompt, "ba de fi " * (1 + i % 4)) for i, e in enumerate(prompts(20))]
    expected = completion_logprobs(lm, pairs, batch_size=8)
    with monkeypatch.context() as patch:
        sizes = short_of_memory(lm, patch, most=3)
        assert all(torch.allclose(a, b, atol=1e-5)
                   for a, b in zip(completion_logprobs(lm, pairs, batch_size=8), expected))
        assert [size for size in sizes if size > 3] == [8, 4]
        # side by side, and halved at different times
        walked = zip(iterate_logprobs(lm, pairs, 8), iterate_logprobs(lm, pairs, 8))
        assert sorted(i for (batch, _), (again, _) in walked for i in batch if batch == again) == list(range(20))
