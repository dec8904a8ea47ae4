"""Furnishes a place to run a program in, and becomes the program.

`unshare` has just put this process into namespaces: it has its own view of mounts, processes and network, and may
arrange them. It arranges a root folder in memory with Python's folders in it, read-only, and nothing else. Then it
gives up every right and all system calls but those of a list, and becomes the command of its job.

Argument: JSON with `root`, `paths`, `links`, `real_root`, `fds`, `lifeline`, `limits`, `group` and `command`.
"""
import ctypes
import json
import os
import select
import sys

from .limits import join, limit
from .system_calls import refuse_other_calls

NOSUID, NODEV, BIND, RECURSIVE, PRIVATE = 2, 4, 4096, 16384, 1 << 18  # of mount(2)
READ_ONLY, MOUNT_SETATTR, ALL_BELOW, HERE = 1, 442, 0x8000, -100  # of mount_setattr(2)
DETACH, NEW_USER, NO_NEW_PRIVILEGES, NO_HUGE_PAGES = 2, 0x10000000, 38, 41
KEYCTL, JOIN_SESSION_KEYRING = {"x86_64": 250, "aarch64": 219}, 1
NOBODY = 65534

libc = ctypes.CDLL(None, use_errno=True)


def checked(what, result):
    """Raise OSError where a call of the C library failed."""
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source, target, kind, flags, data=None):
    """Put a file system, or (BIND) a folder or a file that is there already, at a path."""
    checked(f"mount {target}", libc.mount(source.encode(), target.encode(), kind, flags, data))


def show(path, root):
    """Let a folder or file of this machine be seen under the new root, read-only."""
    inside = root + path
    os.makedirs(inside if os.path.isdir(path) else os.path.dirname(inside), exist_ok=True)
    if not os.path.isdir(path):
        open(inside, "w").close()
    mount(path, inside, None, BIND | RECURSIVE)
    flags = READ_ONLY | NOSUID | (0 if path == "/dev/null" else NODEV)
    attributes = (ctypes.c_uint64 * 4)(flags, 0, 0, 0)  # also for all that is mounted below
    checked("mount_setattr",
            libc.syscall(MOUNT_SETATTR, HERE, inside.encode(), ALL_BELOW, attributes, 32))


def furnish(root, paths, links):
    """Replace the machine's root by one of 16 MB in memory, with these paths and links in it; the old one is gone."""
    checked("mount", libc.mount(b"none", b"/", None, RECURSIVE | PRIVATE, None))
    mount("tmpfs", root, b"tmpfs", NOSUID | NODEV, b"mode=755,size=16m,nr_inodes=4096")
    for path in paths:
        show(path, root)
    for link, target in links:
        if not os.path.lexists(root + link):
            os.symlink(target, root + link)
    for name in ("/tmp", "/.old", "/dev/shm"):  # in the last one the C library keeps semaphores
        os.makedirs(root + name)
        os.chmod(root + name, 0o1777)
    os.chmod(root + "/dev", 0o111)
    checked("pivot_root", libc.pivot_root(root.encode(), (root + "/.old").encode()))
    os.chdir("/tmp")
    checked("umount", libc.umount2(b"/.old", DETACH))
    os.rmdir("/.old")
    os.chmod("/", 0o555)


def stay_as_first(fds, lifeline):
    """Go on in a second process. The first one stays, out of the program's reach, until the judge lets go of the
    lifeline or the program ends; then it ends, and the system ends everything else in this place."""
    program = os.fork()
    if program:
        for fd in fds:
            os.close(fd)
        select.select([lifeline, os.pidfd_open(program)], [], [])
        os._exit(0)
    os.close(lifeline)


def leave_keyring():
    """Leave the caller's session keyring, where passwords may be, for a new one."""
    if os.uname().machine in KEYCTL:  # where the kernel has no keyrings, or denies them, there is none to leave
        libc.syscall(KEYCTL[os.uname().machine], JOIN_SESSION_KEYRING, None)


def give_up_rights(real_root):
    """Become nobody, in a user namespace of its own: no rights over the mounts, and its own count of threads."""
    if real_root:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    checked("unshare", libc.unshare(NEW_USER))
    checked("prctl", libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    # of a page of 2 MB the kernel keeps all while 4 KB are in use; the limit on memory counts the 4 KB
    checked("prctl", libc.prctl(NO_HUGE_PAGES, 1, 0, 0, 0))


def main(job):
    join(job["group"])
    leave_keyring()
    furnish(job["root"], job["paths"], job["links"])
    stay_as_first(job["fds"], job["lifeline"])
    give_up_rights(job["real_root"])
    limit(**job["limits"])
    refuse_other_calls()
    # with a heap for each thread, as is usual, the address space would be used up by a few
    os.execve(job["command"][0], job["command"], {"MALLOC_ARENA_MAX": "1"})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
