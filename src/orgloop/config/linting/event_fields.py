"""What routes read from events, held against the fields and values that their events have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from orgloop.config.findings import Code, Report, Where, nearest
from orgloop.config.linting.filter_values import doubt, listed, never, not_a_placeholder
from orgloop.config.model import StepSpec
from orgloop.config.reading.collect import Entry
from orgloop.config.reading.documents import Spot, texts
from orgloop.config.reading.env import DataPath
from orgloop.config.resolving.routes import RouteReads
from orgloop.config.resolving.sources_and_actors import ActorEnd, SourceEnd
from orgloop.config.schema.models import TransformConfig
from orgloop.core.events.event import ENVELOPE
from orgloop.core.events.fields import Path, PathError, in_event
from orgloop.core.events.keys import is_missing
from orgloop.core.events.shape import BELOW, RUN_SHAPES, EventShape, Values, may_be, shapes_of
from orgloop.core.events.templates import Fallback, Template, TemplateError
from orgloop.core.text.json_text import text_of
from orgloop.core.text.suggest import nearest_name
from orgloop.errors import FAULTS
from orgloop.plugin.transform import Reading
from orgloop.plugin.worktree import worktree_of

_KEYS: Final[Mapping[DataPath, str]] = {
    ("then", "config", "session_key"): "session_key",
    ("then", "config", "thread_id"): "thread_id",
    ("then", "config", "sticky"): "name of a comment",
    ("then", "batch", "key"): "batch key",
    ("then", "drop_when", "key"): "key to drop by",
}


class EventFields:
    """Checks the routes of one project."""

    def __init__(
        self,
        sources: Mapping[str, SourceEnd],
        actors: Mapping[str, ActorEnd],
        definitions: Mapping[str, Entry[TransformConfig]],
        report: Report,
    ) -> None:
        self._sources = sources
        self._actors = actors
        self._definitions = definitions
        self._report = report
        self._shapes: dict[str, Sequence[EventShape]] = {}
        self._heard: dict[tuple[str, tuple[str, ...]], KnownEvents] = {}
        self._branches: dict[tuple[str, str], str] = {}
        """By an actor and a path in the name of its branches: what to write instead, if it never comes."""

    def check(self, read: RouteReads) -> None:
        """Warn of what a route asks for and never gets; refuse keys of which a part never has a value."""
        route = self._route(read.spot, read.source, read.events, ("when", "filter"))
        self._drop_when(read, route)
        self._branch(read, self._heard[read.source, tuple(read.events)])
        for number, step in enumerate(read.steps):
            if step is None or not self._step(route, read.spot, step, number):
                return
        for at in (("then", "config"), ("then", "batch", "key")):
            for path, text in texts(read.spot.get(*at), at):
                route.text(path, text)
        for one in read.prompt:
            where = Where(file=read.prompt_file, line=one.line, column=one.column)
            route.placeholder(one.part, where, f" ({read.prompt_file})")

    def _drop_when(self, read: RouteReads, route: _Route) -> None:
        """The later event, and the key that it and what waits must both have, as they came."""
        said = read.spot.get("then", "drop_when")
        names = said.get("events") if isinstance(said, dict) else None
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            return
        source = said.get("source") or read.source
        later = self._route(read.spot, str(source), names, ("then", "drop_when", "filter"))
        own, session = ("then", "drop_when", "key"), ("then", "config", "session_key")
        if isinstance(key := read.spot.get(*own), str):
            route.text(own, key)
            later.text(own, key, "key to drop by")
        elif isinstance(key := read.spot.get(*session), str):
            later.text(session, key, "key to drop by")

    def _route(self, spot: Spot, source: str, events: Sequence[str], at: DataPath) -> _Route:
        """What hears of these events, with the lines of its filter, which is at `at`, checked."""
        heard = (source, tuple(events))
        if source not in self._shapes:
            self._shapes[source] = self._of(source)
        if heard not in self._heard:
            self._heard[heard] = KnownEvents(source, events, self._shapes[source])
        route = _Route(spot, self._heard[heard], self._report)
        lines = spot.get(*at)
        for key, value in lines.items() if isinstance(lines, dict) else ():
            route.line(key, value, at)
        return route

    def _step(self, route: _Route, spot: Spot, step: StepSpec, number: int) -> bool:
        """Whether the event that follows this step is still what the source sent."""
        try:
            readings = list(step.plugin.reads(step.settings))
            changes = step.plugin.changes(step.settings)
        except FAULTS:
            return False
        for reading in readings:
            route.reads(reading, self._place(spot, step, number, reading.at), step.name)
        return not changes

    def _place(self, spot: Spot, step: StepSpec, number: int, at: DataPath) -> tuple[Spot, DataPath]:
        """Where a setting of a step is: in the route, or in the definition of its transform."""
        own, definition = ("transforms", number, "config", *at), self._definitions.get(step.name)
        if definition is None or (at and spot.get(*own) is not None):
            return spot, own
        return definition.spot, ("config", *at)

    def check_branches(self) -> None:
        """Warn of a path in the name of an actor's branches that no event has by which it is woken."""
        for (name, path), instead in self._branches.items():
            if instead:
                spot = self._actors[name].entry.spot
                message = f"{spot.label}: no event that wakes it has `{path}`"
                where = spot.where("config", "worktree", "branch")
                self._report.warn(Code.UNKNOWN_PATH, where, message, instead)

    def _branch(self, read: RouteReads, heard: KnownEvents) -> None:
        """Note which paths in the name of its actor's branches a route's events never have."""
        name = read.spot.get("then", "actor")
        actor = self._actors.get(name) if isinstance(name, str) else None
        worktree = worktree_of(actor.spec.settings) if actor is not None and actor.spec is not None else None
        if actor is None or worktree is None or worktree.branch is None:
            return
        for path in [part for part in Template.parse(worktree.branch).parts if isinstance(part, Path)]:
            there = bool(read.steps) or heard.about(path)[0]
            instead = "" if there else heard.instead(path) or "correct the path"
            known = self._branches.get((actor.entry.name, path.text), instead)
            self._branches[actor.entry.name, path.text] = known and instead

    def _of(self, name: str) -> Sequence[EventShape]:
        """The shapes of all events that come from this id; none if one is not known."""
        source, actor = self._sources.get(name), self._actors.get(name)
        shapes: list[EventShape] = []
        if source is not None:
            if source.kind is None or source.kind.shapes is None or source.spec is None:
                return ()
            try:
                shapes += source.kind.shapes(source.spec.settings)
            except FAULTS:
                return ()
        if actor is not None:
            if actor.kind is None:
                return ()
            shapes += (*RUN_SHAPES, *actor.kind.shapes) if actor.kind.has_runs is not None else ()
        return shapes


