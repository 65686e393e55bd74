"""What a list is asked for: the options of a command as one query of the journal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orgloop.errors import NotFound, Refused

if TYPE_CHECKING:
    from orgloop.config.model import Organization
    from orgloop.core.deliveries.delivery import State
    from orgloop.journal.model import Query
    from orgloop.journal.protocols import Reader

MOST: Final = 10_000
"""The most that a list shows."""

_KINDS: Final = {"source": ("sources", "actors"), "actor": ("actors",), "route": ("routes",)}
"""Where the names of each kind are in what was applied: an actor's runs make it a source, too."""


def asked(
    *,
    limit: int,
    since: str | None,
    states: Sequence[str] = (),
    source: str = "",
    route: str = "",
    actor: str = "",
    reason: str = "",
    event_id: str = "",
    trace_id: str = "",
) -> Query:
    """The query. Raises Refused for a limit or a time that is none."""
    from orgloop.core.deliveries.delivery import State
    from orgloop.journal.model import Query
    from orgloop.operations.views.words import since_of

    if not 1 <= limit <= MOST:
        raise Refused(f"--limit {limit} is not possible", hint=f"from 1 to {MOST}; --since goes further back")
    return Query(
        states=tuple(State(word) for word in states),
        source=source,
        route=route,
        actor=actor,
        reason=reason,
        event_id=event_id,
        trace_id=trace_id,
        since=since_of(since, int(time.time() * 1000)) if since is not None else None,
        limit=limit,
        payloads=False,
    )


def _require_reason(reason: str, states: Sequence[State]) -> None:
    """Raise Refused for a reason that no delivery in one of these states can have; none means all states."""
    from orgloop.config.findings import nearest
    from orgloop.core.deliveries.delivery import REASONS

    known = {word for state, words in REASONS.items() if not states or state in states for word in words}
    if reason and reason not in known:
        which = f"no {' or '.join(states)} delivery" if states else "no delivery"
        hint = nearest(reason, known, what="there are") or "leave out --reason: it has none"
        raise Refused(f"{which} has the reason {reason!r}", hint=hint)


def nothing_found(reader: Reader, query: Query, what: str, *, of_state: bool = False) -> str:
    """The sentence for an empty list. `of_state`: its state is what it lists, and was not asked for.

    Raises NotFound if the query names what was never heard of, Refused for a reason that cannot be.
    """
    from orgloop.journal.model import Query

    require_known(reader, source=query.source, route=query.route, actor=query.actor)
    _require_reason(query.reason, query.states)
    states = query.states if of_state else ()
    narrowed = query != Query(limit=query.limit, payloads=query.payloads, states=states)
    return f"{what} that fits" if narrowed else f"{what} yet"


def organization_of(reader: Reader) -> Organization:
    """Name and place of the project that ran last: what the shapes of events ask about."""
    from orgloop.config.model import Organization

    applied = reader.applied()
    root = Path(applied.root if applied is not None else "/")
    return Organization(name=applied.project if applied is not None else "", root=root, file=root)


def require_known(reader: Reader, **names: str) -> None:
    """Raise NotFound for the name of a source, actor or route that was never heard of."""
    for kind, name in names.items():
        if name and name not in (known := _known(reader, kind)):
            from orgloop.config.findings import nearest

            raise NotFound(f"no {kind} is called {name!r}", hint=nearest(name, known, what="there are"))


def _known(reader: Reader, kind: str) -> set[str]:
    applied = reader.applied()
    snapshot = applied.snapshot if applied is not None else {}
    known = {name for section in _KINDS[kind] for name in snapshot.get(section) or {}}
    match kind:
        case "route":
            return known | set(reader.route_stats())
        case "source":
            return known | {row.source for row in reader.sources()}
        case _:
            return known
