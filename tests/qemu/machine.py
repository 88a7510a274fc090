"""Booting the machine and reading what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.qemu import initramfs

_KERNELS = ("/boot", f"{Path(__file__).parents[2]}/.cache/kernel/boot")
"""Where a kernel may lie: installed, or unpacked by .ci/run; STACKFILE_TEST_KERNEL names another directory."""


def missing() -> str:
    """Why there can be no machine here, "" when there can be one."""
    if shutil.which("qemu-system-x86_64") is None:
        return "qemu-system-x86_64 is not installed"
    if kernel() is None:
        return "no kernel vmlinuz-*-cloud-amd64 to boot"
    if shutil.which("busybox") is None:
        return "busybox is not installed"
    return ""


def kernel() -> tuple[Path, Path] | None:
    """(kernel, its modules)."""
    for place in (os.environ.get("STACKFILE_TEST_KERNEL", ""), *_KERNELS):
        for image in sorted(Path(place).glob("vmlinuz-*-cloud-amd64")) if place else ():
            version = image.name.removeprefix("vmlinuz-")
            modules = image.parent.parent / "lib/modules" / version
            if modules.is_dir():
                return image, modules
    return None


def run(seconds: float) -> str:
    """Boot, run the guest's script, and return all that the console said."""
    found = kernel()
    assert found is not None
    with tempfile.TemporaryDirectory(prefix="sf-qemu-", dir="/var/tmp") as name:
        archive = Path(name) / "initramfs"
        initramfs.build(archive, found[1])
        command = [
            # No KVM: where machines are virtual themselves it may be there and hang.
            "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-m", "1024", "-smp", "2",
            "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio",
            "-kernel", str(found[0]), "-initrd", str(archive),
            "-append", "console=ttyS0 quiet panic=-1 cgroup_no_v1=all",
        ]  # fmt: skip
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired as error:
            return (error.stdout or b"").decode(errors="replace") + "\nTIMEOUT"
        return (done.stdout + done.stderr).decode(errors="replace")
