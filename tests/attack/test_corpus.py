"""The standing corpus: whatever arrives gets an answer or an end, and the daemon goes on."""

from __future__ import annotations

from random import Random

import pytest

from tests.attack.corpus import documents, mutations, requests
from tests.web.daemon import Daemon
from tests.web.raw import post, wire

KNOWN = {200, 400, 401, 403, 404, 405, 408, 413, 415, 417, 422, 501, 503}


@pytest.mark.parametrize("seed", range(3))
async def test_a_mangled_request_gets_an_answer_or_an_end(
    seed: int, acme: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    for request in mutations(list(requests()), Random(seed), 300):
        async with wire(acme.server.port) as connection:
            await connection.send(request)
            connection.writer.write_eof()
            answer = await connection.closed()
            assert not answer or int(answer[9:12]) in KNOWN, request
    assert (await acme.get("/api/status"))[0] == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("seed", range(3))
async def test_a_hostile_document_is_an_event_or_is_refused(
    seed: int, acme: Daemon, caplog: pytest.LogCaptureFixture
) -> None:
    for body in documents(Random(seed), 60):
        async with wire(acme.server.port) as connection:
            await connection.send(post(b"/webhook/hooks", body))
            assert (await connection.answer()).status in {200, 400}, body[:200]
    # What was taken can be shown again.
    assert (await acme.get("/api/events?limit=100"))[0] == 200
    assert (await acme.get("/api/deliveries?limit=100"))[0] == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
