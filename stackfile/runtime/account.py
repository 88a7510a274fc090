"""`user[:group]` to numeric ids, by the text of the image's own /etc/passwd and /etc/group (as Docker does it)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from stackfile.errors import ActionError
from stackfile.runtime.instructions import Account

_LARGEST = (1 << 31) - 1


def resolve(user: str, passwd: str, group: str, group_add: Sequence[str] = ()) -> Account:
    """The account that `user` (`""`, `name`, `uid`, `name:group`, `uid:gid`) means.

    `passwd` and `group` are the texts of those files. A number need not be in them; a name must. Without `:group`, a
    user found in passwd has its own group and its memberships; an unknown number has group 0 and none.
    Raises ActionError (`bad-request`).
    """
    name, colon, group_name = user.partition(":")
    entry = _user(name or "0", passwd)
    uid, gid, home, login = entry if entry else (_number(name, "user", "passwd"), 0, "/", "")
    groups: list[int] = []
    if colon and group_name:
        gid = _group(group_name, group)
    elif login:
        groups = _memberships(login, group)
    groups += [_group(extra, group) for extra in group_add]
    return Account(uid=uid, gid=gid, groups=tuple(dict.fromkeys(groups)), home=home or "/")


def _user(name: str, passwd: str) -> tuple[int, int, str, str] | None:
    """(uid, gid, home, login) of the first entry whose name or number is `name`; a name wins over a number."""
    by_number = None
    for row in _rows(passwd, 6):
        if not (row[2].isdigit() and row[3].isdigit()):
            continue
        found = (int(row[2]), int(row[3]), row[5], row[0])
        if row[0] == name:
            return found
        if by_number is None and name.isdigit() and found[0] == int(name):
            by_number = found
    return by_number


def _group(name: str, text: str) -> int:
    for row in _rows(text, 3):
        if row[0] == name and row[2].isdigit():
            return int(row[2])
    return _number(name, "group", "group")


def _memberships(login: str, text: str) -> list[int]:
    return [int(row[2]) for row in _rows(text, 4) if row[2].isdigit() and login in row[3].split(",")]


def _number(text: str, kind: str, file: str) -> int:
    if not text:
        return 0
    if text.isdigit() and int(text) <= _LARGEST:
        return int(text)
    raise ActionError(
        "bad-request",
        f"unable to find {kind} {text}",
        cause=f"no matching entries in {file} file",
        hint=f"use a number, or a {kind} of the image's /etc/{file}",
    )


def _rows(text: str, fields: int) -> Iterator[list[str]]:
    for line in text.splitlines():
        row = line.strip().split(":")
        if len(row) >= fields and not line.startswith("#"):
            yield row
