"""The kept answers with labels: no passage in them, put together again from the publishers' rows, and a summary that
belongs to them."""

import json
import sys
from pathlib import Path

import pytest
from conftest import real_data

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
from judges import (HERE, LIKELY, PROMPTS, QUOTED, SMALL, Item, figures, folded, gsm8k_items, joined, key, labelled, sentence_around,
                    squad_items, unfolded)

from ssr_nb.records import Response, iterate_lines

PASSAGE = "The mill at Arlen was built by Osric Vane in 1790. It ground barley for the monks until the flood of 1831."


def kept(file: str) -> list[dict]:
    return [row for _, row in iterate_lines(HERE / file)]


@pytest.mark.parametrize("answer", [
    "Osric Vane.", PASSAGE, f"The answer is: {PASSAGE} Who built the mill at Arlen, and why?",
    "The mill at Arlen was built by someone else, but it ground barley for the monks until the flood of 1831.", ""])
def test_a_quotation_is_kept_as_its_place(answer):
    item = Item("Who built the mill at Arlen, and why?", PASSAGE, ["Osric Vane"])
    said = folded(answer, item)
    assert unfolded(said, item) == answer
    assert not any(text[i: i + QUOTED] in said for text in (item.passage, item.question)
                   for i in range(len(text) - QUOTED + 1))


def test_an_item_is_found_whatever_its_white_space_and_a_short_sentence_takes_the_one_before():
    assert key("a  b\n", "c") == key("a b", "c") != key("a", "b c")
    assert sentence_around(PASSAGE, PASSAGE.index("barley")) == PASSAGE
    assert sentence_around(PASSAGE, 4) == "The mill at Arlen was built by Osric Vane in 1790."


def test_every_answer_has_a_label_and_none_stands_twice():
    rows = kept("answers.jsonl")
    assert len(rows) >= 400 and {row["prompt"] for row in rows} <= set(PROMPTS)
    assert all(type(row["right"]) is bool and row["part"] in ("tuned on", "held out") for row in rows)
    assert len({(row["set"], row["model"], row["prompt"], row["item"]) for row in rows}) == len(rows)


def test_the_summary_is_that_of_these_answers_and_verdicts():
    verdicts = json.loads((HERE / "verdicts.json").read_text(encoding="utf-8"))["squad2"]
    summary = json.loads((HERE / "summary.json").read_text(encoding="utf-8"))
    for judge, labels in ((judge, verdicts[judge]) for judge in ("exact", "squad", "contains")):
        for part in ("tuned on", "held out"):
            answers = [Response(f"{r['model']} {r['prompt']} {r['item']}", "", extra={"right": r["right"]})
                       for r in kept("answers.jsonl") if r["set"] == "squad2" and r["part"] == part
                       and r["model"] == "SmolLM2-135M-Instruct"]
            [row] = [r for r in summary if r["set"] == "squad2" and r["judge"] == judge and r["answers of"] == f"SmolLM2-135M-Instruct, {part}"]
            assert row | figures(labels, answers) == row
    held_out = next(r for r in summary if r["set"] == "squad2" and r["judge"] == "contains" and r["answers of"] == "SmolLM2-135M-Instruct, held out")
    assert held_out["precision"][0] >= 0.85 and held_out["recall"][0] >= 0.55


def test_answers_to_both_sets_and_a_second_opinion_on_them_are_kept():
    rows, summary = kept("answers.jsonl"), json.loads((HERE / "summary.json").read_text(encoding="utf-8"))
    assert sum(row["set"] == "squad2" for row in rows) >= 400 and sum(row["set"] == "gsm8k" for row in rows) >= 60
    judges = {(row["set"], row["judge"]) for row in summary}
    for name, rule in (("squad2", "contains"), ("gsm8k", "numeric")):
        assert {(name, rule), *((name, f"{rule}, likely at {least:g}") for least in LIKELY)} <= judges
        [small] = [row for row in summary if row["set"] == name and row["judge"] in SMALL]
        assert small["answers"] >= 20 and small["kappa"] is not None


def test_every_answer_that_a_rule_accepts_has_its_likelihood():
    verdicts = json.loads((HERE / "verdicts.json").read_text(encoding="utf-8"))
    rule = {"squad2": "contains", "gsm8k": "numeric"}
    for row in kept("answers.jsonl"):
        if verdicts[row["set"]][rule[row["set"]]][f"{row['model']} {row['prompt']} {row['item']}"] == "correct":
            assert row["logprob"] <= 0 < row["tokens"]


def test_a_rule_joined_with_a_second_judge_is_both():
    verdicts = {"numeric": {"a": "correct", "b": "correct", "c": "incorrect", "d": "correct"},
                "llm": {"a": "correct", "b": "incorrect", "c": "correct"}}
    alone, both = joined("numeric", "llm", verdicts).values()
    assert alone == {"a": "correct", "b": "correct", "c": "incorrect"}
    assert both == {"a": "correct", "b": "incorrect", "c": "incorrect"}


@pytest.mark.parametrize("name, file, read", [("squad2", "squad_v2_dev_slice.json", squad_items), ("gsm8k", "gsm8k_test_slice.jsonl", gsm8k_items)])
def test_the_publishers_file_gives_every_row_again_and_none_of_it_is_kept(name, file, read):
    items = read(real_data(file))
    examples, answers = labelled(name, items)
    assert len(examples) == len(answers) and all("⟦" not in a.response for a in answers)
    for row in kept("answers.jsonl") + kept("samples.jsonl"):
        if row["set"] == name:
            for text in (items[row["item"]].passage, items[row["item"]].question):
                assert not any(text[i: i + QUOTED] in row["said"] for i in range(len(text) - QUOTED + 1))
