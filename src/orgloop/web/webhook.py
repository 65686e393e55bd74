"""`/webhook/{source}`: the answer goes out after the commit, never before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import web

from orgloop.errors import NotFound, Refused
from orgloop.journal.model import Accepted
from orgloop.plugin import HeadChecker, Inbound, Reply
from orgloop.runtime.intake.inbound import InboundIntake
from orgloop.web.answers import MethodRefused, dump, json_answer, plain_answer
from orgloop.web.body import Bodies
from orgloop.web.guards import require_local
from orgloop.web.whole import Whole, json_ok

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT"})
"""What a source may see; GET and HEAD are for systems that ask once whether the address is theirs."""


class Headers(Mapping[str, str]):
    """A request's headers, names in lower case; of a name that is there twice, the first."""

    __slots__ = ("_given",)

    def __init__(self, given: Mapping[str, str]) -> None:
        """`given` ignores the case of names when it is asked for one."""
        self._given = given

    def __getitem__(self, name: str) -> str:
        return self._given[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or `default`."""
        return self._given.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._given

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name in self._given))

    def __len__(self) -> int:
        return sum(1 for _ in self)


async def receive(
    inbound: InboundIntake, request: web.BaseRequest, path: str, bodies: Bodies
) -> web.StreamResponse:
    """One request to `path`, which begins with `/webhook/`."""
    source = _source_of(path)
    receiver = inbound.receiver(source)
    if request.method not in METHODS:
        raise MethodRefused(request.method, f"/webhook/{source}", allow="POST")
    if not receiver.signed:
        _require_local(inbound, source, request.headers, request.remote or "")
    if isinstance(receiver, HeadChecker):
        _check_head(inbound, source, receiver, request)
    async with bodies.of(request) as body:
        return _answer(*await inbound.receive(source, _inbound(request, body)))


async def receive_whole(inbound: InboundIntake, request: Whole) -> bytes | web.Response:
    """A request that came as a whole; bytes are an answer that is ready to be sent."""
    source, headers = request.source, request.headers
    if not inbound.receiver(source).signed:
        _require_local(inbound, source, headers, request.peer)
    reply, accepted = await inbound.receive(
        source, Inbound(method="POST", headers=Headers(headers), body=request.body, peer=request.peer)
    )
    if reply.status == 200 and reply.body is None and reply.text is None and not reply.headers:
        return json_ok(dump(_summary(accepted)) + b"\n")
    return _answer(reply, accepted)


def _require_local(inbound: InboundIntake, source: str, headers: Mapping[str, str], peer: str) -> None:
    try:
        require_local(headers, peer)
    except Refused as exc:
        inbound.refused(source, exc)
        raise


def _check_head(inbound: InboundIntake, source: str, receiver: HeadChecker, request: web.BaseRequest) -> None:
    """Who shows by the head alone that nothing good comes need not send the rest."""
    try:
        receiver.check_head(_inbound(request, b""))
    except Refused as exc:
        inbound.refused(source, exc)
        raise


def _inbound(request: web.BaseRequest, body: bytes) -> Inbound:
    return Inbound(
        method=request.method,
        headers=Headers(request.headers),
        body=body,
        query=request.rel_url.raw_query_string,
        peer=request.remote or "",
    )


def _source_of(path: str) -> str:
    source, _, rest = path[len("/webhook/") :].partition("/")
    if rest or not source:
        raise NotFound(f"Not found: {unquote(path)}", hint=f"webhooks go to /webhook/{source or '<source>'}")
    return unquote(source) if "%" in source else source


def _answer(reply: Reply, accepted: Sequence[Accepted]) -> web.Response:
    if reply.text is not None:
        plain = reply.text.encode("utf-8", "replace")
        return plain_answer(plain, "text/plain; charset=utf-8", reply.status, reply.headers)
    if reply.body is not None:
        return json_answer(reply.body, reply.status, reply.headers)
    return json_answer(_summary(accepted), reply.status, reply.headers)


def _summary(accepted: Sequence[Accepted]) -> Mapping[str, Any]:
    return {
        "ok": True,
        "event_id": accepted[0].event_id if accepted else None,
        "duplicate": bool(accepted) and all(one.duplicate for one in accepted),
        "events_created": sum(not one.duplicate for one in accepted),
        "event_ids": [one.event_id for one in accepted],
    }
