"""The machine: errors that travel between processes, devices and numbers that aren't there, and libraries that
are kept quiet and left as they were."""

import contextlib
import importlib
import inspect
import io
import json
import logging
import os
import pickle
import subprocess
import sys
import threading
import warnings

import pytest
import torch
import tqdm.auto
from tiny_model import make_tiny_model

from ssr_nb.endpoint import _Passing
from ssr_nb.machine import (LARGE, LIBRARIES, MEASURED, ModelError, available_memory, choose_device, choose_dtype, devices, first_line,
                            quiet_libraries, ran_out)
from ssr_nb.models import count_weights, load_model

MODULES = ("machine", "chat", "models", "adapters", "environment", "respond", "endpoint")
RAISED = {"ModelError": ModelError("mine", "no weights", "a folder that holds a whole model"),
          "_Passing": _Passing("status 429: slow down", 7.5)}


def errors():
    "Every class of errors that these modules define."
    for module in map(importlib.import_module, (f"ssr_nb.{name}" for name in MODULES)):
        yield from (c for _, c in inspect.getmembers(module, inspect.isclass)
                    if issubclass(c, BaseException) and c.__module__ == module.__name__)


@pytest.mark.parametrize("cls", errors(), ids=lambda cls: cls.__name__)
def test_errors_survive_the_way_between_processes(cls):
    assert "__init__" not in vars(cls) or cls.__name__ in RAISED, "an error with arguments of its own: add it to RAISED"
    raised = RAISED.get(cls.__name__) or cls("found this; expected that")
    arrived = pickle.loads(pickle.dumps(raised))
    assert type(arrived) is type(raised) and str(arrived) == str(raised) and vars(arrived) == vars(raised)


def test_an_error_in_a_worker_process_is_the_one_that_is_read(tmp_path):
    (tmp_path / "worker.py").write_text("""
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from ssr_nb.machine import ModelError

def fail():
    raise ModelError("mine", "no weights", "a whole model")

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            pool.submit(fail).result()
        except ModelError as error:
            print(error, error.name, error.found, error.expected, sep="|")
""")
    done = subprocess.run([sys.executable, tmp_path / "worker.py"], capture_output=True, text=True)
    assert done.stdout == ("model 'mine': found no weights; expected a whole model|mine|no weights|a whole model\n"
                           ), done.stderr


@pytest.mark.parametrize("wrong", ["gpu", "cuda:x", "", "meta", "Cpu", "cuda", "cuda:3", "mps", "xpu:1"])
def test_devices_that_are_not_here(wrong, monkeypatch):
    for kind in ("cuda", "mps", "xpu"):
        monkeypatch.setattr(getattr(torch, kind), "is_available", lambda: False)
    with pytest.raises(ModelError) as caught:
        choose_device(wrong)
    assert str(caught.value) == f"found device {wrong!r}; expected auto, or what PyTorch can use here: cpu"


def test_a_gpu_by_number(monkeypatch):
    for kind in ("cuda", "mps", "xpu"):
        monkeypatch.setattr(getattr(torch, kind), "is_available", lambda kind=kind: kind == "cuda")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert devices() == ["cuda", "cpu"] and choose_device() == "cuda"
    assert [choose_device(d) for d in ("cuda", "cuda:1", "cpu")] == ["cuda", "cuda:1", "cpu"]
    with pytest.raises(ModelError, match="found device 'cuda:2'.* here: cuda, cuda:0, cuda:1, cpu"):
        choose_device("cuda:2")


@pytest.mark.parametrize("ratio, expected", [(0.3, torch.float32), (1.1, torch.float32), (1.9, torch.bfloat16)])
def test_a_large_model_on_a_cpu_is_in_the_faster_type_and_a_small_one_in_float32(monkeypatch, ratio, expected):
    measured = []
    monkeypatch.delenv(MEASURED, raising=False)
    monkeypatch.setattr("ssr_nb.machine.speed_of_bfloat16", lambda: measured.append(ratio) or ratio)
    assert choose_dtype("auto", "cpu", weights=LARGE - 1) == choose_dtype("auto", "cpu") == torch.float32
    assert not measured, "a small model asks nothing"
    assert [choose_dtype("auto", "cpu", weights=LARGE) for _ in range(3)] == [expected] * 3 and len(measured) == 1
    assert choose_dtype("float32", "cpu", LARGE) == torch.float32 and choose_dtype("bfloat16", "cpu") == torch.bfloat16
    assert os.environ[MEASURED] == str(expected).removeprefix("torch."), "the processes that it starts know it"
    monkeypatch.delenv(MEASURED)


