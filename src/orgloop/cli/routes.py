"""`orgloop routes`: who wakes whom."""

from __future__ import annotations

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command
from orgloop.cli.output import Output
from orgloop.cli.screen.listing import counted
from orgloop.cli.screen.topology import Topology
from orgloop.errors import Refused


@new_command(examples=["orgloop routes", "orgloop routes --mermaid > routes.mmd", "orgloop routes --json"])
@click.option("--mermaid", is_flag=True, help="Print a Mermaid flowchart, for documents.")
def command(cli: Cli, mermaid: bool) -> None:
    """Draw the project: under each source its routes, and whom they wake.

    An actor whose runs wake somebody again is marked with ↺ and drawn as a source, too. Sources that
    nobody hears and actors that nobody wakes are named. Variables need not be set for this.
    """
    from orgloop.cli.screen.topology import topology

    if mermaid and cli.out.json:
        raise Refused("--mermaid and --json do not go together", hint="ask for one of them")
    sound = cli.loaded.sound or cli.organization
    graph = topology(sound.name, sound.snapshot)
    if mermaid:
        cli.out.raw(graph.mermaid())
        return
    if cli.out.json:
        cli.out.data(graph.as_json())
        return
    counts = [
        counted(len(graph.sources), "source"),
        counted(len(graph.edges), "route"),
        counted(len(graph.actors), "actor"),
    ]
    cli.out.line(f"{cli.out.style(graph.project, 'bold')}  {cli.out.style(', '.join(counts), 'dim')}")
    cli.out.line()
    draw_routes(cli.out, graph)
    if cli.loaded.errors:
        many = counted(len(cli.loaded.errors), "error")
        cli.out.warn(f"the project has {many}", "`orgloop validate` lists them")


def draw_routes(out: Output, graph: Topology) -> None:
    """The graph, line by line."""
    from orgloop.cli.screen.drawing import Drawing

    for line in Drawing(out, graph).lines():
        out.line(line)
