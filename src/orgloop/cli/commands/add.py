"""`orgloop add`: one more source, actor, route, transform or logger in orgloop.yaml."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import click

from orgloop.cli.app import App
from orgloop.cli.command import new_group
from orgloop.cli.completion import ACTOR, SOURCE
from orgloop.cli.screen.setting_keys import print_keys
from orgloop.cli.time_limit import no_limit
from orgloop.errors import Conflict, NotFound, Refused

if TYPE_CHECKING:
    from orgloop.plugin import ActorKind, Connector, SourceKind
    from orgloop.project.edit import Edit

command = new_group(
    """Add a source, actor, route, transform or logger to orgloop.yaml.

    Comments and layout of the file are kept. The result is written only if it is valid.""",
    examples=[
        "orgloop add source ticks --connector cron",
        "orgloop add actor engineer --connector claude-code",
        "orgloop add route failed --source ci --actor engineer --filter payload.ok=false",
    ],
)


def _set_options(function: Callable[..., None]) -> Callable[..., None]:
    set_one = click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="One key of `config:`; VALUE is YAML. Repeatable.",
    )
    keys = click.option("--keys", is_flag=True, help="List the keys that --set takes, and add nothing.")
    return set_one(keys(function))


_connector_option = click.option("--connector", metavar="NAME", help="The connector; by default NAME.")


@command.subcommand(
    "source",
    examples=["orgloop add source github", "orgloop add source ticks --connector cron"],
)
@click.argument("name")
@_connector_option
@_set_options
def add_source(app: App, name: str, connector: str | None, settings: tuple[str, ...], keys: bool) -> None:
    """Add a source of events."""
    from orgloop.project.scaffold import source_entry

    plugin = app.connector(connector or name)
    if plugin.source is None:
        raise Refused(f"the connector {plugin.name} has no source", hint=_others(app, "source"))
    if keys:
        print_keys(app, plugin.source.settings)
        return
    edit, given = _edit(app, "sources", "source", name), _settings(settings)
    entry = source_entry(name, plugin, given)
    _save(app, edit, "source", entry)
    if not app.out.json:
        _show_chosen(app, entry, given)
        _say_examples(app, plugin.source, given)
        app.out.line(f"  route it: orgloop add route NAME --source {name}")


@command.subcommand(
    "actor",
    examples=[
        "orgloop add actor reviewer --connector claude-code --permission-mode plan",
        "orgloop add actor notify --connector webhook --set url=https://chat.example/hook",
    ],
)
@click.argument("name")
@_connector_option
@_set_options
@click.option(
    "--permission-mode",
    metavar="MODE",
    help="Permissions of a coding agent; by default the first that its connector offers.",
)
def add_actor(
    app: App,
    name: str,
    connector: str | None,
    settings: tuple[str, ...],
    keys: bool,
    permission_mode: str | None,
) -> None:
    """Add an actor: an agent, or another program, that does work."""
    from orgloop.project.scaffold import actor_entry, checked

    plugin = app.connector(connector or name)
    if plugin.actor is None:
        raise Refused(f"the connector {plugin.name} has no actor", hint=_others(app, "actor"))
    if keys:
        print_keys(app, plugin.actor.settings)
        return
    chosen = checked({"permission_mode": permission_mode} if permission_mode else {}, [plugin])
    edit, given = _edit(app, "actors", "actor", name), _settings(settings)
    entry = actor_entry(name, plugin, chosen, given)
    _save(app, edit, "actor", entry)
    if not app.out.json:
        _show_chosen(app, entry, {*given, *chosen})
        _say_examples(app, plugin.actor, given)
        app.out.line(f"  route to it: orgloop add route NAME --actor {name}")


@command.subcommand(
    "route",
    examples=[
        "orgloop add route triage --source linear --actor reviewer --events issue.created",
        "orgloop add route failed --source ci --actor reviewer --filter payload.ok=false",
    ],
)
@click.argument("name")
@click.option("--source", metavar="ID", type=SOURCE, help="The source of its events, if there are several.")
@click.option("--actor", metavar="ID", type=ACTOR, help="The actor that it wakes, if there are several.")
@click.option("--events", metavar="A,B", help="Names of events, or globs; the connector suggests a default.")
@click.option("--filter", "filters", multiple=True, metavar="PATH=VALUE", help="A condition. Repeatable.")
@click.option("--transforms", metavar="A,B", help="Transforms, in order.")
@click.option("--prompt-file", metavar="FILE", help="Its SOP. If absent, one is created for an agent.")
def add_route(
    app: App,
    name: str,
    source: str | None,
    actor: str | None,
    events: str | None,
    filters: tuple[str, ...],
    transforms: str | None,
    prompt_file: str | None,
) -> None:
    """Add a route: which events wake which actor."""
    from orgloop.project.scaffold import route_entry, sop

    edit = _edit(app, "routes", "route", name)
    source = _only(app, edit, source, ("sources", "actors") if source else ("sources",), "source")
    actor = _only(app, edit, actor, ("actors",), "actor")
    if prompt_file is None and _reads_sops(app, edit, actor):
        prompt_file = f"sops/{name}.md"
        edit.create(prompt_file, sop(source))
    entry = route_entry(
        name,
        source,
        actor,
        events=_list(events) or _suggested(app, edit, source),
        filter=_settings(filters),
        transforms=_list(transforms),
        prompt_file=prompt_file,
    )
    _save(app, edit, "route", entry)
    if not app.out.json:
        _show(app, [entry])


@command.subcommand(
    "transform",
    examples=[
        "orgloop add transform drop-drafts",
        "orgloop add transform no-bots --type filter --set 'exclude={provenance.author_type: bot}'",
    ],
)
@click.argument("name")
@click.option(
    "--type", "kind", metavar="NAME", default="script", show_default=True, help="An installed transform."
)
@_set_options
def add_transform(app: App, name: str, kind: str, settings: tuple[str, ...], keys: bool) -> None:
    """Add a transform: a step that passes, changes or drops an event.

    A script gets a file of its own to begin with. If it fails, the event is held for a person.
    """
    from orgloop.project.scaffold import SCRIPT

    plugin = app.registry.transform(kind)
    if keys:
        print_keys(app, plugin.settings)
        return
    edit = _edit(app, "transforms", "transform", name)
    config = _settings(settings)
    entry: dict[str, Any] = {"name": name, "type": plugin.name}
    if plugin.name == "script" and "script" not in config:
        entry["script"] = f"transforms/{name}.sh"
        edit.create(entry["script"], SCRIPT, executable=True)
    _save(app, edit, "transform", entry | ({"config": config} if config else {}) | {"on_error": "hold"})
    if not app.out.json:
        app.out.line(f"  use it: write `transforms: [{name}]` into a route")


@command.subcommand(
    "logger",
    examples=["orgloop add logger file", "orgloop add logger audit --type file --set path=audit.log"],
)
@click.argument("name")
@click.option("--type", "kind", metavar="NAME", help="An installed logger; by default NAME.")
@_set_options
def add_logger(app: App, name: str, kind: str | None, settings: tuple[str, ...], keys: bool) -> None:
    """Add a logger: it writes what happens to a file or a terminal."""
    plugin = app.registry.logger(kind or name)
    if keys:
        print_keys(app, plugin.settings)
        return
    edit = _edit(app, "loggers", "logger", name)
    config = _settings(settings)
    _save(app, edit, "logger", {"name": name, "type": plugin.name} | ({"config": config} if config else {}))


@command.subcommand("connector", examples=["orgloop add connector my-tracker --package"])
@click.argument("name")
@click.option("--package", is_flag=True, help="Write a Python package into ./orgloop-NAME.")
def add_connector(app: App, name: str, package: bool) -> None:
    """Create a package for your own connector, with tests of its contract."""
    from pathlib import Path

    from orgloop.plugin.registry import CONNECTORS
    from orgloop.project.packages import write_package

    if not package:
        hint = f"orgloop add connector {name} --package; to use one: orgloop add source ID --connector {name}"
        raise Refused("a connector is a package", hint=hint)
    if name in app.registry.names(CONNECTORS):
        raise Conflict(f"a connector {name!r} is installed already", hint="choose another name")
    created = write_package(name, Path.cwd())
    if app.out.json:
        app.out.data({"created": [str(path) for path in created]})
        return
    for path in created:
        app.out.ok(f"created {app.out.path(path)}")
    app.out.line(f"  install it: pip install -e ./orgloop-{name} pytest")
    app.out.line(f"  test it: pytest ./orgloop-{name}")
    app.out.line(f"  use it: orgloop add source ID --connector {name}")


def _edit(app: App, section: str, word: str, name: str) -> Edit:
    """The project, ready for one more. Raises Conflict if the name is taken."""
    from orgloop.project.edit import Edit

    edit = Edit(
        app.loaded,
        app.project_file,
        section,
        word,
        registry=app.registry,
        environ=app.environ,
        load=app.load,
    )
    if name in edit.names(section):
        raise Conflict(f"the {word} {name!r} exists already", hint=f"choose another name for the new {word}")
    return edit


def _save(app: App, edit: Edit, word: str, entry: Mapping[str, Any]) -> None:
    """Write it, and tell of what was written and what is missing now."""
    out, added = app.out, edit.save(entry)
    if out.json:
        out.data(
            {
                "file": str(added.file),
                "section": edit.section,
                "entry": added.entry,
                "created": [str(path) for path in added.created],
                "missing_variables": [one.name for one in added.missing],
            }
        )
        return
    from orgloop.cli.screen.listing import print_findings

    out.ok(f"added {word} {entry.get('id') or entry.get('name')} to {out.path(added.file)}")
    for path in added.created:
        out.ok(f"created {out.path(path)}")
    for state in added.missing:
        out.warn(f"{state.name} is not set", "\n".join([*state.advice, f"write {state.name}=… into .env"]))
    print_findings(out, added.doubts, root=added.file.parent)


def _show_chosen(app: App, entry: Mapping[str, Any], given: Collection[str]) -> None:
    """What was chosen where nobody said anything."""
    chosen = {key: value for key, value in entry.get("config", {}).items() if key not in given}
    if chosen:
        _show(app, {"config": chosen})


def _show(app: App, written: Any) -> None:
    """What was written, as YAML."""
    from orgloop.cli.screen.grid import print_block
    from orgloop.project.yaml_text import block

    print_block(app.out, "\n".join(block(written)))


def _say_examples(app: App, kind: SourceKind | ActorKind, given: Mapping[str, Any]) -> None:
    """Say what nobody chose and everybody chooses for themselves; a variable asks for its value by itself."""
    from orgloop.project.scaffold import variables_in

    fields = kind.settings.model_fields
    examples = [
        f"`{key}`"
        for key, value in kind.scaffold.items()
        if key not in given and key in fields and fields[key].is_required()
        if not variables_in(json.dumps(value))
    ]
    if examples:
        app.out.line(f"  in its `config`, replace these example values: {', '.join(examples)}")


def _settings(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`KEY=VALUE` pairs; the values are YAML. Raises Refused for what is none."""
    from orgloop.config.reading.yaml import parse

    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        parsed = parse(f"value: {value}".encode())
        if not (equals and key) or parsed.problems or "\n" in value:
            raise Refused(f"{pair!r} is not KEY=VALUE", hint="write a key, =, and a value as in YAML")
        settings[key.strip()] = parsed.data["value"]
    return settings


