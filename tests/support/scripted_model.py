"""A model on loopback that says what a script tells it, so that a real agent works through whole sessions.

In a test: `with ScriptedModel() as model: model.script.on("review", Say(text="looks good"))`. As a program:

    python -m tests.support.scripted_model [--port 0] [--rules FILE.json]

The program prints `{"url": ...}` once it listens and is told the rest over HTTP, in JSON:

    POST   /control/rules             adds rules (a list, see `Rule`)
    DELETE /control/rules             forgets the rules and the record
    GET    /control/requests?count=N  the record of requests, once it holds N (default 0)
    GET    /control/gates/NAME        answers once a request waits at the gate
    POST   /control/gates/NAME        opens the gate

A control request that waits gives up after 30 s with status 504. The model speaks the Anthropic Messages
API, streamed and not, and streamed the OpenAI Responses and Chat Completions APIs and that of Gemini. A
request that no rule fits is refused with status 400 and a message that quotes it.
"""

from __future__ import annotations

import argparse
import json
import re
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self, assert_never
from urllib.parse import parse_qs, urlsplit

from tests.support.model_script import RULES, Answer, Drop, Gate, Json, Refuse, Say, Script
from tests.support.model_wire import (
    chat_stream,
    error_body,
    event_stream,
    gemini_stream,
    message,
    responses_stream,
)

GATES = "/control/gates/"
POLL_SECONDS = 0.05

Events = Callable[[str, Say], tuple[list[bytes], list[bytes]]]
WIRES: Mapping[str, Events] = {
    "/v1/messages": event_stream,
    "/v1/responses": responses_stream,
    "/v1/chat/completions": chat_stream,
}
"""How an answer is streamed, by the path of its API."""

GEMINI = re.compile(r"/v1beta/models/(?P<model>[^/:]+):streamGenerateContent")
"""The path of Google's API, which names the model and is always streamed."""


class Unanswered(Exception):
    """The client left, or the server closed, while its answer was held."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.script = Script()
        self.closing = threading.Event()

    def handle_error(self, request: Json, client_address: Json) -> None:
        """A client that leaves is part of many scripts; anything else is shown."""
        if not isinstance(sys.exception(), ConnectionError | Unanswered):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """The record of requests is the log."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/control/requests":
            count = parse_qs(url.query).get("count", ["0"])[0]
            self._control(lambda: [asdict(seen) for seen in self.server.script.wait_requests(int(count))])
        elif url.path.startswith(GATES):
            self._control(self._gate(url.path).wait_reached)
        else:
            self._not_found()

    def do_DELETE(self) -> None:
        if urlsplit(self.path).path == "/control/rules":
            self._control(self.server.script.clear)
        else:
            self._not_found()

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = urlsplit(self.path).path
        gemini = GEMINI.fullmatch(path)
        if gemini is not None:
            body = {**json.loads(raw), "model": gemini["model"], "stream": True}
            self._say(body, gemini_stream)
        elif path in WIRES:
            self._say(json.loads(raw), WIRES[path])
        elif path == "/control/rules":
            self._control(lambda: self.server.script.add(RULES.validate_json(raw)))
        elif path.startswith(GATES):
            self._control(self._gate(path).open)
        else:
            self._not_found()

    def _say(self, body: Mapping[str, Json], events: Events) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.script.take(self.path, headers, body)
        self._answer(answer, str(body.get("model", "")), events, stream=bool(body.get("stream")))

    def _answer(self, answer: Answer, model: str, events: Events, *, stream: bool) -> None:
        mid_stream = stream and isinstance(answer, Say) and answer.gate_mid_stream
        if not mid_stream:
            self._hold(answer.gate)
        match answer:
            case Refuse():
                self._send(answer.status, error_body(answer), answer.headers)
            case Drop():
                if stream and answer.mid_stream:
                    self._start_stream({})
                    self._stream(events(model, Say(text="half of a sentence"))[0])
                self.close_connection = True
            case Say() if not stream:
                self._send(200, message(model, answer), answer.headers)
            case Say():
                first, second = events(model, answer)
                self._start_stream(answer.headers)
                self._stream(first)
                if mid_stream:
                    self._hold(answer.gate)
                self._stream([*second, b""])
            case _:
                assert_never(answer)

    def _hold(self, name: str | None) -> None:
        """Waits at the gate. Raises Unanswered if the client leaves or the server closes first."""
        gate = self.server.script.gate(name) if name is not None else None
        while gate is not None and not gate.hold(POLL_SECONDS):
            if self._client_left():
                gate.leave()
                raise Unanswered
            if self.server.closing.is_set():
                raise Unanswered

    def _client_left(self) -> bool:
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and not self.connection.recv(1, socket.MSG_PEEK)

    def _start_stream(self, headers: Mapping[str, str]) -> None:
        self._head(200, {"content-type": "text/event-stream", "transfer-encoding": "chunked", **headers})

    def _stream(self, events: list[bytes]) -> None:
        """Sends each event as one chunk; an empty one ends the answer."""
        for event in events:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))

    def _send(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        payload = json.dumps(body).encode()
        sizes = {"content-type": "application/json", "content-length": str(len(payload))}
        self._head(status, {**sizes, **(headers or {})})
        self.wfile.write(payload)

    def _head(self, status: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def _gate(self, path: str) -> Gate:
        return self.server.script.gate(path.removeprefix(GATES))

    def _control(self, action: Callable[[], Json]) -> None:
        try:
            status, body = 200, action()
        except ValueError as exc:
            status, body = 400, {"error": str(exc)}
        except TimeoutError as exc:
            status, body = 504, {"error": str(exc)}
        self._send(status, body)

    def _not_found(self) -> None:
        refusal = Refuse(status=404, kind="not_found_error", message=f"nothing is at {self.path}")
        self._send(refusal.status, error_body(refusal))


class ScriptedModel:
    """The server with its script. Port 0 takes a free one."""

    def __init__(self, port: int = 0) -> None:
        self._server = _Server(port)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address for ANTHROPIC_BASE_URL, such as `http://127.0.0.1:40123`."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def script(self) -> Script:
        return self._server.script

    def close(self) -> None:
        """Stops listening. Answers that are held are never given: their connections close."""
        self._server.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description="A scripted model on loopback (Anthropic Messages API).")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--rules", type=Path, help="a JSON file with a list of rules")
    options = parser.parse_args()
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    with ScriptedModel(options.port) as model:
        if options.rules:
            model.script.add(RULES.validate_json(options.rules.read_bytes()))
        sys.stdout.write(json.dumps({"url": model.url}) + "\n")
        sys.stdout.flush()
        signal.sigwait(stop)


if __name__ == "__main__":
    main()
