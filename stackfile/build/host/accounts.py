"""Accounts of this machine for an image: users with their groups, by name or by what files belong to (passwd(5))."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stackfile.errors import ActionError

PASSWD = "/etc/passwd"
GROUP = "/etc/group"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounts:
    """Lines for the image's passwd and group files, and the users' homes."""

    passwd: tuple[str, ...] = ()
    group: tuple[str, ...] = ()
    homes: tuple[str, ...] = ()


def collect(
    names: Sequence[str], uids: Iterable[int], gids: Iterable[int], passwd: str = PASSWD, group: str = GROUP
) -> Accounts:
    """Accounts by name, by uid and by gid; users bring their groups. ActionError (`host-program-missing`)."""
    users = {fields[0]: fields for fields in _lines(passwd, 7)}
    groups = {fields[0]: fields for fields in _lines(group, 4)}
    for name in names:
        if name not in users:
            raise ActionError("host-program-missing", f"there is no user {name!r} on this machine")
    wanted_uids = set(uids) - {0}
    chosen = {name: users[name] for name in users if name in names or int(users[name][2]) in wanted_uids}
    wanted_gids = (set(gids) | {int(fields[3]) for fields in chosen.values()}) - {0}
    found = []
    for fields in groups.values():
        members = [name for name in fields[3].split(",") if name in chosen]
        if members or int(fields[2]) in wanted_gids:
            found.append(":".join((*fields[:3], ",".join(members))))
    return Accounts(
        passwd=tuple(":".join(fields) for fields in chosen.values()),
        group=tuple(found),
        homes=tuple(dict.fromkeys(users[name][5] for name in names)),
    )


def merged(text: str, lines: Sequence[str]) -> str:
    """The text of a passwd or group file with the lines whose names it has not."""
    known = {line.partition(":")[0] for line in text.splitlines()}
    fresh = [line for line in lines if line.partition(":")[0] not in known]
    if not fresh:
        return text
    start = text if not text or text.endswith("\n") else f"{text}\n"
    return start + "".join(f"{line}\n" for line in fresh)


def _lines(path: str, count: int) -> list[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            found = [line.split(":") for line in file.read().splitlines()]
    except FileNotFoundError:
        return []
    return [fields for fields in found if len(fields) == count and fields[2].isdigit()]
