"""A client that means no harm, as a process: a webhook every 5 ms until its standard input ends.

`python -m bench.good_client PORT` prints a line once it begins, then one JSON object: how many it sent, how
many were told to come back, how many got no answer, and the 99th percentile of the time to an answer.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time

from bench.figure import percentile

PATIENCE = 5.0
"""Seconds without an answer after which a request counts as hung."""


def main(port: int) -> None:
    """Each webhook comes on a new connection."""
    latencies: list[float] = []
    refused = hung = 0
    print("ready", flush=True)
    while not latencies or not select.select([0], [], [], 0.005)[0]:
        body = json.dumps({"n": len(latencies)}).encode()
        head = f"POST /webhook/good HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        began = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as connection:
                connection.sendall(head.encode() + body)
                refused += connection.recv(65_536)[9:12] != b"200"
        except TimeoutError:
            hung += 1
        except ConnectionError:
            refused += 1
        latencies.append(time.monotonic() - began)
    good = {"sent": len(latencies), "refused": refused, "hung": hung}
    print(json.dumps({**good, "p99_ms": percentile(latencies, 0.99) * 1000}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
