"""What stands for a name or an id on the command line: a shell that asks gets those that there are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    Text = click.ParamType[str]
else:
    Text = click.ParamType  # Older versions of click take no type here.

SHELLS: Final = ("bash", "zsh", "fish")

VARIABLE: Final = "_ORGLOOP_COMPLETE"
"""Set by a shell that wants to complete a command line."""


class Named(Text):
    """A name or an id of one of these kinds; any text is taken."""

    name = "text"

    def __init__(self, *kinds: str) -> None:
        self.kinds = kinds

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from orgloop.cli.app import app_of
        from orgloop.operations.completion import matching

        app = app_of(ctx)
        given = ctx.params.get(param.name or "")
        given = given if isinstance(given, tuple) else ()
        found = matching(app.home, app.config, self._kinds(ctx), incomplete)
        return [CompletionItem(name, help=words) for name, words in found if name not in given]

    def _kinds(self, ctx: click.Context) -> tuple[str, ...]:
        return self.kinds


class PartOrId(Named):
    """Of `inspect`: a kind and a name, or a name or an id alone."""

    def __init__(self) -> None:
        super().__init__("source", "actor", "route", "transform", "logger", "event", "delivery", "run")

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        found = super().shell_complete(ctx, param, incomplete)
        if ctx.params.get("words"):
            return found
        return [*(CompletionItem(kind) for kind in self.kinds if kind.startswith(incomplete)), *found]

    def _kinds(self, ctx: click.Context) -> tuple[str, ...]:
        first = (ctx.params.get("words") or ("",))[0]
        return (first,) if first in self.kinds else self.kinds


SOURCE: Final = Named("source", "actor")
"""Where events come from: actors with runs, too."""

ACTOR: Final = Named("actor")
ROUTE: Final = Named("route")
EVENT: Final = Named("event")
DELIVERY: Final = Named("delivery")
RUN: Final = Named("run")
OPEN_RUN: Final = Named("open run")
SESSION: Final = Named("session")
CHAIN: Final = Named("event", "delivery", "run")


def script_for(shell: str, root: click.Command) -> str:
    """What the shell has to read so that it asks us."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    return kind(root, {}, "orgloop", VARIABLE).source()


def is_asked() -> bool:
    """Whether a shell wants to complete a command line."""
    return VARIABLE in os.environ
