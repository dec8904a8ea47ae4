"""Training through ssr_nb against TRL's plain SFTTrainer:
the same rows, the same LoRA, the same steps, tokens a second.

Both are run in turn, several times, in one process, after a warm-up of each; what counts is the ratio. Writes
train.json beside this file.
"""

import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from machine import machine

from ssr_nb.microworld import target_examples
from ssr_nb.machine import set_threads
from ssr_nb.models import load_model
from ssr_nb.rehearse import rehearse
from ssr_nb.settings import TrainingSettings
from ssr_nb.train import encode, train

STEPS, ROUNDS, BATCH, RATE = 60, 5, 16, 1e-3


def ours(targets, folder) -> float:
    lm = load_model("microworld", backend="transformers")
    start = time.perf_counter()
    train(targets, lm, folder / "adapter", TrainingSettings(learning_rate=RATE, steps=STEPS, batch_size=BATCH,
                                                              checkpoint_every=0),
          progress=False)
    return time.perf_counter() - start


def plain(targets, folder) -> float:
    "What a user of TRL writes: prompt-completion rows, and the trainer tokenises them."
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl import SFTConfig, SFTTrainer

    lm = load_model("microworld", backend="transformers")
    rows = [{"prompt": [{"role": "user", "content": t.prompt}],
             "completion": [{"role": "assistant", "content": t.completion}]} for t in targets]
    start = time.perf_counter()
    arguments = SFTConfig(output_dir=str(folder / "plain"), max_steps=STEPS, per_device_train_batch_size=BATCH,
                          learning_rate=RATE, use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none",
                          disable_tqdm=True, logging_steps=1, save_strategy="no")
    trainer = SFTTrainer(model=lm.model, args=arguments, train_dataset=Dataset.from_list(rows),
                         processing_class=lm.tokenizer,
                         peft_config=LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.save_model(str(folder / "plain"))
    return time.perf_counter() - start


def main() -> None:
    set_threads(1)
    targets = rehearse(target_examples(600, "train"), [], [], "sft")
    tokenizer = load_model("microworld", backend="transformers").tokenizer
    tokens = STEPS * BATCH * statistics.mean(len(encode(t, tokenizer)["input_ids"]) for t in targets)
    seconds = {"ours": [], "plain": []}
    for number in range(ROUNDS + 1):
        for name, run in (("ours", ours), ("plain", plain)):
            with TemporaryDirectory() as folder:
                took = run(targets, Path(folder))
            if number:  # the first round is the warm-up
                seconds[name].append(took)
    rate = {name: tokens / statistics.median(times) for name, times in seconds.items()}
    result = {"machine": machine(), "steps": STEPS, "batch": BATCH, "rounds": ROUNDS,
              "tokens_per_second": {k: round(v) for k, v in rate.items()},
              "ratio": round(rate["ours"] / rate["plain"], 3)}
    Path(__file__).with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
