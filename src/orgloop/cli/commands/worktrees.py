"""`orgloop worktrees`: the work trees of runs, what is in them, and removing them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from orgloop.cli.app import App
from orgloop.cli.command import new_group
from orgloop.cli.completion import ACTOR
from orgloop.cli.exits import Exit
from orgloop.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orgloop.runtime.worktrees.clean import Cleaned, TreeState

command = new_group(
    """Work trees of runs: list, remove.

    Without a subcommand: `list`.""",
    default="list",
    examples=["orgloop worktrees", "orgloop worktrees clean --dry-run"],
)


@command.subcommand(
    "list", read_only=True, examples=["orgloop worktrees", "orgloop worktrees list --actor engineer --json"]
)
@click.option("--actor", metavar="ID", type=ACTOR, default="", help="Only of this actor.")
def list_trees(app: App, actor: str) -> None:
    """List the work trees with their branches, and what is not committed or not pushed in each."""
    from orgloop.operations import worktrees

    with app.reading() as reader:
        found = worktrees.looks(app.home, reader, actor)
    if app.out.json:
        app.out.data([worktrees.document(look) for look in found])
    elif found:
        _table(app, found)
    else:
        app.out.line("there are no work trees")


@command.subcommand(
    "clean",
    examples=[
        "orgloop worktrees clean",
        "orgloop worktrees clean --dry-run",
        "orgloop worktrees clean ~/.orgloop/worktrees/engineer/pr-7-0123456789abcdef",
    ],
)
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option("--all", "every", is_flag=True, help="Every tree, even if it was used recently.")
@click.option(
    "--force",
    "forced",
    metavar="PATH",
    multiple=True,
    help="Remove this tree with its uncommitted and unpushed work.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed; change nothing.")
def clean(app: App, paths: Sequence[str], every: bool, forced: Sequence[str], dry_run: bool) -> int:
    """Remove work trees that were kept long enough or are incomplete, or those at these paths at once.

    A tree stays if a run works in it, or if something in it is not committed and pushed. Only `--force`
    with its path removes such work. A branch that was made for the tree is deleted if its commits are
    pushed.
    """
    from orgloop.operations import worktrees

    app.require_this_project("worktrees clean")
    if every and paths:
        raise Refused("--all and a PATH exclude each other", hint="name the trees, or use --all")
    known = worktrees.records(app.home)
    wanted, named = worktrees.named(known, forced), worktrees.named(known, paths)
    chosen = list({one.name: one for one in [*wanted, *named]}.values())
    if not chosen:
        chosen = known if every else worktrees.due(known)
    with app.reading() as reader:
        done = worktrees.clean(app.home, reader, chosen, forced={one.name for one in wanted}, dry_run=dry_run)
        sessions = {one.record.name: worktrees.sessions_in(reader, one.record.path) for one in done}
    _show(app, done, sessions, dry_run=dry_run)
    refused = {one.name for one in [*wanted, *named]} & {one.record.name for one in done if one.why}
    return Exit.FAILED if refused else Exit.OK


def _show(app: App, done: Sequence[Cleaned], sessions: Mapping[str, Sequence[str]], *, dry_run: bool) -> None:
    from orgloop.cli.screen.words import from_home
    from orgloop.operations import worktrees

    removed, kept = [one for one in done if not one.why], [one for one in done if one.why]
    if app.out.json:
        app.out.data(
            {
                "dry_run": dry_run,
                "removed": [
                    {
                        **worktrees.described(one.record),
                        "deleted_branch": one.branch,
                        "commit": one.commit,
                        "sessions": sessions[one.record.name],
                    }
                    for one in removed
                ],
                "kept": [{**worktrees.described(one.record), "why": one.why} for one in kept],
            }
        )
        return
    for one in removed:
        verb = "would remove" if dry_run else "removed"
        last = f", at commit {one.commit[:12]}" if one.commit else ""
        branch = f", with its branch {one.branch}" if one.branch else f" ({one.record.branch}{last})"
        app.out.ok(f"{verb} {from_home(one.record.path)}{branch}")
        for session in sessions[one.record.name]:
            app.out.fold(f"  the session {session} ends with it: the next run of its key begins a new one", 4)
    for one in kept:
        app.out.warn(f"kept {from_home(one.record.path)}: {one.why}")
    if not done:
        app.out.line("there is nothing to remove")


def _table(app: App, found: Sequence[TreeState]) -> None:
    from orgloop.cli.screen.grid import Column, print_grid
    from orgloop.cli.screen.words import from_home
    from orgloop.operations.views.words import ago, one_line
    from orgloop.operations.worktrees import state

    now = int(time.time() * 1000)
    columns = [
        Column(name="actor", is_name=True),
        Column(name="key", is_name=True),
        Column(name="state", flexible=True),
        Column(name="used", from_width=80),
        Column(name="branch", is_name=True, from_width=100),
    ]
    rows = [
        [
            look.record.actor,
            one_line(look.record.key),
            state(look),
            ago(look.record.used_at, now),
            look.record.branch,
        ]
        for look in found
    ]
    print_grid(app.out, columns, rows)
    app.out.line()
    for look in found:
        app.out.line(f"  {from_home(look.record.path)}")
