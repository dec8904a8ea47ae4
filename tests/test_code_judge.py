"""The code judge: programs that want to do harm or to pass without being right.
Each is survived, and the machine is as it was."""

import ast
import ctypes
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
from ssr_nb.sandbox import system_calls
from ssr_nb.sandbox.leaks import FORBIDDEN, leaks
from ssr_nb.sandbox.plain import Trouble, Unsupported, pack, unpack
from ssr_nb.sandbox.stand_ins import StandIns

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
        if b"CHANGING = " in line:
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
    ("class Pair: pass\ndef f(x): return 1 / x", "try:\n    f(0)\nexcept ZeroDivisionError:\n    pass", "correct"),
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
    ("```python\nx = 1", "x = 1"), ("(" * 10_000, None), ("x = '\0'", None), ("-" * 100_000 + "1", None),
    ("~~~py\nx = 1\n~~~\nprose", "x = 1\n"), ("~~~~\nx = '~~~'\n~~~~", "x = '~~~'\n"),
    ("1. First:\n\n   ```python\n   def f(x):\n       return x\n   ```\n", "def f(x):\n    return x\n"),
    ("```python\ndef f(x):\n    return '''\n   \n'''\n```", "def f(x):\n    return '''\n   \n'''\n"),
    ("```{.python}\nx = 1\n```", "x = 1\n"), ("```python title=\"a.py\"\nx = 1\n```", "x = 1\n"),
    ("```python\nx = 1\n```\n```\n>>> x\n1\n```", "x = 1\n"), ("```\n>>> f(1)\n1\n```", None),
    ("```python\nx = 1\n```\nIt prints\n```\nHello, world!\n```", "x = 1\n"),
    ("```python\ndef f(x):\n```\nand\n```python\n    return x\n```", "def f(x):\n\n    return x\n"),
    ("Here:\n\ndef f(x):\n    return x\n\nIt's right, isn't it?", "def f(x):\n    return x\n"),
    ("I import\nfrom what I know.\n\nimport math\n\ndef f(x):\n    return x",
     "import math\n\ndef f(x):\n    return x"), ("return 1", "return 1"), ("def f(): nonlocal x", None),
    ("Like so:\n\n    def f(x):\n        return x\n", "def f(x):\n    return x"),
])
def test_code_in(answer, program):
    assert code_in(answer) == program


BLOCKS = {"import": "import math\n", "helper": "def half(x):\n    return x / 2\n",
          "f": "def f(x):\n    return half(x)\n", "f with math": "def f(x):\n    return math.pi\n",
          "usage": "x = input()\nprint(f(x))\n", "assertion": "assert f(4) == 2\n", "constant": "LIMIT = 3\n",
          "f with a limit": "def f(x=LIMIT):\n    return x\n", "other": "class Other:\n    pass\n",
          "branch": "try:\n    f = int\nexcept NameError:\n    pass\n"}


@pytest.mark.parametrize("shown, taken", [
    (["helper", "f", "usage"], ["helper", "f"]), (["import", "f with math", "assertion"], ["import", "f with math"]),
    (["usage", "f with a limit", "constant"], ["f with a limit", "constant"]), (["other", "usage"], ["other", "usage"]),
    (["f", "f with math"], ["f", "f with math"]), (["branch", "usage"], ["branch"]), (["usage", "other", "f"], ["f"])])
def test_the_blocks_that_define_what_the_tests_call_are_the_program(shown, taken):
    answer = "\n".join(f"Then:\n```python\n{BLOCKS[name]}```\n" for name in shown)
    assert code_in(answer, ["f"]) == "\n".join(BLOCKS[name] for name in taken)


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


def test_a_place_that_can_be_made_keeps_programs_in():
    "Else most of what stands here would be left out, and nobody would notice."
    assert "doesn't keep a program in" not in (isolation_obstacle() or "")


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


CALLS = {call.split()[0]: call for call in (  # of x86-64 and of aarch64
    "memfd_create 319 279, memfd_secret 447 447, shmget 29 194, msgget 68 186, semget 64 190, mq_open 240 180, "
    "add_key 248 217, request_key 249 218, keyctl 250 219, connect 42 203, bind 49 200, sendmsg 46 211, "
    "io_uring_setup 425 425, userfaultfd 323 282, inotify_init1 294 26, fanotify_init 300 262, flock 73 32, "
    "bpf 321 280, perf_event_open 298 241, ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, "
    "kexec_load 246 104, mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51, unshare 272 97, "
    "setns 308 268, clone3 435 435, pidfd_open 434 434, pidfd_getfd 438 438, personality 135 92, mknodat 259 33, "
    "setxattr 188 5, quotactl 179 60, swapon 167 224, syslog 103 116, init_module 175 105, splice 275 76, "
    "vmsplice 278 75, tee 276 77, io_setup 206 0, mlock 149 228, mlockall 151 230, mbind 237 235, "
    "name_to_handle_at 303 264, open_by_handle_at 304 265, timer_create 222 107, timerfd_create 283 85, "
    "signalfd4 289 74, seccomp 317 277, process_madvise 440 440, open_tree 428 428, move_mount 429 429, "
    "fsopen 430 430, mount_setattr 442 442, setpriority 141 140, setuid 105 146, capset 126 91, mincore 27 232, "
    "execveat 322 281, sethostname 170 161, rt_sigqueueinfo 129 138").split(", ")}
ATTEMPT = """
import ctypes, errno, fcntl, os, socket, struct
library = ctypes.CDLL(None, use_errno=True)
library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
library.mmap.restype = ctypes.c_long
def call(name, *arguments):
    found = getattr(library, name)(*arguments)
    return 'reached' if found != -1 else errno.errorcode[ctypes.get_errno()]
def tried(act):
    try:
        return call(*act) if isinstance(act, tuple) else str(act()) and 'reached'
    except OSError as error:
        return errno.errorcode[error.errno]
"""
REFUSED = {"EPERM", "ENOSYS"}


