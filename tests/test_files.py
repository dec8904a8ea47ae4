"""Locks, whole writes, files put in place in one step, and what may not be written over."""

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ssr_nb import files
from ssr_nb.files import Held, append_whole, check_place, locked, replacing, replacing_folder
from ssr_nb.records import Appender, Example, RecordError, Response, iterate_records, write_json, write_records


def started(code: str, *arguments) -> subprocess.Popen:
    "A process of Python that has printed its first line."
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process


HOLDING = """
import sys, time
from ssr_nb.files import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


# --- locks


def test_who_holds_a_file_is_told(tmp_path):
    holder = started(HOLDING, tmp_path / "out.jsonl", 60)
    try:
        for held in (lambda: locked(tmp_path / "out.jsonl", wait=0.1).__enter__(),
                     lambda: locked(tmp_path / "x" / ".." / "out.jsonl", wait=0.1).__enter__()):
            with pytest.raises(Held) as error:
                held()
            said = str(error.value)
            assert f"process {holder.pid} on {os.uname().nodename} since 20" in said and "(-c " in said, said
    finally:
        holder.kill()
        holder.wait()


def test_one_that_ends_soon_is_waited_for(tmp_path):
    holder = started(HOLDING, tmp_path / "out.jsonl", 1)
    with locked(tmp_path / "out.jsonl"):
        assert holder.wait(timeout=10) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_dead_process_holds_nothing(tmp_path, number):
    holder = started(HOLDING, tmp_path / "out.jsonl", 60)
    holder.send_signal(number)
    holder.wait()
    with locked(tmp_path / "out.jsonl", wait=0.1):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_is_entered_again_by_its_thread_alone(tmp_path):
    entered = []

    def other():
        with pytest.raises(Held), locked(tmp_path / "out", wait=0.1):
            pass
        entered.append(True)

    with locked(tmp_path / "out"), locked(tmp_path / "out"):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert entered == [True] and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_has_no_lock_of_its_parent(tmp_path):
    with locked(tmp_path / "out"):
        child = os.fork()
        if child == 0:
            try:
                locked(tmp_path / "out", wait=0.1).__enter__()
                os._exit(1)
            except Held:
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_an_error_gives_the_lock_back(tmp_path):
    (tmp_path / "r.jsonl").write_text('{"id": "q1", "response": 7}\n')
    with pytest.raises(RecordError), Appender(tmp_path / "r.jsonl", Response):
        pass
    with locked(tmp_path / "r.jsonl", wait=0):
        pass
    assert [p.name for p in tmp_path.iterdir()] == ["r.jsonl"]


COUNTING = """
import sys
from ssr_nb.files import locked
print("ready", flush=True)
for _ in range(200):
    with locked(sys.argv[1], wait=60):
        with open(sys.argv[1] + ".count", "a+") as file:
            file.seek(0)
            n = int(file.read() or 0)
            file.seek(0); file.truncate(); file.write(str(n + 1))
"""


def test_many_processes_take_turns(tmp_path):
    "The lock file goes with each turn; whoever waited for one that has gone takes the new one."
    counters = [started(COUNTING, tmp_path / "out") for _ in range(3)]
    assert [process.wait(timeout=120) for process in counters] == [0, 0, 0]
    assert (tmp_path / "out.count").read_text() == "600"
    assert [p.name for p in tmp_path.iterdir()] == ["out.count"]


APPENDING = """
import sys
from ssr_nb.records import Appender, Response
print("ready", flush=True)
with Appender(sys.argv[1], Response) as out:
    done = {r.id for r in out.finished}
    for i in range(2000):
        if f"q{i}" not in done:
            out.write(Response(f"q{i}", "an answer"))
