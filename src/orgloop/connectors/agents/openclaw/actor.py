"""Wakes an agent of an OpenClaw gateway, and waits for the end of its turn if it is asked to.

A gateway knows a run by its idempotency key: the same request again joins the run, and gets the same
answer. But it keeps that in memory, and for five minutes after the run's end. So a request whose answer was
lost is sent again only while that holds, and a run of which it does not is over, as `unknown`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from orgloop.connectors.agents.openclaw import answers
from orgloop.connectors.agents.openclaw.message import Body, Order, deadline_s, notice_of, order_of
from orgloop.connectors.agents.openclaw.settings import OpenClawSettings
from orgloop.connectors.webhook.answers import failure_of, status_line
from orgloop.plugin import (
    MINUTE,
    SECOND,
    Completion,
    Context,
    DeliverOutcome,
    HttpFailed,
    HttpReply,
    Inbound,
    NotBegun,
    Progress,
    Ref,
    Refused,
    Rejected,
    RemoteEnd,
    RemoteRequest,
    RemoteRun,
    Retry,
    RunOutcome,
    Skipped,
    Wake,
    dump_json,
)

HARNESS: Final = "openclaw"

ANSWER_BYTES: Final = 64 * 1024
"""How much of an answer is read."""

MEMORY: Final = 4 * MINUTE
"""Milliseconds after a run's end for which a gateway surely knows it. It is five minutes."""

PROBE: Final = 10.0
"""Seconds in which a gateway has to say how long it has been up."""

NO_REPORT: Final = "the agent has not reported its result"

IN_DOUBT: Final = "in_doubt"
RESTARTED: Final = "gateway_restarted"
"""Why a run is over whose gateway cannot be asked any more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sent:
    """Which of a run's requests was sent, and until when (ms since 1970) its answer was waited for."""

    number: int
    until: int
    deadline: int


