"""What a lock file becomes: digests asked of registries by the engine, with the caller's credentials."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from stackfile.api.client import Client
from stackfile.api.credentials import Credentials
from stackfile.api.references import full_name, registry_of
from stackfile.errors import ActionError, ErrorCollector, Place, StackfileError
from stackfile.model.image import ImageRecord, RegistryAuth
from stackfile.model.lock import Lock, LockedImage


@dataclass(frozen=True, slots=True, kw_only=True)
class LockChange:
    """A difference between two locks. change: add, update, remove; digests are "" where there is none, or none yet."""

    reference: str
    change: str
    before: str = ""
    after: str = ""


def changes(before: Lock, after: Lock, asked: Collection[str] = ()) -> list[LockChange]:
    """What differs, by reference. Those of `asked` that `after` lacks will be known once a registry was asked."""
    found = []
    for reference in sorted({*before.images, *after.images, *asked}):
        old, new = before.images.get(reference), after.images.get(reference)
        if old == new and (new is not None or reference not in asked):
            continue
        change = "add" if old is None else "remove" if new is None else "update"
        digests = {"before": old.digest if old else "", "after": new.digest if new else ""}
        found.append(LockChange(reference=reference, change=change, **digests))
    return found


class Resolver:
    """Asks for digests. Where a registry cannot be reached, the digest counts under which its image was pulled before,
    and `told` hears of it.
    """

    def __init__(
        self, client: Client, environ: Mapping[str, str], told: Callable[[str], None], offline: bool = False
    ) -> None:
        self._client = client
        self._credentials = Credentials(environ)
        self._told = told
        self._offline = offline
        self._here: list[ImageRecord] | None = None

    def resolve(self, references: Mapping[str, Place | None]) -> dict[str, LockedImage]:
        """All of them. The error of what failed, or an ErrorList: as of `Client.resolve_image`, at their places."""
        auths = {} if self._offline else self._credentials.of_references(references)
        found: dict[str, LockedImage] = {}
        errors = ErrorCollector()
        for reference, place in references.items():
            try:
                found[reference] = self._one(reference, auths.get(registry_of(reference), RegistryAuth()))
            except StackfileError as error:
                error.at = error.at or place
                errors.add(error)
        errors.check()
        return found

    def _one(self, reference: str, auth: RegistryAuth) -> LockedImage:
        if self._offline:
            return self._local(reference, None)
        try:
            answer = self._client.resolve_image(reference, auth=auth)
        except ActionError as error:
            if error.reason != "registry-unreachable":
                raise
            image = self._local(reference, error)
            self._told(f"{error.message}: the digest of {reference} is that of its last pull")
            return image
        return LockedImage(digest=answer.digest, platforms=answer.platforms)

    def _local(self, reference: str, why: ActionError | None) -> LockedImage:
        """By the digest under which it was pulled last. ActionError: `why`, or `image-not-found`."""
        if self._here is None:
            self._here = self._client.images()
        repository = reference.rpartition(":")[0]
        for record in self._here:
            digests = [name.partition("@")[2] for name in record.digests if name.partition("@")[0] == repository]
            if digests and reference in map(full_name, record.tags):
                return LockedImage(digest=digests[-1])
        if why is not None:
            raise why
        raise ActionError("image-not-found", f"{reference} was never pulled here: offline, its digest is not known")
