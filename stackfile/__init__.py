"""stackfile: declarative build-and-run toolkit for containers.

Public names, imported on first use (PEP 562), so that `import stackfile` costs nothing:

    stack = stackfile.load(stackfile.LoadOptions(directory="."))
    plan = stackfile.plan(stack)
    stackfile.apply(stack)
    client = stackfile.connect()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackfile.api import Client, LoadOptions, apply, connect, load, plan
    from stackfile.errors import StackfileError

__version__ = "0.1.0"

__all__ = ["Client", "LoadOptions", "StackfileError", "__version__", "apply", "connect", "load", "plan"]


def __getattr__(name: str) -> Any:
    if name == "StackfileError":
        from stackfile.errors import StackfileError

        return StackfileError
    if name in __all__:
        from stackfile import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
