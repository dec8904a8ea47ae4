"""To add a thing, one place is touched: each row of CONTRIBUTING's table, as a plug-in in a process of its own, and all of them
together through `ssr compare` with two workers."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# for each row of the table: the plug-in, and what a fresh process makes of it
ADDED = {
    "a task": ("""
from ssr_nb.records import Example
from ssr_nb.tasks import TASKS, Task
TASKS.add(Task("doubles", lambda split, n, seed, part: [Example(f"2 x {i} ?", str(2 * i)) for i in range(n or 9)], judge="exact"))
""", "from ssr_nb.tasks import judge_for, load_examples; print(len(load_examples('doubles', n=4)), judge_for('doubles'))", "4 exact"),
    "a judge": ("""
from dataclasses import dataclass
from ssr_nb.judge import JUDGES, Judge
from ssr_nb.options import check_options, option
from ssr_nb.records import Verdict
@dataclass(frozen=True)
class Options:
    most: int = option(3, "Words at most.", at_least=1)
    def __post_init__(self): check_options(self)
def make(options):
    def short(example, answer):
        return Verdict(example.id, "correct" if len(answer.split()) <= options.most else "incorrect")
    return short
JUDGES.add(Judge("short", make, "few words", options=Options))
""", """
from ssr_nb.judge import judge; from ssr_nb.records import Example, Response
e, r = [Example("say it", "it", id="a")], [Response("a", "it is said here")]
print([judge(e, r, j)[0].label for j in ("short", {"name": "short", "most": 4})])
""", "['incorrect', 'correct']"),
    "a method": ("""
from dataclasses import replace
from ssr_nb.rehearse import METHODS
METHODS.add(replace(METHODS["ssr"], name="ssr-kl", beta=0.5))
""", "from ssr_nb.rehearse import method_named; print(method_named('ssr-kl').beta)", "0.5"),
    "a loss": ("""
from ssr_nb.losses import LOSSES, Loss
LOSSES.add(Loss("plain", "cross-entropy", token_loss=lambda logits, labels: -logits.log_softmax(-1).gather(-1, labels[:, None])[:, 0]))
""", "from ssr_nb.settings import TrainingSettings; print(TrainingSettings(loss='plain').loss)", "plain"),
    "an adapter": ("""
from ssr_nb.adapter_rows import ADAPTERS, Adapter, lora
ADAPTERS.add(Adapter("wide", lambda rank, *rest, **more: lora(4 * rank, *rest, **more), "LoRA with four times the rank"))
""", "from ssr_nb.comparison import Comparison, check; print(list(check(Comparison(adapter=['lora', 'wide'])).trainings()))",
                   "['sft', 'sft@wide', 'ssr', 'ssr@wide']"),
    "a change after training": ("""
from ssr_nb.adapter_rows import AFTER, After
AFTER.add(After("nothing", lambda lm: None, "the adapter as it was trained"))
""", "from ssr_nb.settings import TrainingSettings; print(TrainingSettings(after='nothing').after)", "nothing"),
    "a metric": ("""
from ssr_nb.metrics import METRICS, Metric
METRICS.add(Metric("brevity", "brevity", of=lambda example, answer, verdict: 1 / max(1, len(answer.split()))))
""", "from ssr_nb.metrics import METRICS; print(METRICS.named('brevity').of(None, 'two words', None))", "0.5"),
    "a format": ("""
from ssr_nb.formats import SHAPES, Shape
from ssr_nb.records import Example
SHAPES.add(Shape("cards", (frozenset({"front", "back"}),), lambda row, place: Example(row["front"], row["back"]), judge="exact"))
""", """
from pathlib import Path; from ssr_nb.tasks import judge_for, load_examples
Path("cards.jsonl").write_text('{"front": "2 + 2", "back": "4"}\\n')
print(load_examples("cards.jsonl")[0].completion, judge_for("cards.jsonl"))
""", "4 exact"),
    "a kind of instruction": ("""
from ssr_nb.instructions import INSTRUCTIONS, Check, Kind
INSTRUCTIONS.add(Kind("own:shout", lambda text, marks: Check(text.count("!") >= marks, "exclamation marks"), own=True))
""", """
from ssr_nb.instructions import instructions; from ssr_nb.records import Example
loud = Example("Shout.", "Go!", extra={"instruction_id_list": ["own:shout"], "kwargs": [{"marks": 2}]})
print([instructions(loud, answer).label for answer in ("Go!", "Go, go!!")])
""", "['incorrect', 'correct']"),
    "a base model's short name": ("""
from ssr_nb.settings import MODELS, BaseModel
from ssr_nb.microworld import MODEL_PATH
MODELS.add(BaseModel("little", lambda: MODEL_PATH))
""", "from ssr_nb.models import locate; print(locate('little')[1])", "True"),
    "a way to show gold to the model": ("""
