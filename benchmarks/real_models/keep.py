"""What is kept of a run on a real model, beside its configuration: the files of a folder here, without weights.

    python keep.py RUN NAME          # of the finished run in the folder RUN, into the folder NAME
    python keep.py RUN NAME --back   # the other way: every arm's scores are laid into RUN, so that `ssr compare` with this
                                     # configuration trains none of them again, and methods, rates or seeds can be added

`summary.json` and `config.json` are the run's own, with hashes of its model, data and judges, so that arms of another model or
of other data are refused. `scores.jsonl.xz` has every single score with its answer, so that whoever doubts an interval
can make it again; what a judge's reason quotes, or names as gold, is left out. `answers.json` says of
each arm how long its answers to the target are and how many were cut off, there and in the general suites. `by_rate.json` has the paired differences of each
method to SFT at every rate that both were trained at, and `lost.json` the general prompts that each method lost at its quoted
rate (without suites of published data)."""

import argparse
import json
import lzma
import re
import shutil
from collections import defaultdict
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ssr_nb.compare import arm_folder
from ssr_nb.grounded import PUBLISHED
from ssr_nb.real import at_each_rate, losses_of
from ssr_nb.records import Score, read_records, write_json, write_records
from ssr_nb.report import read_summary

SINGLE = "scores.jsonl.xz"


def _scores(text: str) -> dict[tuple[str, float | None, int], list[Score]]:
    arms = defaultdict(list)
    for line in text.split("\n"):  # and not at whatever else ends a line for Python, which an answer may hold
        score = Score(**json.loads(line))
        arms[score.method, score.learning_rate, score.seed].append(score)
    return arms


def _answers(scores: list[Score]) -> dict[str, dict]:
    """Number, mean length in words, and how many were cut off, of the answers of each arm to the target; and how many of its
    answers to the general suites were cut off, where some were."""
    arms: dict[str, dict[str, list[Score]]] = defaultdict(lambda: defaultdict(list))
    for score in scores:
        name = score.method if score.learning_rate is None else f"{score.method} {score.learning_rate:g}"
        arms[name][score.task.removeprefix("general:")].append(score)

    def cut(of: list[Score]) -> int:
        return sum(s.extra.get("finish_reason") == "length" for s in of)

    return {name: {"answers": len(target := of["target"]), "words": round(sum(len(s.response.split()) for s in target) / len(target), 1),
                   "cut off": cut(target), "general cut off": {
                       task: f"{count} of {len(said)}" for task, said in of.items()
                       if said[0].task.startswith("general:") and (count := cut(said))}} for name, of in arms.items()}


def _without_quotations(score: Score) -> dict:
    "A score as it is kept: the reason of its verdict as far as it quotes nothing and doesn't name gold."
    reason = score.extra.get("reason")
    return asdict(replace(score, extra=score.extra | {"reason": re.split('"|, gold ', reason)[0].rstrip(": ")}) if reason else score)


def keep(run: Path, name: Path) -> None:
    "Write what is kept of a finished run."
    name.mkdir(exist_ok=True)
    summary = read_summary(run)
    scores = [score for arm in (run / "base", *sorted((run / "arms").iterdir())) if (arm / "scores.jsonl").exists()
              for score in read_records(arm / "scores.jsonl", Score)  # also of a rate that isn't compared
              if score.method in ("base", *summary["mixes"])]
    write_json(name / "summary.json", summary)
    shutil.copy(run / "config.json", name / "config.json")
    write_json(name / "answers.json", _answers(scores))
    lines = (json.dumps(_without_quotations(score)) for score in scores)
    (name / SINGLE).write_bytes(lzma.compress("\n".join(lines).encode()))
    methods = [method for method in summary["mixes"] if method != "sft"]
    with TemporaryDirectory() as every_arm:
        write_records(Path(every_arm) / "scores.jsonl", scores)
        write_json(name / "by_rate.json", [row for method in methods for row in at_each_rate(every_arm, method)])
    published = {suite for suite, source in _general(summary).items() if re.split("[:-]", source)[0] in PUBLISHED}
    write_json(name / "lost.json", {method: [asdict(change) for change in losses_of(run, method) if change.task not in published]
                                    for method in summary["mixes"]})


def _general(summary: dict) -> dict[str, str]:
    "What each general suite of a run was drawn from: the name of its task, or a file."
    data = summary["config"]["data"]
    given = data.get("general", {}) if isinstance(data, dict) else {}
    return {suite: source if isinstance(source, str) else str(source.get("task") or source.get("examples")) for suite, source in given.items()}


def lay_back(run: Path, name: Path) -> None:
    "Write the scores of every arm into a run's folder, where they aren't there; its seconds are the mean of its method's."
    seconds = read_summary(name)["seconds_per_arm"]
    if not (run / "config.json").exists() and (name / "config.json").exists():
        run.mkdir(parents=True, exist_ok=True)
        shutil.copy(name / "config.json", run / "config.json")
    elif not (name / "config.json").exists():
        print(f"{name}: no config.json, so whether model, data and judges are still those of this run can't be told")
    for arm, scores in _scores(lzma.decompress((name / SINGLE).read_bytes()).decode()).items():
        folder = run / "base" if arm[0] == "base" else arm_folder(run, arm)
        if not (folder / "scores.jsonl").exists():
            if arm[0] != "base":
                write_json(folder / "seconds.json", seconds[arm[0]])
            write_records(folder / "scores.jsonl", scores)  # last, since whoever finds it takes the arm for finished


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("name", type=Path)
    parser.add_argument("--back", action="store_true", help="lay the scores back into the run's folder")
    asked = parser.parse_args()
    (lay_back if asked.back else keep)(asked.run, asked.name)
