"""Shows pulls and loads: a row an image, with the bytes of all its layers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from stackfile.cli.context import Context
from stackfile.cli.output import progress, units
from stackfile.errors import StackfileError
from stackfile.model.event import JobEvent
from stackfile.model.image import ImageRecord, Transfer

_DOWNLOADING, _DOWNLOADED = "Downloading", "Download complete"
_DONE = ("Pull complete", "Already exists")


class Shown:
    """The row of one image; called with its progress."""

    def __init__(self, shown: progress.Progress, reference: str, action: str) -> None:
        self._shown = shown
        self._address = f"image.{reference}"
        self._action = action
        self._began = time.monotonic()
        self._layers: dict[str, str] = {}
        self._bytes: dict[str, tuple[int, int]] = {}
        self._told = ""

    def __call__(self, transfer: Transfer) -> None:
        if transfer.status.startswith("Pulling from") or not transfer.id:
            return
        self._layers[transfer.id] = transfer.status
        if transfer.status == _DOWNLOADING:
            self._bytes[transfer.id] = (transfer.current, transfer.total)
        elif transfer.status == _DOWNLOADED:
            total = self._bytes.get(transfer.id, (0, 0))[1]
            self._bytes[transfer.id] = (total, total)
        text = self._text()
        if text != self._told:
            self._told = text
            self._feed("progress", detail=text)

    def begin(self) -> None:
        self._feed("started")

    def end(self, word: str, detail: str) -> None:
        self._feed("done", word=word, detail=detail)

    def fail(self) -> None:
        self._feed("failed", word="failed")

    def _text(self) -> str:
        done = sum(status in _DONE for status in self._layers.values())
        here = sum(current for current, _ in self._bytes.values())
        total = sum(size for _, size in self._bytes.values())
        parts = [f"{done} of {len(self._layers)} layers"]
        if total:
            parts.append(f"{units.size(here)} of {units.size(total)}")
        return ", ".join(parts)

    def _feed(self, status: str, *, word: str = "", detail: str = "") -> None:
        self._shown.feed(
            JobEvent(
                sequence=0,
                type="action",
                id=self._address,
                address=self._address,
                action=self._action,
                status=status,
                word=word,
                detail=detail,
                seconds=round(time.monotonic() - self._began, 3),
            )
        )


@contextmanager
def showing(context: Context) -> Iterator[progress.Progress]:
    """Rows for as long as this lasts; none with --json, whose document says what came of it."""
    shown = progress.Progress(context.console) if context.console.json else progress.make(context.console)
    try:
        yield shown
    finally:
        shown.close()


def pull(context: Context, reference: str, platform: str, shown: progress.Progress) -> ImageRecord:
    """Pull one image and show it. Errors as the client's `pull_image`, and those of the caller's credentials."""
    from stackfile.api.credentials import Credentials
    from stackfile.api.references import registry_of

    row = Shown(shown, reference, "pull")
    row.begin()
    try:
        auth = Credentials(context.environ).get(registry_of(reference))
        record = context.client().pull_image(reference, platform=platform, auth=auth, told=row)
    except StackfileError:
        row.fail()
        raise
    row.end("pulled", units.size(record.size))
    return record
