"""A chain as a tree in a terminal: what is said on the left, ids in one column on the right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from orgloop.cli.output import ENDLESS, Output
from orgloop.cli.screen.words import (
    OUTCOME_STYLES,
    STATE_STYLES,
    author_of,
    event_name,
    last_lines_of,
    paid_by,
    printable,
    run_words,
    why_ended,
)
from orgloop.core.events.event import REPLAY_OF
from orgloop.core.records.from_journal import UNCOUNTED
from orgloop.core.runs.failure import failed
from orgloop.core.text.columns import columns, folded
from orgloop.core.text.units import humanize
from orgloop.operations.views.chain import Chain, DeliveryNode, EventNode
from orgloop.operations.views.waits import OPEN
from orgloop.operations.views.words import counted, dollars, moment, one_line, state_words

if TYPE_CHECKING:
    from orgloop.journal.model import RunRow
    from orgloop.journal.protocols import Reader

TROUBLES: Final = frozenset({*UNCOUNTED, "retry", "not_started", "hold", "released", "retried"})
"""What is told of a delivery's tries, besides how it ended."""

SOP_LINES: Final = 2
"""Lines of an SOP that are shown without --prompts."""

RESULT_LINES: Final = 2
"""Lines of what an agent said, and of its result."""

WIDEST: Final = 110
"""Where the ids end at most: farther off they would not be seen to belong to their line."""