def _list(text: str | None) -> list[str]:
    return [part.strip() for part in (text or "").split(",") if part.strip()]


def _only(app: App, edit: Edit, named: str | None, sections: tuple[str, ...], word: str) -> str:
    """The one that was named, else the only one that there is, else the one that a person chooses."""
    known = [name for section in sections for name in edit.names(section)]
    if named is not None:
        if named not in known:
            from orgloop.config.findings import nearest

            raise NotFound(f"there is no {word} {named!r}", hint=nearest(named, known, what="there are"))
        return named
    if len(known) > 1 and app.out.asks:
        from orgloop.cli.screen.questions import which

        no_limit()
        return which(f"Which {word}?", known)
    if len(known) != 1:
        listed = f"there are: {', '.join(known)}" if known else f"add one first: orgloop add {word} NAME"
        raise Refused(f"which {word}?", hint=f"name it with --{word}; {listed}")
    return known[0]


def _reads_sops(app: App, edit: Edit, actor: str) -> bool:
    kind = _connector(app, edit, "actors", actor).actor
    return kind is not None and (kind.wakes_agent or kind.has_runs is not None)


def _suggested(app: App, edit: Edit, source: str) -> list[str]:
    from orgloop.project.scaffold import events_of

    if source not in edit.names("sources"):
        return ["actor.stopped"]
    return events_of(_connector(app, edit, "sources", source))


def _connector(app: App, edit: Edit, section: str, id: str) -> Connector:
    part: Mapping[str, Any] = edit.parts(section)[id]
    return app.connector(str(part.get("connector")))


def _others(app: App, side: str) -> str:
    names = {one.name for one in app.registry.connectors() if getattr(one, side) is not None}
    return f"these have one: {', '.join(sorted(names))}"
