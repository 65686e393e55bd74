"""A gateway of agents on loopback, with the hooks of OpenClaw's: it knows a run by its key until it restarts.

    with Gateway() as gateway:
        gateway.script("merge", Turn(gate="door"))

A turn ends at once, or once its gate is opened. `restart` ends all that goes on, as the end of its process
would.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final

SECONDS: Final = 30.0

_IDENTITY: Final = (
    *("agentId", "sessionKey", "message", "name", "wakeMode", "sessionMode", "deliver", "channel", "to"),
    *("accountId", "model", "thinking", "timeoutSeconds"),
)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """How a turn goes: `completion` is its end, `gate` what it waits for, `work` what the agent does."""

    completion: Mapping[str, Any] = field(
        default_factory=lambda: {"status": "ok", "replyDisposition": "visible"}
    )
    gate: str = ""
    work: Callable[[Mapping[str, Any]], None] | None = None


@dataclass
class Run:
    """One turn of an agent."""

    id: str
    key: str
    body: Mapping[str, Any]
    completion: Mapping[str, Any]
    ended: threading.Event = field(default_factory=threading.Event)
    lost: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the gateway, or a proxy before it, answers instead."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    breaks: bool = False
    """The connection ends after the request, without an answer."""


class Gateway:
    """Listens from `start` to `stop`, on one port."""

    def __init__(self, token: str = "hook-token", *, prefixes: tuple[str, ...] | None = ("hook:",)) -> None:
        self.token = token
        self.prefixes = prefixes
        self.tells_completion = True
        self.tells_uptime = True
        self.runs: list[Run] = []
        self.notices: list[Mapping[str, Any]] = []
        self.requests: list[tuple[str, Mapping[str, str], Mapping[str, Any]]] = []
        self.answers: list[Answer] = []
        self._turns: list[tuple[str, Turn]] = []
        self._gates: dict[str, threading.Event] = {}
        self._known: dict[str, Run] = {}
        self._lock = threading.Lock()
        self._server: _Server | None = None
        self._port = 0
        self._started = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Gateway:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = _Server(("127.0.0.1", self._port), _handler(self))
        self._port = self._server.server_port
        self._started = time.monotonic()
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Its process ends, with all that goes on in it."""
        with self._lock:
            self._known.clear()
            for run in self.runs:
                run.lost = run.lost or not run.ended.is_set()
                run.ended.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def script(self, says: str, turn: Turn) -> None:
        """A turn whose message holds these words goes so. Of several the first counts."""
        self._turns.append((says, turn))

    def open(self, gate: str) -> None:
        self._gate(gate).set()

    @property
    def uptime_ms(self) -> int:
        return round((time.monotonic() - self._started) * 1000)

    def agent(self, body: Mapping[str, Any], key: str) -> tuple[int, Mapping[str, Any]] | None:
        """The answer to /hooks/agent; None if the connection ends without one."""
        refused = self._refused(body, "message")
        if refused:
            return 400, {"ok": False, "error": refused}
        run = self._run(body, key)
        told: dict[str, Any] = {"ok": True, "runId": run.id}
        if body.get("waitForCompletion") and self.tells_completion:
            run.ended.wait(SECONDS)
            if run.lost:
                return None
            told["completion"] = run.completion
        return 200, told

    def wake(self, body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        refused = self._refused(body, "text")
        if refused:
            return 400, {"ok": False, "error": refused}
        self.notices.append(body)
        return 200, {"ok": True, "mode": body.get("mode", "now"), "eventOutcome": "queued"}

    def _refused(self, body: Mapping[str, Any], content: str) -> str:
        session = body.get("sessionKey")
        if not body.get(content):
            return f"{content} required"
        if session is not None and self.prefixes is None:
            return "sessionKey is disabled for external hook payloads"
        if session is not None and not str(session).startswith(self.prefixes or ()):
            return f"sessionKey must start with one of: {', '.join(self.prefixes or ())}"
        if body.get("agentId") not in (None, "main", "engineering", "supervisor"):
            return f'unknown agentId "{body["agentId"]}"'
        return ""

    def _run(self, body: Mapping[str, Any], key: str) -> Run:
        identity = json.dumps([key, *(body.get(name) for name in _IDENTITY)])
        with self._lock:
            if key and identity in self._known:
                return self._known[identity]
            turn = next((turn for says, turn in self._turns if says in body["message"]), Turn())
            run = Run(f"gw-{len(self.runs) + 1}", key, body, turn.completion)
            self.runs.append(run)
            self._known[identity] = run
        threading.Thread(target=self._work, args=(run, turn), daemon=True).start()
        return run

    def _work(self, run: Run, turn: Turn) -> None:
        if turn.work is not None:
            turn.work(run.body)
        if turn.gate:
            self._gate(turn.gate).wait(SECONDS)
        run.ended.set()

    def _gate(self, name: str) -> threading.Event:
        return self._gates.setdefault(name, threading.Event())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked was killed meanwhile."""


def _handler(gateway: Gateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told: dict[str, Any] = {"ready": True, "failing": []}
            if gateway.tells_uptime:
                told["uptimeMs"] = gateway.uptime_ms
            self._answer(200, json.dumps(told).encode())

        def do_POST(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = json.loads(self.rfile.read(int(headers.get("content-length") or 0)))
            gateway.requests.append((self.path, headers, body))
            if gateway.answers:
                answer = gateway.answers.pop(0)
                if not answer.breaks:
                    self._answer(answer.status, answer.body, answer.headers)
            elif headers.get("authorization") != f"Bearer {gateway.token}":
                self._answer(401, b"Unauthorized")
            elif self.path == "/hooks/agent":
                told = gateway.agent(body, headers.get("idempotency-key", ""))
                if told is not None:
                    self._answer(told[0], json.dumps(told[1]).encode())
            elif self.path == "/hooks/wake":
                status, document = gateway.wake(body)
                self._answer(status, json.dumps(document).encode())
            else:
                self._answer(404, b"Not Found")

        def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    return Handler
