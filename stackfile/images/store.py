"""Images of one engine: rows in the database, blobs and layers on disk.

Order of effects, so that a kill at any point leaves nothing half-true: content first, then the row that refers to it;
when removing, the row first, then the content. What is left over is referred to by nobody and goes in `recover`.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from stackfile import digest as digests
from stackfile import wire
from stackfile.errors import ActionError, ConflictError, NotFoundError
from stackfile.images import documents, durable, references
from stackfile.images.blobs import BlobStore
from stackfile.images.layers import Layer, LayerStore
from stackfile.images.rows import ImageRows
from stackfile.model.image import HistoryEntry, ImageConfig, ImageRecord
from stackfile.paths import StatePaths

Removed = list[tuple[str, str]]
"""What a removal did: ("untagged", name) and ("deleted", id) pairs."""

_SHORTEST_ID = 4
_PULL = "pull:"
_PULL_KEPT = 7 * 24 * 3600
"""Seconds for which layers of a pull that did not end are kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pull:
    """A pull under way: diff ids of its image, time of its begin (seconds since the epoch)."""

    layers: tuple[str, ...]
    time: float


class ImageStore:
    """Images, tags, blobs and layers. Not thread-safe: called from the thread that owns the database."""

    def __init__(self, paths: StatePaths, db: ImageRows) -> None:
        self.paths = paths
        self.rows = db
        self.blobs = BlobStore(paths.blobs, paths.temporary)
        self.layers = LayerStore(paths)
        self._leases: dict[str, int] = {}

    # ---- reading

    def get(self, ref: str) -> ImageRecord:
        """The image of an id, a unique prefix of one, or a reference.

        NotFoundError (`image-not-found`), ActionError (`ambiguous`, `bad-request`).
        """
        identity = self.resolve(ref)
        row = self.rows.get_image(identity)
        assert row is not None, identity
        return self._record(row, self._tags().get(identity, ()))

    def list(self) -> list[ImageRecord]:
        """All images, newest first."""
        tags = self._tags()
        records = [self._record(row, tags.get(identity, ())) for identity, row in self.rows.list_images()]
        return sorted(records, key=lambda record: (record.created, record.id), reverse=True)

    def resolve(self, ref: str) -> str:
        """The id that `ref` means; errors as `get`."""
        if digests.is_digest(ref):
            if self.rows.get_image(ref) is None:
                raise _not_found(ref)
            return ref
        by_name = self._by_name(ref)
        if by_name:
            return by_name
        return self._by_prefix(ref)

    def lower(self, image_id: str) -> tuple[str, ...]:
        """Layer directories of an image, topmost first. ActionError (`not-found`) when one is missing."""
        chain = documents.chain_ids(self.get(image_id).layers)
        missing = [item for item in chain if not self.layers.has(item)]
        if missing:
            raise NotFoundError("layer", missing[0], hint=f"the image {image_id} is damaged: build it again")
        return tuple(self.layers.path(item) for item in reversed(chain))

    # ---- writing

    def add(
        self,
        config: ImageConfig,
        layers: Sequence[Layer],
        *,
        history: Sequence[HistoryEntry] = (),
        parent: str = "",
        tags: Sequence[str] = (),
    ) -> ImageRecord:
        """Record an image whose layers are published; writes its documents. Adding it again only adds the tags."""
        diff_ids = [layer.diff_id for layer in layers]
        document = documents.encode_config(config, diff_ids, history)
        identity = digests.sha256(document)
        if self.rows.get_image(identity) is None:
            manifest = documents.encode_manifest(document, [(layer.diff_id, layer.size) for layer in layers])
            self.blobs.put([document], identity)
            record = ImageRecord(
                id=identity,
                manifest=self.blobs.put([manifest]),
                created=_now(),
                size=sum(layer.size for layer in layers),
                architecture=documents.architecture(),
                layers=tuple(diff_ids),
                config=config,
                history=tuple(history),
                parent=parent,
            )
            self.rows.put_image(identity, wire.encode(record).decode())
        for tag in tags:
            self.rows.put_tag(str(references.parse(tag)), identity)
        return self.get(identity)

    def add_document(
        self, document: bytes, sizes: Sequence[int], *, tags: Sequence[str] = (), digests_of: Sequence[str] = ()
    ) -> ImageRecord:
        """Record an image that came from elsewhere, by its own config document: so it keeps its id.

        `sizes` are the bytes of its layers' tars, which are published; `digests_of` the names by digest under which it
        was pulled. ActionError (`bad-archive`, `bad-request`).
        """
        identity = digests.sha256(document)
        names = [str(references.parse(tag)) for tag in tags]
        row = self.rows.get_image(identity)
        record = self._record(row, ()) if row is not None else self._foreign(document, sizes)
        known = (*record.digests, *digests_of)
        if row is None or digests_of:
            pulled = _now() if digests_of else ""
            record = replace(record, digests=tuple(dict.fromkeys(known)), pulled=pulled)
            self.rows.put_image(identity, wire.encode(record).decode())
        for name in names:
            self.rows.put_tag(name, identity)
        return self.get(identity)

    def _foreign(self, document: bytes, sizes: Sequence[int]) -> ImageRecord:
        config, diff_ids, history = documents.decode_config(document)
        made = documents.decode_made(document)
        manifest = documents.encode_manifest(document, list(zip(diff_ids, sizes, strict=True)))
        return ImageRecord(
            id=self.blobs.put([document]),
            manifest=self.blobs.put([manifest]),
            created=made.created or _now(),
            size=sum(sizes),
            architecture=made.architecture,
            os=made.os,
            variant=made.variant,
            layers=diff_ids,
            config=config,
            history=history,
        )

    def tag(self, ref: str, tag: str) -> None:
        """Give an image one more name; a tag that exists moves. Errors as `get`."""
        identity = self.resolve(ref)
        name = references.parse(tag)
        if name.digest:
            raise ActionError("bad-request", f"a tag cannot carry a digest: {tag}")
        self.rows.put_tag(str(name), identity)

    def untag(self, tag: str) -> None:
        """Remove a name; the image stays. NotFoundError (`image-not-found`)."""
        name = str(references.parse(tag))
        if self.rows.get_tag(name) is None:
            raise _not_found(tag)
        self.rows.delete_tag(name)

    def remove(self, ref: str, *, force: bool = False, in_use: Mapping[str, Sequence[str]] | None = None) -> Removed:
        """Untag or delete as `docker image rm` does. Returns ("untagged", name) and ("deleted", id) pairs.

        `in_use` maps image ids to the containers made from them: such an image is never deleted; with `force` it
        loses its names. Files of layers go with `sweep`. ConflictError (`in-use`), NotFoundError (`image-not-found`).
        """
        identity = self.resolve(ref)
        users = (in_use or {}).get(identity, ())
        tags = self._tags().get(identity, ())
        name = self._tag_of(ref, identity)
        if name and len(tags) > 1:
            self.rows.delete_tag(name)
            return [("untagged", name)]
        if users and not force:
            raise ConflictError("in-use", f"image {ref} is used by container {users[0]}")
        if not name and len(tags) > 1 and not force:
            raise ConflictError("in-use", f"image {ref} has several names", hint="remove it by force, or by name")
        done = [("untagged", tag) for tag in tags]
        if users:
            for tag in tags:
                self.rows.delete_tag(tag)
            return done
        return done + self._delete(identity)

    def prune(self, *, everything: bool = False, in_use: Collection[str] = ()) -> Removed:
        """Delete images without a name (with `everything`: also named ones) that no container in `in_use` has; and the
        layers of pulls that were given up.
        """
        done: Removed = []
        self._forget_pulls(0)
        for record in self.list():
            if record.id in in_use or (record.tags and not everything):
                continue
            done += [("untagged", tag) for tag in record.tags] + self._delete(record.id)
        return done

    # ---- what must stay

    def lease(self, digest: str) -> None:
        """Keep a blob or chain id while a build still needs it, whatever is removed meanwhile. Counted."""
        self._leases[digest] = self._leases.get(digest, 0) + 1

    def release(self, digests_held: Iterable[str]) -> None:
        """Give leases back."""
        for digest in digests_held:
            count = self._leases.get(digest, 0) - 1
            if count > 0:
                self._leases[digest] = count
            else:
                self._leases.pop(digest, None)

    def begin_pull(self, digest: str, diff_ids: Sequence[str]) -> None:
        """Keep layers of an image under way even when this process ends, so that the next pull finds them."""
        self.rows.put_cache(_PULL + digest, wire.encode(_Pull(layers=tuple(diff_ids), time=time.time())).decode())

    def end_pull(self, digest: str) -> None:
        """The image is here, and refers to its layers itself."""
        self.rows.delete_cache(_PULL + digest)

    def _pulls(self) -> dict[str, _Pull]:
        return {key: wire.decode(row, _Pull) for key, row in self.rows.list_cache() if key.startswith(_PULL)}

    def _forget_pulls(self, age: float) -> None:
        """Give up the layers of pulls that began `age` seconds ago or earlier (those under way are leased)."""
        old = {key: pull for key, pull in self._pulls().items() if pull.time <= time.time() - age}
        for key in old:
            self.rows.delete_cache(key)
        for pull in old.values():
            self._free(pull.layers, pull.layers)

    @property
    def leased(self) -> frozenset[str]:
        """What builds, imports and exports under way keep."""
        return frozenset(self._leases)

    def forget(self, identity: str) -> None:
        """Delete an image whatever names it has: one that is damaged, so that the next build or pull makes it anew."""
        self._delete(identity)

    def sweep(self) -> None:
        """Delete the files of removed layers. Takes as long as that takes; may be called from any thread."""
        durable.sweep(self.paths.temporary)

    def recover(self, *, keep_blobs: Collection[str] = ()) -> None:
        """At start: empty the temporary directory; delete layers and blobs that no row refers to.

        `keep_blobs` are blobs that others refer to (build contexts).
        """
        shutil.rmtree(self.paths.temporary, ignore_errors=True)
        for directory in (self.paths.temporary, self.paths.layers, self.paths.blobs):
            os.makedirs(directory, mode=0o700, exist_ok=True)
        self._forget_pulls(_PULL_KEPT)
        self._drop_stale_cache()
        chains, blobs = self.referenced()
        for chain_id in list(self.layers.list()):
            if chain_id not in chains:
                self.layers.remove(chain_id)
        for digest in list(self.blobs.list()):
            if digest not in blobs and digest not in keep_blobs:
                self.blobs.remove(digest)
        self.sweep()

    # ---- inside

    def _delete(self, identity: str) -> Removed:
        record = self.get(identity)
        self.rows.delete_image(identity)
        self._drop_stale_cache()
        self._free(record.layers, (record.id, record.manifest, *record.layers))
        return [("deleted", identity)]

    def _free(self, diff_ids: Sequence[str], contents: Sequence[str]) -> None:
        """Remove the unpacked layers and the blobs that nothing refers to any more."""
        chains, blobs = self.referenced()
        for chain_id in reversed(documents.chain_ids(diff_ids)):
            if chain_id not in chains:
                self.layers.remove(chain_id)
        for digest in contents:
            if digest not in blobs:
                self.blobs.remove(digest)

    def _drop_stale_cache(self) -> None:
        """Cached steps live as long as an image that contains them: without it their layers would never go."""
        chains, _ = self.referenced()
        for key, document in self.rows.list_cache():
            if not key.startswith("step:"):
                continue
            made = wire.decode(document, dict)
            # A step that changed nothing lives as long as what it stands on.
            chain_id = made.get("chain_id") or made.get("below")
            if chain_id and chain_id not in chains:
                self.rows.delete_cache(key)

    def referenced(self) -> tuple[set[str], set[str]]:
        """Chain ids and blob digests that images, and builds and pulls under way, refer to."""
        chains, blobs = set(self._leases), set(self._leases)
        for _, row in self.rows.list_images():
            record = wire.decode(row, ImageRecord)
            chains.update(documents.chain_ids(record.layers))
            blobs.update((record.id, record.manifest, *record.layers))
        for pull in self._pulls().values():
            chains.update(documents.chain_ids(pull.layers))
            blobs.update(pull.layers)
        return chains, blobs

    def _tags(self) -> dict[str, tuple[str, ...]]:
        tags: dict[str, tuple[str, ...]] = {}
        for name, identity in self.rows.list_tags():
            tags[identity] = (*tags.get(identity, ()), name)
        return tags

    @staticmethod
    def _record(row: str, tags: tuple[str, ...]) -> ImageRecord:
        return replace(wire.decode(row, ImageRecord), tags=tags)

    def _tag_of(self, ref: str, identity: str) -> str:
        """The full name when `ref` is one (and not an id)."""
        try:
            name = str(references.parse(ref))
        except ActionError:
            return ""
        return name if self.rows.get_tag(name) == identity else ""

    def _by_name(self, ref: str) -> str:
        try:
            reference = references.parse(ref)
        except ActionError:
            if _is_hex(ref.removeprefix("sha256:")):
                return ""
            raise
        identity = self.rows.get_tag(str(replace(reference, digest="")) if reference.tag else str(reference)) or ""
        if not reference.digest:
            return identity
        for candidate, row in self.rows.list_images():
            record = wire.decode(row, ImageRecord)
            pulled = f"{reference.domain}/{reference.path}@{reference.digest}"
            if reference.digest in (candidate, record.manifest) or pulled in record.digests:
                return candidate
        return ""

    def _by_prefix(self, ref: str) -> str:
        text = ref.removeprefix("sha256:")
        if not _is_hex(text) or len(text) < _SHORTEST_ID:
            raise _not_found(ref)
        found = [identity for identity, _ in self.rows.list_images() if identity.startswith(f"sha256:{text}")]
        if len(found) > 1:
            raise ActionError("ambiguous", f"image id {ref} is not unique", cause=f"{len(found)} images begin with it")
        if not found:
            raise _not_found(ref)
        return found[0]


def _is_hex(text: str) -> bool:
    return bool(text) and all(character in "0123456789abcdef" for character in text)


def _not_found(ref: str) -> NotFoundError:
    return NotFoundError("image", ref, reason="image-not-found")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
