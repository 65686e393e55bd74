"""An event, its scope, and how to open a transform for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hypothesis import strategies as st

from orgloop.plugin import Scope, Transform, TransformPlugin

SCOPE: Final = Scope(
    route="pr-review", actor="engineer", source="github", event_type="resource.changed", event_id="evt_1"
)

EVENT: Final[Mapping[str, Any]] = {
    "id": "evt_1",
    "timestamp": "2026-03-01T10:00:00.000Z",
    "source": "github",
    "type": "resource.changed",
    "provenance": {"platform": "github", "author": "ada", "author_type": "team_member", "pr_number": 42},
    "payload": {
        "title": "Fix the Parser",
        "count": 5,
        "ratio": 1.0,
        "draft": False,
        "nothing": None,
        "empty": "",
        "labels": ["bug", "p1"],
        "review": {"state": "approved"},
    },
    "trace_id": "trc_1",
    "parents": [],
    "hops": 0,
}

# Also what JSON can say and other formats cannot: half a surrogate pair, NUL, numbers without bound.
json_text = st.text(st.characters(), max_size=5) | st.sampled_from(["a,b", "\ud800", "a\0b", "/x/", "\n"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | json_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(json_text, inner, max_size=3),
    max_leaves=10,
)
documents = st.fixed_dictionaries(
    {
        "id": json_text,
        "timestamp": json_text,
        "source": json_text,
        "type": json_text,
        "provenance": st.dictionaries(json_text, json_values, max_size=3),
        "payload": json_values,
        "trace_id": json_text,
    }
)


def opened(plugin: TransformPlugin, config: Mapping[str, Any], **context: Any) -> Transform:
    """The step that these settings make, as the configuration makes it."""
    return plugin.open(plugin.settings.model_validate(config, context=context))
