"""The unit that `daemon install` writes."""

from __future__ import annotations

from dataclasses import replace

from stackfile import settings
from stackfile.cli import systemd


def test_defaults_need_no_environment() -> None:
    text = systemd.service(settings.load({}), "/opt/x/bin/python")
    assert "Environment=" not in text
    assert "ExecStart=/opt/x/bin/python -I -m stackfile daemon start\n" in text
    assert "PIDFile=/run/stackfile/lock\n" in text


def test_settings_go_along() -> None:
    given = replace(settings.load({"STACKFILE_RUN": "/run/a b%"}), socket_group="wheel")
    lines = systemd.service(given, "/usr/bin/python3").splitlines()
    assert 'Environment="STACKFILE_RUN=/run/a b%%"' in lines
    assert "Environment=STACKFILE_SOCKET_GROUP=wheel" in lines
