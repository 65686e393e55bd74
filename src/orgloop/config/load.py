"""A project from its files: everything that is wrong at once, and the organization if nothing is."""

from __future__ import annotations

import os
import shlex
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from orgloop.config.findings import Code, Finding, Report, Severity, Where
from orgloop.config.linting.event_fields import EventFields
from orgloop.config.linting.project import lint
from orgloop.config.linting.transforms_tried import try_steps
from orgloop.config.model import Defaults, Organization
from orgloop.config.reading.collect import Collected, Collector, Entry
from orgloop.config.reading.documents import Spot, read_document
from orgloop.config.reading.env import Variables, VariableUse, read_dotenv, report_missing
from orgloop.config.reading.paths import neighbour, reason, shown
from orgloop.config.reading.validation import read_part
from orgloop.config.resolving.accounts import Accounts
from orgloop.config.resolving.budget import check_cap, home_limits
from orgloop.config.resolving.plugins import Plugins
from orgloop.config.resolving.policy import defaults_of, policy_of
from orgloop.config.resolving.quiet import quiet_hours
from orgloop.config.resolving.routes import RouteEnd, Routes
from orgloop.config.resolving.sources_and_actors import ActorEnd, Ends, SourceEnd, unique, valid_name
from orgloop.config.resolving.transforms import Steps
from orgloop.config.schema import models as schema
from orgloop.config.snapshot import snapshot
from orgloop.core.deliveries.admission import Limit
from orgloop.core.deliveries.delivery import DeliveryPolicy
from orgloop.core.deliveries.quiet import QuietHours
from orgloop.errors import ConfigError
from orgloop.plugin.registry import Registry

