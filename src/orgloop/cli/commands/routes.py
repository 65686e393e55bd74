"""`orgloop routes`: who wakes whom."""

from __future__ import annotations

import click

from orgloop.cli.app import App
from orgloop.cli.command import command as new_command
from orgloop.cli.output import Output
from orgloop.errors import Refused
from orgloop.operations.views.topology import Topology
from orgloop.operations.views.words import counted


@new_command(examples=["orgloop routes", "orgloop routes --mermaid > routes.mmd", "orgloop routes --json"])
@click.option("--mermaid", is_flag=True, help="Print a Mermaid flowchart, for documents.")
def command(app: App, mermaid: bool) -> None:
    """Draw the project: each source with its routes and the actors that they wake.

    An actor whose runs wake an actor is marked with ↺ and drawn as a source, too. Unused sources and
    actors are named. It works without values of variables.
    """
    from orgloop.operations.views.topology import topology

    if mermaid and app.out.json:
        raise Refused("--mermaid and --json do not go together", hint="ask for one of them")
    sound = app.loaded.sound or app.organization
    graph = topology(sound.name, sound.snapshot)
    if mermaid:
        app.out.raw(graph.mermaid())
        return
    if app.out.json:
        app.out.data(graph.as_json())
        return
    counts = [
        counted(len(graph.sources), "source"),
        counted(len(graph.edges), "route"),
        counted(len(graph.actors), "actor"),
    ]
    app.out.line(f"{app.out.style(graph.project, 'bold')}  {app.out.style(', '.join(counts), 'dim')}")
    app.out.line()
    draw_routes(app.out, graph)
    if app.loaded.errors:
        many = counted(len(app.loaded.errors), "error")
        app.out.warn(f"the project has {many}", "`orgloop validate` lists them")


def draw_routes(out: Output, graph: Topology) -> None:
    """The graph, line by line."""
    from orgloop.cli.screen.drawing import Drawing

    for line in Drawing(out, graph).lines():
        out.line(line)
