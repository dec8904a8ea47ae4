"""The base model's recipe: what is imported, what the optimizers do, and that a seed is enough."""

import json
import random
import subprocess
import sys

import pytest
import torch

from ssr_nb.microworld import KINDS, MODEL_PATH, SKILLS
from ssr_nb.pretraining import (
    DISTANCES, MIXTURE, SPECIAL, batches, dialogue_of, encode_dialogue, fresh_model, model_card, optimizers, pairs,
    percent_right, rate_factor, repeats, test_parts as parts_of, train_from_scratch, vocabulary)


@pytest.fixture(scope="module")
def fresh():
    torch.set_num_threads(1)
    return fresh_model(0)


def test_importing_the_recipe_leaves_room_for_unsloth():
    "Unsloth must be imported before transformers, trl and peft."
    code = ("import sys, ssr_nb.pretraining; "
            "sys.exit(', '.join({'transformers', 'trl', 'peft', 'unsloth'} & set(sys.modules)) or 0)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def newton_schulz(matrix: torch.Tensor) -> torch.Tensor:
    "Five quintic iterations in float64, on the wide orientation (Jordan et al. 2024)."
    x = matrix.double()
    x = x.T if x.shape[0] > x.shape[1] else x
    x = x / x.norm()
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    return x.T if matrix.shape[0] > matrix.shape[1] else x


@pytest.mark.parametrize("shape", [(132, 384), (384, 132), (192, 132), (132, 192)])
def test_muon_takes_the_steps_that_are_written_down(shape):
    "Momentum as a running mean, looked ahead (Nesterov), near-orthogonal, scaled for tall matrices, without weight decay."
    generator = torch.Generator().manual_seed(sum(shape))
    model = torch.nn.Module()
    model.layer = torch.nn.Parameter(torch.randn(shape, generator=generator))
    model.bias = torch.nn.Parameter(torch.zeros(3))
    muon, _ = optimizers(model, matrix_rate=0.005, rate=0.002)
    mean, expected = torch.zeros(shape), model.layer.detach().double().clone()
    for _ in range(3):
        gradient = torch.randn(shape, generator=generator)
        model.layer.grad = gradient.clone()
        muon.step()
        mean = 0.95 * mean + 0.05 * gradient
        step = 0.005 * max(1, shape[0] / shape[1]) ** 0.5 * newton_schulz(0.05 * gradient + 0.95 * mean)
        expected -= step
        off = (model.layer.detach().double() - expected).norm() / step.norm()
        assert off < 0.05, "apart from rounding to bfloat16"


def test_every_parameter_has_one_optimizer_and_only_inner_matrices_have_muon(fresh):
    model, _ = fresh
    muon, adamw = [[id(p) for g in o.param_groups for p in g["params"]] for o in optimizers(model, 0.005, 0.002)]
    names = {id(p): name for name, p in model.named_parameters()}
    assert sorted(muon + adamw) == sorted(names) and not set(muon) & set(adamw)
    assert all(names[i].endswith("proj.weight") for i in muon) and any("embed" in names[i] for i in adamw)


def test_the_same_seed_gives_the_same_log_and_another_seed_another(fresh):
    logs = [train_from_scratch(seed=seed, steps=4, tokens=1024, report_every=2)[2] for seed in (1, 1, 2)]
    assert logs[0] == logs[1] != logs[2] and [line["step"] for line in logs[0]] == [2, 4]


@pytest.mark.parametrize("built_in", [True, False])
def test_layer_zero_looks_back_only_where_that_is_built_in(built_in, fresh):
    model, tokenizer = fresh if built_in else fresh_model(0, built_in=False)
    model.set_attn_implementation("eager")
    ids = torch.tensor([random.Random(0).sample(range(len(SPECIAL), len(tokenizer)), 30)])
    with torch.no_grad():
        attention = model(ids, output_attentions=True).attentions[0][0]
    model.set_attn_implementation("sdpa")
    looks = [int((weights[10:].argmax(-1) == torch.arange(10, 30) - d).sum()) for d, weights in zip(DISTANCES, attention)]
    assert looks == [20] * 6 if built_in else max(looks) < 20


def test_rates_rise_stay_and_fall():
    factors = [rate_factor(step, 1800) for step in range(1800)]
    assert factors[:50] == sorted(factors[:50]) and factors[49:1260] == [1] * 1211
    assert factors[1260:] == sorted(factors[1260:], reverse=True) and min(factors) == 0.02


def test_loss_stands_on_what_can_be_known():
    index = {word: i for i, word in enumerate(vocabulary())}
    assert len(index) == 439
    ids, weights = encode_dialogue([("where is it ?", "in the attic ."), ("is it ?", "yes")],
                                   {word: i for i, word in enumerate([*index, "it"])})
    assert [w for w in weights if w] == [1, 1, 4, 1, 1, 3, 1] and weights[0] == 0 and len(ids) == len(weights)
    for seed in range(50):
        for make in (repeats, pairs):
            ids, weights = make(random.Random(seed), 439)
            assert all(ids[i] in ids[:i] for i, weight in enumerate(weights) if weight) and sum(weights) > 0
    stream = batches(0, index, 1024)
    for _ in range(8):
        ids, weights = next(stream)
        assert ids.shape == weights.shape and ids.numel() <= 1024 and not (weights[ids == 0] > 0).any()


@pytest.mark.parametrize("kind", [kind for kind in MIXTURE if kind not in ("repeats", "pairs")])
def test_every_dialogue_can_be_encoded_and_fits(kind):
    index = {word: i for i, word in enumerate(vocabulary())}
    for seed in range(100):
        assert len(encode_dialogue(dialogue_of(random.Random(seed), kind), index)[0]) <= 128


def test_training_never_shows_a_refusal_of_an_absent_thing_without_a_hint():
    for seed in range(300):
        for prompt, answer in dialogue_of(random.Random(seed), "passage"):
            if "does not say" in answer:
                assert " hint : " in prompt


def test_figures_count_what_is_right_and_no_more():
    parts = parts_of(4, "validation")
    gold = [example.extra["terse"] for rows in parts.values() for example, _ in rows]
    assert all(v == 100 for values in percent_right(parts, gold).values() for v in values.values())
    wrong = percent_right(parts, ["tower"] * len(gold))
    assert wrong["general"]["mean"] == 0 and wrong["home"]["unanswerable"] == 0
    mixed = percent_right(parts, ["i do not know"] * len(gold))
    assert mixed["home"] == {"answerable": 0, **{kind: 100 for kind in KINDS[1:]}, "unanswerable": 100}


def test_the_card_that_ships_is_made_from_the_figures_that_ship():
    skills = json.loads((MODEL_PATH / "skills.json").read_text())
    log = [json.loads(line) for line in (MODEL_PATH / "pretraining_log.jsonl").read_text().splitlines()]
    assert model_card(skills, skills["seed"], log) == (MODEL_PATH / "README.md").read_text()
    assert skills["general"]["mean"] >= 92 and min(skills["general"][skill] for skill in SKILLS) >= 80
    assert all(f["answerable"] >= 97 and 20 <= f["unanswerable"] <= 60 for f in skills["passages"].values())
