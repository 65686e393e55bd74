"""`/control`: acting on the daemon and its work. Everything here needs the home's token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from orgloop.core.deliveries.admission import LimitScope, ScopeLevel
from orgloop.core.deliveries.transition import Discarded, Released, Retried
from orgloop.errors import Conflict, NotFound, Refused
from orgloop.operations.views import json_rows
from orgloop.operations.views.accounts import BY_PERSON, known_accounts, require_account
from orgloop.operations.views.waits import paused_by
from orgloop.web import overview
from orgloop.web.daemon_api import DaemonApi
from orgloop.web.endpoint import Call

OPERATOR: Final = "operator"

LATEST: Final = 10**14
"""The latest time that a body may name, in ms since 1970."""

LONGEST: Final = 2000
"""Characters of one text in a body."""

_Verdict = Released | Retried | Discarded

VERBS: Final[Mapping[str, Callable[[str, str, bool], _Verdict]]] = {
    "release": lambda by, _, skip: Released(by=by, skip=skip),
    "retry": lambda by, _, __: Retried(by=by),
    "discard": lambda by, note, _: Discarded(by=by, detail=note),
}
"""What a person can do to a delivery."""


async def status(daemon: DaemonApi, call: Call) -> Any:
    """Which daemon this is: its home, its project, its process."""
    call.parameters.finish()
    facts = await daemon.readings.ask(overview.gather)
    return {
        "running": True,
        "pid": daemon.pid,
        "uptime_ms": daemon.uptime_ms,
        "httpPort": daemon.port,
        "home": str(daemon.runtime.home.path),
        "project": daemon.module,
        "root": str(daemon.runtime.organization.root),
        "version": daemon.version,
        "modules": [overview.module_status(daemon, facts)],
    }


async def shutdown(daemon: DaemonApi, call: Call) -> Any:
    """Stop the daemon, once this is answered."""
    await call.document("force")
    asyncio.get_running_loop().call_soon(daemon.process.shutdown)
    return {"ok": True}


async def apply(daemon: DaemonApi, call: Call) -> Any:
    """Read the project again and apply it. With a path: only if this daemon runs that project."""
    body = await call.document("configPath", "projectDir")
    if body:
        _require_this_project(daemon, body)
    return {"ok": True, "project": daemon.module, "moved": await daemon.reload()}


async def modules(daemon: DaemonApi, call: Call) -> Any:
    """The project, as a list of one."""
    call.parameters.finish()
    return [overview.module_status(daemon, await daemon.readings.ask(overview.gather))]


async def module(daemon: DaemonApi, call: Call) -> Any:
    """The project by its name."""
    call.parameters.finish()
    _require_module(daemon, call.names["name"])
    return overview.module_status(daemon, await daemon.readings.ask(overview.gather))


async def reload_module(daemon: DaemonApi, call: Call) -> Any:
    """As `apply`, by the project's name."""
    body = await call.document("name")
    _require_module(daemon, _text(body, "name"))
    await daemon.reload()
    return {"ok": True}


async def load_project(daemon: DaemonApi, call: Call) -> Any:
    """As `apply`, by the project's path; the answer is its status."""
    _require_this_project(daemon, await call.document("configPath", "projectDir"))
    await daemon.reload()
    return overview.module_status(daemon, await daemon.readings.ask(overview.gather))


async def no_other_module(daemon: DaemonApi, call: Call) -> Any:
    """One daemon has one project."""
    await call.document()
    raise Conflict(
        f"this daemon runs the project {daemon.module!r} only",
        hint="`orgloop stop` ends it; another one runs beside it with its own ORGLOOP_HOME and ORGLOOP_PORT",
    )


async def emit(daemon: DaemonApi, call: Call) -> Any:
    """Put an event in; answered after the commit."""
    document = await call.document()
    id = document.get("id")
    if isinstance(id, str) and id and await daemon.readings.ask(lambda reader: reader.event(id)) is not None:
        return {"ok": True, "event_id": id, "duplicate": True}
    accepted = await daemon.runtime.inbound.emit(document)
    return {"ok": True, "event_id": accepted.event_id, "duplicate": accepted.duplicate}


