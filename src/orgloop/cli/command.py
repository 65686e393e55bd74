"""How a command is made: the options that all share, and one look of help."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from orgloop.cli.app import SHARED, app_of

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Body = Callable[..., int | None]
"""A command's function: `(app, **options) -> exit code`."""


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Options count wherever they stand; the innermost that was given wins."""
    if value not in (None, False) and parameter.name is not None:
        ctx.meta.setdefault(SHARED, {})[parameter.name] = value
        if parameter.name == "no_color":
            ctx.color = False


def GLOBAL_OPTIONS() -> list[click.Parameter]:
    """The options that every command has."""

    def option(*names: str, **more: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_remember, **more)

    return [
        option(
            "-c",
            "--config",
            metavar="PATH",
            type=click.Path(),
            help="The project: its orgloop.yaml, or the directory.",
        ),
        option("--json", is_flag=True, help="Print one JSON document, for programs."),
        option("-v", "--verbose", is_flag=True, help="Print more; show details of internal errors."),
        option("-q", "--quiet", is_flag=True, help="Print only errors."),
        option("--no-color", is_flag=True, is_eager=True, help="No colours. So does NO_COLOR."),
    ]


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that it is, but for a slip; empty if there is none."""
    from orgloop.core.text.suggest import nearest_name

    return nearest_name(name, known) or ""


OTHER_WORDS: Final[Mapping[str, Sequence[str]]] = {
    "stop": ("kill", "cancel", "end", "abort", "terminate"),
    "tail": ("logs", "log", "follow", "watch", "attach", "output"),
    "release": ("approve", "resume", "continue", "accept", "retry"),
    "retry": ("release", "replay", "requeue", "redeliver", "resend"),
    "discard": ("drop", "delete", "remove", "rm", "reject"),
    "forget": ("delete", "remove", "rm", "drop", "retire", "reset"),
    "show": ("inspect", "view", "get", "info", "describe"),
    "list": ("ls", "all"),
    "check": ("validate", "verify", "test"),
    "uninstall": ("remove", "delete", "disable"),
}
"""Subcommands, and what else they are called: each group means those of its own."""


def _same_as(name: str, known: Iterable[str]) -> str:
    """The known subcommand that this is another word for; empty if there is none."""
    return next((one for one in known if name.lower() in OTHER_WORDS.get(one, ())), "")


class HelpMixin(click.Command):
    """One look of help."""

    examples: Sequence[str] = ()

    def get_help(self, ctx: click.Context) -> str:
        from orgloop.cli.help import command_help

        return command_help(self, ctx, self.examples)


def asked_for_help(ctx: click.Context, args: list[str]) -> list[str]:
    """`help NAME` as `NAME --help`; `help` alone shows the help of the group, and ends."""
    if args[0] != "help" or ctx.resilient_parsing:
        return args
    if len(args) == 1 or args[1].startswith("-"):
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()
    return [*args[1:], "--help"]


class Leaf(HelpMixin):
    """A command that does something."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Says of a word too many that a project is named by an option."""
        ctx.allow_extra_args, strict = True, not ctx.allow_extra_args
        rest = super().parse_args(ctx, args)
        if rest and strict and not ctx.resilient_parsing:
            taken = any(isinstance(one, click.Argument) for one in self.params)
            word, path = shlex.quote(rest[0]), ctx.command_path
            message = f"`{path}` takes no {'more arguments' if taken else 'argument'}, but got {word}."
            hint = "" if taken else f" To name a project, type `{path} --config {word}`."
            raise click.UsageError(message + hint, ctx)
        return rest


class CommandGroup(HelpMixin, click.Group):
    """A command with subcommands."""

    def subcommand(
        self, name: str, *, examples: Sequence[str], read_only: bool = False
    ) -> Callable[[Body], Leaf]:
        """Add a subcommand; see `app.py`."""

        def add(function: Body) -> Leaf:
            leaf = _leaf(name, function, examples, read_only=read_only)
            self.add_command(leaf)
            return leaf

        return add

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if "help" not in self.commands:
            args = asked_for_help(ctx, args)
        if args[0] not in self.commands and not ctx.resilient_parsing:
            near = nearest(args[0], self.commands) or _same_as(args[0], self.commands)
            known = f"There are: {', '.join(self.commands)}."
            hint = f"Did you mean `{ctx.command_path} {near}`?" if near else known
            raise click.UsageError(f"`{ctx.command_path}` has no `{args[0]}`. {hint}", ctx)
        return super().resolve_command(ctx, args)


def command(*, examples: Sequence[str], read_only: bool = False) -> Callable[[Body], Leaf]:
    """Make a command of a function whose first argument is the App; see `app.py`."""
    return lambda function: _leaf(None, function, examples, read_only=read_only)


def new_group(help: str, *, examples: Sequence[str], default: str | None = None) -> CommandGroup:
    """A command with subcommands; `default` is the one that is meant if none is named."""
    group = (
        _DefaultGroup(default, help)
        if default is not None
        else CommandGroup(help=help, no_args_is_help=True, params=GLOBAL_OPTIONS())
    )
    group.examples = tuple(examples)
    return group


class _DefaultGroup(CommandGroup):
    def __init__(self, default: str, help: str) -> None:
        super().__init__(help=help, params=GLOBAL_OPTIONS(), subcommand_metavar="[COMMAND] [ARGS]...")
        self._default = default

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Options that stand alone are the default's."""
        default = self.commands[self._default].shell_complete(ctx, incomplete)
        return [*super().shell_complete(ctx, incomplete), *(default if incomplete.startswith("-") else ())]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default's name in front of options that stand alone."""
        named = any(arg in self.commands or arg in ("-h", "--help") for arg in args)
        if not named and (args[0].startswith("-") if args else not ctx.resilient_parsing):
            args = [self._default, *args]
        return super().parse_args(ctx, args)


def _leaf(name: str | None, function: Body, examples: Sequence[str], *, read_only: bool) -> Leaf:
    own = list(reversed(getattr(function, "__click_params__", [])))

    @click.pass_context
    def call(ctx: click.Context, /, **values: Any) -> int | None:
        app = app_of(ctx)
        if read_only:
            app.tell_another_project()
        return function(app, **values)

    leaf = Leaf(
        name=name,
        callback=call,
        params=[*own, *GLOBAL_OPTIONS()],
        help=function.__doc__,
        no_args_is_help=False,
    )
    leaf.examples = tuple(examples)
    return leaf
