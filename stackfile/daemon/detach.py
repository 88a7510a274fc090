"""Detach keys: the sequence that ends an attach and leaves the process running (`ctrl-p,ctrl-q`)."""

from __future__ import annotations

from stackfile.errors import ActionError

DEFAULT = "ctrl-p,ctrl-q"
_SPECIAL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_keys(text: str) -> bytes:
    """`ctrl-p,ctrl-q` or `a,b` as bytes; the default for an empty text. Raises ActionError (`bad-request`)."""
    return bytes(_key(key) for key in (text or DEFAULT).split(","))


def _key(key: str) -> int:
    if key.startswith("ctrl-") and len(key) == 6:
        letter = key[5]
        if letter in _SPECIAL:
            return _SPECIAL[letter]
        if "a" <= letter.lower() <= "z":
            return ord(letter.lower()) - ord("a") + 1
    if len(key) == 1 and key.isascii():
        return ord(key)
    raise ActionError("bad-request", f"Invalid detach keys: {key!r} is neither a character nor ctrl-LETTER")


class Detector:
    """Watches input for a sequence; holds back its beginning until it is clear that it is not the sequence."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._matched = 0
        self.found = False

    def feed(self, data: bytes) -> bytes:
        """What of `data` (and of what was held back) goes to the process; sets `found` at the sequence's end."""
        passed = bytearray()
        for byte in data:
            if byte != self._keys[self._matched]:
                passed += self._keys[: self._matched]
                self._matched = 0
            if byte == self._keys[self._matched]:
                self._matched += 1
            else:
                passed.append(byte)
            if self._matched == len(self._keys):
                self.found = True
                break
        return bytes(passed)
