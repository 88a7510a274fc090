from __future__ import annotations

import pytest

from stackfile.errors import ActionError
from stackfile.runtime.account import resolve
from stackfile.runtime.instructions import Account

PASSWD = """root:x:0:0:root:/root:/bin/sh
# a comment
broken line
alice:x:1000:1000:Alice:/home/alice:/bin/sh
1234:x:1500:1500::/home/digits:/bin/sh
nohome:x:1600:1600:::/bin/sh
"""
GROUP = """root:x:0:
alice:x:1000:
wheel:x:10:alice,bob
video:x:44:alice
"""


@pytest.mark.parametrize(
    ("user", "account"),
    [
        ("", Account(uid=0, gid=0, home="/root")),
        ("root", Account(uid=0, gid=0, home="/root")),
        ("alice", Account(uid=1000, gid=1000, groups=(10, 44), home="/home/alice")),
        ("1000", Account(uid=1000, gid=1000, groups=(10, 44), home="/home/alice")),
        ("alice:wheel", Account(uid=1000, gid=10, home="/home/alice")),
        ("alice:77", Account(uid=1000, gid=77, home="/home/alice")),
        ("4321", Account(uid=4321, gid=0, home="/")),
        ("4321:4322", Account(uid=4321, gid=4322, home="/")),
        ("1234", Account(uid=1500, gid=1500, home="/home/digits")),
        ("nohome", Account(uid=1600, gid=1600, home="/")),
        ("alice:", Account(uid=1000, gid=1000, groups=(10, 44), home="/home/alice")),
    ],
)
def test_users(user: str, account: Account) -> None:
    assert resolve(user, PASSWD, GROUP) == account


def test_more_groups() -> None:
    assert resolve("alice", PASSWD, GROUP, ("video", "99")).groups == (10, 44, 99)


def test_an_image_without_files() -> None:
    assert resolve("", "", "") == Account(uid=0, gid=0, home="/")
    assert resolve("5:6", "", "") == Account(uid=5, gid=6, home="/")


@pytest.mark.parametrize("user", ["bob", "alice:nogroup", "99999999999", "-1"])
def test_unknown_names(user: str) -> None:
    with pytest.raises(ActionError) as caught:
        resolve(user, PASSWD, GROUP)
    assert caught.value.reason == "bad-request"
