"""Projects and their containers."""

from __future__ import annotations

import json
import os

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.routing import OURS, Call, Table
from stackfile.errors import ActionError, NotFoundError

table = Table(OURS)


@table.get("/projects")
async def list_projects(call: Call) -> web.StreamResponse:
    """All, or those of these directories (a JSON list, as realpath(3) gives them)."""
    projects = list(await call.services.engine.project_list())
    if text := call.text("directories"):
        wanted = _texts(text)
        projects = [project for project in projects if os.path.realpath(project.directory) in wanted]
    return responses.json(projects)


@table.get("/projects/{name}")
async def get(call: Call) -> web.StreamResponse:
    project = await call.services.engine.project_get(call.path["name"])
    if project is None:
        raise NotFoundError("project", call.path["name"])
    return responses.json(project)


@table.get("/projects/{name}/containers")
async def containers(call: Call) -> web.StreamResponse:
    return responses.json(list(await call.services.engine.container_list(project=call.path["name"])))


@table.get("/projects/{name}/drift")
async def drift(call: Call) -> web.StreamResponse:
    """What is not as it was applied."""
    return responses.json(await call.services.reconciler.drift(call.path["name"]))


def _texts(text: str) -> set[str]:
    try:
        return set(map(str, json.loads(text)))
    except (ValueError, TypeError) as error:
        raise ActionError("bad-request", "directories is no JSON list", cause=str(error)) from error
