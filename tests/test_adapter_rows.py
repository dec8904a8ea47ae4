"""Each row of the table of adapters on a small model: it changes nothing at first, trains, is switched off, saved, loaded and
taken off again; and a comparison crosses them with its methods."""

import hashlib
import json
import math
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file

from ssr_nb.adapter_rows import ADAPTERS, AFTER, Adapter, adapter_named, lora
from ssr_nb.adapters import add_lora, load_adapter, remove_lora, scale_adapter, trained_weights
from ssr_nb.compare import compare
from ssr_nb.comparison import Comparison, check
from ssr_nb.machine import ModelError
from ssr_nb.models import fingerprint, load_model
from ssr_nb.records import Target, read_json, to_row
from ssr_nb.settings import TrainingSettings
from ssr_nb.train import LATER, encode, mark_of, train
from tiny_model import make_tiny_model

USABLE = [name for name, row in ADAPTERS.items() if not row.obstacle]
TARGETS = [Target(f"q{i}", f"ba{'' if i % 2 else ' de'} fel", "gu mo" + " ra" * i, "gold") for i in range(4)]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    torch.set_num_threads(1)
    return load_model(str(make_tiny_model(tmp_path_factory.mktemp("tiny"))), backend="transformers", device="cpu")


def logits(lm):
    ids = torch.tensor([encode(TARGETS[2], lm.tokenizer)["input_ids"]])
    with torch.no_grad():
        return lm.model.eval()(input_ids=ids, use_cache=False).logits[0]


@pytest.mark.parametrize("name", USABLE)
def test_an_adapter_trains_and_leaves_the_base_as_it_was(tiny, tmp_path, name):
    before, plain = fingerprint(tiny), logits(tiny)
    fresh = add_lora(tiny, adapter=name)
    assert torch.allclose(logits(fresh), plain, atol=1e-4), "a new adapter changes nothing"
    remove_lora(fresh)
    settings = TrainingSettings(steps=4, batch_size=4, learning_rate=1e-2, warmup=0, adapter=name, checkpoint_every=2)
    trained = train(TARGETS, tiny, tmp_path / name, settings, progress=False)
    tuned = logits(trained.lm)
    assert trained.losses[-1] < trained.losses[0] and not torch.allclose(tuned, plain, atol=1e-2)
    with trained.lm.model.disable_adapter():
        assert torch.equal(logits(trained.lm), plain), "switched off, the base speaks"
    remove_lora(trained.lm)
    assert fingerprint(tiny) == before and torch.equal(logits(tiny), plain)
    loaded = load_adapter(tiny, tmp_path / name)
    assert torch.allclose(logits(loaded), tuned, atol=1e-5), "what is saved is what was trained"
    remove_lora(loaded)
    assert json.loads((tmp_path / name / "training.json").read_text())["settings"]["adapter"] == name


@pytest.mark.parametrize("name", ["oft", "osf", "mica"])
def test_a_killed_training_of_another_adapter_ends_as_an_undisturbed_one(tiny, tmp_path, name, monkeypatch):
    from transformers import Trainer

    settings = TrainingSettings(steps=4, batch_size=4, learning_rate=1e-2, adapter=name, checkpoint_every=2)
    step = Trainer.training_step

    def dies(self, *arguments, **keywords):
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return step(self, *arguments, **keywords)

    monkeypatch.setattr(Trainer, "training_step", dies)
    with pytest.raises(KeyboardInterrupt):
        train(TARGETS, tiny, tmp_path / "killed", settings, progress=False)
    monkeypatch.setattr(Trainer, "training_step", step)
    for folder in ("killed", "undisturbed"):
        remove_lora(train(TARGETS, tiny, tmp_path / folder, settings, progress=False).lm)
    for file in ("adapter_model.safetensors", "training.json"):
        assert (tmp_path / "killed" / file).read_bytes() == (tmp_path / "undisturbed" / file).read_bytes(), file


