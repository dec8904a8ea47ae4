"""Every row of the table of methods: its targets on records made by hand, its mask,
its loss against the formula, its scaling."""

import json
import math
import tempfile
from contextlib import nullcontext
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch

from ssr_nb.compare import arm_folder, compare
from ssr_nb.comparison import Comparison, check, load_data, read_comparison, replay_prompts, row_of, trained_as
from ssr_nb.losses import IGNORED, LOSSES, PRIVATE, Loss, asked_by, forward_kept, kl_to_base, one_pass_loss, private
from ssr_nb.methods import (Answers, add_replay, apply_method, gather_answers, make_targets, mask_surprising,
                            own_answers, prepare_training, replay_count, replay_targets, reword, settings_for, weigh_rows)
from ssr_nb.tasks import REWORDINGS, Rewording
from ssr_nb.microworld import general_examples, in_your_own_words, target_examples
from ssr_nb.adapters import add_lora, load_adapter, remove_lora, save_adapter, scale_adapter
from ssr_nb.models import load_model, unsloth_obstacle
from ssr_nb.options import flag_of
from ssr_nb.records import Example, Response, Target, Verdict, read_records, write_records
from ssr_nb.rehearse import METHODS, Method, beyond_rules, method_named, mix, rehearse, rule_targets, talks_of_reference
from ssr_nb.respond import completion_logprobs, respond
from ssr_nb.splits import same_prompt
from ssr_nb.settings import TrainingSettings
from ssr_nb.train import COMPLETE, LATER, EpochOrder, TooLong, _trainer, encode, encode_all, mark_of, train

EXAMPLES = [Example(f"where is thing {i} ?", f"gold {i}", id=f"q{i}") for i in range(5)]
#            own right   own wrong, paraphrase right   nothing right   rewrite talks of gold   cut off
OWN = [Response("q0", "own 0", logprob=-9.0), Response("q1", "no", logprob=-1.0), Response("q2", "no", logprob=-1.0),
       Response("q3", "no", logprob=-1.0), Response("q4", "own", "length", logprob=-1.0)]
OWN_VERDICTS = [Verdict("q0", "correct")] + [Verdict(f"q{i}", "incorrect")
                                             for i in (1, 2, 3)] + [Verdict("q4", "rejected")]
REWORDED = [Response("q0", "words 0"), Response("q1", "words 1"), Response("q2", "nonsense"),
            Response("q3", "as the given answer says , words 3"), Response("q4", "words 4")]
REWORDED_VERDICTS = [Verdict(f"q{i}", "incorrect" if i == 2 else "correct") for i in range(5)]


def answers(**more):
    judged = REWORDED, REWORDED_VERDICTS
    return Answers(**({"responses": (OWN, OWN_VERDICTS), "samples": ([], []), "paraphrases": judged, "rewrites": judged}
                      | more))


def made_by(method):
    return make_targets(method, EXAMPLES, answers(replay=[Target(f"r{i}", "?", "!", "replay") for i in range(9)]))


@pytest.fixture(scope="module")
def base():
    torch.set_num_threads(1)
    return load_model("microworld", backend="transformers")


@pytest.fixture(scope="module")
def golds():
    return [Target(e.id, e.prompt, e.completion, "gold", e.extra) for e in target_examples(32, "train")]


def logits_of(lm, target):
    ids = torch.tensor([encode(target, lm.tokenizer)["input_ids"]])
    with torch.no_grad():
        return lm.model.eval()(input_ids=ids, use_cache=False).logits[0]


@pytest.mark.parametrize("method, completions, sources", [
    ("sft", ["gold 0", "gold 1", "gold 2", "gold 3", "gold 4"], "ggggg"),
    ("ssr", ["own 0", "gold 1", "gold 2", "gold 3", "gold 4"], "ogggg"),
    ("rft", ["own 0"], "o"),
    ("s3ft", ["own 0", "words 1", "gold 2", "gold 3", "words 4"], "opggp"),
    ("sdft", ["words 0", "words 1", "gold 2", "gold 3", "words 4"], "ppggp"),
    ("guided", ["own 0", "words 1", "gold 2", "gold 3", "words 4"], "opggp"),
    ("own-style", ["words 0", "words 1", "words 4"], "ppp"),
    ("gold-where-wrong", ["gold 1", "gold 2", "gold 3", "gold 4"], "gggg"),
    ("ours", ["own 0", "gold 1", "gold 2", "gold 3", "gold 4"], "ogggg"),
])
def test_the_targets_of_a_rule(method, completions, sources):
    targets = made_by(method)
    assert [t.completion for t in targets] == completions
    assert "".join(t.source[0] for t in targets) == sources
    found = mix(EXAMPLES, targets, OWN, OWN_VERDICTS)
    assert sum(found.sources.values()) + found.dropped == len(EXAMPLES), "own + paraphrase + gold (+ dropped) = all"


def test_the_three_shares_of_s3ft_are_printed():
    assert str(mix(EXAMPLES, made_by("s3ft"))) == "5 examples: own 1 (20%), paraphrase 2 (40%), gold 2 (40%)"


@pytest.mark.parametrize("name", METHODS)
def test_every_row_of_the_table_makes_targets_or_says_what_it_lacks(name):
    row = METHODS[name]
    assert made_by(name)
    needed = [*row.needs, *["replay"] * bool(row.replay), *["lm"] * (row.mask_above is not None or row.weighs)]
    for need in needed:
        lacking = answers(**{"replay": []} | ({} if need == "lm" else {need: None}))
        with pytest.raises(ValueError, match=f"found no {need} for method '{name}'; expected"):
            apply_method(name, EXAMPLES, lacking, lm=None if need == "lm" else "a model")
    if needed:
        with pytest.raises(ValueError, match=f"found no {' and no '.join(needed)} for method '{name}'"):
            apply_method(name, EXAMPLES, Answers())


@pytest.mark.parametrize("name, lacks, where", [
    ("replay", "rows of replay", "--replay-examples"), ("stm", "a mask drawn by the base model", "ssr train --method stm"),
    ("flow", "rows weighed by the base model", "ssr train --method flow"), ("self-replay", "rows of replay", "apply_method"),
    ("ours", "a mask drawn by the base model", "ssr train --method ours"), ("replay-kl", "rows of replay", "apply_method")])
def test_rehearse_refuses_what_a_rule_alone_does_not_complete(name, lacks, where):
    "Its targets would be supervised fine-tuning's under another name."
    with pytest.raises(ValueError, match=f"method '{name}', which needs {lacks}.*{where}"):
        rehearse(EXAMPLES, OWN, OWN_VERDICTS, name)


