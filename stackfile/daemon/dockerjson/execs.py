"""Commands run in a running container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stackfile.daemon.dockerjson import values
from stackfile.errors import ActionError
from stackfile.model.container import ExecRecord, ExecSpec


def decode(body: Mapping[str, Any]) -> ExecSpec:
    """The body of `containers/ID/exec`. Raises ActionError (`bad-request`)."""
    argv = values.texts(body, "Cmd")
    if not argv:
        raise ActionError("bad-request", "No exec command specified")
    return ExecSpec(
        argv=argv,
        tty=values.flag(body, "Tty"),
        stdin=values.flag(body, "AttachStdin"),
        stdout=values.flag(body, "AttachStdout"),
        stderr=values.flag(body, "AttachStderr"),
        environment=values.texts(body, "Env"),
        user=values.text(body, "User"),
        working_dir=values.text(body, "WorkingDir"),
        privileged=values.flag(body, "Privileged"),
        detach_keys=values.text(body, "DetachKeys"),
        console_size=values.size(body, "ConsoleSize"),
    )


def encode(record: ExecRecord) -> dict[str, Any]:
    """The answer of `exec/ID/json`."""
    spec = record.spec
    return {
        "ID": record.id,
        "Running": record.running,
        "ExitCode": record.exit_code,
        "ProcessConfig": {
            "tty": spec.tty,
            "entrypoint": spec.argv[0],
            "arguments": list(spec.argv[1:]),
            "privileged": spec.privileged,
            **({"user": spec.user} if spec.user else {}),
        },
        "OpenStdin": spec.stdin,
        "OpenStderr": spec.stderr,
        "OpenStdout": spec.stdout,
        "CanRemove": False,
        "ContainerID": record.container,
        "DetachKeys": "",
        "Pid": record.pid,
    }
