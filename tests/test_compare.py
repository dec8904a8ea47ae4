"""What a comparison refuses before it runs, and what its headline says."""

import io
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

import ssr_nb.compare as compare_module
from ssr_nb.compare import Here, as_begun, compare
from ssr_nb.comparison import Comparison, check, load_data
from ssr_nb.records import Example, Score, Target, write_records
from ssr_nb.report import headline, points, table
from ssr_nb.statistics import summarize


def scores_of(method, rate, right, task="target", seeds=(0,)):
    return [Score(f"q{i}", task, method, seed, rate, float(ok)) for seed in seeds for i, ok in enumerate(right)]


@pytest.mark.parametrize("backend, inside", [("auto", True), ("transformers", False)])
def test_what_unsloth_writes_is_inside_the_run(backend, inside, tmp_path, monkeypatch):
    monkeypatch.setenv("UNSLOTH_COMPILE_LOCATION", "")
    monkeypatch.delenv("UNSLOTH_COMPILE_LOCATION")  # so that it is as before afterwards
    monkeypatch.setattr("ssr_nb.compare._base_model", lambda config: (_ for _ in ()).throw(InterruptedError))
    with pytest.raises(InterruptedError):
        compare(Comparison(backend=backend), tmp_path / "run", say=lambda line: None)
    place = os.environ.get("UNSLOTH_COMPILE_LOCATION")
    assert place == (str(tmp_path / "run" / "unsloth_compiled_cache") if inside else None)


@pytest.mark.parametrize("text, line, both", [
    ("methods: [sft]\nseeds: [0]\nrank: 4\nseeds: [1, 2]\n", 4, ("[0]", "line 2", "[1, 2]")),
    ("judge:\n  name: squad\n  threshold: 0.9\n  threshold: 0.5\n", 4, ("0.9", "line 3", "0.5")),
    ("judge: {name: squad, threshold: 0.9, 'threshold': 0.5}\n", 1, ("0.9", "0.5")),
    ("general:\n- {text: a.txt, n: 3, n: 4}\n", 2, ("3", "4")),
    ("seeds: [0]\n? seeds\n: [1]\n", 2, ("[0]", "[1]"))])
def test_a_key_that_stands_twice_is_refused_with_its_lines(text, line, both, tmp_path):
    from ssr_nb.comparison import read_comparison

    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match="twice") as error:
        read_comparison(path)
    assert str(error.value).startswith(f"{path}: line {line}: ") and all(said in str(error.value) for said in both)


def test_what_is_merged_in_may_be_overruled():
    from ssr_nb.options import yaml_value

    read = yaml_value("base: &base {rank: 4, seeds: [0]}\nmine:\n  <<: *base\n  rank: 8\nother: {rank: 2}\n")
    assert read["mine"] == {"rank": 8, "seeds": [0]} and read["other"] == {"rank": 2}


def test_the_headline_says_it_when_sft_wins():
    scores = []
    for task in ("target", "general:sums"):
        scores += (scores_of("base", None, [1, 0] * 20, task=task) + scores_of("sft", 1e-3, [1, 1] * 20, task=task)
                   + scores_of("ssr", 1e-3, [1, 0] * 20, task=task))
    said = headline(summarize(scores, resamples=500))
    assert "ssr against sft, each at the one rate tried: -50.0" in said and said.count("\n") == 2
    assert "p 0.004) on the target" in said, "no draw of 500 is as large: 1 of 501, times two tests against sft"


def test_the_caption_says_what_was_run_and_corrected():
    scores = (scores_of("base", None, [1, 0] * 20) + scores_of("sft", 1e-3, [1, 1] * 20)
              + scores_of("ssr", 1e-3, [1, 0] * 20))
    summary = summarize(scores, resamples=500)
    caption = table(summary).caption
    assert ("target 40" in caption and "500 paired bootstrap" in caption and "Holm" in caption
            and "(2 against base, 1 against sft, 1 against ssr)" in caption)
    del summary["families"]
    assert "Holm" not in table(summary).caption, "a summary of an earlier version, without a correction"


def test_points_of_nothing_have_no_minus_sign():
    assert points([-0.0, 0.0, 0.0]) == "+0.0 (+0.0 to +0.0)"


