"""Sources, actors and loggers: from what a file says to what the runtime opens."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from orgloop.config.findings import Code, Report
from orgloop.config.model import ActorSpec, Defaults, LoggerSpec, SourceSpec
from orgloop.config.reading.collect import Entry
from orgloop.config.reading.documents import Spot, dotted
from orgloop.config.reading.env import DataPath
from orgloop.config.reading.validation import explain, keys_of
from orgloop.config.resolving.accounts import Accounts
from orgloop.config.resolving.budget import check_cap, check_told, limits_of
from orgloop.config.resolving.plugins import Plugins
from orgloop.config.resolving.policy import breaker_of
from orgloop.config.resolving.quiet import quiet_hours
from orgloop.config.schema import models as schema
from orgloop.config.schema.limits import Delivery
from orgloop.core.deliveries.admission import Limit, ScopeLevel
from orgloop.core.deliveries.price import TokenPrice
from orgloop.core.deliveries.quiet import QuietHours
from orgloop.core.text.json_text import number_text
from orgloop.errors import FAULTS
from orgloop.plugin.actor import Actor, Priced
from orgloop.plugin.connector import ActorKind, Connector, SourceKind

_ID: Final = re.compile(r"[^\s/\\?#%\x00-\x1f\x7f]{1,100}")
_NAME: Final = re.compile(r"\S(?:[^\x00-\x1f\x7f]{0,198}\S)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceEnd:
    """A source: its entry, its kind if its connector is known, its spec if it is sound."""

    entry: Entry[schema.SourceConfig]
    kind: SourceKind | None
    spec: SourceSpec | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ActorEnd:
    """An actor: its entry, its kind if its connector is known, its spec if it is sound.

    `has_runs` is None if its connector is not known, and what may be if its settings are wrong. `priced`:
    its runs report what they cost. `cap_usd` is what one of them may cost, None if that is not known.
    """

    entry: Entry[schema.ActorConfig]
    kind: ActorKind | None
    has_runs: bool | None
    spec: ActorSpec | None
    priced: bool = False
    cap_usd: float | None = None


def unique(entries: Iterable[Entry[Any]], key: str, report: Report) -> dict[str, Entry[Any]]:
    """Entries by name; the first of several with one name, the others are errors. `key` is `id` or `name`."""
    found: dict[str, Entry[Any]] = {}
    for entry in entries:
        spot = entry.spot
        if not isinstance(spot.get(key), str):
            continue
        pattern, rule = (_ID, "no space and none of / \\ ? # %") if key == "id" else (_NAME, "no line break")
        if not spot.lacks_variable(key) and (not pattern.fullmatch(entry.name) or entry.name in (".", "..")):
            message = f"{spot.label}: `{entry.name}` is not a valid {key}"
            report.error(Code.BAD_NAME, spot.where(key), message, f"write 1 to 100 characters, {rule}")
        first = found.setdefault(entry.name, entry)
        if first is not entry and not spot.lacks_variable(key):
            message = f"{spot.label} exists twice; first in {first.spot.where(key)}"
            report.error(Code.DUPLICATE_NAME, spot.where(key), message, "rename or remove one of them")
    return found


def valid_name(name: str) -> bool:
    """Whether a route, transform, logger or project may have this name."""
    return _NAME.fullmatch(name) is not None


class Ends:
    """Makes the specs of sources, actors and loggers."""

    def __init__(
        self,
        plugins: Plugins,
        defaults: Defaults,
        accounts: Accounts,
        environment: Mapping[str, str],
        report: Report,
        deliveries: Sequence[Delivery | None] = (),
    ) -> None:
        """`deliveries` are the `defaults.delivery`, lowest first."""
        self._plugins = plugins
        self._defaults = defaults
        self._accounts = accounts
        self._environment = environment
        self._report = report
        self._deliveries = deliveries

    def source(self, entry: Entry[schema.SourceConfig]) -> SourceEnd:
        """One source, with its findings."""
        part, spot = entry.part, entry.spot
        connector = self._connector(part.connector, spot)
        kind = connector.source if connector else None
        if connector is None or kind is None:
            if connector:
                hint = "list it under `actors:`" if connector.actor else "choose another connector"
                message = f"{spot.label}: the connector {connector.name!r} provides no source"
                self._report.error(Code.NOT_A_SOURCE, spot.where("connector"), message, hint)
            return SourceEnd(entry=entry, kind=None, spec=None)
        config = dict(part.config or {})
        own, at = self._own_interval(part.poll, config, kind, spot)
        settings = self._plugins.settings(kind.settings, config, spot, _config_of(spot))
        polled = _is_polled(kind, settings)
        if own is not None and not polled:
            message = f"{spot.label}: `{dotted(at)}` has no effect: {_not_polled(kind, connector)}"
            hint = kind.settings.meanwhile().get("poll", "remove it")
            self._report.warn(Code.NO_EFFECT, spot.where(*at, key=True), message, hint)
        interval = (own or self._defaults.poll_interval_ms) if polled else None
        if settings is None or not self._plugins.succeeds(
            lambda: kind.open(entry.name, settings), spot, ("config",)
        ):
            return SourceEnd(entry=entry, kind=kind, spec=None)
        spec = SourceSpec(
            id=entry.name,
            connector=connector.name,
            kind=kind,
            settings=settings,
            poll_interval_ms=interval,
            description=part.description or "",
            fingerprint=fingerprint(connector.name, config, str(spot.folder), interval),
            lacks_variable=spot.lacks_variable(),
        )
        return SourceEnd(entry=entry, kind=kind, spec=spec)

    def _own_interval(
        self, poll: schema.Poll | None, config: dict[str, Any], kind: SourceKind, spot: Spot
    ) -> tuple[int | None, DataPath]:
        """How often this source says that it is polled, and where; what `config` says of it is taken out."""
        known = keys_of(kind.settings)
        inside = {key: config.pop(key) for key in ("poll", "poll_interval") if key in config.keys() - known}
        if poll is not None and poll.interval is not None:
            return poll.interval, ("poll", "interval")
        try:
            polling = schema.PollInConfig.model_validate(inside)
        except ValidationError as exc:
            errors = exc.errors(include_url=False, include_input=False)
            explain(schema.PollInConfig, inside, errors, spot, self._report, ("config",))
            return None, ()
        if polling.poll is not None and polling.poll.interval is not None:
            return polling.poll.interval, ("config", "poll", "interval")
        return polling.poll_interval, ("config", "poll_interval")

    def actor(self, entry: Entry[schema.ActorConfig]) -> ActorEnd:
        """One actor, with its findings."""
        part, spot = entry.part, entry.spot
        connector = self._connector(part.connector, spot)
        kind = connector.actor if connector else None
        if connector is None or kind is None:
            if connector:
                hint = "list it under `sources:`" if connector.source else "choose another connector"
                message = f"{spot.label}: the connector {connector.name!r} provides no actor"
                self._report.error(Code.NOT_AN_ACTOR, spot.where("connector"), message, hint)
            return ActorEnd(entry=entry, kind=None, has_runs=None, spec=None)
        config = part.config or {}
        settings = self._plugins.settings(kind.settings, config, spot, _config_of(spot))
        runs = part.limits.runs if part.limits else None
        has_runs = self._has_runs(kind, settings, spot)
        if runs is not None and not has_runs:
            message = f"{spot.label}: `limits.runs` has no effect: its actor has no runs"
            self._report.warn(Code.NO_EFFECT, spot.where("limits", "runs", key=True), message, "remove it")
        opened: list[Actor] = []
        if settings is None or not self._plugins.succeeds(
            lambda: opened.append(kind.open(entry.name, settings)), spot, ("config",)
        ):
            return ActorEnd(entry=entry, kind=kind, has_runs=has_runs, spec=None)
        told = [actor for actor in opened if isinstance(actor, Priced)]
        priced, cap = bool(told) or part.price is not None, told[0].cap_usd if told else None
        budget = self._budget(part, spot, cap, has_runs=has_runs, priced=priced)
        breaker = breaker_of([*self._deliveries, part.delivery], has_runs=has_runs)
        accounts = self._accounts.chain(part, spot, opened[0] if opened else None, priced=priced, cap=cap)
        quiet, quiet_setting = self._quiet(part, spot)
        spec = ActorSpec(
            id=entry.name,
            connector=connector.name,
            kind=kind,
            settings=settings,
            has_runs=has_runs,
            max_runs=runs,
            budget=budget,
            breaker=breaker,
            price=TokenPrice(**part.price.model_dump()) if part.price is not None else None,
            accounts=accounts,
            quiet=quiet,
            quiet_setting=quiet_setting,
            description=part.description or "",
            fingerprint=fingerprint(
                connector.name,
                config,
                str(spot.folder),
                runs,
                self._defaults.run_usd,
                repr(budget),
                repr(breaker),
                accounts,
                repr(quiet),
                repr(part.price),
            ),
            lacks_variable=spot.lacks_variable(),
        )
        return ActorEnd(entry=entry, kind=kind, has_runs=has_runs, spec=spec, priced=priced, cap_usd=cap)

    def _budget(
        self, part: schema.ActorConfig, spot: Spot, cap: float | None, *, has_runs: bool, priced: bool
    ) -> Sequence[Limit]:
        limits = limits_of(part.budget, ScopeLevel.ACTOR, "budget")
        if limits and not has_runs:
            message = f"{spot.label}: `budget` has no effect: its actor has no runs"
            self._report.warn(Code.NO_EFFECT, spot.where("budget", key=True), message, "remove it")
            return ()
        check_told(limits, priced=priced, actor=part.id, spot=spot, path=("budget",), report=self._report)
        check_cap(limits, cap, part.id, spot, self._report)
        return limits

    def _quiet(self, part: schema.ActorConfig, spot: Spot) -> tuple[QuietHours | None, str]:
        """Its own quiet hours, else those of the project; and the setting that says so."""
        if "quiet_hours" not in part.model_fields_set:
            return self._defaults.quiet, "defaults.quiet_hours"
        said, at = part.quiet_hours, ("quiet_hours",)
        if said is None or spot.lacks_variable(*at):
            return None, "quiet_hours"
        return quiet_hours(said, self._environment, spot, at, self._report), "quiet_hours"

    def _has_runs(self, kind: ActorKind, settings: Any, spot: Spot) -> bool:
        """Whether an actor with these settings has runs, or may have some if they are wrong."""
        says = kind.has_runs
        if says is None:
            return False
        found: list[bool] = []

        def ask() -> None:
            found.append(bool(says(settings)))

        if settings is not None and spot.lacks_variable("config"):
            with suppress(*FAULTS):
                ask()
        elif settings is not None:
            self._plugins.succeeds(ask, spot, ("config",))
        return found[0] if found else True

    def logger(self, entry: Entry[schema.LoggerConfig]) -> LoggerSpec | None:
        """One logger, with its findings."""
        part, spot = entry.part, entry.spot
        if not part.type or spot.lacks_variable("type"):
            return None
        plugin = self._plugins.logger(part.type, lambda: spot.where("type"), spot.label)
        if plugin is None:
            return None
        config = part.config or {}
        if "level" in plugin.settings.model_fields:
            config = {"level": self._defaults.log_level, **config}
        settings = self._plugins.settings(plugin.settings, config, spot, _config_of(spot))
        if settings is None:
            return None
        mark = fingerprint(plugin.name, config, str(spot.folder))
        return LoggerSpec(name=entry.name, plugin=plugin, settings=settings, fingerprint=mark)

    def _connector(self, name: str, spot: Spot) -> Connector | None:
        if not name or spot.lacks_variable("connector"):
            return None
        return self._plugins.connector(name, lambda: spot.where("connector"), spot.label)


def _config_of(spot: Spot) -> Any:
    def origin(_: str | int | None) -> tuple[Spot, DataPath]:
        return spot, ("config",)

    return origin


def fingerprint(*parts: Any) -> str:
    """16 hex digits that differ when any of these JSON values differs."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=number_text).encode()).hexdigest()[:16]


def _is_polled(kind: SourceKind, settings: Any) -> bool:
    """Whether a source with these settings is polled; with settings that are wrong, whether any is."""
    if not callable(kind.polled):
        return kind.polled
    return settings is None or kind.polled(settings)


def _not_polled(kind: SourceKind, connector: Connector) -> str:
    if callable(kind.polled):
        return f"with this `config`, a source of {connector.name!r} is not polled"
    return f"sources of {connector.name!r} are not polled"
