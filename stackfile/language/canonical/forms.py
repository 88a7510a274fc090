"""What Compose demands of keys that are taken without effect: in stack files too, a slip in them is told."""

from __future__ import annotations

from collections.abc import Mapping

from stackfile.language.canonical import container, mounts, resources, service, shapes
from stackfile.language.canonical.shapes import Table

_STEP = shapes.record("pre_start", dict.fromkeys((*container.CONTAINER, "per_replica"), shapes.extension))
_JOB = shapes.record(
    "a job",
    dict.fromkeys((*container.CONTAINER, *service.WORKLOAD, "profiles"), shapes.extension)
    | {"triggers": service.triggers},
    required=("triggers",),
)
"""Other containers: their keys are known, and nothing here looks at the values."""

FORMS: Mapping[str, Table] = {
    "stack": {"models": shapes.map_of(resources.model), "jobs": shapes.map_of(_JOB)},
    "service": service.SERVICE | {"pre_start": shapes.list_of(_STEP)},
    "volumes": {"long": mounts.long},
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
