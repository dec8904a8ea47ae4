"""Publishing: merged models of several architectures, cards without scores, GGUF and the hub
where they are out of reach."""

import json
import shlex
import subprocess
import sys
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import torch
from architectures import make_model

from ssr_nb.adapters import load_adapter
from ssr_nb.chat import chat_ids
from ssr_nb.machine import ModelError
from ssr_nb.models import load_model
from ssr_nb.options import flag_of
from ssr_nb.publish import (base_of, command_of, model_card, push, save_gguf, save_merged, score_table, training_record,
                            write_card)
from ssr_nb.records import Score, Target
from ssr_nb.rehearse import METHODS
from ssr_nb.losses import LOSSES
from ssr_nb.settings import TrainingSettings
from ssr_nb.train import train

QUESTION = "Where is the lamp of Mira?"


@pytest.fixture(scope="module", params=["llama3", "qwen3", "gemma2"])
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    lm = load_model(make_model(request.param, folder / "base"), backend="transformers", device="cpu")
    train([Target("q", QUESTION, "attic", "own")], lm, folder / "adapter",
          TrainingSettings(learning_rate=1e-2, steps=3, batch_size=1), method="ssr", progress=False)
    return folder


def logits(lm):
    with torch.no_grad():
        return lm.model(input_ids=torch.tensor([chat_ids(lm.tokenizer, QUESTION)])).logits


def test_merged_says_what_base_and_adapter_say(trained, tmp_path):
    expected = logits(load_adapter(load_model(trained / "base", "transformers", "cpu"), trained / "adapter"))
    merged = load_model(save_merged(trained / "adapter", tmp_path / "merged", "float32"), "transformers", "cpu")
    assert torch.allclose(logits(merged), expected, atol=1e-4)
    assert not torch.allclose(logits(load_model(trained / "base", "transformers", "cpu")), expected, atol=1e-2)
    assert merged.tokenizer.chat_template == load_model(trained / "base", "transformers", "cpu").tokenizer.chat_template
    assert "merged into it" in (tmp_path / "merged" / "README.md").read_text()
    half = load_model(save_merged(trained / "adapter", tmp_path / "half"), "transformers", "cpu")
    assert json.loads((tmp_path / "half" / "config.json").read_text())["dtype"] == "bfloat16"
    assert float((logits(half) - expected).abs().max()) < 0.3
    with pytest.raises(ModelError, match="a new folder"):
        save_merged(trained / "adapter", tmp_path / "merged")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["half", "merged"]


def test_merging_that_fails_leaves_nothing(trained, tmp_path, monkeypatch):
    def torn(*a, **k):
        raise OSError("no space left on device")

    monkeypatch.setattr("transformers.PreTrainedModel.save_pretrained", torn)
    with pytest.raises(OSError, match="no space"):
        save_merged(trained / "adapter", tmp_path / "merged")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there(tmp_path):
    for call in (lambda: base_of(tmp_path), lambda: training_record(tmp_path / "none"), lambda: push(tmp_path, "a/b"),
                 lambda: save_merged(tmp_path, tmp_path / "out")):
        with pytest.raises(ModelError):
            call()


RECORD = {"model": "somebody/model", "method": "own idea", "targets": {"own": 3, "gold": 1}, "losses": [2.0, 1.0],
          "settings": {"learning_rate": 1e-4, "epochs": 2, "steps": None, "seed": 1}}


def test_a_card_without_scores_and_of_an_older_record_with_a_name_as_its_method():
    card = model_card(RECORD)
    assert ("base_model: somebody/model" in card and "\nown idea\n" in card and "own 3 (75%), gold 1 (25%)" in card
            and "Scores" not in card and card.count("own idea") == 3)
    assert ("ssr train --targets targets.jsonl --model somebody/model --learning-rate 0.0001 --epochs 2 --seed 1 "
            "--name 'own idea' --out adapter" in card)
    assert command_of(RECORD | {"command": "ssr train as typed"}) == "ssr train as typed"
    unnamed = {key: value for key, value in RECORD.items() if key != "method"}
    assert "Not named." in model_card(unnamed) and not {"--method", "--name"} & set(command_of(unnamed).split())


def test_a_method_of_the_table_and_a_name_besides():
    record = RECORD | {"method": "ssr", "name": "first try"}
    card = model_card(record)
    assert "# LoRA adapter for somebody/model, ssr, first try\n" in card and "arXiv 2409.04787" in card
    assert "--method ssr --name 'first try'" in command_of(record)


