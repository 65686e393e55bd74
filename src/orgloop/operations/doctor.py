"""Can this project run here? Looks at everything that a start needs, and touches nothing."""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Final, Literal

from orgloop.config.diff import diff
from orgloop.config.findings import Code, Severity
from orgloop.config.load import Loaded
from orgloop.config.model import ActorSpec, SourceSpec
from orgloop.core.text.units import humanize
from orgloop.errors import FAULTS, JournalError, OrgLoopError
from orgloop.journal.backend import database, require_sound
from orgloop.journal.protocols import Reader
from orgloop.operations.ownership import earlier_project
from orgloop.operations.status.item import dismissed
from orgloop.operations.status.live import Live
from orgloop.operations.views.accounts import each_login
from orgloop.operations.views.health import LITTLE_ROOM
from orgloop.operations.views.words import one_line
from orgloop.plugin import CheckResult, CheckStatus, Clock, Draft, Http, Mark
from orgloop.plugin.registry import CONNECTORS, LOGGERS, TRANSFORMS, Registry
from orgloop.project.home import PORT, DaemonInfo, Home, go_on_command, is_suspended
from orgloop.project.variables import VariableState, variables_of

SECONDS: Final = 5.0
"""How long one live check may take."""

Verdict = Literal["ok", "degraded", "error"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Diagnosis:
    """One line of the doctor's. `category` is dependency, home, daemon, config, credential or service."""

    category: str
    name: str
    status: CheckStatus
    detail: str = ""
    hint: str = ""
    description: str = ""
    help_url: str = ""
    identity: str = ""

    def as_json(self) -> dict[str, str]:
        """For programs: what is empty is left out."""
        values = {name: str(getattr(self, name)) for name in self.__slots__}
        return {
            name: value for name, value in values.items() if value or name in ("category", "name", "status")
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """All lines. `status`: error if one is an error, degraded if one is missing or a warning."""

    project: str
    checks: Sequence[Diagnosis]

    @property
    def status(self) -> Verdict:
        found = {check.status for check in self.checks}
        if CheckStatus.ERROR in found:
            return "error"
        return "degraded" if found & {CheckStatus.MISSING, CheckStatus.WARNING} else "ok"

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "status": self.status,
            "project": self.project,
            "checks": [check.as_json() for check in self.checks],
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """What is looked at. `daemon` serves the home now, `live` is what it knows of itself, `reader` reads the
    home's journal, if there are any. `fault` says why the daemon does not answer, `unreadable` why the
    journal does not."""

    loaded: Loaded
    registry: Registry
    environ: Mapping[str, str]
    home: Home
    port: int
    daemon: DaemonInfo | None
    reader: Reader | None
    live: Live | None
    clock: Clock
    http: Http
    fault: str = ""
    unreadable: JournalError | None = None


async def examine(patient: Patient) -> Examination:
    """Look at everything; never raises for what it finds. Live checks run at once, for a few seconds each."""
    services = asyncio.create_task(_services(patient))
    still = await asyncio.to_thread(_still, patient)
    sound = patient.loaded.sound
    return Examination(project=sound.name if sound is not None else "", checks=[*still, *await services])


def _still(patient: Patient) -> list[Diagnosis]:
    variables = variables_of(patient.loaded, patient.registry, patient.environ)
    return [
        *_dependencies(patient),
        *_home(patient),
        *_room(patient),
        *_daemon(patient),
        *_journal(patient),
        *_config(patient.loaded),
        *(_credential(one) for one in variables if one.used or one.is_set),
    ]


def _dependencies(patient: Patient) -> list[Diagnosis]:
    found = database()
    return [
        _line("dependency", "Python", CheckStatus.OK, platform.python_version()),
        _line(
            "dependency",
            found.name,
            CheckStatus.ERROR if found.fault else CheckStatus.OK,
            found.fault or found.version,
            hint=found.hint,
        ),
        *_packages(patient.registry),
        *(
            _line("dependency", name, CheckStatus.WARNING, fault.message, hint=fault.hint)
            for name, fault in patient.registry.faults().items()
        ),
    ]


def _packages(registry: Registry) -> list[Diagnosis]:
    """Installed packages that bring plugins, with what they bring."""
    brought: dict[str, list[str]] = {}
    for group in (CONNECTORS, TRANSFORMS, LOGGERS):
        known = registry.names(group)
        for point in entry_points(group=group):
            if point.dist is not None and point.name in known:
                brought.setdefault(f"{point.dist.name} {point.dist.version}", []).append(point.name)
    return [
        _line("dependency", package, CheckStatus.OK, ", ".join(sorted(set(names))))
        for package, names in brought.items()
    ]


def _home(patient: Patient) -> list[Diagnosis]:
    home = patient.home
    try:
        found = home.path.stat()
    except FileNotFoundError:
        return [_line("home", str(home.path), CheckStatus.OK, "is created at the first start")]
    except OSError as exc:
        hint = "choose another home with ORGLOOP_HOME"
        return [_line("home", str(home.path), CheckStatus.ERROR, exc.strerror or str(exc), hint=hint)]
    if not stat.S_ISDIR(found.st_mode):
        hint = "move it away, or choose another home with ORGLOOP_HOME"
        return [_line("home", str(home.path), CheckStatus.ERROR, "is not a directory", hint=hint)]
    lines = []
    if found.st_uid != os.geteuid():
        hint = "run OrgLoop as that user, or choose a home of your own with ORGLOOP_HOME"
        detail = f"belongs to another user (uid {found.st_uid})"
        lines.append(_line("home", str(home.path), CheckStatus.ERROR, detail, hint=hint))
    for path, meaning in ((home.path, "the home"), (home.token, "the token"), (home.journal, "the journal")):
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0
        if mode & 0o077:
            detail, hint = f"others may enter {meaning} ({mode:04o})", f"type: chmod go= {path}"
            lines.append(_line("home", str(path), CheckStatus.WARNING, detail, hint=hint))
    try:
        if patient.unreadable is None:
            require_sound(home.path)
    except JournalError as exc:
        lines.append(_unreadable(exc))
    return lines or [_line("home", str(home.path), CheckStatus.OK, "only its owner may enter")]


def _unreadable(exc: JournalError) -> Diagnosis:
    return _line("home", "journal", CheckStatus.ERROR, exc.message, hint=exc.hint)


def _room(patient: Patient) -> list[Diagnosis]:
    """Whether the journal can be written: by what the daemon found, and by what is left on the disk."""
    fault, room = patient.live.journal_fault if patient.live is not None else "", patient.home.room
    lines = []
    if fault:
        detail = f"cannot be written, so no event is accepted: {one_line(fault)}"
        hint = f"free some space, and make {patient.home.path} writable; OrgLoop then continues by itself"
        lines.append(_line("home", "journal", CheckStatus.ERROR, detail, hint=hint))
    if room is not None and room < LITTLE_ROOM:
        status = CheckStatus.ERROR if room < LITTLE_ROOM // 10 else CheckStatus.WARNING
        detail = f"{room >> 20} MB are left on the disk of {patient.home.path}"
        lines.append(_line("home", "disk", status, detail, hint="free some space"))
    return lines


def _daemon(patient: Patient) -> list[Diagnosis]:
    daemon, sound = patient.daemon, patient.loaded.sound
    if daemon is None:
        return [_port(patient.port)]
    if patient.fault:
        command = go_on_command(daemon) if is_suspended(daemon) else "orgloop restart"
        hint = f"type `{command}`"
        return [_line("daemon", "daemon", CheckStatus.ERROR, patient.fault, hint=hint)]
    detail = f"process {daemon.pid} serves {daemon.project} at port {daemon.port}"
    if sound is None or str(sound.root) == daemon.root:
        return [_line("daemon", "daemon", CheckStatus.OK, detail)]
    hint = "give each project a home and a port of its own: ORGLOOP_HOME, ORGLOOP_PORT"
    return [_line("daemon", "daemon", CheckStatus.WARNING, f"{detail}, from {daemon.root}", hint=hint)]


def _port(port: int) -> Diagnosis:
    with socket.socket() as probe:
        probe.settimeout(1)
        taken = port != 0 and probe.connect_ex(("127.0.0.1", port)) == 0
    if taken:
        detail = f"port {port} is taken by another program"
        hint = "stop that program, or choose another port with ORGLOOP_PORT"
        return _line("daemon", "port", CheckStatus.ERROR, detail, hint=hint)
    return _line("daemon", "daemon", CheckStatus.OK, f"not running; port {port} is free")


def _journal(patient: Patient) -> list[Diagnosis]:
    """What the journal knows: whether the files are applied, and when nobody listened."""
    if patient.unreadable is not None:
        return [_unreadable(patient.unreadable)]
    if patient.reader is None:
        return []
    try:
        applied, lives = patient.reader.applied(), patient.reader.daemons(2)
        lines = _earlier(patient, patient.reader)
    except JournalError as exc:
        return [_unreadable(exc)]
    sound = patient.loaded.organization
    if (
        applied is not None
        and sound is not None
        and patient.daemon is not None
        and applied.root == str(sound.root)
    ):
        plan = diff(applied.snapshot, sound.snapshot)
        changed = [item.name for item in plan.items if item.action != "same" and not item.is_live]
        if changed:
            detail = f"changed in the files, but not applied: {', '.join(changed)}"
            hint = "`orgloop plan` shows it, `orgloop start` applies it"
            lines.append(_line("daemon", "applied", CheckStatus.WARNING, detail, hint=hint))
    return [*lines, *_gap(patient, [(life.started_at, life.last_seen, life.ended_at) for life in lives])]


def _earlier(patient: Patient, reader: Reader) -> list[Diagnosis]:
    """Whether another project was here before. While its daemon runs, that says so."""
    sound = patient.loaded.sound
    earlier = earlier_project(reader, sound.root) if sound is not None and patient.daemon is None else None
    if sound is None or earlier is None:
        return []
    status = CheckStatus.ERROR if earlier.unfinished else CheckStatus.WARNING
    hint = earlier.ways_out(sound.name, sound.root, patient.port or PORT)
    return [_line("daemon", "before", status, earlier.words, hint=hint)]


def _gap(patient: Patient, lives: Sequence[tuple[int, int, int | None]]) -> list[Diagnosis]:
    """How long nobody listened. `lives` are (start, last seen, end), the newest first."""
    if patient.daemon is not None:
        begun, before = patient.daemon.started_at, lives[1:]
        words = "before this start, it was down for"
    else:
        begun, before = patient.clock.now(), lives
        words = "it has been down for"
    if not before or (patient.daemon is not None and dismissed(patient.home).get("gap", -1) >= begun):
        return []
    _, seen, ended = before[0]
    down = humanize(max(begun - (ended if ended is not None else seen), 0))
    if ended is not None:
        return [_line("daemon", "gap", CheckStatus.OK, f"{words} {down}")]
    died = "the daemon crashed, and was last alive"
    detail = f"{died} {down} ago" if patient.daemon is None else f"before this start, {died} {down} earlier"
    log = patient.home.logs / "daemon.log"
    hint = f"its own warnings and errors are in {log}; " if log.exists() and log.stat().st_size else ""
    hint += "`orgloop logs` shows the events and runs before it"
    return [_line("daemon", "gap", CheckStatus.WARNING, detail, hint=hint)]


def _config(loaded: Loaded) -> list[Diagnosis]:
    lines = [
        _line(
            "config",
            ":".join(str(part) for part in (one.file, one.line, one.column) if part is not None),
            CheckStatus.ERROR if one.severity is Severity.ERROR else CheckStatus.WARNING,
            one.message,
            hint=one.hint,
        )
        for one in loaded.findings
        if one.code is not Code.MISSING_VARIABLE
    ]
    if lines or loaded.sound is None:
        return lines
    count = len(loaded.sound.files)
    detail = f"{count} read, nothing wrong" if count > 1 else "nothing wrong"
    return [_line("config", "files", CheckStatus.OK, detail)]


def _credential(variable: VariableState) -> Diagnosis:
    about = variable.about
    command = f"$ {about.help_command}" if about and about.help_command else ""
    if variable.is_set:
        status, detail = CheckStatus.OK, f"set in {variable.origin}"
    elif variable.missing:
        status, detail = CheckStatus.ERROR, f"not set, and used in {variable.where}"
    else:
        status, detail = CheckStatus.OK, "not set; its default is used"
    return Diagnosis(
        category="credential",
        name=variable.name,
        status=status,
        detail=detail,
        hint=command if variable.missing else "",
        description=about.description if about else "",
        help_url=about.help_url if about and variable.missing else "",
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceContext:
    """The context of a check, or of a set-up. It cannot emit: neither leaves a trace in the journal."""

    id: str
    project: str
    clock: Clock
    http: Http
    environment: Mapping[str, str]

    def mark_in(self, text: str) -> Mark | None:
        return None

    async def emit(self, events: Sequence[Draft]) -> Sequence[str]:
        raise OrgLoopError("a check cannot emit events", hint="report this to the connector's author")


async def _services(patient: Patient) -> list[Diagnosis]:
    sound = patient.loaded.sound
    if sound is None:
        return []
    parts: list[SourceSpec | ActorSpec] = [*sound.sources.values(), *each_login(sound)]
    found = await asyncio.gather(*(_service(patient, part) for part in parts))
    return [line for lines in found for line in lines]


async def _service(patient: Patient, part: SourceSpec | ActorSpec) -> list[Diagnosis]:
    """One source's or actor's own check, with a time limit; whatever it raises is a finding."""
    sound = patient.loaded.sound
    check = patient.registry.connector(part.connector).setup.check
    if check is None or sound is None:
        return []
    if part.lacks_variable:
        detail = "not checked: one of its variables is not set"
        return [_line("service", part.id, CheckStatus.MISSING, detail)]
    context = ServiceContext(
        id=part.id,
        project=sound.name,
        clock=patient.clock,
        http=patient.http,
        environment=sound.environment,
    )
    try:
        async with asyncio.timeout(SECONDS):
            results = await check(part.settings, context)
    except TimeoutError:
        detail = f"no answer within {SECONDS:g} s"
        return [_line("service", part.id, CheckStatus.WARNING, detail, hint="check that the service runs")]
    except FAULTS as exc:
        detail = f"the check failed: {type(exc).__name__}: {exc}"
        return [
            _line("service", part.id, CheckStatus.ERROR, detail, hint="report this to the connector's author")
        ]
    return [_result(part.id, result) for result in results]


def _result(id: str, result: CheckResult) -> Diagnosis:
    return Diagnosis(
        category="service",
        name=f"{id}: {result.name}",
        status=result.status,
        detail=result.detail,
        hint=result.hint,
        identity=result.identity,
    )


def _line(category: str, name: str, status: CheckStatus, detail: str, *, hint: str = "") -> Diagnosis:
    return Diagnosis(category=category, name=name, status=status, detail=detail, hint=hint)