@pytest.mark.parametrize("key, value", [("methods", []), ("methods", ["sft", "sft"]), ("learning_rates", [-1.0]),
                                        ("seeds", [0.5]), ("seeds", [True]), ("judge", "vibes"),
                                        ("backend", "jax"), ("items", {"tests": 3}), ("items", {"train": 0}),
                                        ("training", {"seed": 1}), ("data", {"target": "x"}), ("workers", 0)])
def test_a_wrong_value_is_named_by_its_key(key, value):
    with pytest.raises(ValueError, match=key):
        check(Comparison(**{key: value}))


@pytest.mark.parametrize("content, said", [
    (None, "found no such file; expected a YAML file"), ("folder", "found a folder; expected a YAML file"),
    (b"", "found nothing in it; expected a mapping"), (b"# all of it is a comment\n", "found nothing in it"), (b"null", "found nothing in it"),
    (b"\x89PNG\r\n", "found bytes that are not UTF-8"), (b"Dear all,\n", "found 'Dear all,'"), (b"[" * 600, ": ")])
def test_a_file_that_describes_no_comparison_is_refused_before_anything_runs(tmp_path, content, said):
    from ssr_nb.comparison import read_comparison
    path = tmp_path / "c.yaml"
    path.mkdir() if content == "folder" else path.write_bytes(content) if content is not None else None
    with pytest.raises(ValueError) as told:
        read_comparison(path)
    assert str(told.value).startswith(f"{path}: ") and said in str(told.value) and "Errno" not in str(told.value)


def test_a_prompt_of_training_in_a_test_suite_stops_the_run(tmp_path):
    rows = [Example(f"what is {i} plus 1 ?", str(i + 1)) for i in range(6)]
    write_records(tmp_path / "train.jsonl", rows[:4])
    write_records(tmp_path / "test.jsonl", rows[3:])
    config = Comparison(data={"train": str(tmp_path / "train.jsonl"), "target": str(tmp_path / "test.jsonl")},
                        judge="numeric")
    with pytest.raises(ValueError, match="what is 3 plus 1"):
        load_data(config)
    write_records(tmp_path / "test.jsonl", rows[4:])
    train_set, suites = load_data(config)
    assert len(train_set) == 4 and [s.task for s in suites] == ["target"]


def test_the_base_model_is_loaded_as_the_file_says(tmp_path, monkeypatch):
    asked = {}

    def loader(name, **how):
        asked.update(how, name=name)
        raise KeyboardInterrupt

    monkeypatch.setattr("ssr_nb.compare.load_model", loader)
    with pytest.raises(KeyboardInterrupt):
        compare(Comparison(model="some/model", backend="transformers", device="cpu", dtype="bfloat16", load_in_4bit=True,
                           training={"max_length": 900}), tmp_path)
    assert asked == {"name": "some/model", "backend": "transformers", "device": "cpu", "dtype": "bfloat16",
                     "load_in_4bit": True, "max_length": 900}


# --- rates tried with some of the seeds


@pytest.mark.long
def test_later_seeds_train_at_the_best_rate_of_each_method_alone(tmp_path):
    run, lines = tmp_path / "run", []
    config = Comparison(learning_rates=[1e-5, 3e-3], seeds=[0], workers=1, resamples=50, training={"steps": 2},
                        items={"train": 16, "validation": 8, "target": 8, "shift": 4, "general": 1})
    before = compare(config, run, say=lambda line: None)
    config.seeds, config.rate_seeds = [0, 1], 1
    summary = compare(config, run, say=lines.append)
    assert "2 arms to run, 1 side by side" in "\n".join(lines) and "0 arms to run" in "\n".join(lines), "what is there stays"
    best = {arm["method"]: arm["learning_rate"] for arm in before["arms"] if arm["quoted"]}
    assert best == {arm["method"]: arm["learning_rate"] for arm in summary["arms"] if arm["quoted"]}
    assert {(arm["method"], arm["learning_rate"]): arm["seeds"] for arm in summary["arms"] if arm["method"] != "base"} == {
        (method, rate): 1 + (best[method] == rate) for method in ("sft", "ssr") for rate in (1e-5, 3e-3)}
    assert summary["rate_seeds"] == 1 and "with the first 1 of its seeds" in table(summary).caption
    lines.clear()
    assert compare(config, run, say=lines.append)["differences"] == summary["differences"]
    assert sum("0 arms to run" in line for line in lines) == 2


