"""What runs in the forked child between clone and execve. Every import happens in the parent, before the fork:
after pivot_root there is nothing to import from.
"""
