"""Arms as tasks of Ray: what is run again, what is never made twice, what is refused; and, on a cluster of two nodes of which
one is killed, that it is so. Only the last needs Ray."""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from ssr_nb import cluster
from ssr_nb.cli import _with_address, main
from ssr_nb.cluster import (claim_store, fetch_finished, get_arm, hand_out, Lost, OnRay, put_arm, RayTasks, room_for, run_tasks,
                            Sent, Store, WHOLE, work)
from ssr_nb.compare import _start_worker, arm_folder, compare, finished, gpus_to_share, Here
from ssr_nb.comparison import check, Comparison, read_comparison
from ssr_nb.files import Held
from ssr_nb.records import read_json, write_json
from ssr_nb.settings import check_ray, RayOptions

ROOT = Path(__file__).parent.parent
WITH_RAY = importlib.util.find_spec("ray") is not None
ARM = ("ssr", 1e-3, 0)


class Tasks:
    "Tasks that end in their order; `outcomes` gives by job and try an error or None."

    def __init__(self, outcomes=()):
        self.outcomes, self.started, self.cancelled, self.most = dict(outcomes), [], [], 0

    def start(self, job):
        self.started.append(job)
        return len(self.started) - 1

    def first(self, tasks):
        self.most = max(self.most, len(tasks))
        return min(tasks)

    def result(self, task):
        job = self.started[task]
        if error := self.outcomes.get((job[0], self.started[: task + 1].count(job))):
            raise error
        return [(arm, {"train": 1.0, "evaluate": 1.0}) for arm in job]

    def cancel(self, task):
        self.cancelled.append(task)


JOBS = [[("sft", 1e-3, 0), ("wise", 1e-3, 0)], [("ssr", 1e-3, 0)], [("ssr", 1e-3, 1)]]


@pytest.mark.parametrize("at_once", [None, 1, 2])
def test_a_lost_job_is_run_again_and_every_arm_comes_once(at_once):
    tasks, lines = Tasks({(JOBS[0][0], 1): Lost("gone"), (JOBS[2][0], 1): Lost("gone"), (JOBS[2][0], 2): Lost("gone")}), []
    done = [arm for arm, _ in run_tasks(JOBS, tasks, retries=2, at_once=at_once, say=lines.append)]
    assert sorted(done) == sorted(arm for job in JOBS for arm in job) and len(lines) == 3
    assert "sft and wise at 0.001, seed 0: its worker was lost (gone); it is run again" in lines
    assert tasks.most == (at_once or 3) and not tasks.cancelled


def test_a_job_that_is_lost_too_often_ends_the_run_and_what_still_runs():
    tasks = Tasks({(JOBS[0][0], n): Lost("out of memory") for n in (1, 2)})
    done = []
    with pytest.raises(RuntimeError, match=r"sft and wise at 0.001, seed 0: found its worker lost 2 times \(out of memory\)"):
        for arm, _ in run_tasks(JOBS, tasks, retries=1, at_once=2, say=lambda line: None):
            done.append(arm)
    assert done == [("ssr", 1e-3, 0), ("ssr", 1e-3, 1)] and tasks.cancelled == []
    tasks = Tasks({(JOBS[0][0], 1): ValueError("mine.jsonl: found no such file")})
    with pytest.raises(ValueError, match="mine.jsonl"):
        list(run_tasks(JOBS, tasks, say=lambda line: None))
    assert tasks.cancelled == [1, 2], "an error of the arm's own isn't tried on another machine"


# --- the store


def a_finished_arm(folder, arm=ARM):
    here = arm_folder(folder, arm)
    write_json(here / "seconds.json", {"train": 2.0, "evaluate": 1.0})
    (here / "adapter").mkdir(parents=True, exist_ok=True)
    (here / "adapter" / "weights.bin").write_bytes(b"\0" * 999)
    (here / ".scores.jsonl.lock").write_text("a lock")
    (here / "scores.jsonl").write_text("")
    return here


@pytest.fixture(params=["folder", "memory"])
def store(request, tmp_path):
    return Store(str(tmp_path / "store") if request.param == "folder" else f"memory://{tmp_path.name}")


