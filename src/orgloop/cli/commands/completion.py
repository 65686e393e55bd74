"""`orgloop completion`: what a shell reads to complete commands, names and ids."""

from __future__ import annotations

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import SHELLS


@new_command(examples=['eval "$(orgloop completion bash)"', "orgloop completion fish | source"])
@click.argument("shell", type=click.Choice(SHELLS))
def command(app: App, shell: str) -> None:
    """Print the script with which bash, zsh or fish completes commands, options, names and ids.

    For bash and zsh, add `eval "$(orgloop completion bash)"` (or zsh) to ~/.bashrc or ~/.zshrc. For fish,
    write the output to ~/.config/fish/completions/orgloop.fish.
    """
    from orgloop.cli.completion import script_for

    root = click.get_current_context().find_root().command
    script = script_for(shell, root)
    if app.out.json:
        app.out.data({"shell": shell, "script": script})
    else:
        app.out.raw(script)
