"""Wakes any system that takes JSON over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from orgloop.connectors.webhook.answers import failure_of, outcome_of, status_line
from orgloop.connectors.webhook.settings import WebhookActorSettings, private_headers
from orgloop.connectors.webhook.urls import origin, redirect_target
from orgloop.plugin import (
    SECOND,
    Context,
    DeliverOutcome,
    HttpFailed,
    HttpReply,
    Rejected,
    TreeTemplate,
    Wake,
    dump_json,
    sign,
)

MAX_REDIRECTS: Final = 5
ROUTE_KEYS: Final = frozenset({"session_key"})
"""What `then.config` may say for this actor; the engine reads it."""


def check_route(config: Mapping[str, Any]) -> Mapping[str, str]:
    """Every other key of `then.config`: this version does not support it."""
    why = "means nothing to a webhook actor: write it into the actor's `headers` or `body_template`"
    return {key: why for key in config if key not in ROUTE_KEYS}


ANSWER_BYTES: Final = 64 * 1024
"""How much of an answer is read: its status counts, and its first words if it refuses."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One request. `private` headers are for the configured origin only."""

    url: str
    headers: Mapping[str, str]
    private: Mapping[str, str]
    body: bytes
    ends: float


class WebhookActor:
    """Sends each wake as one request, and says by its answer what became of it."""

    def __init__(self, id: str, settings: WebhookActorSettings) -> None:
        self._settings = settings
        self._private = private_headers(settings.headers, settings.auth)
        self._template = (
            TreeTemplate.parse(settings.body_template) if settings.body_template is not None else None
        )
        self._ctx: Context | None = None

    async def open(self, ctx: Context) -> None:
        """Keep what the engine lends."""
        self._ctx = ctx

    async def close(self) -> None:
        """Nothing to give back."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        """Send it. See `answers` for what each answer means."""
        unknown = sorted(wake.config.keys() - ROUTE_KEYS)
        if unknown:
            return Rejected(
                reason=f"`then.config` of route {wake.route} holds {', '.join(unknown)}, which a webhook "
                "actor does not know: use the actor's `headers` and `body_template`"
            )
        if self._ctx is None:
            raise RuntimeError("the actor is not open")
        try:
            call = self._call(wake, self._ctx.clock.monotonic())
        except ValueError as exc:
            return Rejected(reason=str(exc))
        try:
            reply = await self._send(call, self._ctx)
        except HttpFailed as exc:
            return failure_of(exc)
        return outcome_of(reply, self._ctx.clock.now()) if isinstance(reply, HttpReply) else reply

    def _call(self, wake: Wake, now: float) -> _Call:
        settings = self._settings
        body = dump_json(self._content(wake))
        headers = {
            settings.idempotency_header: wake.idempotency_key,
            "X-OrgLoop-Delivery": wake.delivery_id,
            "X-OrgLoop-Attempt": str(wake.attempt),
            "X-OrgLoop-Trace": wake.event.trace_id,
        }
        if not any(name.lower() == "content-type" for name in settings.headers):
            headers["Content-Type"] = "application/json"
        if settings.secret is not None:
            headers["X-Hub-Signature-256"] = sign(settings.secret, body)
        # A little less than the engine waits, so that the reason is ours and not just a cancellation.
        limit = wake.timeout - min(1.0, wake.timeout / 10)
        if settings.timeout is not None:
            limit = min(limit, settings.timeout / SECOND)
        return _Call(url=settings.url, headers=headers, private=self._private, body=body, ends=now + limit)

    def _content(self, wake: Wake) -> object:
        documents = [event.document() for event in wake.events]
        if self._template is not None:
            data = {"event": wake.event.document(), "events": documents, "launch_prompt": wake.sop}
            return self._template.render(data)
        content: dict[str, object] = {"event": wake.event.document()}
        if len(documents) > 1:
            content["events"] = documents
        if wake.sop is not None:
            content["launch_prompt"] = wake.sop
        return content

    async def _send(self, call: _Call, ctx: Context) -> HttpReply | Rejected:
        """The final answer; 307 and 308 are followed with the same method and body."""
        url = call.url
        for _ in range(MAX_REDIRECTS + 1):
            left = call.ends - ctx.clock.monotonic()
            if left <= 0:
                raise HttpFailed(f"{origin(call.url)} took too long to redirect", sent=True, timeout=True)
            at_home = url == call.url or origin(url) == origin(call.url)
            headers = {**call.headers, **call.private} if at_home else _abroad(call)
            reply = await self._request(url, headers, call.body, left, ctx)
            if reply.status not in (307, 308) or "location" not in reply.headers:
                return reply
            try:
                target = redirect_target(url, reply.headers["location"])
            except ValueError as exc:
                return Rejected(reason=f"{status_line(reply)}: {exc}")
            url = target
        return Rejected(reason=f"{origin(call.url)} redirected more than {MAX_REDIRECTS} times")

    async def _request(
        self, url: str, headers: Mapping[str, str], body: bytes, timeout: float, ctx: Context
    ) -> HttpReply:
        try:
            return await ctx.http.request(
                self._settings.method,
                url,
                headers=headers,
                body=body,
                timeout=timeout,
                max_bytes=ANSWER_BYTES,
            )
        except HttpFailed as exc:
            # What follows the origin can be a secret, as in the URLs that chat systems hand out.
            reason = exc.reason.replace(url, origin(url))
            raise HttpFailed(reason, sent=exc.sent, timeout=exc.timeout) from exc


def _abroad(call: _Call) -> dict[str, str]:
    """What another origin may see: no credentials, and no header that could hold one."""
    types = {name: value for name, value in call.private.items() if name.lower() == "content-type"}
    return {**call.headers, **types}