def test_an_arm_goes_through_a_store_whole_or_not_at_all(store, tmp_path):
    a_finished_arm(tmp_path / "worker")
    assert not get_arm(store, tmp_path / "driver", ARM)
    put_arm(store, tmp_path / "worker", ARM)
    assert get_arm(store, tmp_path / "driver", ARM) and finished(tmp_path / "driver", ARM)
    here = arm_folder(tmp_path / "driver", ARM)
    assert (here / "adapter" / "weights.bin").read_bytes() == b"\0" * 999 and not (here / ".scores.jsonl.lock").exists()


@pytest.mark.parametrize("torn", ["", "{", "{}", '{"adapter/weights.bin": 999}', None])
def test_an_arm_that_was_left_half_is_as_if_it_werent_there(torn, store, tmp_path):
    put_arm(store, a_finished_arm(tmp_path / "worker").parents[1], ARM)
    name = f"arms/ssr-0.001-0/{WHOLE}"
    store.files.rm_file(store.place(name))
    if torn is not None:
        with store.files.open(store.place(name), "w") as file:
            file.write(torn)
    assert not get_arm(store, tmp_path / "driver", ARM) and not finished(tmp_path / "driver", ARM)


def test_a_file_of_another_length_in_a_store_is_named(store, tmp_path):
    put_arm(store, a_finished_arm(tmp_path / "worker").parents[1], ARM)
    with store.files.open(store.place("arms/ssr-0.001-0/adapter/weights.bin"), "wb") as file:
        file.write(b"half")
    with pytest.raises(RuntimeError, match="adapter/weights.bin: found 4 bytes; expected 999"):
        get_arm(store, tmp_path / "driver", ARM)
    assert not finished(tmp_path / "driver", ARM)


def a_run(folder, methods=("ssr",), **config):
    write_json(folder / "config.json", {"methods": list(methods), "model": "m", "seeds": [0], "hashes": {"base model": "b"}} | config)
    write_json(folder / "methods.json", {name: {"trained_as": name, "loss": "nll", "targets": f"of {name}"} for name in methods})
    (folder / "base").mkdir(exist_ok=True)
    for name in ["base/scores.jsonl", *(f"targets-{name}.jsonl" for name in methods)]:
        (folder / name).write_text("")
    return folder


def test_a_store_belongs_to_one_run(store, tmp_path):
    run = a_run(tmp_path / "run")
    claim_store(store, run)
    claim_store(store, a_run(run, ("ssr", "sft"), seeds=[0, 1], ray={"address": "auto"}, hashes={"base model": "b", "plug-in x": "1"}))
    claim_store(store, a_run(run))  # a method may be left out again
    for change in ({"model": "another"}, {"hashes": {"base model": "c"}}, {"items": {"train": 3}}):
        with pytest.raises(ValueError, match="found the arms of another run"):
            claim_store(store, a_run(run, **change))
    a_run(run)
    write_json(run / "methods.json", {"sft": {"trained_as": "sft", "loss": "nll", "targets": "others"}})
    with pytest.raises(ValueError, match="found method 'sft' made otherwise"):
        claim_store(store, run)


def test_a_driver_takes_what_workers_left(tmp_path):
    run, place = a_run(tmp_path / "run"), str(tmp_path / "store")
    bench = SimpleNamespace(config=Comparison(ray={"address": "auto", "results": place}), folder=run)
    fetch_finished([ARM], bench)
    put_arm(Store(place), a_finished_arm(tmp_path / "worker").parents[1], ARM)
    fetch_finished([ARM, ("ssr", 1e-3, 1)], bench)
    assert finished(run, ARM) and not finished(run, ("ssr", 1e-3, 1))


# --- the worker


@pytest.fixture
def worker(tmp_path, monkeypatch):
    "A worker whose arms are made by writing their files; gives what it ran."
    ran = []

    def run_arm(bench, arm):
        ran.append(arm)
        a_finished_arm(bench, arm)

    monkeypatch.setattr(cluster, "own_bench", lambda: worker_folder[0])
    monkeypatch.setattr(cluster, "begin_work", lambda config, folder, threads, rows: worker_folder.insert(0, folder))
    monkeypatch.setattr(cluster, "run_arm", run_arm)
    monkeypatch.setattr(cluster, "_copies", {})
    worker_folder = []
    return SimpleNamespace(ran=ran, folder=worker_folder)


