"""A training that is watched: it is the same training, it can be killed, and it ends by its rules."""

import json

import pytest
from transformers import Trainer

from ssr_nb.adapters import remove_lora
from ssr_nb.evaluate import Suite
from ssr_nb.microworld import target_examples
from ssr_nb.models import load_model
from ssr_nb.probe import Probe, Watch, probe_items, source_of, watched_sets
from ssr_nb.records import RecordError, Target
from ssr_nb.settings import Probing, Stopping, TrainingSettings, check_watching
from ssr_nb.splits import same_prompt
from ssr_nb.stopping import Measured, Probed, best_of, kept_of, read_probes, why_stop
from ssr_nb.train import train

STEPS = dict(learning_rate=3e-3, batch_size=8, steps=8, checkpoint_every=3)
PROBING = Probing(every=2, general="microworld:general", limit=9)


@pytest.fixture(scope="module")
def lm():
    return load_model("microworld", backend="transformers", device="cpu")


@pytest.fixture(scope="module")
def targets():
    examples = target_examples(24, "train")
    return [Target(e.id, e.prompt, e.completion, "own" if i % 2 else "gold") for i, e in enumerate(examples)]


def the_probe(accuracy=False):
    validation = Suite("validation", target_examples(8, "validation"), "micro")
    return Probe(watched_sets(Probing(every=2, general="microworld:general", limit=9, accuracy=accuracy), validation=validation), 40)


@pytest.fixture(scope="module")
def probe():
    return the_probe()


def the_same(one, other, but=()):
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    records = [json.loads((folder / "training.json").read_text()) for folder in (one, other)]
    for record in records:
        for key in but:
            record.pop(key, None)
    assert records[0] == records[1]


# --- the training is the same with a probe and without one


@pytest.mark.parametrize("more, accuracy", [({"dropout": 0.2}, True), ({"loss": "soft"}, False), ({"beta": 0.5}, False),
                                            ({"loss": "dft", "accumulation": 2}, False), ({"loss": "opsd"}, False)],
                         ids=["dropout and answers", "soft", "kl", "dft", "on policy"])
def test_a_watched_training_is_the_training_without_a_watch(lm, targets, tmp_path, more, accuracy):
    settings = TrainingSettings(**STEPS | more)
    watch = Watch(the_probe(accuracy), PROBING, file=tmp_path / "probe.jsonl")
    for name, watches in (("alone", None), ("watched", watch)):
        remove_lora(train(targets, lm, tmp_path / name, settings, watch=watches, progress=False).lm)
    the_same(tmp_path / "alone", tmp_path / "watched", but=["probe"])
    assert "probe" not in json.loads((tmp_path / "alone" / "training.json").read_text())
    assert [row.step for row in read_probes(tmp_path / "probe.jsonl")] == [0, 2, 4, 6, 8]
    assert watch.rows[0].general.kl == 0 < watch.rows[-1].general.kl


def test_every_nth_step_and_the_last_are_probed(lm, targets, probe):
    watch = Watch(probe, Probing(every=3, general="microworld:general"))
    remove_lora(train(targets, lm, settings=TrainingSettings(**STEPS), watch=watch, progress=False).lm)
    assert [row.step for row in watch.rows] == [0, 3, 6, 8]


# --- a killed training goes on, and its probes with it


def dying_at(step, monkeypatch):
    whole = Trainer.training_step

    def dying(self, *arguments, **keywords):
        if self.state.global_step == step:
            raise KeyboardInterrupt
        return whole(self, *arguments, **keywords)

    monkeypatch.setattr(Trainer, "training_step", dying)


@pytest.mark.long
@pytest.mark.parametrize("stopping", [Stopping(), Stopping(patience=2), Stopping(may_lose=0.02), Stopping(may_lose=1e-9)],
                         ids=["no rule", "patience", "a budget", "nothing within the budget"])
@pytest.mark.parametrize("step", [2, 5, 7])
def test_a_killed_training_ends_as_one_that_was_not(lm, targets, probe, tmp_path, monkeypatch, stopping, step):
    settings = TrainingSettings(**STEPS | {"dropout": 0.1})

    def run(name):
        watch = Watch(probe, PROBING, stopping, tmp_path / f"{name}.jsonl")
        return remove_lora(train(targets, lm, tmp_path / name, settings, watch=watch, progress=False).lm)

    run("undisturbed")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        dying_at(step, patched)
        run("killed")
        raise KeyboardInterrupt  # it had ended by its rules before that step
    run("killed")
    the_same(tmp_path / "killed", tmp_path / "undisturbed")
    assert (tmp_path / "killed.jsonl").read_bytes() == (tmp_path / "undisturbed.jsonl").read_bytes()


