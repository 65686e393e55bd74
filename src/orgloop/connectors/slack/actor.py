"""Posts to Slack: into a channel, a thread, or to a person; with buttons, or in place of a message."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from orgloop.connectors.slack.api import (
    SlackApi,
    SlackDenied,
    SlackRefused,
    SlackUnreachable,
    SlackUnsure,
)
from orgloop.connectors.slack.message import Message, UnfitMessage, message_of
from orgloop.connectors.slack.settings import SlackActorSettings, api_of
from orgloop.plugin import (
    SECOND,
    Context,
    Delivered,
    DeliverOutcome,
    HttpFailed,
    HttpReply,
    PluginError,
    Rejected,
    Retry,
    Throttled,
    TryLater,
    Unavailable,
    Wake,
    dump_json,
)

METADATA: Final = "orgloop_delivery"
"""How Slack's metadata of our messages is called; it holds the delivery's id."""

LOOKED_AT: Final = 100
"""Messages of a channel, or a thread, that are looked at for what an earlier try posted."""


class SlackActor:
    """One wake is one message, however often it is tried."""

    def __init__(self, id: str, settings: SlackActorSettings) -> None:
        self._settings = settings
        self._open: tuple[Context, SlackApi | None] | None = None
        self._since = 0
        self._people: dict[str, str] = {}

    async def open(self, ctx: Context) -> None:
        """Asks nothing yet: a token that is refused is told by the first wake."""
        token = self._settings.bot_token
        self._open = ctx, None if token is None else api_of(self._settings, token, "bot_token", ctx)
        self._since = ctx.clock.now()

    async def close(self) -> None:
        """Nothing to give back."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        """Post it, unless an earlier try did. A limit makes it wait, and a refused token parks the actor."""
        assert self._open is not None, "the actor is not open"
        ctx, api = self._open
        # A little less than the engine waits, so that the reason is ours and not just a cancellation.
        ends = ctx.clock.monotonic() + wake.timeout - min(1.0, wake.timeout / 10)
        try:
            message = message_of(wake, notify_all=self._settings.notify_all)
            if api is None:
                return await self._hooked(message, wake, ctx, ends)
            return await _Posting(self._settings, api, ctx, wake, ends, self._people).post(
                message, repeated=self._may_be_repeated(wake)
            )
        except UnfitMessage as exc:
            return Rejected(reason=f"{exc} (route {wake.route})")
        except TryLater as exc:
            return Throttled(until=exc.until, reason=exc.reason)
        except (SlackDenied, SlackUnreachable) as exc:
            return Unavailable(reason=exc.message)
        except SlackRefused as exc:
            return Rejected(reason=f"{exc.message}; {exc.hint}" if exc.hint else exc.message)
        except SlackUnsure as exc:
            return Retry(reason=exc.message, known=False)
        except PluginError as exc:
            return Retry(reason=exc.message)

    def _may_be_repeated(self, wake: Wake) -> bool:
        """Whether an earlier try, or an earlier daemon, may have posted this."""
        try:
            at = datetime.fromisoformat(wake.event.timestamp).timestamp() * SECOND
        except ValueError:
            return True
        return wake.attempt > 1 or at < self._since

    async def _hooked(self, message: Message, wake: Wake, ctx: Context, ends: float) -> DeliverOutcome:
        """Post by the incoming webhook, which can do nothing else, and cannot say what is there already."""
        hook = self._settings.webhook_url
        assert hook is not None
        if message.channel or message.thread or message.update:
            raise UnfitMessage(
                "`channel`, `thread` and `update` need a `bot_token`: a webhook posts into its own channel"
            )
        body: dict[str, Any] = {"text": message.text, "unfurl_links": self._settings.unfurl}
        if blocks := message.blocks(wake):
            body["blocks"] = blocks
        try:
            reply = await ctx.http.request(
                "POST",
                hook.get_secret_value().strip(),
                headers={"Content-Type": "application/json"},
                body=dump_json(body),
                timeout=max(ends - ctx.clock.monotonic(), 0.1),
                max_bytes=10_000,
            )
        except HttpFailed as exc:
            return Retry(reason=exc.reason, known=False) if exc.sent else Unavailable(reason=exc.reason)
        return _hook_outcome(reply, ctx.clock.now())


class _Posting:
    """One wake at work."""

    def __init__(
        self,
        settings: SlackActorSettings,
        api: SlackApi,
        ctx: Context,
        wake: Wake,
        ends: float,
        people: dict[str, str],
    ) -> None:
        self._settings = settings
        self._api = api
        self._ctx = ctx
        self._wake = wake
        self._ends = ends
        self._people = people

    async def post(self, message: Message, *, repeated: bool) -> DeliverOutcome:
        channel = await self._place(message)
        body: dict[str, Any] = {
            "channel": channel,
            "text": message.text,
            "metadata": {"event_type": METADATA, "event_payload": {"id": self._wake.delivery_id}},
        }
        blocks = message.blocks(self._wake)
        if message.update is not None:
            answer = await self._call("chat.update", {**body, "ts": message.update, "blocks": blocks})
            return Delivered(detail=f"changed {answer.get('channel')} {answer.get('ts')}")
        if repeated and (found := await self._found(channel, message)):
            return Delivered(detail=f"was posted by an earlier try: {found}")
        preview = self._settings.unfurl
        body |= {"unfurl_links": preview, "unfurl_media": preview}
        if blocks:
            body["blocks"] = blocks
        if message.thread is not None:
            body |= {"thread_ts": message.thread, "reply_broadcast": message.broadcast}
        answer = await self._call("chat.postMessage", body)
        return Delivered(detail=f"posted {answer.get('channel')} {answer.get('ts')}")

    async def _place(self, message: Message) -> str:
        """A channel's id or name, or a person's id. Raises Unfit if nobody says where."""
        told = message.channel
        provenance = self._wake.event.provenance
        if told is None and provenance.get("platform") == "slack" and (message.thread or message.update):
            told = str(provenance.get("channel") or "") or None
        told = told or self._settings.channel
        if told is None:
            raise UnfitMessage(
                "nobody says where to post: write `channel` into `then.config`, or into the actor"
            )
        if "@" not in told[1:]:
            return told.removeprefix("@")
        if told not in self._people:
            user = (await self._call("users.lookupByEmail", {"email": told})).get("user")
            id = user.get("id") if isinstance(user, Mapping) else None
            if not isinstance(id, str):
                raise SlackUnsure("Slack did not say who has the address in `channel`")
            self._people = self._people if len(self._people) < 1_000 else {}
            self._people[told] = id
        return self._people[told]

    async def _found(self, channel: str, message: Message) -> str | None:
        """The message that an earlier try posted. None also if the app may not look."""
        since = datetime.fromisoformat(self._wake.event.timestamp).timestamp() - 60
        asked: dict[str, Any] = {
            "oldest": f"{since:.6f}",
            "limit": LOOKED_AT,
            "include_all_metadata": True,
        }
        try:
            if channel[0] in "UW":
                opened = (await self._call("conversations.open", {"users": channel})).get("channel")
                channel = str(opened.get("id")) if isinstance(opened, Mapping) else channel
            method = "conversations.history" if message.thread is None else "conversations.replies"
            thread = {} if message.thread is None else {"ts": message.thread}
            answer = await self._call(method, {**asked, **thread, "channel": channel})
        except SlackRefused:
            return None
        listed = answer.get("messages")
        for one in listed if isinstance(listed, list) else []:
            data = one.get("metadata") if isinstance(one, Mapping) else None
            payload = data.get("event_payload") if isinstance(data, Mapping) else None
            if isinstance(payload, Mapping) and payload.get("id") == self._wake.delivery_id:
                return f"{channel} {one.get('ts')}"
        return None

    async def _call(self, method: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        left = self._ends - self._ctx.clock.monotonic()
        if left <= 0:
            raise SlackUnsure("Slack took too long to answer")
        return (await self._api.call(method, arguments, left)).data


def _hook_outcome(reply: HttpReply, now: int) -> DeliverOutcome:
    """What an incoming webhook's answer means; its words are short codes."""
    said = "".join(char for char in reply.body[:100].decode("ascii", "replace") if char.isprintable())
    match reply.status:
        case 200:
            return Delivered(detail="posted by the incoming webhook")
        case 429:
            after = reply.headers.get("retry-after", "")
            wait = min(int(after[:9]), 3_600) if after.isascii() and after.isdigit() else 30
            return Throttled(until=now + wait * SECOND, reason="rate limit of the incoming webhook")
        case 403 | 404 | 410:
            return Unavailable(reason=f"the incoming webhook does not work any more ({said}): make a new one")
        case status if 400 <= status < 500:
            return Rejected(reason=f"the incoming webhook refuses the message: {status} {said}")
        case status:
            return Retry(reason=f"the incoming webhook answered {status}", known=False)