class OpenClawActor:
    """One turn of an agent for each wake. With `completion: accept` and `hook: wake` it hands over only."""

    harness: Final = HARNESS
    idempotent: Final = False
    """Not without a look at the gateway: see `find`."""

    def __init__(self, id: str, settings: OpenClawSettings) -> None:
        self._settings = settings
        self._sent: dict[str, _Sent] = {}

    async def open(self, ctx: Context) -> None:
        """Keep what the engine lends."""
        self._ctx = ctx

    async def close(self) -> None:
        """Nothing to give back."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        """Hand it over: to the agent's main session, or as a run whose end does not count."""
        settings = self._settings
        try:
            if settings.hook == "wake":
                order = Order(bodies=(notice_of(settings, wake),))
            else:
                order = order_of(settings, wake)
        except Refused as exc:
            return Rejected(reason=exc.message)
        if order.skip:
            return Skipped(reason=order.skip)
        # A little less than the engine waits, so that the reason is ours and not just a cancellation.
        limit = wake.timeout - min(1.0, wake.timeout / 10)
        outcome: DeliverOutcome = Rejected(reason="there is nothing to send")
        for body in order.bodies:
            try:
                reply = await self._post(settings.hook, body, wake.idempotency_key, limit)
            except HttpFailed as exc:
                return failure_of(exc)
            if 200 <= reply.status < 300:
                return answers.handed_over(reply)
            failed = answers.failure(reply, self._ctx.clock.now())
            if failed is None:
                return Retry(reason=f"OpenClaw answered {status_line(reply)}", known=False)
            outcome = failed
        return outcome

    def request(self, wake: Wake) -> RemoteRequest:
        settings = self._settings
        order = order_of(settings, wake)
        shared = settings.session_mode == "persistent" and order.bodies
        return RemoteRequest(
            body=order.to_bytes(),
            timeout_s=deadline_s(settings, wake),
            session_id=order.bodies[0].get("sessionKey") if shared else None,
        )

    async def begin(self, run: RemoteRun) -> Ref | RemoteEnd:
        order = Order.from_bytes(run.request)
        if order.skip:
            return Skipped(reason=order.skip)
        end: Ref | RemoteEnd = NotBegun(outcome=Rejected(reason="there is nothing to send"))
        for number in range(len(order.bodies)):
            end = await self._turn(run, order, number)
            if not isinstance(end, NotBegun):
                break
        return end

    async def find(self, run: RemoteRun) -> Ref | RemoteEnd | None:
        """Ask again, where the gateway surely answers with the run that it has, and begins no second one."""
        order = Order.from_bytes(run.request)
        if order.skip:
            return Skipped(reason=order.skip)
        sent = self._sent.get(run.id)
        if sent is None and len(order.bodies) > 1:
            return self._over(run, IN_DOUBT, "an earlier daemon sent it, and there were two sessions to try")
        uptime, now = await self._uptime(), self._ctx.clock.now()
        if uptime is None:
            said = "the connection broke, and this gateway does not tell whether it has restarted since"
            return self._over(run, IN_DOUBT, said)
        if now - uptime > run.started_at:
            return self._over(run, RESTARTED, "the gateway has restarted, and its runs ended with it")
        if now - max(run.waited_until, sent.until if sent else 0) > MEMORY:
            said = "a gateway forgets a run five minutes after its end, and no daemon has waited for this one"
            return self._over(run, IN_DOUBT, said)
        try:
            end = await self._turn(run, order, sent.number if sent else 0)
        except HttpFailed as exc:
            raise HttpFailed(exc.reason, sent=True, timeout=exc.timeout) from exc
        if isinstance(end, NotBegun):
            # That is about this request: what was sent before may have begun.
            raise HttpFailed(end.outcome.reason, sent=True)
        return end

    async def follow(self, run: RemoteRun, note: Callable[[Progress], None]) -> RemoteEnd | None:
        """Only an agent's own report tells more."""
        return None

    async def stop(self, run: RemoteRun) -> None:
        """A gateway's hooks can begin a turn, and not end one."""
        raise HttpFailed("a gateway's hooks cannot end a turn: end it in OpenClaw", sent=False)

    def called(self, run: RemoteRun, request: Inbound) -> RemoteEnd | Progress:
        return answers.report(request)

    async def _turn(self, run: RemoteRun, order: Order, number: int) -> Ref | RemoteEnd:
        """What the gateway says to one of a run's requests. Raises HttpFailed if that is not known."""
        clock = self._ctx.clock
        # The engine's own deadline comes first, and says what it is.
        left = max((run.deadline - clock.now()) / SECOND, 0) + PROBE
        try:
            reply = await self._post("agent", order.bodies[number], run.id, left)
            end = self._end_of(reply)
        except HttpFailed as exc:
            if exc.sent:
                self._remember(run, number)
            raise
        self._sent.pop(run.id, None)
        return end

    def _end_of(self, reply: HttpReply) -> Ref | RemoteEnd:
        """What an answer says of its run. Raises HttpFailed if it does not say whether it has begun."""
        if 200 <= reply.status < 300:
            end = answers.end_of(reply, reports=self._reports)
        else:
            failed = answers.failure(reply, self._ctx.clock.now())
            end = NotBegun(outcome=failed) if failed is not None else None
        if end is None:
            raise HttpFailed(f"OpenClaw's answer does not tell the end: {status_line(reply)}", sent=True)
        if isinstance(end, Completion) and end.outcome is RunOutcome.SUCCESS and self._reports:
            return replace(end, details={**end.details, "notes": [NO_REPORT]})
        return end

    @property
    def _reports(self) -> bool:
        return self._settings.completion == "callback"

    def _remember(self, run: RemoteRun, number: int) -> None:
        now = self._ctx.clock.now()
        open_ones = {id: sent for id, sent in self._sent.items() if sent.deadline > now}
        self._sent = {**open_ones, run.id: _Sent(number=number, until=now, deadline=run.deadline)}

    def _over(self, run: RemoteRun, reason: str, text: str) -> Completion:
        self._sent.pop(run.id, None)
        return answers.unknown(reason, text)

    async def _uptime(self) -> int | None:
        """Milliseconds for which the gateway has been up; None if it does not say. Raises HttpFailed."""
        for path in ("/readyz", "/startupz"):
            url = f"{self._settings.base_url}{path}"
            reply = await self._ctx.http.request("GET", url, timeout=PROBE, max_bytes=ANSWER_BYTES)
            told = answers.document_of(reply) or {}
            uptime = told.get("uptimeMs")
            if isinstance(uptime, int | float) and not isinstance(uptime, bool) and uptime >= 0:
                return int(uptime)
        return None

    async def _post(self, hook: str, body: Body, key: str, timeout: float) -> HttpReply:
        settings = self._settings
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}
        if settings.token is not None:
            headers["Authorization"] = f"Bearer {settings.token.get_secret_value().strip()}"
        return await self._ctx.http.request(
            "POST",
            settings.url(hook),
            headers=headers,
            body=dump_json(body),
            timeout=timeout,
            max_bytes=ANSWER_BYTES,
        )