"""


def test_two_processes_that_append_to_one_file_leave_every_record_once(tmp_path):
    both = [started(APPENDING, tmp_path / "r.jsonl") for _ in range(2)]
    assert [process.wait(timeout=120) for process in both] == [0, 0]
    assert [r.id for r in iterate_records(tmp_path / "r.jsonl", Response)] == [f"q{i}" for i in range(2000)]


def test_a_file_system_without_locks_is_said_and_written(tmp_path, monkeypatch, capsys):
    def none(*args, **kwargs):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("ssr_nb.files.lock_descriptor", none)
    write_json(tmp_path / "a.json", {"a": 1})
    assert "has no locks" in capsys.readouterr().err and (tmp_path / "a.json").exists()


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO])
def test_a_lock_holds_where_there_is_no_room_for_its_note(tmp_path, monkeypatch, capsys, error):
    "A full disk isn't a file system without locks: a second process must be kept away there, too."
    def full(*args):
        raise OSError(error, os.strerror(error))
    monkeypatch.setattr(os, "write", full)
    with locked(tmp_path / "a.json"):
        assert files._take(tmp_path / ".a.json.lock") is None
    monkeypatch.undo()
    assert "no locks" not in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.ENAMETOOLONG, errno.EACCES])
def test_where_no_lock_file_can_be_made_nothing_is_written(tmp_path, monkeypatch, capsys, error):
    real = os.open

    def refused(path, *args, **settings):
        if str(path).endswith(".lock"):
            raise OSError(error, os.strerror(error), str(path))
        return real(path, *args, **settings)
    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(OSError) as told:
        write_json(tmp_path / "a.json", {"a": 1})
    assert told.value.errno == error and "no locks" not in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.parametrize("there", ["a file", "a link that leads nowhere"])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path, there):
    (tmp_path / "out").write_text("mine") if there == "a file" else (tmp_path / "out").symlink_to("nowhere")
    for path in (tmp_path / "out" / "a.json", tmp_path / "out" / "deep" / "er" / "a.json"):
        with pytest.raises(NotADirectoryError, match="out: found a file, or a link that leads nowhere; expected a folder, for a.json"):
            write_json(path, {"a": 1})


def test_a_folder_of_other_files_is_not_replaced(tmp_path):
    "Whoever names a wrong folder as the place of an adapter loses nothing."
    thesis = tmp_path / "thesis"
    thesis.mkdir()
    with replacing_folder(thesis, holds="adapter_config.json") as beside:  # an empty one may be
        (beside / "adapter_config.json").write_text("{}")
    with replacing_folder(thesis, holds="adapter_config.json") as beside:  # and an adapter's
        (beside / "chapter1.tex").write_text("...")
    for work in (lambda: files.check_folder(thesis, "training.json"),
                 lambda: replacing_folder(thesis, holds="adapter_config.json").__enter__()):
        with pytest.raises(FileExistsError, match=r"thesis: found a folder with other files \(chapter1.tex\) and no "):
            work()
    assert [p.name for p in tmp_path.rglob("*")] == ["thesis", "chapter1.tex"]


@pytest.mark.parametrize("there", ["a link", "a file", "other files"])
def test_what_stands_in_the_place_of_an_adapter_is_seen_before_training(tmp_path, there, monkeypatch):
    from ssr_nb.models import load_model
    from ssr_nb.records import Target
    from ssr_nb import train as module
    out = tmp_path / "adapter"
    (tmp_path / "elsewhere").mkdir()
    if there == "other files":
        out.mkdir()
        (out / "chapter1.tex").write_text("...")
    else:
        out.symlink_to("elsewhere") if there == "a link" else out.write_text("mine")
    monkeypatch.setattr(module, "_trained", lambda *a, **k: pytest.fail("it was trained"))
    with pytest.raises(FileExistsError):
        module.train([Target("a", "the lamp", "is red", "gold")], load_model("microworld", backend="transformers", device="cpu"), out)
    assert sorted(p.name for p in tmp_path.rglob("*")) == sorted(["elsewhere", "adapter", *["chapter1.tex"] * (there == "other files")])


@pytest.mark.parametrize("writer", [replacing, replacing_folder])
def test_a_full_disk_is_told_with_the_name_of_the_output(tmp_path, writer):
    "Libraries raise the system's error without the file's name."
    with pytest.raises(OSError) as told, writer(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert told.value.errno == errno.ENOSPC and str(told.value.filename) == str(tmp_path / "out") and not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError) as told, writer(tmp_path / "out"):
        open(tmp_path / "no such file")
    assert told.value.filename == str(tmp_path / "no such file")


# --- whole writes


LIMITED = """
import resource, sys
from ssr_nb.records import Appender, Response, Example, write_records
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
if sys.argv[2] == "append":
    with Appender(sys.argv[1], Response) as out:
        for i in range(100):
            out.write(Response(f"q{i}", "an answer of some length"))
else:
    write_records(sys.argv[1], [Example("why ?", "because", id=str(i)) for i in range(100)])
