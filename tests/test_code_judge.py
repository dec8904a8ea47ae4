"""The code judge: programs that want to do harm or to pass without being right.
Each is survived, and the machine is as it was."""

import ast
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ssr_nb import code_judge as module
from ssr_nb.code_judge import (CodeOptions, IsolationError, Limits, code_in, code_judge, isolation_obstacle,
                               make_code_judge, names_under_test, run_tests)
from ssr_nb.judge import JUDGES, judge
from ssr_nb.records import RecordError
from ssr_nb.options import as_arguments, from_mapping
from ssr_nb.records import Example, Response
from ssr_nb.sandbox.leaks import FORBIDDEN, leaks
from ssr_nb.sandbox.plain import pack, unpack

needs_isolation = pytest.mark.skipif(isolation_obstacle() is not None,
                                     reason=f"programs can't be kept in here: {isolation_obstacle()}")
QUICK = Limits(time=2.5, cpu=1, memory=512 << 20)
SECRET = "7531"  # what the tests expect: no program can know it
TASK = Example("Write f.", "def f(x):\n    return x + 1", id="f",
               extra={"test_list": [f"assert f({int(SECRET) - 1}) == {SECRET}", "assert f(-1) == 0"]})


def verdict(program, task=TASK, limits=QUICK):
    [found] = judge([task], [Response(task.id, f"Here:\n```python\n{program}\n```\n")], code_judge(limits))
    return found


@needs_isolation
@pytest.mark.parametrize("program",
                         ["def f(x): return x + 1", "f = lambda x: x + 1",
                          "import itertools\ndef g(x):\n    return x + 1\ndef f(x):\n    print('hm')\n    return g(x)",
                          "class F:\n    def __call__(self, x): return x + 1\nf = F()", "def f(x): return x + True",
                          "def f(x): return float(x) + 1", "import sys\nsys.stdout.close()\ndef f(x): return x + 1",
                          "if __name__ == '__main__':\n    exit(1)\ndef f(x): return x + 1"])
def test_right_programs_pass(program):
    found = verdict(program)
    assert (found.label, found.score, found.judge) == ("correct", 1.0, "code"), found


FORGE = ("import os\nfor fd in range(4096):\n    for line in (%s):\n        try: os.write(fd, "
         "(line + '\\n').encode())\n        except OSError: pass\n")
