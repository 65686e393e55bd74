"""Presets: each file's own sample becomes the event that the file says, signed as its provider signs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from orgloop.connectors.webhook import connector
from orgloop.connectors.webhook.preset import built_in, names
from orgloop.connectors.webhook.settings import WebhookSourceSettings
from orgloop.connectors.webhook.source import WebhookSource
from orgloop.core.text.json_text import dump_json
from orgloop.plugin import Draft, Inbound, Received, Refused, SecretStr, signed_headers
from tests.connectors.doubles import NOON, FakeContext, as_context

PAGE = (Path(__file__).parents[2] / "docs/connectors/webhook.md").read_text("utf-8")
SECRET = "s3cret-s3cret-s3cret"


async def received(body: Any, headers: dict[str, str], **config: Any) -> Received:
    settings = WebhookSourceSettings.model_validate(config)
    source = WebhookSource("in", settings)
    await source.open(as_context(FakeContext()))
    named = {name.lower(): value for name, value in headers.items()}
    return await source.receive(Inbound(method="POST", headers=named, body=dump_json(body)))


def signed(name: str) -> dict[str, str]:
    preset = built_in(name)
    scheme = WebhookSourceSettings.model_validate({"preset": name}).signature
    assert isinstance(scheme, str)
    return {
        "Content-Type": "application/json",
        **preset.sample.headers,
        **signed_headers(SecretStr(SECRET), scheme, dump_json(preset.sample.body), NOON),
    }


def shown(draft: Draft, becomes: dict[str, Any]) -> dict[str, Any]:
    """As much of the event as a preset's file says."""
    found: dict[str, Any] = {"provenance": {**draft.provenance}}
    return {**found, "key": draft.key} if "key" in becomes else found


@pytest.mark.parametrize("name", names())
async def test_a_sample_becomes_the_event_that_its_file_says(name: str) -> None:
    preset = built_in(name)
    assert preset.sample.signed_by.lower() in {header.lower() for header in signed(name)}
    took = await received(preset.sample.body, signed(name), preset=name, secret=SECRET)
    assert [shown(*pair) for pair in zip(took.events, preset.becomes, strict=True)] == list(preset.becomes)
    assert [draft.payload for draft in took.events] == [preset.sample.body]
    assert {draft.provenance["platform_event"] for draft in took.events} <= set(preset.events)
    assert all(draft.provenance["author_type"] == "unknown" for draft in took.events)
    assert preset.setup, "somebody has to set it up"


@pytest.mark.parametrize("name", names())
async def test_what_is_not_signed_as_its_provider_signs_is_refused(name: str) -> None:
    preset = built_in(name)
    right = signed(name)
    bare = {key: value for key, value in right.items() if key in preset.sample.headers}
    other = {**bare, **signed_headers(SecretStr(SECRET), "plain", dump_json(preset.sample.body), NOON)}
    for headers in (bare, other):
        if headers.keys() >= {key for key in right if key != "Content-Type"}:
            continue  # It is signed this way.
        with pytest.raises(Refused) as told:
            await received(preset.sample.body, headers, preset=name, secret=SECRET)
        assert told.value.status == 401


@pytest.mark.parametrize("name", names())
async def test_a_body_of_which_all_is_missing_is_an_event_all_the_same(name: str) -> None:
    bodies: list[Any] = [{}, [], "x", {"alerts": 7, "event": None, "action": {"a": 1}}]
    for body in bodies:
        (draft,) = (await received(body, {}, preset=name)).events
        assert draft.provenance["platform"] == name
        assert str(draft.provenance["platform_event"])


