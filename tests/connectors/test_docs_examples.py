"""What the connectors' pages show is what the connectors do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from orgloop.connectors.cron import connector as cron
from orgloop.connectors.cron.settings import Schedule
from orgloop.connectors.email import connector as email
from orgloop.connectors.email.message import mail_of
from orgloop.connectors.email.settings import EmailSettings
from orgloop.connectors.files import connector as files
from orgloop.connectors.github import connector as github
from orgloop.connectors.github.events.normalize import normalize
from orgloop.connectors.http import connector as http
from orgloop.connectors.linear import connector as linear
from orgloop.connectors.linear.events.normalize import normalize as normalize_linear
from orgloop.connectors.slack import connector as slack
from orgloop.connectors.slack.api import SlackApi
from orgloop.connectors.slack.doctor import ASKS, POSTS
from orgloop.connectors.slack.events import Team, draft_of, told_by
from orgloop.connectors.slack.people import People
from orgloop.connectors.webhook import connector as webhook
from orgloop.connectors.webhook.actor import WebhookActor
from orgloop.connectors.webhook.settings import WebhookActorSettings
from orgloop.core.events.match import names_match
from orgloop.plugin import Connector, Settings
from orgloop.runtime.support.http import HttpClient
from tests.connectors.doubles import FakeContext, FakeHttp, as_context, reply, wake
from tests.connectors.github_bodies import DELIVERIES
from tests.connectors.linear_bodies import DELIVERIES as FROM_LINEAR
from tests.connectors.slack_bodies import CLICK, COMMAND, DELETED, EDITED, MENTION, REACTION, envelope
from tests.connectors.test_webhook_live import Lent
from tests.support.slack_server import BOT, slack_server

PAGES = Path(__file__).parents[2] / "docs/connectors"
CONNECTORS = {
    "webhook": webhook,
    "github": github,
    "linear": linear,
    "cron": cron,
    "http": http,
    "files": files,
    "slack": slack,
    "email": email,
}


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text("utf-8")


def blocks(name: str, language: str) -> list[str]:
    """Fenced blocks, without the indentation of the list that they stand in."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", page(name), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def filled(node: Any) -> Any:
    """As if each variable were set."""
    if isinstance(node, dict):
        return {key: filled(value) for key, value in node.items()}
    if isinstance(node, list):
        return [filled(value) for value in node]
    if isinstance(node, str):
        return re.sub(r"\$\{(\w+)\}", lambda v: "https://x.example" if "URL" in v[1] else "value", node)
    return node


def examples() -> Iterator[tuple[str, dict[str, Any]]]:
    for name in CONNECTORS:
        for text in blocks(name, "yaml"):
            yield name, filled(YAML(typ="safe").load(text))


def settings(connector: Connector, side: str) -> type[Settings]:
    kind = connector.source if side == "sources" else connector.actor
    assert kind is not None
    return kind.settings