SEARCH = """
import gc, sys, os
def search(budget=20000):
    seen, todo = set(), [o for o in gc.get_objects()] + [sys.modules, sys.argv, sys._getframe()]
    while todo and budget:
        o, budget = todo.pop(), budget - 1
        if id(o) in seen: continue
        seen.add(id(o))
        if isinstance(o, str) and ('ass' + 'ert f(') in o: return o
        todo += gc.get_referents(o)
def memory():
    try: return open('/proc/self/maps').read() and open('/proc/1/environ').read()
    except OSError: pass
def f(x):
    found = search() or memory()
    return %s if found else 0
""" % SECRET
FORGE_IN_THE_TESTER = """
import os, time
time.sleep(0.2)
for pid in filter(str.isdigit, os.listdir('/proc')):
    try:
        if 'class Ra' + 'ised' in open(f'/proc/{pid}/cmdline').read():
            for fd in os.listdir(f'/proc/{pid}/fd'):
                if os.readlink(f'/proc/{pid}/fd/{fd}').startswith('pipe:'):
                    os.write(os.open(f'/proc/{pid}/fd/{fd}', os.O_WRONLY | os.O_NONBLOCK), b'{"label": "correct", '
                             b'"passed": 2, "why": "", "said": ""}\\n')
    except OSError:
        pass
def f(x): return 0
"""
HOSTILE = {
    "endless loop": "while True: pass",
    "endless loop when called": "def f(x):\n    while True: pass",
    "endless loop in a test": ("def f(x):\n    while True:\n        try:\n            while True: "
                               "pass\n        except BaseException: pass"),
    "sleep": "import time\ntime.sleep(10**6)",
    "deaf to signals": ("import signal\nfor s in range(1, 65):\n    try: signal.signal(s, "
                        "signal.SIG_IGN)\n    except (OSError, ValueError): pass\nwhile True: pass"),
    "a session of its own": "import os, time\nos.setsid()\ntime.sleep(10**6)",
    "exit 0 before the tests": "import sys\nsys.exit(0)",
    "exit 0 when called": "import sys\ndef f(x): sys.exit(0)",
    "exit 0 at once": "import os\nos._exit(0)",
    "exit 0 at once when called": "import os\ndef f(x): os._exit(0)",
    "exit at the end": "import atexit, os\natexit.register(lambda: os._exit(0))",
    "kill itself": "import os\nos.kill(os.getpid(), 9)",
    "kill everybody": "import os\nos.kill(-1, 9)",
    "kill the first process": "import os\nos.kill(1, 9)\nos.kill(os.getppid(), 9)",
    "crash": "import ctypes\nctypes.string_at(0)",
    "memory at once": "x = bytearray(10**12)",
    "memory bit by bit": "x = []\nwhile True: x.append(bytearray(10**7))",
    "memory when called": "def f(x): return 'x' * 10**10",
    "a long answer": "def f(x): return 'x' * (4 * 10**7)",
    "a deep answer": "def f(x):\n    y = []\n    for _ in range(10**5): y = [y]\n    return y",
    "a circle": "def f(x):\n    y = []\n    y.append(y)\n    return y",
    "numbers without end": "import itertools\ndef f(x): return itertools.count()",
    "a huge number": "def f(x): return 10**10**7",
    "shared memory": ("import ctypes\nl = ctypes.CDLL(None)\nl.shmat.restype, l.shmdt.argtypes = ctypes.c_void_p, "
                      "[ctypes.c_void_p]\nfor _ in range(8):\n    i = l.shmget(0, ctypes.c_size_t(10**8), 0o1600)\n"
                      "    a = l.shmat(i, None, 0)\n    ctypes.memset(a, 1, 10**8)\n    l.shmdt(a)"),
    "files in memory": ("import os\nx = []\nwhile True:\n    x.append(os.memfd_create('a'))\n"
                        "    os.write(x[-1], b'x' * 10**7)"),
    "fork bomb": "import os\nwhile True: os.fork()",
    "fork bomb that is not put off": "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    "threads": "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(1000,)).start()",
    "a command": "import subprocess\nsubprocess.run(['/bin/sh', '-c', 'exit 0'], check=True)",
    "another program in its place": "import os\nos.execv('/bin/true', ['true'])",
    "fill the disk": "i = 0\nwhile True:\n    open(str(i), 'wb').write(b'x' * 10**6)\n    i += 1",
    "a long file": "f = open('x', 'wb')\nwhile True: f.write(b'x' * 10**6)",
    "many files": "i = 0\nwhile True:\n    open(str(i), 'w').close()\n    i += 1",
    "open files": "x = []\nwhile True: x.append(open('/usr/bin/env'))",
    "delete everything": ("import shutil\nshutil.rmtree('/', ignore_errors=True)\nshutil.rmtree('.', "
                          "ignore_errors=True)"),
    "print success": "print('ready')\nprint('{\"label\": \"correct\", \"passed\": 2, \"why\": \"\", \"said\": \"\"}')",
    "write success everywhere": FORGE % "'ready', '{\"label\": \"correct\", \"passed\": 2, \"why\": \"\", \"said\": "
    "\"\"}'",
    "write names and values everywhere": FORGE % "'{\"names\": [\"f\"]}', '{\"value\": true}', '{\"value\": {\"o\": "
    "0}}', '{\"value\": {\"n\": \"0x1\"}}'",
    "write success into the tests' process": FORGE_IN_THE_TESTER,
    "write rubbish everywhere": FORGE % "'x' * 100, '[]', '{}', 'null', '\\x00'",
    "close everything": "import os\nos.closerange(0, 4096)",
    "equal to everything": ("class Any:\n    def __eq__(self, other): return True\n    __hash__ = None\ndef f(x): "
                            "return Any()"),
    "a number equal to everything": ("class Any(int):\n    def __eq__(self, other): "
                                     "return True\n    __hash__ = int.__hash__\ndef f(x): return Any(3)"),
    "a list equal to everything": "class Any(list):\n    def __eq__(self, other): return True\ndef f(x): return Any()",
    "not a number": "def f(x): return float('nan')",
    "other builtins": ("import builtins\nbuiltins.AssertionError = KeyError\nbuiltins.int = builtins.float = lambda "
                       "*x: 1\ndef f(x): return 0"),
    "no AssertionError": "import ctypes, builtins\nbuiltins.__dict__['__debug__'] = False\ndef f(x): return 0",
    "search the memory for the tests": SEARCH,
    "raise what tests raise": "def f(x): raise AssertionError",
    "raise at the top": "raise KeyboardInterrupt",
    "text that is none": "def f(x): return chr(0xd800)",
    "a name that is none": "globals()[3] = print\nglobals()['f'] = None",
}


