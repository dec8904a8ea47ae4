"""Every row of the table of methods: its targets on records made by hand, its mask,
its loss against the formula, its scaling."""

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssr_nb.compare import (Comparison, arm_folder, check, compare, load_data, read_comparison, replay_prompts, row_of,
                            trained_as)
from ssr_nb.methods import (REWORDINGS, Rewording, add_replay, mask_surprising, replay_targets, reword, rewording_for,
                            settings_for)
from ssr_nb.microworld import general_examples, in_your_own_words, target_examples
from ssr_nb.models import add_lora, load_adapter, load_model, remove_lora, save_adapter, scale_adapter
from ssr_nb.records import Example, Response, Target, Verdict, read_records
from ssr_nb.rehearse import METHODS, Method, mix, rehearse, talks_of_reference
from ssr_nb.respond import completion_logprobs, respond
from ssr_nb.tasks import same_prompt
from ssr_nb.train import IGNORED, TrainingSettings, _trainer, encode, encode_all, kl_to_base, train

EXAMPLES = [Example(f"where is thing {i} ?", f"gold {i}", id=f"q{i}") for i in range(5)]
#            own right   own wrong, paraphrase right   nothing right   rewrite talks of gold   cut off
OWN = [Response("q0", "own 0", logprob=-9.0), Response("q1", "no", logprob=-1.0), Response("q2", "no", logprob=-1.0),
       Response("q3", "no", logprob=-1.0), Response("q4", "own", "length", logprob=-1.0)]
OWN_VERDICTS = [Verdict("q0", "correct")] + [Verdict(f"q{i}", "incorrect")
                                             for i in (1, 2, 3)] + [Verdict("q4", "rejected")]
REWORDED = [Response("q0", "words 0"), Response("q1", "words 1"), Response("q2", "nonsense"),
            Response("q3", "as the given answer says , words 3"), Response("q4", "words 4")]
REWORDED_VERDICTS = [Verdict(f"q{i}", "incorrect" if i == 2 else "correct") for i in range(5)]


def made_by(method, **more):
    judged = REWORDED, REWORDED_VERDICTS
    return rehearse(EXAMPLES, OWN, OWN_VERDICTS, method, paraphrases=judged, rewrites=judged, **more)


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


def test_every_row_of_the_table_makes_targets_or_says_what_it_lacks():
    for name, row in METHODS.items():
        assert made_by(name), name
        if set(row.needs) & {"paraphrases", "rewrites"}:
            with pytest.raises(ValueError, match=name):
                rehearse(EXAMPLES, OWN, OWN_VERDICTS, name)


def test_ours_takes_the_likeliest_right_answer_and_not_the_likeliest():
    answers = [Response("q0", text, logprob=p, extra={"sample": i})
               for i, (text, p) in enumerate([("right, odd", -7.0), ("right, likely", -2.0), ("wrong", -0.1)])]
    verdicts = [Verdict("q0", label, extra={"sample": i})
                for i, label in enumerate(["correct", "correct", "incorrect"])]
    assert rehearse(EXAMPLES[:1], answers, verdicts, "ours")[0].completion == "right, likely"
    assert rehearse(EXAMPLES[:1], answers, verdicts, "ssr")[0].completion == "right, odd"
    answers[1] = replace(answers[1], logprob=None)
    with pytest.raises(ValueError, match="'q0', sample 1: found no logprob"):
        rehearse(EXAMPLES[:1], answers, verdicts, "ours")


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
    assert (rewording_for([example]), rewording_for([chat])) == ("micro", "chat")
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


def test_a_batch_without_a_loss_is_worth_nothing_and_not_nan(base, golds):
    silent = [replace(t, extra={"masked": list(range(50)), "tokens": 50}) for t in golds[:4]]
    for loss, beta in (("nll", 0.0), ("dft", 0.0), ("soft", 0.0), ("nll", 1.0), ("dft", 1.0)):
        settings = TrainingSettings(loss=loss, beta=beta, batch_size=4)
        lm = add_lora(base)
        with tempfile.TemporaryDirectory() as folder:
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
            with tempfile.TemporaryDirectory() as folder:
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
    assert losses["soft"][0] == pytest.approx(0, abs=1e-6) and losses["soft"][-1] < 1e-3 and max(losses["soft"]) < 0.02, (
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


@pytest.mark.parametrize("wrong", [{"loss": "kl"}, {"beta": -1}, {"loss": "opsd", "beta": 1},
                                   {"teacher_prompt": "{prompt}"}, {"sample_tokens": 0}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainingSettings(**wrong)


@pytest.mark.parametrize("wrong", [{"loss": "kl"}, {"needs": ("gold",)}, {"replay": 1.0}, {"mask_above": 0.5}])
def test_rows_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=f"method 'mine': found {next(iter(wrong))}"):
        Method("mine", METHODS["sft"].targets, **wrong)


@pytest.mark.parametrize(
    "key, value", [("samples", 0), ("replay_share", 1.0), ("kl_beta", -0.1), ("stm_threshold", 0.5), ("wise_alpha", 2),
                   ("wise_alpha", True), ("rewording", "prose"), ("rewording", {"paraphrase": "{prompt} {gold}"}),
                   ("rewording", {"paraphrase": "x", "rewrite": "x", "teacher": "x"}), ("training", {"loss": "dft"})])
def test_a_wrong_value_for_a_method_is_named_by_its_key(key, value):
    with pytest.raises(ValueError, match=f"key '{key}"):
        check(Comparison(**{key: value}))


def test_replay_on_own_data_needs_general_prompts():
    with pytest.raises(ValueError, match="data.replay"):
        check(Comparison(methods=["replay"], data={"train": "a.jsonl", "target": "b.jsonl"}))


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