def test_weights_are_counted_before_they_are_read(tmp_path, monkeypatch):
    folder = make_tiny_model(tmp_path / "model")
    weights = sum(p.numel() for p in load_model(folder, "transformers", "cpu").model.parameters())
    assert count_weights(str(folder)) == weights
    monkeypatch.setenv(MEASURED, "bfloat16")
    monkeypatch.setattr("ssr_nb.machine.LARGE", weights)
    lm = load_model(folder, "transformers", "cpu")
    assert lm.dtype == next(lm.model.parameters()).dtype == torch.bfloat16
    assert load_model(folder, "transformers", "cpu", "float32").dtype == torch.float32
    monkeypatch.setattr("ssr_nb.machine.LARGE", weights + 1)
    assert load_model(folder, "transformers", "cpu").dtype == torch.float32


@pytest.mark.parametrize("wrong", ["int8", "float31", "", "nn", "Tensor", "bool"])
def test_numbers_that_no_weights_are_in(wrong):
    with pytest.raises(ModelError, match=f"found dtype '{wrong}'; expected one of auto, float32, bfloat16, float16"):
        choose_dtype(wrong)


def test_the_first_line_of_an_error():
    assert first_line(OSError("\n  no such file\nMake sure that ...")) == "OSError: no such file"
    assert first_line(KeyboardInterrupt()) == "KeyboardInterrupt"
    assert ran_out(MemoryError()) and not ran_out(ValueError("out of range"))


LOADING_AND_TRAINING = """
import json, logging, os, sys, tempfile, warnings
from ssr_nb.machine import quiet_libraries

before = warnings.filters[:]
with quiet_libraries():
    from ssr_nb.models import load_model
    from ssr_nb.adapters import add_lora
    lm = add_lora(load_model(sys.argv[1], backend="transformers", device="cpu"))
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer
    rows = Dataset.from_list([{"prompt": "ba de", "completion": "fi"}] * 8)
    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(model=lm.model, processing_class=lm.tokenizer, train_dataset=rows, args=SFTConfig(
            output_dir=folder, max_steps=2, report_to="none", use_cpu=True, bf16=False, save_strategy="no"))
        trainer.train()
    print("a library's greeting")
    logging.getLogger("transformers.somewhere").warning("a library's notice")
    logging.getLogger("transformers.somewhere").error("a library's error")
    exec("warnings.warn('our warning', stacklevel=2)", {"warnings": warnings, "__name__": "ssr_nb.train"})
    exec("warnings.warn('their warning', stacklevel=2)", {"warnings": warnings, "__name__": "trl.trainer"})
    print("our word", file=sys.stderr)
from transformers.utils import logging as their_logging
import datasets
assert warnings.filters == before and their_logging.is_progress_bar_enabled()
assert not datasets.are_progress_bars_disabled()
print(their_logging.get_verbosity(), logging.getLogger("trl").level)
"""


def a_noisy_model(folder):
    "The tiny model, with what Transformers and TRL have notices for."
    make_tiny_model(folder)
    for name, change in {"tokenizer_config": {"clean_up_tokenization_spaces": True},
                         "generation_config": {"temperature": 0.5, "eos_token_id": 3}}.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    return folder


def in_new_process(code, *arguments, **environment):
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True,
                          env={k: v for k, v in os.environ.items() if k != "TRANSFORMERS_VERBOSITY"}
                          | {"OMP_NUM_THREADS": "1"} | environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.long
def test_loading_and_training_say_nothing_and_we_are_heard(tmp_path):
    printed, said = in_new_process(LOADING_AND_TRAINING, a_noisy_model(tmp_path / "model"))
    assert printed == [f"{logging.WARNING} 0"], "the level that Transformers has by itself"
    assert [line.rpartition(": ")[2] for line in said] == ["[transformers] a library's error", "our warning",
                                                           "our word"]


def test_the_embedded_model_loads_and_trains_in_silence_too():
    from ssr_nb.microworld import MODEL_PATH

    printed, said = in_new_process(LOADING_AND_TRAINING, MODEL_PATH)
    assert len(printed) == 1 and len(said) == 3


def test_a_library_that_is_imported_inside_has_the_level_that_its_user_gave_it():
    printed, _ = in_new_process("""
import logging
from ssr_nb.machine import quiet_libraries
with quiet_libraries():
    import transformers.utils.logging as theirs
    theirs.get_logger("transformers.x").info("not now")
    theirs.set_verbosity(theirs.get_verbosity())  # as the trainer does
print(theirs.get_verbosity())
""", TRANSFORMERS_VERBOSITY="info")
    assert printed == [str(logging.INFO)]


@pytest.fixture
def levels():
    "Levels that a user has set, of a library and of a part of one; afterwards as they were."
    loggers = {logging.getLogger(name): level for name, level in (
        ("transformers", logging.INFO), ("trl.trainer.sft_trainer", logging.DEBUG), ("datasets", logging.CRITICAL))}
    before = {logger: logger.level for logger in loggers}
    for logger, level in loggers.items():
        logger.setLevel(level)
    yield loggers
    for logger, level in before.items():
        logger.setLevel(level)