_ID: Final = len("evt_19b5a1c2d3e4f506")
_LEAST: Final = 24
"""Columns that a text needs beside its id; where there are fewer, the id is below it."""
_DETAIL, _QUOTE = 2, 9
"""How far details, and what others wrote, stand to the right of what they belong to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    """What is said in one place: folded under its own indentation, on a terminal in `most` lines at most."""

    text: str
    id: str = ""
    indent: int = 0
    most: int | None = None
    style: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Branch:
    """Rows of one level, and what hangs below them."""

    rows: Sequence[_Row]
    below: Sequence[_Branch]


class ChainDrawing:
    """Draws one chain in `out.width` columns. `prompts`: whole; `show_all`: what woke nobody, too.

    `now` is until when what is open has lasted: ms since 1970.
    """

    def __init__(
        self, out: Output, reader: Reader, *, now: int, prompts: bool = False, show_all: bool = False
    ) -> None:
        self._out = out
        self._reader = reader
        self._prompts = prompts
        self._show_all = show_all
        self._now = now
        self._right = min(out.width, WIDEST)
        self._width = self._right if out.width < ENDLESS else ENDLESS

    def lines(self, chain: Chain) -> Iterator[str]:
        """The whole tree."""
        hidden = 0 if self._show_all else sum(map(_woke_nobody, chain.roots))
        left_out = f" ({hidden} woke no actor: --all shows them)" if hidden else ""
        facts = [
            f"{counted(chain.events, 'event')}{left_out}",
            counted(chain.runs, "run"),
            humanize(chain.span_ms),
        ]
        facts += [dollars(chain.cost_usd)] if chain.cost_usd is not None else []
        facts += ["running"] if chain.open else []
        head = f"{self._out.style(chain.trace_id, 'bold')}  {self._dim(' · '.join(facts))}"
        yield from folded(head, self._width, 2)
        yield from self._drawn([self._event(root) for root in chain.roots], "")

    def _dim(self, text: str) -> str:
        return self._out.style(text, "dim")

    # --- the tree -------------------------------------------------------------------------------

    def _drawn(self, branches: Sequence[_Branch], before: str) -> Iterator[str]:
        for number, branch in enumerate(branches):
            last = number == len(branches) - 1
            tie, below = f"{before}{'└─ ' if last else '├─ '}", f"{before}{'   ' if last else '│  '}"
            for row in branch.rows:
                for line in self._fitted(row, len(below)):
                    yield f"{self._dim(tie)}{line}"
                    tie = below
            yield from self._drawn(branch.below, below)

    def _fitted(self, row: _Row, begin: int) -> Iterator[str]:
        """A row's lines, behind `begin` columns. The id ends the first one, if the text leaves it room."""
        out, blanks, width = self._out, " " * row.indent, self._width - begin
        beside = self._right - begin - _ID - 2
        is_narrow = beside < row.indent + _LEAST
        room = beside if row.id and not is_narrow and self._width < ENDLESS else width
        lines = folded(f"{blanks}{row.text}", room, row.indent + 2)
        if row.most is not None and len(lines) > row.most:
            last = folded(lines[row.most - 1], width - 2)[0]
            lines = [*lines[: row.most - 1], f"{last.rstrip()} …"]
        if row.id and is_narrow:
            lines.append(f"{blanks}  {self._dim(row.id)}")
        elif row.id:
            lines[0] += f"{' ' * max(2, beside + 2 - columns(lines[0]))}{self._dim(row.id)}"
        for line in lines:
            yield out.style(line, row.style) if row.style else line

    # --- what is said ---------------------------------------------------------------------------

    def _event(self, node: EventNode, times: int = 1) -> _Branch:
        """An event. With one delivery, as nearly always, that shares its branch: long chains stay narrow."""
        style, row = self._out.style, node.row
        by = f" by {one_line(author)}" if (author := author_of(row)) else ""
        what = f"{style('●', 'blue')} {style(row.source, 'bold')} {one_line(event_name(row))}{by}"
        if node.row.document.get(REPLAY_OF):
            what += f"  replay of {one_line(str(node.row.document[REPLAY_OF]))}"
        nobody = "" if node.deliveries else self._dim("  woke no actor")
        nobody += self._dim(f"  ({times} times)") if times > 1 else ""
        line = _Row(text=f"{what}  {self._dim(moment(row.at, self._now))}{nobody}", id=row.id)
        below = [self._delivery(one) for one in node.deliveries]
        if len(below) != 1:
            return _Branch(rows=[line], below=below)
        return _Branch(rows=[line, *below[0].rows], below=below[0].below)

    def _delivery(self, node: DeliveryNode) -> _Branch:
        rows = [self._delivery_row(node), *self._details(node)]
        shown = [event for event in node.events if self._show_all or event.deliveries]
        return _Branch(rows=rows, below=[self._event(event, times) for event, times in _alike(shown)])

    def _delivery_row(self, node: DeliveryNode) -> _Row:
        style, row = self._out.style, node.row
        until = self._now if row.state in OPEN else row.changed_at
        facts = [humanize(max(0, until - row.accepted_at))]
        facts += [f"{row.attempts} attempts"] if row.attempts > 1 else []
        whom = f"{style(row.route, 'cyan')} → {style(row.actor, 'bold')}"
        state = style(state_words(row.state, row.reason), STATE_STYLES[row.state])
        return _Row(text=f"{whom}  {state}  {self._dim(' · '.join(facts))}", id=row.id)

    def _details(self, node: DeliveryNode) -> Iterator[_Row]:
        if node.row.key is not None:
            yield _Row(text=f"{self._dim('key')}    {one_line(node.row.key)}", indent=_DETAIL)
        if node.row.members:
            others = counted(len(node.row.members) - 1, "other event")
            led = "" if node.row.lead == node.row.id else f"; {node.row.lead} has the run"
            yield _Row(text=f"{self._dim('with')}   {others}{led}", indent=_DETAIL)
        if node.row.cancelled_by is not None:
            yield _Row(text=f"cancelled for {node.row.cancelled_by}", indent=_DETAIL, style="yellow")
        for entry in node.row.steps:
            if entry.get("result") not in ("pass", "once"):
                reason = f": {entry['reason']}" if entry.get("reason") else ""
                shown_text = one_line(f"{entry['name']} {entry['result'].replace('_', ' ')}{reason}")
                yield _Row(text=shown_text, indent=_DETAIL, style="dim")
        yield from self._prompt(node)
        for (shown_text, uncounted), again in groupby(
            (
                f"{step.transition.replace('_', ' ')}{f': {one_line(step.detail)}' if step.detail else ''}",
                not UNCOUNTED.isdisjoint({step.transition, step.reason}),
            )
            for step in node.steps
            if step.transition in TROUBLES
        ):
            times = len(list(again))
            notes = [f"{times} times"] if times > 1 else []
            notes += ["not counted as attempts" if times > 1 else "not counted"] if uncounted else []
            more = f"  ({', '.join(notes)})" if notes else ""
            yield _Row(text=f"{shown_text}{more}", indent=_DETAIL, style="yellow")
        if node.run is not None:
            yield from self._run(node.run)
        elif node.waits:
            yield _Row(text=f"waits: {node.waits}", indent=_DETAIL, style="yellow")
        elif node.row.detail:
            color = "dim" if node.row.state == "delivered" else STATE_STYLES[node.row.state]
            yield _Row(text=one_line(node.row.detail), indent=_DETAIL, style=color)

    def _prompt(self, node: DeliveryNode) -> Iterator[_Row]:
        """The prompt file as the actor got it: without front matter, its placeholders filled in."""
        from orgloop.runtime.dispatch.prompt import parse_sop

        used = next((step for step in reversed(node.steps) if step.sop_hash), None)
        if used is None or used.sop_hash is None:
            return
        event = self._reader.event(node.row.event_id)
        document = node.row.document or (event.document if event is not None else {})
        sop = parse_sop(used.sop_file or "", self._reader.sop(used.sop_hash) or "")
        lines = printable(sop.rendered(document).strip()).splitlines()
        name = (used.sop_file or "").rpartition("/")[2]
        yield _Row(text=f"{self._dim('prompt')} {name} {self._dim(used.sop_hash[:8])}", indent=_DETAIL)
        if self._prompts:
            yield from (_Row(text=line, indent=_QUOTE) for line in lines)
            return
        shown_text = [line for line in lines if line.strip()]
        shown = shown_text[:SOP_LINES]
        for number, line in enumerate(shown):
            more = number == len(shown) - 1 and len(shown_text) > len(shown)
            yield _Row(text=f"{line} …" if more else line, indent=_QUOTE, most=1)

    def _run(self, run: RunRow) -> Iterator[_Row]:
        outcome = self._out.style(run.outcome or "running", OUTCOME_STYLES.get(run.outcome, "yellow"))
        facts = [why] if (why := why_ended(run)) else []
        facts += [humanize(run.ended_at - run.started_at)] if run.ended_at is not None else []
        facts += [dollars(run.cost_usd)] if run.cost_usd is not None else []
        # Its usual account goes without saying.
        facts += [f"account {paid_by(run)}"] if run.spec.get("instead_of") else []
        text = f"{self._dim('run')}    {outcome}  {self._dim(' · '.join(facts))}"
        yield _Row(text=text.rstrip(), id=run.id, indent=_DETAIL)
        shown_text, decided = run_words(run)
        if failed(run.outcome) and shown_text:
            lines = last_lines_of(run)
            for line in lines if self._width == ENDLESS else lines[-RESULT_LINES:]:
                yield _Row(text=line, indent=_QUOTE, most=1)
        elif shown_text:
            yield _Row(text=shown_text, indent=_QUOTE, most=RESULT_LINES)
        if decided:
            yield _Row(text=decided, indent=_QUOTE, most=RESULT_LINES, style="cyan")


def _woke_nobody(node: EventNode) -> int:
    """How many events below this one woke no actor: what is left out of a drawing."""
    below = [event for one in node.deliveries for event in one.events]
    return sum(_woke_nobody(event) if event.deliveries else 1 for event in below)


def _alike(events: Sequence[EventNode]) -> Iterator[tuple[EventNode, int]]:
    """Events, those in a row that woke nobody and are called the same as one: the first, and how many."""
    for _, again in groupby(
        events, lambda one: (one.row.source, event_name(one.row), one.row.id if one.deliveries else "")
    ):
        first, *others = again
        yield first, 1 + len(others)
