"""dpkg's database, as files of the test."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackfile.build.host import dpkg
from stackfile.errors import ActionError

STATUS = """\
Package: app
Status: install ok installed
Architecture: amd64
Depends: libone (>= 1), missing | libtwo:any, mta, libc6 (>= 2)
Description: an app
 Depends: not-this

Package: libone
Status: install ok installed
Architecture: amd64
Pre-Depends: libtwo

Package: libtwo
Status: install ok installed
Architecture: amd64
Depends: app

Package: exim
Status: install ok installed
Architecture: amd64
Provides: mta (= 1), mail

Package: gone
Status: deinstall ok config-files
Architecture: amd64
"""


@pytest.fixture
def packages(tmp_path: Path) -> dpkg.Packages:
    (tmp_path / "info").mkdir()
    (tmp_path / "alternatives").mkdir()
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "diversions").write_text("/bin/a\n/bin/a.real\nlibone\n")
    (tmp_path / "info/app.list").write_text("/.\n/bin\n/bin/a\n")
    (tmp_path / "info/libone:amd64.list").write_text("/.\n/bin/a\n")
    return dpkg.Packages(str(tmp_path))


def test_choose(packages: dpkg.Packages) -> None:
    assert packages.choose(["app"], False) == ["app"]
    assert packages.choose(["lib*"], False) == ["libone", "libtwo"]
    assert packages.choose(["mail"], False) == ["exim"]
    assert sorted(packages.choose(["app"], True)) == ["app", "exim", "libone", "libtwo"]


@pytest.mark.parametrize(("name", "hint"), [("libon", "did you mean libone?"), ("gone", ""), ("zzz", "apt-get")])
def test_what_is_not_installed(packages: dpkg.Packages, name: str, hint: str) -> None:
    with pytest.raises(ActionError) as caught:
        packages.choose([name], False)
    assert caught.value.reason == "host-program-missing"
    assert hint in caught.value.hint


def test_files_and_diversions(packages: dpkg.Packages, tmp_path: Path) -> None:
    assert list(packages.files("app")) == ["/bin", "/bin/a.real"]
    assert list(packages.files("libone")) == ["/bin/a"]
    assert f"{tmp_path}/info/app.list" in packages.watched


def test_a_machine_without_dpkg(tmp_path: Path) -> None:
    with pytest.raises(ActionError) as caught:
        dpkg.Packages(f"{tmp_path}/nothing")
    assert caught.value.reason == "host-program-missing"


@pytest.mark.parametrize(
    ("pattern", "path", "result"),
    [
        ("/usr/share/doc", "/usr/share/doc", True),
        ("/usr/share/doc", "/usr/share/doc/x/y", True),
        ("/usr/share/doc", "/usr/share/docs", False),
        ("/usr/*/man", "/usr/share/man/man1", True),
        ("/usr/*/man", "/usr/share/x/man", False),
        ("/usr/**/man", "/usr/share/x/man", True),
        ("/usr/lib/*.a", "/usr/lib/libx.a", True),
        ("/usr/lib/x.a", "/usr/lib/xya", False),
    ],
)
def test_excluded(pattern: str, path: str, result: bool) -> None:
    assert (dpkg.excluded(["/none", pattern]).fullmatch(path) is not None) == result


def test_nothing_is_excluded_by_nothing() -> None:
    assert dpkg.excluded([]).fullmatch("/x") is None