NAMES = ["a: b", "'quoted' \"twice\"", "two\nlines", "---", "x\n---\nlicense: mit", "# none", "- a", "{a}", "123", "null",
         "größer/模型", "a | b", "@at", "C:\\models\\mine", " blank "]


@pytest.mark.parametrize("name", NAMES)
def test_names_are_data(name):
    "The hub reads the head of a card; what it finds there is the name, whatever it holds."
    from huggingface_hub import ModelCard

    record = RECORD | {"model": name, "method": "ssr", "name": name}
    for merged in (False, True):
        card = model_card(record, merged=merged)
        found = ModelCard(card).data.to_dict()
        assert found == {"base_model": name, "library_name": "transformers" if merged else "peft",
                         "tags": ["lora", "self-rehearsal", "ssr_nb"]}
        assert len([line for line in card.splitlines() if line.startswith("# ")]) == 1, "one heading, on one line"


@pytest.mark.parametrize("loss", LOSSES)
def test_the_loss_is_the_one_that_was_minimised(loss):
    told = getattr(LOSSES[loss], "summary", LOSSES[loss])
    by_settings = model_card(RECORD | {"settings": RECORD["settings"] | {"loss": loss}})
    assert f"Loss: {told}" in by_settings and ("cross-entropy" in by_settings) == ("cross-entropy" in told)
    for method in (m.name for m in METHODS.values() if m.loss == loss):
        assert f"Loss: {told}" in model_card(RECORD | {"method": method}), "an older record, without the setting"
    assert f"Loss: {told}; plus 0.5 times KL(base, tuned); the adapter times 0.7 after training." in model_card(
        RECORD | {"settings": {"loss": loss, "beta": 0.5, "scale": 0.7}})
    assert "Loss: of a plug-in." in model_card(RECORD | {"settings": {"loss": "of a plug-in"}})


def another(default):
    "A value that isn't the default."
    return not default if isinstance(default, bool) else f"{default}2" if isinstance(default, str) else (
        default or 0) + 2


@dataclass
class Loading:
    "How a base model is loaded, as the record notes it."
    model: str | None = None
    backend: str = "auto"
    device: str = "auto"
    dtype: str = "auto"
    load_in_4bit: bool = False
    max_length: int = 2048
    threads: int | None = None


@pytest.mark.parametrize("part, options", [("settings", TrainingSettings), ("loading", Loading)])
def test_every_option_that_is_not_the_default_is_in_the_command(part, options, monkeypatch):
    monkeypatch.setattr("ssr_nb.models.Loading", Loading, raising=False)
    for f in fields(options):
        if f.name == "model" or not flag_of(f):
            continue
        value = another(f.default)
        words = shlex.split(command_of(RECORD | {"settings": {}} | {part: {f.name: value}}))
        assert words[words.index(flag_of(f)) + 1] == str(value) or value is True, f.name
        words = shlex.split(command_of(RECORD | {"settings": {}} | {part: {f.name: f.default}}))
        assert flag_of(f) not in words, f"{f.name} is the default"


def test_what_the_command_leaves_out(monkeypatch):
    monkeypatch.setattr("ssr_nb.models.Loading", Loading, raising=False)
    record = RECORD | {"settings": {"steps": 7, "epochs": 9, "max_length": 512, "of_another_version": 3},
                       "loading": {"model": "somebody/model", "max_length": 512, "threads": None, "load_in_4bit": True}}
    words = shlex.split(command_of(record))
    assert words.count("--max-length") == 1 and "--epochs" not in words and "--of-another-version" not in words
    assert words.count("--model") == 1 and "--load-in-4bit" in words and "--threads" not in words
    assert "| of_another_version | 3 |" in model_card(record) and "| load_in_4bit (loading) | True |" in model_card(record)


def test_the_command_is_one_that_the_command_line_takes(trained):
    "Every option of the written command is one that `ssr train` knows."
    from typer.main import get_command

    from ssr_nb.cli import app
    words = shlex.split(command_of(training_record(trained / "adapter")))
    known = {o for parameter in get_command(app).commands["train"].params for o in parameter.opts}
    assert {w for w in words if w.startswith("--")} <= known


