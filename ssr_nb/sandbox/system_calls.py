"""A filter of system calls (seccomp) that refuses shared memory.

The memory behind shmget, msgget and semget outlives the process that fills it, and no limit counts it. The filter is a
program of the kernel's own little machine (BPF): each line is an instruction, two distances to jump (where a comparison
holds, where it doesn't), and a number. It reads the number of the table of system calls, then that of the call.
"""
import ctypes
import os
import struct

TABLES = {  # of each processor: the number of its table, and in it those of shmget, msgget and semget
    "x86_64": (0xC000003E, (29, 64, 68)),
    "aarch64": (0xC00000B7, (194, 190, 186)),
}
LOAD, EQUAL, AT_LEAST, END = 0x20, 0x15, 0x35, 0x06  # instructions
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050001, 0x80000000  # what END says: go on, fail with EPERM, die
CALL, TABLE = 0, 4  # where the kernel puts the two numbers
SECOND_TABLE = 0x40000000  # from here on, x86-64 has its calls a second time
SET_SECCOMP, BY_FILTER = 22, 2


def filter_lines(machine):
    """The filter for a processor, line by line. Raises OSError for one whose calls are not known here."""
    if machine not in TABLES:
        raise OSError(f"system calls of {machine} are not known here")
    table, refused = TABLES[machine]
    tests = [(AT_LEAST, SECOND_TABLE), *((EQUAL, call) for call in refused)]
    return [(LOAD, 0, 0, TABLE), (EQUAL, 1, 0, table), (END, 0, 0, KILL), (LOAD, 0, 0, CALL),
            *((test, len(tests) - i, 0, call) for i, (test, call) in enumerate(tests)),
            (END, 0, 0, ALLOW), (END, 0, 0, REFUSE)]


def refuse_shared_memory():
    """Put the filter on this process and on all that it becomes or starts. There is no way to take it off."""
    lines = filter_lines(os.uname().machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code)))
    if ctypes.CDLL(None, use_errno=True).prctl(SET_SECCOMP, BY_FILTER, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
