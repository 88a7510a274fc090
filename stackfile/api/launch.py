"""Reaching an engine: connect to its daemon, starting the embedded one where it does not run."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

import stackfile
from stackfile import settings as settings_module
from stackfile import versions
from stackfile.api.client import Client
from stackfile.api.http import Address, Transport, parse_address
from stackfile.errors import EngineError, StackfileError
from stackfile.settings import Settings

API = 1
"""Number of our API that this client speaks."""
VERSION_HEADER = "Stackfile-Version"
"""Header of a first request: the client's version."""
START_TIMEOUT = 30.0
_UPGRADE_PATIENCE = 60.0
"""Seconds in which the daemon of the new version has to answer."""
_HOPELESS = 5
"""Ends in a row of a daemon that is not waited for any longer."""
_LOCKED = 75
"""Exit code of a supervisor that finds another one on its roots."""


def connect(
    host: str | None = None,
    *,
    start: bool = True,
    check: bool = True,
    environ: Mapping[str, str] | None = None,
    command: Sequence[str] | None = None,
    told: Callable[[str], None] = lambda text: None,
) -> Client:
    """A client of the daemon at `host` (STACKFILE_HOST, else the embedded engine's socket).

    `start` lets the embedded engine be started when nobody answers and the caller is root; `check` refuses a daemon of
    a newer version, and has the embedded engine of an older one become ours, which `told` hears of. `command` is the
    caller's command line, for the hint of what to type.
    Raises EngineError: `engine-unreachable`, `not-permitted`, `engine-start-failed`, `engine-incompatible`.
    """
    environ = os.environ if environ is None else environ
    named = host or environ.get("STACKFILE_HOST")
    settings = settings_module.load(environ)
    address = parse_address(named) if named else Address(path=settings.socket)
    transport = Transport(address)
    if not named:
        transport.why = lambda: _why(settings)
    client = Client(transport)
    client.environ = environ
    try:
        transport.connect()
    except EngineError as error:
        if error.reason not in ("engine-unreachable", "not-permitted") or named:
            raise
        if os.geteuid() != 0:
            raise not_permitted(address, sys.argv if command is None else command, os.geteuid()) from error
        if not start:
            raise
        start_engine(settings, client)
    if check:
        transport.greeting = _Greeting(client, upgrades=not named, told=told)
    return client


class _Greeting:
    """Refuses a daemon of a newer version, and has an older one upgraded where that is possible; without a question of
    its own where that can be.

    Each answer says who gives it; a daemon of ours does nothing for a client that names another version.
    """

    def __init__(
        self, client: Client, *, upgrades: bool = False, told: Callable[[str], None] = lambda text: None
    ) -> None:
        self._client = client
        self._upgrades = upgrades
        self._told = told
        self._known = False

    def asking(self, method: str, target: str) -> Mapping[str, str]:
        if method != "GET" and not target.startswith("/stackfile/"):
            # Another engine would do it.
            ping = self._client.ping()
            if not self._upgraded(ping.version):
                check_version(ping.version, ping.api)
            self._known = True
        return {VERSION_HEADER: stackfile.__version__}

    def answered(self, server: str) -> bool:
        name, _, version = server.partition(" ")[0].partition("/")
        if self._known:
            return False
        if name == "stackfile" and self._upgraded(version):
            return True
        check_version(version if name == "stackfile" else server or "unknown", API)
        return False

    def _upgraded(self, version: str) -> bool:
        """Whether an older daemon was there, which is now of our version."""
        if not self._upgrades or not versions.number(version) < versions.number(stackfile.__version__):
            return False
        self._told(f"the engine becomes version {stackfile.__version__}, from {version}; containers run on")
        upgrade_engine(self._client, version)
        return True


def upgrade_engine(client: Client, version: str) -> None:
    """Have the daemon, which is of an older `version`, become ours. Raises EngineError (`engine-incompatible`,
    `engine-start-failed`), ConflictError while a job runs.
    """
    try:
        client.upgrade(sys.executable)
    except StackfileError as error:
        if error.reason == "not-found":
            return check_version(version, API)  # it has no such thing yet
        # Unreachable: somebody else's upgrade has just ended that one.
        if error.reason != "engine-unreachable":
            raise
    deadline = time.monotonic() + _UPGRADE_PATIENCE
    while time.monotonic() < deadline:
        try:
            found = client.ping(timeout=_UPGRADE_PATIENCE).version
        except StackfileError:
            found = ""
        if found and versions.number(found) >= versions.number(stackfile.__version__):
            return check_version(found, API)
        time.sleep(0.05)
    raise EngineError(
        "engine-start-failed",
        f"the daemon of version {stackfile.__version__} does not come up",
        hint="the containers run on; see supervisor.log and daemon.log in the run root",
    )