def test_importing_this_module_is_light_and_makes_no_circle():
    "Training writes cards: it imports this module, which must not import it back, nor what a card doesn't need."
    code = ("import sys, ssr_nb.publish; sys.exit(', '.join({'torch', 'transformers', 'ssr_nb.train', 'ssr_nb.models'} "
            "& set(sys.modules)) or 0)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_scores_of_one_model_only():
    scores = [Score(f"q{i}", "target", "ssr", 0, 1e-4, float(i % 2)) for i in range(20)]
    assert score_table(scores)[2].startswith("| target | 20 | 50.0 |") and len(score_table(scores)) == 3
    base = [Score(s.id, "target", "base", 0, None, 0.0) for s in scores]
    assert "+50.0 (+" in score_table(scores, base)[2]
    with pytest.raises(ValueError, match="scores of 2 models"):
        score_table(scores + [Score("q0", "target", "sft", 0, 1e-4, 1.0)])
    with pytest.raises(ValueError, match="same items"):
        score_table(scores, base[:-1])


def test_a_card_keeps_its_command(trained):
    write_card(trained / "adapter", command="ssr train --targets t.jsonl --out adapter")
    assert "ssr train --targets t.jsonl --out adapter" in write_card(trained / "adapter").read_text()
    from ssr_nb.train import load_trained
    lm = load_model(trained / "base", "transformers", "cpu")
    assert load_trained(lm, trained / "adapter").targets == {"own": 1}


def test_gguf_says_what_to_install(trained, tmp_path, monkeypatch):
    monkeypatch.setenv("UNSLOTH_LLAMA_CPP_PATH", str(tmp_path))
    lm = load_model(trained / "base", "transformers", "cpu")
    with pytest.raises(ModelError, match="no llama.cpp .*git clone"):
        save_gguf(lm, tmp_path / "gguf")
    for name in ("llama-quantize", "convert_hf_to_gguf.py"):
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match="loaded by transformers; expected one loaded by Unsloth"):
        save_gguf(lm, tmp_path / "gguf")


def test_gguf_files_are_in_the_folder_and_nothing_else(tmp_path, monkeypatch):
    "Unsloth leaves the merged weights in the folder that it is given, and the files beside it."
    from types import SimpleNamespace

    for name in ("llama-quantize", "convert_hf_to_gguf.py"):
        (tmp_path / name).touch()
    monkeypatch.setenv("UNSLOTH_LLAMA_CPP_PATH", str(tmp_path))

    def save(folder, tokenizer, quantization_method):
        for place, name in ((folder, "model.safetensors"), (f"{folder}_gguf", f"m.{quantization_method}.gguf")):
            Path(place).mkdir(parents=True)
            Path(place, name).write_text("weights")
        return {"gguf_files": [f"{folder}_gguf/m.{quantization_method}.gguf"]}

    lm = SimpleNamespace(name="m", backend="unsloth", tokenizer=None, model=SimpleNamespace(save_pretrained_gguf=save))
    assert save_gguf(lm, tmp_path / "out", "q4_k_m") == tmp_path / "out"
    assert [p.name for p in (tmp_path / "out").rglob("*")] == ["m.q4_k_m.gguf"]


class Hub:
    asked: list = []

    def create_repo(self, name, private, exist_ok):
        self.asked.append(("create", name, private))
        return f"https://hub/{name}"

    def upload_folder(self, repo_id, folder_path, ignore_patterns):
        self.asked.append(("upload", repo_id, folder_path.name))


def test_pushing_is_private_unless_told_otherwise(trained, monkeypatch):
    monkeypatch.setattr("huggingface_hub.HfApi", Hub)
    assert push(trained / "adapter", "me/adapter") == "https://hub/me/adapter"
    assert Hub.asked[-2:] == [("create", "me/adapter", True), ("upload", "me/adapter", "adapter")]
    monkeypatch.setattr(Hub, "create_repo",
                        lambda *a, **k: (_ for _ in ()).throw(PermissionError("403: this token can't write\nand more")))
    with pytest.raises(ModelError, match="403: this token can't write; expected the hub within reach") as caught:
        push(trained / "adapter", "me/adapter")
    assert "\n" not in str(caught.value)


def test_few_scores_have_a_score_interval_and_one_has_none():
    few, lone = ([Score(f"q{i}", task, "sft", 0, 1e-3, 1.0) for i in range(n)] for task, n in (("target", 3), ("one", 1)))
    base = [Score(s.id, s.task, "base", 0, None, 0.0) for s in [*few, *lone]]
    rows = score_table([*few, *lone], base)
    assert "| target | 3 | 100.0 | 43.9 to 100.0 | 0.0 | +100.0 (-12.3 to +100.0) |" in rows
    assert "| one | 1 | 100.0 | none: one item | 0.0 | +100.0 (none: one item) |" in rows


