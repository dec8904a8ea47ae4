"""The command line as a user meets it: the whole way through files, help with examples, errors of one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_gguf import make_tiny_gguf

from ssr_nb.cli import app, main
from ssr_nb.records import Example, Response, Score, Target, Verdict, read_records, write_records

COMMANDS = ["respond", "judge", "calibrate", "rehearse", "train", "evaluate", "benchmark", "card", "merge", "compare",
            "demo", "real", "gate", "report", "models", "env", "forecast"]


def ssr(*arguments, ok=True):
    "Run a command in this process; gives its exit status."
    try:
        main([str(a) for a in arguments])
    except SystemExit as stop:
        assert not ok or stop.code in (0, None), stop.code
        return stop.code or 0
    return 0


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, capsys):
    ssr(command, "--help")
    assert f"Example: ssr {command}" in " ".join(capsys.readouterr().out.split())


def test_every_command_is_tested_here():
    assert {c.name or c.callback.__name__ for c in app.registered_commands} == set(COMMANDS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from ssr_nb.microworld import target_examples

    folder = tmp_path_factory.mktemp("cli")
    write_records(folder / "train.jsonl", target_examples(40, "train"))
    write_records(folder / "test.jsonl", target_examples(20, "test"))
    return folder


@pytest.mark.long
def test_the_whole_way_through_files(folder, capsys):
    f = folder
    ssr("respond", "--examples", f / "train.jsonl", "--model", "microworld", "--backend", "transformers",
        "--max-new-tokens", 40, "--threads", 1, "--out", f / "responses.jsonl")
    assert len(read_records(f / "responses.jsonl", Response)) == 40
    ssr("judge", "--examples", f / "train.jsonl", "--responses", f / "responses.jsonl", "--judge", "micro", "--out",
        f / "verdicts.jsonl")
    accepted = sum(v.label == "correct" for v in read_records(f / "verdicts.jsonl", Verdict))
    ssr("rehearse", "--examples", f / "train.jsonl", "--responses", f / "responses.jsonl", "--verdicts",
        f / "verdicts.jsonl", "--method", "ssr", "--out", f / "targets.jsonl")
    assert sum(t.source == "own" for t in read_records(f / "targets.jsonl", Target)) == accepted > 0
    assert f"own {accepted}" in capsys.readouterr().out
    ssr("train", "--targets", f / "targets.jsonl", "--model", "microworld", "--backend", "transformers", "--learning-rate", 1e-3, "--steps", 3,
        "--threads", 1, "--method", "ssr", "--out", f / "adapter")
    common = ["--examples", f / "test.jsonl", "--judge", "micro", "--model", "microworld", "--backend", "transformers", "--max-new-tokens", 40,
              "--threads", 1]
    ssr("evaluate", *common, "--out", f / "base.jsonl")
    ssr("evaluate", *common, "--adapter", f / "adapter", "--base-scores", f / "base.jsonl", "--out", f / "scores.jsonl")
    scores = read_records(f / "scores.jsonl", Score)
    assert ({(s.method, s.seed, s.learning_rate, s.task) for s in scores} == {("ssr", 0, 1e-3, "target")}
            and len(scores) == 20)
    assert all("kl_nats" in s.extra for s in scores)
    assert {s.method for s in read_records(f / "base.jsonl", Score)} == {"base"}


@pytest.mark.long
def test_every_step_takes_a_gguf_file(tmp_path, capsys, monkeypatch):
    "From answers to a merged model and a comparison, with nothing but the path of a file as the model."
    pytest.importorskip("gguf")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model, f = make_tiny_gguf(tmp_path / "tiny.gguf"), tmp_path
    words = "hello", "hell", "held", "hill", "help", "heel"
    for name, chosen in (("train", words[:4]), ("test", words[4:])):
        write_records(f / f"{name}.jsonl", [Example(f"say {word}", word, id=word) for word in chosen])
    how = ["--model", model, "--backend", "transformers", "--threads", 1]
    ssr("respond", "--examples", f / "train.jsonl", *how, "--max-new-tokens", 6, "--out", f / "responses.jsonl")
    ssr("judge", "--examples", f / "train.jsonl", "--responses", f / "responses.jsonl", "--judge", "exact", "--out", f / "verdicts.jsonl")
    ssr("rehearse", "--examples", f / "train.jsonl", "--responses", f / "responses.jsonl", "--verdicts", f / "verdicts.jsonl",
        "--out", f / "targets.jsonl")
    ssr("train", "--targets", f / "targets.jsonl", *how, "--steps", 2, "--dtype", "float32", "--out", f / "adapter")
    asked = ["--examples", f / "test.jsonl", "--judge", "exact", *how, "--max-new-tokens", 6]
    ssr("evaluate", *asked, "--out", f / "base.jsonl")
    ssr("evaluate", *asked, "--adapter", f / "adapter", "--base-scores", f / "base.jsonl", "--out", f / "scores.jsonl")
    assert all("kl_nats" in s.extra for s in read_records(f / "scores.jsonl", Score))
    ssr("merge", f / "adapter", "--out", f / "merged", "--dtype", "float32")
    ssr("respond", "--examples", f / "test.jsonl", "--model", f / "merged", "--backend", "transformers", "--max-new-tokens", 6,
        "--out", f / "again.jsonl")
    said = {s.id: s.response for s in read_records(f / "scores.jsonl", Score)}
    assert {r.id: r.response for r in read_records(f / "again.jsonl", Response)} == said
    (f / "compare.yaml").write_text(json.dumps({
        "model": str(model), "backend": "transformers", "methods": ["sft", "ssr"], "learning_rates": [1e-3], "seeds": [0], "judge": "exact",
        "training": {"steps": 2, "batch_size": 4}, "workers": 1, "threads": 1, "resamples": 50, "max_new_tokens": 6,
        "data": {"train": str(f / "train.jsonl"), "target": str(f / "test.jsonl"), "general": {"g": {"examples": str(f / "more.jsonl"), "judge": "exact"}}}}))
    write_records(f / "more.jsonl", [Example("say ho", "ho", id="ho")])
    ssr("compare", f / "compare.yaml", "--out", f / "run")
    assert json.loads((f / "run" / "summary.json").read_text())["model"]["source"]["file"] == "tiny.gguf"


def test_what_can_be_given_away(folder, tmp_path, capsys):
    """From targets to an adapter whose card holds the command as it was typed and the scores, a merged model,
    and benchmarks of both."""
    from ssr_nb.benchmarks import write_task
    from ssr_nb.models import load_model

    f = tmp_path
    write_records(f / "targets.jsonl", [Target(f"t{i}", f"repeat these words : {w} .", w, "gold")
                                        for i, w in enumerate(["tulip", "truck", "scarf", "mango"])])
    ssr("train", "--targets", f / "targets.jsonl", "--model", "microworld", "--backend", "transformers", "--steps", 2, "--threads", 1,
        "--method", "sft", "--out", f / "adapter")
    command = (f"ssr train --targets {f / 'targets.jsonl'} --model microworld --backend transformers --steps 2 --threads 1 --method sft "
               f"--out {f / 'adapter'}")
    assert (command in (f / "adapter" / "README.md").read_text()
            and json.loads((f / "adapter" / "training.json").read_text())["command"] == command)
    # found done
    ssr("train", "--targets", f / "targets.jsonl", "--model", "microworld", "--backend", "transformers", "--steps", 2, "--threads", 1,
        "--method", "sft", "--out", f / "adapter")
    write_task(f / "tasks", "say", [{"question": f"repeat these words : {w} .", "answer": w} for w in (
        "tulip", "truck")], output_type="generate_until", doc_to_text="{{question}}", doc_to_target="{{answer}}",
               generation_kwargs={"until": ["<eos>"], "max_gen_toks": 8},
               metric_list=[{"metric": "exact_match", "aggregation": "mean", "higher_is_better": True}])
    ssr("benchmark", "say", "--include", f / "tasks", "--adapter", f / "adapter", "--model", "microworld", "--backend",
        "transformers", "--threads", 1, "--chat", "--out", f / "scores.jsonl")
    scores = read_records(f / "scores.jsonl", Score)
    assert [(s.method, s.learning_rate) for s in scores] == [("base", None)] * 2 + [("sft", 2e-4)] * 2
    for method in ("base", "sft"):
        write_records(f / f"{method}.jsonl", [s for s in scores if s.method == method])
    ssr("card", f / "adapter", "--scores", f / "sft.jsonl", "--base-scores", f / "base.jsonl", "--data",
        "Four words to repeat.")
    card = (f / "adapter" / "README.md").read_text()
    assert "Four words to repeat." in card and "general:say" in card and command in card
    ssr("merge", f / "adapter", "--out", f / "merged", "--dtype", "float32")
    assert load_model(f / "merged", backend="transformers", device="cpu").name == str(f / "merged")
    assert (ssr("merge", f / "adapter", "--out", f / "merged", ok=False) == 2
            and "a new folder" in capsys.readouterr().err)


def test_four_bits_and_thinking_reach_the_model(folder, monkeypatch):
    asked = []

    def load_model(*names, **settings):
        asked.append(settings)
        raise ValueError("far enough")

    monkeypatch.setattr("ssr_nb.models.load_model", load_model)
    ssr("respond", "--examples", folder / "train.jsonl", "--model", "m", "--load-in-4bit", "--thinking", "--out",
        folder / "x.jsonl", ok=False)
    ssr("evaluate", "--examples", folder / "train.jsonl", "--judge", "micro", "--model", "m", "--load-in-4bit", "--out", folder / "x.jsonl", ok=False)
    write_records(folder / "one.jsonl", [Target("t", "a", "b", "gold")])
    ssr("train", "--targets", folder / "one.jsonl", "--model", "m", "--load-in-4bit", "--out", folder / "x", ok=False)
    assert [(s["load_in_4bit"], s.get("thinking", False))
            for s in asked] == [(True, True), (True, False), (True, False)]


def test_sft_needs_no_answers(folder, capsys):
    ssr("rehearse", "--examples", folder / "train.jsonl", "--method", "sft", "--out", folder / "gold.jsonl")
    assert {t.source for t in read_records(folder / "gold.jsonl", Target)} == {"gold"}


@pytest.mark.long
def test_the_other_methods_through_files(folder, capsys):
    f, lm = folder, ["--model", "microworld", "--backend", "transformers", "--threads", 1]
    ssr("respond", "--examples", f / "train.jsonl", *lm, "--max-new-tokens", 40, "--out", f / "own.jsonl")
    ssr("judge", "--examples", f / "train.jsonl", "--responses", f / "own.jsonl", "--judge", "micro", "--out",
        f / "own-verdicts.jsonl")
    for ask in ("paraphrase", "rewrite"):
        ssr("respond", "--examples", f / "train.jsonl", *lm, "--max-new-tokens", 40, "--ask", ask, "--rewording", "micro", "--out",
            f / f"{ask}.jsonl")
        ssr("judge", "--examples", f / "train.jsonl", "--responses", f / f"{ask}.jsonl", "--judge", "micro", "--out",
            f / f"{ask}-verdicts.jsonl")
    own = ["--examples", f / "train.jsonl", "--responses", f / "own.jsonl", "--verdicts", f / "own-verdicts.jsonl"]
    ssr("rehearse", *own, "--method", "s3ft", "--paraphrases", f / "paraphrase.jsonl", "--paraphrase-verdicts",
        f / "paraphrase-verdicts.jsonl", "--out", f / "s3ft.jsonl")
    ssr("rehearse", "--examples", f / "train.jsonl", "--method", "sdft", "--rewrites", f / "rewrite.jsonl",
        "--rewrite-verdicts", f / "rewrite-verdicts.jsonl", "--out", f / "sdft.jsonl")
    assert {t.source for t in read_records(f / "s3ft.jsonl", Target)} >= {"own", "paraphrase"}
    assert sum(t.source == "paraphrase" for t in read_records(f / "sdft.jsonl", Target)) > 30
    ssr("rehearse", "--examples", f / "train.jsonl", "--method", "replay", "--replay-examples", f / "test.jsonl",
        "--replay-responses", f / "practised.jsonl", "--replay-share", 0.2, "--out", f / "replay.jsonl", ok=False)
    ssr("respond", "--examples", f / "test.jsonl", *lm, "--max-new-tokens", 40, "--out", f / "practised.jsonl")
    ssr("rehearse", "--examples", f / "train.jsonl", "--method", "replay", "--replay-examples", f / "test.jsonl",
        "--replay-responses", f / "practised.jsonl", "--replay-share", 0.2, "--out", f / "replay.jsonl")
    assert [t.source for t in read_records(f / "replay.jsonl", Target)].count("replay") == 10
    assert ssr("rehearse", "--examples", f / "train.jsonl", "--method", "stm", "--out", f / "stm.jsonl", ok=False) == 2
    assert "found no --model" in capsys.readouterr().err, "what is masked depends on the base model"
    ssr("rehearse", "--examples", f / "train.jsonl", "--method", "stm", *lm, "--out", f / "stm.jsonl")
    assert any("masked" in t.extra for t in read_records(f / "stm.jsonl", Target))
    ssr("rehearse", "--examples", f / "train.jsonl", "--method", "sft", "--out", f / "gold.jsonl")
    capsys.readouterr()
    for method, key, value in (("stm", "loss", "nll"), ("dft", "loss", "dft"), ("kl", "beta", 0.5),
                               ("wise", "scale", 0.5), ("opsd", "loss", "opsd")):
        ssr("train", "--targets", f / "gold.jsonl", *lm, "--steps", 2, "--method", method, "--out", f / method)
        assert json.loads((f / method / "training.json").read_text())["settings"][key] == value
        assert ("tokens of gold" in capsys.readouterr().out) == (method == "stm"), (
            "the share that is masked is reported")


@pytest.mark.long
def test_compare_and_report(folder, capsys):
    config = folder / "compare.yaml"
    config.write_text("methods: [sft, ssr]\nlearning_rates: [1e-3]\nseeds: [0]\nbackend: transformers\nresamples: "
                      "200\nworkers: 2\n"
                      "items: {train: 40, validation: 10, target: 20, shift: 10, general: 4}\ntraining: {steps: 3}\n")
    ssr("compare", config, "--out", folder / "run")
    shown = capsys.readouterr().out
    assert "ssr against sft" in shown and (folder / "run" / "pareto.png").exists()
    page = folder / "run" / "report.html"
    assert (str(page) in shown and "86 of 86 test items" in page.read_text()
            and "40 of 40 training examples" in page.read_text())
    page.unlink()
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert [a["method"] for a in summary["arms"]] == ["base", "sft", "ssr"]
    ssr("report", folder / "run")
    assert "ssr against sft" in capsys.readouterr().out and page.exists()


@pytest.mark.parametrize("arguments, status, words", [
    (["judge", "--examples", "nowhere.jsonl", "--responses", "r.jsonl", "--out", "v.jsonl"], 2, "nowhere.jsonl"),
    (["rehearse", "--examples", "{folder}/train.jsonl", "--out", "t.jsonl"], 2, "--responses"),
    (["rehearse", "--examples", "{folder}/train.jsonl", "--method", "srr", "--out", "t.jsonl"], 2, "sft, ssr, rft"),
    (["rehearse", "--examples", "{folder}/train.jsonl", "--method", "sdft", "--out", "t.jsonl"], 2,
     "--rewrites and --rewrite-verdicts"),
    (["rehearse", "--examples", "{folder}/train.jsonl", "--method", "replay", "--out", "t.jsonl"], 2,
     "--replay-examples"),
    (["respond", "--examples", "{folder}/train.jsonl", "--model", "m", "--ask", "joke", "--out", "{folder}/r.jsonl"], 2, "paraphrase"),
    (["respond", "--examples", "{folder}/train.jsonl", "--endpoint", "http://127.0.0.1:9", "--model", "m", "--thinking",
      "--out", "{folder}/r.jsonl"], 2, "found --thinking with --endpoint"),
    (["compare", "{folder}/bad.yaml"], 2, "seeds"),
    (["report", "{folder}/nothing"], 2, "summary.json"),
    (["train", "--targets", "{folder}/train.jsonl", "--out", "{folder}/a"], 2, "no field 'source'"),
    (["respond", "--examples", "{folder}/train.jsonl", "--model", "./nowhere", "--out", "{folder}/r.jsonl"], 2,
     "nowhere"),
    *((arguments + ["--out", "{folder}"], 1, "found a folder; expected a file") for arguments in (  # before a model is loaded
        ["respond", "--examples", "{folder}/train.jsonl", "--model", "./nowhere"],
        ["evaluate", "--examples", "{folder}/train.jsonl", "--model", "./nowhere", "--judge", "exact"],
        ["benchmark", "mmlu", "--model", "./nowhere"], ["forecast", "--targets", "{folder}/train.jsonl", "--model", "./nowhere"],
        ["rehearse", "--examples", "nowhere.jsonl", "--method", "sft"])),
    (["compare", "{folder}"], 2, "found a folder; expected a YAML file"),
])
def test_an_error_is_one_line_and_a_status(folder, capsys, arguments, status, words):
    (folder / "bad.yaml").write_text("seeds: three\n")
    assert ssr(*[a.format(folder=folder) for a in arguments], ok=False) == status
    said = capsys.readouterr().err
    assert (said.startswith("ssr: ") and words in said and len(said.strip().splitlines()) == 1
            and "Traceback" not in said)


def test_ctrl_c_ends_a_command_in_words(monkeypatch, capsys):
    "Typer ends it with the status alone."
    def stopped():
        raise KeyboardInterrupt
    monkeypatch.setattr("ssr_nb.small_models.models_table", stopped)
    assert ssr("models", ok=False) == 130
    said = capsys.readouterr()
    assert said.err == "ssr: interrupted; the same command goes on where it stopped\n" and not said.out


def test_debug_shows_the_traceback(folder):
    done = subprocess.run([sys.executable, "-m", "ssr_nb.cli", "--debug", "report", str(folder / "nothing")],
                          capture_output=True, text=True)
    assert "Traceback" in done.stderr and done.returncode == 1


def test_env_tells_versions_and_device(capsys):
    ssr("env")
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("torch", "transformers", "trl", "peft", "device", "backend", "peak memory",
                                          "unsloth", "bitsandbytes", "gpu", "missing"))


def test_env_tells_versions_also_where_no_model_loads(capsys, monkeypatch):
    monkeypatch.setattr("ssr_nb.models.load_model",
                        lambda *a, **k: (_ for _ in ()).throw(ImportError("no safetensors")))
    assert ssr("env", ok=False) == 1
    shown = capsys.readouterr()
    assert "torch" in shown.out and "missing" in shown.out and shown.err == "ssr: no safetensors\n"


def labelled(folder):
    "Three examples, answers with labels, and the files of both."
    examples = [Example(f"Where is lamp {i}?", "attic", id=f"e{i}") for i in range(3)]
    answers = [Response(f"e{i}", text, extra={"right": right})
               for i, (text, right) in enumerate([("attic", True), ("cellar", False), ("in the attic", True)])]
    write_records(folder / "e.jsonl", examples)
    write_records(folder / "r.jsonl", answers)
    return ["--examples", folder / "e.jsonl", "--responses", folder / "r.jsonl"]


def test_answers_and_verdicts_over_an_endpoint_replayed_and_calibrated(tmp_path, capsys, monkeypatch):
    from scripted_server import completion, serving

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("SSR_API_KEY", "sk-secret")

    def answer(number, body):
        text = body["messages"][-1]["content"]
        return completion(("Verdict: incorrect" if "cellar" in text else "Verdict: correct") if "You check" in text
                          else f"re: {text}")

    common = labelled(tmp_path)
    with serving(answer) as (url, script):
        ssr("respond", "--examples", tmp_path / "e.jsonl", "--endpoint", url, "--model", "m", "--out",
            tmp_path / "own.jsonl", "--concurrency", 2)
        assert [r.response for r in read_records(tmp_path / "own.jsonl", Response)] == [
            f"re: Where is lamp {i}?" for i in range(3)]
        ssr("judge", *common, "--judge", "llm", "--judge-model", "big", "--endpoint", url, "--out",
            tmp_path / "v.jsonl", "--max-new-tokens", 2000)
        assert ({(b["model"], b["max_tokens"]) for b in script.bodies} == {("m", 256), ("big", 2000)}
                and script.headers[0]["authorization"] == "Bearer sk-secret")
    labels = [v.label for v in read_records(tmp_path / "v.jsonl", Verdict)]
    assert (labels == ["correct", "incorrect", "correct"]
            and len(read_records(tmp_path / "v.replies.jsonl", Response)) == 3)
    ssr("judge", *common, "--judge", "llm", "--replies", tmp_path / "v.replies.jsonl", "--out",
        tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "v.jsonl").read_bytes()
    ssr("calibrate", "--verdicts", tmp_path / "v.jsonl", "--responses", tmp_path / "r.jsonl")
    said = capsys.readouterr()
    assert "2 of 2 accepted answers are right" in said.out and "sk-secret" not in said.out + said.err
    assert all(b"sk-secret" not in path.read_bytes() for path in tmp_path.iterdir())


def test_a_local_language_model_judges(tmp_path, small_llama, capsys):
    ssr("judge", *labelled(tmp_path), "--judge", "llm", "--judge-model", small_llama, "--backend", "transformers",
        "--threads", 1, "--out", tmp_path / "v.jsonl")
    assert ({v.label for v in read_records(tmp_path / "v.jsonl", Verdict)} == {"unparsed"}
            and "unparsed 3" in capsys.readouterr().out)


def test_code_is_judged_where_it_can_be_kept_in(tmp_path, capsys, monkeypatch):
    from ssr_nb import code_judge

    write_records(tmp_path / "e.jsonl",
                  [Example("Write f.", "def f(x): return x", id="f", extra={"test_list": ["assert f(2) == 2"]})])
    write_records(tmp_path / "r.jsonl", [Response("f", "def f(y): return y")])
    line = ["judge", "--examples", tmp_path / "e.jsonl", "--responses", tmp_path / "r.jsonl", "--judge", "code",
            "--out", tmp_path / "v.jsonl"]
    monkeypatch.setattr(code_judge, "isolation_obstacle", lambda: "found no namespaces")
    assert ssr(*line, ok=False) == 1 and "can't keep them in here: found no namespaces" in capsys.readouterr().err
    ssr(*line, "--allow-unisolated-code")
    assert [v.label for v in read_records(tmp_path / "v.jsonl", Verdict)] == ["correct"]


@pytest.mark.parametrize("options, status, said", [
    (["--judge", "llm"], 2, "found no model and no replies"),
    (["--judge", "llm", "--endpoint", "http://127.0.0.1:9"], 2, "found an endpoint without a model"),
    (["--judge", "llm", "--endpoint", "somewhere", "--judge-model", "m"], 2, "found endpoint 'somewhere'"),
    (["--judge", "squad", "--replies", "x"], 2, "--replies with judge 'squad'"),
    (["--judge", "squad", "--max-new-tokens", "9"], 2, "--max-new-tokens with judge 'squad'"),
    (["--judge", "llm", "--judge-model", "m", "--max-new-tokens", "-1"], 2, "found max_new_tokens=-1; expected a whole number at least 1"),
    (["--judge", "llm", "--replies", "none.jsonl"], 2, "none.jsonl: found no such file"),
    (["--judge", "llm", "--judge-model", "m", "--endpoint", "http://u:pw@h"], 2, "nothing secret"),
])
def test_errors_of_judges(tmp_path, capsys, options, status, said):
    assert ssr("judge", *labelled(tmp_path), *options, "--out", tmp_path / "v.jsonl", ok=False) == status
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and "pw" not in error


# the user's data, as every command reads them

def test_evaluate_takes_the_test_split_and_training_takes_train(tmp_path, capsys):
    from ssr_nb.microworld import target_examples

    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        write_records(tmp_path / "data" / f"{split}.jsonl", target_examples(6, split))
    lm = ["--model", "microworld", "--backend", "transformers", "--threads", 1, "--max-new-tokens", 20]
    ssr("evaluate", "--examples", tmp_path / "data", "--judge", "micro", *lm, "--out", tmp_path / "scores.jsonl")
    ssr("respond", "--examples", tmp_path / "data", *lm, "--out", tmp_path / "responses.jsonl")
    tested, asked = ({r.id for r in read_records(tmp_path / f"{name}.jsonl", cls)} for name, cls in (("scores", Score), ("responses", Response)))
    assert tested == {e.id for e in target_examples(6, "test")} and asked == {e.id for e in target_examples(6, "train")}
    (tmp_path / "data" / "test.jsonl").unlink()
    assert ssr("evaluate", "--examples", tmp_path / "data", "--judge", "micro", *lm, "--out", tmp_path / "x.jsonl", ok=False) == 2
    assert "found no split 'test'; expected a split, one of train" in capsys.readouterr().err


def test_a_column_of_somebodys_own_has_no_say_in_training(tmp_path):
    rows = [{"prompt": f"{i} ?", "completion": "It is in the attic.", "masked": [0], "sample": 3, "tokens": "many", "note": "x"} for i in range(2)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ssr("rehearse", "--examples", tmp_path / "rows.jsonl", "--method", "sft", "--out", tmp_path / "targets.jsonl")
    targets = read_records(tmp_path / "targets.jsonl", Target)
    assert all(t.extra == {"own_masked": [0], "own_sample": 3, "own_tokens": "many", "note": "x"} for t in targets)
    made = [Example("a ?", "b", id="q", extra={"masked": [0], "sample": 3, "note": "x"})]  # as a plug-in's task may give it
    from ssr_nb.rehearse import rehearse
    assert rehearse(made, [], [], "sft")[0].extra == {"note": "x"}


@pytest.mark.parametrize("command", ["respond", "judge", "rehearse", "evaluate"])
def test_every_command_refuses_the_same_rows_with_file_and_row(command, tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "half \\ud83d", "completion": "b"}\n')
    write_records(tmp_path / "r.jsonl", [Response("q", "b")])
    more = {"respond": ["--model", "microworld"], "judge": ["--responses", tmp_path / "r.jsonl", "--judge", "exact"],
            "rehearse": ["--method", "sft"], "evaluate": ["--model", "microworld", "--judge", "exact"]}[command]
    assert ssr(command, "--examples", tmp_path / "rows.jsonl", *more, "--out", tmp_path / "out.jsonl", ok=False) == 2
    assert "rows.jsonl, line 2: found half a character (U+D83D) in prompt" in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


def test_thoughts_in_gold_are_an_option(tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"prompt": "a", "completion": "<think>hm</think>b"}) + "\n")
    for thoughts, gold in ((["--thoughts", "keep"], "<think>\nhm\n</think>\n\nb"), ([], "b")):
        ssr("rehearse", "--examples", tmp_path / "rows.jsonl", "--method", "sft", *thoughts, "--out", tmp_path / "t.jsonl")
        assert read_records(tmp_path / "t.jsonl", Target)[0].completion == gold
        assert "1 of 1 rows have a thought in gold" in capsys.readouterr().err


WRONG = ["thesis.tex", "thesis", "link", "link to a folder", "dangling", "pipe", "thesis.tex/under", "/dev/null", "/proc/self/new"]
INPUTS = {"respond": ["examples.jsonl"], "judge": ["examples.jsonl", "responses.jsonl"], "rehearse": ["examples.jsonl", "responses.jsonl", "verdicts.jsonl"],
          "evaluate": ["examples.jsonl", "base.jsonl"], "benchmark": [], "forecast": ["targets.jsonl"], "gate": ["scores.jsonl", "base.jsonl"],
          "train": ["targets.jsonl"], "merge": ["adapter"], "compare": ["compare.yaml"], "demo": [], "real": []}
LINES = {"respond": "respond --examples examples.jsonl", "judge": "judge --examples examples.jsonl --responses responses.jsonl --judge exact",
         "rehearse": "rehearse --examples examples.jsonl --responses responses.jsonl --verdicts verdicts.jsonl",
         "evaluate": "evaluate --examples examples.jsonl --judge exact --base-scores base.jsonl", "benchmark": "benchmark mmlu",
         "forecast": "forecast --targets targets.jsonl", "gate": "gate --scores scores.jsonl --base-scores base.jsonl",
         "train": "train --targets targets.jsonl", "merge": "merge adapter", "compare": "compare compare.yaml", "demo": "demo", "real": "real"}


def _desk(folder):
    "A folder with every input, and with what is precious and stands in the way."
    example = Example("Where?", "attic", id="1")
    scores = [Score(f"i{i}", "target", "ssr", 0, 1e-3, 1.0) for i in range(4)]
    for name, records in {"examples": [example], "responses": [Response("1", "attic")], "verdicts": [Verdict("1", "correct")],
                          "targets": [Target("1", "Where?", "attic", "own")], "scores": scores,
                          "base": [Score(s.id, s.task, "base", 0, None, 1.0) for s in scores]}.items():
        write_records(folder / f"{name}.jsonl", records)
    (folder / "compare.yaml").write_text("methods: [sft]\nlearning_rates: [1e-3]\nseeds: [0]\nmodel: microworld\n")
    (folder / "thesis.tex").write_text("years of work")
    (folder / "thesis").mkdir()
    (folder / "thesis" / "scores.jsonl").write_text("of somebody else's")
    (folder / "adapter").mkdir()
    for name in ("adapter_config.json", "training.json"):
        (folder / "adapter" / name).write_text('{"base_model_name_or_path": "microworld", "model": "microworld"}')
    for name, to in (("link", "thesis.tex"), ("link to a folder", "thesis"), ("dangling", "nowhere")):
        os.symlink(to, folder / name)
    os.mkfifo(folder / "pipe")


def _contents(folder):
    return {str(path): path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
            for path in folder.rglob("*") if not path.name.endswith(".lock")}


@pytest.mark.skipif(sys.platform != "linux", reason="the places are Linux's")
@pytest.mark.parametrize("command", INPUTS)
def test_a_wrong_place_for_the_result_is_told_before_any_work_and_nothing_is_lost(command, tmp_path, monkeypatch, capsys):
    class Work(BaseException):
        pass

    def begin(*_, **__):
        raise Work

    monkeypatch.chdir(tmp_path)
    for part in ("ssr_nb.models.load_model", "ssr_nb.compare.load_model", "ssr_nb.gate.gate"):
        monkeypatch.setattr(part, begin)
    _desk(tmp_path)
    before = _contents(tmp_path)
    for place in [*WRONG, *INPUTS[command], *(f"./thesis/../{one}" for one in INPUTS[command])]:
        assert ssr(*LINES[command].split(), "--out", place, ok=False) in (1, 2), place
        said = capsys.readouterr().err
        assert said.startswith("ssr: ") and said.count("\n") == 1 and len(said) > 20, said
        assert _contents(tmp_path) == before, place
    with pytest.raises(Work):
        ssr(*LINES[command].split(), *(["--model", "microworld"] if command not in ("gate", "merge", "compare", "demo", "real", "judge") else []),
            "--out", "new/place") if command not in ("judge", "rehearse") else begin()


def test_a_comparison_does_not_write_over_its_own_configuration(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").write_text('{"methods": ["sft"], "learning_rates": [0.001], "seeds": [0], "model": "microworld"}')
    before = _contents(tmp_path)
    assert ssr("compare", "config.json", "--out", ".", ok=False) == 1
    assert "an input of the same command" in capsys.readouterr().err and _contents(tmp_path) == before