def test_rehearse_makes_the_targets_of_all_others():
    judged = REWORDED, REWORDED_VERDICTS
    for name, row in METHODS.items():
        if not beyond_rules(row):
            assert rehearse(EXAMPLES, OWN, OWN_VERDICTS, name, paraphrases=judged, rewrites=judged) == made_by(name)


def test_ours_takes_the_likeliest_right_answer_and_not_the_likeliest():
    said = [Response("q0", text, logprob=p, extra={"sample": i})
               for i, (text, p) in enumerate([("right, odd", -7.0), ("right, likely", -2.0), ("wrong", -0.1)])]
    verdicts = [Verdict("q0", label, extra={"sample": i})
                for i, label in enumerate(["correct", "correct", "incorrect"])]
    assert rule_targets(METHODS["ours"], EXAMPLES[:1], (said, verdicts))[0].completion == "right, likely"
    assert rehearse(EXAMPLES[:1], said, verdicts, "ssr")[0].completion == "right, odd"
    said[1] = replace(said[1], logprob=None)
    with pytest.raises(ValueError, match="'q0', sample 1: found no logprob"):
        rule_targets(METHODS["ours"], EXAMPLES[:1], (said, verdicts))


@pytest.mark.parametrize("text", ["As the reference answer says, Paris.", "The given answer is Paris.",
                                  "Paris, as provided.", "Rephrased: it is Paris.", "Your reference is right: Paris.",
                                  "Here it is in my own words: Paris."])
def test_talk_of_the_reference_is_found(text):
    assert talks_of_reference(text)


@pytest.mark.parametrize("text", ["Paris.", "The correct answer is Paris.", "It is Paris, as given in the passage.",
                                  "the passage says that mira keeps the lamp in the attic .",
                                  "The answer is 5.", "He gave an example."])
def test_plain_answers_are_not_taken_for_talk_of_the_reference(text):
    assert not talks_of_reference(text)


def test_words_of_the_prompt_are_no_talk_of_the_reference():
    assert not talks_of_reference("The sample solution boils.",
                                  prompt="What does the sample solution do at 90 degrees?")


def test_rewording_keeps_ids_and_earlier_turns():
    chat = Example([{"role": "system", "content": "{gold}"}, {"role": "user", "content": "Where is {it}?"}],
                   "attic {prompt}", id="c")
    asked = reword([chat], "{prompt} | {gold}")[0]
    assert asked.id == "c" and asked.prompt == [{"role": "system", "content": "{gold}"},
                                                {"role": "user", "content": "Where is {it}? | attic {prompt}"}]
    example = target_examples(1, "train")[0]
    assert reword([example],
                  REWORDINGS["micro"].paraphrase)[0].prompt == in_your_own_words(example.prompt, example.completion)
    with pytest.raises(ValueError, match="rewrite"):
        Rewording("{prompt} {gold}", "{prompt}", "{prompt} {gold}")


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_replay_is_the_share_it_is_said_to_be(share):
    general = [Example(f"general {i}", "?", id=f"g{i}") for i in range(100)]
    replay = replay_targets(general, [Response(e.id, f"said {e.id}", "length" if e.id == "g7" else "stop")
                                      for e in general])
    assert len(replay) == 99 and all(t.source == "replay" for t in replay), "what was cut off is left out"
    golds = [Target(f"q{i}", "p", "c", "gold") for i in range(60)]
    mixed = add_replay(golds, replay, share)
    assert mixed[:60] == golds and len({t.id for t in mixed}) == len(mixed)
    assert abs(sum(t.source == "replay" for t in mixed) / len(mixed) - share) < 0.01
    with pytest.raises(ValueError, match="found 99 rows of replay; expected 540"):
        add_replay(golds, replay, 0.9)


def test_the_mask_takes_just_the_surprising_tokens_of_gold(base, golds):
    own = replace(golds[0], id="own", source="own")
    for above in (2.5, 20.0):
        masked = mask_surprising(golds + [own], base, above)
        assert "masked" not in masked[-1].extra, "own answers keep every token"
        for target, logprobs in zip(masked, completion_logprobs(base, [(t.prompt, t.completion) for t in golds])):
            surprising = [i for i, p in enumerate(logprobs.tolist()) if math.exp(-p) > above]
            assert target.extra["masked"] == surprising and target.extra["tokens"] == len(logprobs)
            row, plain = encode(target, base.tokenizer), encode(replace(target, extra={}), base.tokenizer)
            begins = next(i for i, label in enumerate(plain["labels"]) if label != IGNORED)
            assert row["input_ids"] == plain["input_ids"], "masked tokens are still read"
            assert [i - begins for i, (a, b) in enumerate(zip(row["labels"], plain["labels"])) if a != b] == surprising
    found = mix([Example(t.prompt, t.completion, id=t.id) for t in golds], masked[:-1])
    assert (found.masked_tokens == sum(len(t.extra["masked"]) for t in masked[:-1])
            and f"{found.silent} targets have no loss at all" in str(found))
    assert mask_surprising(masked, base, 2.5) == masked, "a mask that is there already stays"


def by_token(logits, labels):
    return torch.nn.functional.cross_entropy(logits, labels, reduction="none")


def at_once(logits, labels):
    return torch.nn.functional.cross_entropy(logits, labels)


def softly(logits, labels, base_logits, own):
    before, after = base_logits.log_softmax(-1), logits.log_softmax(-1)
    return torch.where(own, (before.exp() * (before - after)).sum(-1), by_token(logits, labels))


@pytest.fixture
def own_losses():
    "Three losses of a user's own, which are those of the package in other words."
    for function in (by_token, at_once, softly):
        LOSSES.add(Loss(function.__name__, "mine", token_loss=function))
    yield
    for function in (by_token, at_once, softly):
        del LOSSES[function.__name__]


@pytest.mark.long
def test_a_batch_without_a_loss_is_worth_nothing_and_not_nan(base, golds, own_losses):
    silent = [replace(t, extra={"masked": list(range(50)), "tokens": 50}) for t in golds[:4]]
    for loss, beta in (("nll", 0.0), ("dft", 0.0), ("soft", 0.0), ("nll", 1.0), ("dft", 1.0), ("at_once", 0.0), ("softly", 1.0)):
        settings = TrainingSettings(loss=loss, beta=beta, batch_size=4)
        lm = add_lora(base)
        with tempfile.TemporaryDirectory() as folder, forward_kept(lm.model):
            trainer = _trainer(lm, silent, encode_all(silent, lm.tokenizer, 2048), settings, Path(folder), False)
            batch = next(iter(trainer.get_train_dataloader()))
            # the trainer's own log would hide a NaN, so the loss itself is looked at
            assert [float(trainer.compute_loss(lm.model, dict(batch), num_items_in_batch=n).detach())
                    for n in (torch.tensor(0), None)] == [0.0, 0.0]
        remove_lora(lm)
        trained = train(silent * 3 + golds[4:5], base, settings=TrainingSettings(
            learning_rate=1e-3, epochs=1, batch_size=1, loss=loss, beta=beta), progress=False)
        weights = [p for n, p in trained.lm.model.named_parameters() if "lora_B" in n]
        assert (all(math.isfinite(x) for x in trained.losses) and sum(x == 0 for x in trained.losses) == 12
                and all(w.isfinite().all() for w in weights))
        assert any(w.abs().sum() > 0 for w in weights), "the one row with a loss was learnt"
        remove_lora(trained.lm)
    with pytest.raises(ValueError, match="not a token that carries a loss"):
        train(silent, base, progress=False)


