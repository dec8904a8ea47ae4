"""What the models notebook can't show well: broken folders, late imports, other templates,
and an adapter that leaves no trace."""
import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from tiny_model import make_tiny_model, tiny_tokenizer

from ssr_nb import models
from ssr_nb.adapters import adapter_disabled, add_lora, load_adapter, remove_lora, save_adapter
from ssr_nb.chat import PLAIN_TEMPLATE, answer_ids, chat_ids, prepare_tokenizer, stop_ids
from ssr_nb.machine import ModelError, OutOfMemory, choose_dtype, fastest_threads, readable, set_threads
from ssr_nb.models import fingerprint, load_model, load_with, locate
from ssr_nb.settings import BaseModel, Loading, MODELS, default_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def lm(folder):
    return load_model(folder, backend="transformers", device="cpu")


def in_new_process(code: str, *arguments: str, cwd=None) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=cwd,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def change(tuned, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in tuned.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2, generator=generator)


def logits(lm, prompt="ba de fi"):
    with torch.no_grad():
        return lm.model(input_ids=torch.tensor([chat_ids(lm.tokenizer, prompt)])).logits


def test_importing_a_module_loads_no_backend_and_none_needs_another_first():
    "Each alone, as if it were the first: whoever loads a model decides who comes first, and there is no circle."
    assert in_new_process("""
import importlib, sys
for name in "machine chat models adapters environment respond endpoint".split():
    for there in [n for n in sys.modules if n.partition(".")[0] == "ssr_nb"]:
        del sys.modules[there]
    importlib.import_module(f"ssr_nb.{name}")
    early = [n for n in ("transformers", "peft", "trl", "unsloth", "datasets", "accelerate") if n in sys.modules]
    assert not early, (name, early)
sys.modules["ssr_nb.models"].default_model()  # this fills the tables
assert "transformers" not in sys.modules
""") == ""


@pytest.mark.long
@pytest.mark.parametrize("backend", ["transformers", "unsloth"])
def test_backend_in_a_fresh_process(folder, tmp_path, backend):
    if backend == "unsloth" and models.unsloth_obstacle() == "Unsloth is not installed":
        pytest.skip("Unsloth is not installed")
    told = json.loads(in_new_process("""
import json, sys
from ssr_nb.adapters import add_lora, remove_lora
from ssr_nb.models import describe, fingerprint, load_model
lm = load_model(sys.argv[1], backend=sys.argv[2], device="cpu")
before = fingerprint(lm)
tuned = add_lora(lm)
told = describe(tuned)
drawn = sum(float(p.detach().double().abs().sum()) for n, p in tuned.model.named_parameters() if "lora_A" in n)
print(json.dumps([told["backend"], "unsloth" in sys.modules, told["trainable"], drawn, before, \
fingerprint(remove_lora(tuned))]))
""", str(folder), backend, cwd=tmp_path))
    assert told[:2] == [backend, backend == "unsloth"]
    assert told[4] == told[5] == fingerprint(load_model(folder, backend="transformers", device="cpu"))
    here = add_lora(load_model(folder, backend="transformers", device="cpu"))
    assert told[3] == pytest.approx(sum(
        float(p.detach().double().abs().sum()) for n, p in here.model.named_parameters() if "lora_A" in n), rel=1e-6)
    assert list(tmp_path.iterdir()) == []  # nothing is left in the folder it was started from


def test_unsloth_too_late_is_an_error_only_if_it_was_asked_for(folder):
    assert "transformers" in sys.modules  # conftest or tiny_model brought it in
    import transformers  # noqa: F401
    if "unsloth" in sys.modules:
        pytest.skip("Unsloth is in this process already")
    lm = load_model(folder, backend="auto", device="cpu")
    assert lm.backend == "transformers" and ("imported first" in lm.notes[0] or "not installed" in lm.notes[0])
    with pytest.raises(ModelError, match="imported first|not installed"):
        load_model(folder, backend="unsloth", device="cpu")
    with pytest.raises(ModelError, match="one of auto, unsloth, transformers"):
        load_model(folder, backend="jax")
    with pytest.raises(ModelError, match="did you mean 'transformers'"):
        load_model(folder, backend="transformer")


