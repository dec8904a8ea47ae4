"""What a GPU does with ssr_nb: training by Unsloth against Transformers with PEFT, and `respond` against `generate`.

    python benchmarks/gpu.py            # on a GPU: the shapes of Llama-3.2-1B and Llama-3.1-8B, writes gpu.json
    python benchmarks/gpu.py --tiny     # the same code at a tiny size; so it runs where there is no GPU

The models have random weights in bfloat16 (speed does not depend on them) and a tokenizer of numbered words
with the plain chat template, made on the spot in the temporary folder, where the larger takes 16 GB (TMPDIR says where).
Every measurement has a process of its own, since Unsloth changes Transformers for good; one that runs out of memory, or
can't be made, is told and passed over. What counts are the ratios, all of one run. At a tiny size the figures say
nothing about a GPU, so gpu.json is not written; --out writes them where it says. So far no GPU was at hand: there is no
gpu.json beside this file, and the script has run end to end on a CPU at the tiny size alone.

Training: LoRA of rank 8 on every linear layer, gradient checkpointing on a GPU, the same rows of mixed lengths in the
same order; the first epoch warms up, the others count. Tokens are those of the rows, without padding. A token costs, in
floating point operations, with N weights in matrices, H of them in the output layer:

    2N forward + 2N backward through the activations + 2(N - H) for computing the layers again (checkpointing)

Frozen weights have no gradient of their own; the adapter and attention's own products are left out, so the share of the
card's rate is a little low. That rate is measured right after the training, in its process: the product of two large
square matrices in the model's precision.

Answers: `respond` as it comes, against a loop of `generate` over prompts one by one with Transformers. Random weights
hardly ever end an answer, so all are of the longest length, and no batch waits for its last row.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from machine import graphics, machine

ROTARY = {"rope_type": "llama3", "rope_theta": 500_000.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 8192}
LLAMA = dict(vocab_size=128_256, num_attention_heads=32, num_key_value_heads=8, max_position_embeddings=131_072)
SHAPES = {
    "Llama-3.2-1B": LLAMA | dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, head_dim=64,
                                 tie_word_embeddings=True, rope_parameters=ROTARY | {"factor": 32.0}),
    "Llama-3.1-8B": LLAMA | dict(hidden_size=4096, intermediate_size=14_336, num_hidden_layers=32, head_dim=128,
                                 tie_word_embeddings=False, rope_parameters=ROTARY | {"factor": 8.0}),
}
TINY = {"tiny": dict(vocab_size=500, num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=4096,
                     hidden_size=64, intermediate_size=128, num_hidden_layers=2, head_dim=16, tie_word_embeddings=True,
                     rope_parameters=ROTARY | {"factor": 32.0})}
BACKENDS = "unsloth", "transformers"
JOBS = [("train", b) for b in BACKENDS] + [("respond", b) for b in BACKENDS] + [("generate", "transformers")]
AIMS = {"training speed, unsloth / transformers": 1.5, "training memory, unsloth / transformers": 0.6,
        "share of the card's matrix rate, unsloth": 0.5, "respond / generate, unsloth": 30,
        "respond / generate, transformers": 30}


@dataclass
class Work:
    "How much is measured: rows and prompts, the words in them (least, most), and the side of the matrices."

    rows: int = 64
    batch_size: int = 8
    epochs: int = 4
    prompt: tuple[int, int] = (64, 768)
    completion: tuple[int, int] = (32, 256)
    prompts: int = 512
    alone: int = 8
    max_new_tokens: int = 128
    matrix: int = 8192


TINY_WORK = Work(rows=8, batch_size=4, epochs=3, prompt=(4, 24), completion=(2, 8), prompts=16, alone=2,
                 max_new_tokens=8, matrix=256)


def make_model(folder: Path, shape: dict) -> None:
    "A Llama of this shape with random weights in bfloat16, and a tokenizer that has a word for each of its tokens."
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from ssr_nb.chat import PLAIN_TEMPLATE

    special = ["<pad>", "<bos>", "<eos>", "<unk>"]
    words = special + ["Question:", "Note:", "Answer:"]
    words += [f"w{i}" for i in range(shape["vocab_size"] - len(words))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>",
                            unk_token="<unk>", chat_template=PLAIN_TEMPLATE).save_pretrained(folder)
    config = LlamaConfig(**shape, pad_token_id=0, bos_token_id=1, eos_token_id=2, dtype="bfloat16")
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        LlamaForCausalLM(config).save_pretrained(folder)


def text(draw: random.Random, words: tuple[int, int]) -> str:
    return " ".join(f"w{draw.randrange(400)}" for _ in range(draw.randint(*words)))


def matrix_rate(lm, side: int) -> float:
    "Floating point operations a second of a product of two square matrices, in the model's precision: the best of 20."
    import torch

    a, b = (torch.randn(side, side, device=lm.device, dtype=lm.dtype) for _ in range(2))
    times = []
    for _ in range(25):
        finish(lm)
        began = time.perf_counter()
        torch.mm(a, b)
        finish(lm)
        times.append(time.perf_counter() - began)
    return 2 * side**3 / min(times[5:])


def finish(lm) -> None:
    "Wait until the GPU has done what it was told."
    import torch

    if torch.device(lm.device).type == "cuda":
        torch.cuda.synchronize(lm.device)


def operations_per_token(model, again: bool) -> int:
    "The formula above; `again` is whether layers are computed again in the backward pass."
    from torch.nn import Linear

    matrices = sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, Linear))
    head = model.get_output_embeddings().weight.numel()
    return 4 * matrices + (2 * (matrices - head) if again else 0)


def train_job(lm, work: Work) -> dict:
    "Tokens a second from the end of the first epoch on, and the most memory that training took."
    import torch
    from transformers import TrainerCallback, trainer

    from ssr_nb.machine import peak_memory
    from ssr_nb.records import Target
    from ssr_nb.settings import TrainingSettings
    from ssr_nb.train import encode_all, train

    draw = random.Random(0)
    targets = [Target(f"t{i}", text(draw, work.prompt), text(draw, work.completion), "gold") for i in range(work.rows)]
    rows = encode_all(targets, lm.tokenizer, 2048)
    on_gpu = torch.device(lm.device).type == "cuda"
    operations = operations_per_token(lm.model, again=on_gpu)
    ends = []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            finish(lm)
            ends.append(time.perf_counter())

    trainer.DEFAULT_CALLBACKS.append(Clock)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(lm.device)
    steps = work.rows // work.batch_size
    losses = train(targets, lm, settings=TrainingSettings(steps=work.epochs * steps, batch_size=work.batch_size),
                   rows=rows, progress=False).losses
    memory = peak_memory(lm.device)
    tokens = (work.epochs - 1) * sum(len(row["input_ids"]) for row in rows)
    rate = tokens / (ends[-1] - ends[steps - 1])
    card = matrix_rate(lm, work.matrix)
    return {"tokens_per_second": round(rate, 1), "peak_memory_gb": round(memory / 1e9, 3),
            "operations_per_token": operations, "matrix_rate_tflops": round(card / 1e12, 3),
            "share_of_matrix_rate": round(rate * operations / card, 4),
            "loss_first_and_last": [round(losses[0], 4), round(losses[-1], 4)]}


def answers(work: Work) -> list:
    from ssr_nb.records import Example

    draw = random.Random(1)
    return [Example(text(draw, work.prompt), "w0", id=f"e{i}") for i in range(work.prompts)]


def respond_job(lm, work: Work) -> dict:
    from ssr_nb.respond import respond

    examples = answers(work)
    respond(examples[: work.alone], lm, max_new_tokens=work.max_new_tokens, progress=False)  # warms up
    finish(lm)
    began = time.perf_counter()
    said = respond(examples, lm, max_new_tokens=work.max_new_tokens, progress=False)
    return {"tokens_per_second": round(sum(r.tokens for r in said) / (time.perf_counter() - began), 1)}


def generate_job(lm, work: Work) -> dict:
    "What one would write by hand: greedy, with the KV cache, one prompt at a time."
    from ssr_nb.chat import chat_text

    def say(example) -> int:
        prompt = lm.tokenizer(chat_text(lm.tokenizer, example.prompt), return_tensors="pt",
                              add_special_tokens=False).to(lm.device)
        prompt.pop("token_type_ids", None)
        said = lm.model.generate(**prompt, max_new_tokens=work.max_new_tokens, do_sample=False)
        tokens = said[0, prompt["input_ids"].shape[1]:]
        lm.tokenizer.decode(tokens, skip_special_tokens=True)
        return len(tokens)

    examples = answers(work)[: work.alone]
    say(examples[0])  # warms up
    began = time.perf_counter()
    tokens = sum(map(say, examples))
    return {"tokens_per_second": round(tokens / (time.perf_counter() - began), 1)}


def job(stage: str, backend: str, folder: Path, work: Work) -> dict:
    "One measurement, in this process; memory that runs out, or a backend that can't be had, is its result."
    from ssr_nb.machine import OutOfMemory, ran_out
    from ssr_nb.models import load_model

    try:
        lm = load_model(folder, backend=backend)
        run = {"train": train_job, "respond": respond_job, "generate": generate_job}[stage]
        return run(lm, work) | {"dtype": str(lm.dtype).removeprefix("torch."), "hardware": graphics(lm.device)}
    except Exception as error:  # a measurement that fails must not cost the others
        memory = isinstance(error, OutOfMemory) or ran_out(error) or "out of memory" in str(error).lower()
        return {"skipped": f"{'out of memory: ' if memory else ''}{' '.join(str(error).split())[:300]}"}


def in_a_process(arguments: list, result: Path) -> dict:
    "This script on one job, in a process of its own; what it writes, or how it ended."
    done = subprocess.run([sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True)
    if result.exists():
        return json.loads(result.read_text())
    last = (done.stderr.strip().splitlines() or [""])[-1]
    return {"skipped": f"its process ended with status {done.returncode}: {last[:300]}"}


def measured(name: str, shape: dict, work: Work, folder: Path) -> dict:
    "All jobs on one shape, and their ratios."
    model, told = folder / "model", folder / "result.json"
    told.unlink(missing_ok=True)
    made = in_a_process(["--make", model, "--shape", json.dumps(shape), "--result", told], told)
    results = {}
    for stage, backend in JOBS if made.get("made") else []:
        told.unlink(missing_ok=True)
        results[f"{stage}, {backend}"] = found = in_a_process(
            ["--job", stage, backend, model, "--work", json.dumps(asdict(work)), "--result", told], told)
        print(f"{name}: {stage}, {backend}:", found.get("skipped") or f"{found['tokens_per_second']:,.0f} tokens/s",
              flush=True)
    shutil.rmtree(model, ignore_errors=True)
    return {"ratios": ratios(results), "results": results} if results else made


def ratios(results: dict) -> dict:
    "What can be said of one shape, beside its aim; None where one side is missing."
    def over(job: str, other: str, figure: str = "tokens_per_second") -> float | None:
        a, b = (results.get(name, {}).get(figure) for name in (job, other))
        return round(a / b, 3) if a and b else None

    values = [over("train, unsloth", "train, transformers"),
              over("train, unsloth", "train, transformers", "peak_memory_gb"),
              results.get("train, unsloth", {}).get("share_of_matrix_rate"),
              *(over(f"respond, {backend}", "generate, transformers") for backend in BACKENDS)]
    return {name: {"measured": value, "aim": aim} for (name, aim), value in zip(AIMS.items(), values)}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="a tiny size, also where there is a GPU")
    parser.add_argument("--out", type=Path, help="where the figures go; gpu.json beside this file for a run on a GPU")
    for own in ("--make", "--result", "--shape", "--work"):  # what the process of a single measurement is told
        parser.add_argument(own, help=argparse.SUPPRESS)
    parser.add_argument("--job", nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def main(asked: argparse.Namespace) -> None:
    import torch

    tiny = asked.tiny or not torch.cuda.is_available()
    shapes, work = (TINY, TINY_WORK) if tiny else (SHAPES, Work())
    if tiny:
        print("a tiny size: that it runs is shown, and nothing about the speed of a GPU")
    with TemporaryDirectory() as folder:
        shown = {name: measured(name, shape, work, Path(folder)) for name, shape in shapes.items()}
    found = [r for shape in shown.values() for r in shape.get("results", {}).values()]
    hardware = next((r["hardware"] for r in found if "hardware" in r), {})
    result = {"what": ("a run at a tiny size, which shows that the script runs; its figures say nothing about a GPU"
                       if tiny else "a run on the GPU named below"),
              "machine": machine() | hardware, "work": asdict(work), "shapes": shown}
    print(json.dumps(result, indent=1))
    out = asked.out or (None if tiny else Path(__file__).with_suffix(".json"))
    if out:
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    asked = arguments()
    if asked.make:
        make_model(Path(asked.make), json.loads(asked.shape))
        Path(asked.result).write_text(json.dumps({"made": True}))
    elif asked.job:
        stage, backend, folder = asked.job
        found = job(stage, backend, Path(folder), Work(**json.loads(asked.work)))
        Path(asked.result).write_text(json.dumps(found))
    else:
        main(asked)
