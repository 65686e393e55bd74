"""The command line: which commands there are, and what all of them share.

How a command looks. `status` is the module `orgloop/cli/commands/status.py`, listed in `COMMANDS` below, with
one object called `command`:

    import click
    from orgloop.cli.app import App
    from orgloop.cli.command import command as new_command

    @new_command(examples=["orgloop status", "orgloop status --since 1d --json"])
    @click.option("--since", metavar="DURATION", help="What happened since then, too.")
    def command(app: App, since: str | None) -> int | None:
        \"\"\"What runs, and how it is.

        More about it, in short paragraphs.
        \"\"\"
        from orgloop.journal.backend import open_reader  # what takes long to import comes inside

        if app.out.json:
            app.out.data({...})                      # one JSON document on standard output
        else:
            app.out.ok("runs")                       # ✓, see output.py for the rest
        return Exit.OK                               # None is 0, too

A command with subcommands is `command = new_group("Work that nobody could deliver.", examples=[...])`
and, for each, `@command.subcommand("list", examples=[...])` above a function as shown.

- `app` is the first argument of every command: options that all share, the home, the project.
- `--json`, `--config`, `--verbose`, `--quiet`, `--no-color` belong to every command, before or
  behind its name; none may define them again. So does `--help`.
- `read_only=True`, beside `examples`: it shows what is in the home, and says first if that is another
  project's than the one in this directory. What acts on the home calls `require_this_project` instead.
- It has a time limit (`time_limit.py`). What waits for a person, follows or serves calls `no_limit` first.
- What goes wrong is raised as an `OrgLoopError` with its hint; `main` prints it (as JSON too) and
  returns 1. Never print an error and return.
- Only `click`, `orgloop.cli.*`, `orgloop.errors` and the standard library are imported at the top of
  a module: `orgloop status` must not pay for what `orgloop plan` needs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final

import click

from orgloop.cli import failures
from orgloop.cli.command import GLOBAL_OPTIONS, HelpMixin, asked_for_help, nearest
from orgloop.cli.completion import is_asked
from orgloop.cli.exits import Exit
from orgloop.cli.output import wants_color
from orgloop.cli.time_limit import time_limit

COMMANDS: Final[Mapping[str, Sequence[tuple[str, str, str]]]] = {
    "Begin": (
        ("demo", "demo", "Run a small example organization"),
        ("init", "init", "Create a project"),
        ("add", "add", "Add a source, actor, route, transform or logger to it"),
        ("setup", "setup", "Fill a connector's variables, and set up its service"),
    ),
    "Check": (
        ("validate", "validate", "Find all errors in the project's files"),
        ("doctor", "doctor", "Check whether it can run here: credentials, services, files"),
        ("env", "env", "List the variables it uses, and which are missing"),
        ("plan", "plan", "Show what a start or restart would change"),
        ("routes", "routes", "Draw which events wake which actors"),
        ("test", "try_event", "Show what an event would do; change nothing"),
        ("schema", "schema", "Print the JSON Schema of the files"),
    ),
    "Run": (
        ("start", "start", "Run the project, or apply changes"),
        ("stop", "stop", "Stop it; no work is lost"),
        ("restart", "restart", "Stop and start it"),
        ("shutdown", "shutdown", "The same as stop"),
        ("install-service", "install_service", "Install it as a service of systemd or launchd"),
        ("service", "service", "Start, stop and inspect that service"),
    ),
    "Look": (
        ("status", "status", "Show what runs, what ended and what needs you"),
        ("logs", "logs", "Show the log"),
        ("trace", "trace", "Show one chain from its first event to its end"),
        ("events", "events", "List events"),
        ("deliveries", "deliveries", "List deliveries and their results"),
        ("runs", "runs", "Runs of agents: list, show, follow, stop"),
        ("sessions", "sessions", "Sessions of agents: list, show, forget"),
        ("accounts", "accounts", "Accounts that runs use: list, park, resume"),
        ("worktrees", "worktrees", "Work trees of runs: list, remove"),
        ("inspect", "inspect", "Show one source, actor, route, event or run in detail"),
    ),
    "Act": (
        ("emit", "emit", "Send an event"),
        ("replay", "replay", "Process accepted events again"),
        ("dead", "dead", "Deliveries that failed permanently: list, retry, discard"),
        ("held", "held", "Deliveries that wait for a person: list, release, discard"),
        ("pause", "pause", "Pause a route or an actor: its work waits"),
        ("resume", "resume", "Resume a paused route or actor"),
        ("dismiss", "dismiss", "Remove past problems from the list of status"),
        ("hook", "hook", "Send the data of an agent's hook to a source"),
    ),
    "": (
        ("completion", "completion", "Let bash, zsh or fish complete commands, names and ids"),
        ("version", "version", "Print versions"),
    ),
}
"""Headings, and under each: the command's name, its module, its line in the help."""


