"""Methods whose data come from the model itself: replay of prompts that it wrote, a second try with gold as a guide, and own
answers that are made anew while it trains."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssr_nb.adapters import remove_lora
from ssr_nb.chat import special_ids, stop_ids
from ssr_nb.compare import compare
from ssr_nb.comparison import Comparison, not_tested
from ssr_nb.methods import apply_method, empty_turn, gather_answers, renewal_of, write_prompts
from ssr_nb.models import load_model
from ssr_nb.records import Example, Response, Target, Verdict, read_json, read_records
from ssr_nb.rehearse import METHODS, Method, beyond_rules, own_else_gold, rehearse
from ssr_nb.settings import TrainingSettings
from ssr_nb.train import train
from tiny_model import make_tiny_model

TARGETS = [Target(f"q{i}", f"ba{'' if i % 2 else ' de'} fel", "gu mo" + " ra" * i, "gold") for i in range(4)]
EXAMPLES = [Example(f"{t.prompt} ka{' ka' * i}", t.completion, id=t.id) for i, t in enumerate(TARGETS)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    torch.set_num_threads(1)
    return load_model(str(make_tiny_model(tmp_path_factory.mktemp("tiny"))), backend="transformers", device="cpu")


def test_a_models_own_prompts_are_whole_different_and_always_the_same(tiny):
    written = write_prompts(tiny, 8, most=24)
    assert written and len({e.prompt for e in written}) == len(written) <= 8 and len({e.id for e in written}) == len(written)
    assert write_prompts(tiny, 8, most=24) == written
    assert all(e.prompt.strip() == e.prompt != "" and "<" not in e.prompt for e in written), "no special token in them"
    assert tiny.tokenizer.decode(empty_turn(tiny.tokenizer)) == "<bos> <user>"
    assert not any(token in stop_ids(tiny) for token in empty_turn(tiny.tokenizer))


def test_a_template_without_the_users_words_is_refused(tiny):
    template = tiny.tokenizer.chat_template
    try:
        tiny.tokenizer.chat_template = template.replace("{{ message['content'] }}{% endif %}", "hello{% endif %}")
        with pytest.raises(ValueError, match="found the user's words 0 times in what the chat template makes; expected them once"):
            empty_turn(tiny.tokenizer)
    finally:
        tiny.tokenizer.chat_template = template


def test_prompts_that_are_tested_are_not_replayed():
    written = [Example(text, "", id=f"self-{i}") for i, text in enumerate(("what is it", "where is it"))]
    assert not_tested(written, [Example("what is it", "a lamp", id="t")], []) == written[1:]


def test_self_replay_stands_beside_replay_of_given_prompts(tiny, tmp_path):
    general = [Example(f"bo {word}", "", id=word) for word in ("de", "fel", "ka", "mo", "ra", "gu", "be", "di", "ge", "ki")]
    marks = torch.tensor(sorted(special_ids(tiny.tokenizer) - set(stop_ids(tiny))))  # a random model would say them within an answer
    hook = tiny.model.get_output_embeddings().register_forward_hook(lambda layer, given, found: found.index_fill(-1, marks, -1e4))
    answers = gather_answers(["self-replay", "replay"], EXAMPLES, tiny, "contains", max_new_tokens=24, replay_prompts=general,
                             folder=tmp_path, progress=False)
    hook.remove()
    prompts = {}
    for name in ("self-replay", "replay"):
        applied = apply_method(name, EXAMPLES, answers, tiny)
        assert applied.mix.sources == {"gold": 4, "replay": 1}, "a fifth of the rows"
        prompts[name] = [t.prompt for t in applied.targets if t.source == "replay"]
    written = {e.prompt for e in read_records(tmp_path / "self-replay-examples.jsonl", Example)}
    assert prompts["self-replay"][0] in written and prompts["replay"][0] in {e.prompt for e in general}
    assert beyond_rules(METHODS["self-replay"]) == {"rows of replay": "ssr rehearse --model"}


def test_guided_takes_own_then_the_second_try_then_gold():
    said = [Response(e.id, f"own {e.id}") for e in EXAMPLES]
    own = said, [Verdict("q0", "correct"), *(Verdict(e.id, "incorrect") for e in EXAMPLES[1:])]
    again = [Response(e.id, text) for e, text in zip(EXAMPLES, ("second", "second", "wrong", "as the given answer says , second"))]
    judged = again, [Verdict(e.id, "incorrect" if e.id == "q2" else "correct") for e in EXAMPLES]
    targets = rehearse(EXAMPLES, *own, "guided", rewrites=judged)
    assert [(t.completion, t.source) for t in targets] == [
        ("own q0", "own"), ("second", "paraphrase"), (EXAMPLES[2].completion, "gold"), (EXAMPLES[3].completion, "gold")]


def lengthened(seen):
    "Targets that get longer by a word each time they are made anew."
    def renew(tuned, folder):
        seen.append(folder.name)
        return [replace(t, completion=t.completion + " di" * (int(folder.name.removeprefix("round-")) // 3), source="own") for t in TARGETS]
    return renew


def test_rounds_go_on_after_a_kill_and_end_with_the_same_bytes(tiny, tmp_path, monkeypatch):
    from transformers import Trainer

    settings, seen = TrainingSettings(steps=7, batch_size=2, learning_rate=1e-2, renew=3, checkpoint_every=2), []
    whole = train(TARGETS, tiny, tmp_path / "whole", settings, renewal=lengthened(seen), progress=False)
    remove_lora(whole.lm)
    assert seen == ["round-3", "round-6"] and len(whole.losses) == 7
    step = Trainer.training_step

    def dies(self, *arguments, **keywords):
        if self.state.global_step == 5:
            raise KeyboardInterrupt
        return step(self, *arguments, **keywords)

    monkeypatch.setattr(Trainer, "training_step", dies)
    with pytest.raises(KeyboardInterrupt):
        train(TARGETS, tiny, tmp_path / "killed", settings, renewal=lengthened([]), progress=False)
    monkeypatch.setattr(Trainer, "training_step", step)
    assert {p.name for p in (tmp_path / ".killed.checkpoints").iterdir()} >= {"checkpoint-3", "checkpoint-4", "round-3"}
    seen.clear()
    remove_lora(train(TARGETS, tiny, tmp_path / "killed", settings, renewal=lengthened(seen), progress=False).lm)
    assert seen == ["round-6"], "the round that was killed has its targets already"
    for file in ("adapter_model.safetensors", "training.json"):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes(), file


def test_rounds_whose_targets_stay_the_same_change_nothing(tiny):
    settings, losses = TrainingSettings(steps=5, batch_size=2, learning_rate=1e-2), []
    for renew in (0, 2):
        trained = train(TARGETS, tiny, settings=replace(settings, renew=renew), renewal=lambda lm, folder: TARGETS, progress=False)
        losses.append(trained.losses)
        remove_lora(trained.lm)
    assert losses[0] == losses[1]


def test_rounds_are_refused_where_targets_cannot_be_made_anew(tiny):
    settings = TrainingSettings(steps=2, batch_size=2, renew=1)
    with pytest.raises(ValueError, match="found renew=1 without a renewal"):
        train(TARGETS, tiny, settings=settings, progress=False)
    with pytest.raises(ValueError, match="found 3 targets made anew; expected one for each of the 4 before"):
        train(TARGETS, tiny, settings=settings, renewal=lambda lm, folder: TARGETS[1:], progress=False)
    with pytest.raises(ValueError, match="method 'mine': found renew=0.5"):
        Method("mine", own_else_gold, needs=("responses", "samples"), renew=0.5)


def test_a_renewal_answers_and_judges_with_the_model_as_it_is(tiny, tmp_path):
    made = renewal_of("ssr-iterative", EXAMPLES, "contains", 8)(tiny, tmp_path)
    said = read_records(tmp_path / "responses.jsonl", Response)
    assert [t.id for t in made] == [e.id for e in EXAMPLES] == [r.id for r in said]
    assert len(read_records(tmp_path / "verdicts.jsonl", Verdict)) == 4


@pytest.mark.long
def test_they_run_through_a_comparison_with_two_workers(tmp_path):
    METHODS.add(replace(METHODS.named("ssr-iterative"), name="soon", renew=0.7))
    names = ["guided", "self-replay", "soon"]
    summary = compare(Comparison(methods=names, learning_rates=[1e-3], seeds=[0], backend="transformers", threads=1, workers=2,
                                 items={"train": 16, "validation": 2, "target": 2, "shift": 2, "general": 1}, resamples=20,
                                 training={"steps": 3, "batch_size": 4}), Path(tmp_path), say=lambda line: None)
    assert [arm["method"] for arm in summary["arms"]] == ["base", *names]
    assert summary["mixes"]["self-replay"]["sources"] == {"gold": 16, "replay": 4}
    record = read_json(tmp_path / "arms" / "soon-0.001-0" / "adapter" / "training.json")
    assert record["settings"]["renew"] == 2 and len(record["losses"]) == 3
