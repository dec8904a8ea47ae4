"""The losses that spare what the model is sure of, each against its formula written out in plain numbers."""

import math
import random
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ssr_nb.adapters import add_lora, remove_lora
from ssr_nb.compare import compare
from ssr_nb.comparison import Comparison
from ssr_nb.losses import IGNORED, LOSSES, Loss, forward_kept
from ssr_nb.methods import Answers, apply_method, weigh_rows
from ssr_nb.microworld import target_examples
from ssr_nb.models import load_model
from ssr_nb.records import Target, read_records
from ssr_nb.rehearse import METHODS, beyond_rules
from ssr_nb.respond import completion_logprobs
from ssr_nb.settings import TrainingSettings
from ssr_nb.sparing import entropy_adaptive, entropy_weight, mask_the_target, weighed_rows
from ssr_nb.train import _trainer, encode, encode_all, train
from tiny_model import make_tiny_model

VOCABULARY = 37


def some_logits(tokens=6, seed=0):
    draw = random.Random(seed)
    return [[draw.gauss(0, 3) for _ in range(VOCABULARY)] for _ in range(tokens)], [draw.randrange(VOCABULARY) for _ in range(tokens)]


def probabilities(row):
    total = sum(math.exp(x) for x in row)
    return [math.exp(x) / total for x in row]


@pytest.mark.parametrize("k, alpha", [(20, 1.0), (5, 1.0), (20, 2.0), (20, 1 / 3), (100, 1.0)])
def test_eaft_is_its_formula(k, alpha):
    rows, labels = some_logits()
    expected = []
    for row, label in zip(rows, labels):
        p = probabilities(row)
        top = sorted(p, reverse=True)[:min(k, VOCABULARY)]
        top = [q / sum(top) for q in top]
        entropy = -sum(q * math.log(q) for q in top)
        expected.append((entropy / math.log(len(top))) ** alpha * -math.log(p[label]))
    found = entropy_adaptive(k, alpha)(torch.tensor(rows), torch.tensor(labels))
    assert found.tolist() == pytest.approx(expected, rel=1e-4)


def test_no_gradient_flows_through_the_weight_of_eaft():
    rows, labels = some_logits()
    logits = torch.tensor(rows, requires_grad=True)
    entropy_adaptive()(logits, torch.tensor(labels)).sum().backward()
    weights = entropy_weight(torch.tensor(rows))
    for t, (row, label) in enumerate(zip(rows, labels)):
        p = probabilities(row)
        expected = [float(weights[t]) * (p[w] - (w == label)) for w in range(VOCABULARY)]
        assert logits.grad[t].tolist() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_mask_the_target_is_its_formula(weight):
    (rows, labels), (before, _) = some_logits(seed=1), some_logits(seed=2)
    expected = []
    for row, base, label in zip(rows, before, labels):
        p, q = probabilities(row), probabilities(base)
        rest, base_rest = 1 - p[label], 1 - q[label]
        kl = sum(q[w] / base_rest * math.log((q[w] / base_rest) / (p[w] / rest)) for w in range(VOCABULARY) if w != label)
        expected.append(-math.log(p[label]) + weight * kl)
    found = mask_the_target(weight)(torch.tensor(rows), torch.tensor(labels), torch.tensor(before))
    assert found.tolist() == pytest.approx(expected, rel=1e-4)


def test_the_penalty_does_not_oppose_the_label():
    "Its gradient on gold's own logit is that of cross-entropy alone."
    (rows, labels), (before, _) = some_logits(seed=3), some_logits(seed=4)
    grads = []
    for weight in (0.0, 5.0):
        logits = torch.tensor(rows, requires_grad=True)
        mask_the_target(weight)(logits, torch.tensor(labels), torch.tensor(before)).sum().backward()
        grads.append(logits.grad[torch.arange(len(labels)), torch.tensor(labels)])
    assert torch.allclose(*grads, atol=1e-5)


def test_extreme_logits_stay_finite():
    logits = torch.tensor([[200.0, -200.0, 0.0], [0.0, 0.0, 1e4]], requires_grad=True)
    for label in (0, 1):
        for loss in (entropy_adaptive()(logits, torch.tensor([label, label])),
                     mask_the_target()(logits, torch.tensor([label, label]), torch.tensor([[9.0, 9.0, -300.0]] * 2))):
            assert loss.isfinite().all()
            grad, = torch.autograd.grad(loss.sum(), logits)
            assert grad.isfinite().all()


