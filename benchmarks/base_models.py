"""Not one lucky base model: the chief comparison on three base models, trained from three seeds.
Takes most of an hour on two cores.

Makes the base models and the runs in a folder (runs/base_models, or the one given), goes on where it stopped, and
writes base_models.json beside this file.
"""

import json
import sys
from pathlib import Path
from statistics import mean

from machine import machine

from ssr_nb.compare import compare
from ssr_nb.comparison import Comparison
from ssr_nb.report import difference, quoted
from ssr_nb.statistics import BASELINES

BASE_SEEDS, METHODS, SEEDS = (0, 1, 2), ["sft", "ssr", "replay", "ours", "ssr-soft", "replay-kl", "ssr-eaft"], [0, 1]
FIGURES = ("target", "answerable", "unanswerable", "general", "KL (general)")


def base_model(folder: Path, seed: int) -> Path:
    "The folder of the base model of a seed; made where it isn't there."
    from ssr_nb.pretraining import pretrain

    out = folder / f"base-{seed}"
    if not (out / "README.md").exists():  # the file that is written last
        pretrain(out, seed=seed)
    return out


def shown(summary: dict) -> dict:
    "Of a run: each method at its own best rate, and its differences, as [mean, low, high]."
    arms = {arm["method"]: {"learning_rate": arm["learning_rate"]} | {f: arm[f] for f in FIGURES if f in arm}
            for arm in quoted(summary)}
    pairs = [(m, other) for other in BASELINES for m in METHODS if m != other and (m, other) != ("sft", "ssr")]
    return {"quoted": arms,
            "differences": {f"{m} - {other}": {f: difference(summary, m, other)[f] for f in ("target", "general")}
                            for m, other in pairs if difference(summary, m, other)}}


def main(folder: Path) -> None:
    bases = {}
    for seed in BASE_SEEDS:
        model = base_model(folder, seed)
        summary = compare(Comparison(model=str(model), backend="transformers", methods=METHODS, seeds=SEEDS),
                          folder / f"run-{seed}")
        skills = json.loads((model / "skills.json").read_text())
        bases[f"seed {seed}"] = {"general": skills["general"], "home": skills["passages"]["home"]} | shown(summary)
    over = {name: {f: [round(100 * figure(base["differences"][name][f][0] for base in bases.values()), 1)
                       for figure in (mean, min, max)]
                   for f in ("target", "general")} for name in next(iter(bases.values()))["differences"]}
    result = {"machine": machine(), "training_seeds": SEEDS, "differences_in_points_mean_least_most_over_bases": over,
              "bases": bases}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(over, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/base_models"))
