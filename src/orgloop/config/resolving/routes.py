"""Routes: from what a file says to what the runtime matches and wakes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orgloop.config.findings import Code, Report, advised, nearest
from orgloop.config.model import RouteSpec, StepSpec, Trust
from orgloop.config.reading.collect import Entry
from orgloop.config.reading.documents import Spot, dotted, placeholder_texts
from orgloop.config.reading.env import DataPath
from orgloop.config.reading.paths import shown
from orgloop.config.reading.prompt_files import Placeholder, Prompts
from orgloop.config.reading.validation import keys_of
from orgloop.config.resolving.budget import check_cap, check_told, limits_of
from orgloop.config.resolving.conditions import FilterReader
from orgloop.config.resolving.plugins import REPORT_IT
from orgloop.config.resolving.policy import batch_of, policy_of
from orgloop.config.resolving.renamed import EarlierNames
from orgloop.config.resolving.session import session_of
from orgloop.config.resolving.sources_and_actors import ActorEnd, SourceEnd, fingerprint
from orgloop.config.resolving.transforms import Steps
from orgloop.config.schema import models as schema
from orgloop.core.deliveries.admission import Limit, ScopeLevel
from orgloop.core.deliveries.batch import BatchPolicy
from orgloop.core.deliveries.delivery import DeliveryPolicy
from orgloop.core.deliveries.on_busy import OnBusy
from orgloop.core.events.fields import in_event
from orgloop.core.events.match import When
from orgloop.core.events.templates import Template, TemplateError
from orgloop.core.text.suggest import nearest_name
from orgloop.plugin.connector import ActorKind

_INBOX: Final = {
    "inbox": "write `then: {batch: {}}` instead: it collects events of one `session_key`",
    "inbox_ttl": "remove it; `then.batch.max_wait` bounds how long a batch waits",
    "inbox_max_batch": "write it as `max_events` under `then.batch`",
}
"""How the public OrgLoop collects events, and what to write instead."""
_SESSION_KEY: Final = "session_key"
_BELONGS: Final = {
    "prompt_file": "it belongs under `with`",
    **dict.fromkeys(
        ("delivery", "limits", "budget", "batch", "on_busy", "drop_when"), "it belongs under `then`"
    ),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteReads:
    """What reads from the events of one route, in its order. A step that is unsound is None."""

    spot: Spot
    source: str
    events: Sequence[str]
    steps: Sequence[StepSpec | None]
    prompt: Sequence[Placeholder]
    prompt_file: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteEnd:
    """A route: its entry, what it reads from events, and its spec if it is sound."""

    entry: Entry[schema.RouteConfig]
    read: RouteReads
    spec: RouteSpec | None


class Routes:
    """Makes the specs of routes."""

    def __init__(
        self,
        *,
        sources: Mapping[str, SourceEnd],
        actors: Mapping[str, ActorEnd],
        steps: Steps,
        policies: Mapping[str, DeliveryPolicy],
        incomplete: set[str],
        root: Path,
        names: Collection[str],
        report: Report,
    ) -> None:
        """`policies` are what the delivery to each actor follows, where a route says nothing else.

        `names` are those of all routes.
        """
        self._sources = sources
        self._actors = actors
        self._steps = steps
        self._policies = policies
        self._incomplete = incomplete
        self._report = report
        self._root = root
        self._earlier = EarlierNames(names, report)
        self.prompts = Prompts(root, report)

    def route(self, entry: Entry[schema.RouteConfig]) -> RouteEnd:
        """One route, with its findings."""
        part, spot = entry.part, entry.spot
        found = self._source_exists(part, spot) & self._actor_exists(part, spot)
        conditions = FilterReader(spot, self._report)
        when = conditions.when(part.when.source, part.when.events, part.when.filter, ("when",))
        steps = [
            self._steps.step(step, spot, number, incomplete="transforms" in self._incomplete)
            for number, step in enumerate(part.transforms or [])
        ]
        config = self._config(part, spot)
        prompt = self.prompts.find(part.with_.prompt_file, spot) if part.with_ else None
        has_prompt = prompt is not None or not _names_prompt(spot)
        below = self._policies.get(part.then.actor, DeliveryPolicy())
        policy = policy_of(part.then.delivery, below, spot, ("then", "delivery"), self._report)
        batch, batch_key = self._batch(part, policy, spot)
        drop_when, drop_key = self._drop_when(part, conditions, spot)
        read = RouteReads(
            spot=spot,
            source=part.when.source,
            events=part.when.events,
            steps=steps,
            prompt=self.prompts.placeholders(prompt),
            prompt_file=shown(prompt, self._root) if prompt is not None else "",
        )
        keys_are_sound = batch_key is not None and drop_key is not None
        if not (found and has_prompt and keys_are_sound) or when is None or None in steps or config is None:
            return RouteEnd(entry=entry, read=read, spec=None)
        sound = [step for step in steps if step is not None]
        trust = part.when.trust or self._trust(part)
        key = config.get("session_key")
        actor = self._actors.get(part.then.actor)
        session = session_of(part.then.session, key, actor, spot, self._report)
        marks = fingerprint(
            part.then.actor,
            trust,
            key,
            self._steps.marks(part),
            batch_key,
            repr(batch),
            part.then.on_busy,
            drop_key,
            *([] if policy.ordered else ["none"]),
            *([repr(session)] if part.then.session is not None else []),
        )
        spec = RouteSpec(
            name=entry.name,
            when=when,
            actor=part.then.actor,
            trust=trust,
            steps=sound,
            config=config,
            session_key=key,
            prompt_file=prompt,
            policy=policy,
            batch=batch,
            batch_key=batch_key or "",
            drop_when=drop_when,
            drop_key=drop_key or "",
            renamed_from=self._earlier.names(part, spot),
            resumes_lost=self._resumes_lost(part, spot),
            on_busy=self._on_busy(part, spot),
            session=session,
            ticks=self._ticks(part),
            max_runs=self._max_runs(part, spot),
            budget=self._budget(part, spot),
            description=part.description or "",
            fingerprint=marks,
        )
        return RouteEnd(entry=entry, read=read, spec=spec)

    def _resumes_lost(self, part: schema.RouteConfig, spot: Spot) -> bool:
        if part.then.on_lost != "resume":
            return False
        actor, fault, hint = self._actors.get(part.then.actor), "", ""
        if actor is not None and actor.has_runs is False:
            fault, hint = f"{part.then.actor!r} has no runs", "remove `on_lost`"
        elif not (part.then.config or {}).get("session_key"):
            fault = "without a `session_key` there is no session to go on in"
            hint = "set `then.config.session_key`, or remove `on_lost`"
        if fault:
            message = f"{spot.label}: `then.on_lost: resume` has no meaning here: {fault}"
            self._report.error(Code.BAD_VALUE, spot.where("then", "on_lost"), message, hint)
        return True

    def _source_exists(self, part: schema.RouteConfig, spot: Spot) -> bool:
        return self._is_source(part.when.source, spot, ("when", "source"))

    def _is_source(self, name: str, spot: Spot, at: DataPath) -> bool:
        if not name or spot.lacks_variable(*at):
            return False
        if name in self._sources:
            return True
        actor = self._actors.get(name)
        if actor is not None and actor.has_runs is not False:
            return True
        where = spot.where(*at)
        if actor is not None:
            message = f"{spot.label}: {name!r} is an actor without runs, so it emits no events"
            self._report.error(
                Code.UNKNOWN_SOURCE, where, message, "listen to a source, or to an actor that has runs"
            )
        elif not self._incomplete & {"sources", "actors"}:
            running = [one for one, end in self._actors.items() if end.has_runs is not False]
            hint = nearest(name, [*self._sources, *running], what="there are", short=True)
            self._report.error(Code.UNKNOWN_SOURCE, where, f"{spot.label}: there is no source {name!r}", hint)
        return False

    def _actor_exists(self, part: schema.RouteConfig, spot: Spot) -> bool:
        name = part.then.actor
        if not name or spot.lacks_variable("then", "actor"):
            return False
        if name not in self._actors and "actors" not in self._incomplete:
            message = f"{spot.label}: there is no actor {name!r}"
            hint = nearest(name, self._actors, what="there are", short=True)
            if name in self._sources:
                hint = "it is a source only; add an actor of this id under `actors:`"
            self._report.error(Code.UNKNOWN_ACTOR, spot.where("then", "actor"), message, hint)
        return name in self._actors

    def _trust(self, part: schema.RouteConfig) -> Trust:
        source, actor = self._sources.get(part.when.source), self._actors.get(part.then.actor)
        doubtful = source is not None and source.kind is not None and source.kind.team_only
        return (
            "team"
            if doubtful and actor is not None and actor.kind is not None and actor.kind.wakes_agent
            else "any"
        )

    def _batch(
        self, part: schema.RouteConfig, policy: DeliveryPolicy, spot: Spot
    ) -> tuple[BatchPolicy | None, str | None]:
        """How its events are collected, and the template of their key; the key is None if it is not sound."""
        said, actor = part.then.batch, self._actors.get(part.then.actor)
        ages = (
            actor is not None and actor.kind is not None and (actor.kind.wakes_agent or bool(actor.has_runs))
        )
        batch = batch_of(said, policy, ages=ages, spot=spot, report=self._report)
        if said is None:
            return batch, ""
        return batch, self._key_of(part, said.key, spot, ("then", "batch"))

    def _drop_when(
        self, part: schema.RouteConfig, conditions: FilterReader, spot: Spot
    ) -> tuple[When | None, str | None]:
        """Which later event makes needless what waits, and the template of what both have in common.

        The key is None if something of it is not sound.
        """
        said, at = part.then.drop_when, ("then", "drop_when")
        if said is None:
            return None, ""
        found = said.source is None or self._is_source(said.source, spot, (*at, "source"))
        when = conditions.when(said.source or part.when.source, said.events, said.filter, at)
        key = self._key_of(part, said.key, spot, at)
        return (when, key) if found and when is not None else (None, None)

    def _key_of(self, part: schema.RouteConfig, own: str | None, spot: Spot, at: DataPath) -> str | None:
        """The template of a key: its own, or that of the route. None if there is none that is sound."""
        if own is not None:
            return own if self._template(own, (*at, "key"), spot) else None
        key = (part.then.config or {}).get("session_key")
        if not key and spot.get(*at, "key") is None:
            message = f"{spot.label}: `{dotted(at)}` needs a `key`: this route has no `session_key`"
            hint = 'name what its events are about, such as "{{provenance.pr_number}}"'
            self._report.error(Code.MISSING_KEY, spot.where(*at, key=True), message, hint)
        return key if isinstance(key, str) and key else None

    def _on_busy(self, part: schema.RouteConfig, spot: Spot) -> OnBusy:
        """A webhook is work, and queues. A tick is none: the last one stands for all that wait."""
        said, actor = part.then.on_busy, self._actors.get(part.then.actor)
        if said is None:
            ticks = self._ticks(part) and part.then.batch is None
            return OnBusy.REPLACE_PENDING if ticks else OnBusy.QUEUE
        fault = hint = ""
        if part.then.batch is not None and said is not OnBusy.QUEUE:
            fault, hint = "a batch takes all events that wait", "remove `on_busy` or `batch`"
        elif said is OnBusy.CANCEL_IN_PROGRESS and actor is not None and actor.has_runs is False:
            fault, hint = f"{part.then.actor!r} has no runs", "write `replace_pending`"
        if fault:
            message = f"{spot.label}: `then.on_busy: {said}` has no meaning here: {fault}"
            self._report.error(Code.BAD_VALUE, spot.where("then", "on_busy"), message, hint)
        return said

    def _ticks(self, part: schema.RouteConfig) -> bool:
        source = self._sources.get(part.when.source)
        return source is not None and source.kind is not None and source.kind.by_hour is not None

    def _max_runs(self, part: schema.RouteConfig, spot: Spot) -> int | None:
        runs = part.then.limits.runs if part.then.limits else None
        actor = self._actors.get(part.then.actor)
        if runs is not None and actor is not None and actor.has_runs is False:
            where = spot.where("then", "limits", "runs", key=True)
            message = f"{spot.label}: `then.limits.runs` has no effect: {part.then.actor!r} has no runs"
            self._report.warn(Code.NO_EFFECT, where, message, "remove it")
        return runs

    def _budget(self, part: schema.RouteConfig, spot: Spot) -> Sequence[Limit]:
        said = part.then.budget
        of_key = limits_of(said.per_key, ScopeLevel.KEY, "then.budget.per_key") if said is not None else ()
        limits = [*limits_of(said, ScopeLevel.ROUTE, "then.budget"), *of_key]
        if of_key and not (part.then.config or {}).get(_SESSION_KEY):
            message = f"{spot.label}: `then.budget.per_key` has no meaning: this route has no `session_key`"
            where, hint = spot.where("then", "budget", "per_key", key=True), "set `then.config.session_key`"
            self._report.error(Code.BAD_VALUE, where, message, hint)
        actor, name = self._actors.get(part.then.actor), part.then.actor
        if actor is None or actor.spec is None:
            return limits
        if limits and actor.has_runs is False:
            where = spot.where("then", "budget", key=True)
            message = f"{spot.label}: `then.budget` has no effect: {name!r} has no runs"
            self._report.warn(Code.NO_EFFECT, where, message, "remove it")
            return ()
        path = ("then", "budget")
        check_told(limits, priced=actor.priced, actor=name, spot=spot, path=path, report=self._report)
        check_cap(limits, actor.cap_usd, name, spot, self._report)
        return limits

    def _config(self, part: schema.RouteConfig, spot: Spot) -> dict[str, Any] | None:
        """`then.config`, if every template in it can be read."""
        config = part.then.config or {}
        for key in sorted(_INBOX & config.keys()):
            message = f"{spot.label}: `then.config.{key}` is not supported yet"
            where = spot.where("then", "config", key, key=True)
            self._report.error(Code.NOT_YET, where, message, _INBOX[key])
        sound = self._session_key(config.get("session_key"), spot)
        actor = self._actors.get(part.then.actor)
        if actor is not None and actor.kind is not None:
            sound = self._keys(config, actor.kind, spot) and sound
        for path, text in placeholder_texts(config, ("then", "config")):
            sound = self._template(text, path, spot) and sound
        return config if sound else None

    def _keys(self, config: Mapping[str, Any], kind: ActorKind, spot: Spot) -> bool:
        """Whether the actor takes the keys of `then.config`. Those that it only hands on may be misspelt."""
        try:
            refused = kind.check_route(config) if kind.check_route is not None else {}
        except Exception as exc:
            message = f"{spot.label}: its actor cannot check `then.config`: {type(exc).__name__}"
            self._report.error(Code.BROKEN_PLUGIN, spot.where("then", "config"), message, REPORT_IT)
            return False
        known = {_SESSION_KEY, *keys_of(kind.settings)}
        unused = {key for key in known if key not in config}
        for number, key in enumerate(config):
            if self._report.full:
                self._report.leave_out(len(config) - number if refused else 0)
                break
            where = spot.where("then", "config", key, key=True)
            if key in refused:
                fault, hint = advised(refused[key])
                message = f"{spot.label}: `then.config.{key}` {fault}"
                hint = _BELONGS.get(key) or _meant(key, unused & {_SESSION_KEY}) or hint
                self._report.error(Code.ROUTE_CONFIG, where, message, hint)
                continue
            hint = _BELONGS.get(key) or ("" if key in known else _meant(key, unused))
            if hint and key not in _INBOX:
                message = (
                    f"{spot.label}: `then.config.{key}` is not a key of OrgLoop, and is passed on to "
                    f"{spot.get('then', 'actor')!r}"
                )
                self._report.warn(Code.DOUBTFUL_KEY, where, message, hint)
        return not refused

    def _template(self, text: str, path: DataPath, spot: Spot) -> bool:
        try:
            Template.parse(text, in_event)
        except TemplateError as exc:
            for fault in exc.faults:
                said, hint = advised(fault.message, "correct the placeholder")
                message = f"{spot.label}: `{dotted(path)}`: {said}"
                self._report.error(Code.BAD_TEMPLATE, spot.where(*path, within=fault.written), message, hint)
            return False
        return True

    def _session_key(self, key: Any, spot: Spot) -> bool:
        if key is None:
            return True
        at = ("then", "config", "session_key")
        if not isinstance(key, str) or not key.strip():
            message = f"{spot.label}: `then.config.session_key` must be text"
            hint = "put it in quotes, or remove the line"
            self._report.error(Code.WRONG_TYPE, spot.where(*at), message, hint)
            return False
        if "{{" not in key and not spot.lacks_variable(*at):
            message = f"{spot.label}: all its events share the session key {key!r}"
            hint = 'name what the work is about, such as "pr:{{provenance.pr_number}}"'
            self._report.warn(Code.CONSTANT_KEY, spot.where(*at), message, hint)
        return True


def _meant(key: str, known: Iterable[str]) -> str:
    """A hint with the known key that this one is, misspelt; or nothing."""
    return f"did you mean `{meant}`?" if (meant := nearest_name(key, known)) else ""


def _names_prompt(spot: Spot) -> bool:
    """Whether the file says something of a prompt file, be it readable or not."""
    said = spot.get("with")
    return isinstance(said, dict) and "prompt_file" in said
