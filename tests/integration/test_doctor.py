"""`system doctor` on machines that lack something: every need at once, each with the way to mend it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stackfile.kernel.syscalls import number
from tests.conftest import PROGRAM, Box, own_settings

pytestmark = pytest.mark.root

_LOOK = "from stackfile.engines.embedded.checks.__main__ import main\n"
_FILTER = """
import struct
from stackfile.kernel.syscalls import install_seccomp
rows = [(0x20, 0, 0, 0)]
for number in NUMBERS:
    rows += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 38)]
rows.append((0x06, 0, 0, 0x7FFF0000))
install_seccomp(b"".join(struct.pack("<HBBI", *row) for row in rows))
"""


def look(directory: Path, *, before: str = "", shell: str = "", options: str = "-m") -> dict[str, tuple[str, str, str]]:
    """The findings by name (status, found, mend), of a process that `before` or `shell` took something from."""
    settings = own_settings(directory)
    script = f'{shell}\nexec {sys.executable} -I -c "$SCRIPT"'
    done = subprocess.run(
        ["unshare", *options.split(), "sh", "-ec", script],
        env={**os.environ, **settings.environment(), "SCRIPT": f"{_LOOK}{before}\nmain()"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return {row["check"]: (row["status"], row["found"], row["mend"]) for row in json.loads(done.stdout)}


def test_everything_is_there(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert {status for status, _, _ in found.values()} <= {"ok", "warning"}, found
    assert all(mend == "" for status, _, mend in found.values() if status == "ok"), found
    for name in (
        "mount API",
        "nftables",
        "links",
        "cgroups",
        "seccomp",
        "names",
        "clock",
        "other engines",
        "open files",
    ):
        assert name in found


def test_all_that_is_missing_is_told_at_once(tmp_path: Path) -> None:
    """A kernel without some calls, settings and groups that cannot be written, few descriptors, no name server."""
    numbers = [number(name) for name in ("fsopen", "pidfd_getfd", "clone3")]
    taken = """
    mount --make-rprivate /
    for path in /proc/sys $(awk '$3 ~ /^cgroup/ {print $2}' /proc/mounts); do
        mount --bind $path $path; mount -o remount,ro,bind $path
    done
    mount --bind /dev/null /etc/resolv.conf
    ulimit -n 512
    """
    found = look(tmp_path, shell=taken, before=_FILTER.replace("NUMBERS", repr(numbers)))
    missing = {name: mend for name, (status, _, mend) in found.items() if status == "missing"}
    assert set(missing) == {"mount API", "pidfds", "clone3", "/proc/sys", "delegation"}, found
    assert found["mount API"][1] == "without fsopen"
    warned = {name: mend for name, (status, _, mend) in found.items() if status == "warning"}
    assert {"storage", "open files", "names"} <= set(warned), found
    assert all(missing.values())
    assert all(warned.values())


def test_rights_that_are_missing(tmp_path: Path) -> None:
    """Root without capabilities, as in a container of somebody else's; and an ordinary user."""
    few = "from stackfile.kernel.capabilities import BITS, permitted, set_all\n"
    few += "keep = permitted() & ~BITS['NET_ADMIN'] & ~BITS['SYS_ADMIN']; set_all(keep, keep, 0)"
    found = look(tmp_path, before=few)
    assert found["capabilities"][:2] == ("missing", "without NET_ADMIN, SYS_ADMIN")
    for name in ("network namespaces", "links", "nftables", "mount API"):
        assert found[name][0] == "missing", found[name]
    nobody = look(tmp_path, before="import os; os.setgroups([]); os.setgid(65534); os.setuid(65534)")
    assert nobody["root"][0] == "missing"
    assert "root" in nobody["root"][2]
    for name in ("network namespaces", "links", "nftables", "storage"):
        assert nobody[name][0] == "warning", nobody[name]
    # What anybody can see is told to anybody.
    for name in ("kernel", "namespaces", "cgroups", "disk", "open files", "clock", "names", "other engines"):
        assert nobody[name][0] in ("ok", "warning"), nobody[name]
        assert "could not" not in nobody[name][1]


def test_namespaces_that_may_not_be_made(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    found = look(tmp_path, options="-mUr", shell="echo 0 > /proc/sys/user/max_net_namespaces")
    assert found["users"][0] == "warning"
    status, what, mend = found["namespaces"]
    assert (status, what, mend) == ("missing", "none of net may be made", "sysctl -w user.max_net_namespaces=10000")
    assert found["network namespaces"][0] == "missing"


def test_without_a_daemon(box: Box) -> None:
    """Nothing is started; the exit code says whether something is missing."""
    rows = box.json("system", "doctor")
    assert rows[-1]["check"] == "daemon"
    assert not os.path.exists(f"{box.settings.run}/lock")
    script = 'mount --bind /proc/sys /proc/sys; mount -o remount,ro,bind /proc/sys; exec "$@"'
    environment = {**os.environ, **box.settings.environment()}
    done = subprocess.run(
        ["unshare", "-m", "sh", "-ec", script, "sh", *PROGRAM, "system", "doctor"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stdout
    lines = done.stdout.splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith(" ✘"))
    assert "/proc/sys" in lines[at]
    assert "remount,rw /proc/sys" in lines[at + 1]
