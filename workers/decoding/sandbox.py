"""What a decode child may still do after it has loaded its libraries: compute, read its pipe, write its pipe.

Image decoders are C code that meets hostile bytes, so a child is built to be lost.  Before the first byte arrives it
gives up, for good: memory, core dumps, files, processes (resource limits, everywhere); new privileges and outliving
its parent (prctl, Linux); and every system call that is not in a short list (seccomp, Linux on x86_64 and aarch64).
Calls outside the list fail with EPERM, so that a library which merely tries something is refused, not killed.

The list lets the process start threads, since libde265 decodes HEIF in one of its own: a thread has the same filter,
shares the memory that is limited and dies with the process.  Starting processes is refused by the flags that ``clone``
is called with; ``clone3``, whose flags a filter cannot read, is said not to exist, and the C library then uses
``clone``.  Where there is no filter, threads are refused like processes, and HEIF is not decoded.

The list has no ``open``: a taken-over decoder could otherwise read any file and answer with it as pixels.  Everything a
decoder loads lazily must therefore be loaded before ``enter``.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import sys
from dataclasses import dataclass
from typing import Final

ADDRESS_SPACE_BYTES: Final = 1536 << 20
"""Libraries included (about 300 MiB).  100 megapixels of RGBA need 400 MB, and once more while they are reduced."""
CPU_SECONDS: Final = 600
"""Of a child's whole life; the pool kills a slow item long before, this is for a child whose parent is stopped."""
OPEN_FILES: Final = 3  # standard input, output and error are open; a new descriptor would be the fourth

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_RET_ALLOW: Final = 0x7FFF0000
_RET_EPERM: Final = 0x00050001
_RET_ENOSYS: Final = 0x00050026
_RET_KILL_PROCESS: Final = 0x80000000
_LOAD_WORD: Final = 0x20
_JUMP_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_OFFSET_NUMBER: Final = 0
_OFFSET_ARCH: Final = 4
_OFFSET_FLAGS: Final = 16
"""The low half of the first argument: both machines are little-endian."""
_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_CLONE3: Final = 435
_THREAD_FLAGS: Final = 0x003D0F00
"""What the C library starts a thread with: CLONE_VM, FS, FILES, SIGHAND, THREAD, SYSVSEM, SETTLS, PARENT_SETTID and
CHILD_CLEARTID."""

# (AUDIT_ARCH_*, numbers) from linux/audit.h and asm/unistd.h.  tgkill is left out on purpose: it reaches other
# processes, and abort() without it ends in a trap instruction, which is as dead.
_ALLOWED: Final[dict[str, tuple[int, dict[str, int]]]] = {
    "x86_64": (
        0xC000003E,
        {
            "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10,
            "munmap": 11, "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17,
            "writev": 20, "sched_yield": 24, "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39, "exit": 60,
            "getrusage": 98, "sigaltstack": 131, "gettid": 186, "futex": 202, "restart_syscall": 219,
            "clock_gettime": 228, "clock_nanosleep": 230, "exit_group": 231, "getcpu": 309, "getrandom": 318,
            "membarrier": 324, "rseq": 334, "set_robust_list": 273,
        },
    ),
    "aarch64": (
        0xC00000B7,
        {
            "read": 63, "write": 64, "close": 57, "fstat": 80, "ppoll": 73, "lseek": 62, "mmap": 222, "mprotect": 226,
            "munmap": 215, "brk": 214, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "pread64": 67,
            "writev": 66, "sched_yield": 124, "mremap": 216, "madvise": 233, "nanosleep": 101, "getpid": 172,
            "exit": 93, "getrusage": 165, "sigaltstack": 132, "gettid": 178, "futex": 98, "restart_syscall": 128,
            "clock_gettime": 113, "clock_nanosleep": 115, "exit_group": 94, "getcpu": 168, "getrandom": 278,
            "membarrier": 283, "rseq": 293, "set_robust_list": 99,
        },
    ),
}  # fmt: skip


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """What holds in this process; ``seccomp`` is False where the platform has none."""

    seccomp: bool
    no_new_privileges: bool


def enter(parent: int | None = None) -> Confinement:
    """Give it all up, for good.  ``parent`` is the process to die with (None: not bound to any).

    Raises OSError where a limit that the platform has cannot be set.
    """
    _limit_resources()
    if sys.platform != "linux":
        _refuse_processes()
        return Confinement(seccomp=False, no_new_privileges=False)
    if parent is not None:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    confined = _filter_system_calls()
    if not confined:
        _refuse_processes()
    return Confinement(seccomp=confined, no_new_privileges=True)


def _limit_resources() -> None:
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: OPEN_FILES,
        resource.RLIMIT_CPU: CPU_SECONDS,
    }
    if sys.platform == "linux":  # elsewhere the address space cannot be limited
        limits[resource.RLIMIT_AS] = ADDRESS_SPACE_BYTES
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))


def _refuse_processes() -> None:
    """Refuse processes and threads: the limit counts both, and all that the user has."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _prctl(option: int, *arguments: int | ctypes.Structure) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    values = [ctypes.byref(a) if isinstance(a, ctypes.Structure) else ctypes.c_ulong(a) for a in arguments]
    values += [ctypes.c_ulong(0)] * (4 - len(values))
    if library.prctl(ctypes.c_int(option), *values) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


def _filter_system_calls() -> bool:
    if platform.machine() not in _ALLOWED:
        return False
    arch, calls = _ALLOWED[platform.machine()]
    steps = [
        (_LOAD_WORD, 0, 0, _OFFSET_ARCH),
        (_JUMP_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _RET_KILL_PROCESS),
        (_LOAD_WORD, 0, 0, _OFFSET_NUMBER),
        (_JUMP_EQUAL, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _RET_ENOSYS),
        (_JUMP_EQUAL, 0, 4, _CLONE[platform.machine()]),
        (_LOAD_WORD, 0, 0, _OFFSET_FLAGS),
        (_JUMP_EQUAL, 0, 1, _THREAD_FLAGS),
        (_RETURN, 0, 0, _RET_ALLOW),
        (_RETURN, 0, 0, _RET_EPERM),
        *((_JUMP_EQUAL, len(calls) - index, 0, number) for index, number in enumerate(calls.values())),
        (_RETURN, 0, 0, _RET_EPERM),
        (_RETURN, 0, 0, _RET_ALLOW),
    ]
    instructions = (_Instruction * len(steps))(*(_Instruction(*step) for step in steps))
    try:
        _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, _Program(len(steps), instructions))
    except OSError:  # a kernel without CONFIG_SECCOMP_FILTER, or a container that forbids nesting
        return False
    return True
