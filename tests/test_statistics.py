"""The statistics on worlds whose truth is known, and the choices that must not look at the test items."""

import math

import numpy as np
import pytest
from scipy import optimize, stats

from ssr_nb.metrics import METRICS, Metric
from ssr_nb.records import Score
from ssr_nb.statistics import (FEW, LEAST, Figure, bootstrap_weights, chance_to_tell, columns, disagreement, estimate,
                               figures_of, holm, interval, interval_of, items_needed, mcnemar, power_with, sign_flip_interval, sign_flip_p,
                               summarize, tango, wilson)


def scores_of(method, rate, right, task="target", seeds=(0,), **extra):
    return [Score(f"q{i}", task, method, seed, rate, float(ok), extra={k: v[i] for k, v in extra.items()})
            for seed in seeds for i, ok in enumerate(right)]


def test_weights_draw_with_replacement():
    weights = bootstrap_weights(50, 4000, seed=3)
    assert weights.shape == (4000, 50) and (weights.sum(1) == 50).all()
    assert abs((weights == 0).mean() - (1 - 1 / 50) ** 50) < 0.01


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_agrees_with_scipy(seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.random((2, 150)) < [[0.7], [0.8]]).astype(float)
    arms = [("one", 1.0), ("two", 1.0)]
    found = estimate(Figure("target", "target"), scores_of("one", 1.0, a) + scores_of("two", 1.0, b),
                     arms).difference(arms[1], arms[0])
    theirs = stats.bootstrap((b - a,), np.mean, n_resamples=10_000, method="percentile", rng=rng).confidence_interval
    assert math.isclose(found[0], (b - a).mean(), abs_tol=1e-12)
    assert abs(found[1] - theirs.low) < 0.012 and abs(found[2] - theirs.high) < 0.012


def test_three_seeds_of_the_same_answers_say_no_more_than_one():
    rng = np.random.default_rng(0)
    right = (rng.random(100) < 0.6).astype(float)
    arm = ("sft", 1.0)
    one = estimate(Figure("target", "target"), scores_of(*arm, right), [arm]).of(arm)
    three = estimate(Figure("target", "target"), scores_of(*arm, right, seeds=(0, 1, 2)), [arm]).of(arm)
    assert np.allclose(one, three)


def test_items_of_one_group_are_drawn_together():
    rng = np.random.default_rng(0)
    right = np.repeat(rng.random(20) < 0.5, 5).astype(float)  # five questions a passage, all right or all wrong
    arm, groups = ("sft", 1.0), [f"p{i // 5}" for i in range(100)]
    alone = estimate(Figure("target", "target"), scores_of(*arm, right), [arm]).of(arm)
    grouped = estimate(Figure("target", "target"), scores_of(*arm, right, group=groups), [arm])
    assert grouped.units == 20 and grouped.items == 100
    assert (grouped.of(arm)[2] - grouped.of(arm)[1]) > 1.8 * (alone[2] - alone[1]), "sqrt(5) in theory"


def test_a_skill_with_more_items_does_not_count_for_more():
    arm = ("sft", 1.0)
    scores = scores_of(*arm, [1] * 30, task="general:easy") + scores_of(*arm, [0] * 10, task="general:hard")
    assert estimate(Figure("general", "general:"), scores, [arm]).of(arm)[0] == 0.5


def test_a_ratio_is_a_sum_over_a_sum():
    arm = ("sft", 1.0)
    scores = scores_of(*arm, [1, 1], gold_nats=[10.0, 2.0], gold_tokens=[5, 1])
    assert estimate(Figure("nats", "target", "gold_nats", "gold_tokens"), scores, [arm]).of(arm)[0] == 2.0


def test_the_rate_is_chosen_on_validation_and_never_on_the_test_items():
    scores = scores_of("base", None, [1, 0, 0, 0]) + scores_of("base", None, [1, 0, 0, 0], task="validation")
    for rate, test, validation in [(1e-4, [1, 1, 1, 1], [1, 0, 0, 0]), (1e-3, [1, 0, 0, 0], [1, 1, 1, 0]),
                                   (3e-3, [1, 1, 0, 0], [0, 1, 1, 1])]:
        scores += scores_of("sft", rate, test) + scores_of("sft", rate, validation, task="validation")
    summary = summarize(scores, resamples=100)
    assert [(a["method"], a["learning_rate"]) for a in summary["arms"]
            if a["quoted"]] == [("base", None), ("sft", 1e-3)], "of equals the lowest rate"
    assert summary["rate_chosen_on"] == "validation"
    assert summary["differences"][0]["target"][0] == 0.0


