"""A program that tries what a program inside the fence must not be able to do, and says what it saw.

It takes the place of a program that is to be judged; a test calls `look`.
"""
import ctypes
import os
import socket

LIBRARY = ctypes.CDLL(None, use_errno=True)
KEYCTL = {"x86_64": 250, "aarch64": 219}  # the C library has no name for this one


def library(name, *arguments):
    """What a call of the C library gave. Raises OSError where it is refused."""
    number = getattr(LIBRARY, name)(*arguments)
    if number == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return number


def fork():
    """The number of a second process, which ends at once. Raises OSError where that is refused."""
    number = os.fork()
    if number == 0:
        os._exit(0)
    return number


ATTEMPTS = {
    "network": lambda: socket.create_connection(("127.0.0.1", 9), 1),
    "interfaces": lambda: [name for _, name in socket.if_nameindex()],
    "fork": fork,
    "write": lambda: open("/usr/x", "w"),
    "processes": lambda: os.listdir("/proc"),
    "parent": os.getppid,
    "shared memory": lambda: library("shmget", 0, 4096, 0o1600),
    "file in memory": lambda: os.memfd_create("x"),
    "keyring": lambda: library("syscall", KEYCTL.get(os.uname().machine, 250), 0, -3, 0),
    "other sockets": lambda: socket.socket(socket.AF_VSOCK),
    "other namespace": lambda: library("unshare", 0x10000000),
    "own folder": lambda: open("x", "w").write("x"),
}


def tried(attempt):
    """What an attempt gave, or its error, as text."""
    try:
        return str(attempt())
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def look():
    """What is seen of the machine, and what each attempt gave."""
    seen = {"files": sorted(os.listdir(".")), "root": sorted(os.listdir("/")), "environment": dict(os.environ),
            "user": os.getuid() == 0}
    return seen | {name: tried(attempt) for name, attempt in ATTEMPTS.items()}


def as_text():
    """The same, a line each."""
    return "\n".join(f"{name:15} {value}" for name, value in look().items())
