"""Forwarding of IPv4 and IPv6: on while we have networks, and as it was before when we have none.

The old value waits in the journal as an open intent for as long as the change lasts. Where another engine of ours still
has networks then, the duty to restore it passes to that one: by an empty nftables table that says so in its comment,
which every engine of this network namespace sees and a reboot takes away together with the setting.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stackfile.kernel import nftables as nft
from stackfile.kernel.nftables import Family, Nftables
from stackfile.network import sysctl, table
from stackfile.network.journal import Journal

KIND = "network.forwarding"
_LEGACIES = {sysctl.FORWARD: "stackfile-forward4", sysctl.FORWARD6: "stackfile-forward6"}
"""Tables by which the duty is passed on."""
_ROOM = 240
"""Bytes of a table's comment."""
_PATIENCE = 5.0
"""Seconds. Anybody can lock what anybody can read, and may not hinder us for longer."""
_PAUSE = 0.002


@dataclass(frozen=True, slots=True)
class _Duty:
    """A setting that was off: the bridges of others there were then, and interfaces that listened to routers."""

    setting: str
    bridges: frozenset[str]
    listeners: tuple[str, ...] = ()

    def comment(self) -> str:
        """As a table's comment. A bridge that has no room counts as a new one: then forwarding stays on."""
        text = f"{' '.join(self.listeners)}|"
        for bridge in sorted(self.bridges):
            text += f"{bridge} " if len(text) + len(bridge) < _ROOM else ""
        return text.strip()


def enable(journal: Journal, setting: str, foreign_bridges: Callable[[], Iterable[str]]) -> None:
    """Switch `setting` (of sysctl.py) on, unless it is; remember that it was off and which bridges there were then.

    Interfaces that take their IPv6 routes from routers go on doing so (accept_ra 2): a router would not by itself.
    """
    with _alone():
        if sysctl.read(setting) != "1":
            _switch_on(journal, setting, foreign_bridges())


def _switch_on(journal: Journal, setting: str, foreign_bridges: Iterable[str]) -> None:
    listeners = _listeners() if setting == sysctl.FORWARD6 else []
    if not any(intent.kind == KIND and intent.key == setting for intent in journal.entries()):
        bridges = " ".join(sorted(foreign_bridges))
        journal.begin(KIND, setting, {"old": "0", "bridges": bridges, "listeners": " ".join(listeners)})
    for interface in listeners:
        sysctl.write(f"ipv6/conf/{interface}/accept_ra", "2")
    sysctl.write(setting, "1")


def restore(journal: Journal, kernel: Nftables, ours: str, foreign_bridges: Callable[[], Iterable[str]]) -> None:
    """Put the old values back; `ours` is our own table.

    A bridge of others that came in between belongs to somebody who found forwarding on and relies on it: then it
    stays on. If it is another engine of ours, that one will restore it.
    """
    with _alone():
        foreign = set(foreign_bridges())
        for duty in [*_inherited(kernel), *_own(journal)]:
            newer = foreign - duty.bridges
            if not newer:
                _put_back(duty)
            _pass_on(kernel, duty, bool(newer) and newer <= _bridges_of_engines(kernel, ours))
    for intent in journal.entries():
        if intent.kind == KIND:
            journal.done(intent.id)


@contextmanager
def _alone() -> Iterator[None]:
    """No other engine of this network namespace looks at forwarding, or switches it, while the block runs.

    Else one that has its first network made could find forwarding on just before one without networks puts it back.
    """
    with open(f"/proc/sys/net/{sysctl.FORWARD}") as file:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE)
            else:
                break
        yield


def _put_back(duty: _Duty) -> None:
    sysctl.write(duty.setting, "0")
    for interface in duty.listeners:
        if sysctl.read(f"ipv6/conf/{interface}/accept_ra") == "2":
            sysctl.write(f"ipv6/conf/{interface}/accept_ra", "1")


def _own(journal: Journal) -> list[_Duty]:
    return [
        _Duty(
            intent.key,
            frozenset(intent.data["bridges"].split()),
            tuple(intent.data.get("listeners", "").split()),
        )
        for intent in journal.entries()
        if intent.kind == KIND
    ]


def _inherited(kernel: Nftables) -> list[_Duty]:
    """Duties that other engines passed on."""
    found = []
    for setting, name in _LEGACIES.items():
        comment = kernel.table_comment(Family.INET, name)
        if comment is not None:
            listeners, _, bridges = comment.partition("|")
            found.append(_Duty(setting, frozenset(bridges.split()), tuple(listeners.split())))
    return found


def _pass_on(kernel: Nftables, duty: _Duty, wanted: bool) -> None:
    """Leave the duty to the others, or take it off the list."""
    name = _LEGACIES[duty.setting]
    present = kernel.table_comment(Family.INET, name) is not None
    if wanted and not present:
        kernel.commit([nft.add_table(Family.INET, name, duty.comment() or "|")])
    if not wanted and present:
        kernel.commit([nft.delete_table(Family.INET, name)])


def _bridges_of_engines(kernel: Nftables, ours: str) -> set[str]:
    """Bridges of the other engines of ours."""
    found: set[str] = set()
    for name, comment in kernel.tables(Family.INET).items():
        if comment == table.LAYOUT and name != ours:
            found |= {element.key.rstrip(b"\0").decode() for element in kernel.elements(Family.INET, name, "bridges")}
    return found


def _listeners() -> list[str]:
    """Interfaces that take router advertisements now, and would not as a router (accept_ra 1)."""
    try:
        names = os.listdir("/proc/sys/net/ipv6/conf")
    except FileNotFoundError:
        return []
    return sorted(name for name in names if sysctl.read(f"ipv6/conf/{name}/accept_ra") == "1")