@needs_isolation
def test_other_system_calls_are_refused():
    column = ["x86_64", "aarch64"].index(os.uname().machine)
    numbers = {name: int(call.split()[1 + column]) for name, call in CALLS.items()}
    program = ATTEMPT + (f"def all_tried():\n    return {{name: tried(('syscall', number, 0, 0, 0, 0, 0)) "
                         f"for name, number in {numbers}.items()}}")
    [test] = [f"found = all_tried()\nassert set(found.values()) <= {REFUSED}, "
              f"{{k: v for k, v in found.items() if v not in {REFUSED}}}"]
    word = run_tests(program, [test], ["all_tried"])
    assert word["label"] == "correct", word["said"]


@needs_isolation
@pytest.mark.parametrize("family", ["INET", "INET6", "UNIX", "NETLINK", "PACKET", "VSOCK", "ALG", "TIPC", "CAN", "XDP"])
def test_there_are_no_sockets_but_a_pair(family):
    number = {"UNIX": 1, "INET": 2, "INET6": 10, "NETLINK": 16, "PACKET": 17, "CAN": 29, "TIPC": 30, "ALG": 38,
              "VSOCK": 40, "XDP": 44}[family]
    program = ATTEMPT + (f"f = lambda: [tried(lambda: socket.socket({number}, kind)) for kind in (1, 2, 3, 5)]\n"
                         "g = lambda: tried(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))")
    word = run_tests(program, ["assert set(f()) == {'EPERM'} and g() == 'EPERM', (f(), g())"], ["f", "g"])
    assert word["label"] == "correct", word["said"]


CONDITIONS = {
    "shared memory without a file": "('mmap', None, 1 << 20, 3, 0x21, -1, 0)",
    "the same, validated": "('mmap', None, 1 << 20, 3, 0x23, -1, 0)",
    "huge pages": "('mmap', None, 2 << 20, 3, 0x40022, -1, 0)",
    "a process": "os.fork", "a process by clone": "('clone', CALLBACK, STACK, 17, None)",
    "a process that shares memory": "('clone', CALLBACK, STACK, 0x111, None)",
    "a lock": "lambda: fcntl.lockf(open('x', 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)",
    "a lock on a file of the machine": "lambda: fcntl.lockf(open(os.__file__), fcntl.LOCK_SH | fcntl.LOCK_NB)",
    "a lock of the whole file": "lambda: fcntl.flock(open(os.__file__), fcntl.LOCK_SH | fcntl.LOCK_NB)",
    "a lease": "lambda: fcntl.fcntl(open(os.__file__), 1024, 0)",
    "a notice": "lambda: fcntl.fcntl(os.open('.', 0), 1026, 1)",
    "a larger pipe": "lambda: fcntl.fcntl(os.pipe()[1], 1031, 1 << 20)",
    "the terminal's input": "lambda: fcntl.ioctl(0, 0x5412, b'x')", "another's limits": "('prlimit', 1, 7, None, None)",
    "huge pages again": "('prctl', 41, 0, 0, 0, 0)", "a filter of its own": "('prctl', 22, 2, 0, 0, 0)",
}


@needs_isolation
def test_calls_that_are_allowed_are_so_with_some_arguments_only():
    program = ATTEMPT + ("STACK = ctypes.c_void_p(ctypes.addressof(ctypes.create_string_buffer(1 << 16)) + (1 << 15))\n"
                         "CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: 0)\n"
                         f"def f(): return {{{', '.join(f'{k!r}: tried({v})' for k, v in CONDITIONS.items())}}}")
    word = run_tests(program, ["found = f()\nassert set(found.values()) == {'EPERM'}, found"], ["f"])
    assert word["label"] == "correct", word["said"]


@needs_isolation
def test_memory_is_given_back_with_the_addresses():
    """Of a page of 2 MB the kernel keeps all as long as 4 KB are in use, and the limit on addresses counts those 4 KB.
    So there are none: 512 touches of 4 KB take 512 faults."""
    program = ATTEMPT + (
        "import resource\ndef f():\n    size = 2 << 20\n    start = library.mmap(None, 2 * size, 3, 0x22, -1, 0)\n"
        "    start = (start + size - 1) // size * size\n    call('madvise', ctypes.c_void_p(start), size, 14)\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n    ctypes.memset(start, 1, size)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before")
    word = run_tests(program, ["assert f() >= 512"], ["f"])
    assert word["label"] == "correct", word


TABLES = """
import ctypes, mmap
library = ctypes.CDLL(None)
library.mmap.restype = ctypes.c_void_p
library.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
def f(n):
    for i in range(n):  # a page of zeros in each GB of addresses: none of it is memory but the tables that find it
        place = library.mmap((1 << 44) + (i << 30), 4096, 1, 0x100022, -1, 0)
        if place in (None, 2 ** 64 - 1): break
        ctypes.string_at(place, 1)
    return 3
"""


@needs_isolation
def test_what_the_kernel_keeps_for_a_program_counts_where_a_memory_group_can_be_had():
    with module._memory_group(1 << 20) as group:
        if group is None:
            pytest.skip("no memory group can be made here")
    word = run_tests(TABLES, ["assert f(64) == 3"], ["f"])
    assert word["label"] == "correct", word
    word = run_tests(TABLES, ["assert f(60_000) == 3"], ["f"], limits=Limits(time=60, cpu=48, memory=256 << 20))
    assert (word["label"], word["why"]) == ("incorrect", "ended before the tests did")


@pytest.mark.parametrize("cgroup, mountinfo, trees", [
    ("0::/user/session", "30 1 0:1 / {mount} rw - cgroup2 cgroup2 rw", ["user/session", "user"]),
    ("0::/", "30 1 0:1 / {mount} rw - cgroup2 cgroup2 rw", ["."]),
    ("0::/docker/a/b", "30 1 0:1 /docker/a {mount} rw shared:1 - cgroup2 cgroup2 rw", ["b", "."]),
    ("0::/docker", "30 1 0:1 /docker/a {mount} rw - cgroup2 cgroup2 rw", []),
    ("5:memory:/a\n4:cpu:/c\n0::/", "30 1 0:1 / {mount} rw - cgroup cgroup rw,memory\n"
     "31 1 0:1 / {mount} rw - cgroup cgroup rw,cpu", ["a", "."]),
    ("4:cpu:/c", "31 1 0:1 / {mount} rw - tmpfs tmpfs rw", [])])
