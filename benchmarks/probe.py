"""What watching a training costs: the CPU time of a probe against that of the training steps between two probes.

    python benchmarks/probe.py                     # the micro-world
    python benchmarks/probe.py --model smollm2-135m --steps 4    # and a real chat model, where its package is installed

Both are measured in one run and in turns: a training is probed after every second step, and the time in the probes is
taken apart from the rest. The share is that of a probe every `--every` steps, with the base model's pass, which is made
once, beside it. Times are CPU times with one thread, so other work on the machine counts little. Writes probe.json beside
this file, an entry for each model."""

import argparse
import json
import statistics
import time
from pathlib import Path

from machine import machine

from ssr_nb.adapters import remove_lora
from ssr_nb.machine import set_threads
from ssr_nb.models import load_model
from ssr_nb.probe import Probe, Watch, watched_sets
from ssr_nb.records import Target
from ssr_nb.settings import Probing, TrainingSettings
from ssr_nb.tasks import read_source
from ssr_nb.train import train

OUT = Path(__file__).with_suffix(".json")
DATA = {"microworld": ("microworld", "microworld:general", "microworld"),
        "other": ({"task": "passages"}, "facts", {"task": "passages"})}


class Timed(Probe):
    "A probe that notes the CPU time of each of its measurements, and when it began and ended."

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.times: list[tuple[float, float]] = []

    def measure(self, lm, step):
        began = time.process_time()
        found = super().measure(lm, step)
        self.times.append((began, time.process_time()))
        return found


def costs(model: str, steps: int, batch_size: int, limit: int, accuracy: bool) -> dict[str, float]:
    "CPU seconds of a training step, of a probe, and of the base model's pass."
    source, general, validation = DATA.get(model, DATA["other"])
    lm = load_model(model, backend="transformers", device="cpu")
    examples = read_source(source).load("train")
    targets = [Target(e.id, e.prompt, e.completion, "gold") for e in examples[: steps * batch_size]]
    probing = Probing(every=2, general=general, validation=validation, limit=limit, accuracy=accuracy)
    probe = Timed(watched_sets(probing), 40)
    settings = TrainingSettings(steps=steps, batch_size=batch_size, checkpoint_every=0)
    remove_lora(train(targets, lm, settings=settings, watch=Watch(probe, probing), progress=False).lm)
    taken = [end - began for began, end in probe.times]
    between = [(began - end) / 2 for (_, end), (began, _) in zip(probe.times[1:], probe.times[2:])]
    usual = statistics.median(taken[1:])
    return {"step": statistics.median(between), "probe": usual, "base model's pass": max(0.0, taken[0] - usual)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--model", default="microworld")
    parser.add_argument("--steps", type=int, default=24, help="an even number, 4 at least")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--limit", type=int, default=40)
    parser.add_argument("--every", type=int, default=20)
    parser.add_argument("--accuracy", action="store_true")
    asked = parser.parse_args()
    set_threads(1)
    seconds = costs(asked.model, asked.steps, asked.batch_size, asked.limit, asked.accuracy)
    share = seconds["probe"] / (asked.every * seconds["step"])
    result = {"every": asked.every, "limit": asked.limit, "batch_size": asked.batch_size, "accuracy": asked.accuracy,
              "cpu_seconds": {name: round(value, 3) for name, value in seconds.items()}, "share of training time": round(share, 3)}
    known = json.loads(OUT.read_text()) if OUT.exists() else {}
    name = asked.model + " with accuracy" * asked.accuracy
    OUT.write_text(json.dumps(known | {"machine": machine(), name: result}, indent=1) + "\n")
    print(f"{name}: {json.dumps(result, indent=1)}")


if __name__ == "__main__":
    main()