def two_methods(right_a, right_b, **extra):
    return scores_of("one", 1.0, right_a, **extra) + scores_of("two", 1.0, right_b, **extra)


ONE, TWO = ("one", 1.0), ("two", 1.0)
TARGET = Figure("target", "target")


def test_intervals_cover_what_they_promise():
    rng, weights = np.random.default_rng(0), bootstrap_weights(200, 1000)
    chances = rng.choice([0.1, 0.5, 0.95], (600, 200))
    differences = (rng.random((600, 200)) < chances) * 1.0 - (rng.random((600, 200)) < chances)
    covered = np.mean([low <= 0 <= high for low, high in map(interval, (weights @ differences.T).T)])
    assert 0.92 <= covered <= 0.98


def test_an_interval_leaves_out_resamples_without_a_value():
    assert interval(np.array([np.nan, 1.0, 2.0, 3.0])) == interval(np.array([1.0, 2.0, 3.0]))


def test_a_figure_of_tokens_that_a_resample_lacks_is_still_its_own():
    """Most resamples of two items in one task hold the only token;
    one in four doesn't, and must not borrow another arm's figure."""
    scores = [Score(f"q{i}", "target", m, 0, 1.0, 1.0, extra={"kl_nats": n * t, "kl_tokens": t})
              for m, n in (("one", 1.0), ("two", 9.0)) for i, t in enumerate([1, 0])]
    found = estimate(Figure("KL", "target", "kl_nats", "kl_tokens"), scores, [ONE, TWO], resamples=500)
    assert np.isnan(found.distribution).any()
    assert interval(found.distribution[:, 0]) == (1.0, 1.0) and interval(found.distribution[:, 1]) == (9.0, 9.0)
    assert found.of(ONE) == (1.0, None, None) and found.difference(TWO, ONE) == (8.0, None, None), "two items are too few"


@pytest.mark.parametrize("seed", range(3))
def test_sign_flips_agree_with_scipy(seed):
    rng = np.random.default_rng(seed)
    few = np.round(rng.normal(0.4, 1, size=11), 1)  # so few that SciPy goes through all 2048 swaps
    exact = stats.permutation_test((few,), np.sum, permutation_type="samples", n_resamples=np.inf).pvalue
    assert math.isclose(sign_flip_p(few), exact), "both go through all swaps"
    a, b = (rng.random((2, 150)) < [[0.7], [0.78]]).astype(float)
    assert abs(estimate(TARGET, two_methods(a, b), [ONE, TWO]).p(ONE, TWO)
               - mcnemar(scores_of("one", 1.0, a), scores_of("two", 1.0, b)).p) < 0.015


def test_sign_flips_are_two_sided_and_count_sums_of_thirds_as_equal():
    thirds = np.array([1 / 3, 2 / 3, -1 / 3, 1 / 3, 1.0, 1 / 3])
    assert sign_flip_p(thirds) == sign_flip_p(-thirds)
    assert abs(sign_flip_p(thirds) - sign_flip_p(np.round(3 * thirds))) < 1e-12
    assert sign_flip_p(np.ones(40)) == 1 / 10_001
    cancelled = np.array([1 / 3, 1 / 3, -2 / 3, 1 / 3, -1 / 3])  # a sum of zero, or of a hair more
    assert sign_flip_p(cancelled) == sign_flip_p(cancelled * 1e-6) == 1.0


@pytest.mark.parametrize("differences, p", [([], 1.0), ([0.5], 1.0), ([0, 1, 0], 1.0), ([1, 1], 0.5), ([1, 1, 1], 0.25),
                                            ([2, 2, 2, -1], 0.25), ([1] * 13, 2 / 2**13)])
def test_few_units_are_counted_and_not_drawn(differences, p):
    assert sign_flip_p(np.array(differences, dtype=float)) == p


def test_sign_flips_of_many_units_keep_their_memory():
    "Draws go through in batches, and do not depend on how many processes share the machine."
    differences = np.random.default_rng(0).choice([-1.0, 0.0, 1.0], 30_000, p=[0.2, 0.57, 0.23])
    assert sign_flip_p(differences, 200) == sign_flip_p(differences, 200) <= 2 / 201


