"""Each tutorial runs whole, the file itself that a reader opens, on a CPU and off the net: what it can't have here (a
GPU, a model of the hub, data of the hub) is given small stand-ins by its parameters."""

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path

import nbformat
import papermill
import pytest

from ssr_nb.grounded import REFUSAL
from ssr_nb.records import Score, Target, read_records

ROOT = Path(__file__).parent.parent
TUTORIALS = ROOT / "nbs" / "tutorials"
DATA = ROOT / "tests" / "data"
STEMS = sorted(path.stem for path in TUTORIALS.glob("*.ipynb"))


# --- stand-ins: what takes the place of model and data, as the parameters of the notebook


PLACES = "attic barn cellar garden hall kitchen loft shed".split()
THINGS = "axe bag cap cup drum fan hat jar key lamp map net oar pan pen pot rug saw tin top urn vase wig yoke".split()


def write_rooms(folder: Path) -> None:
    "A benchmark for lm-eval that needs no net: which of two answers is likelier?"
    from ssr_nb.benchmarks import write_task
    write_task(folder, "rooms", [{"question": f"Where is the {t}?", "choices": ["It is in the attic.", "Attic"],
                                  "right": i % 2} for i, t in enumerate(THINGS)],
               output_type="multiple_choice", doc_to_text="{{question}}", doc_to_choice="{{choices}}",
               doc_to_target="{{right}}", target_delimiter=" ",
               metric_list=[{"metric": "acc", "aggregation": "mean", "higher_is_better": True}])


def quickstart(folder: Path) -> dict:
    "Fewer items of the same micro-world: it needs neither a GPU nor the hub."
    items = {"validation": 10, "target": 20, "shift": 4, "general": 3}
    return {"TRAIN": [40, 40], "ITEMS": [items, items], "LEARNING_RATES": [[3e-3], [3e-3]], "EPOCHS": 1, "RUN": "run",
            "MERGE": True}


def own_data(folder: Path) -> dict:
    """A small Qwen 2.5 that knows where things are, half of them wrongly, and says so in sentences; a file of messages
    whose gold is terse; sums as general questions; a benchmark of its own."""
    from architectures import make_model, teach
    places, things = PLACES, THINGS
    asked = [[{"role": "system", "content": "Answer."}, {"role": "user", "content": f"Where is the {t}?"}] for t in things]
    where = [places[i % 8] for i in range(len(things))]
    taught = [places[(i + i % 2) % 8] for i in range(len(things))]  # every other one is wrong
    teach(make_model("qwen25", folder / "model", context=512), list(zip(asked, (f"It is in the {p}." for p in taught))), 120)
    rows = [{"id": f"{'wrong' if i % 2 else 'right'}-{things[i]}", "group": things[i], "messages": [
        *asked[i], {"role": "assistant", "content": where[i]}]} for i in range(len(things))]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    write_rooms(folder / "tasks")
    splits = {"train": 12, "validation": 4, "target": 6}
    return {"MODEL": [str(folder / "model")] * 2, "DATA": "mine.jsonl", "RUN": "run", "SPLITS": [splits, splits],
            "LABELS": {row["id"]: row["id"].startswith("right") for row in rows}, "MAX_NEW_TOKENS": [24, 24], "BATCH_SIZE": [2, 2],
            "ACCUMULATION": [4, 4], "EPOCHS": [3, 3], "LEARNING_RATES": [[3e-3], [3e-3]],
            "GENERAL": [{"examples": str(DATA / "gsm8k_sample.jsonl"), "n": 4, "judge": "numeric"}] * 2, "BENCHMARKS": [["rooms"], ["rooms"]], "BENCHMARK_ITEMS": [8, 8],
            "BENCHMARK_FOLDER": str(folder / "tasks"), "MERGE": True}


