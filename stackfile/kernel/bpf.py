"""bpf(2), as much as the v2 device controller needs."""

from __future__ import annotations

import ctypes
import os
import struct

from stackfile.kernel.syscalls import call

_PROG_LOAD = 5
_PROG_ATTACH = 8
_PROG_DETACH = 9
_PROG_GET_FD_BY_ID = 13
_PROG_QUERY = 16
_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2
_MOST = 64
"""Programs that a cgroup may have (BPF_CGROUP_MAX_PROGS)."""


def replace_device_program(cgroup: str, program: bytes) -> None:
    """Have `program` decide in place of what decides now; there is no moment without. Raises KernelError."""
    before = _device_programs(cgroup)
    attach_device_program(cgroup, program)
    for identity in before:
        _detach_device_program(cgroup, identity)


def _device_programs(cgroup: str) -> list[int]:
    """Ids of the device programs that are attached to the cgroup itself."""
    identities = (ctypes.c_uint32 * _MOST)()
    directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        query = bytearray(
            struct.pack("<IIIIQI4x", directory, _ATTACH_CGROUP_DEVICE, 0, 0, ctypes.addressof(identities), _MOST)
        )
        call("bpf", _PROG_QUERY, query, len(query), subject=f"device programs of {cgroup}")
        return list(identities[: struct.unpack_from("<I", query, 24)[0]])
    finally:
        os.close(directory)


def _detach_device_program(cgroup: str, identity: int) -> None:
    wanted = struct.pack("<III", identity, 0, 0)
    program = call("bpf", _PROG_GET_FD_BY_ID, wanted, len(wanted), subject=f"program {identity}")
    try:
        directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            target = struct.pack("<IIII", directory, program, _ATTACH_CGROUP_DEVICE, 0)
            call("bpf", _PROG_DETACH, target, len(target), subject=f"detach program {identity} from {cgroup}")
        finally:
            os.close(directory)
    finally:
        os.close(program)


def attach_device_program(cgroup: str, program: bytes) -> None:
    """Load an eBPF device program and attach it to a cgroup directory. Raises KernelError."""
    code = ctypes.create_string_buffer(program, len(program))
    licence = ctypes.create_string_buffer(b"Apache-2.0")
    attributes = struct.pack(
        "<IIQQIIQII16s",
        _TYPE_CGROUP_DEVICE,
        len(program) // 8,
        ctypes.addressof(code),
        ctypes.addressof(licence),
        0,
        0,
        0,
        0,
        0,
        b"sf_devices",
    )
    loaded = call("bpf", _PROG_LOAD, attributes, len(attributes), subject="load device program")
    try:
        directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            target = struct.pack("<IIII", directory, loaded, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI)
            call("bpf", _PROG_ATTACH, target, len(target), subject=f"attach device program to {cgroup}")
        finally:
            os.close(directory)
    finally:
        os.close(loaded)