def test_unsloth_that_fails_to_import_is_told(monkeypatch):
    monkeypatch.setattr(models, "unsloth_obstacle", lambda device: None)
    monkeypatch.setattr(models, "import_unsloth", lambda: (_ for _ in ()).throw(OSError("no libcuda\nand more")))
    assert models.choose_backend("auto", "cuda") == ("transformers", "importing Unsloth failed (OSError: no libcuda)")
    with pytest.raises(ModelError, match="no libcuda"):
        models.choose_backend("unsloth")
    backend, why = models.choose_backend("auto", "cpu")  # where it isn't even tried
    assert backend == "transformers" and "GPU" in why


def test_answers_of_a_bpe_tokenizer_come_without_a_notice(small_llama, tmp_path):
    "Transformers ignores `clean_up_tokenization_spaces` for BPE, and says so in the middle of a run."
    import shutil
    folder = shutil.copytree(small_llama, tmp_path / "model")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"clean_up_tokenization_spaces": True}))
    code = ("import sys\nfrom ssr_nb.models import load_model\nlm = load_model(sys.argv[1], 'transformers', 'cpu')\n"
            "print(lm.tokenizer.decode(lm.tokenizer('one , two .')['input_ids']))")
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True)
    assert done.stdout == "one , two .\n" and done.stderr == ""


def test_dtypes(folder):
    assert choose_dtype("auto", "cpu") == torch.float32 and choose_dtype(torch.float16) == torch.float16
    for wrong in ("float", "int64", "nn"):
        if wrong != "float":
            with pytest.raises(ModelError):
                choose_dtype(wrong)
    assert next(load_model(folder, "transformers", "cpu", "bfloat16").model.parameters()).dtype == torch.bfloat16
    saved_half = load_model(folder, "transformers", "cpu").model.half()
    saved_half.save_pretrained(folder / "half")
    tiny_tokenizer().save_pretrained(folder / "half")
    assert next(load_model(folder / "half", "transformers", "cpu").model.parameters()).dtype == torch.float32


@pytest.mark.parametrize("broken", ["no weights", "torn weights", "torn config", "no tokenizer"])
def test_broken_folders_are_one_clear_line(tmp_path, broken):
    folder = make_tiny_model(tmp_path / "model")
    if broken == "no weights":
        (folder / "model.safetensors").unlink()
    elif broken == "torn weights":
        (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:5000])
    elif broken == "torn config":
        (folder / "config.json").write_text('{"model_type": "lla')
    else:
        for path in folder.glob("*token*"):
            path.unlink()
    with pytest.raises(ModelError) as caught:
        load_model(folder, backend="transformers")
    assert str(folder) in str(caught.value) and "\n" not in str(caught.value)


def test_names_that_lead_nowhere(tmp_path, monkeypatch):
    for name in ("./nothing", "/nothing/here", "~/no/such/model", "a/b/c", ""):
        with pytest.raises(ModelError):
            locate(name)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="load_adapter"):
        locate(str(tmp_path))
    monkeypatch.setattr(models, "_hub_answers", lambda: False)
    with pytest.raises(ModelError, match="hub being out of reach"):
        load_model("somebody/some-model-that-is-not-cached", backend="transformers")


@pytest.fixture
def rows(folder):
    "The table of models, with a row for the tiny one and one that leads nowhere; afterwards as it was."
    kept = dict(default_model() and MODELS)
    MODELS.add(BaseModel("tiny", lambda: folder))
    MODELS.add(BaseModel("gone", lambda: "/no/such/folder"))
    yield MODELS
    MODELS.clear()
    MODELS.update(kept)


def test_a_short_name_is_a_row_of_the_table(rows, folder, monkeypatch):
    assert locate("tiny") == (str(folder), True)
    lm = load_model("tiny", backend="transformers", device="cpu")
    assert lm.name == "tiny" and fingerprint(lm) == fingerprint(load_model(folder, "transformers", "cpu"))
    with pytest.raises(ModelError, match="model 'gone': found no folder '/no/such/folder', where its row points"):
        locate("gone")
    with pytest.raises(ModelError, match=r"found no such folder; expected one of .*tiny.*model's id on the hub"):
        locate("./nothing")
    monkeypatch.setattr(models, "_hub_answers", lambda: False)
    with pytest.raises(ModelError, match=r"out of reach \(did you mean 'tiny'\?\)"):
        load_model("tinny", backend="transformers")


