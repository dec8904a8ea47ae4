"""Kill -9 at random moments: the continued run ends with the same files as an undisturbed one,
nothing twice, nothing lost.

A stage runs in a forked child, so that the heavy imports are paid once; the parent kills it after a random share of the
time that the stage takes undisturbed, again and again in the same folder, and then lets it end."""

import os
import random
import shutil
import signal
import sys
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


def killed_at(stage, folder: Path, moment: int | None = None) -> int:
    """Run stage(folder) in a child process that kills itself -9 at its moment-th step on the disk in that folder: before a
    file is opened, moved, or removed. Gives how many steps it took when nothing killed it, else 0."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status, passed = 1, 0

        def at_a_step(event, arguments):
            nonlocal passed
            if event in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate") and any(
                    str(folder) in os.fsdecode(a) for a in arguments if isinstance(a, (str, bytes, os.PathLike))):
                passed += 1
                if passed == moment:
                    os.kill(os.getpid(), signal.SIGKILL)

        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            sys.addaudithook(at_a_step)
            stage(folder)
            os.write(writing, str(passed).encode())
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with open(reading) as told:
        assert ended in (0, -signal.SIGKILL), "the stage failed"
        return int(told.read() or 0)


def check_moments(stage, tmp_path, chosen):
    "A run that is killed at the moments that `chosen` picks of all its steps on the disk ends as one that isn't."
    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    steps = killed_at(stage, undisturbed)
    assert steps > 3
    whole = files_of(undisturbed)
    for moment in chosen(range(1, steps + 1)):
        folder = tmp_path / "undisturbe2"  # as long a name, for messages and records
        folder.mkdir()
        if not killed_at(stage, folder, moment):
            assert in_a_child(stage, folder)
        assert files_of(folder) == whole, f"killed at step {moment} of {steps}"
        shutil.rmtree(folder)


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

    def training_briefly(folder):
        settings = TrainingSettings(learning_rate=1e-3, steps=4, batch_size=4, dropout=0.1, checkpoint_every=2)
        train(targets[:8], lm, folder / "adapter", settings, progress=False)

    def judging_few(folder):
        judge(many[:5], answers[:5], judge="numeric", out=folder / "verdicts.jsonl")

    def responding_briefly(folder):
        respond(questions[:6], lm, folder / "responses.jsonl", max_new_tokens=4, batch_size=2, progress=False)

    return {"respond": responding, "judge": judging, "train": training, "train briefly": training_briefly,
            "judge few": judging_few, "respond briefly": responding_briefly}


@pytest.mark.parametrize("name", ["respond", "judge", "train"])
@pytest.mark.long
def test_a_few_kills(stages, tmp_path, name):
    check_kills(stages[name], tmp_path, 3, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["respond", "judge", "train"])
def test_twenty_kills(stages, tmp_path, name):
    check_kills(stages[name], tmp_path, 20, seed=2)


BRIEF = ["respond briefly", "judge few", "train briefly"]


@pytest.mark.parametrize("name", BRIEF)
@pytest.mark.long
def test_a_kill_between_the_last_step_and_the_result(stages, tmp_path, name):
    "Of a training: when the last checkpoint is whole, while the adapter is put in place, while checkpoints go."
    check_moments(stages[name], tmp_path, lambda all_of_them: [*all_of_them[-30::10], all_of_them[-1]])


@pytest.mark.slow
@pytest.mark.parametrize("name", BRIEF)
def test_a_kill_at_every_step_on_the_disk(stages, tmp_path, name):
    check_moments(stages[name], tmp_path, lambda all_of_them: all_of_them)


def test_what_the_undisturbed_run_leaves(stages, tmp_path):
    for name in ("respond", "judge", "train"):
        assert in_a_child(stages[name], tmp_path)
    assert len(read_records(tmp_path / "responses.jsonl", Response)) == 96
    labels = [v.label for v in read_records(tmp_path / "verdicts.jsonl", Verdict)]
    assert len(labels) == 2500 and 0 < labels.count("correct") < 2500
    assert {p.name for p in tmp_path.iterdir()} == {"responses.jsonl", "verdicts.jsonl",
                                                    "adapter"}, "no checkpoints or temporary files are left"