@pytest.mark.parametrize("through_a_store", [False, True])
def test_a_worker_makes_nothing_that_is_finished(through_a_store, worker, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, place = a_run(tmp_path / "run", ("sft", "wise")), str(tmp_path / "store")
    write_json(run / "methods.json", {"sft": {"trained_as": "sft"}, "wise": {"trained_as": "sft"}})
    config = Comparison(ray={"address": "auto"} | ({"results": place} if through_a_store else {}))
    if through_a_store:
        hand_out(Store(place), run)
    sent, job = Sent(config, str(run), 1, b"", str(tmp_path), ""), [("sft", 1e-3, 0), ("wise", 1e-3, 0)]
    assert [arm for arm, _ in work(sent, job[:1])] == worker.ran == job[:1]
    assert worker.folder[0] == run or through_a_store
    monkeypatch.setattr(cluster, "_copies", {})  # a worker on another machine
    done = work(sent, job)
    assert [arm for arm, _ in done] == job and worker.ran == job, "the first of them wasn't made again"
    assert done[0][1] == {"train": 2.0, "evaluate": 1.0}
    if through_a_store:
        assert not finished(run, job[0]) and get_arm(Store(place), run, job[1])


def test_a_worker_has_the_adapter_that_its_arm_changes(worker, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, place = a_run(tmp_path / "run", ("sft", "wise")), str(tmp_path / "store")
    write_json(run / "methods.json", {"sft": {"trained_as": "sft"}, "wise": {"trained_as": "sft"}})
    hand_out(Store(place), run)
    put_arm(Store(place), a_finished_arm(run, ("sft", 1e-3, 0)).parents[1], ("sft", 1e-3, 0))
    work(Sent(Comparison(ray={"address": "auto", "results": place}), str(run), 1, b"", str(tmp_path), ""), [("wise", 1e-3, 0)])
    assert worker.ran == [("wise", 1e-3, 0)] and finished(worker.folder[0], ("sft", 1e-3, 0))


def test_a_worker_waits_for_one_that_still_lives(worker, tmp_path, monkeypatch):
    from test_files import HOLDING, started

    run = a_run(tmp_path / "run")
    monkeypatch.setattr(cluster, "PATIENT", 0.1)
    holder = started(HOLDING, arm_folder(run, ARM), 60)
    sent = Sent(Comparison(), str(run), 1, b"", "/nowhere", "")
    try:
        with pytest.raises(Held, match=f"found it held by process {holder.pid}"):
            work(sent, [ARM])
    finally:
        holder.kill()
        holder.wait()
    assert [arm for arm, _ in work(sent, [ARM])] == worker.ran == [ARM]


# --- what is asked for


@pytest.mark.parametrize("nodes, cores, gpus, room", [
    ([(4, 0), (4, 2)], 1, 0, (2, 8)), ([(4, 0), (4, 2)], 1, 1, (2, 2)), ([(4, 0), (4, 2)], 1, 0.5, (2, 4)), ([(2, 0)], 0.1, 0, (1, 20)),
    ([(2, 0)], 4, 0, (1, 0)), ([], 1, 0, (0, 0))])
def test_room_for_arms(nodes, cores, gpus, room):
    assert room_for([{"Alive": True, "Resources": {"CPU": c} | ({"GPU": g} if g else {})} for c, g in nodes]
                    + [{"Alive": False, "Resources": {"CPU": 99}}], cores, gpus) == room


@pytest.mark.parametrize("words, then", [
    (["compare", "c.yaml", "--ray"], ["--ray", "auto"]), (["compare", "--ray", "c.yaml"], ["--ray", "auto", "c.yaml"]),
    (["compare", "c.yaml", "--ray", "--out", "run"], ["--ray", "auto", "--out", "run"]),
    (["compare", "c.yaml", "--ray", "local"], ["--ray", "local"]), (["compare", "c.yaml", "--ray", "ray://h:10001"], ["--ray", "ray://h:10001"]),
    (["compare", "c.yaml", "--ray=10.0.0.1:6379"], ["--ray=10.0.0.1:6379"])])
def test_the_address_may_be_left_out(words, then):
    found = _with_address(words)
    assert found[-len(then):] == then


@pytest.fixture
def as_if_installed(monkeypatch):
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: known("json" if name == "ray" else name, *more))


def test_without_ray_a_comparison_that_asks_for_it_is_refused(tmp_path, capsys, monkeypatch):
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "ray" else known(name, *more))
    (tmp_path / "c.yaml").write_text("methods: [sft]")
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run"), "--ray"])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and said == "ssr: key 'ray': found 'no package of this name'; expected Ray: pip install 'ssr-nb[ray]'\n"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("given, said", [
    ({"ray": {"adress": "auto"}}, "did you mean 'address'"), ({"ray": {"results": "x"}}, "without an address"),
    ({"ray": {"address": "auto", "gpus": 2}}, "gpus=2"), ({"ray": {"address": "auto", "cores": 1.5}}, "whole number"),
    ({"ray": {"address": "host"}}, "HOST:PORT"), ({"ray": {"address": "auto", "results": "nosuch://x"}}, "ray.results"),
    ({"ray": {"address": "auto"}, "device": "cuda:1"}, "device"),
    ({"ray": {"address": "auto"}, "stages": [{"name": "a", "train": "microworld", "target": "microworld"}]}, "none with stages")])
