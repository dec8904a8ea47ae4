"""Tasks and sources: every row through one function, every way to name examples, and what is reported of mistakes."""

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from conftest import real_data
from typer.testing import CliRunner

from ssr_nb.grounded import PUBLISHED
from ssr_nb.math_task import MATH
from ssr_nb.microworld import general_examples, target_examples
from ssr_nb.options import as_arguments, expanded
from ssr_nb.records import Example, RecordError, write_records
from ssr_nb.settings import MODELS
from ssr_nb.tables import load_plugins
from ssr_nb.tasks import (DEFAULT_TASK, REWORDINGS, TASKS, GradedSource, Rewording, Source, Task, judge_for,
                          load_examples, metric_for, microworld_suites, read_source, rewording_named, split_of,
                          task_named)

SAMPLES = Path(__file__).parent / "data"
FILES = {"math": "math_sample.jsonl", "musique": "musique_sample.jsonl", "natural_questions": "natural_questions_sample.jsonl",
         "multidoc2dial": "multidoc2dial_dial_sample.json", "squad2": "squad_sample.json",
         "gsm8k": "gsm8k_sample.jsonl", "mbpp": "mbpp_sample.jsonl",
         "humaneval": "humaneval_sample.jsonl"}


@pytest.fixture
def data(tmp_path, monkeypatch):
    "The samples where the publishers' files of every split would be, and the variable that says so."
    for name, source in FILES.items():
        (tmp_path / "data" / name).mkdir(parents=True)
        for file in (MATH if name == "math" else PUBLISHED[name]).files.values():
            shutil.copy(SAMPLES / source, tmp_path / "data" / name / file.removesuffix(".gz"))
    documents = tmp_path / "data" / "multidoc2dial" / "multidoc2dial_doc.json"
    shutil.copy(SAMPLES / "multidoc2dial_doc_sample.json", documents)
    monkeypatch.setenv("SSR_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# one way

@pytest.mark.parametrize("module", ["formats", "grounded", "tasks", "splits"])
def test_nothing_heavy_is_loaded_and_nothing_later_in_line(module):
    "Each module alone, in a process of its own: no circle, and none of the libraries that take seconds."
    code = f"""
import sys, ssr_nb.{module}
heavy = {{"torch", "datasets", "transformers", "trl", "peft"}} & set(sys.modules)
order = ["formats", "grounded", "tasks", "splits"]
later = {{f"ssr_nb.{{name}}" for name in order[order.index("{module}") + 1:]}} & set(sys.modules)
print(heavy, later - {{"ssr_nb.splits"}})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set() set()", done.stdout + done.stderr


def test_the_package_s_own_rows_are_not_sent_to_other_processes():
    code = """
import pickle, ssr_nb.tasks
from ssr_nb.tables import Table, pack_rows
print({table.kind: [n for n, by in table.origins.items() if by] for table in Table.every.values()})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert all(not rows for rows in eval(done.stdout).values()), done.stdout + done.stderr


# the rows

@pytest.mark.parametrize("name", TASKS)
def test_every_row_is_loaded_by_one_function(data, name):
    task = TASKS.named(name)
    shutil.copy(SAMPLES / "squad_sample.json", "mine.json")
    source = Source({"file": "mine.json", "hub": f"hub:{data.parent}"}.get(name, name))
    if name == "hub":  # a folder in the place of the hub
        source = replace(source, split="train", examples=f"hub:{hub_folder(data.parent)}")
    examples = source.load("test")
    assert examples == source.load("test") and all(isinstance(e, Example) and e.completion.strip() for e in examples)
    trains = not task.splits or "train" in task.splits
    assert len(replace(source, n=2).load("train" if trains else "test")) == 2
    assert task.metric in ("accuracy", "f1", "answerability") and task.rewording in REWORDINGS and task.summary
    if not task.rows:
        assert task.test in task.splits and task.max_new_tokens >= 40 and judge_for(name) == task.judge
        assert examples == task.load(task.test, None, 0, "")
        assert not trains or task.train(2) == Source(name, n=2).load()


def hub_folder(folder):
    datasets = pytest.importorskip("datasets")
    (folder / "hub").mkdir()
    datasets.Dataset.from_list([{"prompt": f"{i} ?", "completion": str(i)} for i in range(3)]).to_parquet(
        folder / "hub" / "train.parquet")
    return folder / "hub"


def test_what_belongs_to_each_task():
    load_plugins()  # the rows of other modules of the package
    assert {task.name: (task.judge, task.metric, task.test) for task in TASKS.values()} == {
        "microworld": ("micro", "accuracy", "test"), "squad2": ("contains", "f1", "validation"),
        "squad2-sentences": ("contains", "accuracy", "validation"),
        "gsm8k": ("numeric", "accuracy", "test"), "mbpp": ("code", "accuracy", "test"),
        "humaneval": ("code", "accuracy", "test"),
        "musique": ("contains", "answerability", "validation"),
        "natural_questions": ("contains", "answerability", "validation"),
        "multidoc2dial": ("llm", "answerability", "validation"), "math": ("math", "accuracy", "test"),
        "file": (None, "accuracy", "test"), "hub": (None, "accuracy", "test"),
        "instructions": ("instructions", "accuracy", "test"),
        "plain_instructions": ("instructions", "accuracy", "test"), "facts": ("facts", "accuracy", "test"),
        "sums": ("sums", "accuracy", "test"), "declines": ("declines", "accuracy", "test"),
        "harmless": ("declines", "accuracy", "test"), "abilities": ("abilities", "accuracy", "test"),
        "passages": ("contains", "accuracy", "test")}


def test_gold_fits_into_the_tokens_of_its_task(data):
    "Three characters a token, the densest that texts and sums are in a usual vocabulary."
    for name, split in (("gsm8k", "train"), ("squad2", "validation")):
        published = real_data({"gsm8k": "gsm8k_train_slice.jsonl", "squad2": "squad_v2_dev_slice.json"}[name])
        lengths = [len(e.completion) / 3 for e in load_examples(published)]
        assert sum(n <= TASKS[name].max_new_tokens for n in lengths) / len(lengths) > 0.99, name


def test_the_microworld_brings_its_suites():
    n = {"validation": 7, "target": 9, "shift": 8, "general": 3}
    suites = microworld_suites(n)
    assert suites[:4] == [
        ("validation", "", target_examples(7, "validation")), ("target", "", target_examples(9, "test")),
        ("shift", "shifted", target_examples(8, "test", domain="shifted")),
        ("shift", "jobs", target_examples(8, "test", domain="jobs"))]
    assert all(role == "general" for role, _, _ in suites[4:])
    assert [e for _, _, examples in suites[4:] for e in examples] == general_examples(3, "test")
    skills = dict.fromkeys(e.extra["skill"] for e in general_examples(3, "test"))
    assert [name for _, name, _ in suites[4:]] == list(skills)
    task = TASKS[DEFAULT_TASK]
    assert task.suites(n) == suites and task.train(6) == target_examples(6, "train")
    assert task.replay(30) == general_examples(5, "train") and len(task.replay(31)) >= 31
    assert (Path(MODELS.named(DEFAULT_TASK).path()) / "config.json").is_file() and task.rewording == "micro" and task.max_new_tokens == 40
    with pytest.raises(RecordError, match="a size for 'genral'.*did you mean 'general'"):
        task.suites({"genral": 3})


@pytest.mark.parametrize("part", ["", "home", "shifted", "jobs", "general"])
def test_the_parts_of_the_microworld(part):
    name = f"microworld:{part}" if part else "microworld"
    examples = load_examples(name, split="test", n=6, seed=1)
    made = (general_examples(6, "test", seed=1) if part == "general"
            else target_examples(6, "test", domain=part or "home", seed=1))
    assert examples == made and task_named(name) == (TASKS["microworld"], part)
    assert len(load_examples(name)) == (360 if part == "general" else 600)


def test_a_task_whose_test_split_is_none_of_its_splits():
    with pytest.raises(ValueError, match="task 'mine': found test='tset'; expected one of train, test .*'test'"):
        Task("mine", lambda *_: [], test="tset")


def test_a_plug_in_adds_a_task_to_everything(folder):
    (folder / "mine.py").write_text("""
from ssr_nb.records import Example
from ssr_nb.tasks import TASKS, Task

def load(split, n, seed, part):
    return [Example(f"{split} {part or 'all'} {i} {seed} ?", str(i)) for i in range(n or 4)]

TASKS.add(Task("of_mine", load, judge={"name": "exact"}, metric="f1", splits=("train", "dev"), test="dev"))
""")
    try:
        load_plugins(["mine.py"])
        source = read_source({"task": "of_mine:rye", "n": 2, "seed": 5})
        assert [e.prompt for e in source.load("test")] == ["dev rye 0 5 ?", "dev rye 1 5 ?"]
        assert [e.prompt.split()[0] for e in source.load()] == ["train"] * 2
        assert (judge_for(source), metric_for(source)) == ({"name": "exact"}, "f1")
        with pytest.raises(RecordError, match="did you mean 'of_mine'"):
            load_examples("of_mien")
    finally:
        TASKS.pop("of_mine", None)


# sources

def test_a_source_in_every_form(data):
    shutil.copy(SAMPLES / "gsm8k_sample.jsonl", "mine.jsonl")
    first = load_examples("gsm8k", n=2)
    elsewhere = str(data / "gsm8k")
    for value in ("gsm8k", f"gsm8k:{elsewhere}", "mine.jsonl", Path("mine.jsonl"), f"file:{Path.cwd()}/mine.jsonl",
                  Source("gsm8k"), {"examples": "gsm8k"}, {"task": "gsm8k"}, {"task": "mine.jsonl"}):
        source = read_source(value)
        assert source.load()[:2] == replace(source, n=2).load() == first, value
        assert (judge_for(value), metric_for(value)) == ("numeric", "accuracy"), value
    full = read_source({"task": "gsm8k", "split": "test", "n": 2, "judge": "exact", "metric": "f1", "seed": 3})
    assert full == Source("gsm8k", "test", 2, seed=3, judge="exact", metric="f1") and full.load() == first
    assert (judge_for(full), metric_for(full)) == ("exact", "f1")
    mapping = {"name": "llm", "model": "judge-model"}
    assert judge_for({"task": "gsm8k", "judge": mapping}) == mapping


def test_a_source_travels_to_other_processes(data):
    shutil.copy(SAMPLES / "squad_sample.json", "mine.json")
    for source in (Source("gsm8k", n=2), GradedSource("mine.json", judge={"name": "llm"})):
        assert source.task and pickle.loads(pickle.dumps(source)) == source
        assert pickle.loads(pickle.dumps(source)).load("test") == source.load("test")


@pytest.mark.parametrize("value, said", [
    ({"task": "gsm8k", "spilt": "test"}, "here: found the key 'spilt'; expected .*did you mean 'split'"),
    ({"tsak": "gsm8k"}, "here: found the key 'tsak'; expected .*did you mean 'task'"),
    ({"n": 3}, "here: found neither 'task' nor 'examples'"), ({}, "neither"),
    ({"task": "gsm8k", "examples": "gsm8k"}, "here: found both 'task' and 'examples'"),
    ({"task": "gsm8k", "n": 0}, "here: found n=0; expected a whole number at least 1"),
    ({"task": "gsm8k", "n": True}, "found n=True"), ({"task": "gsm8k", "n": 2.5}, "found n=2.5"),
    ({"task": ["gsm8k"]}, r"found examples=\['gsm8k'\]"), ({"task": None}, "found examples=None"),
    ({"task": "q.csv", "columns": "prompt"}, "here: .*found columns 'prompt'"),
    ({"task": "q.csv", "columns": {"prompt": "Q"}}, "here: .*'prompt' and 'completion'"),
    (7, "here: found 7; expected a name, a file, or a mapping of examples, split, n"), (None, "found None"),
    (["gsm8k"], "found .'gsm8k'.; expected a name")])
def test_sources_that_are_written_wrongly(value, said):
    with pytest.raises(ValueError, match=said):
        read_source(value, "here")


def test_a_task_that_is_called_one_is_not_hidden_by_a_folder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "passages").mkdir()
    (tmp_path / "passages" / "lost.json").write_text('[{"prompt": "a", "completion": "b"}]')
    assert read_source({"task": "passages", "split": "test"}).task.name == "passages"
    assert len(read_source({"task": "passages", "split": "test"}).load()) == 102
    assert read_source({"examples": "passages"}).load() == load_examples("passages") == [Example("a", "b")]
    assert read_source({"task": "microworld:jobs"}).task.name == "microworld"


