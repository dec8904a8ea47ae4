"""The demo's time by stage: the whole comparison of `ssr demo`, in a folder of its own.
Writes demo.json beside this file."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from machine import machine

from ssr_nb.compare import Comparison, compare


def main() -> None:
    with TemporaryDirectory() as folder:
        summary = compare(Comparison(backend="transformers"), Path(folder) / "demo")
    seconds = summary["seconds"]
    shares = {stage: round(taken / seconds["total"], 3) for stage, taken in seconds.items()
              if not stage.endswith("all arms")}
    result = {"machine": machine(), "arms": 18, "seconds": seconds, "share_of_total": shares}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