def test_dft_is_its_formula(base, golds):
    logprobs = torch.cat(completion_logprobs(base, [(t.prompt, t.completion) for t in golds[:16]]))
    trained = train(golds[:16], base, settings=TrainingSettings(steps=1, loss="dft"), progress=False)
    assert math.isclose(trained.losses[0], -(logprobs.exp() * logprobs).mean(), rel_tol=1e-4)
    remove_lora(trained.lm)


def test_kl_is_zero_before_the_first_step(base, golds):
    losses = {}
    for beta in (0.0, 2.0):
        trained = train(golds, base, settings=TrainingSettings(
            learning_rate=3e-3, steps=8, batch_size=16, warmup=0, beta=beta), progress=False)
        losses[beta] = trained.losses
        remove_lora(trained.lm)
    assert math.isclose(losses[0.0][0], losses[2.0][0], rel_tol=1e-5)
    assert losses[2.0][-1] > losses[0.0][-1] + 0.1, "afterwards it holds the loss up"


def test_kl_against_a_hand_computation(base, golds):
    before = [logits_of(base, t) for t in golds[:2]]
    lm = add_lora(base, seed=3)
    try:
        for name, weight in lm.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.05, generator=torch.Generator().manual_seed(0))
        for target, base_logits in zip(golds, before):
            row = encode(target, base.tokenizer)
            inputs = {"input_ids": torch.tensor([row["input_ids"]]),
                      "attention_mask": torch.ones(1, len(row["input_ids"]), dtype=torch.long)}
            learnt = torch.tensor([row["labels"]]) != IGNORED
            tuned = logits_of(lm, target)
            by_hand = 0.0
            for place in range(1, len(row["labels"])):
                if row["labels"][place] != IGNORED:
                    p, q = base_logits[place - 1].double().softmax(-1), tuned[place - 1].double().softmax(-1)
                    by_hand += float((p * (p / q).log()).sum())
            found = float(kl_to_base(lm.model, inputs, learnt)(lm.model(**inputs).logits).detach())
            assert by_hand > 0.01 and math.isclose(found, by_hand, rel_tol=1e-3)
        assert torch.equal(logits_of(lm, golds[1]), tuned), "the adapter is on again"
    finally:
        remove_lora(lm)


def test_soft_labels_are_cross_entropy_on_gold_and_kl_on_own_answers(base, golds):
    """Each token of the batch counts once, whichever of the two it carries; with an adapter that moved something, against
    a computation by hand."""
    own = [replace(golds[i], source=source) for i, source in ((0, "own"), (2, "replay"))]
    targets = [own[0], golds[1], own[1], replace(golds[3], source="paraphrase")]
    before = [logits_of(base, t) for t in targets]
    lm = add_lora(base, seed=3)
    try:
        for name, weight in lm.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.05, generator=torch.Generator().manual_seed(0))
        by_hand = {0.0: 0.0, 2.0: 0.0}
        tokens = 0
        for target, base_logits in zip(targets, before):
            row, tuned = encode(target, base.tokenizer), logits_of(lm, target)
            for place in range(1, len(row["labels"])):
                if row["labels"][place] == IGNORED:
                    continue
                p, q = base_logits[place - 1].double().softmax(-1), tuned[place - 1].double().softmax(-1)
                kl, tokens = float((p * (p / q).log()).sum()), tokens + 1
                soft = target.source in ("own", "replay")
                for beta in by_hand:
                    by_hand[beta] += beta * kl + (kl if soft else -float(q[row["labels"][place]].log()))
        for beta, expected in by_hand.items():
            with tempfile.TemporaryDirectory() as folder, forward_kept(lm.model):
                trainer = _trainer(lm, targets, encode_all(targets, lm.tokenizer, 2048), TrainingSettings(
                    loss="soft", beta=beta, batch_size=4), Path(folder), False)
                found = float(trainer.compute_loss(lm.model, dict(next(iter(trainer.get_train_dataloader())))).detach())
            assert expected > 0.1 and math.isclose(found, expected / tokens, rel_tol=1e-3)
    finally:
        remove_lora(lm)


def test_soft_labels_of_own_answers_alone_pull_at_nothing(base, golds):
    asked = [Example(t.prompt, t.completion, id=t.id) for t in golds[:16]]
    own = [replace(t, completion=r.response, source="own")
           for t, r in zip(golds, respond(asked, base, max_new_tokens=40, progress=False))]
    losses = {}
    for loss in ("nll", "soft"):
        trained = train(own, base, settings=TrainingSettings(
            learning_rate=1e-3, steps=6, batch_size=16, warmup=0, loss=loss), progress=False)
        losses[loss] = trained.losses
        remove_lora(trained.lm)
    assert losses["soft"][0] == pytest.approx(0, abs=1e-6) and losses["soft"][-1] < 0.01 and max(losses["soft"]) < 0.02, (
        "base and tuned are one; Adam makes a small step of rounding errors, which the KL takes back")
    assert losses["nll"][-1] < losses["nll"][0] - 0.01, "cross-entropy on the same answers sharpens them"


def test_the_ends_of_the_slider_are_base_and_tuned(base, golds, tmp_path):
    plain = logits_of(base, golds[0])
    trained = train(golds, base, settings=TrainingSettings(learning_rate=3e-3, steps=4), progress=False)
    tuned = logits_of(trained.lm, golds[0])
    half = logits_of(scale_adapter(trained.lm, 0.5), golds[0])
    save_adapter(trained.lm, tmp_path / "half")
    assert torch.equal(logits_of(scale_adapter(trained.lm, 0), golds[0]), plain)
    assert (torch.equal(logits_of(scale_adapter(trained.lm, 1), golds[0]), tuned)
            and not torch.allclose(half, tuned, atol=1e-3))
    remove_lora(trained.lm)
    loaded = load_adapter(base, tmp_path / "half")
    assert torch.equal(logits_of(loaded, golds[0]), half), "what is saved has the factor in it"
    remove_lora(loaded)