def test_items_of_one_group_are_swapped_together():
    "Twenty items in four passages: at best 2 of the 16 ways to swap are as large."
    right, groups = np.ones(20), [f"p{i // 5}" for i in range(20)]
    assert estimate(TARGET, two_methods(right * 0, right), [ONE, TWO]).p(TWO, ONE) < 0.001
    grouped = estimate(TARGET, two_methods(right * 0, right, group=groups), [ONE, TWO]).p(TWO, ONE)
    assert grouped == 2 / 16


def test_three_seeds_of_the_same_answers_are_no_more_significant_than_one():
    rng = np.random.default_rng(0)
    a, b = (rng.random((2, 100)) < [[0.6], [0.75]]).astype(float)
    single = estimate(TARGET, two_methods(a, b), [ONE, TWO]).p(ONE, TWO)
    triple = estimate(TARGET, scores_of("one", 1.0, a) + scores_of("two", 1.0, b, seeds=(0, 1, 2)),
                      [ONE, TWO]).p(ONE, TWO)
    assert single == triple


def test_a_ratio_has_no_sign_flips():
    scores = scores_of("sft", 1.0, [1, 1], gold_nats=[10.0, 2.0], gold_tokens=[5, 1])
    found = estimate(Figure("nats", "target", "gold_nats", "gold_tokens"), scores, [("sft", 1.0)])
    with pytest.raises(ValueError, match="nats.*gold_tokens"):
        found.p(("sft", 1.0), ("sft", 1.0))


def test_holm_on_a_worked_example():
    """Five tests in no order: 5 x 0.005, 4 x 0.011, 3 x 0.02; then 2 x 0.04;
    and 0.06, which may not come below the one before it."""
    assert np.allclose(holm([0.02, 0.005, 0.06, 0.04, 0.011]), [0.06, 0.025, 0.08, 0.08, 0.044])
    assert holm([]) == [] and holm([0.03]) == [0.03] and holm([0.7, 0.6]) == [1.0, 1.0]


@pytest.mark.parametrize("p", [[0.001, 0.2, 0.012, 0.04], [0.5] * 6, [0.0, 1.0]])
def test_holm_rejects_what_the_stepwise_rule_rejects(p):
    "Holm's own wording: go up from the smallest, and stop at the first that is above 5% over the number of those left."
    left, rejected = len(p), set()
    for i in np.argsort(p):
        if p[i] > 0.05 / left:
            break
        rejected.add(int(i))
        left -= 1
    assert {i for i, adjusted in enumerate(holm(p)) if adjusted <= 0.05} == rejected


def test_mcnemar_is_the_binomial_test_of_the_discordant_items():
    a, b = [1] * 9 + [0] * 2 + [1] * 30 + [0] * 10, [0] * 9 + [1] * 2 + [1] * 30 + [0] * 10
    assert mcnemar(scores_of("a", 1.0, a), scores_of("b", 1.0, b)[::-1]) == (9, 2, stats.binomtest(9, 11).pvalue)
    assert mcnemar(scores_of("a", 1.0, a), scores_of("b", 1.0, a)) == (0, 0, 1.0)


@pytest.mark.parametrize("theirs, message", [
    (scores_of("b", 1.0, [1, 0]), "'q2'"), (scores_of("b", 1.0, [1, 0, 1], seeds=(0, 1)), "'q0' twice"),
    (scores_of("b", 1.0, [1, 0, 1], task="validation"), "6 items"), (scores_of("b", 1.0, [1, 0, 0.5]), "0.5 .*'q2'")])
def test_mcnemar_wants_two_single_runs_of_the_same_items(theirs, message):
    scores = theirs if theirs[-1].score != 0.5 else [*theirs[:2], Score("q2", "target", "b", 0, 1.0, 0.5)]
    with pytest.raises(ValueError, match=message):
        mcnemar(scores_of("a", 1.0, [1, 1, 1]), scores)


def a_run(methods=("sft", "ssr", "rft")):
    rng = np.random.default_rng(1)
    easy = rng.random(80)
    scores = []
    for task in ("target", "validation", "shift:jobs", "general:sums", "general:facts"):
        scores += scores_of("base", None, easy < 0.5, task=task, kl_nats=[0.0] * 80, kl_tokens=[3] * 80)
        for m in methods:
            gain = 0.45 if (m, task) == ("sft", "target") else 0.02
            scores += scores_of(m, 1e-3, easy < 0.5 + gain, task=task, seeds=(0, 1),
                                kl_nats=list(rng.exponential(0.2, 80)), kl_tokens=[3] * 80)
    return scores


