"""The HTTP client: what was sent is known, and no message holds a secret."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from orgloop.plugin import HttpFailed, HttpReply
from orgloop.runtime.support.http import HttpClient, origin
from tests.support.checkout import need

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SECRET = "token=s3cret"


@asynccontextmanager
async def server(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncGenerator[str]:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()

    made = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    port = made.sockets[0].getsockname()[1]
    try:
        yield f"http{'s' if tls else ''}://user:pass@127.0.0.1:{port}/hook/s3cret?{SECRET}#s3cret"
    finally:
        made.close()


def answer(head: str, body: bytes = b"") -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    return serve


async def ask(url: str, **more: Any) -> HttpReply:
    client = HttpClient()
    try:
        return await client.request("POST", url, body=b"x", **{"timeout": 5.0, **more})
    finally:
        await client.close()


async def fail(url: str, **more: Any) -> HttpFailed:
    """Why there is no answer: without a word of the secrets in `url`."""
    with pytest.raises(HttpFailed) as raised:
        await ask(url, **more)
    assert "s3cret" not in raised.value.reason
    assert "pass" not in raised.value.reason
    return raised.value


async def test_an_answer() -> None:
    async with server(answer("201 Made\r\nX-A: b", b"hello")) as url:
        reply = await ask(url)
        assert (reply.status, reply.reason, reply.body, reply.truncated) == (201, "Made", b"hello", False)
        assert reply.headers["x-a"] == "b"


@pytest.mark.parametrize(
    ("size", "body", "truncated"), [(5, b"hello", False), (4, b"hell", True), (0, b"", True)]
)
async def test_an_answer_that_is_too_large_is_an_answer_all_the_same(
    size: int, body: bytes, truncated: bool
) -> None:
    """Or else what was done would be done again."""
    async with server(answer("200 OK", b"hello")) as url:
        reply = await ask(url, max_bytes=size)
        assert (reply.status, reply.body, reply.truncated) == (200, body, truncated)


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(b"Content-Length: 9\r\n\r\nhello", id="breaks off"),
        pytest.param(b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", id="bad gzip"),
    ],
)
async def test_a_status_counts_whatever_becomes_of_the_body(wire: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n" + wire)
        await writer.drain()

    async with server(serve) as url:
        reply = await ask(url)
        assert (reply.status, reply.truncated) == (200, True)
        assert b"hello".startswith(reply.body)


async def test_a_status_counts_if_the_body_does_not_come_in_time() -> None:
    gate = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhel")
        await gate.wait()

    async with server(drip) as url:
        reply = await ask(url, timeout=0.3)
        gate.set()
    assert (reply.status, reply.body, reply.truncated) == (200, b"hel", True)


@pytest.mark.parametrize(
    "wire", [b"SSH-2.0-x\r\n", b"hello\nworld", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]
)
async def test_what_is_not_http_is_called_so_and_not_by_a_status(wire: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(wire)
        await writer.drain()

    async with server(serve) as url:
        failed = await fail(url)
    assert failed.sent
    assert "does not answer in HTTP" in failed.reason
    assert "400" not in failed.reason.removeprefix(url.rstrip("/"))
    assert "\n" not in failed.reason


async def test_half_a_head_is_no_answer() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: s3cret")
        await writer.drain()

    async with server(serve) as url:
        failed = await fail(url)
    assert failed.sent
    assert "closed the connection without an answer" in failed.reason


async def test_nobody_there_means_nothing_was_sent() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        failed = await fail(f"http://127.0.0.1:{unused.getsockname()[1]}/s3cret?{SECRET}")
    assert (failed.sent, failed.timeout) == (False, False)


async def test_a_connection_that_never_comes_about_means_nothing_was_sent() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(address)
        failed = await fail(f"http://127.0.0.1:{address[1]}/?{SECRET}", timeout=0.3)
        for one in waiting:
            one.close()
    assert (failed.sent, failed.timeout) == (False, True)


async def test_silence_after_the_connection_is_an_unknown_outcome() -> None:
    gate = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()

    async with server(silent) as url:
        failed = await fail(url, timeout=0.2)
        gate.set()
    assert (failed.sent, failed.timeout) == (True, True)


async def test_a_connection_that_breaks_is_an_unknown_outcome() -> None:
    async def drop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with server(drop) as url:
        failed = await fail(url)
    assert failed.sent


@pytest.mark.parametrize("keep", ["close", "keep-alive"])
async def test_redirects_without_end_name_no_secret(keep: str) -> None:
    head = f"307 Moved\r\nConnection: {keep}\r\nLocation: /more?{SECRET}"
    async with server(answer(head)) as url:
        await fail(url, follow_redirects=True)


async def test_a_bad_certificate_means_nothing_was_sent(tmp_path: Path) -> None:
    need("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=nobody", "-days", "2"]
    await asyncio.to_thread(subprocess.run, [*make, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    async with server(answer("200 OK"), tls=context) as url:
        failed = await fail(url)
    assert not failed.sent
    assert "invalid certificate" in failed.reason


@pytest.mark.parametrize(
    "url", ["", "s3cret", "ftp://host/s3cret", "http://", "http://[::1/s3cret", "http://h:x/", "http://a..b/"]
)
async def test_what_is_no_url_is_never_called(url: str) -> None:
    failed = await fail(url)
    assert not failed.sent


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://u:p@Host.example:8443/a?b#c", "https://host.example:8443"),
        ("http://[::1]:80/x", "http://[::1]:80"),
        ("https://host/x", "https://host"),
        ("nonsense", "the URL"),
        ("http://h:port/", "the URL"),
    ],
)
def test_messages_show_no_more_than_the_origin(url: str, shown: str) -> None:
    assert origin(url) == shown