def test_a_scaled_training_is_found_finished_and_not_scaled_twice(base, golds, tmp_path):
    settings = settings_for(METHODS["wise"], TrainingSettings(learning_rate=3e-3, steps=3))
    answers = []
    for _ in range(2):
        trained = train(golds, base, tmp_path / "wise", settings, progress=False)
        answers.append(logits_of(trained.lm, golds[0]))
        remove_lora(trained.lm)
    assert torch.equal(*answers)


def test_self_distillation_moves_the_adapter_and_never_the_base(base, golds):
    before = {n: p.clone() for n, p in base.model.named_parameters()}
    settings = settings_for(METHODS["opsd"], TrainingSettings(
        learning_rate=1e-3, steps=1, warmup=0, teacher_prompt=REWORDINGS["micro"].teacher, sample_tokens=12))
    trained = train(golds[:16], base, settings=settings, progress=False)
    assert trained.losses[0] > 0 and any(p.abs().sum() > 0 for n, p in trained.lm.model.named_parameters()
                                         if "lora_B" in n)
    base = remove_lora(trained.lm)
    assert all(torch.equal(p, before[n]) for n, p in base.model.named_parameters())


@pytest.mark.parametrize("own, package, beta", [("by_token", "nll", 0.0), ("at_once", "nll", 0.0), ("by_token", "nll", 0.5),
                                                ("softly", "soft", 0.0), ("softly", "soft", 0.5)])
def test_a_loss_of_ones_own_is_counted_as_the_packages_are(base, golds, own_losses, own, package, beta):
    "Over rows of different lengths, several forward passes a step, and an epoch that ends with a part of a batch."
    targets = [replace(t, source="own" if i % 3 == 0 else "gold") for i, t in enumerate(golds[:22])]
    found = {}
    for loss in (own, package):
        trained = train(targets, base, settings=TrainingSettings(
            learning_rate=3e-3, steps=5, batch_size=4, accumulation=2, warmup=0, loss=loss, beta=beta), progress=False)
        found[loss] = trained.losses
        remove_lora(trained.lm)
    if own == "at_once":  # the mean of each forward pass is all that it says: the steps' own means differ a little
        assert found[own][0] == pytest.approx(found[package][0], rel=1e-4)
    assert found[own] == pytest.approx(found[package], rel=1e-3)


def test_a_loss_asks_for_what_there_is():
    assert [asked_by(f) for f in (by_token, softly, None)] == [set(), {"base_logits", "own"}, set()]
    with pytest.raises(ValueError, match="loss 'mine': found the parameter 'rows' of its function; expected logits, labels "
                       "and, if it needs them, base_logits, own or row_weight"):
        Loss("mine", "", token_loss=lambda logits, labels, rows: 0)
    Loss("mine", "", token_loss=lambda logits, labels, gamma=2.0: 0)


def test_a_plug_in_adds_a_loss_and_a_method_that_has_it(tmp_path):
    from ssr_nb.tables import load_plugins

    (tmp_path / "mine.py").write_text("""
from dataclasses import replace
from ssr_nb.losses import LOSSES, Loss
from ssr_nb.rehearse import METHODS
def focal(logits, labels):
    log_p = logits.log_softmax(-1).gather(-1, labels[:, None])[:, 0]
    return -(1 - log_p.exp()) ** 2 * log_p
LOSSES.add(Loss("focal", "the focal loss", "1708.02002", token_loss=focal))
METHODS.add(replace(METHODS["ssr"], name="ssr+focal", loss="focal"))
""")
    load_plugins([str(tmp_path / "mine.py")])
    try:
        assert settings_for(method_named("ssr+focal"), TrainingSettings()).loss == "focal"
    finally:
        del LOSSES["focal"], METHODS["ssr+focal"]
    with pytest.raises(ValueError, match="found loss 'focall'; expected one of nll, dft, soft, opsd"):
        TrainingSettings(loss="focall")


@pytest.mark.parametrize("loss, beta, told_as", [("nll", 0.0, "chunked_nll"), ("nll", 0.5, "nll"), ("soft", 0.0, "nll"),
                                                 ("dft", 0.0, "dft"), ("by_token", 0.0, "nll")])
def test_a_base_is_given_back_with_its_own_forward(base, golds, own_losses, tmp_path, monkeypatch, loss, beta, told_as):
    "TRL replaces `forward` for cross-entropy; the base serves the next arm, answers and is judged."
    from transformers import Trainer

    before, own = logits_of(base, golds[0]), vars(base.model).get("forward")
    said = respond([Example(t.prompt, t.completion, id=t.id) for t in golds[:2]], base, max_new_tokens=12, progress=False)
    settings, seen, step = TrainingSettings(steps=2, batch_size=4, loss=loss, beta=beta), [], Trainer.training_step

    def noting(self, *arguments, **keywords):
        seen.append((self.args.loss_type, "forward" in vars(base.model)))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return step(self, *arguments, **keywords)

    monkeypatch.setattr(Trainer, "training_step", noting)
    with pytest.raises(KeyboardInterrupt):
        train(golds, base, settings=settings, progress=False)
    for _ in range(2):
        assert vars(base.model).get("forward") is own is None
        assert torch.equal(logits_of(base, golds[0]), before)
        trained = train(golds, base, settings=settings, progress=False)
        assert vars(base.model).get("forward") is None, "the tuned model answers through its own forward too"
        remove_lora(trained.lm)
    assert set(seen) == {(told_as, told_as == "chunked_nll")}
    assert respond([Example(t.prompt, t.completion, id=t.id) for t in golds[:2]], base, max_new_tokens=12,
                   progress=False) == said


