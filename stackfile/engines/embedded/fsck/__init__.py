"""`system fsck`: every disagreement between database, files and kernel, and what mends it.

A module looks at one kind of thing and gives `Problem`s: databases, images, records (containers, volumes, contents of
configs and secrets), kernel (processes, descriptors, cgroups, mounts, intents, leases), networks, rights. None changes
anything while it looks. `checker.Checker` has them look again until what they say is the same, as containers and jobs
come and go meanwhile. What belongs to nobody is found by `leftovers`, as at every start.
"""