@pytest.mark.parametrize("name", names())
def test_the_page_tells_of_each_preset(name: str) -> None:
    listed = [line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |")]
    (row,) = [line for line in listed if line.count(" | ") == 3]
    preset = built_in(name)
    fields = WebhookSourceSettings.model_validate({"preset": name}).fields
    told = set(re.findall(r"`([^`]+)`", row))
    assert told - {name} <= {*fields, *preset.events}
    assert set(fields) <= told
    assert all(step in PAGE for step in preset.setup)


async def test_the_source_itself_goes_before_its_preset() -> None:
    body = {"object_kind": "push", "user_username": "ada", "ref": "refs/heads/main", "mine": {"team": "ops"}}
    own = {"preset": "gitlab", "platform": "forge", "fields": {"team": "mine.team", "repo": "x"}}
    (draft,) = (await received(body, {}, **own)).events
    assert draft.provenance["platform_event"] == "push"
    assert draft.provenance["platform"] == "forge"
    assert (draft.provenance["author"], draft.provenance["team"]) == ("ada", "ops")
    assert "repo" not in draft.provenance
    named = {"preset": "gitlab", "event_type_header": "X-Gitlab-Event"}
    (draft,) = (await received(body, {"X-Gitlab-Event": "Push Hook"}, **named)).events
    assert draft.provenance["platform_event"] == "Push Hook"


MINE = """
title: Mine
settings:
  signature: {header: X-Mine}
  platform: mine
  event: "{{ kind }}"
  fields: {author: who.name, size: size, ok: ok, all: who}
sample: {signed_by: X-Mine, body: {kind: a}}
becomes: [{provenance: {platform: mine}}]
"""


async def test_a_project_has_presets_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(MINE)
    settings = WebhookSourceSettings.model_validate(
        {"preset": "./mine.yaml", "secret": SECRET}, context={"base": str(tmp_path), "project": str(tmp_path)}
    )
    assert settings.platform == "mine"
    assert not isinstance(settings.signature, str)
    body = {"kind": "done\n now", "who": {"name": "x" * 5_000}, "size": 7, "ok": False}
    (draft,) = (await received(body, {}, preset=str(tmp_path / "mine.yaml"))).events
    assert draft.provenance["platform_event"] == "done now"
    assert len(draft.provenance["author"]) == 1_000
    assert (draft.provenance["size"], draft.provenance["ok"], "all" in draft.provenance) == (7, False, False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not a preset"),
        ("a: [", "is not YAML"),
        ("\x00", "is not YAML"),
        ("title: x\nsettings: {}\n", "sample"),
        (MINE.replace("platform: mine", "secret: s3cret"), "settings.secret is none of"),
        (MINE.replace("title", "titel"), "is not a preset"),
        ("x" * 300_000, "larger than 256 KB"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_preset_says_why(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "mine.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValidationError) as told:
        WebhookSourceSettings.model_validate({"preset": str(path)})
    assert words in str(told.value)
    assert told.value.errors()[0]["loc"] == ("preset",)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"preset": "gitlba"}, "did you mean gitlab?"),
        ({"preset": "no-such"}, "There are alertmanager"),
        ({"preset": 7}, "preset"),
        ({"event": "{{ }}", "preset": "gitlab"}, "event"),
        ({"event": "{{ type }}", "event_type_field": "kind"}, "both name the event"),
        ({"fields": {"author_type": "x"}}, "cannot be a field"),
        ({"fields": {"Bad Name": "x"}}, "cannot be a field"),
        ({"fields": {"a": "{{ }}"}}, "fields"),
        ({"platform": "My Platform"}, "platform"),
    ],
)
def test_settings_that_cannot_work_say_why(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as told:
        WebhookSourceSettings.model_validate(config)
    assert words in str(told.value)


def test_validate_knows_a_presets_events_and_fields() -> None:
    assert connector.source is not None
    assert connector.source.names is not None
    assert connector.source.shapes is not None
    settings = WebhookSourceSettings.model_validate({"preset": "sentry"})
    assert "issue.created" in connector.source.names(settings)
    (shape,) = connector.source.shapes(settings)
    assert shape.fields["provenance.platform"] == ("sentry",)
    assert "provenance.level" in shape.fields
    plain = WebhookSourceSettings.model_validate({})
    assert connector.source.names(plain) == ()
    assert connector.source.shapes(plain)[0].fields["provenance.author"] == ("unknown",)
