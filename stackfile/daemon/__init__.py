"""The daemon: composition root and HTTP of one engine.

Two families of routes share a socket: the Docker Engine API (1.42, under any `/v1.N` prefix or none), so that Docker's
own clients work, and ours under `/stackfile/v1`. A resource is a file in `routes`; Docker's JSON is made and read by
the pure functions of `dockerjson`. What does not belong here: doing anything; that is the engine's and the
reconciler's.
"""
