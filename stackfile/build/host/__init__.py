"""What a `host:` step takes from this machine: programs with all they need to run, and paths as they are.

`elf` and `loader` know what the dynamic loader would load, `python` what belongs to an interpreter, `files` how a path
is reached, `tree` puts it together, `extras` adds what every root file system needs, `place` fits it on an image.
"""