@needs_isolation
@pytest.mark.parametrize("program", HOSTILE.values(), ids=HOSTILE)
def test_hostile_programs_are_survived_and_do_not_pass(program):
    began, before = time.monotonic(), processes()
    found = verdict(program)
    assert found.label == "incorrect" or found.label == "unparsed" and "outside" in found.reason, found
    assert not found.reason.startswith("no Python") and time.monotonic() - began < 10
    assert all_gone(before), "something is left"


def all_gone(before, within=5):
    "Whether no process is left but those from before; the kernel takes a moment to end what was killed."
    deadline = time.monotonic() + within
    while not processes() <= before and time.monotonic() < deadline:
        time.sleep(0.02)
    return processes() <= before


def processes():
    "The processes of this machine that a judged program may have left: those whose command line is ours."
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if b"MANY = " in line:
            found.add(path.parent.name)
    return found


@needs_isolation
def test_nothing_of_the_machine_is_reached(tmp_path, monkeypatch):
    import socket
    monkeypatch.setenv("SSR_API_KEY", "sk-secret")
    treasure = tmp_path / "treasure"
    treasure.write_text("gold")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        port = server.getsockname()[1]
        look = f"""
import os, socket, glob
def tried(act):
    try:
        return str(act())
    except BaseException as error:
        return 'no: ' + type(error).__name__
def look():
    return {{'environment': ''.join(os.environ.values()), 'file': tried(lambda: open({str(treasure)!r}).read()), \
'delete': tried(lambda: os.remove({str(treasure)!r})),
            'project': tried(lambda: os.listdir({str(Path(__file__).parent)!r})), 'socket': tried(lambda: \
socket.create_connection(('127.0.0.1', {port}), 1)),
            'udp': tried(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('10.0.0.1', 53))), \
'passwords': tried(lambda: open('/etc/passwd').read()),
            'proc': tried(lambda: os.listdir('/proc')), 'devices': tried(lambda: os.listdir('/dev')), 'here': \
tried(lambda: os.listdir('.')),
            'python': tried(lambda: open(os.__file__, 'a')), 'packages': tried(lambda: __import__('numpy')), \
'packages of ours': tried(lambda: __import__('ssr_nb'))}}
"""
        word = run_tests(look, ["seen = look()\nassert seen.pop('here') == '[]' and seen.pop('environment') in ('', "
                                "'C.UTF-8'), seen", "seen = look(); del seen['here'], seen['environment']\n"
                                "assert all(x.startswith('no: ') for x in seen.values()), seen"], ["look"])
        with pytest.raises(TimeoutError):
            server.accept()
    assert word["label"] == "correct", word["said"]
    assert treasure.read_text() == "gold"


@needs_isolation
def test_no_way_back_out():
    escape = ("import ctypes, os\nl = ctypes.CDLL(None, use_errno=True)\ndef tried():\n    return "
              "[l.unshare(0x10000000), l.unshare(0x00020000), l.mount(b'none', b'/usr', None, 32 | 4096, None), "
              "l.umount2(b'/usr', 2), l.chroot(b'/tmp'), l.setuid(0), l.ptrace(16, 1, 0, 0)]")
    word = run_tests(escape, ["assert set(tried()) == {-1}, tried()"], ["tried"])
    assert word["label"] == "correct", word["said"]


