"""What Compose demands of keys that are taken without effect: in stack files too, a slip in them is told."""

from __future__ import annotations

from collections.abc import Mapping

from stackfile.language.canonical import container, resources, service
from stackfile.language.canonical.shapes import Table

FORMS: Mapping[str, Table] = {
    "service": service.SERVICE,
    "build": service.BUILD,
    "deploy": service.DEPLOY,
    "reservations": service.RESERVATIONS,
    "restart_policy": service.RESTART_POLICY,
    "attachment": container.ATTACHMENT,
    "ipam": resources.IPAM,
    "config": resources.CONFIG,
    "secret": resources.SECRET,
}
"""Form of a mapping, as `Fields.ignore` names it → key → shape."""