class KnownEvents:
    """What is known of the events that routes of one source and one list of names listen to."""

    def __init__(self, source: str, events: Sequence[str], every: Sequence[EventShape]) -> None:
        self.source = source
        self.events = events
        self._every = every
        self.shapes = shapes_of(events, every)
        self._told: dict[str, tuple[bool, bool, Values]] = {}

    def about(self, path: Path) -> tuple[bool, bool, Values]:
        """Whether these events may have it, whether others of the source may, and its values if known."""
        told = self._told.get(path.text)
        if told is None:
            own = [shape for shape in self.shapes if shape.has(path)]
            found = [shape.values(path) for shape in own]
            values = tuple(value for each in found for value in each) if all(found) else ()
            elsewhere = any(shape.has(path) for shape in self._every)
            told = self._told[path.text] = (bool(own) or not self.shapes, elsewhere, values)
        return told

    def instead(self, path: Path) -> str:
        """What to write for a path that is never there."""
        fields = sorted({field.removesuffix(f".{BELOW}") for shape in self.shapes for field in shape.fields})
        near = nearest_name(path.text, fields)
        if near is not None:
            return f"did you mean `{near}`?"
        keys = [key for key, _ in path.steps]
        above = (f"{'.'.join(keys[:length])}." for length in range(len(keys) - 1, 0, -1))
        beside = next(
            (known for place in above if (known := [one for one in fields if one.startswith(place)])), []
        )
        return f"it has: {listed(beside)}" if beside else ""