def test_the_package_s_own_row_is_the_default(rows, folder, monkeypatch):
    first = default_model()
    assert first.name != "tiny" and load_model(backend="transformers", device="cpu").name == first.name
    assert load_with(Loading(backend="transformers", device="cpu", threads=1)).name == first.name
    rows.clear()
    with pytest.raises(ValueError, match="no name of a model"):
        default_model()


def test_the_settings_of_loading_are_kept_and_checked(folder):
    before = torch.get_num_threads()
    try:
        lm = load_with(Loading(str(folder), backend="transformers", device="cpu", dtype="bfloat16", threads=3))
        assert lm.dtype == torch.bfloat16 == next(lm.model.parameters()).dtype and torch.get_num_threads() == 3
        load_with(Loading(str(folder), backend="transformers", device="cpu"))
        assert 1 <= torch.get_num_threads() <= fastest_threads(lm, [1]) * os.cpu_count()
    finally:
        set_threads(before)
    for setting, told in {"backend": "one of auto, unsloth, transformers", "dtype": "did you mean 'bfloat16'",
                          "threads": "a whole number at least 1", "max_length": "at least 1"}.items():
        wrong = {"backend": "jax", "dtype": "bfloat61", "threads": 0, "max_length": -1}[setting]
        with pytest.raises(ValueError, match=f"found {setting}=.*{told}"):
            Loading(**{setting: wrong})
    with pytest.raises(ModelError, match="found device 'gpu'; expected auto, or what PyTorch can use here: .*cpu"):
        load_with(Loading(str(folder), device="gpu"))
    with pytest.raises(AttributeError):
        Loading().model = "another"


def test_every_setting_of_loading_arrives(folder, monkeypatch):
    given = {}
    monkeypatch.setattr(models, "load_model", lambda *a, **k: given.update(k, positional=a) or _Elsewhere())
    load_with(Loading("m", "unsloth", "cuda:1", "float16", load_in_4bit=True, max_length=77, thinking=True))
    assert given == {"positional": ("m", "unsloth", "cuda:1", "float16"), "max_length": 77, "load_in_4bit": True,
                     "thinking": True}


class _Elsewhere:
    device = "cuda:1"  # on a GPU no threads are measured or set


def test_remote_code_is_never_run(tmp_path):
    folder = make_tiny_model(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "sly", "auto_map": {"AutoConfig": "code.Sly", "AutoModelForCausalLM": "code.Sly"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "code.py").write_text("raise SystemExit('remote code ran')")
    with pytest.raises(ModelError):
        load_model(folder, backend="transformers")


def test_templates(tmp_path, lm):
    folder = make_tiny_model(tmp_path / "plain", template=None)
    with pytest.raises(ModelError, match="PLAIN_TEMPLATE"):
        load_model(folder, backend="transformers")
    plain = load_model(folder, backend="transformers", chat_template=PLAIN_TEMPLATE)
    assert answer_ids(plain.tokenizer, "ba de", "fi")[-1] == plain.tokenizer.eos_token_id
    conversation = [{"role": "system", "content": "ba"}, {"role": "user", "content": "de"},
                    {"role": "assistant", "content": "fi"}, {"role": "user", "content": "go"}]
    whole = lm.tokenizer.decode(chat_ids(lm.tokenizer, conversation) + answer_ids(lm.tokenizer, conversation, "bu"))
    assert whole == "<bos> <user> ba <user> de <assistant> fi <eos> <user> go <assistant> bu <eos>"
    assert conversation[-1]["role"] == "user" and len(conversation) == 4


def test_what_follows_the_end_of_the_turn_is_not_the_answer():
    tokenizer = tiny_tokenizer("{% for m in messages %}<user> {{ m['content'] }} <eos> ba {% endfor %}{% if "
                               "add_generation_prompt %}<user>{% endif %}")
    assert tokenizer.decode(answer_ids(tokenizer, "de", "fi fo")) == "fi fo <eos>"


def test_padding_token_is_made_where_there_is_none():
    tokenizer = tiny_tokenizer()
    tokenizer.pad_token = None
    assert prepare_tokenizer(tokenizer, "x").pad_token == "<eos>" and tokenizer.padding_side == "left"


def test_stop_ids_join_all_who_have_a_say(lm):
    lm.model.generation_config.eos_token_id = [7, 8]
    assert stop_ids(lm) == [4, 7, 8]
    lm.model.generation_config.eos_token_id = None
    assert stop_ids(lm) == [4]


def test_an_adapter_leaves_no_trace(lm, tmp_path):
    base, before = fingerprint(lm), logits(lm)
    for seed in range(3):
        tuned = add_lora(lm, seed=seed, r=4, dropout=0.1)
        assert torch.equal(logits(tuned), before)
        change(tuned, seed)
        assert fingerprint(tuned) != base and not torch.allclose(logits(tuned), before)
        with adapter_disabled(tuned):
            assert torch.equal(logits(tuned), before)
        tuned_logits = logits(tuned)
        save_adapter(tuned, tmp_path / "adapter")
        lm = remove_lora(tuned)
        assert fingerprint(lm) == base and torch.equal(logits(lm), before)
        assert not any("lora" in name for name, _ in lm.model.named_modules())
        again = load_adapter(lm, tmp_path / "adapter")
        assert torch.equal(logits(again), tuned_logits) and not any(p.requires_grad for p in again.model.parameters())
        assert again.title == lm.name + "+adapter" and again.name == lm.name
        lm = remove_lora(again)
        assert lm.title == lm.name
    assert remove_lora(lm).model is lm.model
    assert json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())["base_model_name_or_path"] == lm.name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["adapter"]


