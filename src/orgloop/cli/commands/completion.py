"""`orgloop completion`: what a shell reads to complete commands, names and ids."""

from __future__ import annotations

import os

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.completion import SHELLS
from orgloop.errors import Refused


@new_command(examples=['eval "$(orgloop completion bash)"', "orgloop completion fish | source"])
@click.argument(
    "shell",
    metavar="bash|zsh|fish",
    default="",
    shell_complete=lambda _ctx, _param, word: [one for one in SHELLS if one.startswith(word)],
)
def command(app: App, shell: str) -> None:
    """Print the script with which bash, zsh or fish completes commands, options, names and ids.

    For bash and zsh, add `eval "$(orgloop completion bash)"` (or zsh) to ~/.bashrc or ~/.zshrc. For fish,
    write the output to ~/.config/fish/completions/orgloop.fish.
    """
    from orgloop.cli.completion import script_for

    if shell not in SHELLS:
        own = os.path.basename(app.environ.get("SHELL", ""))  # noqa: PTH119
        raise Refused(
            f"no shell is called {shell!r} here" if shell else "which shell?",
            hint=f"type `orgloop completion {own if own in SHELLS else 'bash'}`; there are "
            f"{', '.join(SHELLS)}",
        )
    root = click.get_current_context().find_root().command
    script = script_for(shell, root)
    if app.out.json:
        app.out.data({"shell": shell, "script": script})
    else:
        app.out.raw(script)
