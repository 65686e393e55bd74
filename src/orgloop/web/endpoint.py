"""Endpoints: a method, a path with {names} in it, and a function that answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import web

from orgloop.core.text.json_text import parse_json
from orgloop.errors import NotFound, Refused
from orgloop.web.answers import MethodRefused
from orgloop.web.body import Bodies
from orgloop.web.parameters import Parameters


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request, as an endpoint sees it. `names` are the parts of the path that its pattern names."""

    request: web.BaseRequest
    names: Mapping[str, str]
    parameters: Parameters
    bodies: Bodies

    async def document(self, *known: str) -> dict[str, Any]:
        """The body as a JSON object; an empty one is {}. Raises Refused, also for keys beyond `known`."""
        async with self.bodies.of(self.request) as body:
            content = parse_json(body) if body.strip() else {}
        if not isinstance(content, dict):
            raise Refused("the body must be a JSON object", hint="send {} or an empty body")
        for key in content:
            if known and key not in known:
                raise Refused(f"unknown key {key!r} in the body", hint=f"there are: {', '.join(known)}")
        return content


Answering = Callable[[Call], Awaitable[Any]]
"""Answers a call: with JSON content, or with a whole response."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """What is at one path for one method."""

    method: str
    path: str
    answer: Answering


class Table:
    """All endpoints, found by path."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self.endpoints: Final = tuple(endpoints)
        self._plain = {_split(one.path): one for one in self.endpoints if "{" not in one.path}
        self._patterns = [(_split(one.path), one) for one in self.endpoints if "{" in one.path]

    def find(self, method: str, path: str) -> tuple[Endpoint, Mapping[str, str]]:
        """The endpoint and the parts of `path` that it names. Raises NotFound or MethodRefused (405)."""
        parts = _split(path)
        found = self._plain.get(parts)
        names: Mapping[str, str] = {}
        if found is None:
            for pattern, one in self._patterns:
                fitting = _fit(pattern, parts)
                if fitting is not None:
                    found, names = one, fitting
                    break
        if found is None:
            raise NotFound(f"Not found: {unquote(path)}", hint=self._near(parts))
        if method != found.method:
            raise MethodRefused(method, found.path, allow=found.method)
        return found, names

    def _near(self, parts: tuple[str, ...]) -> str:
        near = [one.path for one in self.endpoints if _split(one.path)[:1] == parts[:1]]
        return f"there are: {', '.join(near)}" if near else "there are /webhook/<source>, /api and /control"


def _split(path: str) -> tuple[str, ...]:
    return tuple(path[1:].split("/"))


def _fit(pattern: tuple[str, ...], parts: tuple[str, ...]) -> dict[str, str] | None:
    if len(pattern) != len(parts):
        return None
    names = {}
    for wanted, part in zip(pattern, parts, strict=True):
        if wanted[:1] == "{":
            if not part:
                return None
            names[wanted[1:-1]] = unquote(part)
        elif wanted != part:
            return None
    return names
