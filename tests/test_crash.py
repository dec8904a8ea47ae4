"""Kill -9 at random moments: the continued run ends with the same files as an undisturbed one,
nothing twice, nothing lost.

A stage runs in a forked child, so that the heavy imports are paid once; the parent kills it after a random share of the
time that the stage takes undisturbed, again and again in the same folder, and then lets it end."""

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest

from ssr_nb.records import Example, Response, Target, Verdict, read_records, write_records

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def in_a_child(stage, folder, kill_after=None) -> bool:
    """Run stage(folder) in a child process; with `kill_after`, kill -9 it after so many seconds.
    Tells whether it ended by itself."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            stage(folder)
            status = 0
        finally:
            os._exit(status)
    start = time.monotonic()
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if kill_after is not None and time.monotonic() - start >= kill_after:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.001)
    assert os.waitstatus_to_exitcode(ended[1]) == 0, "the stage failed"
    return True


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def check_kills(stage, tmp_path, kills, seed):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for folder in (undisturbed, disturbed):
        folder.mkdir()
    start = time.monotonic()
    assert in_a_child(stage, undisturbed)
    took = time.monotonic() - start
    draw, killed = random.Random(seed), 0
    while killed < kills:
        if in_a_child(stage, disturbed, draw.uniform(0, took * draw.choice([0.3, 0.6, 1.0]))):
            # it was quicker than the kill: begin anew, for there is no work left to disturb
            assert files_of(disturbed) == files_of(undisturbed)
            shutil.rmtree(disturbed)
            disturbed.mkdir()
        else:
            killed += 1
    assert in_a_child(stage, disturbed)
    theirs, ours = files_of(undisturbed), files_of(disturbed)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    "The three stages as functions of a folder; models and data are made once, in the parent."
    import datasets  # noqa: F401  (the heavy imports, before any fork)
    import trl  # noqa: F401

    from ssr_nb.judge import judge
    from ssr_nb.microworld import target_examples
    from ssr_nb.machine import set_threads
    from ssr_nb.models import load_model
    from ssr_nb.respond import respond
    from ssr_nb.settings import TrainingSettings
    from ssr_nb.train import train

    set_threads(1)
    lm = load_model("microworld", backend="transformers")
    questions = target_examples(96, "train")
    many = [Example(f"what is {a} plus {b} ?", str(a + b), id=f"{a}+{b}") for a in range(50) for b in range(50)]
    answers = [Response(e.id, f"The answer is {e.completion if i % 3 else '7'}.") for i, e in enumerate(many)]
    targets = [Target(e.id, e.prompt, e.completion, "gold") for e in questions]

    def responding(folder):
        respond(questions, lm, folder / "responses.jsonl", max_new_tokens=24, batch_size=6, progress=False)

    def judging(folder):
        judge(many, answers, judge="numeric", out=folder / "verdicts.jsonl")

    def training(folder):
        settings = TrainingSettings(learning_rate=1e-3, steps=24, batch_size=4, dropout=0.1, checkpoint_every=3)
        train(targets, lm, folder / "adapter", settings, progress=False)

    return {"respond": responding, "judge": judging, "train": training}


@pytest.mark.parametrize("name", ["respond", "judge", "train"])
def test_a_few_kills(stages, tmp_path, name):
    check_kills(stages[name], tmp_path, 3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["respond", "judge", "train"])
def test_twenty_kills(stages, tmp_path, name):
    check_kills(stages[name], tmp_path, 20, seed=2)


def test_what_the_undisturbed_run_leaves(stages, tmp_path):
    for stage in stages.values():
        assert in_a_child(stage, tmp_path)
    assert len(read_records(tmp_path / "responses.jsonl", Response)) == 96
    labels = [v.label for v in read_records(tmp_path / "verdicts.jsonl", Verdict)]
    assert len(labels) == 2500 and 0 < labels.count("correct") < 2500
    assert {p.name for p in tmp_path.iterdir()} == {"responses.jsonl", "verdicts.jsonl",
                                                    "adapter"}, "no checkpoints or temporary files are left"
