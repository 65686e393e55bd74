"""`orgloop plan`: what a start or restart would change."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.exits import Exit

if TYPE_CHECKING:
    from orgloop.config.diff import ConfigChange, Plan
    from orgloop.journal.model import AppliedRow
    from orgloop.operations.ownership import Earlier
    from orgloop.project.home import DaemonInfo

_COLORS = {"add": "green", "change": "yellow", "remove": "red", "same": "dim"}
_SECTIONS = {
    "account": "accounts",
    "source": "sources",
    "actor": "actors",
    "transform": "transforms",
    "route": "routes",
    "logger": "loggers",
    "defaults": "defaults",
    "metadata": "metadata",
    "script": "scripts",
    "sop": "sops",
}
_LIVE = {
    "script": "  (read at each event: takes effect at once)",
    "sop": "  (read at each wake: takes effect at once)",
}


@new_command(examples=["orgloop plan", "orgloop plan --detailed-exitcode", "orgloop plan --json"])
@click.option(
    "--detailed-exitcode", is_flag=True, help="End with 2 if there are changes, with 0 if there are none."
)
def command(app: App, detailed_exitcode: bool) -> int:
    """Show what a start or restart would change, field by field, and change nothing.

    Compares the files with what was applied last. Prompt files and scripts are read whenever they are
    needed, so a changed one counts at once. A variable's value is compared without being shown.
    """
    from orgloop.operations.ownership import earlier_of
    from orgloop.operations.plan import compared, renames, unfinished
    from orgloop.project.home import running_daemon

    organization = app.organization
    with app.reading() as reader:
        applied = reader.applied() if reader is not None else None
        waiting = reader.counts() if reader is not None else {}
    plan = compared(applied, organization)
    daemon = running_daemon(app.home)
    earlier = earlier_of(app.home, organization.root)
    renamed = renames(organization)
    work = unfinished(plan, waiting, renamed)
    moving = {old: new for old, new in renamed.items() if any(counts.get(old) for counts in waiting.values())}
    if app.out.json:
        document = _document(plan, applied, work, running=daemon is not None) | {"moves": moving}
        app.out.data(document | {"unfinished": dict(earlier.unfinished) if earlier is not None else {}})
    else:
        _state(app, plan, applied, earlier, daemon)
        _show_moves(app, plan, work, moving)
        show(app, plan, work)
    return Exit.DIFFERENT if detailed_exitcode and not plan.is_empty else Exit.OK


def _state(
    app: App, plan: Plan, applied: AppliedRow | None, earlier: Earlier | None, daemon: DaemonInfo | None
) -> None:
    """What this is compared with, and whether a start would apply it."""
    from orgloop.operations.ownership import own_home
    from orgloop.project.home import PORT, wanted_port

    out, name = app.out, app.organization.name
    waits = any(item.action != "same" and not item.is_live for item in plan.items)
    if applied is None:
        out.line("Nothing is applied yet: `orgloop start` would apply all of this.")
    elif earlier is None and daemon is not None:
        more = " `orgloop start` applies the changes." if waits else ""
        out.line(f"Compared with the running configuration.{more}")
    elif earlier is None:
        more = " `orgloop start` applies the changes." if waits else ""
        out.line(f"Compared with the last configuration; no daemon runs now.{more}")
    elif daemon is not None:
        out.line("Compared with the running configuration, of another project.")
        out.warn(
            f"this home's daemon (pid {daemon.pid}) runs {earlier.project} in {earlier.root}",
            f"give {name} a home and port of its own:\n{own_home(name, app.organization.root, daemon.port)}",
        )
    else:
        out.line("Compared with the last configuration, of another project.")
        out.warn(
            earlier.words, earlier.ways_out(name, app.organization.root, wanted_port(app.environ) or PORT)
        )
    out.line()


def _show_moves(
    app: App, plan: Plan, work: Mapping[str, Mapping[str, int]], moving: Mapping[str, str]
) -> None:
    """First of all: work that gets another route, and work that loses its own."""
    from orgloop.operations.views.words import counted

    out, told = app.out, list[str]()
    for old, new in moving.items():
        told.append(f"The unfinished work of the route {old} moves to {new}.")
    for item in plan.items:
        waiting = {state: count for state, count in work.get(item.name, {}).items() if state not in _AT_WORK}
        if item.kind == "route" and item.action == "remove" and waiting:
            many = counted(sum(waiting.values()), "delivery", "deliveries")
            told.append(
                f"{many} of the route {item.name}, which is removed, will be held. If it has another name "
                f"now, write `renamed_from: {item.name}` into that route."
            )
    for line in told:
        out.fold(out.style(f"! {line}", "yellow"), 2)
    if told:
        out.line()


def show(
    app: App, plan: Plan, work: Mapping[str, Mapping[str, int]] | None = None, *, applied: bool = False
) -> None:
    """Print a plan. `work` is what waits, by route and state; `applied`: it has just been carried out."""
    out, waiting = app.out, work or {}
    for kind, heading in _SECTIONS.items():
        items = [item for item in plan.items if item.kind == kind and not _is_start(item)]
        shown = [item for item in items if out.verbose or item.action != "same"]
        if not shown:
            continue
        live = _LIVE.get(kind, "")
        out.line(out.style(heading, "bold") + out.style(live, "dim"))
        for item in shown:
            _show_item(app, item, waiting.get(item.name, {}) if kind == "route" else {})
    same = sum(item.action == "same" for item in plan.items)
    if same and not out.verbose:
        out.line(out.style(f"= {same} unchanged; --verbose lists them", "dim"))
    out.line()
    counts = _summary(plan)
    if applied:
        out.ok(f"Applied: {counts['add']} added, {counts['change']} changed, {counts['remove']} removed.")
    else:
        out.line(f"Plan: {counts['add']} to add, {counts['change']} to change, {counts['remove']} to remove.")
    if counts["live"]:
        verb = "has" if counts["live"] == 1 else "have"
        out.line(f"{_live_words(plan)} {verb} changed; no start is needed for that.")


def _live_words(plan: Plan) -> str:
    from orgloop.operations.views.words import counted

    words = {"sop": "prompt file", "script": "script"}
    counts = {kind: sum(_changes_live(item) for item in plan.items if item.kind == kind) for kind in words}
    return " and ".join(counted(count, words[kind]) for kind, count in counts.items() if count)


def _changes_live(item: ConfigChange) -> bool:
    return item.is_live and item.action == "change"


def _show_item(app: App, item: ConfigChange, waiting: Mapping[str, int]) -> None:
    from orgloop.config.diff import VARIABLES

    out = app.out
    mark = out.style(item.action.symbol, _COLORS[item.action])
    out.line(f"  {mark} {item.name}")
    for path, old, new in item.fields if not item.is_live else ():
        if path == VARIABLES:
            # A fingerprint says that something differs, not what.
            out.line("      the value of a variable that it uses")
        else:
            _show_field(app, path, old, new)
    for line in _of_work(waiting, removed=item.action == "remove"):
        out.fold(f"      {out.style(line, 'yellow')}", 8)


def _show_field(app: App, path: str, old: Any, new: Any) -> None:
    """A value that changed, whole: of a list each element, and of a text of several lines each line."""
    out = app.out
    if isinstance(old, list) and isinstance(new, list):
        parts = _elements([_text(one) for one in old], [_text(one) for one in new])
    elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new:
        parts = _elements(old.splitlines(), new.splitlines())
    else:
        parts = []
    if not parts:
        out.fold(f"      {path}: {_values(app, old, new)}", 8)
        return
    out.line(f"      {path}:")
    for sign, text in parts:
        out.fold(f"        {out.style(f'{sign} {text}', 'green' if sign == '+' else 'red')}", 10)


def _elements(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, str]]:
    """What goes and what comes, in its order; nothing if only blanks at the end of lines differ."""
    from difflib import SequenceMatcher

    found: list[tuple[str, str]] = []
    for action, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if action != "equal":
            found += [("-", text) for text in old[i:j]] + [("+", text) for text in new[k:m]]
    return found


_AT_WORK: Final = frozenset({"running", "started"})


def _of_work(waiting: Mapping[str, int], *, removed: bool) -> Iterator[str]:
    """What becomes of a route's unfinished work."""
    from orgloop.operations.views.words import counted

    at_work = sum(count for state, count in waiting.items() if state in _AT_WORK)
    others = {state: count for state, count in waiting.items() if state not in _AT_WORK}
    if at_work:
        yield f"{counted(at_work, 'agent is', 'agents are')} at work for it and will finish."
    if not others:
        return
    listed = ", ".join(f"{count} {state}" for state, count in sorted(others.items()))
    waits = f"{counted(sum(others.values()), 'delivery waits', 'deliveries wait')} ({listed})."
    if removed:
        yield f"{waits} They are held until the route comes back, or are discarded."
    else:
        yield f"{waits} Filters run again, unless an agent was already started."