def test_the_counts_are_those_of_the_formulas(tiny):
    "Two layers of width 32: q and o 32x32, k and v 16x32, three of 64 in the MLP; at rank 4."
    ends = [(32, 32), (32, 16), (32, 16), (32, 32)], [(32, 64), (32, 64), (64, 32)]
    attention, mlp = (2 * sum(4 * (a + b) for a, b in shapes) for shapes in ends)
    inputs = 2 * sum(a for shapes in ends for a, b in shapes)
    blocks = 2 * sum(a // 16 * (16 * 15 // 2) for shapes in ends for a, b in shapes)
    found = {name: trained_weights(tiny, adapter=name, r=4) for name in USABLE}
    assert found["lora"] == found["rslora"] == attention + mlp and found["mlp-lora"] == mlp
    assert found["mica"] == 4 * inputs and found["oft"] == blocks


def test_rslora_has_the_root_of_the_rank(tiny):
    scalings = {}
    for name in ("lora", "rslora"):
        tuned = add_lora(tiny, adapter=name, r=4, alpha=8)
        scalings[name] = {layer.scaling["default"] for layer in tuned.model.modules() if hasattr(layer, "lora_A")}
        remove_lora(tuned)
    assert scalings == {"lora": {8 / 4}, "rslora": {8 / math.sqrt(4)}}


def test_what_cannot_be_used_is_refused_by_name_at_the_start(tiny):
    with pytest.raises(ValueError, match="key 'adapter'|found the adapter 'corda': it takes the directions"):
        check(Comparison(adapter=["corda"]))
    with pytest.raises(ValueError, match="did you mean 'osf' or 'oft'"):
        check(Comparison(adapter=["otf"]))
    with pytest.raises(ValueError, match="key 'adapter': found \\['oft', 'oft'\\]; expected a list of different"):
        check(Comparison(adapter=["oft", "oft"]))
    with pytest.raises(ValueError, match="key 'adapter': found 'oft'; expected one of LoRA's kind for the method 'wise'"):
        check(Comparison(methods=["sft", "wise"], adapter=["lora", "oft"]))
    with pytest.raises(ModelError, match="found dropout=0.1 for OSF"):
        add_lora(tiny, adapter="osf", dropout=0.1)
    tuned = add_lora(tiny, adapter="oft")
    with pytest.raises(ModelError, match="of the kind OFT, to be scaled by 0.5"):
        scale_adapter(tuned, 0.5)
    remove_lora(tuned)
    assert adapter_named("oft").scales is False


def test_settings_of_before_are_the_same_run(tiny):
    "Their fingerprint knew of no adapter."
    plain, other = (mark_of(TARGETS, TrainingSettings(adapter=name), tiny) for name in ("lora", "oft"))
    decides = {k: v for k, v in asdict(TrainingSettings()).items() if k not in ("checkpoint_every", "order", *LATER)}
    depends = json.dumps([[to_row(t) for t in TARGETS], decides, fingerprint(tiny)], sort_keys=True, default=str)
    assert plain == hashlib.sha256(depends.encode()).hexdigest()[:16] != other


def a_comparison(**more):
    return Comparison(**({"learning_rates": [1e-3], "seeds": [0], "backend": "transformers", "threads": 1, "resamples": 50,
                          "items": {"train": 16, "validation": 4, "target": 4, "shift": 4, "general": 2},
                          "training": {"steps": 2, "batch_size": 4}, "workers": 2} | more))


@pytest.mark.long
def test_a_comparison_crosses_methods_with_adapters_and_a_run_may_gain_one(tmp_path):
    quiet = {"say": lambda line: None}
    first = compare(a_comparison(methods=["sft"], workers=1), tmp_path, **quiet)
    assert "adapters" not in first and (tmp_path / "arms" / "sft-0.001-0").is_dir()
    lines = []
    more = compare(a_comparison(methods=["sft", "wise", "lines", "intruders"], adapter=["lora", "mlp-lora"]), tmp_path, say=lines.append)
    names = [f"{method}{at}" for method in ("sft", "wise", "lines", "intruders") for at in ("", "@mlp-lora")]
    assert [arm["method"] for arm in more["arms"]] == ["base", *sorted(names)] and list(more["mixes"]) == names
    assert more["adapters"]["mlp-lora"] < more["adapters"]["lora"]
    assert any(line.startswith("weights to train: lora ") for line in lines) and any("7 arms to run" in line for line in lines)
    record = read_json(tmp_path / "arms" / "wise@mlp-lora-0.001-0" / "adapter" / "training.json")
    assert (record["method"], record["settings"]["adapter"], record["settings"]["scale"]) == ("wise", "mlp-lora", 0.5)
    factors = []
    for name in ("sft@mlp-lora", "lines@mlp-lora"):
        weights = load_file(tmp_path / "arms" / f"{name}-0.001-0" / "adapter" / "adapter_model.safetensors")
        factors.append({key: value for key, value in weights.items() if "lora_B" in key and "down_proj" in key})
    ratios = [float(after.norm() / before.norm()) for before, after in zip(*(found.values() for found in factors))]
    assert ratios == pytest.approx([0.5, 0.75, 1.0], rel=1e-3), "the early layers were scaled down, in what is saved"
    with pytest.raises(ValueError, match="found method 'sft' with other adapter"):
        compare(a_comparison(methods=["sft"], adapter=["oft"]), tmp_path, **quiet)


def test_a_plug_in_adds_an_adapter(tiny, tmp_path):
    from ssr_nb.tables import load_plugins

    (tmp_path / "wide.py").write_text("from ssr_nb.adapter_rows import ADAPTERS, Adapter, lora\n"
                                      "ADAPTERS.add(Adapter('wide', lambda rank, *rest, **more: lora(4 * rank, *rest, **more), 'wider'))\n")
    load_plugins([str(tmp_path / "wide.py")])
    try:
        assert trained_weights(tiny, adapter="wide", r=2) == trained_weights(tiny, r=8)
        assert check(Comparison(adapter=["wide"])).trainings() == {"sft": ("sft", "wide"), "ssr": ("ssr", "wide")}
    finally:
        del ADAPTERS["wide"]
    assert isinstance(ADAPTERS["lora"], Adapter) and ADAPTERS["lora"].config is lora


def moved(tiny, factor=1.0):
    "A tuned model, and the update of each matrix."
    tuned = add_lora(tiny, seed=1)
    for layer in tuned.model.modules():
        if hasattr(layer, "lora_B"):
            torch.nn.init.normal_(layer.lora_B["default"].weight, std=factor, generator=torch.Generator().manual_seed(0))
    return tuned, updates(tuned)


def updates(tuned):
    return {name: layer.get_delta_weight("default").detach().clone() for name, layer in tuned.model.named_modules()
            if hasattr(layer, "lora_B")}


def test_lines_is_its_formula(tiny):
    "alpha + beta (l - 1) / (L - 1), here for two layers."
    tuned, before = moved(tiny)
    AFTER["lines"].change(tuned)
    after = updates(tuned)
    remove_lora(tuned)
    for name, update in before.items():
        layer = int(name.split("layers.")[1].split(".")[0]) + 1
        assert torch.allclose(after[name], (0.5 + 0.5 * (layer - 1) / (2 - 1)) * update, atol=1e-6), name


@pytest.fixture
def packed(tiny):
    "The model with one matrix in bits, as bitsandbytes keeps them."
    layer = next(layer for layer in tiny.model.modules() if isinstance(layer, torch.nn.Linear))
    whole = layer.weight
    layer.weight = torch.nn.Parameter(torch.zeros(8, 1, dtype=torch.uint8), requires_grad=False)
    yield tiny
    layer.weight = whole


def test_what_reads_the_base_is_refused_before_training_where_that_is_packed(packed, tmp_path, monkeypatch):
    monkeypatch.setattr("ssr_nb.train._trained", lambda *arguments: pytest.fail("it trains"))
    monkeypatch.setattr("ssr_nb.train.mark_of", lambda *arguments: "")
    for after, row in AFTER.items():
        if row.reads_base:
            with pytest.raises(ValueError, match=f"{after}: found weights that are packed in bits in .*; expected weights of 16"):
                train(TARGETS, packed, tmp_path / after, TrainingSettings(after=after))
            from ssr_nb.compare import share
            with pytest.raises(ValueError, match=f"{after}: found weights that are packed"):
                share(Comparison(methods=["sft", after]), tmp_path, packed)
            with pytest.raises(ValueError, match=f"key 'load_in_4bit'.*{after}"):
                check(Comparison(methods=["sft", after], load_in_4bit=True))
        else:
            row.check(packed)
            check(Comparison(methods=["sft", after], load_in_4bit=True))
    assert list(tmp_path.iterdir()) == [] and [row.name for row in AFTER.values() if row.reads_base] == ["intruders"]


def test_intruders_lose_a_quarter_and_the_rest_stays(tiny):
    tuned, before = moved(tiny, factor=3.0)
    bases = {name: layer.get_base_layer().weight.detach().clone() for name, layer in tuned.model.named_modules() if hasattr(layer, "lora_B")}
    AFTER["intruders"].change(tuned)
    after, found = updates(tuned), 0
    assert list(tuned.model.peft_config) == ["default"]
    remove_lora(tuned)
    for name, base in bases.items():
        u, s, v = torch.linalg.svd(base + before[name], full_matrices=False)
        close = (u.T @ torch.linalg.svd(base, full_matrices=False)[0]).abs().max(1).values
        intruders = [i for i in range(min(10, len(s))) if close[i] < 0.5]
        found += len(intruders)
        mended = before[name] - 0.25 * sum((s[i] * torch.outer(u[:, i], v[i]) for i in intruders), torch.zeros_like(base))
        left = torch.linalg.svd(mended)
        rank = 8  # the adapter's: what it can't hold is lost
        expected = left[0][:, :rank] @ torch.diag(left[1][:rank]) @ left[2][:rank] if intruders else before[name]
        assert torch.allclose(after[name], expected, atol=1e-2 * float(before[name].abs().max())), name
    assert found > 0


@pytest.mark.parametrize("name", AFTER)
def test_what_is_no_lora_cannot_be_changed_after_training(tiny, name):
    with pytest.raises(ValueError, match="found no LoRA adapter"):
        AFTER[name].change(tiny)
    with pytest.raises(ValueError, match="found adapter='oft', to be changed after training"):
        TrainingSettings(adapter="oft", after=name)
