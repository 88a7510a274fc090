"""bpf(2), as much as the v2 device controller needs."""

from __future__ import annotations

import ctypes
import os
import struct

from stackfile.kernel.syscalls import call

_PROG_LOAD = 5
_PROG_ATTACH = 8
_TYPE_CGROUP_DEVICE = 15
_ATTACH_CGROUP_DEVICE = 6
_ALLOW_MULTI = 2


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