def test_a_later_seed_does_not_choose_the_rate():
    scores = [*scores_of("sft", 1e-3, [1, 1, 0, 0], "validation"), *scores_of("sft", 3e-3, [1, 1, 1, 0], "validation"),
              *scores_of("sft", 3e-3, [0, 0, 0, 0], "validation", seeds=(1,))]
    quoted = [[arm["learning_rate"] for arm in summarize(scores, 50, rate_seeds=n)["arms"] if arm["quoted"]] for n in (1, None)]
    assert quoted == [[3e-3], [1e-3]]


# --- what a run rests on


ADDING = "what is {} plus {} ?"


@pytest.fixture
def rests_on(tmp_path):
    "Files of a comparison: training and test examples, a general suite, a plug-in, a judge's prompts."
    def rows(first, count):
        return [Example(ADDING.format(first + i, 1), str(first + i + 1), id=f"{first}-{i}") for i in range(count)]

    write_records(tmp_path / "train.jsonl", rows(0, 6))
    write_records(tmp_path / "test.jsonl", rows(20, 4))
    write_records(tmp_path / "sums.jsonl", rows(40, 4))
    write_records(tmp_path / "replay.jsonl", rows(60, 4))
    (tmp_path / "mine.py").write_text("from ssr_nb.judge import JUDGES, Judge\nfrom ssr_nb.rules import numeric\n"
                                      f"JUDGES.add(Judge('mine {tmp_path.name}', lambda: numeric), replace=True)\n")
    (tmp_path / "prompts.yaml").write_text("answerable: '{fence} {prompt} {gold} {answer}: right?'\n")
    (tmp_path / "replies.jsonl").write_text('{"id": "a", "response": "Verdict: correct", "model": "m"}\n')
    return tmp_path


def the_bench(folder, judge="numeric"):
    sources = {name: str(folder / f"{name}.jsonl") for name in ("train", "test", "sums", "replay")}
    return Comparison(data={"train": sources["train"], "target": sources["test"], "general": {"sums": {
        "examples": sources["sums"], "judge": judge}}, "replay": sources["replay"]}, judge="numeric",
        plugins=[str(folder / "mine.py")], methods=["sft"], learning_rates=[1e-3], seeds=[0],
        training={"steps": 1, "batch_size": 2}, max_new_tokens=4, resamples=10)


def begun(config, run):
    "A run that has begun: what it rests on is noted, and nothing is trained."
    from ssr_nb.compare import _claim, check_contents, share

    check(config)
    _claim(config, run)
    shared = share(config, run, begun.lm)
    check_contents(shared)
    return shared


begun.lm = None


@pytest.fixture(autouse=True)
def the_base_model():
    from ssr_nb.models import load_model
    begun.lm = begun.lm or load_model("microworld", backend="transformers", device="cpu")


