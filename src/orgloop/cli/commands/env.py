"""`orgloop env`: the variables that a project uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orgloop.cli.app import App
from orgloop.cli.command import new_group
from orgloop.cli.exits import Exit
from orgloop.cli.output import FAIL, OK, UNSET
from orgloop.operations.views.words import counted

if TYPE_CHECKING:
    from orgloop.project.variables import VariableState

command = new_group(
    """The variables that the project uses: their purpose, whether they are set, and where to get a value.

    Without a subcommand: `list`.""",
    default="list",
    examples=["orgloop env", "orgloop env check"],
)


@command.subcommand("list", examples=["orgloop env", "orgloop env --json"])
def list_all(app: App) -> int:
    """List the variables. The exit status is 1 if a needed one is not set. Values are never printed."""
    return _show(app, _states(app))


@command.subcommand("check", examples=["orgloop env check && orgloop start"])
def check(app: App) -> int:
    """The same as `list`, for scripts: the exit status is 1 if a needed variable is not set."""
    return _show(app, _states(app))


def _states(app: App) -> list[VariableState]:
    from orgloop.project.variables import variables_of

    return variables_of(app.loaded, app.registry, app.environ)


def _show(app: App, states: list[VariableState]) -> int:
    used = [state for state in states if state.used]
    missing = sum(state.missing for state in used)
    if app.out.json:
        app.out.data(
            {
                "variables": {state.name: state.as_json() for state in used},
                "optional": {state.name: state.as_json() for state in states if not state.used},
                "set": sum(state.is_set for state in used),
                "missing": missing,
            }
        )
        return Exit.FAILED if missing else Exit.OK
    if not used:
        app.out.line("The project uses no variables.")
    for state in used:
        _show_one(app, state)
    others = [state for state in states if not state.used]
    if others:
        app.out.line()
        app.out.fold(
            "Not used. The project can name these variables of its connectors as ${…}:",
            0,
        )
        for state in others:
            _show_one(app, state)
    if used:
        app.out.line()
        filled = sum(state.is_set for state in used)
        app.out.line(f"{filled} of {counted(len(used), 'variable')} set, {missing} missing.")
        if missing:
            app.out.line(
                f"Write the missing variables into {app.out.path(app.project_file.parent / '.env')}."
            )
    return Exit.FAILED if missing else Exit.OK


def _show_one(app: App, state: VariableState) -> None:
    style = app.out.style
    if not state.used:
        mark, meaning = (
            style(UNSET, "dim"),
            "set, but the project does not use it" if state.is_set else "not used",
        )
    elif state.is_empty and state.is_set:
        mark, meaning = style(FAIL, "red"), f"set to nothing in {state.origin}"
    elif state.is_set:
        mark, meaning = style(OK, "green"), f"set in {state.origin}"
    elif state.missing:
        mark, meaning = style(FAIL, "red"), "missing"
    else:
        mark, meaning = (
            style(UNSET, "dim"),
            f"not set; {_default_of(state)} is used" if state.default else "not set",
        )
    where = f"  {style(state.where, 'dim')}" if state.where else ""
    app.out.fold(f"{mark} {style(state.name, 'bold')}  {meaning}{where}", 4)
    for line in state.advice:
        app.out.fold(f"    {style(line, 'dim')}", 4)


def _default_of(state: VariableState) -> str:
    from orgloop.core.runs.environment import is_secret

    return "its default" if is_secret(state.name) else repr(state.default)
