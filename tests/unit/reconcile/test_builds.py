"""`build`: which images, in which order."""

from __future__ import annotations

import asyncio

import pytest

from stackfile.errors import UsageError
from stackfile.model.stack import ImageResource
from stackfile.reconcile.builds import actions
from stackfile.reconcile.reconciler import Reconciler
from tests.unit.reconcile import kit
from tests.unit.reconcile.memory import MemoryProvider

STACK = kit.stack(
    kit.service("web"),
    images={
        "app": ImageResource(name="app", base="python", base_is_stack_image=True),
        "python": ImageResource(name="python"),
        "other": ImageResource(name="other"),
    },
)


def told(*names: str) -> list[str]:
    return [action.address for action in actions(STACK, names)]


def test_bases_come_first() -> None:
    assert told() == ["image.python", "image.app", "image.other"]
    base, app, _ = actions(STACK, ())
    assert app.after == (base.id,)


def test_names_of_images_and_of_services() -> None:
    assert told("other") == ["image.other"]
    assert told("app") == told("web") == ["image.python", "image.app"]


def test_an_unknown_name_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        told("nope")


def test_the_job_tells_the_images() -> None:
    async def main() -> None:
        provider = MemoryProvider()
        provider.builds = {"app": kit.OTHER_IMAGE}
        found = [event async for event in Reconciler(provider).build(STACK, ["app"]).events()]
        assert found[-1].result is not None
        assert found[-1].result["images"] == {"python": kit.IMAGE, "app": kit.OTHER_IMAGE}

    asyncio.run(main())