FILE_NAMES: Final = ("orgloop.yaml", "orgloop.yml")
_SHOWN: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What loading came to.

    `organization` is None if there is an error. `sound` is what is sound all the same, for checks
    that should go on; it is not to be run. `variables` are all uses of `${...}`, in reading order.
    """

    organization: Organization | None
    sound: Organization | None = None
    findings: Sequence[Finding] = ()
    variables: Sequence[VariableUse] = field(default_factory=tuple)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep it from running."""
        return tuple(one for one in self.findings if one.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """The other findings."""
        return tuple(one for one in self.findings if one.severity is Severity.WARNING)


def load_project(
    path: Path, registry: Registry, environ: Mapping[str, str], home: Path | None = None
) -> Loaded:
    """Load the project in `path`, a directory or its orgloop.yaml.

    `environ` wins over the project's `.env`; `home` may hold a config.yaml with `defaults:` beneath
    the project's. Never raises for what is in the files.
    """
    file = _project_file(path)
    report = Report()
    if file is None:
        message = f"there is no orgloop.yaml in {path}" if path.is_dir() else f"{path} does not exist"
        hint = "type `orgloop init` to begin a project there, or name its file with --config"
        near = "" if path.is_dir() else neighbour(path)
        report.error(Code.NO_PROJECT, Where(file=str(path)), message, f"{near} {hint}".strip())
        return Loaded(organization=None, findings=report.sorted(()))
    return _Loader(file, registry, environ, home, report).load()


def load_or_raise(
    path: Path, registry: Registry, environ: Mapping[str, str], home: Path | None = None
) -> Organization:
    """As `load_project`. Raises ConfigError with all findings if there is an error."""
    loaded = load_project(path, registry, environ, home)
    if loaded.organization is not None:
        return loaded.organization
    errors = loaded.errors
    if len(errors) == 1:
        where = Where(file=errors[0].file, line=errors[0].line, column=errors[0].column)
        raise ConfigError(f"{where}: {errors[0].message}", hint=errors[0].hint, findings=loaded.findings)
    lines = [f"{path} has {len(errors)} errors:", *(str(one) for one in errors[:_SHOWN])]
    if len(errors) > _SHOWN:
        lines.append(f"and {len(errors) - _SHOWN} more")
    raise ConfigError(
        "\n".join(lines), hint="type `orgloop validate` to check again", findings=loaded.findings
    )


def _project_file(path: Path) -> Path | None:
    candidates = [path / name for name in FILE_NAMES] if path.is_dir() else [path]
    found = next((one for one in candidates if os.path.lexists(one)), None)
    return None if found is None else Path(os.path.normpath(found.absolute()))


Level = tuple[schema.DefaultsConfig, Spot]
"""A `defaults:`, and the file it stands in."""


class _Loader:
    def __init__(
        self, file: Path, registry: Registry, environ: Mapping[str, str], home: Path | None, report: Report
    ) -> None:
        self.file = file
        self.root = file.parent
        self.home = home
        self.report = report
        self.dotenv = self.root / ".env"
        self.environment = {**read_dotenv(self.dotenv, ".env", report), **environ}
        self.variables = Variables(self.environment, report)
        self.registry = registry
        self.files: list[Path] = []

    def load(self) -> Loaded:
        home = self._home()
        collector = Collector(self.root, self.variables, self.report)
        try:
            found = collector.collect(self.file)
        except (OSError, ValueError) as exc:
            message = f"{self.file} cannot be read: {reason(exc)}"
            hint = "make it readable, or name another file with --config"
            self.report.error(Code.NO_PROJECT, Where(file=self.file.name), message, hint)
            return Loaded(organization=None, findings=self.report.sorted(()))
        self._doubt_another()
        self._doubt_modes(found.files)
        own = (found.project.part.defaults, found.project.spot) if found.project else (None, None)
        levels = [(part, spot) for part, spot in (home, own) if part is not None and spot is not None]
        defaults = defaults_of(part for part, _ in levels)
        context = {"project": self.root, "environment": self.environment, "run_usd": defaults.run_usd}
        plugins = Plugins(self.registry, context, self.report)
        sound = self._build(found, levels, defaults, plugins)
        report_missing(self.variables.uses, plugins.variables(), self.report)
        return Loaded(
            organization=None if self.report.failed else sound,
            sound=sound,
            findings=self.report.sorted([".env", *(shown(one, self.root) for one in found.files)]),
            variables=tuple(self.variables.uses),
        )

    def _doubt_another(self) -> None:
        """Warn of an orgloop.yml beside the orgloop.yaml that is read, or the other way round."""
        names = FILE_NAMES if self.file.name in FILE_NAMES else ()
        for other in (self.root / name for name in names if name != self.file.name):
            if os.path.lexists(other) and os.path.realpath(other) != os.path.realpath(self.file):
                message = f"{other.name} is not read: the project is {self.file.name} beside it"
                place = Where(file=other.name, line=1, column=1)
                self.report.warn(Code.IGNORED_FILE, place, message, "remove one of the two")

    def _doubt_modes(self, files: Sequence[Path]) -> None:
        """Warn of what every user of this machine may change: it says which programs run here."""
        for path in dict.fromkeys([self.root, self.dotenv, *files, *self.files]):
            try:
                mode = path.stat().st_mode
            except OSError:
                continue
            if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
                message = f"every user of this machine may write to {path} ({stat.S_IMODE(mode):04o})"
                place = Where(file=shown(path, self.root))
                self.report.warn(Code.OPEN_FILE, place, message, f"type: chmod o-w {shlex.quote(str(path))}")

    def _home(self) -> tuple[schema.DefaultsConfig | None, Spot | None]:
        """The home's own `defaults:`, and the file they stand in."""
        file = self.home / "config.yaml" if self.home is not None else None
        if file is None or not os.path.lexists(file):
            return None, None
        self.files.append(file)
        try:
            document = read_document(file, str(file), self.variables, self.report)
        except (OSError, ValueError) as exc:
            message = f"{file} cannot be read: {reason(exc)}"
            self.report.error(
                Code.MISSING_FILE, Where(file=str(file)), message, "make it readable, or remove it"
            )
            return None, None
        if document is None:
            return None, None
        spot = Spot(document=document, at=(), label="the home's configuration")
        part = read_part(schema.HomeConfig, spot, self.report)
        return (part.defaults if part else None), spot

    def _build(
        self, found: Collected, levels: Sequence[Level], defaults: Defaults, plugins: Plugins
    ) -> Organization:
        report = self.report
        defaults = replace(defaults, quiet=self._quiet(levels))
        accounts = Accounts(found.project, report)
        deliveries = [part.delivery for part, _ in levels]
        ends = Ends(plugins, defaults, accounts, self.environment, report, deliveries)
        sources = {name: ends.source(entry) for name, entry in unique(found.sources, "id", report).items()}
        actors = {name: ends.actor(entry) for name, entry in unique(found.actors, "id", report).items()}
        if not found.incomplete & {"actors"}:
            accounts.check_unused()
        defaults = replace(defaults, budget=self._budget(levels, actors))
        loggers = {name: ends.logger(entry) for name, entry in unique(found.loggers, "name", report).items()}
        steps = Steps(unique(found.transforms, "name", report), plugins, self.root, report)
        maker = Routes(
            sources=sources,
            actors=actors,
            steps=steps,
            policies=self._policies(levels, actors),
            incomplete=found.incomplete,
            root=self.root,
            names=[entry.name for entry in found.routes],
            report=report,
        )
        entries = unique(found.routes, "name", report)
        routes = [maker.route(entry) for entry in found.routes]
        self._doubt(found, defaults, sources, actors, steps, routes)
        name, description = self._name(found)
        return Organization(
            name=name,
            root=self.root,
            file=self.file,
            description=description,
            defaults=defaults,
            sources={key: end.spec for key, end in sources.items() if end.spec},
            actors={key: end.spec for key, end in actors.items() if end.spec},
            accounts=accounts.specs,
            routes=[one.spec for one in _runnable(routes, entries, sources, actors) if one.spec],
            loggers=[spec for spec in loggers.values() if spec],
            files=[*found.files, *([self.dotenv] if self.dotenv.exists() else []), *self.files],
            variables={use.name: use.where.file for use in reversed(self.variables.uses)},
            snapshot=snapshot(
                name=name,
                found=found,
                defaults=[spot.raw.get("defaults") for _, spot in levels],
                sources=sources.values(),
                actors=actors.values(),
                loggers=loggers,
                steps=steps,
                run_usd=defaults.run_usd,
                sops=maker.prompts.facts,
            ),
            environment=self.environment,
        )

    def _budget(self, levels: Sequence[Level], actors: Mapping[str, ActorEnd]) -> Sequence[Limit]:
        """The limits of the home; no run of an actor may need more."""
        budget = home_limits([part.budget for part, _ in levels], [end.cap_usd for end in actors.values()])
        for actor in actors.values():
            check_cap(budget, actor.cap_usd, actor.entry.name, actor.entry.spot, self.report)
        return budget

    def _doubt(
        self,
        found: Collected,
        defaults: Defaults,
        sources: Mapping[str, SourceEnd],
        actors: Mapping[str, ActorEnd],
        steps: Steps,
        routes: Sequence[RouteEnd],
    ) -> None:
        """Warn of what may be said, and is hardly meant so."""
        fields = EventFields(sources, actors, steps.entries, self.report)
        for end in routes:
            fields.check(end.read)
            if end.spec is not None:
                try_steps(end.spec, sources.get(end.read.source), end.read.spot, self.report)
        fields.check_branches()
        steps.check_unused()
        lint(
            sources=sources,
            actors=actors,
            routes=found.routes,
            steps=steps,
            incomplete=found.incomplete,
            runs_per_hour=defaults.runs_per_hour,
            runs_at_once=defaults.runs,
            report=self.report,
        )

    def _quiet(self, levels: Sequence[Level]) -> QuietHours | None:
        at = ("defaults", "quiet_hours")
        quiet = None
        for part, spot in levels:
            if "quiet_hours" in part.model_fields_set and not spot.lacks_variable(*at):
                said = part.quiet_hours
                quiet = None if said is None else quiet_hours(said, self.environment, spot, at, self.report)
        return quiet

    def _policies(
        self, levels: Sequence[Level], actors: Mapping[str, ActorEnd]
    ) -> Mapping[str, DeliveryPolicy]:
        """What holds for the routes to each actor, as far as they say nothing else."""
        policy = DeliveryPolicy()
        for part, spot in levels:
            policy = policy_of(part.delivery, policy, spot, ("defaults", "delivery"), self.report)
        entries = {name: end.entry for name, end in actors.items()}
        return {
            name: policy_of(entry.part.delivery, policy, entry.spot, ("delivery",), self.report)
            for name, entry in entries.items()
        }

    def _name(self, found: Collected) -> tuple[str, str]:
        """The project's name, else its directory's; and its description."""
        if found.project is None:
            return self.root.name, ""
        metadata, spot = found.project.part.metadata, found.project.spot
        name = (metadata.name or "") if metadata else ""
        if not name:
            name = self.root.name or "project"
            message = f"the project has no name and is called {name!r}, after its directory"
            hint = "add `metadata: {name: ...}`; the name marks its events and work"
            self.report.warn(Code.MISSING_KEY, spot.where("metadata"), message, hint)
        elif not valid_name(name):
            hint = "write 1 to 200 characters, without line breaks"
            message = f"the project cannot be called {name!r}"
            self.report.error(Code.BAD_NAME, spot.where("metadata", "name"), message, hint)
        return name, (metadata.description or "") if metadata else ""


def _runnable(
    routes: Sequence[RouteEnd],
    entries: Mapping[str, Entry[schema.RouteConfig]],
    sources: Mapping[str, SourceEnd],
    actors: Mapping[str, ActorEnd],
) -> list[RouteEnd]:
    """The routes whose source and actor are sound, too."""
    return [
        one
        for one in routes
        if entries.get(one.entry.name) is one.entry
        and _is_sound(actors.get(one.entry.part.then.actor))
        and (
            _is_sound(sources.get(one.entry.part.when.source))
            or _is_sound(actors.get(one.entry.part.when.source))
        )
    ]


def _is_sound(end: SourceEnd | ActorEnd | None) -> bool:
    return end is not None and end.spec is not None
