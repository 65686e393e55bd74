"""What `init` and `add` write: pieces of orgloop.yaml, SOPs, and the files beside them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from orgloop.errors import Refused
from orgloop.plugin import Connector, Offer, Variable
from orgloop.project.yaml_text import block, scalar

_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_]\w*)[^}]*\}")
_WIDTH: Final = 100

GITIGNORE: Final = ".env\n.env.local\n*.log\n"

HEAD: Final = """\
# {name}: events wake agents, and what agents do are events again.
# `orgloop validate` checks this file, `orgloop routes` draws it, `orgloop start` runs it.
apiVersion: orgloop/v1alpha1
kind: Project
metadata:
  name: {scalar}
{description}"""

SOURCES_HEAD: Final = "# Where events come from."
ACTORS_HEAD: Final = "# Who does the work."
ROUTES_HEAD: Final = """\
# What wakes whom. `events` are names or globs; a `filter` under `when:` narrows them down:
#   filter: {payload.service: billing}"""

NO_BOTS: Final = {
    "ref": "filter",
    "config": {"exclude": {"provenance.author_type": "bot"}},
    "on_error": "hold",
}
"""A step that keeps a bot's doings from an agent."""

SOP: Final = """\
# {title}

You work on what `{source}` reports. The event that woke you follows as data.

1. Say in one sentence what happened.
2. Do what has to be done about it. (Describe here how this team does that.)
3. Say what you did. If you end with a fenced JSON block such as `{{"decision": "done"}}`,
   other routes can filter on `payload.result.json.decision` of your `actor.stopped`.
"""

SCRIPT: Final = """\
#!/bin/sh
# Reads one event as JSON from standard input.
#   Pass it on:     print it, changed or not, and exit with 0.
#   Drop it:        exit with 1; what is written to standard error is the reason.
#   Anything else:  is an error; `on_error` of the transform decides.
exec cat
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One route: which connector's source wakes which connector's actor, under which ids."""

    route: str
    source: str
    actor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ProjectRequest:
    """What `init` was asked for. `chosen` are values for what its actors' connectors offer, by key.

    `wakes` are sources and the ids of the actors that they wake; without it every source wakes one, and every
    actor is woken.
    """

    name: str
    description: str
    sources: Sequence[Connector]
    actors: Sequence[Connector]
    chosen: Mapping[str, str] = field(default_factory=dict)
    wakes: Sequence[tuple[str, str]] = ()

    @property
    def pairs(self) -> list[Pair]:
        """The routes."""
        count = max(len(self.sources), len(self.actors))
        wakes = self.wakes or [
            (
                self.sources[number % len(self.sources)].name,
                self.actor_id(self.actors[number % len(self.actors)]),
            )
            for number in range(count)
        ]
        return [Pair(route=f"{source}-to-{actor}", source=source, actor=actor) for source, actor in wakes]

    def actor_id(self, actor: Connector) -> str:
        """Its connector's name, unless that would make it one event source with a source."""
        taken = any(source.name == actor.name for source in self.sources)
        return f"{actor.name}-out" if taken else actor.name


def project_files(choice: ProjectRequest) -> dict[str, str]:
    """Every file of a new project: path -> content."""
    text = project_yaml(choice)
    files = {"orgloop.yaml": text}
    for pair in choice.pairs:
        files[f"sops/{pair.route}.md"] = sop(pair.source)
    example = env_example(text, [*choice.sources, *choice.actors])
    if example:
        files[".env.example"] = example
    files[".gitignore"] = GITIGNORE
    return files


def project_yaml(choice: ProjectRequest) -> str:
    """orgloop.yaml."""
    description = f"  description: {scalar(choice.description)}\n" if choice.description else ""
    by_name = {one.name: one for one in choice.sources}
    by_id = {choice.actor_id(one): one for one in choice.actors}
    lines = [HEAD.format(name=choice.name, scalar=scalar(choice.name), description=description)]
    lines += [SOURCES_HEAD, "sources:"]
    for connector in choice.sources:
        lines += _item(source_entry(connector.name, connector), f"# {connector.title}")
    lines += ["", ACTORS_HEAD, "actors:"]
    for id, connector in by_id.items():
        entry = actor_entry(id, connector, choice.chosen)
        lines += _item(entry, f"# {connector.title}")
    lines += ["", ROUTES_HEAD, "routes:"]
    for pair in choice.pairs:
        lines += _item(
            route_entry(
                pair.route,
                pair.source,
                pair.actor,
                events=events_of(by_name[pair.source]),
                transforms=[NO_BOTS] if _meets_bots(by_name[pair.source], by_id[pair.actor]) else [],
                prompt_file=f"sops/{pair.route}.md",
            )
        )
    return "\n".join(lines) + "\n"