def options(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize("name", CONNECTORS)
def test_a_page_has_examples(name: str) -> None:
    assert len(blocks(name, "yaml")) >= 2
    assert blocks(name, "json")


@pytest.mark.parametrize(("name", "example"), list(examples()))
def test_an_example_of_yaml_is_valid(name: str, example: dict[str, Any]) -> None:
    assert example.keys() <= {"sources", "actors", "routes"}
    for side in ("sources", "actors"):
        for entry in example.get(side, []):
            assert entry.keys() <= {"id", "connector", "poll", "config"}
            settings(CONNECTORS[entry["connector"]], side).model_validate(entry["config"])


def test_examples_use_every_option_that_has_an_effect() -> None:
    used: dict[type[Settings], set[str]] = {}
    for _, example in examples():
        for side in ("sources", "actors"):
            for entry in example.get(side, []):
                used.setdefault(settings(CONNECTORS[entry["connector"]], side), set()).update(entry["config"])
    unused = {model.__name__: options(model) - model.without_effect() - keys for model, keys in used.items()}
    assert unused == {
        "WebhookSourceSettings": set(),
        "WebhookActorSettings": set(),
        "GithubSettings": {"authors", "private_key"},
        "GithubActorSettings": {"private_key_file", "installation_id"},
        "LinearSettings": set(),
        "LinearActorSettings": set(),
        "CronSettings": set(),
        "HttpSettings": set(),
        "FilesSettings": set(),
        "SlackSettings": set(),
        "SlackActorSettings": set(),
        "EmailSettings": set(),
    }


@pytest.mark.parametrize(
    ("name", "documented"),
    [
        ("webhook", options(settings(webhook, "sources")) | options(settings(webhook, "actors"))),
        ("github", options(settings(github, "sources")) | options(settings(github, "actors"))),
        ("linear", options(settings(linear, "sources")) | options(settings(linear, "actors"))),
        ("http", options(settings(http, "sources"))),
        ("files", options(settings(files, "sources"))),
        ("email", options(settings(email, "actors"))),
        ("slack", options(settings(slack, "sources")) | options(settings(slack, "actors"))),
        ("cron", options(settings(cron, "sources")) | {f"schedules[].{key}" for key in options(Schedule)}),
    ],
)
def test_every_option_is_in_a_table(name: str, documented: set[str]) -> None:
    rows = [line.split("|")[1] for line in page(name).splitlines() if line.startswith("| `")]
    shown = {option for row in rows for option in re.findall(r"`([^`]+)`", row)}
    assert documented - shown == set()


@pytest.mark.parametrize("name", ["webhook", "cron", "http", "files"])
def test_the_event_is_the_one_that_the_source_makes(name: str) -> None:
    source = CONNECTORS[name].source
    assert source is not None
    assert source.example in [json.loads(text) for text in blocks(name, "json")]


def test_the_event_of_the_page_matches_its_route() -> None:
    for name in ("webhook", "cron", "http", "files"):
        source = CONNECTORS[name].source
        assert source is not None
        assert source.example is not None
        event = source.example["provenance"]["platform_event"]
        routes = [
            route for page, example in examples() if page == name for route in example.get("routes", [])
        ]
        assert any(names_match(route["when"]["events"], [event]) for route in routes)


async def test_the_body_is_the_one_that_the_actor_sends() -> None:
    context = FakeContext(http=FakeHttp(reply()))
    actor = WebhookActor("target", WebhookActorSettings(url="https://x.example"))
    await actor.open(as_context(context))
    await actor.deliver(wake(sop="Find out why the build failed."))
    assert json.loads(context.http.sent[0].body) in [json.loads(text) for text in blocks("webhook", "json")]


@pytest.mark.parametrize("name", DELIVERIES)
def test_each_event_of_github_is_shown_as_it_is(name: str) -> None:
    draft = normalize(*DELIVERIES[name])
    shown = [json.loads(text) for text in blocks("github", "json")]
    expected = {"type": draft.type, "provenance": draft.provenance, "payload": draft.payload}
    assert expected in shown
    assert name == "push" or f"### {name}\n" in page("github")


@pytest.mark.parametrize("name", FROM_LINEAR)
def test_each_event_of_linear_is_shown_as_it_is(name: str) -> None:
    (draft,) = normalize_linear(FROM_LINEAR[name])
    shown = [json.loads(text) for text in blocks("linear", "json")]
    assert {"type": draft.type, "provenance": draft.provenance, "payload": draft.payload} in shown
    assert name == "reaction.create" or f"### {name}\n" in page("linear")


async def test_each_event_of_slack_is_shown_as_it_is() -> None:
    shown = [json.loads(text) for text in blocks("slack", "json")]
    app = Team(id="T0ACME", url="https://acme.slack.com/", user="U0LOOP", bot="B0LOOP")
    client = HttpClient()
    async with slack_server() as served:
        lent = Lent(http=client)
        api = SlackApi(f"{served.url}/api", BOT, "the token", lent.clock, client)
        for body in (MENTION, EDITED, DELETED, CLICK, COMMAND, REACTION):
            told = told_by(envelope("", body)["type"], body, app)
            assert told is not None
            draft = await draft_of(told, app, People(api, lent.clock, ()), lent.mark_in)
            assert {"type": draft.type, "provenance": draft.provenance, "payload": draft.payload} in shown
            assert told.name == "reaction_added" or f"### {told.name}\n" in page("slack")
    await client.close()


def test_the_manifest_of_slack_asks_for_what_the_connector_needs() -> None:
    manifest = json.loads(blocks("slack", "json")[0])
    scopes = manifest["oauth_config"]["scopes"]["bot"]
    assert {*POSTS, *ASKS, "app_mentions:read", "commands", "channels:history"} <= set(scopes)
    assert scopes == sorted(scopes)
    assert manifest["settings"]["socket_mode_enabled"]
    assert manifest["settings"]["interactivity"]["is_enabled"]


async def test_the_headers_of_a_mail_are_those_of_its_page() -> None:
    given = {"host": "localhost", "from": "orgloop@acme.example", "to": "ada@acme.example"}
    mail, _ = mail_of(wake(config={"text": "x"}), EmailSettings.model_validate(given), 0)
    (shown,) = [json.loads(text) for text in blocks("email", "json")]
    assert {name: str(mail[name]) for name in shown} == shown