def test_every_difference_has_an_interval_and_the_tested_ones_a_corrected_p():
    summary = summarize(a_run(), resamples=500)
    pairs = {(d["method"], d["against"]) for d in summary["differences"]}
    assert pairs == {(m, b) for m in ("sft", "ssr", "rft") for b in ("base", "sft", "ssr") if m != b}
    assert summary["families"] == {"base": 6, "sft": 4, "ssr": 4}
    for d in summary["differences"]:
        assert {"target", "jobs", "general", "KL (target)", "KL (general)"} <= set(d)
        assert all(d[f][1] <= d[f][0] <= d[f][2] for f in summary["figures"])
        assert set(d["p"]) == set(d["p_holm"]) == {"target", "general"}


def test_a_family_is_all_that_meets_one_baseline():
    few, many = (summarize(a_run(methods), resamples=500)
                 for methods in (("sft", "ssr"), ("sft", "ssr", "rft", "dft", "kl")))
    for summary, tests in ((few, 4), (many, 10)):
        against = [d for d in summary["differences"] if d["against"] == "base"]
        raw, corrected = ([d[key][f] for d in against for f in ("target", "general")] for key in ("p", "p_holm"))
        assert len(raw) == tests and corrected == holm(raw)
        sft = against[[d["method"] for d in against].index("sft")]
        assert sft["p"]["target"] == 1 / 501 and math.isclose(sft["p_holm"]["target"], tests / 501)


# --- which figures there are, and what is known of them


def test_a_figure_is_told_by_its_metric_and_not_by_its_name():
    "Domains with names that look like something else are shares of right answers, as any domain is."
    names = ["KL (target)", "gold nats", "general", "general:sums", "p", "p_holm", "quoted", "seeds", "method", "target",
             "a:b", "a:c", "answerable"]
    kl = {"kl_nats": [0.1, 0.1], "kl_tokens": [2, 2]}
    scores = scores_of("base", None, [1, 0], **kl) + scores_of("sft", 1.0, [1, 1], **kl)
    for name in names:
        for method, rate in (("base", None), ("sft", 1.0)):
            scores += scores_of(method, rate, [1, 0], task=f"shift:{name}")
    scores += scores_of("base", None, [1, 0], task="general:sums") + scores_of("sft", 1.0, [0, 0], task="general:sums")
    summary = summarize(scores, resamples=50)
    shifted = {name: c for name, c in summary["columns"].items() if c["role"] == "shift"}
    assert {c["heading"] for c in shifted.values()} == set(names) and len(shifted) == len(names)
    assert all((c["metric"], c["format"], c["tested"]) == ("accuracy", "percent", False) for c in shifted.values())
    assert set(summary["columns"]) == set(summary["figures"])
    for arm in summary["arms"]:
        assert arm["method"] in ("base", "sft") and arm["seeds"] == 1 and arm["quoted"] is True
        assert all(arm[name][0] == 0.5 for name in shifted)
    assert summary["columns"]["KL (target)"]["metric"] == "kl_nats" and summary["arms"][1]["KL (target)"][0] == 0.05
    assert set(summary["differences"][0]["p"]) == {"target", "general"}


def test_further_metrics_of_the_target_get_figures_and_no_tests():
    scores = []
    for method, rate, f1 in (("base", None, [0.5, 0.1, 0.0]), ("sft", 1.0, [1.0, 0.9, 0.2])):
        for task in ("target", "general:squad"):
            scores += scores_of(method, rate, [1, 0, 0], task=task, f1=f1, exact_match=[1, 0, 0], label=["correct"] * 3,
                                brief=[True] * 3)
    summary = summarize(scores, resamples=100)
    assert list(summary["figures"]) == ["target", "exact_match (target)", "f1 (target)", "general", "general:squad"]
    assert math.isclose(summary["arms"][1]["f1 (target)"][0], 0.7)
    column = summary["columns"]["f1 (target)"]
    assert (column["heading"], column["format"], column["better"], column["tested"], column["role"], column["table"]) == (
        "F1", "percent", "higher", False, "target", True)
    assert summary["families"] == {"base": 2}


