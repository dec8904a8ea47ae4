"""The benchmark for GPUs runs end to end where there is none, and tells what it couldn't measure."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec = importlib.util.spec_from_file_location("gpu_benchmark", BENCHMARKS / "gpu.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_benchmark", module)  # where its dataclass looks itself up
    spec.loader.exec_module(module)
    return module


def test_the_operations_of_a_token_by_hand(gpu):
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = gpu.TINY["tiny"]
    model = LlamaForCausalLM(LlamaConfig(**shape, pad_token_id=0))
    layer = 64 * 64 + 2 * 64 * 32 + 64 * 64 + 3 * 64 * 128  # queries; keys and values; output; the three of the MLP
    head = 500 * 64  # shares its weights with the embedding, and costs all the same
    assert gpu.operations_per_token(model, again=False) == 4 * (2 * layer + head)
    assert gpu.operations_per_token(model, again=True) == 4 * (2 * layer + head) + 2 * 2 * layer


@pytest.mark.parametrize("name, billions", [("Llama-3.2-1B", 1.236), ("Llama-3.1-8B", 8.030)])
def test_the_shapes_have_as_many_weights_as_their_models(gpu, name, billions):
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**gpu.SHAPES[name], pad_token_id=0))
    assert sum(p.numel() for p in model.parameters()) / 1e9 == pytest.approx(billions, abs=0.001)


def test_what_is_missing_is_told(gpu, tmp_path, monkeypatch):
    import ssr_nb.models

    def full(*arguments, **settings):
        raise ssr_nb.models.ModelError("m", "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "a model")

    monkeypatch.setattr(ssr_nb.models, "load_model", full)
    assert gpu.job("train", "transformers", tmp_path, gpu.TINY_WORK)["skipped"].startswith("out of memory: model 'm'")
    ended = gpu.in_a_process(["--job", "train", "transformers", tmp_path, "--work", "no JSON", "--result",
                              tmp_path / "r"], tmp_path / "r")
    assert ended["skipped"].startswith("its process ended with status 1: json.decoder.JSONDecodeError")
    half = gpu.ratios({"train, transformers": {"tokens_per_second": 10}, "train, unsloth": ended,
                       "respond, transformers": {"tokens_per_second": 60},
                       "generate, transformers": {"tokens_per_second": 2}})
    assert {name: figure["measured"] for name, figure in half.items()} == {
        "training speed, unsloth / transformers": None, "training memory, unsloth / transformers": None,
        "share of the card's matrix rate, unsloth": None, "respond / generate, unsloth": None,
        "respond / generate, transformers": 30.0}


def test_figures_name_their_card_or_the_notes_say_that_there_are_none(gpu):
    figures = BENCHMARKS / "gpu.json"
    missing = "no GPU was at hand" in gpu.__doc__, "Nor are there figures yet of `benchmarks/gpu.py`" in (
        BENCHMARKS.parent / "README.md").read_text()
    assert missing == (not figures.exists(),) * 2
    if figures.exists():
        measured = json.loads(figures.read_text())
        assert measured["machine"]["device"] != "cpu" and set(measured["shapes"]) == set(gpu.SHAPES)


@pytest.mark.slow
def test_it_runs_at_a_tiny_size(tmp_path):
    done = subprocess.run([sys.executable, BENCHMARKS / "gpu.py", "--tiny", "--out", tmp_path / "gpu.json"],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "gpu.json").read_text())
    tiny = made["shapes"]["tiny"]
    assert "nothing about a GPU" in made["what"] and "device" in made["machine"]
    figures = {job: found.get("tokens_per_second", found.get("skipped")) for job, found in tiny["results"].items()}
    assert len(figures) == 5 and all(
        isinstance(figure, float) and figure > 0 or "nsloth" in job and "not installed" in figure
        for job, figure in figures.items()), figures
    trained = [found for job, found in tiny["results"].items() if job.startswith("train") and "skipped" not in found]
    assert all(0 < found["share_of_matrix_rate"] < 1 and found["peak_memory_gb"] > 0 for found in trained)
    losses = [found["loss_first_and_last"] for found in trained]
    assert losses[0][1] < losses[0][0] and all(loss == pytest.approx(losses[0], rel=1e-3) for loss in losses), (
        "the backends train the same model on the same rows")
    assert all(figure["aim"] for figure in tiny["ratios"].values())