@needs_isolation
def test_no_memory_beside_the_limit():
    """What shmget, msgget and semget give stays when the process lets go of it, and counts for nobody; by x86-64's
    second table of system calls, too."""
    asking = ("import ctypes, os\nl = ctypes.CDLL(None, use_errno=True)\ndef tried():\n    second = [0x40000000 + n "
              "for n in (29, 64, 68)] if os.uname().machine == 'x86_64' else []\n    return [l.shmget(0, 4096, "
              "0o1600), l.msgget(0, 0o1600), l.semget(0, 1, 0o1600)] + [l.syscall(n, 0, 4096, 0o1600) for n in second]")
    word = run_tests(asking, ["assert set(tried()) == {-1}, tried()"], ["tried"])
    assert word["label"] == "correct", word["said"]


@needs_isolation
def test_when_the_judge_is_killed_the_program_dies_with_it(tmp_path):
    code = ("from ssr_nb.code_judge import *\nrun_tests('import os, time\\nos.setsid()\\ntime.sleep(1000)', "
            "['assert f(1) == 1'], ['f'], limits=Limits(time=600, cpu=600))")
    before = processes()
    ours = subprocess.Popen([sys.executable, "-c", code],
                            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent), "TMPDIR": str(tmp_path)})
    deadline = time.monotonic() + 20
    while len(processes() - before) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(processes() - before) >= 3
    ours.kill()
    ours.wait()
    while processes() - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes() - before


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
                      | st.binary(max_size=5) | st.complex_numbers(allow_nan=False),
                      lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
                      | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
                      | st.frozensets(st.integers(), max_size=3) | st.sets(st.text(max_size=3), max_size=3),
                      max_leaves=8)


def kinds(x):
    "The types of a value and of all in it; -0.0 apart from 0.0."
    inside = ([item for pair in x.items() for item in pair] if isinstance(x, dict) else sorted(x, key=repr)
              if isinstance(x, (set, frozenset)) else x if isinstance(x, (list, tuple)) else [])
    return type(x), [kinds(item) for item in inside], repr(x) if not inside else ""


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_plain_data_goes_over_as_it_is(value):
    back = unpack(json.loads(json.dumps(pack(value))))
    assert back == value and kinds(back) == kinds(value)


@needs_isolation
@pytest.mark.parametrize("program, test, label", [
    ("class Pair:\n    def __init__(self, a, b): self.a, self.b = a, b\ndef f(pairs): return sum(p.a for p in pairs)",
     "assert f([Pair(1, 2), Pair(3, 4)]) == 4", "correct"),
    ("class Pair:\n    def __init__(self, a, b): self.a, self.b = a, b\ndef f(pairs): return pairs[0]",
     "assert f([Pair(1, 2)]).a == 1", "unparsed"),
    ("class Pair: pass\ndef f(x): return (y for y in x)", "assert list(f([1, 2])) == [1, 2]", "correct"),
    ("class Pair: pass\ndef f(x): return (y for y in x)", "assert f([1, 2]) == [1, 2]", "incorrect"),
    ("from collections import Counter\nclass Pair: pass\ndef f(x): return Counter(x)",
     "assert f('aab') == {'a': 2, 'b': 1}", "correct"),
    ("class Pair: pass\ndef f(x): return x", "import math\nassert math.isclose(f(1e-320), "
     "1e-320) and f(float('inf')) > 10**400 and f(10**5000) == 10**5000", "correct"),
    ("class Pair: pass\ndef f(x): return x", "assert f(x=(1, [2], {3: {4}}, None, True, b'5', 'ü\\ud800')) == (1, [2], "
     "{3: {4}}, None, True, b'5', 'ü\\ud800')", "correct"),
    ("class Pair: pass\ndef f(x): return x(1)", "assert f(lambda y: y) == 1", "unparsed"),
    ("class Pair: pass\ndef f(x): return 1 / x", "try:\n    f(0)\nexcept ZeroDivisionError:\n    pass", "incorrect"),
])
def test_what_goes_over(program, test, label):
    task = Example("Write f and Pair.", "class Pair: pass\ndef f(x): pass", id="p", extra={"test_list": [test]})
    assert verdict(program, task).label == label