def test_a_score_says_which_metric_it_is():
    scores = scores_of("base", None, [0.5, 1], metric=["f1", "f1"], f1=[0.5, 1], accuracy=[0, 1])
    scores += scores_of("base", None, [1, 1], task="general:sums")
    scores += scores_of("base", None, [1, 0.5], task="general:squad", metric=["f1", "f1"])
    found = {f.name: f.metric for f in figures_of(scores)}
    assert found == {"target": "f1", "accuracy (target)": "accuracy", "general": "score", "general:squad": "f1",
                     "general:sums": "accuracy"}, "what the score is, isn't measured a second time"
    with pytest.raises(ValueError, match="'exact_mach'.*did you mean 'exact_match'"):
        figures_of(scores_of("base", None, [1], metric=["exact_mach"]))


@pytest.fixture
def words():
    yield METRICS.add(Metric("words", "words", lambda e, a, v: len(a.split()), "number", "lower", tested=False))
    del METRICS["words"]


def test_a_metric_of_which_less_is_better(words):
    "The rate with the fewest words is quoted; nothing is tested; and words are not averaged with shares."
    kind = {"metric": ["words"] * 3}
    scores = scores_of("base", None, [9, 9, 9], **kind)
    for rate, said in ((1e-4, [7, 7, 7]), (1e-3, [3, 3, 4]), (3e-3, [5, 5, 5])):
        scores += scores_of("ssr", rate, said, **kind)
    summary = summarize(scores, resamples=50)
    assert [a["learning_rate"] for a in summary["arms"] if a["quoted"]] == [None, 1e-3]
    assert summary["figures"]["target"]["better"] == summary["columns"]["target"]["better"] == "lower"
    assert summary["columns"]["target"]["format"] == "number" and summary["families"] == {}
    mixed = [*scores_of("base", None, [1], task="general:sums"), *scores_of("base", None, [7], task="general:prose",
                                                                           metric=["words"])]
    with pytest.raises(ValueError, match="'general': found scores of accuracy and words"):
        figures_of(mixed)


def test_a_measure_of_two_roles_says_which():
    both = columns([Figure("KL (target)", "target", "kl_nats", "kl_tokens", metric="kl_nats"),
                    Figure("KL (general)", "general:", "kl_nats", "kl_tokens", metric="kl_nats")])
    assert [c["heading"] for c in both.values()] == ["KL target, nats/token", "KL general, nats/token"]
    assert columns([Figure("f1 (target)", "target", "f1", metric="f1")])["f1 (target)"]["heading"] == "F1"


def test_power_agrees_with_the_power_of_the_exact_test():
    "The exact test's own power, summed over every outcome, not drawn."
    difference, disagree = 0.1, 0.2
    items = items_needed(difference, disagree)
    discordant = np.arange(items + 1)
    seen = np.zeros(items + 1)
    for n in discordant:
        k = np.arange(n + 1)
        seen[n] = stats.binom.pmf(
            k, n, 0.5 + difference / disagree / 2)[2 * stats.binom.cdf(np.minimum(k, n - k), n, 0.5) <= 0.05].sum()
    assert abs((stats.binom.pmf(discordant, items, disagree) * seen).sum() - 0.8) < 0.02


def test_power_and_items_are_each_others_inverse():
    for settings in ({}, {"level": 0.01}, {"seeds": 3, "correlation": 0.4}):
        for power in (0.5, 0.8, 0.95):
            items = items_needed(-0.06, 0.25, power=power, **settings)
            assert power_with(items - 1, -0.06, 0.25, **settings) < power <= power_with(items, -0.06, 0.25, **settings)


def test_seeds_count_for_as_much_as_they_err_apart():
    one, apart, alike, some = (items_needed(0.05, 0.2, seeds=s, correlation=c)
                               for s, c in ((1, 0.0), (4, 0.0), (4, 1.0), (4, 0.5)))
    assert abs(apart - one / 4) < 2 and apart < some < alike <= one


@pytest.mark.parametrize("settings", [(0.0, 0.2), (0.3, 0.2), (0.1, 1.1), (1.0, 1.0), (0.1, 0.2, 0.8, 0.05, 0),
                                      (0.1, 0.2, 0.8, 0.05, 3, 1.5)])
def test_impossible_differences_are_refused(settings):
    with pytest.raises(ValueError, match="found .*expected"):
        items_needed(*settings)


