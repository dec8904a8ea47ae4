"""What test_accelerate.py starts in two processes: short trainings one after the other, into the folder given. The last one
is killed; with `again`, it alone goes on. In one process, `trainings` makes what the two are compared with."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import torch
from transformers import Trainer

from ssr_nb import losses
from ssr_nb.methods import mask_surprising
from ssr_nb.microworld import target_examples
from ssr_nb.adapters import remove_lora
from ssr_nb.machine import processes, set_threads
from ssr_nb.models import load_model
from ssr_nb.rehearse import rehearse
from ssr_nb.settings import TrainingSettings
from ssr_nb.train import train

# 21 rows in batches of 4, two batches a step: an epoch of three steps ends with a batch of one row
SETTINGS = TrainingSettings(learning_rate=3e-3, steps=8, batch_size=4, accumulation=2, warmup=0)
LOSSES = {"nll": {}, "dft": {"loss": "dft"}, "kl": {"beta": 2.0}, "dft and kl": {"loss": "dft", "beta": 2.0},
          "soft": {"loss": "soft"}, "mine": {"loss": "mine", "beta": 0.5}}
SAVING = replace(SETTINGS, dropout=0.1, checkpoint_every=1)


def mine(logits, labels, base_logits, own):
    "A user's own loss that asks for all there is: soft labels, said in another way."
    before, after = base_logits.log_softmax(-1), logits.log_softmax(-1)
    said = -after.gather(-1, labels[:, None])[:, 0]
    return torch.where(own, (before.exp() * (before - after)).sum(-1), said)


class Trainings:
    def __init__(self, folder: Path):
        set_threads(1)
        losses.LOSSES.add(losses.Loss("mine", "soft labels of my own", token_loss=mine), replace=True)
        self.folder, self.lm = folder, load_model("microworld", backend="transformers")
        self.golds = rehearse(target_examples(21, "train"), [], [], "sft")
        # every third row as if it were the model's own
        self.mixed = [replace(t, source="own" if i % 3 == 0 else "gold") for i, t in enumerate(self.golds)]

    def train(self, name: str, settings: TrainingSettings, targets=None) -> None:
        remove_lora(train(targets or self.golds, self.lm, self.folder / name, settings, progress=False).lm)

    def without_dropout(self) -> None:
        for name, changed in LOSSES.items():
            self.train(name, replace(SETTINGS, **changed), self.mixed)
        self.train("stm", SETTINGS, mask_surprising(self.golds, self.lm, 2.5))


def killed_at(step: int) -> None:
    "From now on the last process is killed when so many steps are done."
    whole = Trainer.training_step

    def dying(self, *arguments, **keywords):
        if self.state.global_step == step and processes()[0] == processes()[1] - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(self, *arguments, **keywords)

    Trainer.training_step = dying


if __name__ == "__main__":
    trainings = Trainings(Path(sys.argv[1]))
    if sys.argv[2:] != ["again"]:
        trainings.without_dropout()
        trainings.train("opsd", replace(SETTINGS, loss="opsd", steps=2, sample_tokens=8))
        trainings.train("undisturbed", SAVING)
        killed_at(5)  # in the second epoch
    trainings.train("killed", SAVING)
