"""What explains the methods: forecasts on targets made by hand, verdicts flipped in exact shares, styles, and classes of forgetting."""

import json
import math
from dataclasses import replace

import pytest
import torch

from ssr_nb.judge import judge
from ssr_nb.microprobes import STYLES, in_style, micro_forgetting, micro_probe
from ssr_nb.microworld import general_examples, refuses, target_examples
from ssr_nb.models import load_model
from ssr_nb.records import Example, Response, Target, Verdict, write_records
from ssr_nb.respond import completion_logprobs, respond
from ssr_nb.settings import TrainingSettings
from ssr_nb.why import (_arm_row, CLASSES, Forecast, Probe, class_of, continued, flip_verdicts, forced_start, forecast, forecast_run, forgetting,
                        prefers_right, rank_correlation, score_targets, surprise_html)

VERDICTS = [Verdict(f"q{i}", "correct" if i < 40 else "incorrect" if i < 60 else "rejected" if i < 65 else "unparsed", 1.0, "because") for i in range(70)]


@pytest.fixture(scope="module")
def base():
    torch.set_num_threads(1)
    return load_model("microworld", backend="transformers")


def flipped(**shares):
    "The numbers of those whose label changed."
    return {i for i, v in enumerate(flip_verdicts(VERDICTS, **shares)) if v.label != VERDICTS[i].label}


@pytest.mark.parametrize("accepts, rejects", [(0, 0), (0.25, 0), (0, 0.25), (0.5, 0.75), (1, 1), (0.33, 0.11)])
def test_flips_are_exact_and_of_the_right_kind(accepts, rejects):
    found = flip_verdicts(VERDICTS, accepts, rejects)
    changed = [(a.label, b.label) for a, b in zip(VERDICTS, found) if a.label != b.label]
    assert changed.count(("incorrect", "correct")) == round(20 * accepts) and changed.count(("correct", "incorrect")) == round(40 * rejects)
    assert len(changed) == round(20 * accepts) + round(40 * rejects)
    assert all(b == a or b.reason == f"flipped: was {a.label}" for a, b in zip(VERDICTS, found))


def test_flips_follow_the_seed_and_are_nested():
    assert flipped(false_rejects=0.5, seed=1) == flipped(false_rejects=0.5, seed=1) != flipped(false_rejects=0.5, seed=2)
    assert flipped(false_rejects=0.25) < flipped(false_rejects=0.5) < flipped(false_rejects=1) == set(range(40))
    assert flipped(false_accepts=1) == set(range(40, 60))
    assert VERDICTS[0].label == "correct" and VERDICTS[0].reason == "because", "the verdicts given are left alone"


@pytest.mark.parametrize("shares", [{"false_accepts": -0.1}, {"false_rejects": 1.5}])
def test_shares_are_shares(shares):
    with pytest.raises(ValueError, match="expected a share"):
        flip_verdicts(VERDICTS, **shares)


def test_forecast_is_the_mean_surprise_of_tokens_with_a_loss(base):
    examples = target_examples(6, "train")
    targets = [Target(e.id, e.prompt, e.completion, "gold") for e in examples]
    values = [-v.double() for v in completion_logprobs(base, [(t.prompt, t.completion) for t in targets])]
    found = forecast(targets, base)
    assert found.nats == pytest.approx(float(torch.cat(values).mean())) and found.perplexity == pytest.approx(math.exp(found.nats))
    assert found.tokens == sum(map(len, values)) and found.targets == 6
    assert found.nats_per_target == pytest.approx(float(torch.cat(values).sum()) / 6)

    masked = [replace(targets[0], extra={"masked": [0]})] + targets[1:]
    rest = forecast(masked, base)
    assert rest.tokens == found.tokens - 1
    assert rest.nats * rest.tokens == pytest.approx(found.nats * found.tokens - float(values[0][0]))


def test_forecast_without_a_token_to_learn_is_an_error(base):
    target = Target("q", "where is it ?", "attic", "gold", {"masked": [0, 1]})
    with pytest.raises(ValueError, match="without a token that carries a loss"):
        forecast([target], base)


