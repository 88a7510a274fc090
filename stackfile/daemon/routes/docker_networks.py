"""Networks."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from stackfile.daemon import responses
from stackfile.daemon.dockerjson import filters, network, networking, values
from stackfile.daemon.routing import DOCKER, Call, Table
from stackfile.errors import ActionError, ConflictError, NotFoundError
from stackfile.model.container import ContainerRecord, NetworkRecord

table = Table(DOCKER)


@table.get("/networks")
async def list_networks(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    containers = await engine.container_list()
    used = frozenset(endpoint.network_id for record in containers for endpoint in record.endpoints)
    everything = network.with_built_in(await engine.network_list(), call.services.engine_id)
    records = network.select(everything, filters.parse(call.text("filters")), used)
    return responses.json([network.encode(record) for record in records])


@table.get("/networks/{id}")
async def inspect(call: Call) -> web.StreamResponse:
    record = await _find(call, call.path["id"])
    return responses.json(network.encode(record, _members(record, await call.services.engine.container_list())))


async def _find(call: Call, ref: str) -> NetworkRecord:
    """A network of the engine's, or a built-in one that nothing uses. Raises NotFoundError."""
    engine = call.services.engine
    try:
        return await engine.network_get(ref)
    except NotFoundError:
        for record in network.with_built_in(await engine.network_list(), call.services.engine_id):
            if ref == record.name or (len(ref) >= 4 and record.id.startswith(ref)):
                return record
        raise


def _members(record: NetworkRecord, containers: Sequence[ContainerRecord]) -> list[ContainerRecord]:
    return [
        item
        for item in containers
        if any(end.network_id == record.id for end in item.endpoints)
        or (record.driver in ("host", "null") and item.spec.network_mode == record.name)
    ]


@table.post("/networks/create")
async def create(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    spec = network.decode(await call.json())
    if spec.name in network.BUILT_IN:
        raise ActionError("not-permitted", f"operation is not permitted on predefined {spec.name} network")
    if any(record.name == spec.name for record in await engine.network_list()):
        raise ConflictError("name-taken", f"network with name {spec.name} already exists")
    return responses.json({"Id": await engine.network_create(spec), "Warning": ""}, 201)


@table.delete("/networks/{id}")
async def remove(call: Call) -> web.StreamResponse:
    record = await _find(call, call.path["id"])
    if record.name in network.BUILT_IN:
        raise ActionError("not-permitted", f"{record.name} is a pre-defined network and cannot be removed")
    await call.services.engine.network_remove(record.id)
    return responses.empty()


@table.post("/networks/{id}/connect")
async def connect(call: Call) -> web.StreamResponse:
    body = await call.json()
    engine = call.services.engine
    record = await engine.network_get(call.path["id"])
    attachment = networking.attachment(record.name, values.mapping(body, "EndpointConfig"))
    await engine.network_connect(record.id, _container(body), attachment)
    return responses.empty(200)


@table.post("/networks/{id}/disconnect")
async def disconnect(call: Call) -> web.StreamResponse:
    body = await call.json()
    engine = call.services.engine
    await engine.network_disconnect(call.path["id"], _container(body), force=values.flag(body, "Force"))
    return responses.empty(200)


def _container(body: dict[str, object]) -> str:
    name = values.text(body, "Container")
    if not name:
        raise ActionError("bad-request", "Container is empty")
    return name


@table.post("/networks/prune")
async def prune(call: Call) -> web.StreamResponse:
    engine = call.services.engine
    wanted = {key: given for key, given in filters.parse(call.text("filters")).items() if key == "label"}
    containers = await engine.container_list()
    used = frozenset(endpoint.network_id for record in containers for endpoint in record.endpoints)
    deleted = []
    for record in network.select(await engine.network_list(), wanted, used):
        if record.name in network.BUILT_IN or record.id in used:
            continue
        try:
            await engine.network_remove(record.id)
        except (ConflictError, NotFoundError):
            # Somebody joined or removed it meanwhile.
            continue
        deleted.append(record.name)
    return responses.json({"NetworksDeleted": deleted or None})
