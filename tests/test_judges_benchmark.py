"""The kept answers with labels: no passage in them, put together again from the publishers' rows, and a summary that
belongs to them."""

import json
import sys
from pathlib import Path

import pytest
from conftest import real_data

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
from judges import HERE, PROMPTS, QUOTED, Item, figures, folded, key, labelled, sentence_around, squad_items, unfolded

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
    for judge, labels in verdicts.items():
        for part in ("tuned on", "held out"):
            answers = [Response(f"{r['model']} {r['prompt']} {r['item']}", "", extra={"right": r["right"]})
                       for r in kept("answers.jsonl") if r["set"] == "squad2" and r["part"] == part
                       and r["model"] == "SmolLM2-135M-Instruct"]
            [row] = [r for r in summary if r["judge"] == judge and r["answers of"] == f"SmolLM2-135M-Instruct, {part}"]
            assert row | figures(labels, answers) == row
    held_out = next(r for r in summary if r["judge"] == "contains" and r["answers of"] == "SmolLM2-135M-Instruct, held out")
    assert held_out["precision"][0] >= 0.85 and held_out["recall"][0] >= 0.55


def test_the_publishers_file_gives_every_row_again_and_none_of_it_is_kept():
    items = squad_items(real_data("squad_v2_dev_slice.json"))
    examples, answers = labelled("squad2", items)
    assert len(examples) == len(answers) and all("⟦" not in a.response for a in answers)
    for row in kept("answers.jsonl") + kept("samples.jsonl"):
        if row["set"] == "squad2":
            passage = items[row["item"]].passage
            assert not any(passage[i: i + QUOTED] in row["said"] for i in range(len(passage) - QUOTED + 1))