def _item(entry: Mapping[str, Any], comment: str = "") -> list[str]:
    return [*([f"  {comment}"] if comment else []), *block([entry], 2)]


def source_entry(id: str, connector: Connector, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """An item of `sources:`."""
    kind = connector.source
    config = {**(kind.scaffold if kind else {}), **(more or {})}
    entry: dict[str, Any] = {"id": id, "connector": connector.name}
    return entry | ({"config": config} if config else {})


def actor_entry(
    id: str,
    connector: Connector,
    chosen: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """An item of `actors:`."""
    kind = connector.actor
    config = dict(kind.scaffold if kind else {})
    for offer in kind.offers if kind else ():
        config[offer.key] = (chosen or {}).get(offer.key) or next(iter(offer.options))
    config |= more or {}
    entry: dict[str, Any] = {"id": id, "connector": connector.name}
    return entry | ({"config": config} if config else {})


def offers_of(actors: Iterable[Connector]) -> list[Offer]:
    """What these connectors offer a choice for, each key once."""
    offers = (offer for one in actors if one.actor is not None for offer in one.actor.offers)
    return list({offer.key: offer for offer in offers}.values())


def checked(chosen: Mapping[str, str], actors: Iterable[Connector]) -> Mapping[str, str]:
    """What was chosen by name. Raises Refused for a value that no connector offers."""
    for offer in offers_of(actors):
        value = chosen.get(offer.key)
        if value is not None and value not in offer.options:
            hint = f"choose one of {', '.join(offer.options)}, or write another into orgloop.yaml"
            raise Refused(f"{offer.key}: {value!r} is not offered", hint=hint)
    return chosen


def route_entry(
    name: str,
    source: str,
    actor: str,
    *,
    events: Sequence[str],
    filter: Mapping[str, Any] | None = None,
    transforms: Sequence[str | Mapping[str, Any]] = (),
    prompt_file: str | None = None,
) -> dict[str, Any]:
    """An item of `routes:`."""
    entry: dict[str, Any] = {"name": name, "when": {"source": source, "events": list(events)}}
    if filter:
        entry["when"]["filter"] = dict(filter)
    if transforms:
        entry["transforms"] = list(transforms)
    entry["then"] = {"actor": actor}
    if prompt_file is not None:
        entry["with"] = {"prompt_file": prompt_file}
    return entry


def events_of(connector: Connector) -> list[str]:
    """What a first route listens to: of a system that reports everything, one kind of event only."""
    kind = connector.source
    if kind is None:
        return ["*"]
    named = (kind.example or {}).get("provenance", {}).get("platform_event")
    return [named] if kind.team_only and isinstance(named, str) else [str(name) for name in kind.emits]


def _meets_bots(source: Connector, actor: Connector) -> bool:
    team_only = source.source is not None and source.source.team_only
    return team_only and actor.actor is not None and actor.actor.wakes_agent


def sop(source: str) -> str:
    """A first prompt file."""
    return SOP.format(title=f"What to do about events of {source}", source=source)


def variables_in(text: str) -> list[str]:
    """The names in `${...}`, in their order; comments do not count."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return list(dict.fromkeys(name for line in lines for name in _VARIABLE.findall(line)))


def env_example(text: str, connectors: Iterable[Connector]) -> str:
    """`.env.example` for the variables in `text`; empty if there are none."""
    known: dict[str, Variable] = {one.name: one for each in connectors for one in each.setup.variables}
    parts = []
    for name in variables_in(text):
        variable = known.get(name)
        notes = [variable.description, variable.help_url] if variable else []
        if variable and variable.help_command:
            notes.append(f"$ {variable.help_command}")
        parts.append("".join(f"# {note}\n" for note in notes if note) + f"{name}=\n")
    return (
        "# Copy this file to .env and fill it in. .env stays out of git.\n\n" + "\n".join(parts)
        if parts
        else ""
    )
