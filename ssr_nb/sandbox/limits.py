"""Limits on a process and on what it becomes; only the machine's administrator could raise them again.

Run by itself, this sets the limits and becomes the command of its job. Where no place can be made, that is all there
is.

Argument: JSON with `limits` and `command`.
"""
import json
import os
import resource
import sys


def limit(memory, cpu, file, files):
    """Set the most bytes of memory, seconds of processor, bytes of a file and open files; no core dump is written,
    and no further process or thread starts."""
    for what, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, cpu), (resource.RLIMIT_FSIZE, file),
                       (resource.RLIMIT_NOFILE, files), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NPROC, 1)):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def main(job):
    limit(**job["limits"])
    os.execve(job["command"][0], job["command"], {})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
