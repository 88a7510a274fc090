"""What the machine boots with: the base interpreter of this environment, the project with its dependencies, busybox,
and the kernel's modules for containers.
"""

from __future__ import annotations

import compileall
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from tests.qemu.cpio import Archive

GUEST = "/guest.py"
_ROOT = Path(__file__).parents[2]
_MODULES = (
    "overlay", "veth", "bridge", "br_netfilter", "nf_tables", "nft_chain_nat", "nft_ct", "nft_nat", "nft_masq",
    "nft_redir", "nft_fib_inet", "nft_reject_inet", "nft_limit", "nft_log", "nf_conntrack_netlink",
)  # fmt: skip
_SKIP = frozenset({
    "test", "tests", "idlelib", "lib2to3", "ensurepip", "tkinter", "turtledemo", "site-packages", "dist-packages",
    "distutils", "pydoc_data", "config-3.11-x86_64-linux-gnu",
})  # fmt: skip
_INIT = """#!/bin/busybox sh
# The first root of a machine cannot be pivoted away from: go on in a mount on top of it, as every initramfs does.
/bin/busybox mount --bind / /top
cd /top
/bin/busybox mount --move . /
exec /bin/busybox chroot . {python} -I {guest}
"""


def build(path: Path, modules: Path) -> None:
    """Write the archive to `path`. `modules` is a kernel's directory of modules."""
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    stdlib, packages = _places(python)
    compileall.compile_dir(_ROOT / "stackfile", quiet=2)  # the machine is slow
    with path.open("wb") as out:
        archive = Archive(out)
        archive.add(python)
        archive.tree(stdlib, skip=_SKIP)
        for file, target in _distributions(packages):
            archive.add(file, target)
        archive.tree(_ROOT / "stackfile", f"{packages}/stackfile")
        busybox = shutil.which("busybox")
        assert busybox
        archive.add(Path(busybox).resolve(), "/bin/busybox")
        archive.add(Path(busybox).resolve(), busybox)
        extensions = [*(stdlib / "lib-dynload").glob("*.so"), *(file for file, _ in _distributions(packages))]
        for library in _libraries([python, *extensions]):
            archive.add(library)
        for number, module in enumerate(_in_order(modules)):
            archive.file(f"/modules/{number:03}-{module.name}", module.read_bytes())
        _rest(archive, python)
        archive.close()


def _rest(archive: Archive, python: Path) -> None:
    archive.file(GUEST, (_ROOT / "tests/qemu/guest.py").read_bytes())
    archive.file("/init", _INIT.format(python=python, guest=GUEST).encode(), 0o755)
    for name in ("dev", "proc", "sys", "run", "tmp", "var/lib", "root", "top", "sbin", "etc"):
        archive.directory(f"/{name}")
    archive.device("/dev/console", 5, 1)
    archive.file("/etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    archive.file("/etc/group", b"root:x:0:\n")
    archive.file("/etc/hosts", b"127.0.0.1 localhost\n")


def _places(python: Path) -> tuple[Path, str]:
    """The interpreter's library, and where it looks for packages."""
    asked = "import os, site; print(os.path.dirname(os.__file__)); print(site.getsitepackages()[0])"
    out = subprocess.run([python, "-I", "-c", asked], capture_output=True, text=True, check=True).stdout.split("\n")
    return Path(out[0]), out[1]


def _distributions(packages: str) -> list[tuple[Path, str]]:
    """(file, where it goes) of everything that the project needs at run time."""
    wanted, seen = ["stackfile"], set[str]()
    files: list[tuple[Path, str]] = []
    while wanted:
        name = re.sub(r"[-_.]+", "-", wanted.pop()).lower()
        if name in seen:
            continue
        seen.add(name)
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # for other versions of Python
        wanted += [_name(text) for text in distribution.requires or () if "extra ==" not in text]
        for entry in distribution.files or ():
            skipped = any(part in _SKIP or part in ("..", "bin") for part in entry.parts)
            located = Path(str(distribution.locate_file(entry)))
            if name != "stackfile" and not skipped and located.is_file():
                files.append((located, f"{packages}/{entry}"))
    return files


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return found.group()


def _libraries(programs: list[Path]) -> list[Path]:
    files = [str(file) for file in programs if file.suffix == ".so" or ".so." in file.name or file == programs[0]]
    out = subprocess.run(["ldd", *files], capture_output=True, text=True, check=False).stdout
    return [Path(found) for found in sorted(set(re.findall(r"(?:=> |^\s+)(/\S+) \(", out, re.M)))]


def _in_order(directory: Path) -> list[Path]:
    """The modules that are needed, each after those that it needs."""
    files = {file.name.partition(".")[0].replace("-", "_"): file for file in directory.rglob("*.ko")}
    ordered: dict[str, Path] = {}

    def visit(name: str) -> None:
        file = files.get(name.replace("-", "_"))
        if file is None or name in ordered:
            return  # built in, or another kernel's
        depends = re.search(rb"\0depends=([^\0]*)\0", file.read_bytes())
        for other in depends.group(1).decode().split(",") if depends else ():
            visit(other.replace("-", "_"))
        ordered[name] = file

    for name in _MODULES:
        visit(name)
    return list(ordered.values())
