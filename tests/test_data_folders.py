"""A folder of data is read, and nothing that it points to."""

import json
import os

import pytest

from ssr_nb.formats import read_examples
from ssr_nb.rows import dataset_rows, file_rows, splits_in
from ssr_nb.records import RecordError

SECRET = '{"prompt": "the secret", "completion": "42"}\n'
README = "---\nconfigs:\n- config_name: default\n  data_files: {}\n---\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "secret.jsonl").write_text(SECRET)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "train.jsonl").write_text(SECRET)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "plain.jsonl").write_text('{"prompt": "a", "completion": "b"}\n')
    return tmp_path / "data"


def as_text(folder, value):
    (folder / "README.md").write_text(README.format(json.dumps(value)))


ATTACKS = {
    "a way up": lambda folder: as_text(folder, "../secret.jsonl"),
    "a way up in a list": lambda folder: as_text(folder, ["plain.jsonl", "../secret.jsonl"]),
    "a way up by split": lambda folder: as_text(folder, [{"split": "train", "path": ["../secret.jsonl"]}]),
    "a way up by key": lambda folder: as_text(folder, {"train": "../secret.jsonl"}),
    "a way down and up": lambda folder: as_text(folder, "x/../../secret.jsonl"),
    "a pattern that goes up": lambda folder: as_text(folder, "*/../../secret.jsonl"),
    "an absolute path": lambda folder: as_text(folder, str(folder.parent / "secret.jsonl")),
    "an address of a file": lambda folder: as_text(folder, f"file://{folder.parent}/secret.jsonl"),
    "an address": lambda folder: as_text(folder, "https://example.invalid/x.jsonl"),
    "a chain of addresses": lambda folder: as_text(folder, "zip://x.jsonl::https://example.invalid/x.zip"),
    "a folder elsewhere": lambda folder: (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: default\n  data_dir: ../elsewhere\n---\n"),
    "the other description": lambda folder: (folder / ".huggingface.yaml").write_text(
        "configs:\n- config_name: default\n  data_files: ../secret.jsonl\n"),
    "a link to a file": lambda folder: (folder / "train.jsonl").symlink_to("../secret.jsonl"),
    "a link to a folder": lambda folder: (folder / "train").symlink_to("../elsewhere"),
    "a link to a link": lambda folder: ((folder / "a.jsonl").symlink_to("b.jsonl"),
                                        (folder / "b.jsonl").symlink_to("../secret.jsonl")),
    "what a saved table is made of": lambda folder: (folder / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": "../elsewhere/train.jsonl"}], "_format_type": None})),
    "the splits of saved tables": lambda folder: (folder / "dataset_dict.json").write_text(
        json.dumps({"splits": ["../elsewhere"]})),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_folder_can_not_send_the_reader_outside_itself(folder, name):
    ATTACKS[name](folder)
    for read in (lambda: read_examples(file_rows(folder), folder), lambda: list(dataset_rows(str(folder), "train")),
                 lambda: list(dataset_rows(str(folder), "train", streaming=True)), lambda: splits_in(folder)):
        if "saved table" in name and read.__code__.co_names[0] == "splits_in":
            continue  # names alone, which the file itself has
        with pytest.raises(RecordError) as error:
            read()
        assert "files below data" in str(error.value) or "leads out of the folder" in str(error.value), error.value
        assert "the secret" not in str(error.value)


def test_what_a_folder_may_say(folder):
    (folder / "parts").mkdir()
    (folder / "parts" / "part-1.jsonl").write_text('{"prompt": "c", "completion": "d"}\n')
    (folder / "inside.jsonl").symlink_to("parts/part-1.jsonl")
    as_text(folder, [{"split": "train", "path": "parts/*.jsonl"}, {"split": "test", "path": "plain.jsonl"}])
    assert [row["prompt"] for _, row in dataset_rows(str(folder), "train")] == ["c"]
    assert [row["prompt"] for _, row in dataset_rows(str(folder), "test", streaming=True)] == ["a"]
    assert splits_in(folder) == ["train", "test"]


@pytest.mark.parametrize("text", ["---\nconfigs: [\n---\n", "---\nconfigs: " + "[" * 3000 + "\n---\n", "---\n\xff\n---\n"])
def test_a_description_that_can_not_be_read_is_named(folder, text):
    (folder / "README.md").write_bytes(text.encode("latin-1"))
    with pytest.raises(RecordError, match="README.md: found .*expected a data set's description in YAML"):
        list(dataset_rows(str(folder), "train"))


def test_a_data_set_of_the_hub_that_names_files_of_this_machine(monkeypatch):
    import datasets

    class Builder:
        class config:
            data_files = {"train": ["hf://datasets/a/b@main/x.jsonl", "/etc/passwd"]}

    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *a, **k: Builder)
    for streaming in (False, True):
        with pytest.raises(RecordError, match="found the data file \"/etc/passwd\"; expected files of the hub"):
            list(dataset_rows("a/b", "train", streaming=streaming))


@pytest.mark.parametrize("name", ["x[1].csv", "x*.csv", "x?.csv"])
def test_a_file_s_name_is_no_pattern(tmp_path, name):
    (tmp_path / name).write_text("prompt,completion\na,b\n")
    (tmp_path / "x1.csv").write_text("prompt,completion\nanother,file\n")
    assert [row["prompt"] for _, row in file_rows(tmp_path / name)] == ["a"]
    assert os.listdir(tmp_path)
