"""Real text of real length takes every stage without a special case. Quality is not the point here."""

import json
from collections import Counter
from pathlib import Path

import pytest
from conftest import make_small_llama, real_data

from ssr_nb.judge import judge
from ssr_nb.records import Target, read_records, write_records
from ssr_nb.rehearse import mix, rehearse
from ssr_nb.tasks import load_examples

SAMPLES = Path(__file__).parent / "data"


def whole_way(examples, folder):
    "respond, judge, rehearse, train, evaluate with a small Llama; gives what each stage made."
    from ssr_nb.evaluate import Suite, evaluate
    from ssr_nb.adapters import adapter_disabled
    from ssr_nb.machine import set_threads
    from ssr_nb.models import load_model
    from ssr_nb.respond import respond
    from ssr_nb.settings import TrainingSettings
    from ssr_nb.train import train

    set_threads(1)
    model = make_small_llama(folder / "model", [e.prompt for e in examples])
    lm = load_model(str(model), backend="transformers")
    write_records(folder / "examples.jsonl", examples)
    responses = respond(examples, lm, folder / "responses.jsonl", max_new_tokens=8, progress=False)
    # a random model says nothing right: a stand-in for a model that knows some answers, brought
    # as answers made elsewhere
    for response, example in list(zip(responses, examples))[::3]:
        response.response, response.finish_reason = (example.answers
                                                     or ["This cannot be answered from the passage."])[0], "stop"
    verdicts = judge(examples, responses, judge="squad", out=folder / "verdicts.jsonl")
    targets = rehearse(examples, responses, verdicts, "ssr")
    write_records(folder / "targets.jsonl", targets)
    trained = train(read_records(folder / "targets.jsonl", Target), lm, folder / "adapter",
                    TrainingSettings(learning_rate=1e-3, steps=3, batch_size=4), progress=False)
    suites = [Suite("target", examples[:12], "squad"), Suite("general", examples[12:16], "contains", "more")]
    with adapter_disabled(trained.lm) as base:
        before = evaluate(base, suites, max_new_tokens=4, progress=False)
    after = evaluate(trained.lm, suites, method="ssr", base_scores=before, max_new_tokens=4, progress=False)
    return responses, verdicts, targets, trained, after


def check_whole_way(examples, folder):
    responses, verdicts, targets, trained, after = whole_way(examples, folder)
    assert len(responses) == len(verdicts) == len(targets) == len(examples)
    share = mix(examples, targets, responses, verdicts)
    assert sum(share.sources.values()) == len(examples) and share.sources["own"] >= len(examples[::3]) * 0.9
    assert {t.id: t.completion
            for t in targets if t.source == "gold"}.items() <= {e.id: e.completion for e in examples}.items()
    assert len(trained.losses) == 3 and (folder / "adapter" / "adapter_model.safetensors").exists()
    assert Counter(s.task for s in after) == {"target": 12, "general:more": 4}
    assert all(s.extra["gold_tokens"] > 0 and s.extra["gold_nats"] > 0 for s in after)


def test_a_sample_of_squad_goes_the_whole_way(tmp_path):
    examples = load_examples(SAMPLES / "squad_sample.json")
    while len(examples) < 16:  # the sample is small; its questions, asked again in other words
        examples += [type(e)(e.prompt + " Please.", e.completion, answers=e.answers, answerable=e.answerable,
                             group=e.group) for e in examples[: 16 - len(examples)]]
    check_whole_way(examples, tmp_path)


def test_64_real_questions_of_squad_go_the_whole_way(tmp_path):
    examples = load_examples(real_data("squad_v2_dev_slice.json"))
    assert len(examples) == 1287
    check_whole_way(examples[::20][:64], tmp_path)


def test_real_answers_made_elsewhere_become_ssr_targets():
    from ssr_nb.formats import load_solutions

    examples, responses = load_solutions(real_data("gsm8k_model_solutions_slice.jsonl"))
    verdicts = judge(examples, responses, judge="numeric")
    published = [r.extra["is_correct"] for r in responses]
    assert len(verdicts) == 400 and [v.label == "correct" for v in verdicts] == published
    targets = rehearse(examples, responses, verdicts, "ssr")
    own = {r.id for r, ok in zip(responses, published) if ok}
    assert {t.id for t in targets if t.source == "own"} == own and len(targets) == 100
    with_steps = next(t for t in targets if t.source == "gold")
    assert with_steps.completion == next(e.completion for e in examples if e.id == with_steps.id)


@pytest.mark.parametrize("name, count", [("gsm8k_train_slice.jsonl", 2000), ("gsm8k_test_slice.jsonl", 300)])
def test_real_gsm8k_gold_is_judged_right_and_another_number_wrong(name, count):
    from ssr_nb.records import Response

    examples = load_examples(real_data(name))
    assert len(examples) == count
    gold = judge(examples, [Response(e.id, e.completion) for e in examples], judge="numeric")
    assert [v.label for v in gold] == ["correct"] * count
    wrong = judge(examples, [Response(e.id, f"The answer is {int(float(e.answers[0].replace(',', ''))) + 1}.")
                             for e in examples], judge="numeric")
    assert [v.label for v in wrong] == ["incorrect"] * count
