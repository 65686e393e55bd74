"""`orgloop validate`: everything that is wrong with the project, at once."""

from __future__ import annotations

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.exits import Exit
from orgloop.cli.screen.listing import as_json, print_findings
from orgloop.operations.views.words import counted


@new_command(examples=["orgloop validate", "orgloop validate --config ../acme --json"])
def command(app: App) -> int:
    """Find all errors in the project's files, at once.

    Reads all files and checks them as a start would: keys, values, variables, names, scripts and prompt
    files. Nothing is run, and no other system is asked. Ends with 1 if there is an error; warnings do
    not change that.
    """
    loaded = app.loaded
    if app.out.json:
        app.out.data(
            {
                "project": str(app.project_file),
                "findings": as_json(loaded.findings),
                "errors": len(loaded.errors),
                "warnings": len(loaded.warnings),
            }
        )
        return Exit.FAILED if loaded.errors else Exit.OK
    print_findings(app.out, loaded.findings, root=app.project_file.parent)
    if loaded.findings:
        app.out.line()
    where = app.out.path(app.project_file)
    doubts = f", {counted(len(loaded.warnings), 'warning')}" if loaded.warnings else ""
    if loaded.errors:
        app.out.fail(f"{where}: {counted(len(loaded.errors), 'error')}{doubts}")
        return Exit.FAILED
    organization = loaded.organization
    if organization is not None:
        parts = [
            counted(len(organization.sources), "source"),
            counted(len(organization.actors), "actor"),
            counted(len(organization.routes), "route"),
        ]
        app.out.ok(f"{where}: {organization.name} is valid: {', '.join(parts)}{doubts}")
    return Exit.OK
