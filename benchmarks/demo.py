"""The demo's time by stage: the whole comparison of `ssr demo`, or what a run that is there already
took (give its folder). Writes demo.json beside this file."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from machine import machine

from ssr_nb.compare import compare
from ssr_nb.comparison import Comparison
from ssr_nb.report import read_summary


def demo() -> dict:
    with TemporaryDirectory() as folder:
        return compare(Comparison(backend="transformers"), Path(folder) / "demo")


def main(summary: dict) -> None:
    seconds = summary["seconds"]
    shares = {stage: round(taken / seconds["total"], 3) for stage, taken in seconds.items()
              if not stage.endswith("all arms")}
    arms = sum(arm["seeds"] for arm in summary["arms"] if arm["method"] != "base")
    result = {"machine": machine(), "arms": arms, "seconds": seconds, "share_of_total": shares}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(read_summary(sys.argv[1]) if len(sys.argv) > 1 else demo())
