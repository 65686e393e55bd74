"""`orgloop trace`: one chain from its first event to its end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from orgloop.cli.command import Cli
from orgloop.cli.command import command as new_command
from orgloop.cli.listing import counted
from orgloop.cli.words import (
    OUTCOME_STYLES,
    STATE_STYLES,
    author_of,
    dollars,
    event_name,
    one_line,
    run_words,
    shortened,
    state_words,
)

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from orgloop.cli.chain import Chain, DeliveryNode, EventNode
    from orgloop.journal.protocols import Reader

TROUBLES = frozenset(
    {"retry", "throttled", "unavailable", "interrupted", "not_started", "hold", "released", "retried"}
)
"""What is told of a delivery's tries, besides how it ended."""

SOP_LINES = 2
"""Lines of an SOP that are shown without --prompts."""

SAID = 120
"""Characters of what an agent said."""


@new_command(examples=["orgloop trace evt_19b5a1c2d3e4f506", "orgloop trace dlv_19b5a1c2d3e4f507 --prompts"])
@click.argument("id", metavar="ID")
@click.option("--prompts", is_flag=True, help="Show each prompt file whole, as it was when it was used.")
@click.option("--all", "show_all", is_flag=True, help="Show events that woke nobody, too.")
def command(cli: Cli, id: str, prompts: bool, show_all: bool) -> None:
    """Show a whole chain as a tree: events, who they woke with which SOP, outcomes, times, costs.

    ID is that of an event, a delivery, a run or a trace.
    """
    from orgloop.cli.chain import read_chain, trace_of

    with cli.journal() as reader:
        chain = read_chain(reader, trace_of(reader, id))
        if cli.out.json:
            cli.out.data(_document(chain))
            return
        cli.out.print(draw(reader, chain, prompts=prompts, show_all=show_all))


def draw(reader: Reader, chain: Chain, *, prompts: bool = False, show_all: bool = False) -> Tree:
    """The chain as a tree for the terminal."""
    from rich.text import Text
    from rich.tree import Tree

    from orgloop.core.units import humanize

    facts = [counted(chain.events, "event"), counted(chain.runs, "run"), humanize(chain.span_ms)]
    if chain.cost_usd is not None:
        facts.append(dollars(chain.cost_usd))
    if chain.open:
        facts.append("goes on")
    tree = Tree(Text.assemble((chain.trace_id, "bold"), (f"  {' · '.join(facts)}", "dim")), guide_style="dim")
    for root in chain.roots:
        _add_event(tree, reader, root, prompts=prompts, show_all=show_all)
    return tree


def _add_event(tree: Tree, reader: Reader, node: EventNode, *, prompts: bool, show_all: bool) -> None:
    """An event. With one delivery, as nearly always, that shares its branch: long chains stay narrow."""
    from rich.text import Text

    label = _event_line(node)
    if len(node.deliveries) != 1:
        branch = tree.add(label)
        if not node.deliveries:
            label.append("  woke nobody", "dim")
        for delivery in node.deliveries:
            leaf = branch.add(Text("\n").join(_delivery_lines(reader, delivery, prompts=prompts)))
            _add_events(leaf, reader, delivery, prompts=prompts, show_all=show_all)
        return
    (delivery,) = node.deliveries
    lines = [label, *_delivery_lines(reader, delivery, prompts=prompts)]
    _add_events(tree.add(Text("\n").join(lines)), reader, delivery, prompts=prompts, show_all=show_all)


def _add_events(tree: Tree, reader: Reader, node: DeliveryNode, *, prompts: bool, show_all: bool) -> None:
    for event in node.events:
        if show_all or event.deliveries:
            _add_event(tree, reader, event, prompts=prompts, show_all=show_all)


def _delivery_lines(reader: Reader, node: DeliveryNode, *, prompts: bool) -> Iterator[Text]:
    yield _delivery_line(node)
    yield from _details(reader, node, prompts=prompts)