def state():
    "All that the block touches."
    return ([(n, l.level, "setLevel" in vars(l)) for n, l in sorted(logging.root.manager.loggerDict.items())
             if isinstance(l, logging.Logger) and n.partition(".")[0] in LIBRARIES],
            tqdm.std.tqdm.__init__, warnings.showwarning, warnings.filters[:], sys.stdout)


@pytest.mark.parametrize("ends", ["well", "in an error", "stopped"])
def test_all_is_as_it_was_afterwards(levels, ends):
    with quiet_libraries():  # that loggers are made is not undone
        pass
    before = state()
    with contextlib.suppress(KeyError, KeyboardInterrupt), quiet_libraries():
        assert {logger.getEffectiveLevel() for logger in levels} == {logging.ERROR, logging.CRITICAL}
        assert state()[1:] != before[1:]
        levels_inside = state()[0]
        logging.getLogger("transformers").setLevel(logging.DEBUG)
        assert state()[0] == levels_inside
        if ends != "well":
            raise KeyError if ends == "in an error" else KeyboardInterrupt
    assert state() == before and all(logger.level == level for logger, level in levels.items())


def test_a_block_in_a_block_and_one_in_a_thread_beside_it(levels):
    before = state()
    begun, go_on = threading.Event(), threading.Event()

    def beside():
        with quiet_libraries():
            begun.set()
            go_on.wait(10)

    with quiet_libraries():
        inside = state()
        with quiet_libraries():
            assert state() == inside
        assert state() == inside
        thread = threading.Thread(target=beside)
        thread.start()
        begun.wait(10)
    go_on.set()
    thread.join()
    assert state() == before, "the one that ends last has nothing of its own to undo"


def test_whose_warning_it_is(recwarn):
    def warn(package, category=UserWarning):
        exec("warnings.warn('x', category, stacklevel=3)",
             {"warnings": warnings, "category": category, "__name__": package})

    with quiet_libraries():
        for package in ("transformers.generation", "torch.nn", "accelerate", "numpy"):
            warn(package)
        assert not recwarn.list
        warn("ssr_nb.tasks", DeprecationWarning)
        assert not recwarn.list
        warn("ssr_nb.tasks")
        assert len(recwarn.list) == 1
    warn("torch.nn")
    assert len(recwarn.list) == 2


def test_a_warning_that_the_user_made_an_error_does_not_stop_a_library():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with quiet_libraries():
            exec("warnings.warn('x')", {"warnings": warnings, "__name__": "transformers"})
        with pytest.raises(UserWarning):
            warnings.warn("x")


@pytest.mark.parametrize("package, drawn", [("datasets.arrow_dataset", False), ("huggingface_hub.file_download", False),
                                            ("transformers.trainer_callback", False), ("ssr_nb.respond", True),
                                            ("__main__", True)])
@pytest.mark.parametrize("kind", [tqdm.std.tqdm, tqdm.auto.tqdm])
def test_whose_bar_it_is(package, drawn, kind):
    with quiet_libraries():
        bar = eval("kind(total=1, file=file)", {"kind": kind, "file": io.StringIO(), "__name__": package})
    assert bar.disable is not drawn
    bar.close()


@pytest.mark.parametrize("line, folder, names", [
    ("0::/a/b", "a", ("max", "current")), ("0::/a/b", "a/b", ("max", "current")), ("0::/", "", ("max", "current")),
    ("9:memory:/a/b", "memory/a", ("limit_in_bytes", "usage_in_bytes")), ("9:cpu,memory:/a", "memory", ("limit_in_bytes", "usage_in_bytes"))])
def test_a_limit_of_any_group_around_the_process_counts(tmp_path, line, folder, names):
    "Its own, that of a job, or that of a container, of both versions of Linux's groups."
    (tmp_path / "self").mkdir()
    (tmp_path / "meminfo").write_text("MemAvailable: 8000000 kB\n")
    (tmp_path / "self" / "cgroup").write_text(f"1:name=systemd:/x\n{line}\n4:cpuset:/y\n")
    assert available_memory(tmp_path, tmp_path) == 8_192_000_000
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    for name, value in zip(names, (5_000_000, 2_000_000)):
        (tmp_path / folder / f"memory.{name}").write_text(f"{value}\n")
    assert available_memory(tmp_path, tmp_path) == 3_000_000
    (tmp_path / folder / f"memory.{names[0]}").write_text("max\n")
    assert available_memory(tmp_path, tmp_path) == 8_192_000_000
    (tmp_path / "self" / "cgroup").write_text("nonsense\n")
    assert available_memory(tmp_path, tmp_path) == 8_192_000_000