@pytest.fixture(scope="module")
def lm():
    return load_model("microworld", backend="transformers")


@pytest.mark.parametrize("name", ["eaft", "mask-target", "asft", "flow", "selfaug", "ssr-eaft"])
def test_they_train(name, lm):
    "Twelve steps lower the loss; that of dft, p log p, may rise while p does, so there KL is seen to act."
    examples = target_examples(8, "train")
    row = METHODS.named(name)
    answers = Answers(responses=([], [])) if row.needs else Answers()
    done = apply_method(row, examples, answers, lm, TrainingSettings(steps=12, learning_rate=3e-3, warmup=0, batch_size=8),
                        **({"missing": "gold"} if row.needs else {}))
    trained = train(done.targets, lm, settings=done.settings, progress=False)
    remove_lora(trained.lm)
    assert all(math.isfinite(x) for x in trained.losses)
    if row.loss == "dft":
        alone = train(done.targets, lm, settings=replace(done.settings, beta=0.0), progress=False)
        remove_lora(alone.lm)
        assert trained.losses[0] == pytest.approx(alone.losses[0], rel=1e-3) and trained.losses[-1] != alone.losses[-1]
    else:
        assert trained.losses[-1] < trained.losses[0]


def test_each_row_says_where_it_is_from():
    for name in ("eaft", "mask-target", "flow", "selfaug"):
        assert LOSSES.named(name).paper == METHODS.named(name).paper != ""
    assert METHODS.named("asft").loss == "dft" and METHODS.named("asft").beta == 0.05


def test_flow_is_its_formula():
    rows, labels = some_logits(seed=5)
    weights = [0.9, 0.9, 0.9, 0.1, 0.1, 0.1]
    expected = [w * -math.log(probabilities(row)[label]) for row, label, w in zip(rows, labels, weights)]
    found = weighed_rows(torch.tensor(rows), torch.tensor(labels), torch.tensor(weights))
    assert found.tolist() == pytest.approx(expected, rel=1e-4)


def golds(count):
    return [Target(e.id, e.prompt, e.completion, "gold", e.extra) for e in target_examples(count, "train")]


@pytest.mark.parametrize("count", [5, 6])
def test_rows_weigh_by_the_base_models_loss_over_the_median(lm, count):
    targets = golds(count)
    losses = [-sum(p.tolist()) / len(p) for p in completion_logprobs(lm, [(t.prompt, t.completion) for t in targets])]
    ranked = sorted(losses)
    median = ranked[count // 2] if count % 2 else (ranked[count // 2 - 1] + ranked[count // 2]) / 2
    weights = [t.extra["row_weight"] for t in weigh_rows(targets, lm)]
    assert weights == pytest.approx([math.exp(-loss / median) for loss in losses], rel=1e-4)


def loss_of_batch(lm, targets, loss, **more):
    "The loss that the trainer computes of these targets as one batch, with an adapter that has moved; and the logits of each."
    tuned = add_lora(lm, seed=3)
    try:
        for name, weight in tuned.model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.05, generator=torch.Generator().manual_seed(0))
        with tempfile.TemporaryDirectory() as folder, forward_kept(tuned.model):
            trainer = _trainer(tuned, targets, encode_all(targets, lm.tokenizer, 2048), TrainingSettings(
                loss=loss, batch_size=len(targets), **more), Path(folder), False)
            found = float(trainer.compute_loss(tuned.model, dict(next(iter(trainer.get_train_dataloader())))).detach())
        with torch.no_grad():
            ids = [torch.tensor([encode(t, lm.tokenizer)["input_ids"]]) for t in targets]
            logits = [tuned.model.eval()(input_ids=i).logits[0].double() for i in ids]
            with tuned.model.disable_adapter():
                before = [tuned.model(input_ids=i).logits[0].double() for i in ids]
        return found, logits, before
    finally:
        remove_lora(tuned)