CHANGES = {
    "training examples": ("train.jsonl", '"1"', '"11"'), "test items of 'target'": ("test.jsonl", '"21"', '"22"'),
    "test items of 'general:sums'": ("sums.jsonl", "what is 41", "what was 41"),
    "plug-in mine.py": ("mine.py", "numeric)", "numeric)  # and more"), "replay prompts": ("replay.jsonl", '"61"', '"62"'),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_of_which_something_changed_is_refused_with_its_name(rests_on, name):
    begun(the_bench(rests_on), rests_on / "run")
    begun(the_bench(rests_on), rests_on / "run")  # nothing has changed
    file, before, after = CHANGES[name]
    text = (rests_on / file).read_text()
    assert before in text
    (rests_on / file).write_text(text.replace(before, after))
    with pytest.raises(ValueError, match=f"run: found {name} changed since the run began"):
        begun(the_bench(rests_on), rests_on / "run")
    (rests_on / file).write_text(text)
    begun(the_bench(rests_on), rests_on / "run")


@pytest.mark.parametrize("judge, file, refused", [
    ({"name": "llm", "model": "m", "prompts": "prompts.yaml"}, "prompts.yaml", True),
    ({"name": "llm", "replies": "replies.jsonl"}, "replies.jsonl", True),
    ({"name": "llm", "model": "m", "replies": "replies.jsonl"}, "replies.jsonl", False)])
def test_a_judge_is_what_its_files_say_but_not_what_it_keeps(rests_on, judge, file, refused):
    judge = {key: str(rests_on / value) if "." in value else value for key, value in judge.items()}
    begun(the_bench(rests_on, judge), rests_on / "run")
    text = (rests_on / file).read_text()
    (rests_on / file).write_text(text.replace("right?", "correct?") if "yaml" in file else text + text.replace('"a"', '"b"'))
    if refused:
        with pytest.raises(ValueError, match="found judge of 'general:sums' changed"):
            begun(the_bench(rests_on, judge), rests_on / "run")
    else:
        begun(the_bench(rests_on, judge), rests_on / "run")


def test_another_version_of_the_judges_or_of_the_base_model_is_refused(rests_on, monkeypatch):
    begun(the_bench(rests_on), rests_on / "run")
    with monkeypatch.context() as changed:
        changed.setattr("ssr_nb.compare._code", lambda: "another version")
        with pytest.raises(ValueError, match="judge of the training answers, judge of 'target', judge of 'general:sums'"):
            begun(the_bench(rests_on), rests_on / "run")
    monkeypatch.setattr("ssr_nb.compare.fingerprint", lambda lm: "another model")
    with pytest.raises(ValueError, match="found base model changed"):
        begun(the_bench(rests_on), rests_on / "run")


def test_a_plug_in_may_be_added_and_left_out_and_is_known_from_then_on(rests_on):
    config = the_bench(rests_on)
    (rests_on / "more.py").write_text("")
    begun(config, rests_on / "run")
    config.plugins.append(str(rests_on / "more.py"))
    begun(config, rests_on / "run")
    begun(the_bench(rests_on), rests_on / "run")
    (rests_on / "more.py").write_text("ONE = 1")
    with pytest.raises(ValueError, match="found plug-in more.py changed"):
        begun(config, rests_on / "run")


def test_a_run_of_an_earlier_version_goes_on_with_a_notice(rests_on):
    from ssr_nb.compare import check_contents

    shared = begun(the_bench(rests_on), rests_on / "run")
    config = json.loads((rests_on / "run" / "config.json").read_text())
    del config["hashes"]
    (rests_on / "run" / "config.json").write_text(json.dumps(config))
    (rests_on / "run" / "methods.json").write_text("{}")
    lines = []
    check_contents(shared, lines.append)
    check_contents(shared, lines.append)
    assert len(lines) == 1 and "no hashes, a run of an earlier version" in lines[0]


def test_what_decides_about_right_and_wrong_is_hashed():
    "A module that the judges' modules import is one of them, or decides nothing about an answer."
    import ast

    import ssr_nb
    from ssr_nb.compare import JUDGING

    plain = {"records", "tables", "options", "endpoint", "models", "respond", "chat", "machine", "files",
             "formats", "rows", "sentences", "statistics", "tasks"}
    for name in JUDGING:
        path = Path(ssr_nb.__file__).with_name(f"{name}.py")
        assert path.exists() or path.with_suffix("").is_dir(), name
        for node in ast.walk(ast.parse(path.read_text())) if path.exists() else ():
            module = (node.module or "").removeprefix("ssr_nb.") if isinstance(node, ast.ImportFrom) else ""
            if module and Path(ssr_nb.__file__).with_name(f"{module}.py").exists():
                assert module in plain | set(JUDGING), f"{name} imports {module}"


def test_every_judge_of_the_package_is_made_by_code_that_is_hashed(monkeypatch):
    import ssr_nb.abilities  # noqa: F401  (which adds its judges)
    from ssr_nb import compare
    from ssr_nb.judge import JUDGES

    for name in JUDGES:
        made = JUDGES[name].make if JUDGES[name].options else JUDGES[name].make()
        module = getattr(made, "func", made).__module__.removeprefix("ssr_nb.")
        assert module in compare.JUDGING or f"def {getattr(made, 'func', made).__name__}(" in compare._home(made), name
    before = compare.judge_hash("micro")
    monkeypatch.setattr(compare, "_home", lambda made: "another version")
    assert compare.judge_hash("micro") != before


def test_a_second_comparison_in_one_folder_is_told_who_runs_the_first(tmp_path, monkeypatch):
    from test_files import HOLDING, started

    from ssr_nb.files import Held

    holder = started(HOLDING, tmp_path / "run" / "config.json", 60)
    monkeypatch.setattr("ssr_nb.files.locked.__wrapped__.__defaults__", (0.1,))
    try:
        with pytest.raises(Held, match=f"config.json: found it held by process {holder.pid} on"):
            compare(Comparison(), tmp_path / "run", say=lambda line: None)
    finally:
        holder.kill()
        holder.wait()


ORPHAN = """
import os, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from ssr_nb.compare import _start_worker
from ssr_nb.comparison import Comparison
if __name__ == "__main__":
    with ProcessPoolExecutor(1, get_context("spawn"), _start_worker, (Comparison(), ".", 1, b"")) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


def test_a_worker_ends_with_the_process_that_started_it(tmp_path):
    import signal
    import subprocess
    import sys
    import time

    (tmp_path / "orphan.py").write_text(ORPHAN)
    parent = subprocess.Popen([sys.executable, str(tmp_path / "orphan.py")], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(600):
        if not Path(f"/proc/{worker}").exists() or " Z " in Path(f"/proc/{worker}/stat").read_text():
            break
        time.sleep(0.05)
    else:
        os.kill(worker, signal.SIGKILL)
        raise AssertionError("the worker lives on")


def test_an_arm_that_ends_in_an_error_is_said_while_the_others_are_at_work(tmp_path, monkeypatch):
    said = threading.Event()

    class Stderr(io.StringIO):
        def write(self, text):
            if "no such thing" in text:
                said.set()
            return super().write(text)

    def work(job):
        if job == ["bad"]:
            raise ValueError("found no such thing")
        assert said.wait(30), "nothing was said before this arm was finished"
        return [("good", {})]

    monkeypatch.setattr(compare_module, "ProcessPoolExecutor", lambda workers, **more: ThreadPoolExecutor(workers))
    monkeypatch.setattr(compare_module, "_work", work)
    monkeypatch.setattr(compare_module.sys, "stderr", Stderr())
    bench = SimpleNamespace(config=Comparison(), folder=tmp_path)
    with pytest.raises(ValueError, match="found no such thing"):
        list(Here(workers=2, threads=1).run([["bad"], ["good"]], bench))
    assert said.is_set()


def test_a_job_that_was_handed_out_before_an_error_does_not_begin(monkeypatch):
    monkeypatch.setattr(compare_module, "own_bench", lambda: pytest.fail("it began"))
    monkeypatch.setattr(compare_module, "_stopped", stopped := threading.Event())
    stopped.set()
    assert compare_module._work([("sft", 1e-3, 0)]) == []


def test_targets_are_those_that_a_run_began_with_whatever_rounding_made_of_their_weights(tmp_path):
    "Else a training that was stopped would take its own checkpoints for another run's."
    begun = [Target("q1", "where ?", "attic", "gold", {"row_weight": 0.25, "masked": [1], "tokens": 3, "rule": "contains"}),
             Target("q2", "where ?", "in the hall .", "own", {"row_weight": 0.5})]
    path = tmp_path / "targets-flow.jsonl"
    assert as_begun(path, begun) == begun
    write_records(path, begun)
    again = [replace(begun[0], extra=begun[0].extra | {"row_weight": 0.2500001, "masked": []}), replace(begun[1], extra={})]
    assert as_begun(path, again) == begun
    for other in (replace(begun[1], completion="in the hut ."), replace(begun[1], extra={"rule": "exact"}), replace(begun[1], source="gold")):
        assert as_begun(path, [again[0], other]) == [again[0], other], "other targets are told by the check of the recipe"