def test_own_answers_are_forecast_below_gold_and_gold_below_nonsense(base):
    examples = target_examples(20, "train")
    own = respond(examples, base, max_new_tokens=40, progress=False)
    nats = [forecast([Target(e.id, e.prompt, text, "gold") for e, text in zip(examples, texts)], base).nats
            for texts in ([r.response for r in own], [e.completion for e in examples], ["zelda zelda zelda zelda"] * 20)]
    assert nats == sorted(nats) and nats[0] < 0.5


def row(targets, nats, lost, plain=True):
    return {"method": targets, "learning_rate": 1e-3, "nats": nats, "nats_per_target": nats, "lost": [lost] * 3, "drift": [-lost] * 3, "targets": targets, "plain": plain}


def test_perfect_ranks_have_the_exact_p_of_their_orders():
    rows = [row(name, i, i * i) for i, name in enumerate("abcde")]
    found = rank_correlation(rows)
    assert found.rho == pytest.approx(1) and found.p == pytest.approx(2 / 120) and (found.arms, found.distinct) == (5, 5)
    assert rank_correlation(rows, outcome="drift").rho == pytest.approx(-1)


def test_methods_that_share_targets_are_one_observation():
    few = [row(name, i, i) for i, name in enumerate("abc")]
    many = few + [row("c", 2, 2 + i / 10) for i in range(1, 8)]
    assert rank_correlation(many).distinct == 3 and rank_correlation(many).p >= 1 / 6, "ten arms, but three target sets have six orders"
    with pytest.raises(ValueError, match="at least 3"):
        rank_correlation(many[2:])


def test_where_nothing_was_lost_nothing_is_ranked():
    found = rank_correlation([row(name, i, 0.0) for i, name in enumerate("abcd")])
    assert math.isnan(found.rho) and found.p == 1 and found.distinct == 4


def test_many_sets_are_dealt_at_random_and_unrelated_ones_have_no_small_p():
    rows = [row(f"m{i:02}", i, i) for i in range(12)]
    assert rank_correlation(rows, resamples=500).p == pytest.approx(1 / 501)
    assert rank_correlation([row(f"m{i:02}", i, (7 * i) % 12) for i in range(12)], resamples=500).p > 0.05


def test_forecast_of_a_run_reads_targets_and_summary(tmp_path, base):
    examples = target_examples(4, "train")
    targets = {"sft": [Target(e.id, e.prompt, e.completion, "gold") for e in examples], "own-style": [Target(e.id, e.prompt, in_style(e, "own"), "gold") for e in examples]}
    for name, made in targets.items():
        write_records(tmp_path / f"targets-{name}.jsonl", made)
    write_records(tmp_path / "targets-dft.jsonl", targets["sft"])
    recipe = {"trained_as": "", "loss": "nll", "beta": 0.0, "scale": 1.0}
    (tmp_path / "methods.json").write_text(json.dumps({"sft": recipe | {"targets": "a"}, "dft": recipe | {"targets": "a", "loss": "dft"}, "own-style": recipe | {"targets": "b"}}))
    general = {"base": [0.9, 0.8, 1.0], "sft": [0.4, 0.3, 0.6], "dft": [0.5, 0.5, 0.5], "own-style": [0.9, 0.9, 0.9]}
    arms = [{"method": m, "learning_rate": None if m == "base" else 1e-3, "general": g, "KL (general)": [0.1] * 3} for m, g in general.items()]
    (tmp_path / "summary.json").write_text(json.dumps({"figures": {"target": {}, "general": {}}, "arms": arms, "differences": [], "config": {"model": "microworld", "backend": "transformers"}}))

    rows = {r["method"]: r for r in forecast_run(tmp_path, base)}
    assert rows["sft"]["nats"] == rows["dft"]["nats"] == pytest.approx(forecast(targets["sft"], base).nats) and rows["own-style"]["nats"] < rows["sft"]["nats"]
    assert rows["sft"]["lost"] == pytest.approx([0.5, 0.3, 0.6]) and (rows["sft"]["plain"], rows["dft"]["plain"]) == (True, False)

    (tmp_path / "summary.json").write_text(json.dumps({"figures": {"target": {}}, "arms": arms, "differences": [], "config": {}}))
    with pytest.raises(ValueError, match="no figure of general skills"):
        forecast_run(tmp_path, base)


