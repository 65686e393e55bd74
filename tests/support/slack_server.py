"""A workspace of Slack on loopback: its Web API, an incoming webhook, and Socket Mode."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import WSMsgType, web

APP: Final = "xapp-1-A0LOOP-0123456789"
BOT: Final = "xoxb-0123456789-abcdefghij"
PEOPLE: Final[Mapping[str, Mapping[str, Any]]] = {
    "U0ADA": {
        "id": "U0ADA",
        "team_id": "T0ACME",
        "name": "ada",
        "profile": {"display_name": "Ada", "real_name": "Ada L", "email": "ada@acme.example"},
    },
    "U0GUEST": {"id": "U0GUEST", "team_id": "T0ACME", "name": "guest", "is_restricted": True, "profile": {}},
    "U0OTHER": {"id": "U0OTHER", "team_id": "T0OTHER", "name": "other", "is_stranger": True, "profile": {}},
    "U0BOT": {
        "id": "U0BOT",
        "team_id": "T0ACME",
        "name": "ci",
        "is_bot": True,
        "profile": {"real_name": "CI"},
    },
}


@dataclass
class SlackServer:
    """`faults` are answers that are given instead, by the method's name, in turn: a word, or a status."""

    url: str = ""
    calls: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    hooked: list[dict[str, Any]] = field(default_factory=list)
    faults: dict[str, list[str | int]] = field(default_factory=dict)
    scopes: str = "chat:write,users:read,channels:history"
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _number: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        form = {name: str(value) for name, value in (await request.post()).items()}
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.calls.append((method, form))
        self.tokens.append(token)
        fault = self.faults[method].pop(0) if self.faults.get(method) else None
        if isinstance(fault, int):
            status = abs(fault)
            if fault < 0:  # It is done, and the answer is lost.
                self._done(method, form)
            return web.Response(status=status, headers={"Retry-After": "7"} if status == 429 else {})
        if isinstance(fault, str):
            return web.json_response({"ok": False, "error": fault, "needed": "chat:write"})
        if token != (APP if method == "apps.connections.open" else BOT):
            return web.json_response({"ok": False, "error": "invalid_auth"})
        return web.json_response(self._done(method, form), headers={"X-OAuth-Scopes": self.scopes})

    def _done(self, method: str, form: Mapping[str, str]) -> dict[str, Any]:
        match method:
            case "auth.test":
                who = {"user_id": "U0LOOP", "bot_id": "B0LOOP", "user": "orgloop"}
                return {
                    "ok": True,
                    "team": "Acme",
                    "team_id": "T0ACME",
                    "url": "https://acme.slack.com/",
                    **who,
                }
            case "apps.connections.open":
                return {"ok": True, "url": self.url.replace("http", "ws") + "/link?ticket=s3cret"}
            case "users.info" if form["user"] in PEOPLE:
                return {"ok": True, "user": PEOPLE[form["user"]]}
            case "users.lookupByEmail" if form["email"] == "ada@acme.example":
                return {"ok": True, "user": PEOPLE["U0ADA"]}
            case "users.info" | "users.lookupByEmail":
                return {"ok": False, "error": "users_not_found"}
            case "conversations.open":
                return {"ok": True, "channel": {"id": f"D{form['users']}"}}
            case "chat.postMessage":
                self._number += 1
                stamp = f"1767614400.{self._number:06}"
                channel = form["channel"].replace("U0ADA", "DU0ADA")
                self.messages.append({**form, "channel": channel, "ts": stamp})
                return {"ok": True, "channel": channel, "ts": stamp}
            case "chat.update":
                self.messages.append({**form, "updated": True})
                return {"ok": True, "channel": form["channel"], "ts": form["ts"]}
            case "conversations.history" | "conversations.replies":
                thread = form.get("ts")
                here = [
                    {**one, "metadata": json.loads(one["metadata"])}
                    for one in self.messages
                    if one["channel"] == form["channel"]
                    and (thread is None or one.get("thread_ts") == thread)
                ]
                return {"ok": True, "messages": here}
            case _:
                return {"ok": False, "error": "unknown_method"}

    async def hook(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults["hook"].pop(0) if self.faults.get("hook") else None
        if isinstance(fault, int):
            headers = {"Retry-After": "7"} if fault == 429 else {}
            return web.Response(status=fault, text="no_service", headers=headers)
        self.hooked.append(await request.json())
        return web.Response(text="ok")

    async def link(self, request: web.Request) -> web.StreamResponse:
        fault = self.faults["link"].pop(0) if self.faults.get("link") else None
        if isinstance(fault, int):
            return web.Response(status=fault)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if fault == "close":
            await socket.close()
            return socket
        await socket.send_json({"type": "hello", "num_connections": 1})
        await self._note(lambda: self.sockets.append(socket))
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                said = json.loads(message.data)
                await self._note(lambda said=said: self.acknowledged.append(said))
        return socket

    async def _note(self, what: Any) -> None:
        async with self.changed:
            what()
            self.changed.notify_all()

    async def connected(self, count: int = 1) -> web.WebSocketResponse:
        """The newest connection, once there were so many."""
        async with self.changed, asyncio.timeout(30):
            await self.changed.wait_for(lambda: len(self.sockets) >= count)
            return self.sockets[count - 1]

    async def heard(self, count: int) -> list[str]:
        """The envelopes that were acknowledged, once there are so many."""
        async with self.changed, asyncio.timeout(30):
            await self.changed.wait_for(lambda: len(self.acknowledged) >= count)
            return [str(one["envelope_id"]) for one in self.acknowledged]


@asynccontextmanager
async def slack_server() -> AsyncIterator[SlackServer]:
    """One that runs."""
    served = SlackServer()
    app = web.Application()
    app.router.add_post("/api/{method}", served.answer)
    app.router.add_post("/services/{path:.*}", served.hook)
    app.router.add_get("/link", served.link)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = site.name
    try:
        yield served
    finally:
        for socket in served.sockets:
            if not socket.closed:
                await socket.close()
        await runner.cleanup()
