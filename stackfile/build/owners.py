"""`chown: user[:group]` of a copy step, by number or by name in the image's own accounts (Dockerfile COPY --chown)."""

from __future__ import annotations

from stackfile.errors import ActionError
from stackfile.images.view import MergedView

_LARGEST_FILE = 1 << 20
_LARGEST_ID = 0xFFFFFFFE


def resolve(text: str, view: MergedView) -> tuple[int, int]:
    """(uid, gid); root where nothing is said. ActionError (`build-failed`) for an unknown name.

    Without a group, a name's group is its primary one, and a number's is the same number.
    """
    if not text:
        return 0, 0
    user, colon, group = text.partition(":")
    uid, primary = _user(user, view)
    return uid, _group(group, view) if colon and group else primary


def _user(name: str, view: MergedView) -> tuple[int, int]:
    if name.isdigit():
        number = _number(name)
        return number, number
    for fields in _lines("/etc/passwd", view):
        if fields[0] == name and len(fields) > 3:
            return int(fields[2]), int(fields[3])
    raise ActionError("build-failed", f"chown: the image has no user {name!r}")


def _group(name: str, view: MergedView) -> int:
    if name.isdigit():
        return _number(name)
    for fields in _lines("/etc/group", view):
        if fields[0] == name and len(fields) > 2:
            return int(fields[2])
    raise ActionError("build-failed", f"chown: the image has no group {name!r}")


def _number(text: str) -> int:
    number = int(text)
    if number > _LARGEST_ID:
        raise ActionError("build-failed", f"chown: {text} is not an id")
    return number


def _lines(path: str, view: MergedView) -> list[list[str]]:
    data = view.read(path, _LARGEST_FILE) or b""
    return [line.split(":") for line in data.decode(errors="replace").splitlines() if ":" in line]