async def replay(daemon: DaemonApi, call: Call) -> Any:
    """Process an event again; answered after the commit. `event_id` is null if nothing was committed."""
    body = await call.document("route", "dry_run")
    route, dry_run, id = _text(body, "route", ""), body.get("dry_run", False), call.names["id"]
    if not isinstance(dry_run, bool):
        raise Refused("`dry_run` must be true or false", hint='send {"dry_run": true}')
    row = await daemon.readings.ask(lambda reader: reader.event(id))
    if row is None:
        raise NotFound(f"there is no event {id}", hint="GET /api/events lists the events")
    event = await daemon.runtime.inbound.replay(row, route, dry_run=dry_run)
    return {
        "ok": True,
        "replay_of": id,
        "event_id": event.id if event.deliveries and not dry_run else None,
        "deliveries": [
            {
                "id": one.id if not dry_run else None,
                "route": one.route,
                "actor": one.actor,
                "runs": one.runs,
                "state": one.state,
                "reason": one.reason,
            }
            for one in event.deliveries
        ],
    }


async def operate(daemon: DaemonApi, call: Call) -> Any:
    """Release, retry or discard one delivery."""
    verb, id = call.names["verb"], call.names["id"]
    make = VERBS.get(verb)
    if make is None:
        raise NotFound(f"a delivery has no action {verb!r}", hint=f"there are: {', '.join(VERBS)}")
    body = await call.document("by", "note", *(["skip"] if verb == "release" else []))
    skip = body.get("skip", False)
    if not isinstance(skip, bool):
        raise Refused("`skip` must be true or false", hint='send {"skip": true}')
    transition = make(_text(body, "by", OPERATOR), _text(body, "note", ""), skip)
    moved = await daemon.runtime.operate(id, transition)
    return {"ok": True, "id": id, "state": moved.state}


async def stop_run(daemon: DaemonApi, call: Call) -> Any:
    """End one run softly; its delivery is delivered when it has ended."""
    await call.document()
    id = call.names["id"]
    row = await daemon.readings.ask(lambda reader: reader.run(id))
    if row is not None and row.ended_at is not None:
        raise Conflict(
            f"run {id} has ended already: {row.outcome or row.reason}", hint="there is nothing to stop"
        )
    await daemon.runtime.runs.stop(id)
    return {"ok": True, "id": id}


async def forget_session(daemon: DaemonApi, call: Call) -> Any:
    """Detach a session from its key."""
    body = await call.document("actor", "session")
    actor, session = _text(body, "actor"), _text(body, "session")
    runtime, why = daemon.runtime, "a person forgot it"
    if not await runtime.journal.forget_session(actor, session, why, runtime.clock.now()):
        raise NotFound(
            f"no session key uses the session {session} of {actor}", hint="`orgloop sessions` lists those"
        )
    return {"ok": True, "actor": actor, "session": session}


async def resume_actor(daemon: DaemonApi, call: Call) -> Any:
    """Close an actor's circuit breaker, or try it although nobody answered for it."""
    await call.document()
    actor = call.names["id"]
    if actor not in daemon.runtime.wiring.actors:
        raise NotFound(f"there is no actor {actor!r}", hint="GET /api/status names those that are paused")
    return {"ok": True, "actor": actor, "resumed": await daemon.runtime.resume_actor(actor)}


async def pause_actor(daemon: DaemonApi, call: Call) -> Any:
    """Let nothing of an actor start until a time, or until it is resumed."""
    return await _pause(daemon, call, ScopeLevel.ACTOR, daemon.runtime.wiring.actors)


async def pause_route(daemon: DaemonApi, call: Call) -> Any:
    """Let nothing of a route start until a time, or until it is resumed."""
    return await _pause(daemon, call, ScopeLevel.ROUTE, daemon.runtime.wiring.routes)