INSTEAD: Final[Mapping[str, str]] = {
    **dict.fromkeys(("man", "commands"), "`orgloop --help` lists all commands"),
    **dict.fromkeys(
        ("actor", "actors", "source", "sources", "connectors", "organization"),
        "`orgloop status` lists sources and actors, `orgloop inspect ID` shows one",
    ),
    **dict.fromkeys(
        ("config", "configuration", "settings"),
        "`orgloop inspect ID` shows a part of the configuration, `orgloop plan` its changes",
    ),
    "history": "`orgloop runs --all` lists past runs, `orgloop deliveries` past deliveries",
    **dict.fromkeys(("ps", "top", "agents"), "`orgloop runs` lists active runs"),
    **dict.fromkeys(("reload", "apply", "deploy", "update"), "`orgloop start` applies changes"),
    **dict.fromkeys(("run", "up", "serve", "daemon"), "`orgloop start` runs the project"),
    **dict.fromkeys(("down", "quit", "exit", "halt"), "`orgloop stop` stops the daemon"),
    **dict.fromkeys(
        ("kill", "cancel", "abort", "terminate"),
        "`orgloop runs stop ID` ends a run, `orgloop stop` the daemon",
    ),
    **dict.fromkeys(("retry", "requeue", "redeliver"), "`orgloop dead retry` retries failed deliveries"),
    **dict.fromkeys(
        ("resend", "repeat", "rerun", "redo"),
        "`orgloop replay` processes an event again; `orgloop dead retry` retries failed deliveries",
    ),
    **dict.fromkeys(
        ("dead-letter", "dead-letters", "dlq", "failed", "failures"),
        "`orgloop dead` lists failed deliveries",
    ),
    **dict.fromkeys(("park", "account", "logins"), "`orgloop accounts park` parks an account"),
    **dict.fromkeys(("release", "approve"), "`orgloop held release` releases held deliveries"),
    **dict.fromkeys(("hold", "paused"), "`orgloop held` lists deliveries that wait for a person"),
    **dict.fromkeys(("discard", "drop"), "`orgloop dead discard` or `orgloop held discard` does that"),
    **dict.fromkeys(("log", "follow", "watch"), "`orgloop logs` follows the log"),
    "tail": "`orgloop runs tail` follows the output of a run, `orgloop logs` the log",
    **dict.fromkeys(
        ("attach", "takeover", "take-over"),
        "`orgloop runs show` prints the command that continues an agent's session",
    ),
    **dict.fromkeys(("graph", "draw"), "`orgloop routes` draws the routes"),
    **dict.fromkeys(
        ("list", "ls"), "`orgloop events`, `deliveries`, `runs`, `sessions` and `routes` are lists"
    ),
    **dict.fromkeys(
        ("show", "describe", "get", "view"),
        "`orgloop inspect` shows one source, actor, route, event, delivery or run",
    ),
    **dict.fromkeys(("check", "lint", "verify"), "`orgloop validate` checks the project"),
    **dict.fromkeys(("diff", "changes"), "`orgloop plan` shows what a start would change"),
    **dict.fromkeys(("new", "create"), "`orgloop init` creates a project"),
    **dict.fromkeys(("send", "trigger", "fire", "publish"), "`orgloop emit` sends an event"),
    **dict.fromkeys(("dry-run", "simulate", "try"), "`orgloop test` shows what an event would do"),
    **dict.fromkeys(("queue", "queues", "jobs", "wakes"), "`orgloop deliveries` lists deliveries"),
    **dict.fromkeys(("vars", "variables", "secrets"), "`orgloop env` lists the project's variables"),
    **dict.fromkeys(("worktree", "trees"), "`orgloop worktrees` lists the work trees of runs"),
    **dict.fromkeys(("health", "info", "stats"), "`orgloop status` shows the state of everything"),
}
"""What other tools call a command of ours, and what ours does."""


class Root(HelpMixin, click.Group):
    """Imports a command's module when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_modules())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _modules().get(cmd_name)
        if module is None:
            return None
        command = import_module(f"orgloop.cli.commands.{module}").command
        if not isinstance(command, click.Command):
            raise TypeError(f"orgloop.cli.commands.{module}.command is not a command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        args = asked_for_help(ctx, args)
        if args[0] not in _modules() and not ctx.resilient_parsing:
            known = INSTEAD.get(args[0].lower().replace("_", "-"))
            near = nearest(args[0], _modules())
            hint = f"Did you mean `orgloop {near}`?" if near else "Type `orgloop --help` for the list."
            raise click.UsageError(f"There is no command `{args[0]}`. {f'{known}.' if known else hint}", ctx)
        return super().resolve_command(ctx, args)

    def get_help(self, ctx: click.Context) -> str:
        from orgloop.cli.help import root_help

        return root_help(ctx, COMMANDS)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        rows = [row for section in COMMANDS.values() for row in section]
        found = [CompletionItem(name, help=line) for name, _, line in rows if name.startswith(incomplete)]
        return found or click.Command.shell_complete(self, ctx, incomplete)


def _modules() -> dict[str, str]:
    return {name: module for section in COMMANDS.values() for name, module, _ in section}


def _show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from orgloop.operations.version import version_of

        click.echo(f"orgloop {version_of('orgloop')}")
        ctx.exit()


root = Root(
    name="orgloop",
    params=[
        *GLOBAL_OPTIONS(),
        click.Option(
            ["-V", "--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=_show_version,
            help="Print the version.",
        ),
    ],
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=False,
    invoke_without_command=True,
)


@click.pass_context
def _without_command(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), color=ctx.color)


root.callback = _without_command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Nothing that goes wrong leaves this function."""
    args = list(sys.argv[1:] if arguments is None else arguments)
    try:
        with time_limit(lambda late: failures.report(late, args, os.environ)):
            answer = _run(list(args))
        sys.stdout.flush()
    except BaseException as exc:
        return failures.report(exc, args, os.environ)
    return answer if isinstance(answer, int) else Exit.OK


def _run(args: list[str]) -> Any:
    if is_asked():
        return root.main(args, prog_name="orgloop")
    try:
        # Not `root.main`: it has ideas of its own about Ctrl-C and closed pipes.
        with root.make_context("orgloop", args, color=wants_color(os.environ)) as ctx:
            return root.invoke(ctx)
    except click.exceptions.Exit as exc:
        return exc.exit_code