@pytest.mark.parametrize("source, said", [
    ("gms8k", "expected .* a task: one of .*did you mean 'gsm8k'"), ("sqaud2:data", "did you mean 'squad2'"),
    ("micro-world", "did you mean 'microworld'"), ("nowhere.json", "no such file"), ("no such thing", "no such file"),
    ("a/b/c", "no such file"), ("", "no such file"), ("file", "no such file"), ("hub:", "no such file"),
    ("file:nowhere.jsonl", "nowhere.jsonl: found no such file"), ("/nowhere/at/all.parquet", "no such file"),
    ("microworld:moon", "part 'moon'; expected one of home"), ("microworld:job", "did you mean 'jobs'"),
    ("x" * 5000, "no such file")])
def test_names_that_are_nothing(source, said, folder):
    with pytest.raises(RecordError, match=said):
        load_examples(source)


def test_a_file_goes_before_a_task_of_its_name(folder):
    write_records(folder / "gsm8k", [Example("a ?", "b")])
    assert load_examples("gsm8k") == [Example("a ?", "b")] and task_named("gsm8k:")[0].name == "gsm8k"


def test_the_hub_out_of_reach_says_what_was_asked(monkeypatch):
    datasets = pytest.importorskip("datasets")
    asked = []

    def unreachable(*args, **kwargs):
        asked.append((args, kwargs))
        raise ConnectionError("Couldn't reach the hub\nand more")

    monkeypatch.setattr(datasets, "load_dataset_builder", unreachable)
    for source in ("owner/name", "hub:owner/name"):
        with pytest.raises(RecordError,
                           match="owner/name, configuration main, split test.*Couldn't reach the hub;.*connection"):
            load_examples(source, split="test", config="main")
    assert asked[0] == (("owner/name", "main"), {})


