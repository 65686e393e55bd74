"""The cheapest HTTP server that takes deliveries, a process of its own: `python -m bench.sink`.

It answers every POST with 200 and keeps the time at which it came. `GET /<t>` answers with how many
came until `t` (monotonic seconds), and when the last of those came.
"""

from __future__ import annotations

import asyncio
import json
from array import array
from bisect import bisect_right
from urllib.request import urlopen

from bench.children import announce, asked_to_end

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def taken(port: int, until: float = 1e18) -> tuple[int, float]:
    """How many deliveries the sink at `port` took until then, and when the last of them came."""
    with urlopen(f"http://127.0.0.1:{port}/{until!r}", timeout=10) as answer:
        count, last = json.load(answer)
    return count, last


class _Sink(asyncio.Protocol):
    def __init__(self, times: array[float]) -> None:
        self._times = times
        self._got = bytearray()
        self._now = asyncio.get_running_loop().time

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        got = self._got
        got += data
        while (end := got.find(b"\r\n\r\n")) >= 0:
            head = bytes(got[:end])
            if head.startswith(b"GET"):
                self._tell(float(head[5:].partition(b" ")[0]))
                length = 0
            else:
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                if len(got) < end + 4 + length:
                    return
                self._times.append(self._now())
                self._transport.write(_OK)
            del got[: end + 4 + length]

    def _tell(self, until: float) -> None:
        count = bisect_right(self._times, until)
        body = json.dumps([count, self._times[count - 1] if count else 0.0]).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        )


async def main() -> None:
    """Serve until told to end."""
    times: array[float] = array("d")
    server = await asyncio.get_running_loop().create_server(lambda: _Sink(times), "127.0.0.1", 0)
    announce(server.sockets[0].getsockname()[1])
    await asked_to_end()


if __name__ == "__main__":
    asyncio.run(main())
