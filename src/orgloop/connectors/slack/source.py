"""Hears of a workspace over Socket Mode: a connection that this machine opens, so it needs no address."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from orgloop.connectors.slack.api import SlackApi
from orgloop.connectors.slack.events import Team, draft_of, is_wanted, part, text, told_by
from orgloop.connectors.slack.people import People
from orgloop.connectors.slack.settings import SlackSettings, api_of
from orgloop.plugin import (
    MINUTE,
    Context,
    Draft,
    JournalUnavailable,
    NotJson,
    Overloaded,
    PluginError,
    TryLater,
    dump_json,
    load_json,
)

CONNECT: Final = 20.0
HEARTBEAT: Final = 15.0
"""Seconds between pings; a connection without an answer is given up."""

CLOSE: Final = 1.0
"""Seconds for a goodbye: Slack does not always answer one."""

SHORT: Final = 30.0
"""Seconds; a connection that ended sooner did not last. After some of these the next one waits."""

LONGEST_PAUSE: Final = 60

OVERLAP: Final = 15.0
"""Seconds for which a connection that Slack replaces is still heard."""

MOST_BYTES: Final = 4 * 1024 * 1024
TRIES: Final = 20
"""How often an event is offered, a second apart, to a journal that cannot take it."""

IN_THREAD: Final = 128 * 1024
"""Larger messages are read in a thread, not in the event loop."""

Socket = aiohttp.ClientWebSocketResponse


class SlackSource:
    """Each envelope is acknowledged once its event is committed. What is not, Slack sends again."""

    def __init__(self, id: str, settings: SlackSettings) -> None:
        self._settings = settings
        self._app = Team()

    async def open(self, ctx: Context) -> None:
        """Asks nothing yet: a token that is refused shows as soon as the source listens."""

    async def close(self) -> None:
        """Nothing to give back."""

    async def listen(self, ctx: Context) -> None:
        """Hold a connection, and open the next one before Slack closes it. Raises PluginError or TryLater."""
        token = self._settings.bot_token
        bot = None if token is None else api_of(self._settings, token, "bot_token", ctx)
        self._app = await _who(bot)
        people = People(bot, ctx.clock, self._settings.team)
        door = api_of(self._settings, self._settings.app_token, "app_token", ctx)
        leaving: set[asyncio.Task[None]] = set()
        async with aiohttp.ClientSession() as session:
            try:
                lost = 0
                while True:
                    began = ctx.clock.monotonic()
                    socket = await _connected(session, door)
                    hearing = _Hearing(self._settings, self._app, people, ctx, socket)
                    replaced = await hearing.until_replaced()
                    lost = lost + 1 if ctx.clock.monotonic() - began < SHORT else 0
                    if lost > 1:
                        await ctx.clock.sleep(min(1 << min(lost, 10), LONGEST_PAUSE))
                    if replaced:
                        # What Slack still says there is heard, while the next connection is opened.
                        task = asyncio.create_task(hearing.to_the_end())
                        leaving.add(task)
                        task.add_done_callback(leaving.discard)
            finally:
                for task in leaving:
                    task.cancel()
                await asyncio.gather(*leaving, return_exceptions=True)


class _Hearing:
    """One connection at work."""

    def __init__(
        self, settings: SlackSettings, app: Team, people: People, ctx: Context, socket: Socket
    ) -> None:
        self._settings = settings
        self._app = app
        self._people = people
        self._ctx = ctx
        self._socket = socket
        self._heard = False

    async def until_replaced(self) -> bool:
        """True once Slack says that it will close the connection, which is open still; False once it is lost.

        Raises PluginError if Slack wants none, and TryLater if the app has too many.
        """
        try:
            reason = await self._read()
        except BaseException:
            await self._socket.close()
            raise
        match reason:
            case None:
                await self._socket.close()
                if not self._heard:
                    raise PluginError("Slack closed the connection before it said anything")
                return False
            case "link_disabled":
                await self._socket.close()
                raise PluginError(
                    "Slack closed the connection: Socket Mode is switched off",
                    hint="switch it on under Socket Mode of the app, at https://api.slack.com/apps",
                )
            case "too_many_websockets":
                await self._socket.close()
                until = self._ctx.clock.now() + MINUTE
                raise TryLater(until, "the app has as many connections to Slack as it may have")
            case _:
                return True

    async def to_the_end(self) -> None:
        """Hear a connection that is replaced, until Slack closes it. What is lost there is sent again."""
        try:
            with suppress(TimeoutError, PluginError, JournalUnavailable, Overloaded):
                async with asyncio.timeout(OVERLAP):
                    while await self._read() is not None:
                        pass
        finally:
            await self._socket.close()

    async def _read(self) -> str | None:
        """Takes envelopes until Slack says why it will close the connection; None once it is closed."""
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                said = await _parsed(message.data)
                self._heard = True
                if text(said, "type") == "disconnect":
                    return text(said, "reason") or "warning"
                if not await self._taken(said):
                    return None
            elif message.type is not aiohttp.WSMsgType.BINARY:
                return None

    async def _taken(self, envelope: Mapping[str, Any]) -> bool:
        """Commit what an envelope tells, then acknowledge it. False if the connection is gone by then."""
        id, kind = text(envelope, "envelope_id"), text(envelope, "type")
        if not id:
            return True
        told = told_by(kind, part(envelope, "payload"), self._app)
        if told is not None and is_wanted(told, self._settings.events, self._settings.channels):
            await self._commit(await draft_of(told, self._app, self._people, self._ctx.mark_in))
        answer: dict[str, Any] = {"envelope_id": id}
        word = self._settings.acknowledge
        if kind == "slash_commands" and word and envelope.get("accepts_response_payload") is True:
            answer["payload"] = {"response_type": "ephemeral", "text": word}
        try:
            await self._socket.send_str(dump_json(answer).decode())
        except (ConnectionError, RuntimeError, aiohttp.ClientError):
            return False
        return True

    async def _commit(self, draft: Draft) -> None:
        """Offers it again while the journal cannot take it. Raises what the journal said at last."""
        for left in range(TRIES, 0, -1):
            try:
                await self._ctx.emit([draft])
            except (JournalUnavailable, Overloaded):
                if left == 1:
                    raise
                await self._ctx.clock.sleep(1)
            else:
                return


async def _connected(session: aiohttp.ClientSession, door: SlackApi) -> Socket:
    """A new connection. Its address is a secret, so no error shows it."""
    url = text((await door.call("apps.connections.open")).data, "url")
    parts = urlsplit(url)
    local = parts.scheme == "ws" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not parts.hostname or not (parts.scheme == "wss" or local):
        raise PluginError("Slack named no address for Socket Mode", hint="check `api_url`")
    try:
        async with asyncio.timeout(CONNECT):
            return await session.ws_connect(
                url,
                heartbeat=HEARTBEAT,
                max_msg_size=MOST_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE),
            )
    except TimeoutError as exc:
        raise PluginError(f"no connection to {parts.hostname} within {CONNECT:g} s") from exc
    except aiohttp.WSServerHandshakeError as exc:
        raise PluginError(f"{parts.hostname} refuses the connection ({exc.status})") from None
    except (aiohttp.ClientError, OSError) as exc:
        raise PluginError(f"no connection to {parts.hostname}: {type(exc).__name__}") from None


async def _parsed(data: str) -> Mapping[str, Any]:
    """What Slack says; an empty map for what is no JSON object, which nobody can acknowledge."""
    try:
        said = await asyncio.to_thread(load_json, data) if len(data) > IN_THREAD else load_json(data)
    except NotJson:
        return {}
    return said if isinstance(said, Mapping) else {}


async def _who(bot: SlackApi | None) -> Team:
    """Who the app is, so that it does not hear itself; nobody knows without a bot token."""
    if bot is None:
        return Team()
    told = (await bot.call("auth.test")).data
    return Team(
        id=text(told, "team_id"), url=text(told, "url"), user=text(told, "user_id"), bot=text(told, "bot_id")
    )