from ssr_nb.tasks import REWORDINGS, Rewording
REWORDINGS.add(Rewording("{prompt} {gold} ?", "{prompt} {gold} !", "{prompt} {gold} .", name="mine"))
""", "from ssr_nb.tasks import rewording_named; print(rewording_named('mine').rewrite)", "{prompt} {gold} !"),
}


def contributing():
    "The rows of CONTRIBUTING's table: what, how many places, which table in which notebook."
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return re.findall(r"^\| (an? [^|]+) \| (\d+) \| `(\w+)` in `([^`]+)` \| `(\w+)\(", text, re.MULTILINE)


def test_the_table_of_contributing_names_what_is_tested_here():
    assert {row[0] for row in contributing()} == set(ADDED) and {row[1] for row in contributing()} == {"1"}


@pytest.mark.parametrize("what, places, table, notebook, row", contributing(), ids=lambda v: v if v.startswith("a") else "")
def test_the_table_stands_where_contributing_says(what, places, table, notebook, row):
    source = "".join("".join(c["source"]) + "\n" for c in json.loads((ROOT / notebook).read_text())["cells"]
                     if c["cell_type"] == "code")
    assert re.search(rf"^{table}(: .*)? = Table\(", source, re.MULTILINE) and re.search(rf"^class {row}\b", source, re.MULTILINE)


@pytest.mark.parametrize("what", ADDED)
def test_one_file_adds_it(what, tmp_path):
    plugin, used, expected = ADDED[what]
    (tmp_path / "mine.py").write_text(plugin)
    code = f"from ssr_nb.tables import load_plugins\nload_plugins(['mine.py'])\n{used.strip()}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.strip() == expected, done.stderr[-600:]


@pytest.mark.parametrize("what", ADDED)
def test_a_plugin_is_short(what):
    assert len(ADDED[what][0].strip().splitlines()) <= 15


@pytest.mark.long
def test_all_kinds_go_through_compare_with_two_workers(tmp_path):
    "The plug-in that the notebook writes, by the command line, in processes that know nothing of this one."
    cells = json.loads((ROOT / "nbs" / "09c_plugins.ipynb").read_text(encoding="utf-8"))["cells"]
    parts = ["".join(c["source"]) for c in cells if "".join(c["source"]).startswith("%%writefile")]
    assert len(parts) == 5 and all(len(part.strip().splitlines()) <= 15 for part in parts)
    (tmp_path / "mine.py").write_text("\n".join(part.partition("\n")[2] for part in parts))
    (tmp_path / "cards.jsonl").write_text('{"front": "repeat these words : fig .", "back": "fig"}\n')
    (tmp_path / "mine.yaml").write_text(
        "backend: transformers\nmethods: [sft, ssr-smoothed]\nlearning_rates: [1e-3]\nseeds: [0]\nworkers: 2\nthreads: 1\n"
        "data:\n  train: {task: say-true, n: 24}\n  target: {task: say-true, n: 6}\n  general: {cards: cards.jsonl}\n"
        "training: {steps: 2}\nresamples: 100\n")
    command = [sys.executable, "-m", "ssr_nb.cli", "compare", "mine.yaml", "--out", "run", "--plugin", "mine.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-800:]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert [arm["method"] for arm in summary["arms"]] == ["base", "sft", "ssr-smoothed"]
    assert summary["columns"]["target"]["metric"] == "order"
    said = subprocess.run([sys.executable, "-m", "ssr_nb.cli", "judge", "--plugin", "mine.py", "--examples", "say-true",
                           "--n", "24", "--responses", "run/responses.jsonl", "--out", "v.jsonl"], capture_output=True,
                          text=True, cwd=tmp_path)
    assert said.returncode == 0 and "verdicts of same-words" in said.stdout, said.stderr


@pytest.mark.long
def test_a_judge_of_a_notebook_is_known_to_the_workers(tmp_path):
    "Added by hand, in `__main__`: it travels with its code."
    code = '''
import sys
from pathlib import Path
from ssr_nb.compare import compare
from ssr_nb.comparison import Comparison
from ssr_nb.judge import register
from ssr_nb.records import Verdict

LONGEST = 9

def short(example, answer):
    return Verdict(example.id, "correct" if len(answer.split()) <= LONGEST else "incorrect")

if __name__ == "__main__":
    register("short", short)
    config = Comparison(methods=["sft", "ssr"], learning_rates=[1e-3], seeds=[0], judge="short", workers=2, threads=1,
                        backend="transformers", training={"steps": 2}, resamples=100,
                        items={"train": 24, "validation": 4, "target": 8, "shift": 2, "general": 2})
    summary = compare(config, Path("run"), say=lambda line: None)
    print([arm["method"] for arm in summary["arms"]])
'''
    (tmp_path / "notebook.py").write_text(code)
    done = subprocess.run([sys.executable, "notebook.py"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0 and done.stdout.strip() == "['base', 'sft', 'ssr']", done.stderr[-800:]


@pytest.mark.parametrize("name", ["mine.txt", "mine", "mine.png"])
def test_a_file_that_is_no_python_file_by_its_name_is_told_so(name, tmp_path):
    from ssr_nb.tables import load_plugins
    (tmp_path / name).write_bytes(b"\x89PNG\r\n")
    with pytest.raises(ValueError, match="name doesn't end in .py; expected a Python file"):
        load_plugins([str(tmp_path / name)])


@pytest.mark.long
def test_an_error_in_a_worker_reaches_the_user_with_file_and_line(tmp_path):
    (tmp_path / "late.py").write_text("""
import multiprocessing
from ssr_nb.judge import JUDGES, Judge
from ssr_nb.records import RecordError

def make():
    def late(example, answer):
        if multiprocessing.parent_process() is not None:
            raise RecordError("prices.csv", 7, "a price of -3", "a price above 0")
        from ssr_nb.records import Verdict
        return Verdict(example.id, "correct")
    return late
JUDGES.add(Judge("late", make))
""")
    (tmp_path / "late.yaml").write_text(
        "plugins: [late.py]\njudge: late\nbackend: transformers\nlearning_rates: [1e-3]\nseeds: [0]\nworkers: 2\nthreads: 1\n"
        "items: {train: 24, validation: 4, target: 8, shift: 2, general: 2}\ntraining: {steps: 2}\nresamples: 100\n")
    done = subprocess.run([sys.executable, "-m", "ssr_nb.cli", "compare", "late.yaml"], capture_output=True, text=True,
                          cwd=tmp_path)
    assert done.returncode == 2 and "prices.csv, line 7: found a price of -3" in done.stderr, done.stderr[-500:]
    assert "BrokenProcessPool" not in done.stderr
