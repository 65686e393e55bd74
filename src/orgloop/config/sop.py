"""Prompt files as they are checked before any wake: readable, and rendered only where they say so."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from orgloop.config.yaml import parse

_FRONT_MATTER: Final = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class SopFacts:
    """A prompt file. `hash` is its SHA-256, `rendered` what its front matter says.

    `first_placeholder` is the line of the first `{{` after the front matter.
    """

    hash: str
    rendered: bool
    first_placeholder: int | None


def inspect(path: Path) -> SopFacts:
    """Read a prompt file. Raises OSError, or UnicodeDecodeError if it is not UTF-8."""
    content = path.read_bytes()
    text = content.decode("utf-8")
    front = _FRONT_MATTER.match(text)
    meta = parse(front.group(1).encode()).data if front else None
    at = text.find("{{", front.end() if front else 0)
    return SopFacts(
        hash=hashlib.sha256(content).hexdigest(),
        rendered=isinstance(meta, dict) and meta.get("render") is True,
        first_placeholder=text.count("\n", 0, at) + 1 if at >= 0 else None,
    )