def test_what_doesnt_fit_is_refused_by_its_key(given, said, as_if_installed, monkeypatch):
    with pytest.raises(ValueError, match=said):
        check(Comparison(**given))


def test_the_line_and_the_file_are_one(tmp_path, monkeypatch, as_if_installed):
    seen = []
    monkeypatch.setattr("ssr_nb.compare.compare", lambda config, out: seen.append(config.ray))
    monkeypatch.setattr("ssr_nb.cli._show", lambda run: None)
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"methods": ["sft"], "ray": {"address": "local", "cores": 2}}))
    for more in ([], ["--ray", "10.0.0.1:6379", "--ray-results", str(tmp_path)], ["--ray-cores", "0.5"]):
        with pytest.raises(SystemExit):
            main(["compare", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run"), *more])
    assert seen == [{"address": "local", "cores": 2}, {"address": "10.0.0.1:6379", "cores": 2, "results": str(tmp_path)},
                    {"address": "local", "cores": 0.5}]


@pytest.mark.parametrize("device, gpus, options, asked", [
    ("cpu", None, {"cores": 2}, {"num_cpus": 2, "num_gpus": 0.0, "max_retries": 0}),
    ("cuda", None, {}, {"num_cpus": 1.0, "num_gpus": 1.0, "max_retries": 0}),
    ("cuda", 0.25, {}, {"num_cpus": 1.0, "num_gpus": 0.25, "max_retries": 0})])
def test_what_an_arm_asks_ray_for(device, gpus, options, asked, tmp_path, monkeypatch):
    seen, lines = [], []
    fake = SimpleNamespace(nodes=lambda: [], remote=lambda function: SimpleNamespace(options=lambda **how: seen.append(how)))
    monkeypatch.setattr(cluster, "connected", lambda address: __import__("contextlib").nullcontext(fake))
    monkeypatch.setattr(cluster, "run_tasks", lambda jobs, tasks, retries, at_once, say: iter([(arm, {}) for job in jobs for arm in job]))
    bench = SimpleNamespace(config=Comparison(), folder=tmp_path, shared=SimpleNamespace(lm=SimpleNamespace(device=device)))
    runner = OnRay(RayOptions("local", gpus=gpus, **options), lines.append)
    assert [arm for arm, _ in runner.run([[ARM]], bench)] == [ARM] and seen == [asked] and "waiting for one" in lines[0]


def test_a_cluster_that_isnt_there_is_said_at_once(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    asked = []
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(is_initialized=lambda: False, init=lambda **how: asked.append(how)))
    with pytest.raises(ConnectionError, match=f"ray.address '{address}': found no cluster .*ray start --head"):
        with cluster.connected(address):
            pass
    assert not asked


# --- several GPUs of one machine


@pytest.mark.parametrize("visible, device, names", [
    (None, "cuda", ["0", "1", "2"]), ("5,7,1", "cuda", ["5", "7", "1"]), ("GPU-a,GPU-b,GPU-c", "cuda", ["GPU-a", "GPU-b", "GPU-c"]),
    (None, "cuda:1", []), (None, "cpu", []), (None, "mps", [])])
def test_each_worker_has_a_gpu_of_its_own(visible, device, names, monkeypatch):
    import queue

    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr("ssr_nb.compare._end_with_parent", lambda: None)
    monkeypatch.setattr("ssr_nb.compare._begin", {})
    for name in ("TOKENIZERS_PARALLELISM", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible) if visible else monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    gpus, taken = gpus_to_share(device), []
    assert gpus == names
    places = Here(4, 1, tuple(gpus)).places(4, SimpleNamespace(Queue=queue.Queue))
    for _ in range(4):
        _start_worker(Comparison(), Path("run"), 1, b"", places)
        taken.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
    assert taken == ([*names, names[0]] if names else [visible] * 4)


@pytest.mark.parametrize("gpus, arms, config, said", [
    (2, 9, {}, "2 side by side on 2 GPUs"), (4, 2, {}, "2 side by side on 4 GPUs"), (1, 9, {}, "1 side by side,"),
    (2, 9, {"workers": 1}, "1 side by side,"), (2, 9, {"workers": 4}, "4 side by side on 2 GPUs")])
def test_as_many_arms_side_by_side_as_gpus(gpus, arms, config, said, monkeypatch):
    import torch

    from ssr_nb.compare import _runner_for

    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    bench = SimpleNamespace(config=Comparison(**config), shared=SimpleNamespace(lm=SimpleNamespace(device="cuda")))
    assert str(_runner_for(bench, arms, 1, print)).startswith(said)


# --- a cluster of two nodes


SMALL = {"learning_rates": [1e-3], "seeds": [0, 1], "backend": "transformers", "device": "cpu", "resamples": 50, "threads": 1,
         "training": {"steps": 12}, "items": {"train": 64, "validation": 8, "target": 12, "shift": 4, "general": 2}}


@pytest.fixture(scope="module")
def two_nodes():
    "A cluster of a head that runs nothing and two nodes of one core each."
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    def lean():
        "Little memory, and ports that are known: a node waits no more than 15 seconds for an agent that chooses its own."
        names = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
        ports = {name: found.getsockname()[1] for name, found in zip(names, sockets)}
        for found in sockets:
            found.close()
        return {"object_store_memory": 80 * 2**20} | ports

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False} | lean())
    nodes = [made.add_node(num_cpus=1, **lean()) for _ in range(2)]
    yield made, nodes
    ray.shutdown()
    made.shutdown()


