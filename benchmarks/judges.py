"""How far each judge can be trusted: real answers of small models, labelled by reading, against the judges' verdicts.

`judges/answers.jsonl` has answers with their labels, `judges/samples.jsonl` further answers to some of the prompts. Neither
holds a row of the data sets: an item is named by a hash of its question (with passage and answer), and where an answer quotes
25 characters or more of question or passage, the place in it stands there instead. So the publishers' files are needed:

    python benchmarks/judges.py --squad dev-v2.0.json --gsm8k test.jsonl --solutions example_model_solutions.jsonl

(https://rajpurkar.github.io/SQuAD-explorer and https://github.com/openai/grade-school-math; the last one holds answers of
two large models to GSM8K, labelled by its publishers). A part whose file isn't given is kept as it was. Writes
judges/summary.json, which 05d shows, and judges/verdicts.json.

The verdicts of the small language model as judge are kept there, too, since they take a model. With `--judge-model FOLDER`
they are made again, on the same answers; its replies, which quote the data sets, go to the file that `--replies` names.
"""

import argparse
import hashlib
import json
import re
from collections import Counter
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

from ssr_nb.calibrate import confusion, kappa, precision, recall
from ssr_nb.formats import gsm8k_example, load_solutions
from ssr_nb.judge import judge
from ssr_nb.records import Example, Response, Verdict, iterate_lines, key_of

HERE = Path(__file__).parent / "judges"
PROMPTS = {
    "or say so": "Answer the question from the passage. If the passage doesn't hold the answer, say so.\n\n"
                 "Passage: {passage}\n\nQuestion: {question}",
    "bare": "{passage}\n\n{question}",
    "one sentence": "Answer the question from the passage in one short sentence.\n\nPassage: {passage}\n\n"
                    "Question: {question}",
    "question": "{question}",
}
REFUSAL = "The question can't be answered from the passage."
QUOTED = 25  # so many characters of question or passage in an answer are a quotation


@dataclass(frozen=True)
class Item:
    "A question of a data set as the models were asked it."

    question: str
    passage: str
    answers: list[str]
    answerable: bool = True
    solution: str = ""


def key(*texts: str) -> str:
    "The name of an item: a hash of its texts, whatever their white space."
    return hashlib.sha256("\0".join(" ".join(text.split()) for text in texts).encode()).hexdigest()[:16]


def sentence_around(context: str, start: int) -> str | None:
    "The sentence of a passage where an answer begins, with the one before it if it is short."
    spans = [m.span() for m in re.finditer(r'.+?(?:[.!?](?=\s+[A-Z"(\[])|$)', context, re.S)]
    place = next((i for i, (begin, end) in enumerate(spans) if begin <= start < end), None)
    if place is None:
        return None
    begin, end = spans[place]
    return context[spans[place - 1][0] if end - begin < 120 and place else begin: end].strip()


