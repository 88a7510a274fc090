"""A machine of our own: a kernel with cgroup v2 alone in QEMU, on which the engine runs and is examined.

`initramfs` packs this interpreter, the project and busybox; `guest` is what runs in there; `machine` boots it.
"""
