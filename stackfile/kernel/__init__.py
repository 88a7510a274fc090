"""Syscalls by ctypes, one wrapper each, and the constants they need. Every failure goes through one function that
names the syscall and its subject. Nothing here knows what a container is.
"""
