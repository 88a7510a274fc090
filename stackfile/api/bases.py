"""Archives and layouts that images of a stack are based on: read here, with the caller's rights, sent by content."""

from __future__ import annotations

import os
from dataclasses import replace

from stackfile.api.contexts import Reader
from stackfile.api.stacks import Upload
from stackfile.model.stack import Stack


def fill(stack: Stack) -> tuple[Stack, list[Upload]]:
    """The stack with `ImageResource.base_context` filled, and what to send.

    StackError (`context-unreadable`) with the place of `from`.
    """
    uploads: dict[str, Upload] = {}
    images = dict(stack.images)
    for name, image in stack.images.items():
        if not image.base_path:
            continue
        path = os.path.realpath(image.base_path)
        reader = Reader(os.path.dirname(path), ignore_files=())
        origin = stack.origins.get(f"image.{name}/from") or stack.origins.get(f"image.{name}")
        upload = reader.sources([(os.path.basename(path), origin.at if origin else None)])
        reader.cache.save()
        uploads[upload.digest] = upload
        images[name] = replace(image, base_path=path, base_context=upload.digest)
    return replace(stack, images=images), list(uploads.values())
