"""systemd units of the engine (systemd.service(5))."""

from __future__ import annotations

import shlex

from stackfile.settings import TABLE, Settings

UNIT = "stackfile.service"
DIRECTORY = "/etc/systemd/system"


def service(settings: Settings, python: str) -> str:
    """The unit. The supervisor goes into a cgroup of its own, so that a restart of the unit leaves containers alone:
    systemd is told its pid by the lock file; stopping the unit stops the containers. The stop command runs as well when
    the supervisor has died, without $MAINPID then: containers run on, and the unit's restart finds the next supervisor.
    """
    command = f"{shlex.quote(python)} -I -m stackfile"
    changed = [
        f"Environment={_escaped(f'{row.variable}={getattr(settings, row.name)}')}"
        for row in TABLE
        if getattr(settings, row.name) != row.default
    ]
    lines = [
        "[Unit]",
        "Description=Stackfile container engine",
        "After=network-online.target local-fs.target",
        "Wants=network-online.target",
        "",
        "[Service]",
        "Type=forking",
        f"PIDFile={settings.run}/lock",
        *changed,
        f"ExecStart={command} daemon start",
        f'ExecStop=/bin/sh -c \'[ -z "$$MAINPID" ] || exec "$$0" "$$@"\' {command} daemon stop --force',
        "TimeoutStartSec=60",
        "TimeoutStopSec=120",
        "Restart=on-failure",
        "KillMode=process",
        "Delegate=yes",
        "TasksMax=infinity",
        "LimitNOFILE=1048576",
        "OOMScoreAdjust=-500",
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(lines) + "\n"


def _escaped(value: str) -> str:
    """An assignment of Environment=: quoted where it has blanks, `%` doubled."""
    doubled = value.replace("%", "%%")
    return f'"{doubled}"' if " " in doubled else doubled
