"""Ids of what the actor writes: Linear lets the writer choose them.

An id is made of the delivery that caused it, so a second try writes nothing twice. It also tells that
OrgLoop wrote it, and which actor did: so an actor does not answer itself.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final
from uuid import UUID

_FACT, _TAG = 58, 32
_LOW: Final = (1 << 62) - 1
_V4: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def id_of(actor: str, what: str, delivery_id: str) -> str:
    """The UUID (version 4 in form) of what `actor` writes for a delivery; `what`: comment or issue."""
    fact = _digest(f"{what}\n{delivery_id}", _FACT)
    value = (fact << _TAG | _ours(fact)) << _TAG | _by(actor, fact)
    top, middle, low = value >> 74, value >> 62 & 0xFFF, value & _LOW
    return str(UUID(int=top << 80 | 4 << 76 | middle << 64 | 2 << 62 | low))


def is_ours(id: str) -> bool:
    """Whether an actor of OrgLoop wrote the thing with this id. Whoever knows how can make one, too."""
    parts = _parts(id)
    return parts is not None and parts[1] == _ours(parts[0])


def is_by(id: str, actor: str) -> bool:
    """Whether this actor wrote it."""
    parts = _parts(id)
    return parts is not None and parts[1:] == (_ours(parts[0]), _by(actor, parts[0]))


def _parts(id: str) -> tuple[int, int, int] | None:
    if not _V4.fullmatch(id):
        return None
    whole = UUID(id).int
    value = (whole >> 80) << 74 | (whole >> 64 & 0xFFF) << 62 | whole & _LOW
    tags = (1 << _TAG) - 1
    return value >> 2 * _TAG, value >> _TAG & tags, value & tags


def _ours(fact: int) -> int:
    return _digest(f"orgloop\n{fact}", _TAG)


def _by(actor: str, fact: int) -> int:
    return _digest(f"actor\n{actor}\n{fact}", _TAG)


def _digest(text: str, bits: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]) >> 64 - bits