@needs_isolation
def test_setup_imports_and_what_the_tests_mean_by_a_name():
    task = Example("Write total.", "def total(xs): return 0", id="t",
                   extra={"test_list": ["assert math.isclose(total([1, half]), 1.5) and len([1, 2]) == 2"],
                          "test_imports": ["import math"], "test_setup_code": "half = 0.5"})
    assert verdict("def total(xs):\n    return sum(xs)\ndef len(x): return 7", task).label == "correct"
    assert verdict("def total(xs):\n    return sum(xs)\ndef isclose(*x): return True\nclass math:\n    isclose = "
                   "isclose", task).label == "correct"
    assert verdict("class math:\n    def isclose(*x): return True\ndef total(xs): return 0", task).label == "incorrect"


@pytest.mark.parametrize("gold, tests, names", [
    ("def sum(a, b): return a", ["assert sum(1, 2) == 1"], ["sum"]),
    ("```python\ndef f(a): pass\ndef g(a): pass\n```", ["assert set(f(1)) == g(2)"], ["f", "g"]),
    ("prose", ["assert sorted(f(1)) == helper(2)"], ["f"]), ("import math\nx = 3", ["assert f(1)"], ["f"]),
    ("f = lambda x: x", ["assert f(1)"], ["f"]),
])
def test_names_under_test(gold, tests, names):
    assert names_under_test(Example("Write it.", gold), tests, "def helper(x): return x") == names


@pytest.mark.parametrize("answer, program", [
    ("```python\nx = 1\n```", "x = 1\n"), ("```\nx = 1\n```\nand\n```py\ny = 2\n```", "x = 1\n\ny = 2\n"),
    ("```bash\nls\n```\n```Python\nx = 1\n```", "x = 1\n"), ("[BEGIN]\nx = 1\n[DONE]", "x = 1"), ("x = 1", "x = 1"),
    ("```python\nx = \n```", None), ("", None), ("# only a comment", None), ("no program", None),
    ("```python\nx = 1", None), ("(" * 10_000, None), ("x = '\0'", None), ("-" * 100_000 + "1", None),
])
def test_code_in(answer, program):
    assert code_in(answer) == program


@needs_isolation
@pytest.mark.parametrize("extra, said", [({}, "test_list = None in example 'f'"), ({"test_list": []}, "test_list"), (
    {"test_list": "assert 1"}, "test_list"), ({"test_list": ["assert f(("]}, "tests of example 'f' that don't parse")])
def test_examples_without_tests_are_an_error(extra, said):
    with pytest.raises(RecordError, match=said):
        judge([Example("Write f.", "def f(x): return x", id="f", extra=extra)], [Response("f", "def f(x): return x")],
              code_judge())


def test_off_unless_asked_for_and_refused_where_programs_can_not_be_kept_in(monkeypatch):
    monkeypatch.setattr(module, "isolation_obstacle", lambda: "found no command `unshare`")
    with pytest.raises(IsolationError,
                       match="can't keep them in here: found no command `unshare`.*allow it explicitly"):
        code_judge()
    if sys.platform == "win32":
        return
    rule = code_judge(QUICK, allow_unisolated=True)
    [right] = judge([TASK], [Response("f", "def f(x): return x + 1")], rule)
    [wrong] = judge([TASK], [Response("f", "import os\nos._exit(0)")], rule)
    [late] = judge([TASK], [Response("f", "while True: pass")], rule)
    [large] = judge([TASK], [Response("f", "x = bytearray(10**11)")], rule)
    assert [v.label for v in (right, wrong, late, large)] == ["correct", "incorrect", "incorrect", "incorrect"]


def test_that_verdicts_can_be_forged_is_said_once_where_programs_are_not_kept_in(monkeypatch, capsys):
    module._warn.cache_clear()
    monkeypatch.setattr(module, "isolation_obstacle", lambda: None)
    code_judge(allow_unisolated=True)
    assert capsys.readouterr().err == "", "programs are kept in: there is nothing to say"
    monkeypatch.setattr(module, "isolation_obstacle", lambda: "found no namespaces")
    for _ in range(2):
        make_code_judge(CodeOptions(allow_unisolated=True))
    said = capsys.readouterr().err
    assert said.count("forge its verdict") == 1 and "found no namespaces" in said and said.count("\n") == 1
    [told] = [f for f in CodeOptions.__dataclass_fields__.values() if f.name == "allow_unisolated"]
    assert "forge its verdict" in told.metadata["help"]
    with pytest.raises(IsolationError):
        make_code_judge(CodeOptions())


