"""A server of long-running jobs, as a program of its own: `python job_server.py` prints its address.

A job is begun by POST /jobs and ends by itself. The other side waits for the answer (`wait`), asks
GET /jobs/<id>, or is called back (`callback`). The query `idempotent` makes an `Idempotency-Key` count: the
same key again is the same job. GET /jobs?key= finds what a key began.
POST /feed adds an entry, GET /feed?after= reads on; GET /jobs lists all jobs.
"""

from __future__ import annotations

import json
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Job:
    """One job. `seconds` is how long it takes; None: until it is stopped."""

    id: str
    key: str
    text: str
    seconds: float | None
    callback: str | None
    status: str = "running"
    ended: threading.Event = field(default_factory=threading.Event)

    def document(self) -> dict[str, Any]:
        return {"id": self.id, "key": self.key, "status": self.status, "text": self.text}

    def run(self) -> None:
        self.ended.wait(self.seconds)
        if self.status == "running":
            self.status = "done"
        self.ended.set()
        while self.callback is not None and not self._called_back(self.callback):
            pass

    def _called_back(self, address: str) -> bool:
        request = urllib.request.Request(address, json.dumps(self.document()).encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as exc:
            given_up = exc.code not in (500, 503)
        except OSError:
            given_up = False
        threading.Event().wait(0.1)
        return given_up


class Jobs:
    """All jobs and the feed, in memory."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.feed: list[Any] = []
        self._lock = threading.Lock()

    def begin(self, key: str, order: dict[str, Any], *, idempotent: bool) -> Job:
        with self._lock:
            known = self.find(key) if idempotent else None
            if known is not None:
                return known
            id = f"job_{len(self.jobs) + 1}"
            seconds = order.get("seconds", 0.05)
            job = Job(id, key, f"did {order.get('prompt', '')[:50]}", seconds, order.get("callback"))
            self.jobs[id] = job
        threading.Thread(target=job.run, daemon=True).start()
        return job

    def find(self, key: str) -> Job | None:
        return next((job for job in self.jobs.values() if job.key == key), None)

    def stop(self, id: str) -> Job | None:
        job = self.jobs.get(id)
        if job is not None and job.status == "running":
            job.status = "stopped"
            job.ended.set()
        return job


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    jobs = Jobs()

    def do_POST(self) -> None:
        path, query = self._target()
        content = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)))
        if path == "/feed":
            self.jobs.feed.append(content)
            self._answer(200, {"ok": True})
            return
        key = self.headers.get("idempotency-key") or ""
        job = self.jobs.begin(key, content, idempotent="idempotent" in query)
        if content.get("wait"):
            job.ended.wait()
            self._answer(200, job.document())
        else:
            self._answer(202, job.document())

    def do_GET(self) -> None:
        path, query = self._target()
        if path == "/feed":
            after = int(query.get("after", "0"))
            self._answer(200, {"entries": self.jobs.feed[after:], "next": len(self.jobs.feed)})
            return
        if path == "/jobs" and "key" not in query:
            self._answer(200, [job.document() for job in self.jobs.jobs.values()])
            return
        job = self.jobs.find(query["key"]) if "key" in query else self.jobs.jobs.get(path.split("/")[-1])
        self._answer(200, job.document()) if job else self._answer(404, {"error": "no such job"})

    def do_DELETE(self) -> None:
        job = self.jobs.stop(self.path.split("/")[-1])
        self._answer(200, job.document()) if job else self._answer(404, {"error": "no such job"})

    def _target(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        return parts.path, {name: values[0] for name, values in parse_qs(parts.query, True).items()}

    def _answer(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever asked was killed meanwhile."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"http://127.0.0.1:{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
