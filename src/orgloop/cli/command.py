"""What every command has: the shared options, the home and the project, and one look of help."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orgloop.cli.output import Output
from orgloop.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from orgloop.config.load import Loaded
    from orgloop.config.model import Organization
    from orgloop.journal.protocols import Reader
    from orgloop.plugin.registry import Registry
    from orgloop.project.home import Home

_SHARED = "orgloop.shared"
PROJECT_FILE = "orgloop.yaml"

Body = Callable[..., int | None]
"""A command's function: `(cli, **options) -> exit code`."""


@dataclass(frozen=True, kw_only=True)
class Cli:
    """What a command works with. `config` is what `--config` says: a file or a directory."""

    out: Output
    config: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @cached_property
    def home(self) -> Home:
        """`$ORGLOOP_HOME`, else ~/.orgloop. It need not exist."""
        from orgloop.project.home import Home

        return Home.of(self.environ)

    @cached_property
    def registry(self) -> Registry:
        """Every plugin that is installed."""
        from orgloop.plugin.registry import Registry

        return Registry.installed()

    @cached_property
    def project_file(self) -> Path:
        """The orgloop.yaml that is meant: `--config`, else here or in the nearest directory above.

        The file need not exist if `--config` names it. Raises ConfigError if nothing names one.
        """
        if self.config is not None:
            path = Path(self.config).expanduser().absolute()
            return _in_directory(path) or path / PROJECT_FILE if path.is_dir() else path
        here = Path.cwd()
        for directory in (here, *here.parents):
            if (found := _in_directory(directory)) is not None:
                return found
        raise ConfigError(
            f"there is no {PROJECT_FILE} in {self.out.path(here)}, nor in a directory above it",
            hint="create a project with `orgloop init`, or name one with `--config PATH`",
        )

    @cached_property
    def loaded(self) -> Loaded:
        """The project with everything that is wrong with it. Raises ConfigError if there is none."""
        from orgloop.config.load import load_project

        return load_project(self.project_file, self.registry, self.environ, self.home.path)

    @contextmanager
    def reading(self) -> Iterator[Reader | None]:
        """The home's journal, for reading; None if it has none yet."""
        from orgloop.journal.sqlite import open_reader

        try:
            reader = open_reader(self.home.path)
        except NotFound:
            yield None
            return
        with closing(reader):
            yield reader

    @contextmanager
    def journal(self) -> Iterator[Reader]:
        """The home's journal, for reading. Raises NotFound if it has none yet."""
        from orgloop.journal.sqlite import open_reader

        with closing(open_reader(self.home.path)) as reader:
            yield reader

    @property
    def organization(self) -> Organization:
        """The project, sound. Raises ConfigError with all findings if it is not."""
        loaded = self.loaded
        if loaded.organization is None:
            root = self.project_file.parent
            wrong = [replace(one, file=self.out.path(root / one.file)) for one in loaded.errors]
            many = "an error" if len(wrong) == 1 else f"{len(wrong)} errors"
            raise ConfigError(
                f"{self.out.path(self.project_file)} has {many}",
                findings=wrong,
            )
        return loaded.organization


def _in_directory(directory: Path) -> Path | None:
    files = (directory / name for name in (PROJECT_FILE, "orgloop.yml"))
    return next((file for file in files if file.is_file()), None)


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Options count wherever they stand; the innermost that was given wins."""
    if value not in (None, False) and parameter.name is not None:
        ctx.meta.setdefault(_SHARED, {})[parameter.name] = value
        if parameter.name == "no_color":
            ctx.color = False


def GLOBAL_OPTIONS() -> list[click.Parameter]:
    """The options that every command has."""

    def option(*names: str, **more: Any) -> click.Option:
        return click.Option(names, expose_value=False, callback=_remember, **more)

    return [
        option("-c", "--config", metavar="PATH", help="The project: its orgloop.yaml, or the directory."),
        option("--json", is_flag=True, help="Print one JSON document, for programs."),
        option("-v", "--verbose", is_flag=True, help="Say more; show details of faults."),
        option("-q", "--quiet", is_flag=True, help="Print nothing but errors."),
        option("--no-color", is_flag=True, is_eager=True, help="No colours. So does NO_COLOR."),
    ]


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most like it; empty if none is."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(name, list(known), n=1)), "")


def cli_of(ctx: click.Context) -> Cli:
    """The Cli of this call."""
    shared: Mapping[str, Any] = ctx.meta.get(_SHARED, {})
    return Cli(
        out=Output(
            json=shared.get("json", False),
            verbose=shared.get("verbose", False),
            quiet=shared.get("quiet", False),
            color=False if shared.get("no_color") else None,
        ),
        config=shared.get("config"),
    )


class HelpMixin(click.Command):
    """One look of help."""

    examples: Sequence[str] = ()

    def get_help(self, ctx: click.Context) -> str:
        from orgloop.cli.help import command_help

        return command_help(self, ctx, self.examples)


class Leaf(HelpMixin):
    """A command that does something."""


class Group(HelpMixin, click.Group):
    """A command with subcommands."""

    def subcommand(
        self, name: str, *, examples: Sequence[str], looks: bool = False
    ) -> Callable[[Body], Leaf]:
        """Add a subcommand; see `app.py`."""

        def add(function: Body) -> Leaf:
            leaf = _leaf(name, function, examples, looks=looks)
            self.add_command(leaf)
            return leaf

        return add

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.commands:
            near = nearest(args[0], self.commands)
            known = f"There are: {', '.join(self.commands)}."
            hint = f"Did you mean `{ctx.command_path} {near}`?" if near else known
            raise click.UsageError(f"`{ctx.command_path}` has no `{args[0]}`. {hint}", ctx)
        return super().resolve_command(ctx, args)


def command(*, examples: Sequence[str], looks: bool = False) -> Callable[[Body], Leaf]:
    """Make a command of a function whose first argument is the Cli; see `app.py`."""
    return lambda function: _leaf(None, function, examples, looks=looks)


def new_group(help: str, *, examples: Sequence[str], default: str | None = None) -> Group:
    """A command with subcommands; `default` is the one that is meant if none is named."""
    group = (
        _DefaultGroup(default, help)
        if default is not None
        else Group(help=help, no_args_is_help=True, params=GLOBAL_OPTIONS())
    )
    group.examples = tuple(examples)
    return group


class _DefaultGroup(Group):
    def __init__(self, default: str, help: str) -> None:
        super().__init__(help=help, params=GLOBAL_OPTIONS(), subcommand_metavar="[COMMAND] [ARGS]...")
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default's name in front of options that stand alone."""
        named = any(arg in self.commands or arg in ("-h", "--help") for arg in args)
        if not named and (not args or args[0].startswith("-")):
            args = [self._default, *args]
        return super().parse_args(ctx, args)


def _leaf(name: str | None, function: Body, examples: Sequence[str], *, looks: bool) -> Leaf:
    own = list(reversed(getattr(function, "__click_params__", [])))

    @click.pass_context
    def call(ctx: click.Context, /, **values: Any) -> int | None:
        cli = cli_of(ctx)
        if looks:
            from orgloop.cli.ownership import tell_another_project

            tell_another_project(cli)
        return function(cli, **values)

    leaf = Leaf(
        name=name,
        callback=call,
        params=[*own, *GLOBAL_OPTIONS()],
        help=function.__doc__,
        no_args_is_help=False,
    )
    leaf.examples = tuple(examples)
    return leaf