def the_paper(folder: Path) -> dict:
    """Dialogues about where things are kept, in MultiDoc2Dial's files; a small Mistral that names the place whether the
    passage does or not, and as a judge accepts an answer wherever there is one; MuSiQue's sample; a local benchmark."""
    from architectures import make_model, teach
    from ssr_nb.llm_judge import judge_prompt
    from ssr_nb.grounded import load_paper_task
    docs, dials = {}, []
    for i, thing in enumerate(THINGS):
        said = f"The {thing} is kept in the {PLACES[i % 8]}."
        docs[thing] = {"spans": {"1": {"text_sp": said, "text_sec": said}}}
        dials.append({"dial_id": thing, "turns": [
            {"role": "user", "utterance": f"Where is the {thing}?", "references": []},
            {"role": "agent", "da": "respond_solution", "utterance": PLACES[i % 8].title(),
             "references": [{"id_sp": "1", "doc_id": thing}]}]})
    for name, content in (("dial_train", {"dial_data": {"house": dials}}), ("doc", {"doc_data": {"house": docs}})):
        (folder / "multidoc2dial").mkdir(exist_ok=True)
        (folder / "multidoc2dial" / f"multidoc2dial_{name}.json").write_text(json.dumps(content))
    (folder / "musique").mkdir()
    (folder / "musique" / "musique_full_v1.0_dev.jsonl").write_text((DATA / "musique_sample.jsonl").read_text())
    asked = load_paper_task("multidoc2dial", "train", folder / "multidoc2dial", n=24, drawn=True)
    own = {e.id: f"It is in the {PLACES[THINGS.index(e.group) % 8]}." for e in asked}
    verdicts = {True: "The same place.\nVerdict: correct", False: "It does not refuse.\nVerdict: incorrect"}
    judged = [(judge_prompt(e, own[e.id]), verdicts[e.answerable]) for e in asked]
    texts = [text for pair in judged for text in pair] + [*own.values(), json.dumps(docs)]
    teach(make_model("mistral", folder / "model", context=2048, texts=texts, size=1500),
          [*((e.prompt, own[e.id]) for e in asked), *judged[:8]], 100)
    write_rooms(folder / "tasks")
    return {"QUICK": False, "MODEL": [str(folder / "model")] * 2, "LOAD_IN_4BIT": [False, False], "DATA": str(folder),
            "RUN": "run", "TRAIN": [8, 8], "VALIDATION": [3, 3], "TEST": [5, 5], "TRANSFER": [4, 4], "LEARNING_RATES": [[3e-3], [3e-3]], "SEEDS": [[0], [0]],
            "BATCH_SIZE": [2, 2], "ACCUMULATION": [2, 2], "MAX_LENGTH": [1024, 1024], "MAX_NEW_TOKENS": [24, 24],
            "BENCHMARKS": [{"rooms": 8}] * 2, "BENCHMARK_FOLDER": str(folder / "tasks"), "MERGE": True}