def test_where_memory_groups_can_be_made(cgroup, mountinfo, trees, tmp_path, monkeypatch):
    texts = {"/proc/self/cgroup": cgroup + "\n", "/proc/self/mountinfo": mountinfo.format(mount=tmp_path) + "\n"}
    monkeypatch.setattr(Path, "read_text", lambda path, *a, **k: texts[str(path)])
    assert module._trees() == [tmp_path / tree for tree in trees]


def test_the_groups_of_a_judge_that_was_killed_are_removed_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_trees", lambda: [tmp_path])
    gone = subprocess.Popen(["true"])
    gone.wait()
    for name in (f"ssr_code_{gone.pid}_abc", f"ssr_code_{os.getppid()}_abc", "ssr_code_me_and_mine", "ssr_code_abc", "user.slice"):
        (tmp_path / name).mkdir()
    (tmp_path / f"ssr_code_{gone.pid}_held").mkdir()
    (tmp_path / f"ssr_code_{gone.pid}_held" / "cgroup.procs").write_text("1")  # not empty: it can't be removed
    assert module._new_group() is None
    left = {path.name for path in tmp_path.iterdir()}
    assert left - {"ssr_code_me_and_mine"} == {f"ssr_code_{os.getppid()}_abc", f"ssr_code_{gone.pid}_held", "ssr_code_abc", "user.slice"}


@pytest.mark.parametrize("limit", [*module._MEMORY_LIMITS, None])
def test_a_group_has_a_limit_under_either_name_or_is_none(limit, tmp_path, monkeypatch):
    made = []

    def mkdtemp(prefix, dir):
        made.append(tmp_path / f"{prefix}{len(made)}")
        made[-1].mkdir()
        for name in (limit, "cgroup.procs", "memory.swap.max") if limit else ():
            (made[-1] / name).write_text("")
        return str(made[-1])
    monkeypatch.setattr(module, "_trees", lambda: [tmp_path])
    monkeypatch.setattr(module, "_free_groups", {})
    monkeypatch.setattr(module.tempfile, "mkdtemp", mkdtemp)
    with module._memory_group(1 << 20) as group:
        if limit is None:
            assert group is None and not made[0].exists()  # what can't be limited doesn't stay
            return
        assert Path(group, limit).read_text() == str((1 << 20) + module._BESIDE)
        assert Path(group, "memory.swap.max").read_text() == "0"
    with module._memory_group(2 << 20) as again:
        assert again == group and len(made) == 1 and Path(group, limit).read_text() == str((2 << 20) + module._BESIDE)


KEYS = """
import ctypes, os, sys
numbers = {'x86_64': (248, 249, 250), 'aarch64': (217, 218, 219)}[os.uname().machine]
library = ctypes.CDLL(None, use_errno=True)
def secret():
    return library.syscall(numbers[1], b'user', b'ssr_secret', None, 0)
def erased():
    return library.syscall(numbers[2], 7, -3)
"""
HOLDER = KEYS + """
from ssr_nb import code_judge
library.syscall(numbers[2], 1, None)
if library.syscall(numbers[0], b'user', b'ssr_secret', b'7531', 4, -3) < 0:
    sys.exit(77)
assert secret() > 0
if sys.argv[2] == 'no filter':
    script = code_judge._script
    code_judge._script = lambda name: script(name).replace('    refuse_other_calls()\\n', '')
word = code_judge.run_tests(sys.argv[1], ['assert secret() == -1', 'erased()'], ['secret', 'erased'])
assert word['label'] == 'correct', word
assert secret() > 0, 'the key is gone'
"""


@needs_isolation
@pytest.mark.parametrize("filtered", ["filter", "no filter"])
def test_the_keyring_of_the_caller_is_out_of_reach(filtered):
    "By the filter, and should that fail, by another session keyring."
    done = subprocess.run([sys.executable, "-c", HOLDER, KEYS, filtered], capture_output=True, text=True,
                          env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)})
    if done.returncode == 77:
        pytest.skip("there are no keyrings here")
    assert done.returncode == 0, done.stderr


def decided(machine, call, arguments=(), table=None):
    "What the filter of a processor says of a system call: its machine, played."
    lines = system_calls.filter_lines(machine)
    data = {0: call, 4: system_calls.MACHINES[machine][1] if table is None else table,
            **{16 + 8 * i: value for i, value in enumerate((*arguments, 0, 0, 0, 0, 0, 0)[:6])}}
    place, held = 0, None
    while lines[place][0] != system_calls.END:
        kind, yes, no, value = lines[place]
        assert 0 <= yes < 256 and 0 <= no < 256 and value < 2**32, "what fits into an instruction"
        if kind in (system_calls.LOAD, system_calls.AND):
            held, step = (data[value] if kind == system_calls.LOAD else held & value), 0
        else:
            step = yes if (held == value if kind == system_calls.EQUAL else held >= value) else no
        place += 1 + step
    return lines[place][3]


@pytest.mark.parametrize("machine", system_calls.MACHINES)
def test_the_filter_allows_what_is_listed_and_nothing_else(machine):
    listed = system_calls.numbers(system_calls.ALLOWED.replace("\n", " ").split(","), machine)
    some = system_calls.numbers(system_calls.IF, machine)
    assert len(set(listed.values())) == len(listed) and not set(listed.values()) & set(some.values())
    for number in range(700):
        said = decided(machine, number, (-1 & 0xFFFFFFFF,) * 6)
        if number in listed.values():
            assert said == system_calls.ALLOW, number
        elif number in some.values():
            assert said == system_calls.REFUSE, number
        else:
            assert said == (system_calls.REFUSE if number < 424 else system_calls.UNKNOWN), number
        assert decided(machine, 0x40000000 + number) == system_calls.REFUSE
        assert decided(machine, number, table=0x40000003) == system_calls.KILL
    assert decided(machine, some["clone"], (0x3D0F00,)) == system_calls.ALLOW, "a thread, as the C library starts it"
    assert all(decided(machine, some["clone"], (0x3D0F00 | bit,)) == system_calls.REFUSE for bit in (
        0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)), "a namespace"
    with pytest.raises(OSError, match="riscv64 are not known"):
        system_calls.filter_lines("riscv64")


