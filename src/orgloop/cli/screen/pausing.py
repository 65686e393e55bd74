"""What `pause` and `resume` share: which part a name means, and the journal without a daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, TypeVar

import click

from orgloop.cli.app import App
from orgloop.errors import Conflict, NotFound

if TYPE_CHECKING:
    from orgloop.core.deliveries.admission import LimitScope
    from orgloop.journal.protocols import Journal

T = TypeVar("T")

KINDS: Final = ("route", "actor")

KIND: Final = click.option(
    "--kind", type=click.Choice(KINDS), help="Which is meant, if a route and an actor have this name."
)


def part_of(app: App, name: str, kind: str | None) -> LimitScope:
    """The route or actor of this name, of what is applied or is paused. Raises NotFound or Conflict."""
    from orgloop.core.deliveries.admission import LimitScope, ScopeLevel, WaitCause
    from orgloop.operations.views.inspector import kinds_of

    with app.journal() as reader:
        applied = reader.applied()
        paused = [
            str(wait.waiting.scope.level)
            for wait in reader.waits()
            if wait.waiting.cause is WaitCause.PAUSED and wait.waiting.scope.name == name
        ]
    known = kinds_of(applied.snapshot, name) if applied is not None else []
    found = [one for one in KINDS if one in (*known, *paused) and kind in (None, one)]
    if len(found) > 1:
        raise Conflict(f"{name!r} is a route and an actor", hint="say which: --kind route, or --kind actor")
    if not found:
        raise NotFound(
            f"there is no {kind or 'route or actor'} {name!r}",
            hint="`orgloop status` lists the routes and actors",
        )
    return LimitScope(level=ScopeLevel(found[0]), name=name)


def offline(app: App, command: str, work: Callable[[Journal], Awaitable[T]]) -> T:
    """Without a daemon: under the journal's own lock, which keeps one from starting meanwhile."""
    from orgloop.journal.backend import open_journal
    from orgloop.runtime.support.clock import SystemClock

    with app.journal() as reader:
        applied = reader.applied()

    async def run() -> T:
        journal = await open_journal(
            app.home.path,
            project=applied.project if applied is not None else "",
            clock=SystemClock().now,
            holder=f"orgloop {command}",
        )
        try:
            return await work(journal)
        finally:
            await journal.close()

    return asyncio.run(run())
