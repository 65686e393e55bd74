"""GitHub's published webhook payloads become events with the right author, type, number and URL."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from orgloop.connectors.github.events.names import NAMES
from orgloop.connectors.github.events.normalize import normalize
from orgloop.connectors.github.events.shapes import require_kind
from orgloop.connectors.github.settings import GithubSettings
from orgloop.connectors.github.source import GithubSource
from orgloop.core.events.event import AuthorType
from orgloop.errors import Refused
from orgloop.plugin.settings import SecretStr
from orgloop.plugin.signature import sign
from tests.connectors.doubles import inbound
from tests.support.github_payloads import GithubPayloads, Payload

pytestmark = pytest.mark.real

# Who wrote the thing, where that is not whoever sent the delivery.
WRITTEN = {
    "pull_request_review": "review",
    "pull_request_review_comment": "comment",
    "issue_comment": "comment",
}
SECRET = SecretStr("s3cret")


def deliveries(payloads: GithubPayloads) -> list[tuple[str, Payload]]:
    return [(event, payload) for event in payloads.events for payload in payloads.all(event)]


def at(payload: Any, *keys: str) -> Any:
    node: Any = payload
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node


def expected_name(event: str, payload: Payload) -> str:
    action = payload.get("action")
    match event, action:
        case "pull_request_review", _:
            return f"pull_request.review_{action}"
        case (("pull_request_review_comment" | "issue_comment"), "created"):
            return event
        case "pull_request", "closed" if payload["pull_request"]["merged"]:
            return "pull_request.merged"
        case _:
            return f"{event}.{action}" if action else event


def expected_author(event: str, payload: Payload) -> str:
    match event, payload.get("action"):
        case ("check_suite", "completed") | ("check_run", "created" | "completed"):
            app = payload[event]["app"]
            return str(app.get("slug") or app["name"])
        case "workflow_run", "completed":
            return str(at(payload, "workflow_run", "actor", "login") or payload["sender"]["login"])
        case _:
            written = at(payload, WRITTEN.get(event, ""), "user", "login")
            return str(written or at(payload, "sender", "login") or "unknown")


def test_the_name_of_every_payload_is_known(github_payloads: GithubPayloads) -> None:
    # A ping is no event, and the actions of a dispatch are its sender's to choose.
    given = {expected_name(*one) for one in deliveries(github_payloads)} - {"ping"}
    assert {name for name in given if not name.startswith("repository_dispatch.")} <= set(NAMES)


async def test_every_payload_is_taken_and_signed_ones_verify(github_payloads: GithubPayloads) -> None:
    source = GithubSource("github", GithubSettings(secret=(SECRET,)))
    taken = 0
    for number, (event, payload) in enumerate(deliveries(github_payloads)):
        content = json.dumps(payload).encode()
        received = await source.receive(
            inbound(
                content,
                X_GitHub_Event=event,
                X_GitHub_Delivery=str(number),
                X_Hub_Signature_256=sign(SECRET, content),
            )
        )
        assert len(received.events) == (event != "ping")
        taken += 1
    assert taken >= 329


def test_every_event_has_its_name_and_its_native_names(github_payloads: GithubPayloads) -> None:
    for event, payload in deliveries(github_payloads):
        provenance = normalize(event, payload).provenance
        assert provenance["platform"] == "github"
        assert provenance["platform_event"] == expected_name(event, payload)
        assert provenance["native_event"] == event
        assert provenance.get("native_action") == payload.get("action")


def test_every_author_is_who_the_payload_says(github_payloads: GithubPayloads) -> None:
    kinds: Counter[str] = Counter()
    for event, payload in deliveries(github_payloads):
        provenance = normalize(event, payload).provenance
        assert provenance["author"] == expected_author(event, payload), (event, payload.get("action"))
        kinds[provenance["author_type"]] += 1
        is_bot = str(provenance["author"]).endswith("[bot]") or (
            (event, payload.get("action"))
            in {("check_suite", "completed"), ("check_run", "created"), ("check_run", "completed")}
        )
        assert (provenance["author_type"] == AuthorType.BOT) == (
            is_bot or at(payload, "sender", "type") == "Bot"
        )
        if "sender" not in payload:
            assert provenance["author_type"] == AuthorType.UNKNOWN
    assert kinds.keys() == {"team_member", "external", "bot", "unknown"}


def test_owners_are_team_members(github_payloads: GithubPayloads) -> None:
    for event in (*WRITTEN, "pull_request", "issues"):
        for payload in github_payloads.all(event):
            assert normalize(event, payload).provenance["author_type"] == AuthorType.TEAM_MEMBER


def test_every_repository_is_named(github_payloads: GithubPayloads) -> None:
    for event, payload in deliveries(github_payloads):
        repo = at(payload, "repository", "full_name")
        assert normalize(event, payload).provenance.get("repo", "") == (repo or "")


def test_every_number_is_there(github_payloads: GithubPayloads) -> None:
    seen = 0
    for event, payload in deliveries(github_payloads):
        provenance = normalize(event, payload).provenance
        numbers = {provenance.get(key) for key in ("pr_number", "issue_number", "number")} - {None}
        for key in ("pull_request", "issue", "discussion", "alert", "milestone"):
            number = at(payload, key, "number")
            if number is not None:
                assert number in numbers, (event, payload.get("action"), key)
                seen += 1
                break
    assert seen > 100


def subject(event: str, payload: Payload) -> Any:
    """What the event is about."""
    names = {"pull_request_review_comment": "comment", "issue_comment": "comment", "issues": "issue"}
    return payload.get(names.get(event, event.removeprefix("pull_request_"))) or payload.get(event)


def test_every_url_is_the_subjects_own(github_payloads: GithubPayloads) -> None:
    seen = 0
    for event, payload in deliveries(github_payloads):
        provenance = normalize(event, payload).provenance
        page = at(subject(event, payload), "html_url")
        if page is not None:
            assert provenance["url"] == page, (event, payload.get("action"))
            seen += 1
        elif at(payload, "repository", "html_url"):
            assert provenance["url"].startswith("https://"), event
    assert seen > 150


def test_distinct_facts_keep_distinct_keys(github_payloads: GithubPayloads) -> None:
    """Some published examples are one payload with other fields cut out; those share their key."""
    facts: dict[str, tuple[str, Any]] = {}
    for event, payload in deliveries(github_payloads):
        draft = normalize(event, payload)
        if draft.key is not None:
            fact = (str(draft.provenance["platform_event"]), draft.provenance.get("resource_id"))
            assert facts.setdefault(draft.key, fact) == fact
    assert len(facts) > 10


def refuses(event: str, payload: Payload) -> bool:
    try:
        require_kind(event, payload)
    except Refused:
        return True
    return False


def test_no_payload_gains_trust_under_another_name(github_payloads: GithubPayloads) -> None:
    """The header that names the event is not signed."""
    tried = 0
    for event, payload in deliveries(github_payloads):
        assert not refuses(event, payload), (event, payload.get("action"))
        is_trusted = normalize(event, payload).provenance["author_type"] == AuthorType.TEAM_MEMBER
        for other in {*github_payloads.events, "some_new_event"} - {event}:
            if is_trusted or refuses(other, payload):
                continue
            tried += 1
            found = normalize(other, payload).provenance
            # Whoever owns the repository is trusted for whatever they do.
            owns = found["author"] == at(payload, "repository", "owner", "login")
            assert owns or found["author_type"] != AuthorType.TEAM_MEMBER, (event, other)
    assert tried > 100