@pytest.mark.parametrize("machine", system_calls.MACHINES)
def test_the_numbers_of_system_calls_are_the_kernels(machine):
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        pytest.skip("no libseccomp here, which knows all numbers")
    listed = system_calls.numbers([*system_calls.ALLOWED.replace("\n", " ").split(","), *system_calls.IF,
                                   *CALLS.values()], machine)
    table = ctypes.c_uint32(system_calls.MACHINES[machine][1])
    theirs = {name: library.seccomp_syscall_resolve_name_arch(table, name.encode()) for name in listed}
    assert theirs == listed


def test_numpy_works_under_the_filter():
    "Where the judge's Python has installed packages in view, they work: a large product takes several threads."
    code = (f"import ctypes\nassert ctypes.CDLL(None).prctl(38, 1, 0, 0, 0) == 0\n{module._script('system_calls')}\n"
            "refuse_other_calls()\nimport numpy, random\nx = numpy.ones((400, 400))\nassert (x @ x)[0, 0] == 400\n"
            "assert numpy.linalg.svd(x)[1][0] > 399 and numpy.random.default_rng().random() < 1")
    if sys.platform != "linux":
        pytest.skip("the filter is Linux's")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


DATA = Path(__file__).parent / "data"


def sections(name):
    "The parts of a text file that begin with ###, each one with the rest of that line first."
    return (DATA / f"{name}.txt").read_text(encoding="utf-8").split("\n###")[1:]


ORDINARY = {name.strip(): program for name, program in (part.split("\n", 1) for part in sections("ordinary_programs"))}