# splits

@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if "train" in task.splits])
def test_training_and_testing_take_different_splits(name):
    task = TASKS[name]
    assert split_of(task, "") == "train" and split_of(task, "", default="test") == task.test != "train"
    assert split_of(task, "", default=task.test) == task.test
    assert all(split_of(task, "", given, "test") == given for given in task.splits)
    with pytest.raises(RecordError, match="split 'trian'; expected one of .*did you mean 'train'"):
        Source(name, split="trian").load()
    with pytest.raises(RecordError, match="no split 'dev'; expected a split, one of"):
        split_of(task, "", default="dev")


def test_an_evaluation_of_gsm8k_takes_its_test(data):
    (data / "gsm8k" / "test.jsonl").write_text('{"question": "9 + 9 ?", "answer": "#### 18"}\n')
    assert [e.prompt for e in Source("gsm8k").load("test")] == ["9 + 9 ?"] != [e.prompt for e in Source("gsm8k").load()]
    assert [e.prompt for e in Source("gsm8k").load(Source("gsm8k").task.test)] == ["9 + 9 ?"]
    assert len(Source("gsm8k", split="train").load("test")) == 8


def test_a_file_has_one_split_and_a_folder_those_that_it_has(folder):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([{"prompt": f"{i} ?", "completion": str(i)} for i in range(6)])
    rows.save_to_disk("one")
    datasets.DatasetDict(train=rows.select(range(3)), test=rows.select(range(3, 6))).save_to_disk("two")
    datasets.DatasetDict(train=rows.select(range(3)), validation=rows.select([5])).save_to_disk("three")
    Path("four").mkdir()
    rows.to_parquet("four/validation.parquet")
    rows.to_csv("rows.csv")
    rows.to_json("rows.jsonl")
    for name in ("one", "rows.csv", "rows.jsonl"):
        assert len(Source(name).load()) == len(Source(name).load("test")) == 6, name
    assert len(Source("four").load("test")) == len(Source("four", split="validation").load()) == 6
    with pytest.raises(RecordError, match="four: found no split 'train'; expected a split, one of validation"):
        Source("four").load()
    for name, tested in (("two", ["3", "4", "5"]), ("three", ["5"])):
        assert [e.completion for e in Source(name).load("test")] == tested, name
        assert [e.completion for e in Source(name).load()] == ["0", "1", "2"], name
    for name, wrong in (("two", "tset"), ("four", "validaton"), ("rows.jsonl", "trian"), ("rows.csv", "test")):
        with pytest.raises(RecordError, match=f"split '{wrong}'; expected one of"):
            Source(name, split=wrong).load()
    with pytest.raises(RecordError, match="no split 'dev'; expected a split, one of train, test"):
        Source("two").load("dev")