class _Route:
    def __init__(self, spot: Spot, heard: KnownEvents, report: Report) -> None:
        self._spot = spot
        self._heard = heard
        self._report = report
        self._conditions: list[tuple[Path, list[Any]]] = []

    def line(self, key: str, value: Any, at: DataPath) -> None:
        """One line of the filter at `at`."""
        at = (*at, key)
        wanted = value if isinstance(value, list) else [value]
        try:
            path = Path.parse(key, in_event)
        except PathError:
            return
        # Only a line that wants nothing there can hold for a root that no event has.
        if self._is_there(path, self._spot.where(*at, key=True), strict=None not in wanted):
            self._conditions.append((path, wanted))
            self._values(path, wanted, self._spot.where(*at), self._spot.label)

    def reads(self, reading: Reading, place: tuple[Spot, DataPath], name: str) -> None:
        """What one of its transforms reads."""
        spot, at = place
        of = f" ({name})"
        if reading.needed:
            self._key(reading.path, (reading.path,), spot.where(*at), of, "key")
            return
        # A regular expression may hold for nothing, as null does.
        strict = bool(reading.wanted) and None not in reading.wanted
        if self._is_there(reading.path, spot.where(*at, key=True), of, strict=strict):
            self._values(
                reading.path, reading.wanted, spot.where(*at), f"{self._spot.label}{of}", in_step=True
            )

    def text(self, at: DataPath, text: str, key: str = "") -> None:
        """A text with placeholders. `key`: what it is, if all of its parts must have a value."""
        try:
            template = Template.parse(text, in_event)
        except TemplateError:
            return
        where, key = self._spot.where(*at), key or _KEYS.get(at, "")
        if not self._spot.lacks_variable(*at) and (mistaken := not_a_placeholder(template)):
            written, instead = mistaken
            message = f"{self._spot.label}: `{written}` is no placeholder, and stays in the text as it is"
            self._report.warn(Code.DOUBTFUL_VALUE, where, message, f"write `{instead}`")
        for part in template.parts:
            if isinstance(part, str):
                continue
            paths = part.paths if isinstance(part, Fallback) else (part,)
            default = part.default if isinstance(part, Fallback) else None
            if key and is_missing(default):
                self._key(part, paths, where, "", key)
            else:
                self.placeholder(part, where, "")

    def placeholder(self, part: Path | Fallback, where: Where, of: str) -> None:
        """A placeholder that may have no value."""
        for path in part.paths if isinstance(part, Fallback) else (part,):
            self._is_there(path, where, of)

    def _key(self, part: Path | Fallback, paths: Sequence[Path], where: Where, of: str, key: str) -> None:
        """A part of a key, which is the first of `paths` with a value: some event must have one."""
        for path in paths:
            if path.steps[0][0] not in ENVELOPE:
                self._unknown_root(path, where, of, needed=len(paths) == 1)
        known = [path for path in paths if path.steps[0][0] in ENVELOPE]
        passing = self._passing()
        lacking = [shape for shape in passing if not any(shape.has(path) for path in known)]
        if not known or not lacking:
            return
        label = f"{self._spot.label}{of}"
        if len(lacking) == len(passing):
            message = f"{label}: {self._whose(known[0])} `{part}`, so there is never a {key}"
            self._report.error(Code.UNKNOWN_PATH, where, message, self._heard.instead(known[0]))
            return
        names = listed(
            dict.fromkeys(name for shape in lacking for name in _own_names(shape) or self._heard.events)
        )
        message = f"{label}: some events never have `{part}`, so they have no {key}: {names}"
        hint = "give them a route of their own, or name another path behind `??`"
        self._report.warn(Code.UNKNOWN_PATH, where, message, hint)

    def _passing(self) -> list[EventShape]:
        """The events that can pass `when.filter`."""
        return [
            shape
            for shape in self._heard.shapes
            if all(
                shape.has(path) and any(may_be(value, shape.values(path)) for value in wanted)
                for path, wanted in self._conditions
            )
        ]

    def _values(
        self, path: Path, wanted: Sequence[Any], where: Where, label: str, *, in_step: bool = False
    ) -> None:
        _, _, values = self._heard.about(path)
        for value in wanted:
            if isinstance(value, dict | list) or (in_step and value is None):
                continue
            if hint := doubt(value, values, in_step=in_step):
                message = f"{label}: `{path}` is compared literally with {value!r}"
                self._report.warn(Code.DOUBTFUL_VALUE, where, message, hint)
            elif (hint := never(value, values) or "") or not may_be(value, values):
                message = f"{label}: `{path}` is never {text_of(value)}"
                self._report.warn(Code.UNKNOWN_VALUE, where, message, hint)

    def _is_there(self, path: Path, where: Where, of: str = "", *, strict: bool = False) -> bool:
        """Whether the events that it listens to may have something there; else a warning.

        A root that no event has is an error if something must be there.
        """
        root = path.steps[0][0]
        if root not in ENVELOPE:
            # Older files name fields of `provenance` without it: those stay a warning.
            older = self._heard.about(Path.parse(f"provenance.{root}"))[1] or not self._heard.shapes
            misspelt = nearest_name(root, ENVELOPE) is not None
            self._unknown_root(path, where, of, needed=strict and (misspelt or not older))
            return False
        is_there, _, _ = self._heard.about(path)
        if not is_there:
            message = f"{self._spot.label}{of}: {self._whose(path)} `{path}`"
            self._report.warn(Code.UNKNOWN_PATH, where, message, self._heard.instead(path))
        return is_there

    def _whose(self, path: Path) -> str:
        _, elsewhere, _ = self._heard.about(path)
        heard = self._heard
        return f"{listed(heard.events)} never has" if elsewhere else f"no event of {heard.source!r} has"

    def _unknown_root(self, path: Path, where: Where, of: str, *, needed: bool) -> None:
        root = path.steps[0][0]
        message = f"{self._spot.label}{of}: no event has `{root}`, so `{path}` is never there"
        near = nearest(root, ENVELOPE)
        places = [f"{above}.{path}" for above in ("provenance", "payload")]
        there = [place for place in places if self._heard.about(Path.parse(place, in_event))[1]]
        hint = f"write {' or '.join(f'`{place}`' for place in there or places)}"
        keys = [key for key, _ in path.steps]
        inner = next((number for number, key in enumerate(keys) if key in ("payload", "provenance")), 0)
        if inner:
            hint = f"write `{'.'.join(keys[inner:])}`"
        elif '"' in path.text:
            hint = f"write `{root}` without quotes" if root.partition(".")[0] in ENVELOPE else "correct it"
        elif near.startswith("did"):
            hint = f"did you mean `{near.split('`')[1]}{path.text.removeprefix(root)}`?"
        told = self._report.error if needed else self._report.warn
        told(Code.UNKNOWN_PATH, where, message, hint)


def _own_names(shape: EventShape) -> Sequence[str]:
    """The names of a kind of event without those that it shares with others."""
    special = [name for name in shape.names if "." in name and not name.startswith(("resource.", "actor."))]
    return special or shape.names