async def resume_route(daemon: DaemonApi, call: Call) -> Any:
    """Let a paused route go on now."""
    await call.document()
    runtime, route = daemon.runtime, call.names["id"]
    scope = LimitScope(level=ScopeLevel.ROUTE, name=route)
    resumed = await runtime.journal.unpause(scope, runtime.clock.now())
    if not resumed and route not in runtime.wiring.routes:
        raise NotFound(f"there is no route {route!r}", hint="GET /api/routes lists the routes")
    runtime.dispatcher.wake_all()
    return {"ok": True, "route": route, "resumed": resumed}


async def _pause(daemon: DaemonApi, call: Call, level: ScopeLevel, known: Mapping[str, Any]) -> Any:
    body, name = await call.document("until", "by", "why"), call.names["id"]
    if name not in known:
        raise NotFound(f"there is no {level} {name!r}", hint=f"there are: {', '.join(known) or 'none'}")
    until = _until(body)
    by = paused_by(_text(body, "by", OPERATOR), _text(body, "why", ""))
    runtime = daemon.runtime
    await runtime.journal.pause(LimitScope(level=level, name=name), until, by, runtime.clock.now())
    runtime.dispatcher.wake_all()
    return {"ok": True, str(level): name, "until": json_rows.when(until), "by": by}


async def park(daemon: DaemonApi, call: Call) -> Any:
    """Let nothing start with an account until a time, or until it is resumed."""
    body = await call.document("account", "until", "reason")
    account, until = _text(body, "account"), _until(body)
    _require_account(daemon, await daemon.readings.ask(known_accounts), account)
    runtime = daemon.runtime
    row = await runtime.journal.park(account, until, _text(body, "reason", BY_PERSON), runtime.clock.now())
    _accounts_changed(daemon)
    return {"ok": True, **json_rows.parked(row)}


async def resume(daemon: DaemonApi, call: Call) -> Any:
    """Let an account's work go on."""
    account = _text(await call.document("account"), "account")
    if not await daemon.runtime.journal.resume(account, daemon.runtime.clock.now()):
        raise NotFound(f"the account {account} is not parked", hint="`orgloop accounts` lists all accounts")
    _accounts_changed(daemon)
    return {"ok": True, "account": account}


def _until(body: Mapping[str, Any]) -> int | None:
    until = body.get("until")
    if until is not None and (not isinstance(until, int) or isinstance(until, bool) or abs(until) > LATEST):
        raise Refused("`until` must be milliseconds since 1970, or null", hint='send {"until": null}')
    return until


def _accounts_changed(daemon: DaemonApi) -> None:
    """Its work may start now, or may not; loggers hear of that."""
    daemon.runtime.dispatcher.wake_all()
    daemon.runtime.observer.poke()


def _require_account(daemon: DaemonApi, used: Iterable[str], account: str) -> None:
    wiring = daemon.runtime.wiring
    names = {*used, *wiring.organization.accounts}
    for part in wiring.actors.values():
        names.update(part.accounts)
    require_account(account, names)


def _require_module(daemon: DaemonApi, name: str) -> None:
    if name != daemon.module:
        raise NotFound(f"Module not found: {name}", hint=f"this daemon runs {daemon.module!r}")


def _require_this_project(daemon: DaemonApi, body: Mapping[str, Any]) -> None:
    """Refuse (409) a path that is not this daemon's project."""
    organization = daemon.runtime.organization
    folder = Path(_text(body, "projectDir", ".")).expanduser()
    wanted = folder / _text(body, "configPath", "orgloop.yaml")
    if not wanted.is_absolute():
        raise Refused(
            "`configPath` or `projectDir` must be an absolute path",
            hint="the daemon runs in a directory of its own",
        )
    if wanted.is_dir():
        wanted /= organization.file.name
    if wanted.resolve() != organization.file.resolve():
        raise Conflict(
            f"this daemon runs {organization.name!r} from {organization.root}, not {wanted}",
            hint="run the other one beside it, with its own ORGLOOP_HOME and ORGLOOP_PORT",
        )


def _text(body: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = body.get(key, default)
    if not isinstance(value, str) or len(value) > LONGEST:
        raise Refused(f"`{key}` must be text of at most {LONGEST} characters", hint=f'send {{"{key}": "…"}}')
    return value
