"""Requests from outside, for whichever source they are meant: translated, committed, answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from orgloop.errors import NotFound, Overloaded, Refused
from orgloop.journal.model import Accepted
from orgloop.plugin import Inbound, Received, Receiver, Reply
from orgloop.runtime.intake.intake import Intake
from orgloop.runtime.wiring import SourcePart, Wiring

OPENS: Final = 2.0
"""Seconds that a request waits for its source to open, at a start or a reload."""

RECEIVES: Final = 30.0
"""Seconds that a source may take over one request; each holds a connection meanwhile."""

MOST_HOPS: Final = 1_000_000

ENVELOPE_TEXTS: Final = ("id", "timestamp", "trace_id")


class Doorway:
    """The way in for webhooks and for events that a person puts in."""

    def __init__(
        self,
        intake: Intake,
        wiring: Callable[[], Wiring],
        until_open: Callable[[SourcePart, float], Awaitable[bool]],
        on_refused: Callable[[str, Refused], None],
    ) -> None:
        """`on_refused` hears of each request that a source refuses, and why."""
        self._intake = intake
        self._wiring = wiring
        self._until_open = until_open
        self.refused = on_refused

    def receiver(self, source: str) -> Receiver:
        """The source that takes requests under this id. Raises NotFound naming those that do."""
        return receiver_of(self._wiring(), source)

    async def receive(self, source: str, request: Inbound) -> tuple[Reply, Sequence[Accepted]]:
        """Hand a request to its source and commit what it means. The reply counts only now.

        Raises NotFound, Refused, Overloaded or JournalUnavailable: then nothing was taken.
        """
        receiver = self.receiver(source)
        if not await self._until_open(self._wiring().sources[source], OPENS):
            raise Overloaded(
                f"source {source!r} is not open yet", hint="send it again after a moment", retry_after=1
            )
        try:
            received = await _received(source, receiver, request)
        except Refused as exc:
            self.refused(source, exc)
            raise
        accepted: Sequence[Accepted] = ()
        if received.events:
            accepted = await self._intake.take(source, received.events, request=received.request)
        return received.reply, accepted

    async def emit(self, document: Mapping[str, Any]) -> Accepted:
        """Put a whole event in. Raises Refused for what is none, naming the field."""
        check_document(document)
        known = {*self._wiring().sources, *self._wiring().actors}
        if document["source"] not in known:
            raise Refused(
                f"`source` is {document['source']!r}, which is neither a source nor an actor of this project",
                hint=f"known: {', '.join(sorted(known)) or 'none'}",
            )
        return (await self._intake.commit(self._intake.of_document(document)))[0]


async def _received(source: str, receiver: Receiver, request: Inbound) -> Received:
    try:
        async with asyncio.timeout(RECEIVES):
            return await receiver.receive(request)
    except TimeoutError as exc:
        raise Refused(
            f"source {source!r} took too long over the request", hint="send it again later", status=504
        ) from exc
    except SystemExit as exc:
        raise RuntimeError(f"source {source!r} called sys.exit") from exc


def receiver_of(wiring: Wiring, source: str) -> Receiver:
    """The source that takes requests under this id. Raises NotFound naming those that do."""
    part = wiring.sources.get(source)
    if part is not None and part.receiver is not None:
        return part.receiver
    known = [id for id, other in wiring.sources.items() if other.receiver is not None]
    what = f"source {source!r} takes no webhooks" if part is not None else f"unknown source {source!r}"
    raise NotFound(what, hint=f"sources that take webhooks: {', '.join(known) or 'none'}")


def check_document(document: Mapping[str, Any]) -> None:
    """Refuse what cannot be an event, naming the field and what it must be."""
    if not isinstance(document, Mapping):
        raise Refused(
            "an event is a JSON object", hint='for example {"source": "webhook", "type": "resource.changed"}'
        )
    for name in ("source", "type"):
        if not isinstance(document.get(name), str) or not document[name]:
            raise Refused(
                f"`{name}` must be a non-empty string", hint="orgloop test --generate prints a whole event"
            )
    provenance = document.get("provenance")
    if not isinstance(provenance, Mapping):
        raise Refused("`provenance` must be an object", hint='for example {"platform": "webhook"}')
    for name in ENVELOPE_TEXTS:
        if name in document and not isinstance(document[name], str):
            raise Refused(f"`{name}` must be a string", hint="leave it out, and it is made")
    parents, hops = document.get("parents") or [], document.get("hops") or 0
    if not isinstance(parents, list) or not all(isinstance(one, str) for one in parents):
        raise Refused("`parents` must be a list of event ids", hint="leave it out if nothing caused it")
    if not isinstance(hops, int) or isinstance(document.get("hops"), bool) or not 0 <= hops <= MOST_HOPS:
        raise Refused(
            f"`hops` must be a number from 0 to {MOST_HOPS}", hint="leave it out if no run caused it"
        )