def check_version(version: str, api: int) -> None:
    """Raises EngineError (`engine-incompatible`) unless a daemon of `version` and `api` is one for this client."""
    if version == stackfile.__version__ and api == API:
        return
    older = versions.number(version) <= versions.number(stackfile.__version__)
    hint = (
        "`stackfile daemon stop` ends the older daemon; the next command starts this version's"
        if older
        else "use the newer version of stackfile, which that daemon belongs to"
    )
    raise EngineError(
        "engine-incompatible",
        f"the daemon is version {version} (API {api}), this client is {stackfile.__version__} (API {API})",
        hint=hint,
    )


def not_permitted(address: Address, command: Sequence[str], uid: int) -> EngineError:
    """What somebody without root is told, with the exact line to type."""
    line = as_root(command)
    # The same program, whatever it was asked for.
    install = as_root([*command[:1], "daemon", "install", "--group"])
    return EngineError(
        "not-permitted",
        f"the embedded engine needs root, and no daemon answers at {address}",
        hint=f"you are: uid {uid}\ntry:     {line}\nor:      {_with_group(install)}   "
        "(once; members of the group then need no sudo, and are as powerful as root)",
    )


def _with_group(line: str) -> str:
    """The group is that of whoever types it, which only the caller's shell knows, not the one that su starts."""
    group = "$(id -gn)"
    return f'{line} "{group}"' if line.startswith("sudo ") else f'su -c "{shlex.split(line)[2]} {group}"'


def as_root(command: Sequence[str]) -> str:
    """The line that runs `command` as root: by sudo where it exists, else by su."""
    program, *arguments = command or ["stackfile"]
    words = [sys.executable, "-m", "stackfile"] if program.endswith("__main__.py") else [_as_invoked(program)]
    line = shlex.join([*words, *arguments])
    return f"sudo {line}" if shutil.which("sudo") else f"su -c {shlex.quote(line)}"


def _as_invoked(program: str) -> str:
    """Shorter where the shell would take it: relative to the current directory, or as the name that PATH finds."""
    found = shutil.which(os.path.basename(program)) or ""
    # sudo's secure_path has the system's directories, not a virtual environment's.
    secure = os.path.dirname(found) in ("/usr/local/bin", "/usr/bin", "/bin")
    if secure and os.path.exists(program) and os.path.samefile(found, program):
        return os.path.basename(program)
    below = os.path.relpath(program)
    return below if os.path.isabs(program) and not below.startswith("..") else program


def start_engine(settings: Settings, client: Client) -> None:
    """Start the supervisor and wait until its daemon answers. Raises EngineError (`engine-start-failed`)."""
    deadline = time.monotonic() + START_TIMEOUT
    while _start_once(settings, deadline) == _LOCKED:
        # Somebody else starts the same engine, or ends it just now.
        if _answers(client):
            return
        if time.monotonic() > deadline or _is_hopeless(settings):
            cause, hint = _why(settings)
            raise EngineError(
                "engine-start-failed",
                f"another supervisor holds {settings.run}, but its daemon does not answer",
                cause=cause,
                hint=hint or _logs(settings),
            )
        time.sleep(0.05)


def _is_hopeless(settings: Settings) -> bool:
    """Whether the daemon ends whenever it is started."""
    from stackfile.api import condition

    return any(row.name == "daemon" and row.failures >= _HOPELESS for row in condition.look(settings))


def _why(settings: Settings) -> tuple[str, str]:
    from stackfile.api import condition

    return condition.why(settings)


def _answers(client: Client) -> bool:
    try:
        client.ping()
    except StackfileError:
        return False
    return True


def _start_once(settings: Settings, deadline: float) -> int:
    """Start a supervisor: 0 when its daemon is ready, _LOCKED when another one holds the lock."""
    reader, writer = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "stackfile.supervisor", "--ready-fd", str(writer)],
            pass_fds=(writer,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd="/",
            env=_environment(settings),
        )
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as ready:
        said = _read_until(ready.fileno(), deadline).decode(errors="replace").strip()
    code, complaint = _reap(process, deadline)
    if code == _LOCKED:
        return _LOCKED
    if said == "ok":
        return 0
    if code is None:
        cause = f"not ready after {START_TIMEOUT:g} s"
    else:
        cause = said.removeprefix("error:").strip() or complaint or f"exit code {code}"
    raise EngineError("engine-start-failed", "the engine did not start", cause=cause, hint=_logs(settings))


def _reap(process: subprocess.Popen[bytes], deadline: float) -> tuple[int | None, str]:
    """Exit code (None when it had to be killed) and last line of what was started: it forks the supervisor and ends."""
    code: int | None
    try:
        code = process.wait(max(0.1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        code = None
    assert process.stderr is not None
    with process.stderr:
        os.set_blocking(process.stderr.fileno(), False)
        lines = (process.stderr.read() or b"").decode(errors="replace").strip().splitlines()
    return code, lines[-1] if lines else ""


def _logs(settings: Settings) -> str:
    return f"see {settings.run}/supervisor.log and {settings.run}/daemon.log"


def _environment(settings: Settings) -> dict[str, str]:
    path = os.environ.get("PATH") or "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LANG": "C.UTF-8", **settings.environment()}


def _read_until(descriptor: int, deadline: float) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            break
        part = os.read(descriptor, 4096)
        if not part:
            break
        data += part
    return data
