"""An HTTP server on loopback that takes deliveries: at once, slowly, or only the second time."""

from __future__ import annotations

import json
import select
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


class Sink:
    """`/ok` answers 200, `/status/N` N, `/slow` after 50 ms; `/flaky` too, a delivery's first try with 500.

    `taken` counts the 200s by delivery id and path, `bodies` keeps every body that was answered so.
    `at_once` is how many requests with one `payload.key` went on at the same time, at the most.
    """

    def __init__(self) -> None:
        self.taken: Counter[str] = Counter()
        self.tries: Counter[str] = Counter()
        self.at_once: Counter[str] = Counter()
        self._going_on: Counter[str] = Counter()
        self.bodies: list[tuple[str, dict[str, str], Any]] = []
        self._lock = threading.Lock()
        self._server = _Quiet(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Sink:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """The status that this request deserves."""
        delivery = headers.get("x-orgloop-delivery", "")
        content = json.loads(body)
        key = str(_key(content))
        with self._lock:
            self.tries[delivery] += 1
            first = self.tries[delivery] == 1
            self._going_on[key] += 1
            self.at_once[key] = max(self.at_once[key], self._going_on[key])
        if path in ("/slow", "/flaky"):
            select.select([], [], [], 0.05)
        with self._lock:
            self._going_on[key] -= 1
            if path == "/flaky" and first:
                return 500
            if path.startswith("/status/"):
                return int(path.removeprefix("/status/"))
            self.taken[delivery] += 1
            self.bodies.append((path, headers, content))
        return 200


def _key(content: Any) -> Any:
    payload = content.get("event", {}).get("payload") if isinstance(content, dict) else None
    return payload.get("key") if isinstance(payload, dict) else None


class _Quiet(ThreadingHTTPServer):
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A killed daemon resets its connections."""


def _handler(sink: Sink) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            status = sink.answer(
                self.path, {name.lower(): value for name, value in self.headers.items()}, body
            )
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    return Handler
