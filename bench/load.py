"""A cheap load generator, a process of its own: raw sockets, one request's bytes made in advance.

`python -m bench.load PORT PATH --connections 64 --seconds 3 --count 100000` keeps one request in
flight on each kept-alive connection, and prints one JSON object: how many were answered 200, when
the first was sent and the last answered (monotonic seconds), and every latency's percentiles in ms.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field

from bench.figure import percentile

BODY = json.dumps({"type": "bench", "service": "billing", "text": "x" * 960}).encode()
"""About 1 kB of JSON."""

PATIENCE = 30.0
"""Seconds without any answer after which the load gives up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What one load came to."""

    accepted: int
    refused: int
    began: float
    ended: float
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Accepted in a second."""
        return self.accepted / (self.ended - self.began)


def load(port: int, path: str, *, connections: int = 64, seconds: float, count: int) -> Loaded:
    """Run the load as a process of its own; it ends after `seconds` or `count` requests."""
    command = [sys.executable, "-m", "bench.load", str(port), path]
    options = [f"--connections={connections}", f"--seconds={seconds}", f"--count={count}"]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, check=True, timeout=seconds + 2 * PATIENCE
    )
    return Loaded(**json.loads(done.stdout))


@dataclass(slots=True)
class _Client:
    """One connection and the answer that it waits for."""

    socket: socket.socket
    sent_at: float = 0.0
    got: bytearray = field(default_factory=bytearray)

    def answer(self) -> int:
        """The status once the answer is complete, else 0."""
        data = self.socket.recv(65_536)
        if not data:
            raise ConnectionError("the server closed a connection")
        self.got += data
        head, end, body = self.got.partition(b"\r\n\r\n")
        if not end:
            return 0
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return 0
        self.got.clear()
        return int(head[9:12])


def _drive(port: int, path: str, connections: int, seconds: float, count: int) -> Loaded:
    request = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode() + BODY
    clients = [
        _Client(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) for _ in range(connections)
    ]
    latencies: list[float] = []
    refused = sent = 0
    began = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for client in clients[:count]:
            client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.sent_at = time.monotonic()
            client.socket.sendall(request)
            sent += 1
        under_way = sent
        while under_way:
            ready = selector.select(PATIENCE)
            if not ready:
                raise TimeoutError(f"no answer for {PATIENCE:g} s")
            for key, _ in ready:
                client = key.data
                status = client.answer()
                if not status:
                    continue
                now = time.monotonic()
                latencies.append(now - client.sent_at)
                refused += status != 200
                if sent < count and now - began < seconds:
                    client.sent_at = now
                    client.socket.sendall(request)
                    sent += 1
                else:
                    under_way -= 1
    ended = time.monotonic()
    for client in clients:
        client.socket.close()
    return Loaded(
        accepted=sent - refused,
        refused=refused,
        began=began,
        ended=ended,
        p50_ms=percentile(latencies, 0.5) * 1000,
        p99_ms=percentile(latencies, 0.99) * 1000,
    )


def main() -> None:
    """The process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("path")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--count", type=int, default=100_000)
    given = parser.parse_args()
    print(json.dumps(asdict(_drive(given.port, given.path, given.connections, given.seconds, given.count))))


if __name__ == "__main__":
    main()
