"""The losses that spare what the model is sure of, each against its formula written out in plain numbers."""

import math
import random
from dataclasses import replace

import pytest
import torch

from ssr_nb.adapters import remove_lora
from ssr_nb.losses import LOSSES
from ssr_nb.methods import Answers, apply_method
from ssr_nb.microworld import target_examples
from ssr_nb.models import load_model
from ssr_nb.rehearse import METHODS
from ssr_nb.settings import TrainingSettings
from ssr_nb.sparing import entropy_adaptive, entropy_weight, mask_the_target
from ssr_nb.train import train

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


@pytest.mark.parametrize("name", ["eaft", "mask-target", "asft", "ssr-eaft"])
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
    for name in ("eaft", "mask-target"):
        assert LOSSES.named(name).paper == METHODS.named(name).paper != ""
    assert METHODS.named("asft").loss == "dft" and METHODS.named("asft").beta == 0.05
