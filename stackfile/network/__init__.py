"""Links, addresses, ports, names: what connects containers."""