def test_a_loaded_adapter_can_go_on_training(lm, tmp_path):
    tuned = add_lora(lm)
    save_adapter(tuned, tmp_path / "adapter")
    again = load_adapter(remove_lora(tuned), tmp_path / "adapter", trainable=True)
    assert {n.split(".")[-3] for n, p in again.model.named_parameters() if p.requires_grad} == {"lora_A", "lora_B"}


def test_adapters_that_do_not_fit(lm, tmp_path):
    before = fingerprint(lm)
    with pytest.raises(ModelError, match="no adapter on it"):
        save_adapter(lm, tmp_path / "none")
    wide = add_lora(lm, r=4)
    save_adapter(wide, tmp_path / "adapter")
    lm = remove_lora(wide)
    torn = tmp_path / "adapter" / "adapter_model.safetensors"
    torn.write_bytes(torn.read_bytes()[:300])
    with pytest.raises(ModelError, match="adapter that fits"):
        load_adapter(lm, tmp_path / "adapter")
    config = tmp_path / "adapter" / "adapter_config.json"
    save_adapter(wide := add_lora(lm, r=4), tmp_path / "adapter")
    lm = remove_lora(wide)
    config.write_text(config.read_text().replace('"r": 4', '"r": 6'))
    with pytest.raises(ModelError, match="adapter that fits"):
        load_adapter(lm, tmp_path / "adapter")
    assert fingerprint(lm) == before and not models.has_lora(lm)


def test_fingerprint_sees_what_decides_an_answer(lm, folder):
    before = fingerprint(lm)
    assert before == fingerprint(load_model(folder, backend="transformers", device="cpu"))
    assert before != fingerprint(load_model(folder, "transformers", "cpu", "bfloat16"))
    lm.tokenizer.chat_template += " "
    assert fingerprint(lm) != before
    lm.tokenizer.chat_template = lm.tokenizer.chat_template[:-1]
    with torch.no_grad():
        lm.model.lm_head.weight[0, 0] += 1e-3
    assert fingerprint(lm) != before


def test_threads(lm):
    before = torch.get_num_threads()
    assert fastest_threads(lm, [1, 2]) in (1, 2) and fastest_threads(lm, [1]) == 1 and torch.get_num_threads() == before
    assert set_threads(before) == before
    with pytest.raises(ValueError, match="1 or more"):
        set_threads(0)


def test_description(lm):
    told = models.describe(add_lora(lm))
    assert (0 < told["trainable"] < told["parameters"] and told["versions"]["torch"]
            and told["peak memory"][-2:] in ("MB", "GB"))
    assert readable(999) == "999 B" and readable(5e15).endswith("TB")


