"""The keys of a plugin's `config:`, for whoever adds one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orgloop.cli.app import App

if TYPE_CHECKING:
    from orgloop.plugin import Settings


def print_keys(app: App, settings: type[Settings]) -> None:
    """List them, those that must be set first, each with what it is for."""
    from orgloop.cli.screen.grid import Column, print_grid
    from orgloop.config.reading.validation import keys_of

    taken = keys_of(settings)
    idle = settings.without_effect() | settings.not_yet()
    fields = {
        name if name in taken else str(field.alias or field.validation_alias): field
        for name, field in settings.model_fields.items()
        if name not in idle
    }
    rows = [
        (name, field.is_required(), " ".join((field.description or "").split()))
        for name, field in fields.items()
    ]
    rows.sort(key=lambda row: not row[1])
    if app.out.json:
        keys = [{"key": name, "required": needed, "description": text} for name, needed, text in rows]
        app.out.data({"keys": keys})
    elif not rows:
        app.out.line("It has no settings.")
    else:
        columns = [Column(name="key", is_name=True), Column(name=""), Column(name="meaning", flexible=True)]
        shown = [[name, "required" if needed else "", text] for name, needed, text in rows]
        print_grid(app.out, columns, shown, indent=2)