"""


@pytest.mark.parametrize("how, left", [("append", 10), ("replace", 0)])
def test_a_file_that_may_not_grow_is_an_error_and_ends_in_a_whole_line(tmp_path, how, left):
    path = tmp_path / "r.jsonl"
    done = subprocess.run([sys.executable, "-c", LIMITED, str(path), how], capture_output=True, text=True)
    assert done.returncode == 1 and "File too large" in done.stderr and "r.jsonl" in done.stderr
    lines = path.read_bytes() if path.exists() else b""
    assert lines.endswith(b"\n" * bool(left)) and lines.count(b"\n") == left
    assert [p.name for p in tmp_path.iterdir()] == ["r.jsonl"] * bool(left)


@pytest.mark.parametrize("sizes", [[1], [3, 1, 2], [7, 0], [5, OSError(28, "No space left on device")],
                                   [4, KeyboardInterrupt()]])
def test_a_short_write_is_continued_or_taken_back(tmp_path, monkeypatch, sizes):
    path, really, content = tmp_path / "lines", os.write, b"a line of some length\n"
    path.write_bytes(b"before\n")
    pending = list(sizes)

    def short(descriptor, rest):
        size = pending.pop(0) if len(pending) > 1 else pending[0]
        if isinstance(size, BaseException):
            raise size
        return really(descriptor, rest[:size])

    descriptor = os.open(path, os.O_RDWR)
    monkeypatch.setattr(os, "write", short)
    fails = sizes[-1] == 0 or isinstance(sizes[-1], BaseException)
    try:
        append_whole(descriptor, content, path)
        assert not fails
    except (OSError, KeyboardInterrupt) as error:
        assert fails and (isinstance(error, KeyboardInterrupt) or str(path) in str(error))
    finally:
        monkeypatch.undo()
        os.close(descriptor)
    assert path.read_bytes() == b"before\n" + content * (not fails)


def test_a_record_that_did_not_go_in_can_be_written_again(tmp_path, monkeypatch):
    with Appender(tmp_path / "r.jsonl", Response) as out:
        with monkeypatch.context() as full:
            full.setattr("ssr_nb.records.append_whole", lambda *a: (_ for _ in ()).throw(OSError(28, "full")))
            with pytest.raises(OSError):
                out.write(Response("q1", "a"))
        out.write(Response("q1", "a"))
    assert [r.id for r in iterate_records(tmp_path / "r.jsonl", Response)] == ["q1"]


# --- what may not be written over


WRITERS = {
    "replacing": lambda path: write_json(path, {"new": 1}),
    "records": lambda path: write_records(path, [Example("a", "b")]),
    "appending": lambda path: Appender(path, Response).__enter__(),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", ["link", "dangling link", "link to a folder", "folder", "pipe", "device"])
def test_nothing_but_a_plain_file_is_written_over(tmp_path, writer, kind):
    path, other = tmp_path / "out", tmp_path / "other"
    if kind == "link":
        other.write_text("somebody else's")
    if kind == "link to a folder":
        other.mkdir()
    if "link" in kind:
        path.symlink_to(other)
    elif kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    path = Path(os.devnull) if kind == "device" else path
    with pytest.raises(FileExistsError, match="expected a file that can be replaced, or nothing"):
        WRITERS[writer](path)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    assert not other.is_file() or other.read_text() == "somebody else's"
    assert other.exists() == (kind in ("link", "link to a folder")) and not list(tmp_path.glob(".*"))


def test_a_folder_behind_a_link_is_not_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept").touch()
    (tmp_path / "adapter").symlink_to("mine")
    with pytest.raises(FileExistsError, match="a symbolic link to mine"), replacing_folder(tmp_path / "adapter"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["adapter", "mine"] and (tmp_path / "mine" / "kept").exists()


def test_folders_on_the_way_may_be_links(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to("disk")
    write_json(tmp_path / "runs" / "a.json", {})
    with locked(tmp_path / "disk" / "b"), pytest.raises(Held):
        threading_free(lambda: locked(tmp_path / "runs" / "b", wait=0.1).__enter__())
    assert (tmp_path / "disk" / "a.json").exists()


def threading_free(do):
    "Do it in another thread, which has none of this one's locks; raises what that raises."
    raised = []

    def run():
        try:
            do()
        except Exception as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if raised:
        raise raised[0]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o400])
def test_rights_stay_as_they_were(tmp_path, mode):
    for path in (tmp_path / "a.json", tmp_path / "folder" / "a.json"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
        path.chmod(mode)
    (tmp_path / "folder").chmod(0o700)
    with replacing(tmp_path / "a.json") as beside:
        assert stat.S_IMODE(beside.stat().st_mode) == mode, "before anything stands in it"
        beside.write_text("{}")
    with replacing_folder(tmp_path / "folder") as beside:
        assert stat.S_IMODE(beside.stat().st_mode) == 0o700
        write_json(beside / "a.json", {})
    assert [oct(stat.S_IMODE(os.stat(p).st_mode)) for p in (tmp_path / "a.json", tmp_path / "folder", tmp_path / "folder/a.json")
            ] == [oct(mode), oct(0o700), oct(mode)]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_rights_that_the_mask_leaves(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_json(tmp_path / "a.json", {})
        with replacing_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    assert [stat.S_IMODE(os.stat(tmp_path / n).st_mode) for n in ("a.json", "folder")] == [0o666 & ~mask, 0o777 & ~mask]


KILLED = """
import os, sys
from ssr_nb.files import replacing, replacing_folder
with (replacing_folder if sys.argv[2] == "folder" else replacing)(sys.argv[1]) as beside:
    os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_kill_leaves_is_cleared_by_the_next(tmp_path, kind):
    path = tmp_path / "out [v2].json"
    (tmp_path / ".out [v2].json.notes.tmp").touch()
    assert subprocess.run([sys.executable, "-c", KILLED, str(path), kind]).returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 3, "the lock file, and the one beside it"
    with (replacing_folder if kind == "folder" else replacing)(path):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == [".out [v2].json.notes.tmp", path.name]