def test_training_that_runs_out_of_memory_says_what_to_change(lm, monkeypatch, tmp_path):
    from transformers import Trainer

    from ssr_nb.records import Target
    from ssr_nb.settings import TrainingSettings
    from ssr_nb.train import train

    targets = [Target(f"t{i}", "ba de fi", "go bu", "gold") for i in range(12)]
    monkeypatch.setattr(Trainer, "training_step",
                        lambda *a, **k: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory.")))
    before = fingerprint(lm)
    with pytest.raises(OutOfMemory,
                       match="batches of 12 rows of up to 9 tokens; expected batch_size 6 with accumulation 4"):
        train(targets, lm, tmp_path / "adapter", TrainingSettings(batch_size=12, accumulation=2, steps=2),
              progress=False)
    with pytest.raises(OutOfMemory, match="load_in_4bit.*max_length 4"):
        train(targets, lm, settings=TrainingSettings(batch_size=1, steps=2), progress=False)
    assert fingerprint(lm) == before and not models.has_lora(lm)  # the base is given back
    monkeypatch.setattr(Trainer, "training_step", lambda *a, **k: (_ for _ in ()).throw(RuntimeError("something else")))
    with pytest.raises(RuntimeError, match="something else"):
        train(targets, lm, settings=TrainingSettings(steps=2), progress=False)


def test_weights_that_the_memory_does_not_hold(folder, monkeypatch):

    def full(*arguments):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(models, "_from_transformers", full)
    monkeypatch.setattr(models, "four_bit_obstacle", lambda: None)
    with pytest.raises(OutOfMemory, match=r"weights of '.*' in float32 \(OutOfMemoryError: CUDA.*expected "
                       "load_in_4bit, or a smaller model"):
        load_model(folder, backend="transformers", device="cpu")
    with pytest.raises(OutOfMemory, match="in 4 bits .*; expected a smaller model"):
        load_model(folder, backend="transformers", device="cpu", load_in_4bit=True)


def test_an_adapter_that_trains_in_float16_is_float32(folder, tmp_path):
    """TRL turns the adapter of a base in 4 bits to bfloat16, whatever the card; float16's gradient scaler, which a
    card without bfloat16 needs, can't read such gradients."""
    from ssr_nb.records import Target
    from ssr_nb.settings import TrainingSettings
    from ssr_nb.train import _trainer, encode_all

    small = load_model(folder, backend="transformers", device="cpu", dtype="float16")
    tuned, targets = add_lora(small), [Target("t", "ba de", "fi", "gold")]
    tuned.model.base_model.model.is_loaded_in_4bit = True
    rows = encode_all(targets, tuned.tokenizer, 64)
    trainer = _trainer(tuned, targets, rows, TrainingSettings(steps=1), tmp_path, False)
    assert {p.dtype for p in trainer.model.parameters() if p.requires_grad} == {torch.float32}


def test_the_context_is_what_the_model_was_loaded_for(lm):
    from ssr_nb.records import Example, RecordError, Target
    from ssr_nb.respond import completion_logprobs, respond
    from ssr_nb.train import TooLong, train

    made_for = lm.model.config.max_position_embeddings
    assert lm.context == made_for
    lm.model.max_seq_length = 8  # where Unsloth notes what it prepared for; it cuts what is longer
    assert lm.context == 8 and add_lora(lm).context == 8
    with pytest.raises(RecordError, match="fewer than 8 tokens, the context of .* as it was loaded"):
        respond([Example("ba de fi go " * 3, "ba", id="q")], lm, progress=False)
    with pytest.raises(RecordError, match="at most 8, the context"):
        completion_logprobs(lm, [("ba de", "fi go bu " * 3)])
    remove_lora(lm)
    with pytest.raises(TooLong, match="1 targets over 8 tokens"):
        train([Target("t", "ba de", "fi go bu " * 3, "gold")], lm, progress=False)


@pytest.mark.long
def test_unsloth_does_not_stretch_a_model(folder, tmp_path):
    if models.unsloth_obstacle() == "Unsloth is not installed":
        pytest.skip("Unsloth is not installed")
    made_for = load_model(folder, backend="transformers", device="cpu").context
    told = in_new_process("import sys\nfrom ssr_nb.models import load_model\n"
                          "print(*(load_model(sys.argv[1], 'unsloth', 'cpu', max_length=n).model.max_seq_length "
                          "for n in (16, 100_000)))", str(folder), cwd=tmp_path)
    assert told.split() == ["16", str(made_for)]


def test_four_bits_where_they_cannot_be_had(folder, monkeypatch):
    monkeypatch.setattr(models, "four_bit_obstacle", lambda: "bitsandbytes is not installed")
    with pytest.raises(ModelError, match=r"load_in_4bit, and bitsandbytes is not installed; expected bitsandbytes: "
                       r"pip install 'ssr-nb\[gpu\]'"):
        load_model(folder, backend="transformers", device="cpu", load_in_4bit=True)


def test_four_bits(folder, lm, tmp_path):
    "The base rounded, the adapter not: it answers, learns, is saved and found again, and the base stays as it is."
    pytest.importorskip("bitsandbytes")
    from ssr_nb.records import Example, Target
    from ssr_nb.respond import completion_logprobs, respond
    from ssr_nb.settings import TrainingSettings
    from ssr_nb.train import train

    small = load_model(folder, backend="transformers", device="cpu", load_in_4bit=True)
    assert (small.model.is_loaded_in_4bit and small.model.get_memory_footprint() < lm.model.get_memory_footprint()
            and fingerprint(small) != fingerprint(lm))
    before = fingerprint(small)
    said = respond([Example("ba de", "fi", id="q")], small, max_new_tokens=4, progress=False)
    pairs = [("ba de", "fi go")]
    tuned = train([Target("q", "ba de", "fi go", "gold")], small, tmp_path / "adapter",
                  TrainingSettings(steps=2, batch_size=1, learning_rate=1e-2), progress=False).lm
    after = completion_logprobs(tuned, pairs)
    small = remove_lora(tuned)
    assert fingerprint(small) == before and respond([Example("ba de", "fi", id="q")], small, max_new_tokens=4,
                                                    progress=False) == said
    again = load_model(folder, backend="transformers", device="cpu", load_in_4bit=True)
    # TRL trains the adapter of a rounded base in bfloat16, and PEFT loads it in float32: the
    # same numbers, another arithmetic
    assert torch.allclose(completion_logprobs(load_adapter(again, tmp_path / "adapter"), pairs)[0], after[0], atol=0.01)


def test_the_fingerprint_is_of_the_model_and_not_of_its_last_use(lm):
    before = fingerprint(lm)
    lm.tokenizer(["ba da", "ba"], padding=True, truncation=True, max_length=5)
    assert lm.tokenizer.backend_tokenizer.padding and fingerprint(lm) == before
    assert lm.tokenizer.backend_tokenizer.padding, "the tokenizer is left as it was"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_what_a_killed_save_left_is_gone_after_the_next(lm, tmp_path):
    tuned = add_lora(lm, r=4)
    whole = type(tuned.model).save_pretrained

    def dying(*arguments, **keywords):
        whole(tuned.model, *arguments, **keywords)
        os._exit(9)

    if (child := os.fork()) == 0:
        tuned.model.save_pretrained = dying
        save_adapter(tuned, tmp_path / "adapter")
    os.waitpid(child, 0)
    assert [p.name for p in tmp_path.iterdir()] not in ([], ["adapter"]), "it died with the new folder unfinished"
    save_adapter(tuned, tmp_path / "adapter")
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]


def test_a_save_takes_up_where_another_was_killed(lm, tmp_path, monkeypatch):
    tuned, folder, aside = add_lora(lm, r=4), tmp_path / "adapter", tmp_path / ".adapter.old"
    save_adapter(tuned, folder)
    shutil.copytree(folder, aside)  # killed before it cleared away the old one
    save_adapter(tuned, folder)
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"]
    folder.rename(aside)  # killed between the renames: the old one is all there is
    monkeypatch.setattr(tuned.model, "save_pretrained", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_adapter(tuned, folder)
    assert [p.name for p in tmp_path.iterdir()] == ["adapter"] and (folder / "adapter_config.json").is_file()