@pytest.mark.parametrize("name, trains, tests", [
    ("train", True, False), ("validation", False, True), ("dev", False, True), ("test", False, True), ("everything", True, False)])
def test_a_single_split_is_never_both_trained_and_tested_on(name, trains, tests, folder):
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list([{"prompt": f"{i} ?", "completion": str(i)} for i in range(6)])
    datasets.DatasetDict({name: rows}).save_to_disk("alone")
    for default, works in (("train", trains), ("test", tests)):
        if works:
            assert len(Source("alone").load(default)) == 6
        else:
            with pytest.raises(RecordError, match=f"alone: found no split '{default}'; expected a split, one of {name}"):
                Source("alone").load(default)
        assert len(Source("alone", split=name).load(default)) == 6
    assert Source("alone").task.judge is None  # the shape is told by whatever split there is


# files of somebody's own

def test_what_a_file_is_judged_by(folder):
    for name in ("squad_sample.json", "gsm8k_sample.jsonl"):
        shutil.copy(SAMPLES / name, name)
    write_records(folder / "mine.jsonl", [Example("a ?", "b")])
    (folder / "q.csv").write_text("question,answer\na ?,#### 4\n")
    found = {name: (Source(name).task.judge, metric_for(name)) for name in ("squad_sample.json", "gsm8k_sample.jsonl",
                                                                           "mine.jsonl", "q.csv")}
    assert found == {"squad_sample.json": ("contains", "f1"), "gsm8k_sample.jsonl": ("numeric", "accuracy"),
                     "mine.jsonl": (None, "accuracy"), "q.csv": ("numeric", "accuracy")}
    assert Source("q.csv", columns="prompt=question,completion=answer").task.judge is None
    assert Source("mine.jsonl", format="gsm8k").task.judge == "numeric"
    with pytest.raises(RecordError, match=r"found examples of mine.jsonl without a judge; "
                                          r"expected --judge \(or judge: in YAML\), one of exact, contains"):
        judge_for("mine.jsonl")
    assert judge_for({"examples": "mine.jsonl", "judge": "contains"}) == "contains"
    assert Source("mine.jsonl").task.rewording == "chat" and Source("mine.jsonl").task.max_new_tokens is None
    (folder / "empty.jsonl").write_text("")
    with pytest.raises(RecordError, match="empty.jsonl: found no rows"):
        judge_for("empty.jsonl")