@pytest.mark.parametrize("divisor, told_as", [(1.0, "chunked_nll"), (8.0, "nll")])
def test_a_model_that_does_more_with_its_logits_than_trl_knows_keeps_its_own_loss(base, golds, tmp_path, divisor, told_as):
    from transformers import GraniteConfig, GraniteForCausalLM

    torch.manual_seed(0)
    granite = GraniteForCausalLM(GraniteConfig(
        vocab_size=len(base.tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.3, logits_scaling=divisor)).requires_grad_(False).eval()
    lm = replace(base, model=granite, name="granite")
    logprobs = torch.cat(completion_logprobs(lm, [(t.prompt, t.completion) for t in golds[:8]]))
    tuned = add_lora(lm)
    with forward_kept(tuned.model):
        trainer = _trainer(tuned, golds, encode_all(golds, lm.tokenizer, 2048), TrainingSettings(steps=1), tmp_path, False)
    assert trainer.args.loss_type == told_as
    remove_lora(tuned)
    trained = train(golds[:8], lm, settings=TrainingSettings(steps=1, batch_size=8), progress=False)
    assert trained.losses[0] == pytest.approx(-float(logprobs.mean()), rel=1e-4)


@pytest.mark.parametrize("loss, beta", [("nll", 0.0), ("nll", 0.5), ("dft", 0.0), ("dft", 0.5), ("soft", 0.0), ("soft", 0.5),
                                        ("at_once", 0.0), ("softly", 0.0), ("softly", 0.5)])
def test_logits_of_the_completion_alone_teach_the_same(base, golds, own_losses, monkeypatch, loss, beta):
    "Every loss with and without the logits of prompt and padding; rows without a learnt token among them."
    targets = [replace(t, source="own" if i % 3 == 0 else "gold") for i, t in enumerate(golds[:12])]
    targets[5] = replace(targets[5], extra={"masked": list(range(50)), "tokens": 50})
    settings = TrainingSettings(learning_rate=1e-3, steps=4, batch_size=4, accumulation=2, warmup=0, loss=loss, beta=beta)
    losses, widths = {}, []
    hook = base.model.get_output_embeddings().register_forward_hook(lambda layer, given, logits: widths.append(logits.shape[:2]))
    forward = base.model.forward
    for words in (10**9, 1):
        monkeypatch.setattr("ssr_nb.losses.LARGE_VOCABULARY", words)
        widths.clear()
        trained = train(targets, base, settings=settings, progress=False)
        losses[words] = trained.losses
        remove_lora(trained.lm)
        whole = [shape for shape in widths if shape[0] > 1]  # the check of TRL's forward reads one row
        assert bool(whole) == (words > 1 and (loss, beta) != ("nll", 0.0)) and base.model.forward == forward
    hook.remove()
    assert losses[1] == pytest.approx(losses[10**9], rel=2e-4, abs=1e-6)


@pytest.mark.parametrize("scale, cap, bias", [(1.0, None, False), (0.5, None, True), (1.0, 3.0, False), (2.0, 3.0, True)])
def test_the_loss_in_one_pass_is_that_of_torch_with_its_gradient(scale, cap, bias):
    draw = torch.Generator().manual_seed(0)
    hidden = torch.randn(3, 150, 8, generator=draw, requires_grad=True)
    weight, more = torch.randn(50, 8, generator=draw), torch.randn(50, generator=draw) if bias else None
    labels = torch.randint(0, 50, (3, 150), generator=draw)
    labels[0, :70] = labels[2] = IGNORED
    logits = torch.nn.functional.linear(hidden, weight, more) * scale
    logits = logits if cap is None else cap * (logits / cap).tanh()
    theirs = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum") / 7
    found = one_pass_loss(hidden, weight, 256, labels, torch.tensor(7), scale, cap, more)
    gradients = [torch.autograd.grad(loss, hidden)[0] for loss in (theirs, found[0])]
    assert found[0].item() == pytest.approx(theirs.item(), rel=1e-5) and torch.allclose(*gradients, atol=1e-5)
    assert found[3] == (labels[:, 1:] != IGNORED).sum()
    nothing = one_pass_loss(hidden, weight, 256, torch.full_like(labels, IGNORED))[0]
    assert nothing == 0 and torch.autograd.grad(nothing, hidden)[0].abs().sum() == 0


def test_a_base_in_bfloat16_on_a_cpu_trains_an_adapter_in_float32(golds):
    from ssr_nb.models import fingerprint

    half, losses = load_model("microworld", backend="transformers", dtype="bfloat16"), {}
    before = fingerprint(half)
    full = load_model("microworld", backend="transformers", dtype="float32")
    for lm in (half, full):
        trained = train(golds, lm, settings=TrainingSettings(learning_rate=3e-3, steps=12, batch_size=8), progress=False)
        losses[lm.dtype] = trained.losses
        assert {p.dtype for n, p in trained.lm.model.named_parameters() if "lora_" in n} == {torch.float32}
        remove_lora(trained.lm)
    assert fingerprint(half) == before
    assert losses[torch.bfloat16] == pytest.approx(losses[torch.float32], rel=0.05, abs=0.02)


@pytest.mark.long
def test_both_backends_learn_the_same(tmp_path):
    "Each has its own way to cross-entropy without holding all logits; they agree to the rounding of float32."
    import subprocess
    import sys

    if unsloth_obstacle() == "Unsloth is not installed":
        pytest.skip("Unsloth is not installed")
    code = """
import json, sys
from ssr_nb.machine import set_threads
from ssr_nb.models import load_model
from ssr_nb.records import read_records, Target
from ssr_nb.settings import TrainingSettings
from ssr_nb.train import train
set_threads(1)
settings = TrainingSettings(learning_rate=3e-3, steps=6, batch_size=4, accumulation=2, warmup=0)
print(json.dumps(train(read_records("golds.jsonl", Target), load_model("microworld", "unsloth", "cpu"), settings=settings,
                       progress=False).losses))
"""
    golds = [Target(e.id, e.prompt, e.completion, "gold", e.extra) for e in target_examples(32, "train")]
    write_records(tmp_path / "golds.jsonl", golds)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    ours = train(golds, load_model("microworld", "transformers", "cpu"), progress=False, settings=TrainingSettings(
        learning_rate=3e-3, steps=6, batch_size=4, accumulation=2, warmup=0)).losses
    assert len(ours) == 6 and json.loads(done.stdout.splitlines()[-1]) == pytest.approx(ours, rel=1e-3), done.stderr


@pytest.mark.parametrize("name", PRIVATE)
def test_names_that_no_library_promised_are_where_they_were(name, tmp_path):
    "Where this fails, a release of TRL or Transformers has moved the name in the message."
    from trl import SFTConfig

    config = SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False)
    config.device  # makes the attributes of an instance
    assert private(name, config if "TrainingArguments" in name else None) is not None


def test_a_name_that_has_moved_is_said(monkeypatch):
    for name, found in (("trl.experimental.sdft:SDFTTrainer2", "SDFTTrainer2 in trl.experimental.sdft of trl [0-9.]+"),
                        ("trl.nowhere:Trainer", "Trainer in trl.nowhere of trl"),
                        ("transformers:Trainer._get_sampler", "Trainer._get_sampler in transformers of transformers")):
        monkeypatch.setitem(PRIVATE, name, "what it is for")
        with pytest.raises(ImportError, match=f"found no {found}.*expected what it is for"):
            private(name)
    monkeypatch.setitem(PRIVATE, "transformers:TrainingArguments._gpus", "how many")
    with pytest.raises(ImportError, match="found no TrainingArguments._gpus"):
        private("transformers:TrainingArguments._gpus", object())


def test_private_names_of_libraries_stand_in_one_module():
    import re

    package = Path(__file__).parent.parent / "ssr_nb"
    owned = [r"\b_n_gpu\b", r"\b_setup_devices\b", r"\b_get_train_sampler\b", r"trl\.experimental", r"loss_utils"]
    for path in package.glob("*.py"):
        if path.name not in ("losses.py", "_modidx.py"):
            assert not [name for name in owned if re.search(name, path.read_text())], path.name