def test_a_file_that_another_process_is_making_is_not_taken_for_a_leftover(tmp_path):
    holder = started("import sys, time\nfrom ssr_nb.files import replacing\nwith replacing(sys.argv[1]) as b:\n"
                     "    b.write_text('theirs'); print('', flush=True); time.sleep(1)", tmp_path / "out")
    write_json(tmp_path / "out", {"mine": 1})
    assert holder.wait(timeout=10) == 0 and "mine" in (tmp_path / "out").read_text()


def test_what_stands_at_a_place(tmp_path):
    assert check_place(tmp_path / "nothing") is None and check_place(tmp_path, folder=True)
    before = time.time()
    (tmp_path / "a").touch()
    assert check_place(tmp_path / "a").st_mtime >= before - 5


def test_the_command_line_says_who_holds_an_output(tmp_path, monkeypatch, capsys):
    from ssr_nb.cli import main

    write_records(tmp_path / "train.jsonl", [Example("where ?", "in the attic", id="q1")])
    write_records(tmp_path / "r.jsonl", [Response("q1", "in the attic")])
    monkeypatch.setattr("ssr_nb.files.locked.__wrapped__.__defaults__", (0.1,))
    holder = started(HOLDING, tmp_path / "out.jsonl", 60)
    try:
        for command in (["judge", "--responses", "r.jsonl", "--judge", "exact"], ["rehearse", "--method", "sft"]):
            with pytest.raises(SystemExit) as ended:
                main([*[str(tmp_path / word) if word.endswith(".jsonl") else word for word in command],
                      "--examples", str(tmp_path / "train.jsonl"), "--out", str(tmp_path / "out.jsonl")])
            assert ended.value.code == 1
            assert f"out.jsonl: found it held by process {holder.pid} on" in capsys.readouterr().err
    finally:
        holder.kill()
        holder.wait()
    assert not (tmp_path / "out.jsonl").exists()


def test_where_a_run_may_begin(tmp_path):
    (tmp_path / "compare.yaml").touch()
    files.check_run_folder(tmp_path)
    files.check_run_folder(tmp_path / "new")
    for name in ("examples.jsonl", "responses.jsonl", "verdicts.jsonl"):
        (tmp_path / name).touch()  # a comparison goes on from answers that are there
    files.check_run_folder(tmp_path)
    for name in ("scores.jsonl", "pyproject.toml"):
        (tmp_path / name).touch()
        with pytest.raises(FileExistsError, match=f"found {name}"):
            files.check_run_folder(tmp_path)
        (tmp_path / "config.json").touch()
        files.check_run_folder(tmp_path)  # one that is to go on
        (tmp_path / "config.json").unlink()
        (tmp_path / name).unlink()
    for name in ("adapter_config.json", "model.safetensors"):
        (tmp_path / "config.json").touch()  # models have one, too
        (tmp_path / name).touch()
        with pytest.raises(FileExistsError, match="no comparison's"):
            files.check_run_folder(tmp_path)
        (tmp_path / name).unlink()


def test_whether_anything_can_be_written(tmp_path, monkeypatch):
    files.check_writable(tmp_path / "some" / "where" / "x")
    assert not list(tmp_path.iterdir())

    def full(*_, **__):
        raise OSError(28, "No space left on device")
    monkeypatch.setattr(files.tempfile, "TemporaryFile", full)
    with pytest.raises(OSError, match="No space left on device; expected a folder that can be written to"):
        files.check_writable(tmp_path / "x")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="file: found a file"):
        files.check_writable(tmp_path / "file" / "x" / "y")
