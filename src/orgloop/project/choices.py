"""What `init` and `add` offer first. Light, for help is to come at once."""

from __future__ import annotations

from typing import Final

PERMISSION_MODES: Final = ("acceptEdits", "default", "plan", "dontAsk")
"""What an agent may be told. Whoever wants more writes it by hand."""

FIRST_SOURCE: Final = "webhook"
FIRST_ACTOR: Final = "process"
