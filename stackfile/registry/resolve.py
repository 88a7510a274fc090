"""What a registry has under a name now, by content: for locks, and for Docker's `distribution` request."""

from __future__ import annotations

from stackfile.images import documents, manifests
from stackfile.images.manifests import Index, Manifest
from stackfile.images.references import Reference
from stackfile.model.image import RegistryAuth, ResolvedImage
from stackfile.registry.endpoint import Policy
from stackfile.registry.repository import Repository
from stackfile.registry.session import Session


def resolve(reference: Reference, policy: Policy, auth: RegistryAuth) -> ResolvedImage:
    """The digest of the index (of the manifest where there is none) that `reference` means, and its platforms.

    Reads the manifest itself, not its head alone: so the digest is of what was seen. Errors as
    `Repository.manifest`, and ActionError (`bad-archive`) for what is no image.
    """
    session = Session(reference.domain, policy, auth)
    try:
        repository = Repository(session, reference)
        top = repository.manifest(reference.digest or reference.tag)
        found = manifests.decode(top.data, top.media_type)
        platforms = _of_index(found) if isinstance(found, Index) else _of_manifest(found, repository)
    finally:
        session.close()
    return ResolvedImage(
        reference=str(reference),
        digest=top.digest,
        media_type=top.media_type.partition(";")[0].strip(),
        size=len(top.data),
        platforms=platforms,
    )


def _of_index(index: Index) -> tuple[str, ...]:
    """Without what is no image, such as attestations: they are for the platform `unknown`."""
    found = (str(item.platform) for item in index.manifests if item.platform and item.platform.os != "unknown")
    return tuple(sorted(set(found)))


def _of_manifest(manifest: Manifest, repository: Repository) -> tuple[str, ...]:
    made = documents.decode_made(repository.document(manifest.config))
    return ("/".join(part for part in (made.os, made.architecture, made.variant) if part),)