def gsm8k(folder: Path) -> dict:
    """Sums in GSM8K's files, and a small Qwen 2.5 that gets every third right by itself, every third when it paraphrases
    gold, and every other when it rewrites it; a local benchmark."""
    from architectures import make_model, teach
    from ssr_nb.methods import reword
    from ssr_nb.tasks import REWORDINGS
    from ssr_nb.grounded import load_paper_task
    rows = [{"question": f"{i + 3} and {i + 4} {thing}s: how many?",
             "answer": f"{i + 3} + {i + 4} = <<{i + 3}+{i + 4}={2 * i + 7}>>{2 * i + 7}.\n#### {2 * i + 7}"}
            for i, thing in enumerate(THINGS[:16])]
    for name, part in (("train", rows[:12]), ("test", rows[12:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    asked = load_paper_task("gsm8k", "train", folder)
    right = [2 * i + 7 for i in range(12)]
    pairs = [(e.prompt, f"There are {right[i] if i % 3 == 0 else 1}.") for i, e in enumerate(asked)]
    pairs += [(e.prompt, f"In all {right[i] if i % 3 == 1 else 2}.")
              for i, e in enumerate(reword(asked, REWORDINGS["chat"].paraphrase))]
    pairs += [(e.prompt, f"Added up {right[i] if i % 2 else 4}.")
              for i, e in enumerate(reword(asked, REWORDINGS["chat"].rewrite))]
    teach(make_model("qwen25", folder / "model", context=512, texts=[t for pair in pairs for t in pair], size=700), pairs, 150)
    write_rooms(folder / "tasks")
    splits = {"train": 9, "validation": 3}
    return {"MODEL": [str(folder / "model")] * 2, "DATA": str(folder), "RUN": "run", "SPLITS": [splits, splits], "TEST": [4, 4],
            "MAX_NEW_TOKENS": [24, 24], "LEARNING_RATES": [[3e-3], [3e-3]], "BATCH_SIZE": [2, 2], "ACCUMULATION": [4, 4],
            "GENERAL": [{}, {}], "BENCHMARKS": [["rooms"], ["rooms"]], "BENCHMARK_ITEMS": 8,
            "BENCHMARK_FOLDER": str(folder / "tasks"), "MERGE": True}


STAND_INS: dict[str, Callable[[Path], dict]] = {
    "01_quickstart": quickstart,
    "02_own_data": own_data,
    "03_the_paper": the_paper,
    "04_gsm8k": gsm8k,
}


def run_tutorial(stem: str, folder: Path) -> tuple[nbformat.NotebookNode, Path]:
    """Run a tutorial in a folder with its stand-ins; gives the executed notebook and the folder.
    Nothing is skipped: cells that are marked for a GPU or the hub run too."""
    elsewhere = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OMP_NUM_THREADS": "1",
                 "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    given, before = STAND_INS[stem](folder), dict(os.environ)
    assert set(given) <= set(parameters(stem)), "papermill would pass over a name that the notebook doesn't have"
    os.environ |= elsewhere  # the notebook's process gets them from this one
    try:
        ran = papermill.execute_notebook(TUTORIALS / f"{stem}.ipynb", folder / f"{stem}.ipynb",
                                         given, kernel_name="python3", cwd=folder, progress_bar=False)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return ran, folder


# --- what the tests look at


def source(cell: dict) -> str:
    return "".join(cell["source"])


def cells(stem: str) -> list[dict]:
    "The code cells of a tutorial as it stands in the repository."
    found = json.loads((TUTORIALS / f"{stem}.ipynb").read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def parameters(stem: str) -> dict:
    "Names and values of the one cell that is tagged for it."
    (cell,) = [c for c in cells(stem) if "parameters" in c["metadata"].get("tags", [])]
    chosen: dict = {}
    exec(source(cell), {}, chosen)
    return chosen


def shown(ran: nbformat.NotebookNode, containing: str = "") -> str:
    "What the code cells that contain a text have shown, as text and HTML."
    outputs = [o for c in ran.cells if c.cell_type == "code" and containing in c.source for o in c.outputs]
    return "\n".join("\n".join([o.get("text", ""), *(str(v) for k, v in o.get("data", {}).items()
                                                     if k in ("text/plain", "text/html"))]) for o in outputs)


def complaints(ran: nbformat.NotebookNode) -> list[str]:
    "What the notebook wrote on standard error: warnings, bars, other programs' messages. The stand-ins' prompts are alike."
    return [o["text"] for c in ran.cells if c.cell_type == "code" for o in c.outputs if o.get("name") == "stderr"
            and "nearly in train" not in o["text"]]


def flags(cell: dict) -> set[str]:
    return {flag for line in source(cell).splitlines() if line.startswith("#|") for flag in line[2:].split()}


def learnt(adapter: Path) -> bool:
    "Whether an adapter folder holds weights that training has moved: LoRA's B begins at zero."
    from safetensors.torch import load_file
    moved = [bool(t.abs().max() > 0) for name, t in load_file(adapter / "adapter_model.safetensors").items()
             if "lora_B" in name]
    return bool(moved) and all(moved)


def methods_of(scores: Path) -> dict[str, Counter]:
    "For each method in a file of scores, how many items of each task it answered."
    found: dict[str, Counter] = {}
    for score in read_records(scores, Score):
        found.setdefault(score.method, Counter())[score.task] += 1
    return found


# --- every tutorial


def settings() -> dict[str, str]:
    config = ConfigParser(delimiters=["="])
    config.read(ROOT / "settings.ini", encoding="utf-8")
    return dict(config["DEFAULT"])


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))


@pytest.mark.parametrize("stem", STEMS)
class TestAsItStands:
    def test_opens_in_colab_by_its_badge(self, stem):
        s = settings()
        address = (f"https://colab.research.google.com/github/{s['user']}/{s['repo']}/blob/{s['branch']}/nbs/tutorials/"
                   f"{stem}.ipynb")
        first = json.loads((TUTORIALS / f"{stem}.ipynb").read_text(encoding="utf-8"))["cells"][0]
        assert first["cell_type"] == "markdown" and f"]({address})" in source(first)

    def test_installs_the_tried_versions_in_colab_alone(self, stem):
        cell = source(next(c for c in cells(stem) if "pip install" in source(c)))
        lines = cell.splitlines()
        start = lines.index('if "google.colab" in sys.modules:')
        assert all(line.startswith("    ") for line in lines[start + 1:] if line.strip()), "outside Colab it does nothing"
        named = re.findall(r"([\w-]+)==([\w.]+)", cell)
        assert all(pins()[name] == version for name, version in named)
        needed = {"torch", "transformers", "trl", "peft"} | ({"unsloth"} if on_gpu(stem) else set())
        assert needed <= {name for name, _ in named}
        installs = [line for line in lines if "pip install" in line]
        assert f"torch=={pins()['torch']}" in installs[0] and "{package}" in "".join(installs[-2:])

    def test_installs_a_wheel_that_lies_there_the_clone_around_it_or_from_the_address(self, stem, tmp_path, monkeypatch):
        cell = source(next(c for c in cells(stem) if "pip install" in source(c)))
        chosen = "\n".join(line for line in cell.splitlines() if "%pip" not in line) + "\n    pass"
        (tmp_path / "clone" / "nbs" / "tutorials").mkdir(parents=True)
        (tmp_path / "clone" / "settings.ini").touch()
        (tmp_path / "wheel").mkdir()
        (tmp_path / "wheel" / "ssr_nb-0.1-py3-none-any.whl").touch()
        (tmp_path / "empty").mkdir()
        monkeypatch.setitem(sys.modules, "google.colab", sys)
        for place, package in (("clone/nbs/tutorials", "../.."), ("wheel", "ssr_nb-0.1-py3-none-any.whl"),
                               ("empty", f"git+{settings()['git_url']}")):
            monkeypatch.chdir(tmp_path / place)
            names: dict = {}
            exec(chosen, names)
            assert names["package"] == package

    def test_has_parameters_with_a_quick_way(self, stem):
        assert {"QUICK", "MODEL", "BACKEND", "RUN", "MAX_NEW_TOKENS"} <= set(parameters(stem))
        assert parameters(stem)["QUICK"] is True

    def test_shows_versions_before_anything_runs(self, stem):
        texts = [source(c) for c in cells(stem)]
        assert next(i for i, t in enumerate(texts) if "environment(" in t) < next(
            i for i, t in enumerate(texts) if t.startswith("QUICK = True"))

    def test_every_pair_has_a_quick_and_a_full_value(self, stem):
        chosen, whole = parameters(stem), "\n".join(map(source, cells(stem)))
        paired = set(re.findall(r"\b([A-Z_]+)\[way\]", whole))
        assert {"LEARNING_RATES", "SEEDS"} <= paired and all(len(chosen[name]) == 2 for name in paired)
        assert len(chosen["SEEDS"][0]) < len(chosen["SEEDS"][1]) >= 3, "the full run has the seeds for an interval"

    def test_marks_what_needs_a_gpu_or_the_hub(self, stem):
        if not on_gpu(stem):
            assert parameters(stem)["MODEL"] == "microworld"
            return
        if on_cpu(stem):  # its quick way was run; public benchmarks alone were not
            assert not any("gpu" in flags(c) for c in cells(stem))
            needs = {"hub": r"run_benchmarks\(" if any("slow" in flags(c) for c in cells(stem))
                     else r"load_model\(\w|\bcompare\(|respond\(|load_paper_task\("}
            needs |= {"slow": r"load_model\(\w|\bcompare\(|respond\("} if "run_benchmarks" in needs["hub"] else {}
        else:
            needs = {"hub": r"load_model\(\w|run_benchmarks\(|load_paper_task\(|load_examples\(DATA|Source\(GENERAL|general\(",
                     "gpu": r"load_model\(\w|run_benchmarks\(|\bcompare\(|respond\(|load_adapter\("}
        for cell in cells(stem):
            lines = "\n".join(line for line in source(cell).splitlines() if not line.startswith("def "))
            assert {flag for flag, calls in needs.items() if re.search(rf"\b(?:{calls})", lines)} <= flags(cell), lines[:200]
        # what is made in a marked cell is there in marked cells alone
        marked = [c for c in cells(stem) if flags(c) & {"gpu", "hub", "slow"}]
        assert cells(stem).index(marked[0]) == len(cells(stem)) - len(marked)

    def test_shows_nothing_that_was_not_run(self, stem):
        unseen = [c for c in cells(stem) if "gpu" in flags(c) or re.search(r"BENCHMARKS\[way\]", source(c))]
        assert [source(c)[:60] for c in unseen if c["outputs"]] == []
        first = json.loads((TUTORIALS / f"{stem}.ipynb").read_text(encoding="utf-8"))["cells"][0]
        assert ("have not run it on a GPU" in source(first)) == on_gpu(stem), "and the page says so"
        assert ("the outputs below are from it" in source(first)) == on_cpu(stem)


def on_cpu(stem: str) -> bool:
    "Whether the quick way was run on a CPU, with the outputs kept."
    return any(flags(c) & {"slow", "hub"} and c["outputs"] for c in cells(stem))


def on_gpu(stem: str) -> bool:
    return any(flags(c) & {"gpu", "hub"} for c in cells(stem))


def both_sides_are_shown(ran: nbformat.NotebookNode) -> bool:
    "Memory before and after training, and a target as text above the row of tokens that is made of it."
    memory, row = shown(ran, "readable(peak_memory("), shown(ran, "coloured(")
    size = r"[\d.]+ [kMG]?B"
    return bool(re.search(rf"before[^\n]*{size}.*after[^\n]*{size}", memory, re.S)
                and re.search(r"\{'prompt':\s.*'completion':\s.*'source':\s.*background:#bfe3c8", row, re.S))


# --- each tutorial, run


@pytest.mark.long
def test_quickstart(tmp_path):
    ran, folder = run_tutorial("01_quickstart", tmp_path)
    run = folder / "run"
    assert learnt(run / "first" / "adapter") and learnt(run / "arms" / "ssr-0.003-0" / "adapter")
    scored = methods_of(run / "scores.jsonl")
    assert set(scored) == {"base", "sft", "ssr"} and len({frozenset(c.items()) for c in scored.values()}) == 1
    targets = {m: Counter(t.source for t in read_records(run / f"targets-{m}.jsonl", Target)) for m in ("sft", "ssr")}
    assert targets["sft"] == {"gold": 40}
    assert targets["ssr"]["own"] >= 15 and targets["ssr"]["gold"] >= 5 and targets["ssr"].total() == 40
    assert f"own {targets['ssr']['own']}" in shown(ran, "mix(")
    table = shown(ran, "answers_to(task")
    assert table.count("<tr>") == 6 and all(f">{m}</th>" in table for m in ("prompt", "gold", "base", "sft", "ssr"))
    assert "20 of 20 answers are the same" in shown(ran, "load_adapter(")
    assert (run / "merged" / "config.json").is_file() and complaints(ran) == [] and both_sides_are_shown(ran)
    assert "| target | 20 |" in (run / "arms" / "ssr-0.003-0" / "adapter" / "README.md").read_text()


@pytest.mark.long
def test_own_data(tmp_path):
    ran, folder = run_tutorial("02_own_data", tmp_path)
    run = folder / "run"
    scored = methods_of(run / "scores.jsonl")
    assert scored == {m: {"validation": 4, "target": 6, "general:general": 4} for m in ("base", "sft", "ssr")}
    assert methods_of(run / "benchmarks.jsonl") == {m: {"general:rooms": 8} for m in ("base", "sft", "ssr")}
    assert all(learnt(run / "arms" / f"{m}-0.003-0" / "adapter") for m in ("sft", "ssr"))
    # what the model knew is trained in its words, the rest in gold's; and the labels say that the judge saw it
    targets = read_records(run / "targets-ssr.jsonl", Target)
    assert {t.id for t in targets if t.source == "own"} == {t.id for t in targets if t.id.startswith("right")} != set()
    assert all(t.completion.startswith("It is in the ") == (t.source == "own") for t in targets) and len(targets) == 12
    assert re.search(r"contains +precision +100.0%", shown(ran, "LABELS.items()"))
    row = shown(ran, "coloured(")
    assert row.count("background:#bfe3c8") > 4 and "&lt;|im_end|&gt;" in row
    table = shown(ran, "HTML(disputed_answers")
    assert table.count("<tr>") == 10 and all(f">{m}</th>" in table for m in ("prompt", "gold", "base", "sft", "ssr"))
    assert "6 of 6 answers are the same" in shown(ran, "load_adapter(base, adapter)")
    card = (run / "arms" / "ssr-0.003-0" / "adapter" / "README.md").read_text()
    assert "| general:rooms | 8 |" in card and "mine.jsonl: 12 prompts" in card
    assert (run / "merged" / "config.json").is_file() and complaints(ran) == [] and both_sides_are_shown(ran)


def test_the_paper_is_the_paper_s():
    from ssr_nb.benchmarks import PAPER_BENCHMARKS
    chosen = parameters("03_the_paper")
    assert chosen["MODEL"][1] == "mistralai/Mistral-7B-Instruct-v0.2"
    assert set(chosen["BENCHMARKS"][1]) == set(PAPER_BENCHMARKS)


@pytest.mark.long
def test_the_paper(tmp_path):
    ran, folder = run_tutorial("03_the_paper", tmp_path)
    run = folder / "run"
    items = {"validation": 3, "target": 5, "shift:transfer": 4}
    scores = read_records(run / "scores.jsonl", Score)
    assert methods_of(run / "scores.jsonl") == {m: items for m in ("base", "sft", "ssr")}
    assert methods_of(run / "benchmarks.jsonl") == {m: {"general:rooms": 8} for m in ("base", "sft", "ssr")}
    assert {s.extra["metric"] for s in scores} == {"answerability"}, "scored by detection"
    assert all(s.extra["accuracy"] == (s.extra["label"] == "correct") for s in scores), "and by the judge's word"
    adapters = {m: run / "arms" / f"{m}-0.003-0" / "adapter" for m in ("sft", "ssr")}
    assert all(map(learnt, adapters.values()))
    made = json.loads((adapters["ssr"] / "adapter_config.json").read_text())
    assert (made["r"], made["lora_alpha"], made["lora_dropout"]) == (8, 16, 0.1)
    # the judge took what has an answer, and there alone are the model's own words trained
    targets = {m: read_records(run / f"targets-{m}.jsonl", Target) for m in ("sft", "ssr")}
    assert {t.source for t in targets["sft"]} == {"gold"} and len(targets["ssr"]) == 8
    without = {t.id for t in targets["sft"] if t.completion == REFUSAL}
    assert without == {t.id for t in targets["ssr"] if t.source == "gold"} != set() and len(without) < 8
    assert all(t.completion.startswith("It is in the ") == (t.source == "own") for t in targets["ssr"])
    table = shown(ran, 'disputed("target"')
    assert table.count("<tr>") == 5 and all(f">{m}</th>" in table for m in ("prompt", "gold", "base", "sft", "ssr"))
    assert "[/INST]" in re.sub("<[^>]+>", "", shown(ran, "coloured(")).replace(" ", "")
    assert "5 of 5 answers are the same" in shown(ran, "again = load_adapter")
    assert "| general:rooms | 8 |" in (adapters["ssr"] / "README.md").read_text()
    assert (run / "merged" / "config.json").is_file() and complaints(ran) == [] and both_sides_are_shown(ran)


@pytest.mark.long
def test_gsm8k(tmp_path):
    ran, folder = run_tutorial("04_gsm8k", tmp_path)
    run, methods = folder / "run", ("sft", "ssr", "s3ft", "sdft")
    assert methods_of(run / "scores.jsonl") == {m: {"validation": 3, "target": 4} for m in ("base", *methods)}
    assert methods_of(run / "benchmarks.jsonl") == {m: {"general:rooms": 8} for m in ("base", *methods)}
    assert all(learnt(run / "arms" / f"{m}-0.003-0" / "adapter") for m in methods)
    # each method takes what the model got right in its way, and falls back as its paper says
    number = {t.id: (int(t.prompt.split()[0]) - 3) for t in read_records(run / "targets-sft.jsonl", Target)}
    sources = {m: {number[t.id]: t.source for t in read_records(run / f"targets-{m}.jsonl", Target)} for m in methods}
    assert len(number) == 9 and set(sources["sft"].values()) == {"gold"}
    assert sources["ssr"] == {i: "own" if i % 3 == 0 else "gold" for i in number.values()}
    assert sources["s3ft"] == {i: ("own", "paraphrase", "gold")[i % 3] for i in number.values()}
    assert sources["sdft"] == {i: "paraphrase" if i % 2 else "gold" for i in number.values()}
    assert "Say this answer in your own words" in shown(ran, "prompts = {")
    table = shown(ran, "HTML(side_by_side(")
    assert table.count("<tr>") == 5 and all(f">{m}</th>" in table for m in ("prompt", "gold", "base", *methods))
    assert "4 of 4 answers are the same" in shown(ran, "tuned = load_adapter(base, adapter)")
    assert "| general:rooms | 8 |" in (run / "arms" / "s3ft-0.003-0" / "adapter" / "README.md").read_text()
    assert (run / "merged" / "config.json").is_file() and complaints(ran) == [] and both_sides_are_shown(ran)