def test_disagreement_is_measured_on_a_pilot():
    rng = np.random.default_rng(0)
    own = rng.choice([0.1, 0.9], 4000)  # half the items are learnt, half aren't; a seed errs on its own
    a, b = scores_of("a", None, [0.0] * 4000), []
    for seed in range(3):
        b += [Score(f"q{i}", "target", "b", seed, 1.0, float(ok)) for i, ok in enumerate(rng.random(4000) < own)]
    share, correlation = disagreement(b, a)
    assert abs(share - 0.5) < 0.02 and abs(correlation - 0.64) < 0.03  # 0.4 ** 2 of a variance of 0.25
    assert disagreement(b[:4000], a)[1] == 1.0
    with pytest.raises(ValueError, match="1 items .*q0.*same items"):
        disagreement(b, a[1:])
    with pytest.raises(ValueError, match="q3999"):
        disagreement(b[:-1], a)
    with pytest.raises(ValueError, match="3 seeds against 2"):
        disagreement(b, b[:8000])


def test_a_benchmark_s_own_names_for_its_metrics_make_one_mean():
    "lm-eval calls its shares acc, mc2, exact_match: none of them is a row of METRICS by need."
    scores = [Score(f"{task}/{i}", f"general:{task}", method, 0, rate, float(ok), extra={"benchmark_metric": metric})
              for task, metric in (("quiz", "acc"), ("truth", "mc2")) for method, rate, right in
              (("base", None, [1, 1, 0]), ("sft", 1e-3, [1, 0, 0])) for i, ok in enumerate(right)]
    summary = summarize(scores, resamples=100)
    assert summary["columns"]["general"]["format"] == "percent"
    assert [round(arm["general"][0], 3) for arm in summary["arms"]] == [0.667, 0.333]


# --- few items, and items that are all alike


