"""The journal that the network code writes its intents to: run.db."""

from __future__ import annotations

from collections.abc import Mapping

from stackfile import wire
from stackfile.network.journal import Intent
from stackfile.store.run import RunStore


class RunJournal:
    """Implements `network.journal.Journal`."""

    def __init__(self, run: RunStore) -> None:
        self._run = run

    def begin(self, kind: str, key: str, data: Mapping[str, str]) -> int:
        return self._run.begin(kind, key, wire.encode(dict(data)).decode())

    def done(self, id: int) -> None:  # noqa: A002
        self._run.done(id)

    def entries(self) -> list[Intent]:
        """Those of the network code, oldest first."""
        return [
            Intent(row.id, row.kind, row.key, wire.decode(row.data, dict[str, str]))
            for row in self._run.intents()
            if row.kind.startswith("network.")
        ]