COLUMNS = {"prompt": "Question", "completion": "Best Answer"}


@pytest.mark.parametrize("columns", [COLUMNS, "prompt=Question,completion=Best Answer"])
def test_columns_as_a_mapping_and_as_a_text(folder, columns):
    pytest.importorskip("datasets")
    (folder / "q.csv").write_text('Question,Best Answer\n"a, b ?",x\n')
    (folder / "q.jsonl").write_text(json.dumps({"Question": "a, b ?", "Best Answer": "x"}) + "\n")
    for name in ("q.csv", "q.jsonl"):
        assert read_source({"examples": name, "columns": columns}).load() == [Example("a, b ?", "x")]
        assert load_examples(name, columns=columns) == [Example("a, b ?", "x")]
        with pytest.raises(RecordError, match="no column 'Qestion' for the prompt; "
                                              "expected one of Question, Best Answer .*did you mean 'Question'"):
            load_examples(name, columns={**COLUMNS, "prompt": "Qestion"})


@pytest.mark.parametrize("given", [{"columns": "prompt=a,completion=b"}, {"format": "squad"}, {"config": "main"}])
def test_a_task_knows_its_own_shape(data, given):
    with pytest.raises(RecordError, match=f"gsm8k: found {next(iter(given))} for the task 'gsm8k'"):
        Source("gsm8k", **given).load()


