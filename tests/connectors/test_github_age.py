"""How old a fact is by its signed body, and what follows."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr

from orgloop.connectors.github.events.age import newest
from orgloop.connectors.github.settings import GithubSettings
from orgloop.connectors.github.source import GithubSource
from orgloop.plugin import DAY, Draft
from orgloop.plugin.signature import sign
from tests.connectors.doubles import FakeContext, as_context, inbound
from tests.connectors.github_bodies import DELIVERIES, MONA

NOW = 1_767_610_800_000
"""2026-01-05T11:00:00Z, the newest time in the bodies."""


async def at(now: int, name: str, **config: Any) -> Draft:
    """The event of a signed delivery that comes at this time."""
    event, body = DELIVERIES[name]
    given = json.dumps(body).encode()
    context = FakeContext()
    context.clock.time = now
    opened = GithubSource("github", GithubSettings.model_validate({"secret": "s", **config}))
    await opened.open(as_context(context))
    headers = (
        {} if config.get("secret", "s") is None else {"X_Hub_Signature_256": sign(SecretStr("s"), given)}
    )
    request = inbound(given, X_GitHub_Event=event, X_GitHub_Delivery="1", **headers)
    return (await opened.receive(request)).events[0]


TIMED = [name for name, (event, own) in DELIVERIES.items() if newest(event, own) is not None]


@pytest.mark.parametrize("name", TIMED)
async def test_the_author_of_a_fact_that_is_proven_old_counts_as_unknown(name: str) -> None:
    event, own = DELIVERIES[name]
    time = newest(event, own)
    assert time is not None
    fresh = await at(time + 3 * DAY, name, max_fact_age="3d")
    old = await at(time + 3 * DAY + 1, name, max_fact_age="3d")
    assert "outdated" not in fresh.provenance
    assert (old.provenance["author_type"], old.provenance["outdated"]) == ("unknown", True)
    assert (old.key, old.payload) == (fresh.key, fresh.payload), "it stays the same fact"


async def test_how_old_a_fact_may_be_is_a_setting_and_counts_for_signed_bodies() -> None:
    name = "pull_request.review_submitted"
    assert (await at(NOW + 2 * DAY, name, max_fact_age="1d")).provenance["author_type"] == "unknown"
    assert (await at(NOW + 9 * DAY, name, max_fact_age="10d")).provenance["author_type"] == "team_member"
    assert "outdated" not in (await at(NOW + 9 * DAY, name, secret=None, max_fact_age="1d")).provenance
    assert "outdated" not in (await at(NOW + 900 * DAY, name)).provenance, "without the setting"
    assert "outdated" not in (await at(NOW - 9 * DAY, name)).provenance


async def test_a_body_that_tells_no_time_is_taken_as_it_is() -> None:
    repository = {"full_name": "a/b", "updated_at": "2020-01-01T00:00:00Z"}
    plain = {"action": "added", "member": MONA, "sender": MONA, "repository": repository}
    assert newest("member", plain) is None
    broken = {
        "issue": {"updated_at": 7, "created_at": "soon"},
        "comment": None,
        "release": {"created_at": "x" * 99},
    }
    assert newest("issues", broken) is None


@pytest.mark.parametrize("pushed", [1_767_610_800, "2026-01-05T11:00:00Z"])
def test_a_push_is_as_old_as_its_repository_says(pushed: object) -> None:
    head = {"timestamp": "2019-01-01T00:00:00Z"}
    assert newest("push", {"repository": {"pushed_at": pushed}, "head_commit": head}) == NOW
    assert newest("issues", {"repository": {"pushed_at": pushed}}) is None