def when(true, seconds=240):
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds
        time.sleep(0.05)


def scores_in(run):
    return {path.parent.name: path.stat().st_mtime_ns for path in (run / "arms").glob("*/scores.jsonl")}


def under_way(run):
    "The processes that hold an arm; what a killed one left is no longer held."
    held = set()
    for path in (run / "arms").glob(".*.lock"):
        try:
            pid = json.loads(path.read_text())["pid"]
            os.kill(pid, 0)
            held.add(pid)
        except (OSError, ValueError):  # just made, just dropped, or its process is gone
            pass
    return held


@pytest.mark.slow
@pytest.mark.skipif(not WITH_RAY, reason="Ray isn't installed: pip install 'ssr-nb[ray]'")
def test_a_node_is_killed_a_driver_is_killed_and_nothing_is_made_twice(two_nodes, tmp_path):
    made, nodes = two_nodes
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(SMALL | {"ray": {"address": made.address}}))
    run, line = tmp_path / "run", [sys.executable, "-m", "ssr_nb.cli", "compare", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}

    # the driver is killed when one arm is finished
    driver = subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        when(lambda: scores_in(run) or driver.poll() is not None)
        assert driver.poll() is None, driver.stdout.read()
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    before = scores_in(run)
    assert 1 <= len(before) < 4

    # the next one goes on, and loses a node while its arms are under way
    def kill_one():
        when(lambda: len(under_way(run)) == 2)
        made.remove_node(nodes.pop(), allow_graceful=False)

    lines, killer = [], threading.Thread(target=kill_one)
    killer.start()
    config = read_comparison(tmp_path / "c.yaml")
    summary = compare(config, run, say=lines.append)
    killer.join()
    assert f"{4 - len(before)} arms to run, as tasks of Ray" in "\n".join(lines)
    assert sum("its worker was lost" in line for line in lines) == 1, lines
    assert {name: scores_in(run)[name] for name in before} == before and len(scores_in(run)) == 4
    lines.clear()
    compare(config, run, say=lines.append)
    assert any("0 arms to run" in line for line in lines)

    # through a store, on the node that is left: the same figures as here without Ray
    away = replace(config, ray=config.ray | {"results": f"file://{tmp_path}/store"})
    through = compare(away, tmp_path / "away", say=lines.append)
    here = compare(replace(config, ray={}, workers=1), tmp_path / "here", say=lambda line: None)
    assert summary["arms"] == through["arms"] == here["arms"]
    (tmp_path / "away" / "arms").rename(tmp_path / "gone")
    lines.clear()
    compare(away, tmp_path / "away", say=lines.append)
    assert any("0 arms to run" in line for line in lines), "all came from the store"