def test_a_batch_under_flow_is_the_weighed_sum_over_its_tokens(lm):
    targets = weigh_rows(golds(4), lm)
    found, logits, _ = loss_of_batch(lm, targets, "flow")
    total = tokens = 0
    for target, scores in zip(targets, logits):
        labels = encode(target, lm.tokenizer)["labels"]
        for place in range(1, len(labels)):
            if labels[place] != IGNORED:
                total -= target.extra["row_weight"] * float(scores[place - 1].log_softmax(-1)[labels[place]])
                tokens += 1
    assert found == pytest.approx(total / tokens, rel=1e-3)
    alone, *_ = loss_of_batch(lm, golds(4), "flow")
    plain, *_ = loss_of_batch(lm, golds(4), "nll")
    assert alone == pytest.approx(plain, rel=1e-4), "rows that nobody weighed count once"


@pytest.mark.parametrize("costly", [False, True])
def test_selfaug_is_cross_entropy_and_the_mean_kl_at_the_prompts_places(lm, monkeypatch, costly):
    "Also where the logits of other places are left out."
    monkeypatch.setattr("ssr_nb.losses.LARGE_VOCABULARY", 10 if costly else 10**9)
    targets = golds(3) + [replace(golds(4)[3], completion="a much longer answer , with many words in it .")]
    found, logits, before = loss_of_batch(lm, targets, "selfaug")
    nats = tokens = kl = places = 0
    for target, after, base in zip(targets, logits, before):
        labels = encode(target, lm.tokenizer)["labels"]
        prompt = next(i for i, label in enumerate(labels) if label != IGNORED)
        for place in range(len(labels)):
            p, q = base[place].softmax(-1), after[place].softmax(-1)
            if place < prompt:
                kl, places = kl + float((p * (p / q).log()).sum()), places + 1
            if place + 1 < len(labels) and labels[place + 1] != IGNORED:
                nats, tokens = nats - float(q[labels[place + 1]].log()), tokens + 1
    assert kl / places > 0.01 and found == pytest.approx(nats / tokens + 0.5 * kl / places, rel=1e-3)


def test_a_penalty_at_the_prompt_goes_with_soft_labels_and_beta(lm):
    LOSSES.add(Loss("soft-held", "", soft=True, prompt_kl=0.5))
    try:
        targets = [replace(t, source="own") if i % 2 else t for i, t in enumerate(golds(4))]
        soft, *_ = loss_of_batch(lm, targets, "soft")
        both, *_ = loss_of_batch(lm, targets, "soft-held")
        held, *_ = loss_of_batch(lm, targets, "selfaug")
        plain, *_ = loss_of_batch(lm, targets, "nll")
        assert both - soft == pytest.approx(held - plain, rel=1e-3) and held > plain
    finally:
        del LOSSES["soft-held"]


def test_what_the_base_model_weighs_is_no_rule_alone():
    assert "rows weighed by the base model" in beyond_rules(METHODS.named("flow"))
    with pytest.raises(ValueError, match="found no lm for method 'flow'"):
        apply_method("flow", target_examples(2, "train"), Answers())


NEW = ["flow", "selfaug"]


def few_steps(methods, folder, **more):
    return compare(Comparison(methods=methods, learning_rates=[1e-3], seeds=[0], backend="transformers", threads=1, resamples=50,
                              **({"items": {"train": 16, "validation": 4, "target": 4, "shift": 4, "general": 2},
                                  "training": {"steps": 2, "batch_size": 4}, "workers": 2} | more)),
                   folder, say=lambda line: None)


@pytest.mark.long
def test_the_new_rows_run_through_a_comparison_with_two_workers(tmp_path):
    summary = few_steps(NEW, tmp_path / "run")
    assert [arm["method"] for arm in summary["arms"]] == ["base", *NEW]
    weights = [t.extra["row_weight"] for t in read_records(tmp_path / "run" / "targets-flow.jsonl", Target)]
    assert len(weights) == 16 and len(set(weights)) > 1


def test_they_train_on_a_model_of_transformers(tmp_path):
    tiny = load_model(str(make_tiny_model(tmp_path / "tiny")), backend="transformers", device="cpu")
    targets = [Target(f"q{i}", f"ba{'' if i % 2 else ' de'} fel", "gu mo" + " ra" * i, "gold") for i in range(4)]
    for name in NEW:
        done = weigh_rows(targets, tiny) if METHODS[name].weighs else targets
        trained = train(done, tiny, settings=TrainingSettings(steps=6, batch_size=4, learning_rate=1e-2, warmup=0, loss=name),
                        progress=False)
        remove_lora(trained.lm)
        assert trained.losses[-1] < trained.losses[0]
