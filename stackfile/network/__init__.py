"""Links, addresses, ports, names: what connects containers.

`manager.NetworkManager` is the facade; `resolver_client.ResolverClient` the line to the resolver. Everything of an
engine in the kernel is a bridge or veth whose name begins with its prefix, one nftables table, and marked rules in the
tables of other firewalls. Nothing here knows of projects or services: names and addresses come in as data.
"""
