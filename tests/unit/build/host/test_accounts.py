"""Accounts of the machine for an image."""

from __future__ import annotations

from pathlib import Path

import pytest

from stackfile.build.host import accounts
from stackfile.build.host.accounts import Accounts
from stackfile.errors import ActionError

PASSWD = "root:x:0:0:root:/root:/bin/sh\ndb:x:101:104:,,,:/var/lib/db:/bin/sh\nweb:x:33:33::/srv:/bin/false\nbroken\n"
GROUP = "root:x:0:\ndb:x:104:\nssl:x:103:db,web\nwww:x:33:\nadm:x:4:root\n"


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "passwd").write_text(PASSWD)
    (tmp_path / "group").write_text(GROUP)
    return str(tmp_path / "passwd"), str(tmp_path / "group")


def test_by_name_with_groups_and_home(files: tuple[str, str]) -> None:
    assert accounts.collect(["db"], (), (), *files) == Accounts(
        passwd=("db:x:101:104:,,,:/var/lib/db:/bin/sh",), group=("db:x:104:", "ssl:x:103:db"), homes=("/var/lib/db",)
    )


def test_by_what_files_belong_to(files: tuple[str, str]) -> None:
    found = accounts.collect([], {0, 33}, {0, 4}, *files)
    assert [line.split(":")[0] for line in found.passwd] == ["web"]
    assert found.group == ("ssl:x:103:web", "www:x:33:", "adm:x:4:")
    assert found.homes == ()


def test_an_unknown_user(files: tuple[str, str]) -> None:
    with pytest.raises(ActionError) as caught:
        accounts.collect(["nobody-here"], (), (), *files)
    assert caught.value.reason == "host-program-missing"


def test_lines_are_added_once() -> None:
    assert accounts.merged("a:1", ["b:2", "a:3"]) == "a:1\nb:2\n"
    assert accounts.merged("a:1\n", ["a:3"]) == "a:1\n"
    assert accounts.merged("", ["a:3"]) == "a:3\n"
