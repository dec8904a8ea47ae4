"""Tokens a second of `respond` against what one would write by hand instead, on the micro model, in one run.

    python benchmarks/respond.py

(a) a loop of `generate`, one prompt at a time; (b) `generate` on batches in file order, as large as respond's. All are
greedy, with the KV cache, and decode their answers, and a step takes the threads that are fastest for this model. As
`respond` does by itself, it answers as many batches at once as there are cores for, with those threads (one where the
model takes them all); against (b) it answers one at a time, so that only the order of the prompts differs. Each is run several times in turn, so that a slow moment of the machine
meets all of them; the medians count. Writes benchmarks/respond.json.
"""
import json
import random
import statistics
import time
from pathlib import Path

import torch
from machine import machine

from ssr_nb.microworld import general_examples, target_examples
from ssr_nb.chat import chat_ids, stop_ids
from ssr_nb.machine import fastest_threads, set_threads
from ssr_nb.models import describe, load_model
from ssr_nb.records import Example
from ssr_nb.respond import MOST_ROWS, batches_at_once, respond

MAX_NEW_TOKENS, BATCH_SIZE, ROUNDS, ALONE = 64, MOST_ROWS["cpu"], 5, 60


def by_hand(lm, examples: list[Example], batch_size: int) -> int:
    """`generate` in file order; returns how many tokens were said."""
    tokens = 0
    for start in range(0, len(examples), batch_size):
        prompts = [chat_ids(lm.tokenizer, e.prompt) for e in examples[start:start + batch_size]]
        batch = lm.tokenizer.pad({"input_ids": prompts}, return_tensors="pt")
        said = lm.model.generate(**batch, max_new_tokens=MAX_NEW_TOKENS,
                                 do_sample=False)[:, batch["input_ids"].shape[1]:]
        lm.tokenizer.batch_decode(said, skip_special_tokens=True)
        tokens += sum(next((i + 1 for i, t in enumerate(row) if t in stop_ids_of_lm), len(row))
                      for row in said.tolist())
    return tokens


def rate(run, *arguments) -> float:
    began = time.perf_counter()
    tokens = run(*arguments)
    return tokens / (time.perf_counter() - began)


lm = load_model("microworld", backend="transformers", device="cpu")
set_threads(fastest_threads(lm))
stop_ids_of_lm = set(stop_ids(lm))
examples = target_examples(300, "train") + general_examples(30)
random.Random(0).shuffle(examples)  # a file is in no order that helps

runs = {
    "respond": lambda: sum(r.tokens for r in respond(examples, lm, max_new_tokens=MAX_NEW_TOKENS, progress=False)),
    f"respond, batches of {BATCH_SIZE}, one at a time": lambda: sum(
        r.tokens for r in respond(examples, lm, max_new_tokens=MAX_NEW_TOKENS, batch_size=BATCH_SIZE, at_once=1,
                                  progress=False)),
    f"generate in file order, batches of {BATCH_SIZE}": lambda: by_hand(lm, examples, BATCH_SIZE),
    "generate, one at a time": lambda: by_hand(lm, examples[:ALONE], 1),
}
by_hand(lm, examples[:4], 2)  # what is loaded at the first call is loaded now
rates = {name: [] for name in runs}
for _ in range(ROUNDS):
    for name, run in runs.items():
        rates[name].append(rate(run))
medians = {name: statistics.median(values) for name, values in rates.items()}
ours, same_batch, in_order, alone = medians.values()
result = {
    "tokens per second (median of rounds)": {name: round(value) for name, value in medians.items()},
    "respond / generate one at a time": round(ours / alone, 1),
    f"respond / generate in file order, both in batches of {BATCH_SIZE}": round(same_batch / in_order, 2),
    "prompts": len(examples), "prompts one at a time": ALONE, "rounds": ROUNDS, "max_new_tokens": MAX_NEW_TOKENS,
    "machine": machine(), "model": {k: v for k, v in describe(lm).items() if k in (
        "model", "backend", "device", "dtype", "parameters", "threads", "versions")},
    "torch threads": torch.get_num_threads(), "batches at once": batches_at_once("cpu"),
}
Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
print(json.dumps(result, indent=1))
