"""Prompt files: their front matter, and whether they are fit for a wake."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from orgloop.config.paths import read_file
from orgloop.config.yaml import parse

_FRONT_MATTER: Final = re.compile(
    r"\A\ufeff?---[ \t]*\r?\n(.*?)^---[ \t]*(?:\r?\n|\Z)", re.DOTALL | re.MULTILINE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SopFacts:
    """A prompt file. `hash` is its SHA-256, `rendered` what its front matter says.

    `first_placeholder` is the line of the first `{{` after the front matter.
    """

    hash: str
    rendered: bool
    first_placeholder: int | None


def split(text: str) -> tuple[Mapping[str, Any], str]:
    """Front matter and body of a prompt file. Front matter that is no map has no meaning, and is left out."""
    front = _FRONT_MATTER.match(text)
    if front is None:
        return {}, text.removeprefix("\ufeff")
    meta = parse(front.group(1).encode()).data
    return meta if isinstance(meta, dict) else {}, text[front.end() :]


def renders(meta: Mapping[str, Any]) -> bool:
    """Whether a prompt file with this front matter wants its placeholders filled in."""
    return meta.get("render") is True


def inspect(path: Path) -> SopFacts:
    """Read a prompt file. Raises OSError, or UnicodeDecodeError if it is not UTF-8."""
    content = read_file(path)
    text = content.decode("utf-8")
    meta, body = split(text)
    at = text.find("{{", len(text) - len(body))
    return SopFacts(
        hash=hashlib.sha256(content).hexdigest(),
        rendered=renders(meta),
        first_placeholder=text.count("\n", 0, at) + 1 if at >= 0 else None,
    )
