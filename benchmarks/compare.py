"""`ssr compare` against the same arms one by one, each from scratch by separate commands, in one run.

    python benchmarks/compare.py

An arm by separate commands is respond, judge, rehearse, evaluate (the base model), train and evaluate, as one would
type them, one after the other. `compare` is run twice: with one worker, so that only what the arms share counts, and
as it is by default, with arms side by side. Both train on the same rows for the same steps and evaluate the same
items; the scores are checked to agree. Some minutes on two cores; writes compare.json beside this file.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import yaml
from machine import machine

from ssr_nb.compare import arm_folder
from ssr_nb.comparison import ITEMS
from ssr_nb.microworld import target_examples
from ssr_nb.records import Score, read_records, write_records
from ssr_nb.settings import TrainingSettings

METHODS, RATES, SEEDS, MAX_NEW_TOKENS = ["sft", "ssr"], [0.001], [0, 1, 2], 40


def ssr(*words: object) -> None:
    "One command, in a process of its own, as from a shell."
    subprocess.run([sys.executable, "-m", "ssr_nb.cli", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def seconds(run: Callable, *arguments) -> float:
    began = time.perf_counter()
    run(*arguments)
    return time.perf_counter() - began


def by_commands(folder: Path, method: str, rate: float, seed: int) -> None:
    "One arm from nothing but the examples and the model."
    examples, model = folder / "examples.jsonl", ("--model", "microworld", "--backend", "transformers")
    arm = folder / f"{method}-{rate:g}-{seed}"
    arm.mkdir()
    asked = ("--max-new-tokens", MAX_NEW_TOKENS, *model)
    ssr("respond", "--examples", examples, "--out", arm / "responses.jsonl", *asked)
    ssr("judge", "--examples", examples, "--responses", arm / "responses.jsonl", "--judge", "micro",
        "--out", arm / "verdicts.jsonl")
    ssr("rehearse", "--examples", examples, "--responses", arm / "responses.jsonl",
        "--verdicts", arm / "verdicts.jsonl", "--method", method, "--out", arm / "targets.jsonl")
    ssr("evaluate", "--out", arm / "base-scores.jsonl", *asked)
    ssr("train", "--targets", arm / "targets.jsonl", "--out", arm / "adapter", "--method", method, "--learning-rate",
        rate, "--seed", seed, "--steps", TrainingSettings().steps_for(ITEMS["train"]), *model)
    ssr("evaluate", "--adapter", arm / "adapter", "--base-scores", arm / "base-scores.jsonl",
        "--out", arm / "scores.jsonl", *asked)


def by_compare(folder: Path, name: str, more: dict) -> None:
    config = folder / f"{name}.yaml"
    config.write_text(yaml.safe_dump({"backend": "transformers", "methods": METHODS, "learning_rates": RATES,
                                      "seeds": SEEDS, "max_new_tokens": MAX_NEW_TOKENS} | more))
    ssr("compare", config, "--out", folder / name)


def furthest(folder: Path, name: str, arms: list[tuple]) -> float:
    "How far accuracies of an arm by commands are from the arm of a comparison, at most, in points."
    def accuracy(path: Path) -> dict[str, float]:
        by_task: dict[str, list[float]] = {}
        for score in read_records(path, Score):
            by_task.setdefault(score.task, []).append(score.score)
        return {task: 100 * mean(values) for task, values in by_task.items()}

    pairs = [(accuracy(folder / "{}-{:g}-{}".format(*arm) / "scores.jsonl"),
              accuracy(arm_folder(folder / name, arm) / "scores.jsonl")) for arm in arms]
    assert all(one.keys() == other.keys() for one, other in pairs)
    return max(abs(one[task] - other[task]) for one, other in pairs for task in one)


def main() -> None:
    arms = [(method, rate, seed) for method in METHODS for rate in RATES for seed in SEEDS]
    with TemporaryDirectory() as made:
        folder = Path(made)
        write_records(folder / "examples.jsonl", target_examples(ITEMS["train"], "train"))
        alone = seconds(by_compare, folder, "alone", {"workers": 1})
        usual = seconds(by_compare, folder, "usual", {})
        separate = [seconds(by_commands, folder, *arm) for arm in arms]
        apart = {name: furthest(folder, name, arms) for name in ("alone", "usual")}
    result = {
        "machine": machine(), "arms": len(arms), "methods": METHODS, "learning_rates": RATES, "seeds": SEEDS,
        "seconds": {"separate commands, all arms": round(sum(separate), 1), "compare, one worker": round(alone, 1),
                    "compare": round(usual, 1)},
        "separate commands / compare with one worker": round(sum(separate) / alone, 2),
        "separate commands / compare": round(sum(separate) / usual, 2),
        "accuracies apart, points, at most": {name: round(value, 2) for name, value in apart.items()},
    }
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