NASTY = "a|b [x](javascript:alert(1)) <script>*c*</script> `d` $e$ \x1b[31m\u202ef\ng # h ``` ---"


def test_names_in_a_card_are_shown_and_nothing_else():
    import yaml

    record = {"model": f"base: {NASTY}", "name": NASTY, "method": "", "targets": {NASTY: 1}, "losses": [1.0, 0.5], "command": NASTY,
              "source": {"file": NASTY, "sha256": NASTY}, "loading": {"dtype": NASTY},
              "settings": {"loss": NASTY, "learning_rate": 1e-3}}
    scores = [Score(f"q{i}", f"general:{NASTY}", "mine", 0, 1e-3, float(i % 2)) for i in range(20)]
    card = model_card(record, scores)
    _, head, body = card.split("---\n", 2)
    assert yaml.safe_load(head)["base_model"] == record["model"], "the front matter is one block, whatever the name"
    inside, outside, fence = [], [], ""
    for line in body.splitlines():
        if line.strip("`") == "" and len(line) >= 3 and fence in ("", line):
            fence = line if not fence else ""
        else:
            (inside if fence else outside).append(line)
    assert len(inside) == 2 and "```" in inside[1], "the command, in fences that are longer than its own"
    text = "\n".join(outside)
    assert not {"\x1b", "\u202e", "<"} & set(card.split("---\n", 2)[2].replace("<script>*c*</script>", "")) & set("\x1b\u202e")
    assert "<script" not in text and "](javascript" not in text.replace("\\](", "") and text.count("&lt;script&gt;") >= 6
    for line in outside:
        if line.startswith("|"):
            assert line.replace("\\|", "").count("|") in (3, 5), line


def test_a_training_record_that_is_none_is_named(tmp_path):
    from damage import damaged

    from ssr_nb.records import RecordError

    good = {"fingerprint": "f", "method": "ssr", "name": "", "model": "m", "targets": {"own": 3}, "settings": {"learning_rate": 1e-3},
            "losses": [2.0, 1.0]}
    path = tmp_path / "training.json"
    for done, changed in damaged(good):
        path.write_text(json.dumps(changed))
        try:
            card = model_card(training_record(tmp_path))
            assert card.startswith("---")
        except RecordError as error:
            assert "training.json: found " in str(error), done
    for content, said in (("[1e400]", "line 1: found .*Infinity"), ("[" * 9999, "too deep"), ('{"model": "m",\n"losses": [NaN]}', "line 2"),
                          ("{", "line 1"), ("7" * 5000, "5,000 digits")):
        path.write_text(content)
        with pytest.raises(RecordError, match=f"training.json, {said}" if "line" in said else said):
            training_record(tmp_path)


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "[x](javascript:alert(1))", "\u202eevil", "\x1b[2J", "a|b", "\ud800", "__proto__"])
def test_names_of_settings_in_a_record_from_elsewhere_are_shown_as_text(name, tmp_path):
    record = RECORD | {"settings": {name: name, "learning_rate": 1e-3}, "loading": {name: 1}, "model": name.replace("\ud800", "m")}
    (tmp_path / "training.json").write_text(json.dumps(record))
    card = write_card(tmp_path).read_text(encoding="utf-8")
    assert "| learning_rate | 0.001 |" in card and all(c == "\n" or c.isprintable() for c in card)
    for line in card.splitlines():
        if line.startswith("|"):
            assert "<" not in line and "[x](" not in line and "__proto__" not in line and line.replace("\\|", "").count("|") == 3


@pytest.mark.parametrize("changed", [
    *({"settings": RECORD["settings"] | {key: value}} for key in ("loss", "after", "beta", "scale") for value in ([1], {"a": 1}, "x")
      if not (key in ("loss", "after") and value == "x")),
    {"source": {"a": 1}}, {"source": {"file": 1}},
    *({"probe": {"first": {"step": 0}, "last": {"step": 1}, "kept": kept}} for kept in (None, 5, "x", [], {"step": -1}))])
def test_odd_parts_of_a_record_are_an_error_that_names_the_file(changed, tmp_path):
    from ssr_nb.records import RecordError

    (tmp_path / "training.json").write_text(json.dumps(RECORD | changed))
    with pytest.raises(RecordError, match="training.json"):
        write_card(tmp_path)
    assert not (tmp_path / "README.md").exists()