def _values(app: App, old: Any, new: Any) -> str:
    style = app.out.style
    if old is None:
        return style(f"+ {_text(new)}", "green")
    if new is None:
        return style(f"- {_text(old)}", "red")
    return f"{style(_text(old), 'red')} → {style(_text(new), 'green')}"


def _text(value: Any) -> str:
    """Whole: what is cut may be what changed."""
    if isinstance(value, str) and value and "\n" not in value:
        return value
    return json.dumps(value, ensure_ascii=False)


def _is_start(item: ConfigChange) -> bool:
    """The defaults and the name of a first start are no things to add."""
    return item.kind in ("defaults", "metadata") and item.action == "add"


def _summary(plan: Plan) -> dict[str, int]:
    parts = [item for item in plan.items if not _changes_live(item) and not _is_start(item)]
    counts = {action: sum(item.action == action for item in parts) for action in ("add", "change", "remove")}
    return {**counts, "live": sum(_changes_live(item) for item in plan.items)}


def _document(
    plan: Plan, applied: AppliedRow | None, work: Mapping[str, Mapping[str, int]], *, running: bool
) -> dict[str, Any]:
    sections: dict[str, Sequence[dict[str, Any]]] = {
        heading: [_item(item, work) for item in plan.items if item.kind == kind]
        for kind, heading in _SECTIONS.items()
    }
    from orgloop.core.records.record import timestamp

    last = (
        {"at": timestamp(applied.at), "project": applied.project, "root": applied.root}
        if applied is not None
        else None
    )
    return {
        "running": running,
        "applied": last,
        **sections,
        "summary": _summary(plan),
        "changes": not plan.is_empty,
    }


def _item(item: ConfigChange, work: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    action = "unchanged" if item.action == "same" else str(item.action)
    document: dict[str, Any] = {
        "name": item.name,
        "action": action,
        "fields": [{"path": path, "old": old, "new": new} for path, old, new in item.fields],
    }
    if item.kind == "route":
        document["waiting"] = dict(work.get(item.name, {}))
    return document