@needs_isolation
@pytest.mark.parametrize("program", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_programs_run(program):
    word = run_tests(program, ["assert f(60) == 1770", "assert f(5) == 10"], ["f"])
    assert word["label"] == "correct", word


AS_PYTHON = [part.removeprefix("\n").split("---\n") for part in sections("judged_as_python_judges")]


def python_says(program, test):
    "What Python itself says of a test: the program and the test in one namespace."
    world = {"__name__": "answer"}
    try:
        exec(compile(program, "answer", "exec"), world)
        exec(compile(test, "test", "exec"), world)
    except BaseException:
        return "incorrect"
    return "correct"


@needs_isolation
@pytest.mark.filterwarnings("ignore:coroutine")
@pytest.mark.parametrize("program, tests", [(first, rest) for first, *rest in AS_PYTHON])
def test_results_are_judged_as_python_judges_them(program, tests):
    names = [name for name in module._symbols(program)[0] if not name.startswith("_")]
    says = [python_says(program, test) for test in tests]
    good = [test for test, said in zip(tests, says) if said == "correct"]
    for some, label in [(good, "correct"), *(([test], said) for test, said in zip(tests, says) if said != "correct")]:
        used = [name for name in names if any(name in test for test in some)]
        word = run_tests(program, some, used)
        assert word["label"] == label, (some, word)


def outside(message_of="object"):
    "A stand-in for an object of a class of the program's."
    made = StandIns(lambda message: {}).hear(message_of, [0, "A"], None)
    Trouble.all.clear()
    return made


DOUBTFUL = [part.strip() for part in """
    bool(x) ; x == 3 ; x != 3 ; 3 == x ; 3 != x ; x == x ; x in [1] ; [x] == [3] ; x < 3 ; x >= 3 ; hash(x) ;
    {x} ; {x: 1} ; len(x) ; list(x) ; x[0] ; x + 1 ; 1 + x ; -x ; int(x) ; float(x) ; str(x) ; repr(x) ;
    f'{x}' ; x.a ; setattr(x, 'a', 1) ; isinstance(x, int) ; abs(x) ; round(x) ; sum([x]) ; sorted([x, 1]) ;
    max(x, 1) ; not x ; x and 1 ; 1 if x else 2 ; any([x]) ; set([x]) ; tuple(x) ; dict(x) ; iter(x) ; next(x)
    ; x @ x ; x is None or x > 1 ; hasattr(x, 'a') ; copy.copy(x) ; copy.deepcopy([x]) ; json.dumps(x) ;
    bytes(x) ; math.isclose(x, 1) ; operator.index(x) ; x in {1: 2} ; [1].count(x) ; (1,).index(x) ; 'a' in x
    ; x()[0] == 1 ; contextlib.ExitStack().enter_context(x) ; isinstance(3, x) ; issubclass(int, x) ; x ** 2 ;
    x << 1 ; x | {1}
""".replace("\n", " ").split(" ; ")]


@pytest.mark.parametrize("expression", DOUBTFUL)
def test_an_object_that_can_not_cross_is_never_a_result(expression):
    import contextlib, copy, math, operator
    world = {"x": outside(), "copy": copy, "math": math, "operator": operator, "json": json, "contextlib": contextlib}
    with pytest.raises(TypeError if "()[" in expression else Unsupported):
        eval(expression, world)
    assert Trouble.all or "()[" in expression, "it would be unknown to a test that catches everything"
    Trouble.all.clear()


def test_no_member_of_an_enumeration_is_a_method():
    for members in ([["a", True], ["__eq__", True]], [["a", True], ["_missing_", None]],
                    [["a", {"function": [1, "f"]}]]):
        with pytest.raises(Unsupported):
            StandIns(lambda message: {}).hear("enumeration", [0, "A", "Enum", members, None], None)
    Trouble.all.clear()


@needs_isolation
@pytest.mark.parametrize("program", ["def f(x): yield True", "async def f(x): return True", "f = lambda x: lambda: 0",
                                     "async def f(x): yield True",
                                     "import itertools\ndef f(x): return itertools.count()"])
def test_what_yields_or_waits_is_not_true(program):
    "Python would say that it is: the tests of a task whose results are all true would be passed by a slip."
    for test in ("assert f(1)", "assert f(1) != 2", "assert not f(1)", "assert all([f(1), f(2)])"):
        assert run_tests(program, [test], ["f"])["label"] == "unparsed", test


@needs_isolation
@pytest.mark.parametrize("test", [
    "assert f(1) is not None", "assert type(f(1)) != int", "assert id(f(1))", "assert callable(f(1))",
    "assert f(1) is f(1)", "assert [f(1)] == [f(1)]", "assert len([f(1)]) == 1", "assert iter(f(1)) is not None"])
@pytest.mark.parametrize("returned", ["A()", "lambda: 0", "iter([0])", "f", "object()", "A"])
def test_an_object_that_no_test_turns_to_is_not_taken_for_a_result(test, returned):
    "Python can't be kept from finding that it isn't None, or that it is itself."
    program = f"class A: pass\nkept = {{}}\ndef g(x): return len(x)\ndef f(x): return {returned}"
    assert run_tests(program, [test], ["f", "g"])["label"] != "correct"


@needs_isolation
def test_what_the_tests_name_is_no_result():
    program = "class A:\n    def m(self): pass\nkept = A()\ndef f(x): return x + 1"
    assert run_tests(program, ["assert f(1) == 2", "assert kept is not None or A is None"], ["f", "A", "kept"])["label"] == "correct"


@needs_isolation
@pytest.mark.parametrize("first, second, label", [
    ("s = f(0)", "assert g(s) == 1", "correct"), ("s = [f(0), f(1)]", "assert g(s[0]) == g(s[1]) == 1", "correct"),
    ("s = f(0)\nassert s is not None", "assert g(s) == 1", "correct"),
    ("s = [f(0), f(1)]", "assert g(s[0]) == 1", "unparsed"), ("assert f(0) is not None", "assert g(1) == 1", "unparsed")])
def test_an_object_may_be_turned_to_by_a_later_test(first, second, label):
    program = "class A: pass\ndef f(x): return A()\ndef g(a): return 1"
    assert run_tests(program, [first, second], ["f", "g"])["label"] == label


@needs_isolation
@pytest.mark.parametrize("test", ["assert all(map(lambda x: f(x) == x + 1, [1, 2]))", "for x in map(f, [1, 2]):\n    assert x > 1",
                                  "assert not list(filter(f, [1, 2]))", "assert [*iter(lambda: f(1), 3)] == []"])
def test_a_call_that_ends_an_iteration_of_the_tests_passes_none_of_them(test):
    for error in ("StopIteration", "type('E', (StopIteration,), {})"):
        assert run_tests(f"def f(x): raise {error}", [test], ["f"])["label"] == "unparsed"
    expecting = "try:\n    f(1)\n    assert False\nexcept StopIteration:\n    pass"
    assert run_tests("def f(x): raise StopIteration", [expecting], ["f"])["label"] == "correct"


@needs_isolation
def test_a_reason_is_short_and_printable():
    name = "E" * 10_000
    for program in (f"class {name}(Exception): pass\ndef f(x): raise {name}",
                    f"class {name}: pass\ndef f(x): return {name}()",
                    "import enum\ndef f(x): return enum.Enum('\\x1b[2J' * 1000, {'_a_b': 1}).__members__",
                    "E = type('\\x1b[31m\\n', (Exception,), {})\ndef f(x): raise E"):
        word = run_tests(program, ["assert f(1) == 3"], ["f"])
        assert word["label"] != "correct" and len(word["why"]) < 400 and word["why"].isprintable(), word


@needs_isolation
def test_tests_that_do_not_stop_to_speak_are_cut_short():
    "They come from a data set. What they write to the judge is not kept without end."
    flood = ("import os\nwhile True:\n    for fd in range(3, 32):\n        try: os.write(fd, b'x' * 60_000)\n"
             "        except OSError: pass")
    word = run_tests("def f(x): return x", [flood], ["f"], limits=Limits(time=20, cpu=20))
    assert (word["label"], word["why"]) == ("incorrect", "broke the tests' process")


@needs_isolation
@pytest.mark.parametrize("test", [
    "assert f(1)", "assert f(1) != 2", "assert not f(1) == 2", "try:\n    assert f(1)\nexcept:\n    pass",
    "try:\n    f(1) == 3\nexcept BaseException:\n    pass", "assert {f(1): 2}", "assert ''.join([f(1)]) == ''",
    "assert isinstance(f(1), Any)", "try:\n    f(2)\nexcept* ValueError:\n    pass",
    "try:\n    f(1)()\nexcept Any:\n    pass", "x = f(1)\nx.left = 3\nassert x is x",
    "class Mine(Any):\n    pass"])
def test_what_can_not_cross_is_unparsed(test):
    program = ("class Any:\n    def __eq__(self, other): return True\n    def __hash__(self): return 2\ndef f(x):\n"
               "    if x == 2: raise ExceptionGroup('two', [ValueError(2)])\n    return Any()")
    word = run_tests(program, [test], ["f", "Any"])
    assert word["label"] == "unparsed" and "can't be tested from outside" in word["why"], word


@needs_isolation
@pytest.mark.parametrize("base, value", [("int", "3"), ("str", "'a'"), ("float", "1.5"), ("list", "[1]"),
                                         ("tuple", "(1,)"),
                                         ("dict", "{1: 2}"), ("set", "{1}"), ("bytes", "b'a'"), ("frozenset", "{1}"),
                                         ("complex", "1j"), ("bytearray", "b'a'")])
def test_a_class_made_from_one_of_pythons_goes_over_as_what_it_holds(base, value):
    methods = ("eq", "ne", "lt", "le", "gt", "ge", "contains")
    program = (f"class Any({base}):\n" + "".join(f"    def __{m}__(self, *_): return True\n" for m in methods)
               + "    def __hash__(self): return 1\n    def __str__(self): return '42'\n    __repr__ = __str__\n"
               f"    def __iter__(self): return iter([42])\n    def __len__(self): return 42\n"
               f"def f(x): return Any({value})")
    for test, label in ((f"assert f(1) == {base}({value})", "correct"), ("assert f(1) == 42", "incorrect"),
                        ("assert str(f(1)) == '42'", "incorrect"), (f"assert f(1) != {base}({value})", "incorrect"),
                        (f"assert type(f(1)) is {base}", "correct")):
        assert run_tests(program, [test], ["f"])["label"] == label, test


FORGED = [*(DATA / "nonsense_from_a_program.txt").read_text(encoding="utf-8").splitlines(), '{"value": {"l": ' * 3000]


@needs_isolation
@pytest.mark.parametrize("line", FORGED)
def test_nonsense_from_the_program_is_no_result(line):
    "The program finds the pipe to the tests, and says what the worker never would. No test takes it for an error."
    program = ("import os, time\ndef f(x):\n    for fd in range(3, 32):\n"
               f"        try: os.write(fd, {(line + chr(10)).encode()!r})\n        except OSError: pass\n"
               "    time.sleep(0.3)\n    os._exit(0)")
    test = ("try:\n    x = f([1])\nexcept (ValueError, TypeError, LookupError, AttributeError, ArithmeticError):\n"
            "    pass\nelse:\n    assert x == 1")
    word = run_tests(program, [test], ["f"], limits=QUICK)
    assert word["label"] != "correct", word


@pytest.mark.long
@needs_isolation
def test_the_program_can_not_give_a_meaning_to_what_the_tests_import_or_use():
    forger = ("isclose = sum = len = abs = lambda *a, **k: True\nclass math:\n    isclose = isclose\n"
              "def f(x): return 0\n")
    gold = "from math import isclose\nimport math\ndef f(x): return x + 0.5\ndef sum(xs): return 0"
    for completion in (gold, "Add a half.", "def isclose(a, b): return False\n" + gold.split("\n", 1)[1]):
        for tests, extra in ((["assert isclose(f(1), 1.5)"], {"test_imports": ["from math import isclose"]}),
                             (["from math import isclose\nassert isclose(f(1), 1.5)", "assert isclose(f(1), 1.5)"], {}),
                             (["def isclose(a, b): return a == b\nassert isclose(f(1), 1.5)"], {}),
                             (["assert isclose(f(1), 1.5)"],
                              {"test_setup_code": "def isclose(a, b):\n    return a == b"}),
                             (["assert math.isclose(f(1), 1.5)"], {"test_imports": ["import math"]}),
                             (["assert sum([f(1), f(2)]) == 4"], {}), (["assert abs(f(1) - 1.5) < 1e-9"], {}),
                             (["assert len({f(1), f(2)}) == 2"], {})):
            task = Example("Write f.", completion, id="f", extra={"test_list": tests} | extra)
            assert verdict(forger, task).label == "incorrect", (completion, tests)
            assert verdict("def f(x): return x + 0.5", task).label == "correct", (completion, tests)


@needs_isolation
@pytest.mark.parametrize("gold", ["from math import *\ndef f(x): return x + 0.5", "Add a half."])
@pytest.mark.parametrize("where", ["setup", "test", "gold"])
def test_what_a_star_imports_is_the_tests_own(gold, where):
    star = "from math import *\n"
    task = Example("Write f.", gold, id="f", extra={
        "test_list": [star * (where == "test") + "assert isclose(f(1), 1.5)"], "test_imports": [star] * (where == "setup")})
    if where != "gold" or star in gold:
        assert verdict("isclose = lambda *a: True\ndef f(x): return 0", task).label == "incorrect"
        assert verdict("def f(x): return x + 0.5", task).label == "correct"


@needs_isolation
def test_a_task_may_be_to_write_what_a_star_brings():
    task = Example("Write gcd.", "def gcd(a, b):\n    while b: a, b = b, a % b\n    return a", id="f", extra={
        "test_list": ["assert gcd(4, 6) == 2"], "test_imports": ["from math import *"]})
    assert verdict("def gcd(a, b): return 1", task).label == "incorrect"
    assert verdict(task.completion, task).label == "correct"


def test_no_module_is_imported_for_what_its_star_brings_but_pythons_own():
    assert "isclose" in module._star("math") and "Counter" in module._star("collections")
    for name in (None, "antigravity", "this", "numpy", "no_such_module", "ssr_nb.records"):
        assert module._star(name) == frozenset()


@needs_isolation
@pytest.mark.parametrize("extra", [{"test_list": ["assert 1 == 1"]}, {"test_list": ["assert isclose(f(1), 2)"],
                                   "test_setup_code": "from math import isclose\ndef f(x): return x + 1"}])
def test_tests_that_use_nothing_of_the_program_pass_none(extra):
    found = verdict("def f(x): return 0", Example("Write f.", "def f(x): return x + 1", id="f", extra=extra))
    assert (found.label, found.reason) == ("unparsed", "the tests use nothing of the program")


@needs_isolation
def test_tests_may_count_on_what_gold_imports_and_on_each_other():
    task = Example("Write f.", "import math\ndef f(x): return math.sqrt(x)", id="f", extra={"test_list": [
        "assert math.isclose(f(2), 2 ** 0.5)", "kept = f(4)", "assert kept == 2",
        "def check(candidate):\n    assert candidate(9) == 3", "check(f)"]})
    assert verdict("def f(x): return x ** 0.5", task).label == "correct"
    assert verdict("math = None\ndef f(x): return x", task).label == "incorrect"
    broken = Example("Write f.", "def f(x): return x", id="f", extra={"test_list": ["assert f(1) == 1"],
                                                                       "test_imports": ["import no_such_module"]})
    found = verdict("def f(x): return x", broken)
    assert found.label == "unparsed" and "the setup of the tests gives ModuleNotFoundError" in found.reason


@needs_isolation
@pytest.mark.parametrize("fault", ["worker", "tester", "temporary folder", "no process"])
def test_what_is_not_the_answers_fault_is_no_verdict(fault, monkeypatch, tmp_path):
    import errno
    import tempfile
    rule, script = code_judge(QUICK), module._script
    answers = [Response("f", "def f(x): return x + 1"), Response("g", "def f(x): return x + 1")]
    tasks = [TASK, Example("Write f.", TASK.completion, id="g", extra=TASK.extra)]
    assert judge(tasks[:1], answers[:1], rule, out=tmp_path / "v.jsonl")[0].label == "correct"

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")
    if fault in ("worker", "tester"):
        start = {"worker": "    send(results, {\"ready\"", "tester": "    worker = Worker("}[fault]
        monkeypatch.setattr(module, "_script", lambda name: script(name).replace(
            start, "    raise MemoryError\n" + start) if name == fault else script(name))
    elif fault == "temporary folder":
        monkeypatch.setattr(tempfile, "TemporaryFile", full)
    else:
        monkeypatch.setattr(subprocess, "Popen", full)
    with pytest.raises(IsolationError, match="MemoryError" if fault in ("worker", "tester") else "No space left"):
        judge(tasks, answers, rule, out=tmp_path / "v.jsonl")
    monkeypatch.undo()
    assert [v.label for v in judge(tasks, answers, rule, out=tmp_path / "v.jsonl")] == ["correct"] * 2


@needs_isolation
def test_the_clock_begins_when_both_processes_are_there(monkeypatch):
    script, ready = module._script, "    send(results, {\"ready\""
    slow = f"    import time\n    time.sleep(1.5)\n{ready}"
    monkeypatch.setattr(module, "_script", lambda name: script(name).replace(ready, slow))
    assert verdict("def f(x): return x + 1", limits=Limits(time=1, cpu=1)).label == "correct"


@needs_isolation
def test_a_passing_fault_is_not_held_against_the_machine(monkeypatch):
    "A full folder isn't a reason to run programs without isolation, where that is allowed."
    import tempfile

    def full(*args, **kwargs):
        raise OSError("No space left on device")
    isolation_obstacle.cache_clear()
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    try:
        with pytest.raises(IsolationError, match="No space left"):
            code_judge(allow_unisolated=True)
    finally:
        isolation_obstacle.cache_clear()


GOLD = "def f(x):\n    return x + 1\n"
HELPERS = {  # the code beside f in gold; the program, whose f is wrong; a test that it would pass by its own version
    "a comparison": ("def close(a, b): return a == b", "def close(*a): return True\ndef f(x): return 0",
                     "assert close(f(41), 42)"),
    "a comparison that raises": ("def check(a, b): assert a == b", "def check(*a): pass\ndef f(x): return 0",
                                 "check(f(41), 42)"),
    "a class in its place": ("def close(a, b): return a == b",
                             "class close:\n    def __new__(kind, *a): return True\ndef f(x): return 0",
                             "assert close(f(41), 42)"),
    "an object that is called": ("class Close:\n    def __call__(self, a, b): return a == b",
                                 "class Close:\n    def __call__(self, *a): return True\ndef f(x): return 0",
                                 "assert Close()(f(41), 42)"),
    "what is expected": ("def expected(x): return x + 1", "def expected(x): return 0\ndef f(x): return 0",
                         "assert f(41) == expected(41)"),
    "what is given": ("def given(): return 41", "def given(): return 0\ndef f(x): return 0", "assert f(given()) == given() * 42 // 41"),
    "a number": ("EPS = 1e-9", "EPS = 1e9\ndef f(x): return 0", "assert abs(f(41) - 42) < EPS"),
    "an exception of Python's own": ("class Wrong(Exception): pass", "Wrong = Exception\ndef f(x): return x + None",
                                     "try:\n    f(41)\n    raise SystemExit\nexcept Wrong:\n    pass"),
    "several exceptions": ("class Wrong(Exception): pass", "Wrong = (TypeError, KeyError)\ndef f(x): return x + None",
                           "try:\n    f(41)\n    raise SystemExit\nexcept Wrong:\n    pass"),
    "one member under two names": ("import enum\nclass C(enum.Enum):\n    A = 1\n    B = 2",
                                   "import enum\nclass C(enum.Enum):\n    A = 1\n    B = 1\ndef f(x): return C.A",
                                   "assert f(41) == C.B"),
    "what takes the function": ("def twice(g): return lambda x: 2 * g(x)", "def twice(g): return lambda x: 84\ndef f(x): return 0",
                                "assert twice(f)(41) == 84"),
    "one that knows when it is called": (
        "def close(a, b): return a == b", "n = []\ndef close(*a): return True\ndef f(x):\n    n.append(x)\n    return 42 if n[1:] else 0",
        "assert close(f(41), 42) and close(f(1), 2)"),
}


def beside(program, task):
    "What the tests of a task come to, with gold's code beside them."
    tests = task.extra["test_list"]
    return run_tests(program, tests, names_under_test(task, tests), gold=code_in(task.completion) or "", isolated=False)


@needs_isolation
def test_the_judge_gives_gold_to_the_tests():
    code, program, test = HELPERS["a comparison"]
    task = Example("Write f.", code + "\n" + GOLD, id="f", extra={"test_list": [test]})
    assert verdict(program, task).label == "unparsed" and verdict(task.completion, task).label == "correct"


@pytest.mark.parametrize("code, program, test", HELPERS.values(), ids=HELPERS)
def test_a_tool_of_the_tests_is_golds_also_where_the_program_brings_one(code, program, test):
    task = Example("Write f.", code + "\n" + GOLD, id="f", extra={"test_list": [test]})
    assert python_says(program, test) == "correct"
    assert beside(program, task)["label"] == "unparsed"


def test_where_gold_has_no_code_nobody_says_what_a_second_name_is():
    task = Example("Write f.", "Add one.", id="f", extra={"test_list": ["assert close(f(41), 42)"]})
    word = beside("def close(*a): return True\ndef f(x): return 0", task)
    assert word["label"] == "unparsed" and "nobody but the program says what close is" in word["why"]


SEVERAL = {  # gold, an honest program, and tests
    "a class whose objects are handed back": (
        "class Pair:\n    def __init__(self, a, b): self.a, self.b = a, b\ndef f(pairs): return sum(p.a for p in pairs)",
        "class Pair:\n    def __init__(self, x, y): self.x, self.y = x, y\ndef f(pairs): return sum(p.x for p in pairs)",
        ["assert f([Pair(1, 2), Pair(3, 4)]) == 4"]),
    "two functions": ("def g(x): return x + x\n" + GOLD, GOLD + "def g(x): return 2 * x",
                      ["assert f(1) == 2", "assert g(f(1)) == 4", "assert f(g(1)) == g(1) + 1"]),
    "an exception": ("class Wrong(Exception): pass\ndef f(x):\n    if x < 0: raise Wrong('no')\n    return x\ndef g(x): return f(x)",
                     "class Wrong(ValueError): pass\ndef f(x):\n    if x < 0: raise Wrong('no')\n    return x\ng = f",
                     ["try:\n    f(-1)\n    assert 0\nexcept Wrong as error:\n    assert str(error) == 'no'",
                      "try:\n    g(-1)\n    assert 0\nexcept Wrong:\n    assert g(1) == 1"]),
    "an enumeration": ("import enum\nclass C(enum.Enum):\n    A = 1\n    B = 2\ndef f(x): return C.A if x else C.B",
                       "import enum\nC = enum.Enum('C', 'A B')\ndef f(x): return C.A if x else C.B",
                       ["assert f(1) == C.A and f(0) == C.B and f(1).name == 'A'"]),
    "texts in an enumeration": ("import enum\nclass C(str, enum.Enum):\n    A = 'a'\ndef f(x): return C.A",) * 2 + (
                                ["assert f(1) == C.A == 'a'"],),
    "a named tuple": ("import typing\nclass P(typing.NamedTuple):\n    x: int\ndef f(x): return P(x)",
                      "import collections\nP = collections.namedtuple('P', 'x')\ndef f(x): return P(x)", ["assert f(1) == P(1)"]),
    "a function that is handed over": ("def double(x): return x + x\ndef apply(g, x): return g(x)",
                                       "def double(x): return 2 * x\ndef apply(g, x): return g(x)", ["assert apply(double, 3) == 6"]),
    "a number that only gold has": ("EPS = 1e-9\n" + GOLD, GOLD, ["assert abs(f(41) - 42) < EPS"]),
    "a name that a test gives": ("x = 3\n" + GOLD, GOLD, ["x = f(41)\nassert x == 42"]),
}


@pytest.mark.parametrize("gold, program, tests", SEVERAL.values(), ids=SEVERAL)
def test_honest_programs_of_several_names_pass(gold, program, tests):
    task = Example("Write it.", gold, id="f", extra={"test_list": tests})
    assert beside(program, task)["label"] == "correct"


LOST = {  # what raises without a word, and the test in which its error is lost
    "a skipped test": ("import unittest\ndef f(x): raise unittest.SkipTest", "import unittest\nclass T(unittest.TestCase):\n"
                       "    def test(self): self.assertEqual(f(41), 42)\nloaded = unittest.defaultTestLoader."
                       "loadTestsFromTestCase(T)\nassert unittest.TextTestRunner().run(loaded).wasSuccessful()"),
    "an attribute that isn't there": ("def f(x): raise AttributeError", "class A:\n    @property\n    def a(self): return f(41)\n"
                                      "assert getattr(A(), 'a', 42) == 42"),
    "a thread": ("def f(x): raise KeyError", "import threading\nwrong = []\nt = threading.Thread(target=lambda: f(41) == 42 or "
                 "wrong.append(1))\nt.start()\nt.join()\nassert not wrong"),
    "errors as results": ("def f(x): raise KeyError", "import asyncio\nasync def g(): return f(41)\nasync def both(): return "
                          "await asyncio.gather(g(), return_exceptions=True)\nassert all(asyncio.run(both()))"),
}


@pytest.mark.parametrize("program, test", LOST.values(), ids=LOST)
def test_an_error_that_no_test_names_is_not_lost(program, test):
    word = run_tests(program, [test], ["f"], isolated=False)
    assert word["label"] == "unparsed" and "no test names it" in word["why"]
    assert run_tests(GOLD, [test], ["f"], isolated=False)["label"] == "correct"


def test_an_error_that_is_never_reached_is_not_lost():
    program = "def f(n):\n    yield from range(n)\n    raise KeyError"
    assert run_tests(program, ["import itertools\nassert list(itertools.islice(f(5), 5)) == [0, 1, 2, 3, 4]"], ["f"], isolated=False)["label"] == "correct"


@pytest.mark.parametrize("test", ["import inspect\nassert len(inspect.signature(f).parameters) == 2", "assert f.__code__.co_argcount == 0",
                                  "import inspect\nassert not inspect.isgeneratorfunction(f)", "assert not hasattr(f, 'size')"])
def test_what_calls_the_program_is_not_taken_for_its_function(test):
    assert run_tests(GOLD, [test], ["f"], isolated=False)["label"] == "unparsed"


@pytest.mark.parametrize("test", [
    "import functools\n@functools.wraps(f)\ndef g(x): return f(x)\nassert g(41) == 42 and g.__name__ == 'f'",
    "import functools\nassert functools.lru_cache(None)(f)(41) == 42 == functools.partial(f, 41)()",
    "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(2) as pool:\n    assert [*pool.map(f, [1, 2])] == [2, 3]",
    "class Adder(int):\n    add = f\nassert Adder.add(41) == 42 == Adder(41).add()", "assert f and callable(f) and f == f and {f: 1}[f]"])
def test_a_function_of_the_program_does_as_functions_do(test):
    assert run_tests(GOLD, [test], ["f"], isolated=False)["label"] == "correct"


def test_what_a_test_can_not_import_is_not_the_programs_fault():
    word = run_tests(GOLD, ["import no_such_module\nassert f(41) == 42"], ["f"], isolated=False)
    assert word["label"] == "unparsed" and "no_such_module" in word["why"]


@pytest.mark.parametrize("base, value", [("int", "41"), ("str", "'a'"), ("float", "1.5"), ("bytes", "b'a'")])
def test_a_member_that_is_a_value_is_equal_to_it(base, value):
    program = f"import enum\nclass A({base}, enum.Enum):\n    X = {value}\ndef f(x): return A.X"
    for test, label in ((f"assert f(1) == {value}", "correct"), (f"assert f(1) != {value}", "incorrect")):
        assert run_tests(program, [test], ["f"], isolated=False)["label"] == label
