"""What is taken in: events, the work that they cause, and the answer.

Each is made once for each event, so they are named tuples: a frozen dataclass takes 2.6 times as long to
make (`python -m bench techniques`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from orgloop.core.deliveries.batch import Batching
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.on_busy import Turn
from orgloop.core.deliveries.queue_limit import QueueLimit


class NewDelivery(NamedTuple):
    """One event for one route, prepared as far as the accept transaction can.

    `state` is preparing, pending, held or dropped, with its `reason` and `detail`.
    `once` are (key hash, window in ms): unless this delivery owns each of them for its route, it is
    inserted as dropped(duplicate). `document` is set only if the transforms changed the event.
    `steps` says what each transform did: name, result, and a reason. If it is pending, `batch` says
    how it is collected with others, and `turn` what becomes of it or of others that have not finished.
    `drop_key`: by this a later event finds it that makes it needless while it waits. `queue`: how much of its
    route may wait. If it is not `ordered`, it waits behind nothing, whatever its key.
    """

    id: str
    route: str
    actor: str
    runs: bool
    state: State
    reason: str = ""
    detail: str = ""
    key: str | None = None
    once: Sequence[tuple[str, int]] = ()
    document: bytes | None = None
    steps: Sequence[Mapping[str, Any]] = ()
    batch: Batching | None = None
    turn: Turn | None = None
    drop_key: str | None = None
    queue: QueueLimit | None = None
    ordered: bool = True


class Repeats(NamedTuple):
    """What an event of a chain says, but for ids and times, and how often that may come again."""

    likeness: str
    most: int


class NewEvent(NamedTuple):
    """An event with the work that it causes. `identity` is its semantic key within its source.

    `entity` names the thing that it is about within the source, whichever version. `needless` are routes
    and drop keys: what waits of these is dropped. `repeats` is there if it was caused by a run. `is_replay`:
    a person replays it, so it says nothing of its source.
    """

    id: str
    source: str
    type: str
    platform_event: str
    trace_id: str
    hops: int
    document: bytes
    deliveries: Sequence[NewDelivery] = ()
    identity: str | None = None
    entity: str | None = None
    needless: Sequence[tuple[str, str]] = ()
    repeats: Repeats | None = None
    is_replay: bool = False


class Acceptance(NamedTuple):
    """What commits together: events, their deliveries, the source's checkpoint.

    `request` is the provider's delivery id: if the source has seen it, nothing is inserted and
    each event is answered with the first one's id. An event whose identity was seen is left out
    alone, the checkpoint moves all the same.
    """

    source: str
    at: int
    events: Sequence[NewEvent]
    request: str | None = None
    checkpoint: str | None = None


class Accepted(NamedTuple):
    """One event's answer: its id, or the first one's if it is a duplicate."""

    event_id: str
    duplicate: bool
