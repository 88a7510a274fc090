"""The unit that `daemon install` writes."""

from __future__ import annotations

import shlex
import subprocess
from dataclasses import replace

from stackfile import settings
from stackfile.cli import systemd


def test_defaults_need_no_environment() -> None:
    text = systemd.service(settings.load({}), "/opt/x/bin/python")
    assert "Environment=" not in text
    assert "ExecStart=/opt/x/bin/python -I -m stackfile daemon start\n" in text
    assert "PIDFile=/run/stackfile/lock\n" in text


def test_a_supervisor_that_died_takes_no_container_along() -> None:
    (line,) = [
        row for row in systemd.service(settings.load({}), "/bin/echo").splitlines() if row.startswith("ExecStop=")
    ]
    argv = shlex.split(line.removeprefix("ExecStop=").replace("$$", "$"))
    for environment, said in (({}, ""), ({"MAINPID": "1"}, "-I -m stackfile daemon stop --force\n")):
        done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
        assert done.stdout == said


def test_settings_go_along() -> None:
    given = replace(settings.load({"STACKFILE_RUN": "/run/a b%"}), socket_group="wheel")
    lines = systemd.service(given, "/usr/bin/python3").splitlines()
    assert 'Environment="STACKFILE_RUN=/run/a b%%"' in lines
    assert "Environment=STACKFILE_SOCKET_GROUP=wheel" in lines
