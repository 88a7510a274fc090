"""The daemon's line to the resolver process."""

from __future__ import annotations

from collections.abc import Mapping

from stackfile.resolver.table import Scope, Table, Zone


class ResolverClient:
    """Feeds the resolver: sockets to serve and the table of names.

    Keeps what it sent, and sends it again when the resolver has been respawned. A call returns when the resolver has
    taken it, or at once while it is away (the reconnection brings it).
    """

    def __init__(self, path: str) -> None:
        """`path`: the resolver's socket (RunPaths.resolver)."""
        raise NotImplementedError

    async def connect(self) -> None:
        """Wait for the socket (at most 5 s; EngineError `engine-unreachable`), then keep the connection alive."""
        raise NotImplementedError

    async def close(self) -> None:
        """End the connection; the resolver goes on answering."""
        raise NotImplementedError

    async def serve(self, identity: str, udp_fd: int, tcp_fd: int) -> None:
        """Answer the queries of this container. The descriptors stay the caller's (close them after this call)."""
        raise NotImplementedError

    async def forget(self, identity: str) -> None:
        """Stop answering a container and close its sockets in the resolver."""
        raise NotImplementedError

    async def table(self, entries: Table) -> None:
        """Replace the whole table."""
        raise NotImplementedError

    async def update(
        self, zones: Mapping[str, Zone | None] | None = None, scopes: Mapping[str, Scope | None] | None = None
    ) -> None:
        """Replace some zones and scopes; None removes one."""
        raise NotImplementedError
