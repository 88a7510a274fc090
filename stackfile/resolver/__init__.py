"""Names for containers: DNS in a process of its own.

`python -I -m stackfile.resolver` serves the sockets that the daemon opened in the containers' namespaces (network.dns)
from the table of names that the daemon feeds it (table). It stays in the machine's namespace: queries for other names
go out from there, to the container's own servers or the machine's. It keeps nothing: after a restart the sockets come
back from the supervisor and the table from the daemon, and queries wait in the sockets meanwhile.

Beside that it is the relay of published ports (relay): supervised, small, and not in the daemon's way.
"""
