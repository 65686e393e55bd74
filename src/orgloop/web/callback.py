"""`/callback/{run}/{token}`: another system reports on a run. Its end is on disk before the 200."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote

from aiohttp import web

from orgloop.errors import NotFound, Refused
from orgloop.plugin import Inbound
from orgloop.runtime.runs.remote.callbacks import PATH
from orgloop.runtime.runs.runs import Runs
from orgloop.web.answers import MethodRefused, json_answer
from orgloop.web.body import Bodies
from orgloop.web.webhook import Headers

LIMIT: Final = 1024 * 1024
"""Bytes of one report: it is read in the event loop."""


async def receive(runs: Runs, request: web.BaseRequest, path: str, bodies: Bodies) -> web.StreamResponse:
    """One request to `path`, which begins with `/callback/`."""
    run_id, slash, token = path[len(PATH) + 1 :].partition("/")
    if not slash or "/" in token:
        raise NotFound("Not found: a callback goes to /callback/<run>/<token>")
    if request.method != "POST":
        raise MethodRefused(request.method, f"{PATH}/<run>/<token>", allow="POST")
    run_id = unquote(run_id)
    # Before the body is read: who does not know the secret has nothing to send.
    runs.require_token(run_id, token)
    async with bodies.of(request) as body:
        if len(body) > LIMIT:
            raise Refused(
                f"the report is larger than {LIMIT} bytes", hint="send its result, not its output", status=413
            )
        inbound = Inbound(
            method=request.method,
            headers=Headers(request.headers),
            body=body,
            query=request.rel_url.raw_query_string,
            peer=request.remote or "",
        )
        taken = await runs.called_back(run_id, inbound)
    return json_answer({"ok": True, "run_id": run_id, "duplicate": not taken})
