"""Limits on a process and on what it becomes; only the machine's administrator could raise them again.

Run by itself, this sets the limits and becomes the command of its job. Where no place can be made, that is all there
is.

Argument: JSON with `limits`, `group` (of processes whose memory the kernel counts together, or null) and `command`.
"""
import contextlib
import json
import os
import resource
import sys


def limit(memory, cpu, file, files, threads):
    """Set the most bytes of memory, seconds of processor, bytes of a file, open files, and threads (of all processes
    of this user: with 1, none starts). No core dump is written, and the kernel keeps little on the process's behalf:
    no locked memory, no message queues, few signals that wait."""
    most = {"AS": memory, "CPU": cpu, "FSIZE": file, "NOFILE": files, "NPROC": threads, "CORE": 0, "MEMLOCK": 0,
            "MSGQUEUE": 0, "SIGPENDING": 64}
    for name, value in most.items():
        what = getattr(resource, f"RLIMIT_{name}", None)
        if what is not None:  # some are Linux's alone
            hard = resource.getrlimit(what)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(what, (value, value))


def join(group):
    """Join a group of processes whose memory the kernel counts together. Where that is refused, the limits above are
    all."""
    with contextlib.suppress(OSError):
        if group:
            with open(f"{group}/cgroup.procs", "w") as file:
                file.write("0")


def main(job):
    join(job["group"])
    limit(**job["limits"])
    os.execve(job["command"][0], job["command"], {})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
