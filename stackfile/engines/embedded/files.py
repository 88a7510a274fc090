"""Contents of configs and secrets, known by HMAC: kept in the state root, never in a database or a record."""

from __future__ import annotations

import os
import secrets
import string
from collections.abc import Callable, Sequence
from urllib.parse import quote

from stackfile import digest
from stackfile.errors import ActionError, NotFoundError
from stackfile.images import durable
from stackfile.model.stack import Generate, SecretRef
from stackfile.store.files import FileTable
from stackfile.store.rows import FileRow

_CHARSETS = {
    "alnum": string.ascii_letters + string.digits,
    "hex": "0123456789abcdef",
    "base64": string.ascii_letters + string.digits + "+/",
}


class FileStore:
    """`files/<project>/<kind>/<name>/<hex of the key>`, mode 0600."""

    def __init__(self, root: str, key: bytes, table: FileTable, in_use: Callable[[], set[str]]) -> None:
        """`in_use` answers the keys that containers still refer to: those are kept when a content is replaced."""
        self._root = root
        self._key = key
        self._table = table
        self._in_use = in_use

    def key(self, data: bytes) -> str:
        """The HMAC by which `data` is known here."""
        return digest.keyed(self._key, data)

    def put(self, project: str, kind: str, name: str, data: bytes) -> str:
        """Keep `data` as the current content of a config or secret; returns its key."""
        key = self.key(data)
        if self._kept(project, kind, name) == key:
            return key
        path = self._path(project, kind, name, key)
        fresh = not os.path.exists(path)
        try:
            _write_durably(path, data)
            self._table.put(project, kind, name, key)
        except BaseException:
            if fresh:
                self._unlink(project, kind, name, key)
            _remove_empty(self._directory(project))
            raise
        self._drop_superseded(project, kind, name, key)
        return key

    def read(self, key: str, name: str) -> bytes:
        """The content of a key. Raises NotFoundError that names the config or secret."""
        for row in self._table.by_key(key):
            try:
                with open(self._path(row.project, row.kind, row.name, key), "rb") as file:
                    return file.read()
            except FileNotFoundError:
                continue
        raise NotFoundError("content of config or secret", name, hint="run `stackfile up` again")

    def resolve_secret(
        self,
        project: str,
        name: str,
        content: tuple[str | SecretRef, ...] | None,
        generate: Generate | None,
        *,
        create: bool,
    ) -> str:
        """Key of a secret: composed of others, or generated once and then kept.

        "" when it would have to be generated first and `create` is false.
        """
        if content is None:
            return self._generated(project, name, generate, create=create)
        parts: list[bytes] = []
        for part in content:
            if isinstance(part, str):
                parts.append(part.encode())
                continue
            key = self._kept(project, "secret", part.secret)
            if not key:
                if create:
                    raise NotFoundError("secret", part.secret, cause=f"secret {name} is composed of it")
                return ""
            parts.append(self.read(key, part.secret))
        data = b"".join(parts)
        return self.put(project, "secret", name, data) if create else self.key(data)

    def remove(self, project: str, kind: str = "", name: str = "") -> None:
        """Forget contents: of a whole project, of a kind, or one."""
        for row in self._table.list(project, kind, name):
            self.forget(row)
        _remove_empty(self._directory(project))

    def sweep(self) -> None:
        """At start: delete what a killed process wrote and did not record, half or whole."""
        for path in self.compare(self._table.all(), read=False)[2]:
            os.unlink(path)
        for project in os.listdir(self._root):
            _remove_empty(f"{self._root}/{project}")

    def compare(self, rows: Sequence[FileRow], *, read: bool) -> tuple[list[FileRow], list[FileRow], list[str]]:
        """Rows without their file, rows whose file has another content (where it is to be `read`), and files without a
        row. May be called from any thread.
        """
        missing, damaged = [], []
        known = set()
        for row in rows:
            path = self._path(row.project, row.kind, row.name, row.key)
            known.add(path)
            try:
                with open(path, "rb") as file:
                    if read and self.key(file.read()) != row.key:
                        damaged.append(row)
            except FileNotFoundError:
                missing.append(row)
        files = [f"{path}/{name}" for path, _directories, names in os.walk(self._root) for name in names]
        return missing, damaged, sorted(path for path in files if path not in known)

    def forget(self, row: FileRow) -> None:
        """Remove a row and its file, whichever is there."""
        self._unlink(row.project, row.kind, row.name, row.key)
        self._table.delete(row)

    def names(self, project: str, kind: str) -> list[str]:
        """Names of the kept contents of a kind."""
        return sorted({row.name for row in self._table.list(project, kind) if self._kept(project, kind, row.name)})

    def _generated(self, project: str, name: str, generate: Generate | None, *, create: bool) -> str:
        kept = self._kept(project, "secret", name)
        if kept or not create:
            return kept
        if generate is None:
            raise ActionError("bad-request", f"secret {name} has neither content nor generate")
        characters = _CHARSETS.get(generate.charset, generate.charset)
        text = "".join(secrets.choice(characters) for _ in range(generate.length))
        return self.put(project, "secret", name, text.encode())

    def _kept(self, project: str, kind: str, name: str) -> str:
        """Key of the current content, "" without its file: a removal that was killed has left the row alone."""
        key = self._table.current(project, kind, name)
        return key if key and os.path.exists(self._path(project, kind, name, key)) else ""

    def _drop_superseded(self, project: str, kind: str, name: str, current: str) -> None:
        used = self._in_use()
        for row in self._table.list(project, kind, name):
            if row.key != current and row.key not in used:
                self.forget(row)

    def _unlink(self, project: str, kind: str, name: str, key: str) -> None:
        try:
            os.unlink(self._path(project, kind, name, key))
        except FileNotFoundError:
            pass

    def _directory(self, project: str) -> str:
        return f"{self._root}/{_component(project or '_')}"

    def _path(self, project: str, kind: str, name: str, key: str) -> str:
        return f"{self._directory(project)}/{_component(kind)}/{_component(name)}/{key.removeprefix('hmac:')}"


def _component(text: str) -> str:
    """`text` as one component of a path, whatever it contains."""
    safe = quote(text, safe="@")
    return "%2E" + safe[1:] if safe.startswith(".") else safe


def _write_durably(path: str, data: bytes) -> None:
    """ActionError (`disk-full`, `read-only`, `io-error`)."""
    part = f"{path}.part"
    with durable.full_disk(path):
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            durable.write_all(descriptor, data)
            os.fsync(descriptor)
            os.rename(part, path)
        except BaseException:
            os.unlink(part)
            raise
        finally:
            os.close(descriptor)
        durable.sync(os.path.dirname(path))


def _remove_empty(directory: str) -> None:
    for path, _directories, _files in os.walk(directory, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            continue  # not empty: another kind or name is kept
