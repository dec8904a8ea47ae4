"""Tables of rows, plug-ins and options: what a notebook can't show, in processes of their own."""

import importlib
import inspect
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import ssr_nb
from ssr_nb.records import RecordError
from ssr_nb.tables import load_plugins


def modules():
    "Every module of the package; the embedded model's folder and the sandbox's programs are none."
    return [m.name for m in pkgutil.iter_modules(ssr_nb.__path__)
            if m.name not in ("_modidx", "sandbox") and (Path(ssr_nb.__path__[0]) / f"{m.name}.py").is_file()]


def errors():
    "Every exception class of the package."
    found = {}
    for name in modules():
        module = importlib.import_module(f"ssr_nb.{name}")
        found |= {c.__qualname__: c for c in vars(module).values()
                  if inspect.isclass(c) and issubclass(c, BaseException) and c.__module__.startswith("ssr_nb")}
    return list(found.values())


def example_of(cls):
    "An instance of an exception class, with a value for each thing that it wants to know."
    wanted = [p for p in inspect.signature(cls.__init__).parameters.values() if p.name not in ("self", "args", "kwargs")]
    values = {"lengths": {"q1": 9}, "limit": 4, "line": 3, "seconds": 1.5}
    return cls(*[values.get(p.name, f"the {p.name}") for p in wanted if p.default is p.empty]
               if wanted else ["what happened"])


@pytest.mark.parametrize("cls", errors(), ids=lambda c: c.__name__)
def test_errors_survive_the_way_between_processes(cls):
    error = example_of(cls)
    travelled = pickle.loads(pickle.dumps(error))
    assert type(travelled) is cls and str(travelled) == str(error) and vars(travelled) == vars(error)


def test_a_plugin_is_known_in_a_fresh_process_and_imported_once(tmp_path):
    plugin = tmp_path / "lamps.py"
    plugin.write_text("from ssr_nb.tables import Table\nprint('imported')\n"
                      "Table.every['lamp'].add(type('Lamp', (), {'name': 'torch'}))\n")
    code = ("from ssr_nb.tables import Table, load_plugins\nlamps = Table('lamp')\n"
            f"load_plugins([{str(plugin)!r}]); load_plugins([{str(plugin)!r}])\n"
            "print(lamps.named('torch').name, lamps.origins)")
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert said.stdout.splitlines() == ["imported", f"torch {{'torch': {str(plugin)!r}}}"], said.stderr


@pytest.mark.parametrize("content, line", [("lamp = wats\n", 1), ("lamp = 1\n\nlamp = (\n", 3), ("import no_such_module\n", 1)])
def test_a_broken_plugin_is_named_with_its_line(tmp_path, content, line):
    plugin = tmp_path / "broken.py"
    plugin.write_text(content)
    with pytest.raises(RecordError) as caught:
        load_plugins([str(plugin)])
    assert f"broken.py, line {line}: found" in str(caught.value)


def test_a_plugin_that_is_not_there_is_named():
    with pytest.raises(RecordError, match="no such file"):
        load_plugins(["nowhere/plugin.py"])
    with pytest.raises(RecordError, match="no_such_package"):
        load_plugins(["no_such_package"])


def test_a_row_finds_its_table_in_a_process_that_has_not_imported_it():
    "Each kind of the package's tables, packed here and unpacked where nothing but `tables` was imported."
    from dataclasses import replace

    from ssr_nb.losses import LOSSES
    from ssr_nb.rehearse import METHODS
    from ssr_nb.tables import Table, pack_rows

    added = [(LOSSES, replace(LOSSES["nll"], name="nll-again")), (METHODS, replace(METHODS["ssr"], name="ssr-again"))]
    for table, row in added:
        table.add(row)
    try:
        packed = pack_rows()
    finally:
        for table, row in added:
            del table[row.name]
    code = ("import sys\nfrom ssr_nb.tables import Table, unpack_rows\n"
            "unpack_rows(sys.stdin.buffer.read())\n"
            "print(*sorted(name for table in Table.every.values() for name in table if name.endswith('-again')))")
    done = subprocess.run([sys.executable, "-c", code], input=packed, capture_output=True)
    assert done.stdout.decode().split() == ["nll-again", "ssr-again"], done.stderr.decode()[-600:]
    with pytest.raises(RecordError, match="a table of 'lmap'"):
        Table.of_kind("lmap")


def test_a_row_of_a_module_that_another_process_lacks_is_named(tmp_path, monkeypatch):
    from dataclasses import replace

    from ssr_nb.losses import LOSSES
    from ssr_nb.tables import pack_rows

    (tmp_path / "only_here.py").write_text("def bent(logits, labels, base_logits, own):\n    return logits\n")
    monkeypatch.syspath_prepend(tmp_path)
    from only_here import bent

    LOSSES.add(replace(LOSSES["nll"], name="bent", token_loss=bent))
    code = "import sys\nfrom ssr_nb.tables import unpack_rows\nunpack_rows(sys.stdin.buffer.read())\n"
    done = subprocess.run([sys.executable, "-c", code], input=pack_rows(), capture_output=True)
    assert "loss 'bent', which this process can't read (No module named 'only_here')" in done.stderr.decode()
