"""The default profile, run by a small interpreter of classic BPF (Documentation/networking/filter.rst)."""

from __future__ import annotations

import json
import struct
from importlib import resources

import pytest

from stackfile.errors import EngineError
from stackfile.runtime.capabilities import DEFAULT, mask
from stackfile.runtime.seccomp import default_program
from stackfile.runtime.seccomp.program import ALLOW, AUDIT, ERRNO, KILL_PROCESS, X32_BIT

EPERM, ENOSYS = ERRNO | 1, ERRNO | 38
PLAIN = mask(DEFAULT)
TABLES = json.loads(resources.files("stackfile.runtime.seccomp").joinpath("tables.json").read_text())


def evaluate(program: bytes, number: int, arch: int, arguments: tuple[int, ...] = ()) -> int:
    """What the filter answers for a struct seccomp_data."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *(arguments + (0,) * 6)[:6])
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator, position = 0, 0
    while True:
        operation, if_true, if_false, operand = code[position]
        position += 1
        match operation:
            case 0x20:
                accumulator = struct.unpack_from("<I", data, operand)[0]
            case 0x54:
                accumulator &= operand
            case 0x05:
                position += operand
            case 0x15:
                position += if_true if accumulator == operand else if_false
            case 0x35:
                position += if_true if accumulator >= operand else if_false
            case 0x45:
                position += if_true if accumulator & operand else if_false
            case 0x06:
                return int(operand)
            case _:
                raise AssertionError(f"unknown operation {operation:#x}")


def ask(name: str, *arguments: int, capabilities: int = PLAIN, architecture: str = "x86_64", table: str = "") -> int:
    table = table or architecture
    number = TABLES[table][name] | (X32_BIT if table == "x32" else 0)
    arch = AUDIT["i386" if table == "i386" else architecture]
    return evaluate(default_program(capabilities, architecture), number, arch, arguments)


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
@pytest.mark.parametrize("name", ["read", "openat", "execve", "futex", "statx", "faccessat2", "fchmodat2", "mseal"])
def test_ordinary_calls(architecture: str, name: str) -> None:
    assert ask(name, architecture=architecture) == ALLOW


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
@pytest.mark.parametrize(
    "name", ["mount", "umount2", "unshare", "setns", "bpf", "init_module", "reboot", "keyctl", "add_key", "kexec_load",
             "io_uring_setup", "open_by_handle_at", "swapon", "perf_event_open", "userfaultfd", "pivot_root"],
)  # fmt: skip
def test_forbidden_calls(architecture: str, name: str) -> None:
    assert ask(name, architecture=architecture) == EPERM


@pytest.mark.parametrize(
    ("capability", "name"),
    [("SYS_ADMIN", "mount"), ("SYS_ADMIN", "clone3"), ("SYS_BOOT", "reboot"), ("SYS_MODULE", "init_module"),
     ("SYS_PTRACE", "kcmp"), ("SYS_TIME", "clock_settime"), ("SYS_NICE", "mbind"), ("BPF", "bpf"),
     ("PERFMON", "perf_event_open"), ("DAC_READ_SEARCH", "open_by_handle_at"), ("SYSLOG", "syslog")],
)  # fmt: skip
def test_capabilities_open_calls(capability: str, name: str) -> None:
    assert ask(name) in (EPERM, ENOSYS)
    assert ask(name, capabilities=PLAIN | mask([capability])) == ALLOW


def test_clone_without_namespaces_only() -> None:
    assert ask("clone", 0x1200011) == ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert ask("clone", flag | 17) == EPERM
    assert ask("clone", 0x10000011, capabilities=PLAIN | mask(["SYS_ADMIN"])) == ALLOW


def test_clone3_is_unknown_rather_than_forbidden() -> None:
    assert ask("clone3") == ENOSYS


@pytest.mark.parametrize(
    ("value", "answer"), [(0, ALLOW), (8, ALLOW), (0x20000, ALLOW), (0x20008, ALLOW), (0xFFFFFFFF, ALLOW), (1, EPERM),
                          (0x40000, EPERM)],
)  # fmt: skip
def test_personality(value: int, answer: int) -> None:
    assert ask("personality", value) == answer


@pytest.mark.parametrize(
    ("family", "answer"), [(1, ALLOW), (2, ALLOW), (16, ALLOW), (40, EPERM), (1 << 32 | 40, EPERM)]
)
def test_socket_families(family: int, answer: int) -> None:
    assert ask("socket", family) == answer


def test_calls_newer_than_the_tables_are_unknown() -> None:
    program = default_program(PLAIN, "x86_64")
    for number in (470, 999, 0x3FFFFFFF):
        assert evaluate(program, number, AUDIT["x86_64"]) == ENOSYS


def test_every_number_of_the_tables_has_the_answer_of_its_name() -> None:
    for name, number in TABLES["x86_64"].items():
        answer = evaluate(default_program(PLAIN, "x86_64"), number, AUDIT["x86_64"], (1,) * 6)
        assert answer in (ALLOW, EPERM, ENOSYS), name
        assert (answer == ALLOW) == (ask(name, *(1,) * 6) == ALLOW)


def test_compatible_architectures() -> None:
    assert ask("socketcall", table="i386") == ALLOW
    assert ask("mount", table="i386") == EPERM
    assert ask("clone3", table="i386") == ENOSYS
    assert ask("ioctl", table="x32") == ALLOW
    assert ask("mount", table="x32") == EPERM


def test_another_architecture_is_killed() -> None:
    assert evaluate(default_program(PLAIN, "x86_64"), 0, AUDIT["aarch64"]) == KILL_PROCESS
    assert evaluate(default_program(PLAIN, "aarch64"), 0, AUDIT["x86_64"]) == KILL_PROCESS


def test_the_search_is_short() -> None:
    steps = 0
    program = default_program(PLAIN, "x86_64")
    assert len(program) // 8 < 1000
    position, code = 0, list(struct.iter_unpack("<HBBI", program))
    accumulator = AUDIT["x86_64"]
    number = TABLES["x86_64"]["read"]
    while code[position][0] != 0x06:
        operation, if_true, if_false, operand = code[position]
        position += 1
        steps += 1
        if operation == 0x20:
            accumulator = number if operand == 0 else AUDIT["x86_64"]
        elif operation == 0x05:
            position += operand
        elif operation == 0x15:
            position += if_true if accumulator == operand else if_false
        else:
            position += if_true if accumulator >= operand else if_false
    assert steps < 25


def test_an_architecture_that_we_do_not_know() -> None:
    with pytest.raises(EngineError) as caught:
        default_program(PLAIN, "riscv64")
    assert caught.value.reason == "unsupported-kernel"