def _event_line(node: EventNode) -> Text:
    from rich.text import Text

    from orgloop.cli.times import clock

    row = node.row
    line = Text.assemble(("● ", "blue"), (row.source, "bold"), f" {one_line(event_name(row))}")
    if author := author_of(row):
        line.append(f" by {one_line(author)}")
    line.append(f"  {clock(row.at)}  {row.id}", "dim")
    return line


def _delivery_line(node: DeliveryNode) -> Text:
    from rich.text import Text

    from orgloop.core.units import humanize

    row = node.row
    word = state_words(row.state, row.reason)
    line = Text.assemble(
        (row.route, "cyan"), " → ", (row.actor, "bold"), "  ", (word, STATE_STYLES[row.state])
    )
    facts = [humanize(max(0, row.changed_at - row.accepted_at))]
    if row.attempts > 1:
        facts.append(f"{row.attempts} attempts")
    if row.key is not None:
        facts.append(f"key {row.key}")
    line.append(f"  {' · '.join(facts)}  {row.id}", "dim")
    return line


def _details(reader: Reader, node: DeliveryNode, *, prompts: bool) -> Iterator[Text]:
    from rich.text import Text

    for entry in node.row.steps:
        if entry.get("result") not in ("pass", "once"):
            reason = f": {entry['reason']}" if entry.get("reason") else ""
            yield Text(f"  {entry['name']} {entry['result']}{reason}", "dim")
    yield from _prompt(reader, node, whole=prompts)
    for said, again in groupby(
        f"  {step.happening.replace('_', ' ')}{f': {step.detail}' if step.detail else ''}"
        for step in node.steps
        if step.happening in TROUBLES
    ):
        times = len(list(again))
        yield Text(f"{said}{f'  ({times} times)' if times > 1 else ''}", "yellow")
    if node.run is not None:
        yield _run_line(node)
    elif node.row.detail:
        style = "dim" if node.row.state == "delivered" else STATE_STYLES[node.row.state]
        yield Text(f"  {one_line(node.row.detail)}", style)


def _prompt(reader: Reader, node: DeliveryNode, *, whole: bool) -> Iterator[Text]:
    """The prompt file as the actor got it: without front matter, its placeholders filled in."""
    from rich.text import Text

    from orgloop.runtime.prompt import parse_sop

    used = next((step for step in reversed(node.steps) if step.sop_hash), None)
    if used is None or used.sop_hash is None:
        return
    event = reader.event(node.row.event_id)
    document = node.row.document or (event.document if event is not None else {})
    sop = parse_sop(used.sop_file or "", reader.sop(used.sop_hash) or "")
    lines = sop.rendered(document).strip().splitlines()
    name = (used.sop_file or "").rpartition("/")[2]
    line = Text.assemble(("  prompt ", "dim"), name, (f" {used.sop_hash[:8]}", "dim"))
    shown = lines if whole else [text for text in lines if text.strip()][:SOP_LINES]
    for text in shown:
        line.append(f"\n         {text}", "italic")
    if not whole and len(lines) > len(shown):
        line.append(" …", "dim")
    yield line


def _run_line(node: DeliveryNode) -> Text:
    from rich.text import Text

    from orgloop.core.units import humanize

    run = node.run
    if run is None:
        return Text()
    color = OUTCOME_STYLES.get(run.outcome, "yellow")
    line = Text.assemble(("  run    ", "dim"), (run.outcome or "goes on", color))
    facts = [run.reason] if run.reason and run.outcome != "success" else []
    if run.ended_at is not None:
        facts.append(humanize(run.ended_at - run.started_at))
    if run.cost_usd is not None:
        facts.append(dollars(run.cost_usd))
    line.append(f"  {' · '.join(facts)}  {run.id}", "dim")
    said, decided = run_words(run)
    if said:
        line.append(f"\n         {shortened(said, SAID)}")
    if decided:
        line.append(f"\n         {decided}", "cyan")
    return line


def _document(chain: Chain) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "trace_id": chain.trace_id,
        "events": chain.events,
        "runs": chain.runs,
        "cost_usd": chain.cost_usd,
        "span_ms": chain.span_ms,
        "open": chain.open,
        "tree": [asdict(root) for root in chain.roots],
    }