def test_a_format_that_is_misspelt(folder):
    (folder / "g.jsonl").write_text('{"question": "2 + 2 ?", "answer": "#### 4"}\n')
    wrong = {"task": "g.jsonl", "format": "gsmk8"}
    for read in (lambda: read_source(wrong).load(), lambda: judge_for(wrong)):
        with pytest.raises(RecordError, match="format 'gsmk8'; expected one of .*records, .*squad, .*did you mean 'gsm8k'"):
            read()


# the command line

def typed(*arguments, cls=GradedSource):
    taken = []
    app = typer.Typer(add_completion=False)

    def command(source: cls) -> None:
        taken.append(source)

    app.command()(expanded(command))
    done = CliRunner().invoke(app, list(arguments))
    return taken[0] if taken else done.output + str(done.exception)


def test_a_source_from_the_command_line(folder):
    pytest.importorskip("datasets")
    (folder / "q.csv").write_text("question,answer\na ?,4\nb ?,5\n")
    line = ["--examples", "q.csv", "--n", "1", "--columns", "prompt=question,completion=answer", "--judge", "exact",
            "--metric", "f1", "--split", "train"]
    source = typed(*line)
    assert source.load() == [Example("a ?", "4")] and (judge_for(source), metric_for(source)) == ("exact", "f1")
    assert typed(*as_arguments(source)) == source
    assert typed("--examples", "gsm8k", "--config", "main", "--format", "gsm8k", cls=Source) == Source(
        "gsm8k", config="main", format="gsm8k")
    assert "No such option" in typed("--examples", "gsm8k", "--judge", "exact", cls=Source)
    assert "columns 'question'" in typed("--examples", "q.csv", "--columns", "question")
    assert "--examples" in typed("--n", "3")  # is missing


# rewordings

def test_rewordings_by_name_and_as_a_mapping():
    own = {"paraphrase": "{prompt} {gold} 1", "rewrite": "{prompt} {gold} 2", "teacher": "{prompt} {gold} 3"}
    assert rewording_named(own) == Rewording(**own) and rewording_named(Rewording(**own)) == Rewording(**own)
    for name in REWORDINGS:
        assert rewording_named(name).name == name
    for wrong, said in (("caht", "did you mean 'chat'"), ({"paraphrase": "{prompt} {gold}"}, "no 'rewrite'"),
                        ({**own, "techer": "x"}, "did you mean 'teacher'"),
                        ({**own, "rewrite": "{gold}"}, "rewrite prompt"), ({**own, "teacher": 7}, "teacher prompt 7"),
                        (7, "rewording: found 7"), (["a"], "rewording")):
        with pytest.raises(ValueError, match=said):
            rewording_named(wrong)