def test_options_become_limits():
    assert CodeOptions().limits == Limits() and CodeOptions().allow_unisolated is False
    asked = from_mapping(CodeOptions, {"seconds": 2.5, "memory": 512})
    assert (asked.limits.time, asked.limits.cpu, asked.limits.memory) == (2.5, 2, 512 << 20)
    assert as_arguments(CodeOptions(seconds=3.0, allow_unisolated=True)) == ["--allow-unisolated-code",
                                                                             "--test-seconds", "3.0"]
    for wrong in ({"seconds": 0}, {"seconds": -1.0}, {"memory": 1}, {"memory": 1.5}, {"allow_unisolated": 1},
                  {"second": 3}):
        with pytest.raises(ValueError, match=f"judge code: .*{next(iter(wrong))}.*expected"):
            from_mapping(CodeOptions, wrong, "judge code")


@needs_isolation
def test_options_are_kept_to():
    late = "import time\ndef f(x):\n    time.sleep(1.5)\n    return x + 1"
    large = "x = bytearray(400 << 20)\ndef f(x): return x + 1"
    for program, options, label in ((late, CodeOptions(seconds=1.0), "incorrect"), (late, CodeOptions(), "correct"),
                                    (large, CodeOptions(memory=256), "incorrect"), (large, CodeOptions(), "correct")):
        task = Example("Write f.", "def f(x): return x + 1", id="f", extra={"test_list": ["assert f(1) == 2"]})
        assert make_code_judge(options)(task, program).label == label


@pytest.mark.parametrize("broken", ["no unshare", "unshare that fails"])
def test_a_machine_without_namespaces_says_so(broken, tmp_path, monkeypatch):
    if sys.platform != "linux":
        pytest.skip("namespaces are Linux's")
    if broken == "unshare that fails":
        (tmp_path / "unshare").write_text("#!/bin/sh\necho 'unshare: unshare failed: "
                                          "Operation not permitted' >&2\nexit 1\n")
        (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    isolation_obstacle.cache_clear()
    try:
        assert {"no unshare": "found no command `unshare`",
                "unshare that fails": "Operation not permitted"}[broken] in isolation_obstacle()
        with pytest.raises(IsolationError):
            code_judge()
    finally:
        isolation_obstacle.cache_clear()


SCRIPTS = sorted((Path(module.__file__).parent / "sandbox").glob("*.py"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_scripts_import_nothing_but_python_and_each_other(path):
    "Where they run there is nothing else; and a script that imports another is given it."
    found, beside = set(), set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            (beside if node.level else found).add(node.module.split(".")[0])
    assert found <= sys.stdlib_module_names and beside <= {other.stem for other in SCRIPTS}
    text = path.read_text(encoding="utf-8")
    assert text.startswith('"""') and module._script(path.stem) == text
    assert len(json.dumps(json.dumps(text))) < 16_384, "one argument of a command is 131072 bytes at most"


WELL = {"files": [], "environment": {"LC_CTYPE": "C.UTF-8"}, "user": False, "parent": "0", "own folder": "1",
        **dict.fromkeys(FORBIDDEN, "PermissionError: no")}


@pytest.mark.parametrize("seen", [{"files": ["x"]}, {"environment": {"HOME": "/"}}, {"user": True}, {"parent": "17"},
                                  {"own folder": "OSError: full"}, *({name: "reached"} for name in FORBIDDEN)],
                         ids=lambda seen: next(iter(seen)))
def test_every_missing_wall_is_a_leak(seen):
    assert leaks(WELL) == {} and leaks(WELL | seen) == seen


@needs_isolation
def test_a_place_that_leaks_is_refused(monkeypatch):
    "The trial of the place counts what a program saw: here, one that pretends to have reached the network."
    script = module._script
    monkeypatch.setattr(module, "_script", lambda name: script(name).replace(
        '"network": lambda: socket.create_connection(("127.0.0.1", 9), 1)', '"network": lambda: "reached"'))
    isolation_obstacle.cache_clear()
    try:
        assert "doesn't keep a program in (fails a test {'network': 'reached'})" in isolation_obstacle()
    finally:
        isolation_obstacle.cache_clear()
