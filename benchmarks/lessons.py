"""What the figures of the lessons are with other questions and another order of training: where the ranges of the
teacher's page come from. Takes some minutes on two cores.

    python benchmarks/lessons.py

Runs the code cells of lessons 1 to 5 as they stand, with the questions drawn by the seeds 0, 1 and 2 and trained with the
same seed; seed 0 is what the lessons show. Writes lessons.json beside this file, and does only what isn't in it yet;
without that file it measures anew."""

import io
import json
import math
import os
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from inspect import signature
from pathlib import Path

import matplotlib
from machine import machine

ROOT, OUT = Path(__file__).parent.parent, Path(__file__).with_suffix(".json")
SEEDS = (0, 1, 2)


def with_seed(of: Callable[..., list], seed: int) -> Callable[..., list]:
    "What draws questions, with another seed where the caller names none."
    def drawn(*args, **how):
        given = signature(of).bind(*args, **how)
        given.arguments.setdefault("seed", seed)
        return of(*given.args, **given.kwargs)
    return drawn


def run_lesson(name: str, seed: int) -> dict:
    "The names that the code cells of a lesson leave behind, with other draws."
    from ssr_nb import microworld, settings, train

    assert train  # it is loaded while the settings are a class still

    usual = microworld.target_examples, microworld.general_examples, settings.TrainingSettings
    microworld.target_examples, microworld.general_examples = (with_seed(of, seed) for of in usual[:2])
    settings.TrainingSettings = partial(usual[2], seed=seed)
    left: dict = {"__name__": "__main__"}
    try:
        with redirect_stdout(io.StringIO()):
            for cell in json.loads((ROOT / "nbs" / "lessons" / f"{name}.ipynb").read_text(encoding="utf-8"))["cells"]:
                if cell["cell_type"] == "code":
                    exec("".join(cell["source"]), left)
                    left["plt"].close("all")
    finally:
        microworld.target_examples, microworld.general_examples, settings.TrainingSettings = usual
    return left


def percent(marks: list[bool]) -> float:
    return round(100 * sum(marks) / len(marks), 1)


def own_answers(left: dict) -> dict:
    marks = [(e, v.label == "correct") for e, v in zip(left["examples"], left["verdicts"])]
    return {"own answers right": percent([ok for _, ok in marks]),
            "of unanswerable questions": percent([ok for e, ok in marks if not e.answerable])}


def gold_against_own(left: dict) -> dict:
    def perplexity(name: str) -> float:
        words = left["logprobs"][name]
        return round(math.exp(-sum(float(w.sum()) for w in words) / sum(map(len, words))), 2)
    return {"perplexity of gold": perplexity("gold"), "perplexity of own answers": perplexity("own")}


def both_ways(left: dict) -> dict:
    return {f"{part}, {method}": round(both[part], 1) for method, both in left["share"].items() for part in both}


def gone(left: dict) -> dict:
    return {"lost after 80 steps": len(left["lost"]), "of": sum(left["right"][0]), "lost most": left["order"][:2],
            "lost least": left["order"][-1]}


def judges(left: dict) -> dict:
    return {"worst for other skills": left["worst"]} | {f"{part}, {name}": round(value, 1) for (name, part), value in left["share"].items()}


LESSONS = {"1_own_answers": own_answers, "2_gold_against_own": gold_against_own, "3_training_both_ways": both_ways,
           "4_is_it_gone": gone, "5_judges_that_err": judges}


def main() -> None:
    matplotlib.use("agg")
    os.chdir(ROOT / "nbs" / "lessons")
    found = json.loads(OUT.read_text(encoding="utf-8")) if OUT.exists() else {"machine": machine(), "lessons": {}}
    for name, of in LESSONS.items():
        seeds = found["lessons"].setdefault(name, {})
        for seed in SEEDS:
            if str(seed) not in seeds:
                seeds[str(seed)] = of(run_lesson(name, seed))
                OUT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
                print(f"{name}, seed {seed}:", json.dumps(seeds[str(seed)]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
