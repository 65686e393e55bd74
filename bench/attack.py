"""What a good client notices while others send malformed requests, hostile documents, or half of either."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

import psutil

from bench.children import daemon
from bench.figure import Figure
from tests.attack.corpus import SLOW, documents, mutations, requests

PATIENCE: Final = 5.0
"""Seconds without an answer after which a request counts as hung."""

SEED: Final = 7

PROJECT: Final = """
metadata: {name: attack}
sources:
  - {id: hooks, connector: webhook, config: {}}
  - {id: good, connector: webhook, config: {}}
actors:
  - {id: reader, connector: process, config: {command: [sh, -c, "cat > /dev/null"]}, limits: {runs: 2}}
transforms:
  - {name: once, type: dedup, config: {key: [payload.id, payload.text], window: 10m}}
  - {name: add, type: enrich, config: {add: {payload.note: "{{payload.text}} {{payload.n}}"}}}
  - {name: words, type: filter, config: {match: {payload.text: "/^(a+)+ (b|b)*$/"}}}
  - {name: program, type: filter, config: {jq: '.payload.text | tostring | test("(a+)+$") | not'}}
routes:
  - name: prompt
    when: {source: hooks, events: ["*"]}
    transforms: [once, add]
    then: {actor: reader, config: {session_key: "{{payload.text}}"}}
    with: {prompt_file: sop.md}
  - {name: words, when: {source: hooks, events: ["*"]}, transforms: [words], then: {actor: reader}}
  - {name: program, when: {source: hooks, events: ["*"]}, transforms: [program], then: {actor: reader}}
"""
"""Outside text meets a session key, duplicates, templates, both pattern engines, jq and a prompt."""


def measure(*, short: bool) -> Sequence[Figure]:
    """Each attack while a good client sends; then the daemon must be the same one, well, and small."""
    count = 200 if short else 20_000
    tried = hung = 0
    figures: list[Figure] = []
    with daemon(PROJECT, {"sop.md": "Read it.\n"}) as ours:
        assert ours.daemon is not None
        process, port = psutil.Process(ours.daemon.pid), ours.port
        quiet = _good(port, lambda: time.sleep(0.5 if short else 3))
        attacks: dict[str, Callable[[], _Answered]] = {
            "malformed requests": lambda: _sent(port, _malformed(count)),
            "hostile documents": lambda: _sent(port, _hostile(count // 10)),
            "slow senders": lambda: _held(port, 20 if short else 600),
        }
        for name, attack in attacks.items():
            answered: list[_Answered] = []
            good = _good(port, lambda attack=attack, answered=answered: answered.append(attack()))  # type: ignore[misc]
            tried += answered[0].tried
            hung += answered[0].hung + good.hung
            detail = f"quiet {quiet.p99_ms:.3g} ms; {good.sent:,} sent, {good.refused:,} told to come back"
            what = f"good client's p99 during {name}"
            figures.append(Figure(name=what, value=good.p99_ms, unit="ms", most=1_000, detail=detail))
        crashed = int(ours.daemon.poll() is not None)
        memory = process.memory_info().rss / 1024**2
        children = len(process.children(recursive=True))
    return [
        *figures,
        Figure(name="tried", value=tried),
        Figure(name="crashed or hung", value=crashed + hung, most=0.5, detail=f"{crashed} and {hung}"),
        Figure(
            name="memory after it", value=memory, unit="MB", most=250, detail=f"{children} child processes"
        ),
    ]


@dataclass(frozen=True, slots=True)
class _Answered:
    tried: int
    hung: int


def _malformed(count: int) -> Iterator[bytes]:
    seeds = list(requests())
    yield from seeds
    yield from mutations(seeds, random.Random(SEED), count)


def _hostile(count: int) -> Iterator[bytes]:
    for body in documents(random.Random(SEED), count):
        head = f"POST /webhook/hooks HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        yield head.encode() + body


def _sent(port: int, attacks: Iterator[bytes]) -> _Answered:
    """Each on a connection of its own. Whoever gets neither an answer nor an end is hung."""
    tried = hung = 0
    for attack in attacks:
        tried += 1
        with socket.socket() as connection, suppress(ConnectionError):
            connection.settimeout(PATIENCE)
            connection.connect(("127.0.0.1", port))
            connection.sendall(attack)
            connection.shutdown(socket.SHUT_WR)
            try:
                connection.recv(65_536)
            except TimeoutError:
                hung += 1
    return _Answered(tried, hung)


def _held(port: int, count: int) -> _Answered:
    """So many slow senders of each kind at once, for a while."""
    with ExitStack() as stack:
        tried = 0
        for begun in SLOW:
            for _ in range(count):
                connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
                with suppress(OSError):
                    connection.sendall(begun)
                tried += 1
            time.sleep(0.5)
    return _Answered(tried, 0)


@dataclass(frozen=True, slots=True)
class _Good:
    sent: int
    refused: int
    hung: int
    p99_ms: float


def _good(port: int, meanwhile: Callable[[], None]) -> _Good:
    """What a client in a process of its own found while something else went on."""
    command = [sys.executable, "-m", "bench.good_client", str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdout.readline()
            meanwhile()
            process.stdin.close()
            return _Good(**json.loads(process.stdout.read()))
        finally:
            process.kill()
