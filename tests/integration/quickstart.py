"""The quickstart example in a box: a copy of it, on a port of its own."""

from __future__ import annotations

import re
import shutil
import socket
import urllib.request
from pathlib import Path

from tests.conftest import Box

SOURCE = Path(__file__).parents[2] / "examples" / "quickstart"


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def install(box: Box) -> int:
    """Copy the example into the box's directory; returns the port it will publish."""
    shutil.copytree(SOURCE, box.directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    port = free_port()
    edit(box, "port: 8080", f"port: {port}")
    return port


def edit(box: Box, old: str, new: str) -> None:
    """Replace one text of the stack file."""
    path = box.directory / "stack.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def get(port: int, path: str = "/", host: str = "localhost") -> str:
    """Body of an HTTP answer from the published port."""
    with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=10) as response:
        return str(response.read().decode())


def items(port: int) -> int:
    """How many items the store holds, as the web service says."""
    match = re.search(r"holds (\d+) items", get(port))
    assert match, "the web service does not speak of items"
    return int(match[1])