def test_modules_leave_the_libraries_to_unsloth():
    "Unsloth has to be imported before them; the tables of losses and methods don't even need torch."
    import subprocess
    import sys

    code = ("import sys, ssr_nb.losses, ssr_nb.rehearse; assert 'torch' not in sys.modules; import ssr_nb.train, ssr_nb.methods; "
            "print([name for name in ('trl', 'transformers', 'peft', 'datasets', 'accelerate') if name in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def bounds():
    for f in fields(TrainingSettings):
        for bound, outside in (("above", 0), ("at_least", -1), ("below", 0)):
            if f.metadata.get(bound) is not None:
                yield f.name, f.metadata[bound] + outside


@pytest.mark.parametrize("name, value", [*bounds(), ("learning_rate", "3e-4"), ("batch_size", 2.5), ("steps", True)])
def test_a_setting_out_of_its_range_is_said(name, value):
    with pytest.raises(ValueError, match=f"found {name}={value!r}; expected a "):
        TrainingSettings(**{name: value})


@pytest.mark.parametrize("wrong", [{"loss": "kl"}, {"beta": -1}, {"loss": "opsd", "beta": 1},
                                   {"teacher_prompt": "{prompt}"}, {"sample_tokens": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainingSettings(**wrong)


def test_what_a_method_decides_is_no_option_of_the_command_line():
    assert {f.name for f in fields(TrainingSettings) if not flag_of(f)} == {"loss", "beta", "scale", "after", "renew", "teacher_prompt",
                                                                            "sample_tokens"}


def test_the_fingerprint_of_a_training_is_that_of_its_settings(base, golds):
    "What is in a fingerprint must keep its name and its kind, or runs of an older release would begin anew."
    from ssr_nb.settings import TEACHER_PROMPT

    later = {"order", *LATER}  # settings that came afterwards are in it only where they change something
    assert repr({k: v for k, v in asdict(TrainingSettings()).items() if k not in later}) == repr({
        "learning_rate": 2e-4, "epochs": 3, "steps": None, "batch_size": 16, "accumulation": 1, "warmup": 0.05,
        "weight_decay": 0.0, "max_length": 2048, "rank": 8, "alpha": 16, "dropout": 0.0, "seed": 0, "checkpoint_every": 50,
        "loss": "nll", "beta": 0.0, "scale": 1.0, "teacher_prompt": TEACHER_PROMPT, "sample_tokens": 64})
    marks = {mark_of(golds, TrainingSettings(checkpoint_every=n), base) for n in (0, 50)}
    assert len(marks) == 1 and mark_of(golds, TrainingSettings(seed=1), base) not in marks
    assert mark_of(golds, TrainingSettings(order="shuffled"), base) in marks
    assert mark_of(golds, TrainingSettings(order="by_length"), base) not in marks


def test_errors_survive_the_way_between_processes():
    import inspect
    import pickle

    from ssr_nb import losses, methods, rehearse, train

    made = {TooLong: TooLong({"q1": 3000, "q2": 40}, 2048)}
    for module in (losses, methods, rehearse, train):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, BaseException) and kind.__module__ == module.__name__:
                again = pickle.loads(pickle.dumps(made[kind]))
                assert type(again) is kind and str(again) == str(made[kind]) and vars(again) == vars(made[kind])


def test_a_method_is_known_or_refused_and_a_name_is_free(base, golds, tmp_path):
    with pytest.raises(ValueError, match="found method 'srr'; expected one of .*did you mean 'ssr'"):
        train(golds, base, tmp_path / "adapter", method="srr")
    assert not list(tmp_path.iterdir())
    settings = TrainingSettings(steps=1, batch_size=2)
    trained = train(golds, base, tmp_path / "adapter", settings, method="sft", name="my first", progress=False,
                    loading={"backend": "transformers", "dtype": "float32"})
    remove_lora(trained.lm)
    record = json.loads((tmp_path / "adapter" / "training.json").read_text())
    assert (record["method"], record["name"], record["loading"]) == ("sft", "my first", {"backend": "transformers",
                                                                                       "dtype": "float32"})
    remove_lora(train(golds, base, tmp_path / "other", settings, progress=False).lm)
    assert "loading" not in json.loads((tmp_path / "other" / "training.json").read_text())


def test_checkpoints_are_usual_change_nothing_and_are_gone_in_the_end(base, golds, tmp_path, monkeypatch):
    from ssr_nb import train as module

    seen, rmtree = [], module.shutil.rmtree
    monkeypatch.setattr(module.shutil, "rmtree", lambda path, **more: (
        seen.extend(p.name for p in Path(path).glob("checkpoint-*")), rmtree(path, **more)))
    for name, every in (("with", {}), ("without", {"checkpoint_every": 0})):
        settings = TrainingSettings(learning_rate=3e-3, steps=51, batch_size=2, **every)
        remove_lora(train(golds, base, tmp_path / name, settings, progress=False).lm)
    assert "checkpoint-50" in seen and sorted(p.name for p in tmp_path.iterdir()) == ["with", "without"]
    assert ((tmp_path / "with" / "adapter_model.safetensors").read_bytes()
            == (tmp_path / "without" / "adapter_model.safetensors").read_bytes())
    (tmp_path / ".with.checkpoints" / "checkpoint-50").mkdir(parents=True)  # killed when the adapter was saved already
    remove_lora(train(golds, base, tmp_path / "with", replace(settings, checkpoint_every=50), progress=False).lm)
    assert not (tmp_path / ".with.checkpoints").exists()


@pytest.mark.parametrize("loss", ["nll", "soft"])
@pytest.mark.long
def test_a_run_with_rows_by_length_goes_on_as_if_it_had_not_stopped(base, golds, tmp_path, monkeypatch, loss):
    "Over two epochs, the last batch of each not full, stopped within the second."
    from ssr_nb import train as module

    settings = TrainingSettings(learning_rate=3e-3, steps=12, batch_size=4, order="by_length", checkpoint_every=1, loss=loss)
    targets = [replace(t, source="own" if i % 2 else "gold") for i, t in enumerate(golds[:26])]
    remove_lora(train(targets, base, tmp_path / "whole", settings, progress=False).lm)

    def stop(*given, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "save_trained", stop)
        train(targets, base, tmp_path / "stopped", settings, progress=False)
    for checkpoint in (tmp_path / ".stopped.checkpoints").glob("checkpoint-*"):
        if checkpoint.name == "checkpoint-12":  # as if it had been stopped while this one was written
            (checkpoint / COMPLETE).unlink()
    remove_lora(train(targets, base, tmp_path / "stopped", settings, progress=False).lm)
    whole, stopped = ((tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "stopped"))
    assert whole == stopped
    shuffled = replace(settings, order="shuffled")
    remove_lora(train(targets, base, tmp_path / "shuffled", shuffled, progress=False).lm)
    assert (tmp_path / "shuffled" / "adapter_model.safetensors").read_bytes() != whole


def test_rows_by_length_are_every_row_once_and_little_padding():
    import random

    draw = random.Random(1)
    lengths = [draw.randint(10, 300) for _ in range(203)]
    orders = []
    for epoch in (0, 1):
        order = EpochOrder(203, 8, seed=0, count=1, lengths=lengths)
        order.set_epoch(epoch)
        rows = list(order)
        assert sorted(rows) == list(range(203)) and len(order) == 203
        batches = [rows[i : i + 8] for i in range(0, 203, 8)]
        assert sum(len(b) * max(lengths[r] for r in b) for b in batches) < 1.2 * sum(lengths)
        firsts = [max(lengths[r] for r in b) for b in batches]
        assert firsts != sorted(firsts) and firsts != sorted(firsts, reverse=True)
        orders.append(rows)
    assert orders[0] != orders[1]
    several = list(EpochOrder(203, 8, seed=0, lengths=lengths))
    assert several[:203] == orders[0] and several[203:] == list(range(203, 208)), "as one process has it, then blanks"


def test_checkpoints_ask_the_hub_nothing(base, golds, tmp_path, monkeypatch):
    import peft.utils.save_and_load

    asked = []
    monkeypatch.setattr(peft.utils.save_and_load, "check_file_exists_on_hf_hub", lambda *given, **more: asked.append(given))
    monkeypatch.setattr(base.model, "name_or_path", "owner/model")
    settings = TrainingSettings(steps=3, batch_size=2, checkpoint_every=1)
    remove_lora(train(golds, base, tmp_path / "adapter", settings, progress=False).lm)
    assert asked == []
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == "microworld"


def test_samples_are_counted_on_from_the_greedy_answer():
    greedy = [Response("q0", "a")], [Verdict("q0", "correct")]
    drawn = ([Response("q0", text, extra={"sample": i, "key": "k"}) for i, text in enumerate("bc")],
             [Verdict("q0", "correct", extra={"sample": i}) for i in range(2)])
    both = Answers(greedy, drawn)
    said, judged = own_answers(METHODS["ours"], both)
    assert [r.extra.get("sample", 0) for r in said] == [v.extra.get("sample", 0) for v in judged] == [0, 1, 2]
    assert said[1].extra["key"] == "k" and own_answers(METHODS["ssr"], both) == greedy
    assert drawn[0][0].extra["sample"] == 0, "what was given is left as it was"


def test_a_method_is_applied_as_its_parts_are(base, golds):
    "Rule, replay, mask and settings, each against the function that makes it."
    examples = [Example(t.prompt, t.completion, id=t.id, extra=t.extra) for t in golds]
    replay = [Target(f"replay-{i}", f"general {i}", "said", "replay") for i in range(20)]
    own = ([Response(t.id, "own", logprob=-1.0) for t in golds],
           [Verdict(t.id, "correct" if i % 2 else "incorrect") for i, t in enumerate(golds)])
    given = Answers(own, ([], []), own, own, replay)
    start = TrainingSettings(steps=7, sample_tokens=9)
    for name, row in METHODS.items():
        applied = apply_method(name, examples, given, base, start, rewording=REWORDINGS["micro"])
        targets = rule_targets(row, examples, own, paraphrases=own, rewrites=own)
        targets = add_replay(targets, replay, row.replay) if row.replay else targets
        targets = mask_surprising(targets, base, row.mask_above) if row.mask_above else targets
        targets = weigh_rows(targets, base) if row.weighs else targets
        assert applied.targets == targets and applied.mix == mix(examples, targets, *own), name
        assert applied.settings == replace(start, loss=row.loss, beta=row.beta, scale=row.scale, after=row.after, renew=round(row.renew * 7),
                                           teacher_prompt=REWORDINGS["micro"].teacher), name
        halves = prepare_training(name, make_targets(name, examples, given), base, start, REWORDINGS["micro"])
        assert halves == (applied.targets, applied.settings), "from the command line it comes in two halves"
    lenient = replace(METHODS["ours"], name="mine", mask_above=1e9)
    assert apply_method(lenient, examples, given, base).mix.masked_tokens == 0 < apply_method(
        "ours", examples, given, base).mix.masked_tokens, "a row that no table has"


def test_gathered_answers_are_made_once_and_kept(base, tmp_path, monkeypatch):
    examples, stages = target_examples(12, "train"), []

    def timed(stage):
        stages.append(stage)
        return nullcontext()

    pools = []

    def draw(wanted):
        pools.append(wanted)
        return general_examples(1, "train")[:wanted]

    more = replace(METHODS["replay"], name="more", replay=0.4)
    how = dict(samples=2, max_new_tokens=30, rewording=REWORDINGS["micro"], replay_prompts=draw, progress=False)
    found = gather_answers(["ssr", "s3ft", "sdft", "ours", "replay", more], examples, base, "micro", folder=tmp_path,
                           timed=timed, **how)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "paraphrases-verdicts.jsonl", "paraphrases.jsonl", "replay-examples.jsonl", "replay.jsonl", "responses.jsonl",
        "samples-verdicts.jsonl", "samples.jsonl", "verdicts.jsonl"]
    assert found.rewrites is found.paraphrases, "one prompt for both, so one answer"
    assert stages == ["respond: responses", "judge", "respond: samples", "judge", "respond: paraphrases", "judge",
                      "respond: replay"]
    assert pools == [replay_count(12, 0.2), replay_count(12, 0.4)] and [len(found.replay[n]) for n in ("replay", "more")] == [
        3, 8]
    assert found.replay["more"][:3] == found.replay["replay"]
    assert vars(gather_answers(["ssr", "s3ft", "sdft", "ours", "replay", more], examples, base, "micro", folder=tmp_path,
                               **how)) == vars(found), "read from the files"
    apart = gather_answers(["sft", "sdft"], examples, base, "micro", max_new_tokens=30, progress=False,
                           rewording=REWORDINGS["chat"])
    assert apart.samples is apart.paraphrases is apart.replay is None and len(apart.rewrites[0]) == 12
    with pytest.raises(ValueError, match="found no replay_prompts for method 'replay-kl'; expected general prompts"):
        gather_answers(["replay-kl"], examples[:1], base, "micro", max_new_tokens=5, progress=False)


@pytest.mark.parametrize("wrong", [{"loss": "kl"}, {"needs": ("gold",)}, {"replay": 1.0}, {"mask_above": 0.5}])
def test_rows_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=f"method 'mine': found {next(iter(wrong))}"):
        Method("mine", METHODS["sft"].targets, **wrong)


@pytest.mark.parametrize(
    "key, value", [("samples", 0), ("replay_share", 1.0), ("kl_beta", -0.1), ("stm_threshold", 0.5), ("wise_alpha", 2),
                   ("wise_alpha", True), ("rewording", "prose"), ("rewording", {"paraphrase": "{prompt} {gold}"}),
                   ("rewording", {"paraphrase": "x", "rewrite": "x", "teacher": "x"}), ("training", {"loss": "dft"})])
def test_a_wrong_value_for_a_method_is_named_by_its_key(key, value):
    with pytest.raises(ValueError, match=f"key '{key}|found {key}="):
        check(Comparison(**{key: value}))


def test_replay_on_own_data_needs_general_prompts(tmp_path):
    write_records(tmp_path / "a.jsonl", [Example("where ?", "there")])
    mine = {"examples": str(tmp_path / "a.jsonl"), "judge": "exact"}
    with pytest.raises(ValueError, match="data.replay"):
        check(Comparison(methods=["replay"], data={"train": mine, "target": mine}))


def test_the_file_sets_the_values_of_the_rows_that_use_them(tmp_path):
    (tmp_path / "c.yaml").write_text("methods: [sft, kl, wise, stm, replay]\nkl_beta: 1e-1\nwise_alpha: "
                                     "0.25\nstm_threshold: 10\nreplay_share: 0.5\n")
    config = read_comparison(tmp_path / "c.yaml")
    assert [row_of(config, m).beta for m in config.methods] == [0, 0.1, 0, 0, 0]
    assert (row_of(config, "wise").scale, row_of(config, "stm").mask_above,
            row_of(config, "replay").replay) == (0.25, 10, 0.5)
    assert row_of(config, "ours").mask_above == 10 and row_of(config, "sft") == METHODS["sft"]


def test_replay_has_no_prompt_of_a_suite():
    config = Comparison(methods=["replay"], items={"train": 30, "validation": 10, "target": 10, "shift": 5,
                                                   "general": 40})
    train_set, suites = load_data(config)
    tested = {same_prompt(e) for s in suites for e in s.examples}
    drawn = general_examples(25, "train")
    assert any(same_prompt(e) in tested for e in drawn), "facts are a closed set: some prompts are drawn for both"
    kept = replay_prompts(config, train_set, suites, wanted=150)
    assert 150 < len(kept) < len(drawn) and not any(same_prompt(e) in tested for e in kept)


def test_replay_counts_the_rows_of_its_own_method_and_a_bigger_one_leaves_a_smaller_as_it_was(tmp_path, monkeypatch):
    "A rule can give several rows a prompt; a share of all rows is then more than of the prompts."
    monkeypatch.setitem(METHODS, "twice", Method("twice", lambda e, m: METHODS["sft"].targets(e, m) * 2, replay=0.5))
    config = Comparison(methods=["replay"], learning_rates=[1e-3], seeds=[0], backend="transformers", workers=1,
                        threads=1, items={"train": 16, "validation": 4, "target": 4, "shift": 2, "general": 1},
                        training={"steps": 1}, resamples=10)
    replayed = {}
    for methods in (["replay"], ["replay", "twice"]):
        summary = compare(replace(config, methods=methods), tmp_path, say=lambda line: None)
        for name in methods:
            found = [t for t in read_records(tmp_path / f"targets-{name}.jsonl", Target) if t.source == "replay"]
            assert replayed.setdefault(name, found) == found
    assert {name: len(found) for name, found in replayed.items()} == {"replay": 4, "twice": 32}
    assert summary["mixes"]["twice"]["sources"] == {"gold": 32, "replay": 32}


def test_a_method_that_only_scales_shares_a_training(monkeypatch):
    monkeypatch.setitem(METHODS, "ssr-half", replace(METHODS["ssr"], name="ssr-half", scale=0.5))
    monkeypatch.setitem(METHODS, "dft-less", replace(METHODS["dft"], name="dft-less", mask_above=9.0, scale=0.5))
    assert [trained_as(Comparison(), m)
            for m in ("wise", "ssr-half", "dft-less", "dft")] == ["sft", "ssr", "dft-less", "dft"]


@pytest.mark.long
def test_comparison_with_methods_of_many_kinds_and_one_added_at_run_time(tmp_path, monkeypatch):
    "Two workers, which never see the row that was added here; then one method more, which costs only itself."
    monkeypatch.setitem(METHODS, "ssr+dft", replace(METHODS["ssr"], name="ssr+dft", loss="dft"))
    config = Comparison(methods=["wise", "ssr+dft", "s3ft"], learning_rates=[1e-3], seeds=[0], backend="transformers",
                        workers=2, threads=1, resamples=100,
                        items={"train": 48, "validation": 8, "target": 8, "shift": 4, "general": 2},
                        training={"epochs": 1}, samples=2)
    said = []
    summary = compare(config, tmp_path, say=said.append)
    assert [a["method"] for a in summary["arms"]] == ["base", "s3ft", "ssr+dft", "wise"]
    adapter = json.loads((arm_folder(tmp_path, ("wise", 1e-3, 0)) / "adapter" / "adapter_config.json").read_text())
    assert adapter["lora_alpha"] == 8 and (arm_folder(tmp_path, ("sft", 1e-3, 0)) / "adapter").is_dir(), (
        "trained for it, as sft isn't among the methods")
    assert (not (tmp_path / "samples.jsonl").exists()
            and not (tmp_path / "rewrites.jsonl").exists()), "what no method needs is not made"
    assert (any(line.startswith("seconds by stage") for line in said)
            and set(summary["seconds_per_arm"]) == set(config.methods))
    trained_before = (arm_folder(tmp_path, ("sft", 1e-3, 0)) / "adapter" / "training.json").stat().st_mtime_ns
    more = replace(config, methods=[*config.methods, "sft", "sdft", "ours", "replay"], workers=1)
    said.clear()
    again = compare(more, tmp_path, say=said.append)
    assert ("4 arms to run" in "\n".join(said)
            and [a for a in again["arms"] if a["method"] in ("base", *config.methods)] == summary["arms"])
    assert (arm_folder(tmp_path, ("sft", 1e-3, 0)) / "adapter" / "training.json").stat().st_mtime_ns == trained_before
    assert len(read_records(tmp_path / "samples.jsonl", Response)) == 96
    replayed = [t for t in read_records(tmp_path / "targets-replay.jsonl", Target) if t.source == "replay"]
    assert len(replayed) == 12
    monkeypatch.setitem(METHODS, "ssr+dft", replace(METHODS["ssr"], name="ssr+dft", loss="nll"))
    with pytest.raises(ValueError, match="'ssr\\+dft' with other loss"):
        compare(more, tmp_path, say=said.append)
