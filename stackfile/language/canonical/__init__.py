"""Compose's own form of a stack: what `docker compose config` prints, key for key.

What belongs here: which types each key of the Compose specification takes (whatever else is a mistake with its place),
and how its short and long forms are written out. What does not: what a key means to an engine (`normalise`).

Facts: the Compose specification, and the behaviour of Compose v5, which judges this in `tests/compose`.
"""
