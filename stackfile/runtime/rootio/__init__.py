"""Files of a container from outside: a process of its own that stats, reads or writes below the container's root.

`python -I -m stackfile.runtime.rootio REQUEST` with a `Request` as JSON. It answers a line of JSON on stdout (`Reply`);
after that of a `get` comes a tar. A `put` reads a tar from stdin and answers when it is done. Paths are resolved by
openat2(2) inside the root, links of /proc never followed: a container that rearranges its files meanwhile gains
nothing. What does not belong here: the writable layer as such (images), or who may do it (the engine).
"""