@pytest.mark.parametrize("items", [1, 3, 10, 29, 200])
def test_wilson_is_scipy_s(items):
    for right in {0, 1, items // 2, items}:
        theirs = stats.binomtest(right, items).proportion_ci(method="wilson")
        assert np.allclose(wilson(right / items, items), (theirs.low, theirs.high))
    assert wilson(1.0 + 1e-12, items)[1] == 1.0 and wilson(-1e-12, items)[0] == 0.0, "sums of thirds are not exact"


def score_distance(true: float, gains: int, losses: int, items: int) -> float:
    "How many standard errors lie between what was found and `true`; the likelihood's maximum is searched, not solved."
    least, most = max(0.0, -true), (1 - true) / 2

    def unlikely(lost: float) -> float:
        chances = [lost + true, lost, 1 - 2 * lost - true]
        return -sum(n * math.log(max(c, 1e-300)) for n, c in zip((gains, losses, items - gains - losses), chances))

    lost = optimize.minimize_scalar(unlikely, bounds=(least, most), method="bounded", options={"xatol": 1e-12}).x
    return (gains - losses - items * true) / math.sqrt(items * (2 * lost + true - true**2))


@pytest.mark.parametrize("gains, losses, items", [(3, 0, 3), (1, 0, 3), (0, 0, 3), (6, 0, 6), (5, 2, 10), (0, 4, 10),
                                                  (12, 2, 50), (30, 18, 200), (0, 0, 200)])
def test_tango_s_ends_are_1_96_standard_errors_away(gains, losses, items):
    low, high = tango(gains / items, losses / items, items)
    z = stats.norm.ppf(0.975)
    assert low == -1 or abs(score_distance(low, gains, losses, items) - z) < 1e-3
    assert high == 1 or abs(score_distance(high, gains, losses, items) + z) < 1e-3
    assert low <= (gains - losses) / items <= high
    assert np.allclose(tango(losses / items, gains / items, items), (-high, -low)), "the other way round is its mirror"


@pytest.mark.parametrize("items", [2, 3, 4, 5, 6, 8, 12])
def test_three_of_three_is_no_certainty(items):
    "Zero leaves the interval about where the exact test sees the difference, and never with three items."
    found = estimate(TARGET, two_methods([0] * items, [1] * items), [ONE, TWO])
    theirs = stats.binomtest(items, items).proportion_ci(method="wilson")
    assert np.allclose(found.of(TWO), (1.0, theirs.low, 1.0)) and np.allclose(found.of(ONE), (0.0, 0.0, 1 - theirs.low))
    difference, low, high = found.difference(TWO, ONE)
    assert difference == high == 1.0 and low < 1
    assert (low > 0) == (stats.binomtest(items, items).pvalue < 0.15)


@pytest.mark.parametrize("right, how", [([1] * 200, "Wilson"), ([0] * 40, "Wilson"), ([1, 0] * 14 + [1], "Wilson"),
                                        ([1, 0] * 15, "bootstrap"), ([1] * 199 + [0], "bootstrap")])
def test_the_bootstrap_stays_where_there_are_items_enough_that_differ(right, how):
    found = estimate(TARGET, scores_of("sft", 1.0, right), [("sft", 1.0)])
    made = interval_of(found, ("sft", 1.0))
    assert made.how == how and made.low < made.high
    if how == "bootstrap":
        assert len(right) >= FEW and made[:2] == interval(found.distribution[:, 0])


def test_models_that_answer_alike_are_not_known_to_be_alike():
    right = [1, 0] * 100
    found = estimate(TARGET, two_methods(right, right), [ONE, TWO])
    assert interval_of(found, TWO, ONE).how == "Tango" and interval_of(found, TWO).how == "bootstrap"
    assert np.allclose(found.difference(TWO, ONE), (0, -0.0188, 0.0188), atol=1e-4)


def test_the_unit_of_a_small_interval_is_the_item_or_the_group_and_not_the_seed():
    single = estimate(TARGET, two_methods([0] * 3, [1] * 3), [ONE, TWO])
    seeds = estimate(TARGET, two_methods([0] * 3, [1] * 3, seeds=(0, 1, 2)), [ONE, TWO])
    groups = estimate(TARGET, two_methods([0] * 60, [1] * 60, group=[f"p{i // 20}" for i in range(60)]), [ONE, TWO])
    for found in (seeds, groups):
        assert np.allclose(found.of(TWO), single.of(TWO)) and np.allclose(found.difference(TWO, ONE),
                                                                          single.difference(TWO, ONE))


def test_thirds_of_a_right_answer_are_between_right_and_wrong():
    scores = [Score(f"q{i}", "target", m, s, 1.0, float(m == "two" and s <= i)) for m in ("one", "two")
              for s in range(3) for i in range(3)]
    found = estimate(TARGET, scores, [ONE, TWO])
    assert np.allclose(found.of(TWO)[1:], wilson(2 / 3, 3)) and np.allclose(found.difference(TWO, ONE)[1:],
                                                                           tango(2 / 3, 0, 3))


@pytest.mark.parametrize("items, extra, how", [(1, {}, "none: one item"), (20, {"group": ["p"] * 20}, "none: one group")])
def test_one_group_has_no_interval(items, extra, how):
    right = [1, 0] * (items // 2) or [1]
    summary = summarize(two_methods([0] * items, right, **extra), resamples=50)
    for row in [*summary["arms"], *summary["differences"]]:
        assert row["target"][1:] == (None, None) and row["intervals"] == {"target": how}


def test_a_skill_of_one_item_counts_in_the_interval_of_the_mean():
    "It carries half of the mean, which the bootstrap takes for certain, since it can draw nothing else."
    scores = scores_of("sft", 1.0, [1, 0] * 50, task="general:many") + scores_of("sft", 1.0, [1], task="general:one")
    found = estimate(Figure("general", "general:"), scores, [("sft", 1.0)])
    mean, low, high = found.of(("sft", 1.0))
    assert mean == 0.75 and np.allclose((low, high), wilson(0.75, 1 / (0.5**2 + 100 * 0.005**2)))


@pytest.mark.parametrize("items, how", [(1, "none: one item"), (LEAST - 1, "none: too few items"), (LEAST, "bootstrap")])
def test_what_is_not_a_share_needs_some_items(items, how):
    nats = list(np.random.default_rng(0).exponential(size=items))
    found = estimate(Figure("KL", "target", "kl_nats", "kl_tokens", metric="kl_nats"),
                     scores_of("sft", 1.0, [1] * items, kl_nats=nats, kl_tokens=[1] * items), [("sft", 1.0)])
    assert interval_of(found, ("sft", 1.0)).how == how
    same = estimate(found.figure, scores_of("sft", 1.0, [1] * 40, kl_nats=[0.0] * 40, kl_tokens=[1] * 40), found.arms)
    assert interval_of(same, ("sft", 1.0)) == (None, None, "none: all items alike")


@pytest.mark.parametrize("items", [3, 10])
def test_small_intervals_cover_what_they_promise(items):
    "Every outcome is listed with its chance; the bootstrap holds the truth far less often."
    outcomes = [(g, l) for g in range(items + 1) for l in range(items + 1 - g)]
    ends = [tango(g / items, l / items, items) for g, l in outcomes]
    for gained, lost in ((0.05, 0.05), (0.2, 0.1), (0.5, 0.05), (0.9, 0.05)):
        chances = stats.multinomial.pmf([(g, l, items - g - l) for g, l in outcomes], items,
                                        [gained, lost, 1 - gained - lost])
        assert sum(p for p, (low, high) in zip(chances, ends) if low <= gained - lost <= high) > 0.9


def test_the_chance_to_tell_is_the_power_at_the_disagreement_that_was_found():
    rng = np.random.default_rng(0)
    a, b = (rng.random((2, 200)) < [[0.6], [0.65]]).astype(float)
    found = estimate(TARGET, two_methods(a, b), [ONE, TWO])
    share = float((a != b).mean())
    assert chance_to_tell(found, TWO, ONE) == pytest.approx(
        {"difference": 0.05, "power": power_with(200, 0.05, share), "needed": items_needed(0.05, share)})
    alike = chance_to_tell(estimate(TARGET, two_methods(a, a), [ONE, TWO]), TWO, ONE)
    assert alike["needed"] == items_needed(0.05, 0.05), "no disagreement was seen; the difference itself is some"
    groups = estimate(TARGET, two_methods(a, b, group=[f"p{i // 20}" for i in range(200)]), [ONE, TWO])
    assert groups.units == 10 and chance_to_tell(groups, TWO, ONE)["power"] < chance_to_tell(found, TWO, ONE)["power"]


def test_a_summary_says_how_its_intervals_came_about_and_whether_there_are_items_enough():
    rows = summarize(a_run(("sft", "ssr")), resamples=100)
    assert rows["differences"][0]["intervals"] == {} and set(rows["differences"][0]["power"]) == {"target", "general"}
    assert rows["arms"][0]["intervals"] == {"KL (target)": "none: all items alike", "KL (general)": "none: all items alike"}


def in_groups(moves, size=20):
    "Scores of two methods: in each group of so many items, the second has so large a share more (or less) right."
    a, b, group = [], [], []
    for g, move in enumerate(moves):
        up = round(abs(move) * size)
        gain, none = ([0] * up, [1] * up) if move > 0 else ([1] * up, [0] * up), [1] * (size - up)
        a, b, group = a + gain[0] + none, b + gain[1] + none, group + [f"g{g}"] * size
    return estimate(TARGET, two_methods(a, b, group=group), [ONE, TWO])


@pytest.mark.parametrize("seed", range(30))
def test_with_few_groups_the_interval_excludes_zero_just_where_the_p_value_does(seed):
    rng = np.random.default_rng(seed)
    moves = np.clip(rng.normal(rng.choice([0, 0.1, 0.3]), 0.15, rng.integers(2, 14)).round(2), -1, 1)
    found = in_groups(moves)
    difference, low, high = found.difference(TWO, ONE)
    if low is None:
        assert interval_of(found, TWO, ONE).how.startswith("none: ")
    else:
        assert low <= difference + 1e-9 and difference <= high + 1e-9
        assert (low > 0 or high < 0) == (found.p(TWO, ONE) <= 0.05), (moves, low, high, found.p(TWO, ONE))


@pytest.mark.parametrize("n", [3, 4, 5, 6, 9])
@pytest.mark.parametrize("move", [0.1, 0.5, 1.0])
def test_groups_all_alike_have_no_interval_of_width_zero_and_none_against_their_p_value(n, move):
    found = in_groups([move] * n)
    made = interval_of(found, TWO, ONE)
    assert made.low is None and made.how.startswith("none: ") or (
        made.high - made.low > 0.2 and (made.low > 0) == (found.p(TWO, ONE) <= 0.05))


def test_the_interval_of_flips_holds_what_the_flips_do_not_refuse():
    moved, weight = np.array([0.1, 0.3, -0.05, 0.2, 0.15, 0.02, 0.25]), np.array([1, 2, 1, 1, 1, 1, 2]) / 9
    low, high = sign_flip_interval(moved * weight, weight)
    for true, kept in [(low - 0.003, False), (low + 0.003, True), (high - 0.003, True), (high + 0.003, False)]:
        assert (sign_flip_p((moved - true) * weight) > 0.05) == kept


def test_ungrouped_differences_keep_their_interval():
    few = estimate(TARGET, two_methods([0, 0, 1, 1, 0, 0, 1, 0], [1, 1, 1, 1, 1, 0, 1, 1]), [ONE, TWO])
    assert interval_of(few, TWO, ONE).how == "Tango"
