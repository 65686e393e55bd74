"""How a failure looks: a sentence and what to do next; with --json, a JSON document too."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from orgloop.cli.exits import Exit
from orgloop.cli.output import Output
from orgloop.errors import ConfigError, OrgLoopError


def report(exc: BaseException, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Tell of what ended the command; returns the exit code."""
    out = Output(json="--json" in arguments, color=False if "--no-color" in arguments else None)
    match exc:
        case SystemExit():
            return exc.code if isinstance(exc.code, int) else Exit.FAILED
        case KeyboardInterrupt() | click.Abort():
            sys.stderr.write("\n")
            return Exit.INTERRUPTED
        case BrokenPipeError():
            _silence()
            return Exit.BROKEN_PIPE
        case click.ClickException():
            return _usage(exc, out)
        case OrgLoopError():
            return _known(exc, out)
        case _:
            return _fault(exc, out, environ, show="--verbose" in arguments or "-v" in arguments)


def _usage(exc: click.ClickException, out: Output) -> int:
    context = exc.ctx if isinstance(exc, click.UsageError) else None
    if isinstance(exc, click.exceptions.NoArgsIsHelpError) and context is not None:
        # Its message is the whole help.
        click.echo(context.get_help(), err=True, color=context.color)
        group = context.command
        names = ", ".join(group.list_commands(context)) if isinstance(group, click.Group) else ""
        _tell(out, "UsageError", f"`{context.command_path}` needs a subcommand: {names}", "")
        return Exit.FAILED
    path = context.command_path if context is not None else "orgloop"
    message = exc.format_message()
    hint = "" if "orgloop --help" in message or "Did you mean" in message else f"Type `{path} --help`."
    _tell(out, "UsageError", message, hint)
    return Exit.FAILED


def _known(exc: OrgLoopError, out: Output) -> int:
    findings = exc.findings if isinstance(exc, ConfigError) else ()
    _tell(out, type(exc).__name__, exc.message, exc.hint, findings)
    return Exit.FAILED


def _fault(exc: BaseException, out: Output, environ: Mapping[str, str], *, show: bool) -> int:
    import traceback

    text = "".join(traceback.format_exception(exc))
    if show:
        sys.stderr.write(text)
    where = _keep(text, environ)
    message = f"internal error of OrgLoop: {type(exc).__name__}: {exc}"
    _tell(
        out,
        "Fault",
        message,
        f"the traceback is in {where}" if where else "type the command again with --verbose",
    )
    return Exit.BUG


def _tell(out: Output, kind: str, message: str, hint: str, findings: Sequence[Any] = ()) -> None:
    if out.json:
        error: dict[str, Any] = {"kind": kind, "message": message, "hint": hint}
        if findings:
            from orgloop.cli.screen.listing import as_json

            error["findings"] = as_json(findings)
        out.data({"error": error})
    out.fail(message, "" if findings else hint)
    if findings:
        from orgloop.cli.screen.listing import print_findings

        print_findings(out, findings, to_error=True)
        out.advise(hint)


def _keep(text: str, environ: Mapping[str, str]) -> Path | None:
    """Write the traceback into the home's logs if there is a home, else beside other temporary files."""
    import tempfile
    import time

    home = Path(environ.get("ORGLOOP_HOME") or Path.home() / ".orgloop")
    prefix = f"fault-{time.strftime('%Y%m%dT%H%M%S')}-"
    for directory in (home / "logs", None):
        try:
            descriptor, path = tempfile.mkstemp(".txt", prefix, directory)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            continue
        return Path(path)
    return None


def _silence() -> None:
    """Nobody reads: let the interpreter's last flush go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
