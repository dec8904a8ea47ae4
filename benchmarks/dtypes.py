"""Does bfloat16 change what is measured? The same items of a finished comparison, answered by the base model and by its tuned
models in bfloat16 and in float32.

    python benchmarks/dtypes.py runs/squad --items 100      (from the folder in which the run was made)

The adapters are those of the run, as they were trained. Writes dtypes.json: for each model and
type the share of right answers, and how many answers are the same to the letter."""

import argparse
import json
from pathlib import Path

from ssr_nb.adapters import load_adapter, remove_lora
from ssr_nb.compare import arm_folder
from ssr_nb.comparison import Comparison, load_data
from ssr_nb.judge import judge
from ssr_nb.models import load_model
from ssr_nb.options import from_mapping
from ssr_nb.records import read_json
from ssr_nb.report import quoted, read_summary
from ssr_nb.respond import respond

TYPES = ("bfloat16", "float32")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--items", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("dtypes.json"))
    asked = parser.parse_args()
    kept = {key: value for key, value in read_json(asked.run / "config.json").items() if key != "hashes"}
    config = from_mapping(Comparison, kept)
    suite = next(s for s in load_data(config)[1] if s.role == "target")
    examples = suite.examples[: asked.items]
    arms = {arm["method"]: arm_folder(asked.run, (arm["method"], arm["learning_rate"], config.seeds[0])) / "adapter"
            for arm in quoted(read_summary(asked.run)) if arm["method"] != "base"}
    told, found = {}, {"model": config.model, "items": len(examples), "right": {}, "same_answer": {}}
    for dtype in TYPES:
        lm = load_model(config.model, backend="transformers", device="cpu", dtype=dtype)
        for name, folder in {"base": None, **arms}.items():
            tuned = load_adapter(lm, folder) if folder else lm
            answers = respond(examples, tuned, max_new_tokens=48, progress=False)
            remove_lora(lm)
            right = sum(v.label == "correct" for v in judge(examples, answers, suite.judge))
            found["right"].setdefault(name, {})[dtype] = right
            told[name, dtype] = [answer.response for answer in answers]
            print(f"{name:6} {dtype:9} {right} of {len(examples)} right", flush=True)
    found["same_answer"] = {name: sum(a == b for a, b in zip(*(told[name, dtype] for dtype in TYPES)))
                            for name in ("base", *arms)}
    asked.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(found["same_answer"]))


if __name__ == "__main__":
    main()
