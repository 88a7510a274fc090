"""Warm workers: a process a command, forked from a zygote that has the language and the command line imported.

What belongs here: the zygote's loop (`zygote`), who may have a command run and how a forked child becomes that caller
(`caller`), the command itself (`command`), the messages (`protocol`). What does not: verbs, which do not know whether
they run in a worker; they meet it only as the gate in front of a terminal (`stackfile.cli.terminal`).
"""