def test_surprise_page_shows_hostile_text_as_text(base):
    page = surprise_html(base, "<script>alert(1)</script>\u202e", {"<img src=x>": "<b>attic", "gold": "attic"})
    assert "<script" not in page and "<img" not in page and "<b>attic" not in page and "[U+202E]" in page
    assert page.count("perplexity") == 2 and ">end<br>" in page


def test_a_prompt_of_several_lines_keeps_them(base):
    page = surprise_html(base, "where is the drum ?\n\n<b>read</b> this .", {"gold": "attic"})
    assert "where is the drum ?<br><br>&lt;b&gt;read&lt;/b&gt; this ." in page and "U+000A" not in page


def test_arms_are_scored_once_under_any_name(tmp_path, base):
    from ssr_nb.evaluate import Suite

    suites = [Suite("target", target_examples(4, "test"), "micro")]
    targets = [Target(e.id, e.prompt, e.completion, "gold") for e in target_examples(8, "train")]
    quick = TrainingSettings(learning_rate=1e-3, steps=2)
    scores = score_targets({("one", 0): targets}, base, suites, quick, tmp_path)
    kept = {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()}
    again = score_targets({("other", 0): targets}, base, suites, quick, tmp_path)
    assert {p: p.stat().st_mtime_ns for p in tmp_path.iterdir()} == kept and len(kept) == 1
    assert again == [replace(s, method="other") for s in scores]
    score_targets({("one", 1): targets}, base, suites, quick, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2, "another seed is another arm"
    with pytest.raises(ValueError, match="without steps"):
        score_targets({("one", 0): targets}, base, suites, TrainingSettings())


@pytest.mark.parametrize("domain", ["home", "shifted", "jobs"])
def test_styles_tell_the_same_truth(domain):
    examples = target_examples(60, "train", domain)
    for style in ("own", "clipped", "telegram", "terse"):
        verdicts = judge(examples, [Response(e.id, in_style(e, style)) for e in examples], judge="micro")
        assert {v.label for v in verdicts} == {"correct"}, style
    assert all(in_style(e, "backwards").split()[::-1] == in_style(e, "own").split() for e in examples)
    assert all(in_style(e, "clipped") + " ." == in_style(e, "own") and "the" not in in_style(e, "telegram").split() for e in examples)
    with pytest.raises(ValueError, match=", ".join(STYLES)):
        in_style(examples[0], "loud")
    with pytest.raises(ValueError, match="passage question"):
        in_style(general_examples(1)[0], "own")


def test_probes_hold_one_right_answer_and_no_other():
    examples = general_examples(12)
    for example in examples:
        probe = micro_probe(example)
        texts = [probe.right, *probe.wrong]
        labels = [v.label for v in judge([example] * len(texts), [Response(example.id, t, extra={"sample": i}) for i, t in enumerate(texts)], judge="micro")]
        assert labels[0] == "correct" and probe.right.startswith(probe.start) and len(set(texts)) == len(texts) > 1
        if not (example.extra["skill"] == "category" and example.extra["key"] == "no"):  # a wrong kind leads to the right no as well
            assert "correct" not in labels[1:], (example.prompt, texts, labels)
        if probe.start:
            assert judge([example], [Response(example.id, probe.start)], judge="micro")[0].label != "correct", "the start gives nothing away"


@pytest.mark.parametrize("answer, kept, goes_on, prefers, expected", [
    ("in order this is 1 2 3 .", True, True, True, "kept"),
    ("in", False, True, True, "is brief"),
    ("", False, True, False, "is brief"),
    ("i do not know", False, True, True, "refuses"),
    ("the words are horse and train .", False, True, True, "says something else"),
    ("i do not know", False, False, True, "only recognises"),
    ("in", False, False, False, "does not know"),
    ("in", False, None, True, "is brief"),
    ("in", False, None, False, "does not know"),
])
def test_classes_of_forgetting(answer, kept, goes_on, prefers, expected):
    assert class_of(answer, "in order this is 1 2 3 .", kept, goes_on, prefers) == expected


def test_forced_start_stops_before_what_gives_it_away():
    assert forced_start("6 plus 8 is 14 . 14 plus 5 is 19 .", {"14", "19"}) == "6 plus 8 is"
    assert forced_start("45 is more than 44 .", {"45", "44"}) == "" and forced_start("the end .", {"x"}) == "the end ."


def test_base_model_goes_on_and_chooses_rightly(base):
    examples = [e for e in general_examples(4) if e.extra["skill"] in ("fact", "copy", "sort")]
    probes = [micro_probe(e) for e in examples]
    texts = continued(base, [e.prompt for e in examples], [p.start for p in probes])
    assert all(t.startswith(p.start) for t, p in zip(texts, probes))
    assert all(len(t.split()) == len(p.start.split()) + 20 for t, p in zip(continued(base, [e.prompt for e in examples], [p.start for p in probes], [20] * len(probes), 20), probes))
    assert sum(v.label == "correct" for v in judge(examples, [Response(e.id, t) for e, t in zip(examples, texts)], judge="micro")) >= 10
    assert sum(prefers_right(base, [e.prompt for e in examples], probes)) >= 10
    swapped = [Probe(p.start, p.wrong[0], (p.right,)) for p in probes]
    assert sum(prefers_right(base, [e.prompt for e in examples], swapped)) <= 2


def test_forgetting_takes_probes_of_ones_own(base):
    example = Example("repeat these words : horse train camel .", "again the words are horse train camel .", id="c",
                      extra={"skill": "copy", "key": ["horse", "train", "camel"]})
    probe = Probe("again the words are", example.completion, ("again the words are camel train horse .",))
    found = forgetting(base, [example], [Response("c", "i do not know")], [probe], "micro")
    assert found[0]["class"] == "refuses" and found[0]["continued"].startswith("again the words are horse train") and set(r["class"] for r in found) <= set(CLASSES)


def test_a_rule_of_ones_own_judges_and_tells_refusals(base):
    "Whatever the items are: the judge may be a function, and so may what counts as a refusal."
    example = Example("repeat these words : horse train camel .", "again the words are horse train camel .", id="c")
    probe = Probe("again the words are", example.completion, ("again the words are camel train horse .",))
    rule = lambda e, answer: Verdict(e.id, "correct" if answer == e.completion else "incorrect")
    for answer, refused, expected in (("no comment at all from me here", True, "refuses"), ("no comment at all from me here", False, "says something else"),
                                      (example.completion, True, "kept")):
        found = forgetting(base, [example], [Response("c", answer)], [probe], rule, lambda text: refused)
        assert found[0]["class"] == expected


def test_who_only_pretends_to_have_forgotten_is_found_out(base):
    examples = general_examples(3, "validation")
    rows = micro_forgetting(base, examples, [Response(e.id, "i do not know" if i % 2 else "attic") for i, e in enumerate(examples)])
    assert [row["id"] for row in rows] == [e.id for e in examples] and not any(row["class"] == "kept" for row in rows)
    assert sum(row["class"] in ("is brief", "refuses", "says something else") for row in rows) >= 0.9 * len(rows)
    assert all((row["class"] == "refuses") == refuses(row["answer"]) for row in rows if row["class"] not in ("only recognises", "does not know"))


def test_the_general_tools_know_no_world():
    import ssr_nb.why

    assert "microworld" not in open(ssr_nb.why.__file__, encoding="utf-8").read().lower()


@pytest.mark.parametrize("more, plain", [({}, True), ({"after": "lines"}, False), ({"renew": 40}, False), ({"scale": 0.5}, False),
                                         ({"beta": 0.1}, False), ({"loss": "dft"}, False)])
def test_the_forecast_is_about_gold_and_own_answers_learnt_as_they_stand(more, plain):
    arm = {"method": "mine", "learning_rate": 1e-3, "general": [0.9, 0.8, 1.0], "KL (general)": [0.1, 0.0, 0.2]}
    recipe = {"loss": "nll", "beta": 0.0, "scale": 1.0, "targets": "1"} | more
    assert _arm_row(arm, recipe, Forecast(1.0, 2.0, 10, 5), 1.0)["plain"] is plain
