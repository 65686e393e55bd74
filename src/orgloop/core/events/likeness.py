"""Whether two events of a chain say the same, but for ids and times."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from orgloop.core.text.json_text import dump_json

MOST_BYTES: Final = 256 * 1024
"""An event with more is like no other: nothing unbounded is compared."""

_OURS: Final = frozenset(
    {
        *("run_id", "delivery_id", "event_id", "trace_id", "session_id", "session", "dedupe_key"),
        *("timestamp", "duration", "duration_seconds", "cost_usd", "tokens", "models", "parents"),
    }
)
"""Names of values that differ from one run to the next."""

_VARIES: Final = re.compile(
    r"\b(?i:orgloop-run): ?[A-Za-z0-9_.~%:-]{1,1500}"
    r"|\b(?:evt|run|dlv|trc)_[0-9a-f]{16}\b"
    r"|\b[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
    r"|\b[0-9]{2}:[0-9]{2}:[0-9]{2}(?:[.,][0-9]{1,9})?"
)
"""The marks of our runs, our ids, and times of day, in texts."""


def likeness(document: Mapping[str, Any]) -> str:
    """The same for events that say the same.

    What a platform calls `id` or `…_id`, and a time `…_at`, does not count in its own events: each comment
    has another one. In what an agent or a script says it does: it may name the next piece of work.
    """
    provenance = document.get("provenance")
    told = provenance if isinstance(provenance, Mapping) else {}
    platform = "native_event" in told
    said = [document.get("source"), document.get("type"), _kept(told, platform=platform)]
    text = dump_json([*said, _kept(document.get("payload"), platform=platform)]).decode()
    return hashlib.sha256(_VARIES.sub("#", text).encode()).hexdigest()


def _kept(value: Any, *, platform: bool) -> Any:
    if isinstance(value, Mapping):
        return {
            key: _kept(value[key], platform=platform)
            for key in sorted(value)
            if key not in _OURS and not (platform and _is_id(key))
        }
    if isinstance(value, list):
        return [_kept(item, platform=platform) for item in value]
    return value


def _is_id(key: str) -> bool:
    return key in ("id", "url", "html_url", "node_id") or key.endswith(("_id", "_at", "_url"))
