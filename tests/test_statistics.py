"""The statistics on worlds whose truth is known, and the choices that must not look at the test items."""

import math

import numpy as np
import pytest
from scipy import stats

from ssr_nb.records import Score
from ssr_nb.statistics import Metric, bootstrap_weights, estimate, summarize


def scores_of(method, rate, right, task="target", seeds=(0,), **extra):
    return [Score(f"q{i}", task, method, seed, rate, float(ok), extra={k: v[i] for k, v in extra.items()}) for seed in seeds for i, ok in enumerate(right)]


def test_weights_draw_with_replacement():
    weights = bootstrap_weights(50, 4000, seed=3)
    assert weights.shape == (4000, 50) and (weights.sum(1) == 50).all()
    assert abs((weights == 0).mean() - (1 - 1 / 50) ** 50) < 0.01


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_agrees_with_scipy(seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.random((2, 150)) < [[0.7], [0.8]]).astype(float)
    arms = [("one", 1.0), ("two", 1.0)]
    found = estimate(Metric("target", "target"), scores_of("one", 1.0, a) + scores_of("two", 1.0, b), arms).difference(arms[1], arms[0])
    theirs = stats.bootstrap((b - a,), np.mean, n_resamples=10_000, method="percentile", rng=rng).confidence_interval
    assert math.isclose(found[0], (b - a).mean(), abs_tol=1e-12)
    assert abs(found[1] - theirs.low) < 0.012 and abs(found[2] - theirs.high) < 0.012


def test_three_seeds_of_the_same_answers_say_no_more_than_one():
    rng = np.random.default_rng(0)
    right = (rng.random(100) < 0.6).astype(float)
    arm = ("sft", 1.0)
    one = estimate(Metric("target", "target"), scores_of(*arm, right), [arm]).of(arm)
    three = estimate(Metric("target", "target"), scores_of(*arm, right, seeds=(0, 1, 2)), [arm]).of(arm)
    assert np.allclose(one, three)


def test_items_of_one_group_are_drawn_together():
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(20) < 0.5, 5).astype(float)  # five questions a passage, all right or all wrong
    arm, groups = ("sft", 1.0), [f"p{i // 5}" for i in range(100)]
    alone = estimate(Metric("target", "target"), scores_of(*arm, right), [arm]).of(arm)
    grouped = estimate(Metric("target", "target"), scores_of(*arm, right, group=groups), [arm])
    assert grouped.units == 20 and grouped.items == 100
    assert (grouped.of(arm)[2] - grouped.of(arm)[1]) > 1.8 * (alone[2] - alone[1]), "sqrt(5) in theory"


def test_a_skill_with_more_items_does_not_count_for_more():
    arm = ("sft", 1.0)
    scores = scores_of(*arm, [1] * 30, task="general:easy") + scores_of(*arm, [0] * 10, task="general:hard")
    assert estimate(Metric("general", "general:"), scores, [arm]).of(arm)[0] == 0.5


def test_a_ratio_is_a_sum_over_a_sum():
    arm = ("sft", 1.0)
    scores = scores_of(*arm, [1, 1], gold_nats=[10.0, 2.0], gold_tokens=[5, 1])
    assert estimate(Metric("nats", "target", "gold_nats", "gold_tokens"), scores, [arm]).of(arm)[0] == 2.0


def test_the_rate_is_chosen_on_validation_and_never_on_the_test_items():
    scores = scores_of("base", None, [1, 0, 0, 0]) + scores_of("base", None, [1, 0, 0, 0], task="validation")
    for rate, test, validation in [(1e-4, [1, 1, 1, 1], [1, 0, 0, 0]), (1e-3, [1, 0, 0, 0], [1, 1, 1, 0]), (3e-3, [1, 1, 0, 0], [0, 1, 1, 1])]:
        scores += scores_of("sft", rate, test) + scores_of("sft", rate, validation, task="validation")
    summary = summarize(scores, resamples=100)
    assert [(a["method"], a["learning_rate"]) for a in summary["arms"] if a["quoted"]] == [("base", None), ("sft", 1e-3)], "of equals the lowest rate"
    assert summary["rate_chosen_on"] == "validation"
    assert summary["differences"][0]["target"][0] == 0.0
