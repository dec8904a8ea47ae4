"""A list of the system calls that a program may make, and the filter (seccomp) that refuses all others.

A call is how a process asks the kernel for anything. The list holds what Python needs for files in its own folder, for
memory, clocks, signals and threads. What is not on it fails, among it all that makes memory no limit counts
(`memfd_create`, `shmget`), that reaches beyond the namespaces (keyrings, sockets) or that starts a process.

The filter is a program of the kernel's own little machine (BPF): each line is an instruction, two distances to jump
(where a comparison holds, where it doesn't), and a number. It reads the number of the table of system calls, then that
of the call, and of some calls an argument.
"""
import ctypes
import os
import struct

MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column in the list, number of the table
ALLOWED = """
read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69, pwritev 296 70,
sendfile 40 71, copy_file_range 326 285, lseek 8 62, close 3 57, close_range 436 436, dup 32 23, dup2 33 -, dup3 292 24,
pipe 22 -, pipe2 293 59, fsync 74 82, fdatasync 75 83, fallocate 285 47, ftruncate 77 46,
truncate 76 45, open 2 -, openat 257 56, creat 85 -, stat 4 -, fstat 5 80, lstat 6 -, newfstatat 262 79, statx 332 291,
statfs 137 43, fstatfs 138 44, access 21 -, faccessat 269 48, getdents 78 -, getdents64 217 61, getcwd 79 17,
chdir 80 49, fchdir 81 50, mkdir 83 -, mkdirat 258 34, rmdir 84 -, unlink 87 -, unlinkat 263 35, rename 82 -,
renameat 264 38, renameat2 316 276, link 86 -, linkat 265 37, symlink 88 -, symlinkat 266 36, readlink 89 -,
readlinkat 267 78, chmod 90 -, fchmod 91 52, fchmodat 268 53, umask 95 166, utime 132 -, utimes 235 -, futimesat 261 -,
utimensat 280 88, getxattr 191 8, lgetxattr 192 9, fgetxattr 193 10, listxattr 194 11, llistxattr 195 12,
flistxattr 196 13,
brk 12 214, mprotect 10 226, munmap 11 215, mremap 25 216, madvise 28 233, msync 26 227,
clock_gettime 228 113, clock_getres 229 114, clock_nanosleep 230 115, nanosleep 35 101, gettimeofday 96 169, time 201 -,
times 100 153, getitimer 36 102, setitimer 38 103, alarm 37 -, pause 34 -,
select 23 -, pselect6 270 72, poll 7 -, ppoll 271 73, epoll_create 213 -, epoll_create1 291 20, epoll_ctl 233 21,
epoll_wait 232 -, epoll_pwait 281 22, eventfd2 290 19, eventfd 284 -, futex 202 98, sched_yield 24 124,
restart_syscall 219 128,
rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136, rt_sigsuspend 130 133,
rt_sigtimedwait 128 137, sigaltstack 131 132, kill 62 129, tkill 200 130, tgkill 234 131,
getpid 39 172, getppid 110 173, gettid 186 178, getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177,
getresuid 118 148, getresgid 120 150, getgroups 115 158, getpgrp 111 -, getpgid 121 155, getsid 124 156, setsid 112 157,
setpgid 109 154, getrusage 98 165, getrlimit 97 163, setrlimit 160 164, getpriority 140 141, sched_getaffinity 204 123,
sched_getparam 143 121, sched_getscheduler 145 120, getcpu 309 168, sysinfo 99 179, uname 63 160, getrandom 318 278,
execve 59 221, set_tid_address 218 96, set_robust_list 273 99, get_robust_list 274 100, rseq 334 293, arch_prctl 158 -,
wait4 61 260, waitid 247 95, exit 60 93, exit_group 231 94, sendto 44 206, recvfrom 45 207
"""
IF = {  # calls that are allowed where, for each (argument, bits), those bits of the argument have one of these values
    "mmap 9 222": {(3, 0x40021): (0x20, 0, 1)},  # no shared memory without a file, which munmap needn't give back
    "clone 56 220": {(0, 0x7E030100): (0x10100,)},  # a thread: no other process, and no new namespaces
    "socketpair 53 199": {(0, 0xFFFFFFFF): (1,), (1, 0xFF): (1,)},  # what asyncio wakes itself by
    "fcntl 72 25": {(1, 0xFFFFFFFF): (0, 1, 2, 3, 4, 1030)},  # duplicates and flags; no locks, leases, larger pipes
    "ioctl 16 29": {(1, 0xFFFFFFFF): (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)},  # is it a terminal, flags
    "prctl 157 167": {(0, 0xFFFFFFFF): (15, 16)},  # a thread's name
    "prlimit64 302 261": {(0, 0xFFFFFFFF): (0,)},  # of oneself
}
LOAD, AND, EQUAL, AT_LEAST, END = 0x20, 0x54, 0x15, 0x35, 0x06  # instructions
ALLOW, REFUSE, UNKNOWN, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000  # END: go on, EPERM, ENOSYS, die
CALL, TABLE, ARGUMENTS = 0, 4, 16  # where the kernel puts the call's number, the table's, and the arguments
SECOND_TABLE = 0x40000000  # from here on, x86-64 has its calls a second time
NEWER = 424  # calls from here on are said to be unknown, so that the C library uses the older ones instead
SET_SECCOMP, BY_FILTER = 22, 2


def numbers(calls, machine):
    """The numbers that a processor has for calls written as `name number-on-x86_64 number-on-aarch64`, by name."""
    column = MACHINES[machine][0]
    words = [call.split() for call in calls]
    return {name: int(here[column]) for name, *here in words if here[column] != "-"}


def lines_if(call, wanted):
    """Lines that decide over a call with these arguments; over another call, they decide nothing."""
    lines = []
    for (argument, bits), values in wanted.items():
        lines += [(LOAD, 0, 0, ARGUMENTS + 8 * argument), (AND, 0, 0, bits),
                  *((EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)), (END, 0, 0, REFUSE)]
    return [(EQUAL, 0, len(lines) + 1, call), *lines, (END, 0, 0, ALLOW)]


def filter_lines(machine):
    """The filter for a processor, line by line. Raises OSError for one whose calls are not known here."""
    if machine not in MACHINES:
        raise OSError(f"system calls of {machine} are not known here")
    allowed = list(numbers(ALLOWED.replace("\n", " ").split(","), machine).values())
    conditions = [line for call, wanted in IF.items() for number in numbers([call], machine).values()
                  for line in lines_if(number, wanted)]
    return [(LOAD, 0, 0, TABLE), (EQUAL, 1, 0, MACHINES[machine][1]), (END, 0, 0, KILL), (LOAD, 0, 0, CALL),
            (AT_LEAST, 0, 1, SECOND_TABLE), (END, 0, 0, REFUSE), *conditions,
            *((EQUAL, len(allowed) + 2 - i, 0, call) for i, call in enumerate(allowed)),
            (AT_LEAST, 0, 1, NEWER), (END, 0, 0, UNKNOWN), (END, 0, 0, REFUSE), (END, 0, 0, ALLOW)]


def refuse_other_calls():
    """Put the filter on this process and on all that it becomes or starts. There is no way to take it off."""
    lines = filter_lines(os.uname().machine)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code)))
    if ctypes.CDLL(None, use_errno=True).prctl(SET_SECCOMP, BY_FILTER, program, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
