"""System calls that Python does not have, by ctypes.

`call` is the one way in: every failure becomes a KernelError that names the syscall and what it was applied to.
Numbers are those of x86_64 (arch/x86/entry/syscalls/syscall_64.tbl) and of the generic table that aarch64 uses
(include/uapi/asm-generic/unistd.h); from 424 on they are the same everywhere.
"""

from __future__ import annotations

import ctypes
import os
import struct

from stackfile.errors import EngineError, KernelError

_X86_64 = {
    "mount": 165, "umount2": 166, "pivot_root": 155, "capget": 125, "capset": 126, "prctl": 157, "sethostname": 170,
    "setdomainname": 171, "unshare": 272, "setns": 308, "seccomp": 317, "bpf": 321, "keyctl": 250,
    "inotify_init1": 294, "inotify_add_watch": 254, "inotify_rm_watch": 255, "personality": 135,
    "fallocate": 285,
}  # fmt: skip
_AARCH64 = {
    "mount": 40, "umount2": 39, "pivot_root": 41, "capget": 90, "capset": 91, "prctl": 167, "sethostname": 161,
    "setdomainname": 162, "unshare": 97, "setns": 268, "seccomp": 277, "bpf": 280, "keyctl": 219,
    "inotify_init1": 26, "inotify_add_watch": 27, "inotify_rm_watch": 28, "personality": 92,
    "fallocate": 47,
}  # fmt: skip
_COMMON = {
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "pidfd_open": 434,
    "clone3": 435, "close_range": 436, "openat2": 437, "pidfd_getfd": 438, "mount_setattr": 442,
}  # fmt: skip
_TABLES = {"x86_64": _X86_64, "aarch64": _AARCH64}

MACHINE = os.uname().machine
NUMBERS: dict[str, int] = {**_TABLES.get(MACHINE, {}), **_COMMON}

_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long

Argument = int | bytes | bytearray | ctypes.Array[ctypes.c_char] | None


def number(name: str) -> int:
    """The syscall's number here. Raises EngineError (`unsupported-kernel`) on an architecture we do not know."""
    try:
        return NUMBERS[name]
    except KeyError:
        raise EngineError(
            "unsupported-kernel", f"architecture {MACHINE} is not supported", hint="use x86_64 or aarch64"
        ) from None


def _argument(value: Argument) -> object:
    if isinstance(value, int):
        return ctypes.c_long(value)
    if isinstance(value, bytearray):
        return (ctypes.c_char * len(value)).from_buffer(value)
    if isinstance(value, bytes):
        return ctypes.c_char_p(value)
    return value


def call(name: str, *arguments: Argument, subject: str = "") -> int:
    """Make a system call. Numbers, bytes (read by the kernel), bytearrays (written by it) and None are arguments.

    Raises KernelError with `name` and `subject`.
    """
    result = int(_syscall(ctypes.c_long(number(name)), *map(_argument, arguments)))
    if result < 0:
        raise KernelError(ctypes.get_errno(), name, subject)
    return result


# As libc's `syscall`, but without letting go of the interpreter lock: for clone3, after which a child returns too.
raw_keeping_gil = ctypes.PyDLL(None, use_errno=True).syscall
raw_keeping_gil.restype = ctypes.c_long


# ---- processes and namespaces

NEWTIME = 0x00000080
NEWNS = 0x00020000
NEWCGROUP = 0x02000000
NEWUTS = 0x04000000
NEWIPC = 0x08000000
NEWUSER = 0x10000000
NEWPID = 0x20000000
NEWNET = 0x40000000


def unshare(flags: int) -> None:
    """unshare(2)."""
    call("unshare", flags, subject=f"{flags:#x}")


def setns(fd: int, flags: int = 0, subject: str = "") -> None:
    """setns(2): enter the namespace `fd`, or with a pidfd (since Linux 5.8) all of `flags` at once."""
    call("setns", fd, flags, subject=subject or f"{flags:#x}")


def sethostname(name: str) -> None:
    """sethostname(2)."""
    data = name.encode()
    call("sethostname", data, len(data), subject=name)


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    data = name.encode()
    call("setdomainname", data, len(data), subject=name)


# ---- prctl(2)

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_KEEPCAPS = 8
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4


def prctl(option: int, *arguments: int, subject: str = "") -> int:
    """prctl(2) with numeric arguments."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return call("prctl", option, *padded, subject=subject or f"option {option}")


def set_process_name(name: str) -> None:
    """The name in /proc/<pid>/comm (PR_SET_NAME), at most 15 bytes."""
    call("prctl", PR_SET_NAME, name.encode()[:15], 0, 0, 0, subject=name)


def close_from(first: int) -> None:
    """Close every descriptor from `first` on (close_range(2), since Linux 5.9)."""
    call("close_range", first, 0xFFFFFFFF, 0, subject=f"from {first}")


# ---- seccomp(2)

_SECCOMP_SET_MODE_FILTER = 1


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def install_seccomp(program: bytes) -> None:
    """Install a classic BPF program (8 bytes an instruction) as this thread's filter.

    Needs CAP_SYS_ADMIN or no_new_privs. Raises KernelError.
    """
    buffer = ctypes.create_string_buffer(program, len(program))
    description = _Program(len(program) // 8, ctypes.addressof(buffer))
    result = int(
        _syscall(
            ctypes.c_long(number("seccomp")),
            ctypes.c_long(_SECCOMP_SET_MODE_FILTER),
            ctypes.c_long(0),
            ctypes.byref(description),
        )
    )
    if result < 0:
        raise KernelError(ctypes.get_errno(), "seccomp", f"filter of {len(program) // 8} instructions")


# ---- openat2(2)

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

_OPEN_HOW = struct.Struct("<QQQ")


def openat2(directory: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """Open `path` below the descriptor `directory` as `resolve` restricts it; close-on-exec. Raises KernelError."""
    how = _OPEN_HOW.pack(flags | os.O_CLOEXEC, mode, resolve)
    return call("openat2", directory, os.fsencode(path), how, len(how), subject=path)


# ---- fallocate(2)

_FALLOC_FL_KEEP_SIZE = 1


def fallocate(fd: int, size: int, subject: str = "") -> None:
    """Allocate the first `size` bytes of a file; its length stays. Raises KernelError (`full`: there is no room)."""
    call("fallocate", fd, _FALLOC_FL_KEEP_SIZE, 0, size, subject=subject)
