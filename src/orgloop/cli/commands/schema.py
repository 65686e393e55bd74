"""`orgloop schema`: the JSON Schema of a project's files."""

from __future__ import annotations

from pathlib import Path

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.errors import OrgLoopError


@new_command(examples=["orgloop schema", "orgloop schema --output orgloop.schema.json"])
@click.option("-o", "--output", metavar="FILE", help="Write to this file instead of standard output.")
def command(app: App, output: str | None) -> None:
    """Print the JSON Schema of a project's files, with the settings of every installed plugin.

    An editor that knows it completes and checks orgloop.yaml while you write. Name it in the first line
    of the file:

        # yaml-language-server: $schema=orgloop.schema.json
    """
    import orjson

    from orgloop.config.schema.json_schema import json_schema

    text = orjson.dumps(json_schema(app.registry), option=orjson.OPT_INDENT_2).decode()
    if output is None:
        app.out.raw(text)
        return
    path = Path(output).expanduser()
    try:
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as exc:
        raise OrgLoopError(
            f"{path} cannot be written: {exc.strerror or exc}", hint="choose another file with --output"
        ) from exc
    if app.out.json:
        app.out.data({"written": str(path.absolute())})
    app.out.ok(f"wrote {app.out.path(path)}")