def test_a_training_that_had_ended_and_was_killed_while_it_was_saved_takes_no_step_more(lm, targets, probe, tmp_path, monkeypatch):
    settings, stopping = TrainingSettings(**STEPS | {"checkpoint_every": 2}), Stopping(may_lose=1e-9)

    def run(name):
        return train(targets, lm, tmp_path / name, settings, watch=Watch(probe, PROBING, stopping), progress=False)

    remove_lora(run("undisturbed").lm)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("ssr_nb.train.save_trained", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        run("killed")
    assert (tmp_path / ".killed.checkpoints" / "checkpoint-2" / "probe.json").exists()
    with monkeypatch.context() as patched:
        dying_at(0, patched), dying_at(2, patched)
        remove_lora(run("killed").lm)
    the_same(tmp_path / "killed", tmp_path / "undisturbed")


@pytest.mark.parametrize("first, then", [(None, Probing(every=2)), (Probing(every=2), Probing(every=4))])
def test_a_checkpoint_that_was_watched_otherwise_is_not_gone_on_from(lm, targets, probe, tmp_path, monkeypatch, first, then):
    settings = TrainingSettings(**STEPS)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        dying_at(5, patched)
        train(targets, lm, tmp_path / "a", settings, watch=first and Watch(probe, first), progress=False)
    with pytest.raises(RecordError, match="another probe"):
        train(targets, lm, tmp_path / "a", settings, watch=Watch(probe, then), progress=False)


def test_other_rules_are_another_training(lm, targets, probe, tmp_path):
    settings = TrainingSettings(**STEPS)
    remove_lora(train(targets, lm, tmp_path / "a", settings, watch=Watch(probe, PROBING, Stopping(may_lose=9)), progress=False).lm)
    for other in (None, Watch(probe, PROBING), Watch(probe, PROBING, Stopping(may_lose=8))):
        with pytest.raises(ValueError, match="another run"):
            train(targets, lm, tmp_path / "a", settings, watch=other, progress=False)


# --- what is kept


def test_what_is_kept_is_the_adapter_of_that_step(lm, targets, probe, tmp_path):
    settings = TrainingSettings(**STEPS)
    free = Watch(probe, PROBING)
    remove_lora(train(targets, lm, settings=settings, watch=free, progress=False).lm)
    moved = {row.step: row.general.kl for row in free.rows}
    assert moved[4] > moved[2] > 0, "a budget between the two keeps step 2 and ends at step 4"
    watch = Watch(probe, PROBING, Stopping(may_lose=(moved[2] + moved[4]) / 2))
    trained = train(targets, lm, tmp_path / "a", settings, watch=watch, progress=False)
    after = probe.measure(trained.lm, 2)
    remove_lora(trained.lm)
    assert trained.probe["kept"] | {"why": ""} == {"step": 2, "ended": 4, "of": 8, "why": "", "validation": True}
    assert after == free.rows[1] and len(trained.losses) == 4


def probes(gold, moved, accuracy=None):
    return [Probed(10 * i, Measured(kl, 1.0, 9, 9, a), Measured(0.0, g, 9, 9, a)) for i, (g, kl, a) in
            enumerate(zip(gold, moved, accuracy or [None] * len(gold)))]


def test_accuracy_goes_before_the_surprise_of_gold():
    rows = probes([3, 2, 1], [0, 0.1, 0.2], [0.5, 0.9, 0.7])
    assert best_of(rows, Stopping(patience=1)).step == 10 and why_stop(rows, Stopping(patience=1)).endswith("since step 10")
    assert why_stop(rows, Stopping(may_lose_points=1)) == "" and best_of(probes([3, 3], [0, 0]), Stopping()).step == 0


@pytest.mark.parametrize("points, over", [(20, False), (19.9, True)])
def test_points_are_those_against_the_first_probe(points, over):
    rows = probes([3, 2], [0, 0.1], [0.9, 0.7])
    assert bool(why_stop(rows, Stopping(may_lose_points=points))) == over


def test_patience_of_one_waits_for_one_probe():
    assert why_stop(probes([3, 2], [0, 0]), Stopping(patience=1)) == ""
    assert "1 probe, since step 10" in why_stop(probes([3, 2, 2], [0, 0, 0]), Stopping(patience=1))


def test_without_validation_the_last_within_the_budget_is_kept():
    rows = [Probed(r.step, r.general) for r in probes([1, 1, 1], [0, 0.1, 0.3])]
    assert best_of(rows, Stopping(may_lose=0.2)).step == 10
    assert "the last within" in str(kept_of(rows, Stopping(may_lose=0.2), 40))


# --- what is refused


@pytest.mark.parametrize("wrong, named", [
    (lambda: Probing(limit=3), "every=0"), (lambda: Probing(general="facts"), "every=0"), (lambda: Probing(every=0.5), "whole number"),
    (lambda: Stopping(patience=0), "patience"), (lambda: Stopping(may_lose_points=101), "at most 100"),
    (lambda: check_watching(Probing(), Stopping(patience=1)), "probe.every"),
    (lambda: check_watching(Probing(every=2), Stopping(may_lose_points=1)), "probe.accuracy"),
    (lambda: watched_sets(Probing(every=2)), "--probe-general"),
    (lambda: source_of("{task: facts, splits: test}", "probe.general"), "did you mean 'split'"),
    (lambda: source_of(["facts"], "probe.general"), "probe.general"),
    (lambda: Watch(Probe(watched_sets(PROBING)), PROBING, Stopping(patience=1)), "probe.validation"),
])
def test_what_makes_no_sense_is_refused_with_its_name(wrong, named):
    with pytest.raises(ValueError, match=named):
        wrong()


def test_items_of_training_and_test_are_left_out():
    source = source_of("microworld:general", "probe.general")
    taken = frozenset(map(same_prompt, source.load("validation")[::2]))
    assert not taken & set(map(same_prompt, probe_items(source, 400, taken)))


@pytest.mark.parametrize("line", ['{"step": true}', '{"step": 2, "genral": {}}', '[1]', '{"step": 2, "general": {"kl": 1}}',
                                  '{"step": 2, "general": {"kl": NaN, "gold": 1, "kl_tokens": 1, "gold_tokens": 1}}'])
def test_a_line_that_no_probe_wrote_is_named(tmp_path, line):
    (tmp_path / "probe.jsonl").write_text('{"step": 0}\n' + line + "\n")
    with pytest.raises(RecordError, match="line 2"):
        read_probes(tmp_path / "probe.jsonl")