def squad_items(path: str | Path) -> dict[str, Item]:
    "The questions of SQuAD 2.0 with the sentence that holds the answer, or what looks like one."
    items = {}
    for article in json.loads(Path(path).read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for qa in paragraph["qas"]:
                spans = qa["answers"] or qa.get("plausible_answers") or []
                passage = sentence_around(paragraph["context"], spans[0]["answer_start"]) if spans else None
                if passage:
                    items[key(paragraph["context"], qa["question"], spans[0]["text"], str(qa["is_impossible"]))] = Item(
                        qa["question"].strip(), passage, list(dict.fromkeys(a["text"] for a in qa["answers"])),
                        not qa["is_impossible"])
    return items


def gsm8k_items(path: str | Path) -> dict[str, Item]:
    "The questions of GSM8K with their solutions."
    items = {}
    for number, row in iterate_lines(path):
        example = gsm8k_example(row, f"{path}, line {number}")
        items[key(example.prompt, example.completion)] = Item(example.prompt, "", example.answers, solution=example.completion)
    return items


def folded(answer: str, item: Item) -> str:
    "An answer, in which each quotation from passage (p) or question (q) is its place there: ⟦p12:80⟧."
    for letter, text in (("p", item.passage), ("q", item.question)):
        while True:
            found = SequenceMatcher(None, answer, text, autojunk=False).find_longest_match()
            if found.size < QUOTED or "⟦" in answer[found.a: found.a + found.size]:
                break
            answer = f"{answer[:found.a]}⟦{letter}{found.b}:{found.b + found.size}⟧{answer[found.a + found.size:]}"
    return answer


def unfolded(said: str, item: Item) -> str:
    "The answer as the model gave it."
    texts = {"p": item.passage, "q": item.question}
    return re.sub(r"⟦([pq])(\d+):(\d+)⟧", lambda m: texts[m[1]][int(m[2]): int(m[3])], said)


def labelled(name: str, items: dict[str, Item], file: str = "answers.jsonl") -> tuple[list[Example], list[Response]]:
    "The kept answers to a data set, with their prompts and golds from the publisher's rows."
    examples, responses = {}, []
    for _, row in iterate_lines(HERE / file):
        if row["set"] != name:
            continue
        if row["item"] not in items:
            raise SystemExit(f"{file}: found no question {row['item']} among {len(items)}; "
                             f"expected the publisher's file of {name}")
        item, id = items[row["item"]], f"{row['model']} {row['prompt']} {row['item']}"
        examples[id] = Example(PROMPTS[row["prompt"]].format(passage=item.passage, question=item.question),
                               item.solution or next(iter(item.answers), REFUSAL), id=id, answers=item.answers,
                               answerable=item.answerable)
        more = {k: row[k] for k in ("right", "part", "model", "sample") if k in row}
        responses.append(Response(id, unfolded(row["said"], item), row["finish_reason"], row.get("logprob"),
                                  row.get("tokens"), extra=more))
    return list(examples.values()), responses


def figures(labels: dict[str, str], answers: list[Response]) -> dict:
    "The figures of verdicts (labels by id) on these answers."
    return summed([Verdict(a.id, labels[a.id]) for a in answers], answers)


def summed(verdicts: list[Verdict], answers: list[Response]) -> dict:
    "Counts, precision and recall with their intervals, and kappa."
    counts = confusion(verdicts, {key_of(a): a.extra["right"] for a in answers})
    shares = {name: [round(x, 4) for x in (share.value, share.low, share.high)] if share.total else None
              for name, share in (("precision", precision(counts)), ("recall", recall(counts)))}
    agreement = kappa(counts)
    return {"answers": len(answers), "right": sum(a.extra["right"] for a in answers),
            "accepted": counts["correct", True] + counts["correct", False],
            "accepted and right": counts["correct", True], **shares,
            "kappa": round(agreement, 3) if agreement == agreement else None}


def verdicts_of(name: str | dict, examples: list[Example], answers: list[Response]) -> dict[str, str]:
    "The labels that a judge gives, by id."
    asked = {answer.id for answer in answers}
    return {v.id: v.label for v in judge([e for e in examples if e.id in asked], answers, name)}


def agreeing(examples: list[Example], answers: list[Response], samples: list[Response], wanted: int) -> dict[str, str]:
    "What `contains` accepts of the answers that have samples, if it accepts at least `wanted` of the samples, too."
    by_id = {e.id: e for e in examples}
    asked = [Response(s.id, s.response, s.finish_reason, extra={"sample": s.extra["sample"]}) for s in samples]
    said = Counter(v.id for v in judge([by_id[id] for id in {s.id for s in asked}], asked, "contains")
                   if v.label == "correct")
    sampled = {s.id for s in asked}
    first = verdicts_of("contains", examples, [a for a in answers if a.id in sampled])
    return {id: label if said[id] >= wanted else "unparsed" for id, label in first.items()}


def rows_for(title: str, name: str, verdicts: dict[str, dict[str, str]], answers: list[Response]) -> list[dict]:
    "A row of the table for each judge, on those of these answers that it has seen."
    found = []
    for judge_name, labels in verdicts.items():
        seen = [a for a in answers if a.id in labels]
        if seen:
            found.append({"set": name, "answers of": title, "judge": judge_name} | figures(labels, seen))
    return found


LIKELY = (-0.7, -0.5, -0.3)


def with_likelihood(rule: str, examples: list[Example], answers: list[Response]) -> dict[str, dict[str, str]]:
    "A rule joined with the likelihood of the answer to the model that gave it, at several thresholds."
    return {f"{rule}, likely at {least:g}": verdicts_of({"name": "likely", "rule": rule, "at_least": least}, examples, answers)
            for least in LIKELY}


SMALL = {"llm (a small model)": {"prompts": str(HERE / "short_prompts.yaml"), "max_new_tokens": 8}}


def of_small_model(kept: dict[str, dict[str, str]], examples: list[Example], answers: list[Response],
                   given: argparse.Namespace) -> dict[str, dict[str, str]]:
    "The labels of the small language model as judge: those kept, or made again on the same answers."
    found = {}
    for name, options in SMALL.items():
        labels = kept.get(name, {})
        if given.judge_model and labels:
            replies = {"replies": given.replies} if given.replies else {}
            labels = verdicts_of({"name": "llm", "model": given.judge_model, "dtype": "bfloat16"} | options | replies, examples,
                                 [answer for answer in answers if answer.id in labels])
        found[name] = labels
    return found


def joined(rule: str, second: str, verdicts: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    "A rule on the answers that a second judge has seen, alone and joined with that."
    alone = {id: verdicts[rule][id] for id in verdicts[second]}
    both = {id: label if label != "correct" else verdicts[second][id] for id, label in alone.items()}
    return {f"{rule}, where the small model was asked": alone, f"{rule}, and the small model": both}


def with_more(examples: list[Example], answers: list[Response], items: dict[str, Item]) -> dict[str, dict[str, str]]:
    "`contains` joined with agreement among samples, and alone on the same answers."
    contains, (_, samples) = verdicts_of("contains", examples, answers), labelled("squad2", items, "samples.jsonl")
    found = {f"contains, and {wanted} of 3 samples": agreeing(examples, answers, samples, wanted) for wanted in (1, 2, 3)}
    sampled = {s.id for s in samples}
    return {"contains, where there are samples": {id: label for id, label in contains.items() if id in sampled}} | found


def by_part(answers: list[Response]) -> dict[str, list[Response]]:
    "The answers of each model, those that rules were written with apart from the others."
    parts: dict[str, list[Response]] = {}
    for answer in answers:
        parts.setdefault(f"{answer.extra['model']}, {answer.extra['part']}", []).append(answer)
    return parts


def squad_rows(path: str, kept: dict, given: argparse.Namespace) -> tuple[list[dict], dict[str, dict[str, str]]]:
    "The rows of SQuAD 2.0, and the verdicts."
    items = squad_items(path)
    examples, answers = labelled("squad2", items)
    verdicts = {name: verdicts_of(name, examples, answers) for name in ("exact", "squad", "contains")}
    likely, small = with_likelihood("contains", examples, answers), of_small_model(kept, examples, answers, given)
    parts = by_part(answers)
    found = [row for title, part in parts.items() for row in rows_for(title, "squad2", verdicts | likely, part)]
    held_out = parts["SmolLM2-135M-Instruct, held out"]
    found += rows_for("SmolLM2-135M-Instruct, held out", "squad2", with_more(examples, held_out, items), held_out)
    first = next(iter(SMALL))
    return found + rows_for("both models", "squad2", small | joined("contains", first, verdicts | small), answers), verdicts | small


def gsm8k_rows(path: str, kept: dict, given: argparse.Namespace) -> tuple[list[dict], dict[str, dict[str, str]]]:
    "The rows of GSM8K, and the verdicts."
    examples, answers = labelled("gsm8k", gsm8k_items(path))
    verdicts = {name: verdicts_of(name, examples, answers) for name in ("exact", "contains", "numeric", "math")}
    likely, small = with_likelihood("numeric", examples, answers), of_small_model(kept, examples, answers, given)
    found = [row for title, part in by_part(answers).items() for row in rows_for(title, "gsm8k", verdicts | likely, part)]
    first = next(iter(SMALL))
    return found + rows_for("both models", "gsm8k", small | joined("numeric", first, verdicts | small), answers), verdicts | small


def solutions_rows(path: str, kept: dict, given: argparse.Namespace) -> tuple[list[dict], dict[str, dict[str, str]]]:
    "The rows of the published solutions of GSM8K. Their verdicts aren't kept: the answers are the publishers'."
    examples, answers = load_solutions(path)
    for answer in answers:
        answer.extra["right"] = answer.extra["is_correct"]
    found = []
    for name in ("numeric", "math", "contains"):
        verdicts = judge(examples, answers, name)
        found.append({"set": "gsm8k, published", "answers of": "models of 6 and 175 billion", "judge": name}
                     | summed(verdicts, answers))
    return found, {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for flag in ("--squad", "--gsm8k", "--solutions", "--judge-model", "--replies"):
        parser.add_argument(flag)
    given = parser.parse_args()
    path = HERE / "summary.json"
    rows = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    kept = HERE / "verdicts.json"
    verdicts = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    for name, file, measure in (("squad2", given.squad, squad_rows), ("gsm8k", given.gsm8k, gsm8k_rows),
                                ("gsm8k, published", given.solutions, solutions_rows)):
        if file:
            found, verdicts[name] = measure(file, verdicts.get(name, {}), given)
            rows = [row for row in rows if row["set"] != name] + found
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    kept.write_text(json.dumps(verdicts, indent=0, sort_keys=True) + "\n", encoding="utf-8")
    for row in rows:
        print(row["set"], row["answers of"], row["judge"], *[row[k] for k in ("answers", "accepted", "precision", "recall", "kappa")],
              sep=" | ")


if __name__ == "__main__":
    main()
