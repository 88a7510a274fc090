"""stackfile: declarative build-and-run toolkit for containers."""

__version__ = "0.1.0"
