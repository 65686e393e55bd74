"""How published projects write things, read with the installed plugins; and what is refused, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgloop.config.findings import Code, Finding, Severity
from orgloop.config.load import Loaded, load_project
from orgloop.config.model import Organization
from orgloop.connectors.cron.settings import CronSettings
from orgloop.connectors.webhook.settings import WebhookActorSettings, WebhookSourceSettings
from orgloop.plugin.registry import Registry

HEAD = "metadata: {name: forms}\n"
SOURCE = "sources: [{id: hooks, connector: webhook}]\n"
AGENT = "actors: [{id: agent, connector: process, config: {command: [cat]}}]\n"
TELL = 'actors: [{id: tell, connector: webhook, config: {url: "https://x.example"}}]\n'


def waking(connector: str, config: str) -> str:
    """An actor, and a route with this `then.config` that wakes it."""
    settings = {"process": "{command: [cat]}", "webhook": "{url: https://x.example}"}.get(connector, "{}")
    return (
        f"actors: [{{id: agent, connector: {connector}, config: {settings}}}]\n"
        "routes:\n"
        "  - name: r\n"
        "    when: {source: hooks, events: ['*']}\n"
        f"    then: {{actor: agent, config: {config}}}\n"
    )


def load(root: Path, text: str, **environ: str) -> Loaded:
    (root / "orgloop.yaml").write_text(HEAD + text, "utf-8")
    return load_project(root, Registry.installed(), environ)


def organization(root: Path, text: str, **environ: str) -> Organization:
    loaded = load(root, text, **environ)
    assert loaded.organization is not None, "\n".join(map(str, loaded.findings))
    return loaded.organization


def finding(root: Path, text: str, code: Code) -> Finding:
    loaded = load(root, text)
    found = [one for one in loaded.findings if one.code is code]
    assert len(found) == 1, "\n".join(map(str, loaded.findings))
    return found[0]


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("{url: https://x.example/a?b=c#d}", "https://x.example/a?b=c#d"),
        ("{url: http://127.0.0.1:8080}", "http://127.0.0.1:8080"),
        ('{"url": https://x.example}', "https://x.example"),
    ],
)
def test_an_address_needs_no_quotes_in_flow_style(tmp_path: Path, written: str, url: str) -> None:
    made = organization(tmp_path, f"actors: [{{id: tell, connector: webhook, config: {written}}}]\n")
    settings = made.actors["tell"].settings
    assert isinstance(settings, WebhookActorSettings)
    assert settings.url == url


def test_a_mistake_beside_such_an_address_is_told_at_its_place(tmp_path: Path) -> None:
    text = "actors:\n  - {id: tell, connector: webhook, config: {url: https://x.example, methd: PUT}}\n"
    found = finding(tmp_path, text, Code.UNKNOWN_KEY)
    assert (found.line, found.column) == (3, 69)
    assert found.hint == "did you mean `method`?"


def test_a_variable_without_quotes_in_flow_style_is_told_with_the_way_to_write_it(tmp_path: Path) -> None:
    text = "actors:\n  - {id: tell, connector: webhook, config: {url: ${URL}}}\n"
    found = finding(tmp_path, text, Code.YAML_SYNTAX)
    assert (found.line, found.column) == (3, 51)
    assert '"${NAME}"' in found.hint


@pytest.mark.parametrize("key", ["secret", "hmac_secret"])
def test_the_secret_of_a_webhook_has_two_names(tmp_path: Path, key: str) -> None:
    made = organization(
        tmp_path,
        f'sources: [{{id: in, connector: webhook, config: {{{key}: "${{S}}"}}}}]\n'
        f'actors: [{{id: out, connector: webhook, config: {{url: "https://x.example", {key}: "${{S}}"}}}}]\n',
        S="shared",
    )
    source, actor = made.sources["in"].settings, made.actors["out"].settings
    assert isinstance(source, WebhookSourceSettings)
    assert isinstance(actor, WebhookActorSettings)
    assert source.secret is not None
    assert actor.secret is not None
    assert [one.get_secret_value() for one in (*source.secret, actor.secret)] == ["shared"] * 2


def test_both_names_of_one_setting_are_one_too_many(tmp_path: Path) -> None:
    text = "sources: [{id: a, connector: webhook, config: {secret: x, hmac_secret: y}}]\n"
    found = finding(tmp_path, text, Code.DUPLICATE_KEY)
    assert "same meaning" in found.message
    assert found.path == "sources.0.config.hmac_secret"
    assert found.hint == "remove one of the two"


@pytest.mark.parametrize(
    ("written", "schedules"),
    [
        ('schedule: "0 6 * * 1"', [("default", "0 6 * * 1")]),
        (
            "schedule: [{name: a, cron: '@daily'}, {name: b, cron: every 5m}]",
            [("a", "@daily"), ("b", "every 5m")],
        ),
        ("schedules: [{name: a, cron: '@daily'}]", [("a", "@daily")]),
    ],
)
def test_a_clock_is_written_in_three_ways(
    tmp_path: Path, written: str, schedules: list[tuple[str, str]]
) -> None:
    made = organization(tmp_path, f"sources: [{{id: clock, connector: cron, config: {{{written}}}}}]\n")
    settings = made.sources["clock"].settings
    assert isinstance(settings, CronSettings)
    assert [(one.name, one.cron) for one in settings.schedules] == schedules


@pytest.mark.parametrize(
    ("section", "entry", "path"),
    [
        ("sources", "{id: a, connector: '@orgloop/connector-gog', config: {account: x}}", "connector"),
        ("sources", "{id: a, connector: agent-ctl, poll: {interval: 1m}}", "connector"),
        ("actors", "{id: a, connector: docker, config: {cluster_name: kind}}", "connector"),
        ("actors", "{id: a, connector: pagerduty}", "connector"),
        ("transforms", "{name: a, type: package, package: '@orgloop/transform-agent-gate'}", "package"),
        ("loggers", "{name: a, type: '@orgloop/logger-otel', config: {}}", "type"),
        ("loggers", "{name: a, type: syslog}", "type"),
    ],
)
def test_what_is_not_part_of_this_version_is_named_with_what_is(
    tmp_path: Path, section: str, entry: str, path: str
) -> None:
    loaded = load(tmp_path, f"{section}: [{entry}]\n")
    (told,) = loaded.errors
    assert told.path == f"{section}.0.{path}"
    assert "is not part of this version" in told.message
    there_are = {"sources": "webhook", "actors": "webhook", "transforms": "filter", "loggers": "console"}
    assert there_are[section] in told.hint


@pytest.mark.parametrize("agent", ["claude-code", "codex", "opencode", "pi", "pi-rust", "gemini", "copilot"])
def test_the_sessions_of_each_agent_are_a_source(tmp_path: Path, agent: str) -> None:
    text = (
        f"sources: [{{id: hooks, connector: '@orgloop/connector-{agent}', emits: [actor.stopped],"
        " config: {secret: '${HOOK_SECRET}', buffer_dir: b, max_buffer_size: 50MB}}]\n" + TELL + "routes:\n"
        "  - {name: r, when: {source: hooks, events: [actor.stopped]}, then: {actor: tell}}\n"
    )
    loaded = load(tmp_path, text, HOOK_SECRET="a-secret-of-hooks")
    assert loaded.errors == ()
    assert {one.code for one in loaded.findings} == {Code.NO_EFFECT}


def test_linear_answers_to_its_published_names(tmp_path: Path) -> None:
    text = (
        "sources:\n"
        "  - {id: a, connector: '@orgloop/connector-linear', poll: {interval: 5m}, emits: [resource.changed],"
        " config: {team: ENG, project: Billing, api_key: lin_api_x, cache_dir: cache}}\n"
        "  - {id: b, connector: '@orgloop/connector-linear-webhook', config: {secret: lin_wh_x,"
        " path: /linear, events: [Issue, Comment], team: ENG, buffer_dir: buffer, max_buffer_size: 50MB}}\n"
    )
    loaded = load(tmp_path, text)
    assert loaded.errors == ()
    assert {one.path for one in loaded.findings if one.code is Code.NO_EFFECT} == {
        "sources.0.config.cache_dir",
        *(f"sources.1.config.{key}" for key in ("path", "buffer_dir", "max_buffer_size")),
    }


def test_what_uses_it_is_not_told_as_well(tmp_path: Path) -> None:
    text = (
        "sources: [{id: mail, connector: gog}]\n"
        "actors: [{id: box, connector: docker, config: {container_name: x}}]\n"
        "routes:\n"
        "  - name: work\n"
        "    when: {source: mail, events: [resource.changed]}\n"
        "    then: {actor: box, config: {session_key: 'a:{{payload.id}}', action: container.start}}\n"
        "  - {name: again, when: {source: box, events: [actor.stopped]}, then: {actor: box}}\n"
    )
    assert [one.code for one in load(tmp_path, text).errors] == [Code.UNKNOWN_CONNECTOR] * 2


def test_an_agent_of_a_gateway_is_written_as_before(tmp_path: Path) -> None:
    text = (
        "sources: [{id: hooks, connector: webhook}]\n"
        "actors:\n"
        "  - id: engineer\n"
        "    connector: '@orgloop/connector-openclaw'\n"
        "    config:\n"
        "      base_url: http://127.0.0.1:18789\n"
        "      auth_token_env: '${OPENCLAW_WEBHOOK_TOKEN}'\n"
        "      agent_id: engineering\n"
        "      default_channel: slack\n"
        "      default_to: '${OPENCLAW_DEFAULT_TO}'\n"
        "  - {id: tell, connector: webhook, config: {url: 'https://x.example'}}\n"
        "routes:\n"
        "  - name: work\n"
        "    when: {source: hooks, events: [resource.changed]}\n"
        "    then:\n"
        "      actor: engineer\n"
        "      config:\n"
        "        {session_key: 'hook:pr:{{payload.pr}}', thread_id: '{{payload.ts}}', wake_mode: now,\n"
        "         deliver: true, channel: slack, to: '#x', model: big, thinking: high, timeout_seconds: 60}\n"
        "  - name: after\n"
        "    when: {source: engineer, events: [actor.stopped], filter: {payload.delivered: true}}\n"
        "    then: {actor: tell}\n"
    )
    loaded = load(tmp_path, text, OPENCLAW_WEBHOOK_TOKEN="t0k", OPENCLAW_DEFAULT_TO="#eng")
    assert loaded.errors == ()
    assert {one.code for one in loaded.findings} == set()
    wrong = load(tmp_path, text.replace("wake_mode: now", "wake_mode: soon"), OPENCLAW_WEBHOOK_TOKEN="t")
    assert "must be now or next-heartbeat" in str([one.message for one in wrong.findings])


def test_a_name_that_nobody_knows_is_still_a_mistake(tmp_path: Path) -> None:
    found = finding(tmp_path, "sources: [{id: a, connector: githbu}]\n", Code.UNKNOWN_CONNECTOR)
    assert found.hint == "did you mean 'github'?"


def test_github_answers_to_its_webhook_name_without_its_plugin_being_listed_twice(tmp_path: Path) -> None:
    for name in ("github-webhook", "@orgloop/connector-github-webhook", "github"):
        text = f"sources: [{{id: gh, connector: '{name}'}}]\n"
        assert organization(tmp_path, text).sources["gh"].connector == "github"


@pytest.mark.parametrize(
    "written",
    [
        "transforms: [{name: t, type: dedup, config: {window: 10}}]\n",
        "transforms: [{name: t, type: filter, config: {timeout: 5000}}]\n",
        "transforms: [{name: t, type: dedup, config: {window: true}}]\n",
        "actors: [{id: a, connector: webhook, config: {url: 'https://x.example', timeout: 1.5}}]\n",
        "actors: [{id: a, connector: process, config: {command: [cat], timeout: 60}}]\n",
        "loggers: [{name: l, type: file, config: {rotation: {max_age: 7}}}]\n",
        "loggers: [{name: l, type: file, config: {rotation: {max_size: 100}}}]\n",
        "actors: [{id: a, connector: process, config: {command: [cat], max_output: 1000}}]\n",
        "sources: [{id: c, connector: cron, config: {schedule: '@daily', poll_interval: 5}}]\n",
    ],
)
def test_a_duration_or_size_without_a_unit_is_refused(tmp_path: Path, written: str) -> None:
    (told,) = load(tmp_path, written).errors
    assert told.code is Code.BAD_VALUE
    assert ("not true or false" if "true" in written else "unit") in f"{told.message} {told.hint}"


@pytest.mark.parametrize(
    ("actor", "key", "value"),
    [
        (TELL, "channel", "general"),
        (TELL, "wake_mode", "now"),
        (AGENT, "timeout", "5m"),
        (AGENT, "cwd", "."),
        ("actors: [{id: agent, connector: claude-code}]\n", "model", "sonnet"),
        ("actors: [{id: agent, connector: claude-code}]\n", "permission_mode", "plan"),
    ],
)
def test_a_key_with_which_every_wake_would_be_refused_is_told_before_any_wake(
    tmp_path: Path, actor: str, key: str, value: str
) -> None:
    name = "tell" if actor is TELL else "agent"
    text = (
        SOURCE
        + actor
        + (
            "routes:\n"
            "  - name: r\n"
            "    when: {source: hooks, events: ['*']}\n"
            "    then:\n"
            f"      actor: {name}\n"
            "      config:\n"
            "        session_key: 'a:{{payload.id}}'\n"
            f"        {key}: {value}\n"
        )
    )
    found = finding(tmp_path, text, Code.ROUTE_CONFIG)
    assert (found.line, found.column) == (11, 9)
    assert f"`then.config.{key}`" in found.message
    assert found.hint
    assert load(tmp_path, text).organization is None


@pytest.mark.parametrize(
    ("written", "said", "hint"),
    [
        (
            "auth: abc",
            "must be a map of keys and values, not text",
            "its keys: password, token, type, username",
        ),
        ("auth: {token: abc}", "needs the key `type`", ""),
        ("auth: {type: digest, token: abc}", "has a `type` that is none of `bearer`, `basic`", ""),
        ("auth: {type: bearer}", "`config.auth.token` is missing", "add `token:`"),
    ],
)
def test_a_login_that_cannot_be_meant_is_told_in_our_words(
    tmp_path: Path, written: str, said: str, hint: str
) -> None:
    text = f"actors: [{{id: a, connector: webhook, config: {{url: https://x.example, {written}}}}}]\n"
    (told,) = load(tmp_path, text).errors
    assert said in told.message
    assert told.hint == hint


@pytest.mark.parametrize(
    ("connector", "key", "hint"),
    [
        ("process", "sesion_key", "did you mean `session_key`?"),
        ("process", "sessionKey", "did you mean `session_key`?"),
        ("process", "session-key", "did you mean `session_key`?"),
        ("process", "promt", "did you mean `prompt`?"),
        ("claude-code", "sesion_key", "did you mean `session_key`?"),
        ("claude-code", "allowed_tool", "did you mean `allowed_tools`?"),
        ("claude-code", "prompt_file", "it belongs under `with`"),
        ("process", "delivery", "it belongs under `then`"),
        *(("process", key, "it belongs under `then`") for key in ("limits", "budget", "batch", "on_busy")),
    ],
)
def test_a_free_key_that_looks_like_one_with_a_meaning_is_doubted(
    tmp_path: Path, connector: str, key: str, hint: str
) -> None:
    text = SOURCE + waking(connector, f"{{{key}: 'a:{{{{payload.id}}}}'}}")
    found = finding(tmp_path, text, Code.DOUBTFUL_KEY)
    assert (found.path, found.hint) == (f"routes.0.then.config.{key}", hint)
    assert load(tmp_path, text).organization is not None


@pytest.mark.parametrize(
    "config",
    [
        "{session_key: 'a:{{payload.id}}', session_keys: [a]}",
        "{channel: general, to: me, trace: '{{trace_id}}', models: [x], entry: 1, mode: fast, topic: x}",
    ],
)
def test_a_free_key_that_only_the_program_knows_is_not_doubted(tmp_path: Path, config: str) -> None:
    assert load(tmp_path, SOURCE + waking("process", config)).findings == ()


def test_a_misspelt_session_key_of_a_webhook_actor_is_told_with_the_right_one(tmp_path: Path) -> None:
    found = finding(
        tmp_path, SOURCE + waking("webhook", "{sesion_key: 'a:{{payload.id}}'}"), Code.ROUTE_CONFIG
    )
    assert found.hint == "did you mean `session_key`?"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{command: [python3, ./nope.py]}", "`config.command` needs ./nope.py"),
        ("{command: sh agents/x.sh}", "`config.command` needs agents/x.sh"),
        ("{command: ./nope.sh}", "nope.sh, and there is no such file"),
    ],
)
def test_a_command_that_needs_a_file_which_is_not_there_is_told_before_any_wake(
    tmp_path: Path, config: str, said: str
) -> None:
    text = f"actors:\n  - {{id: agent, connector: process, config: {config}}}\n"
    found = finding(tmp_path, text, Code.MISSING_SCRIPT)
    assert (found.severity, found.line, found.path) == (Severity.WARNING, 3, "actors.0.config.command")
    assert said in found.message
    assert found.hint.startswith("write ")


def test_a_path_to_the_cli_that_leads_nowhere_is_told_before_any_wake(tmp_path: Path) -> None:
    text = "actors: [{id: agent, connector: claude-code, config: {binary: ./bin/claude}}]\n"
    assert finding(tmp_path, text, Code.MISSING_SCRIPT).path == "actors.0.config.binary"


def test_a_command_with_a_missing_variable_is_told_once(tmp_path: Path) -> None:
    text = 'actors: [{id: agent, connector: process, config: {command: [python3, "${AGENT}/x.py"]}}]\n'
    assert [one.code for one in load(tmp_path, text).errors] == [Code.MISSING_VARIABLE]
    assert Code.MISSING_SCRIPT not in [one.code for one in load(tmp_path, text).findings]


def test_an_account_in_the_config_of_an_actor_is_sent_to_its_place(tmp_path: Path) -> None:
    text = "actors: [{id: agent, connector: claude-code, config: {account: default}}]\n"
    found = finding(tmp_path, text, Code.UNKNOWN_KEY)
    assert found.hint == "it belongs to an actor, beside `config`"


def test_other_keys_reach_an_agent_as_they_are(tmp_path: Path) -> None:
    text = (
        SOURCE
        + AGENT
        + (
            "routes:\n"
            "  - name: r\n"
            "    when: {source: hooks, events: ['*']}\n"
            "    then: {actor: agent, config: {wake_mode: now, deliver: true, note: '{{payload.id}}'}}\n"
        )
    )
    route = organization(tmp_path, text).routes[0]
    assert route.config == {"wake_mode": "now", "deliver": True, "note": "{{payload.id}}"}


def test_lifting_all_permissions_never_goes_without_a_word(tmp_path: Path) -> None:
    text = (
        "actors:\n"
        "  - id: agent\n"
        "    connector: claude-code\n"
        "    config: {permission_mode: bypassPermissions}\n"
    )
    found = finding(tmp_path, text, Code.RISKY_SETTING)
    assert (found.line, found.column) == (5, 14)
    assert "anything that an event tells it to do" in found.message
    assert "allowed_tools" in found.hint
    assert load(tmp_path, text).organization is not None


@pytest.mark.parametrize("written", ["poll: {interval: 2m}", "poll_interval: 2m"])
def test_how_often_a_source_is_polled_may_stand_inside_its_config(tmp_path: Path, written: str) -> None:
    text = f"sources: [{{id: c, connector: cron, config: {{schedule: '@daily', {written}}}}}]\n"
    assert organization(tmp_path, text).sources["c"].poll_interval_ms == 120_000
    outside = text.replace("cron,", "cron, poll: {interval: 3m},")
    assert organization(tmp_path, outside).sources["c"].poll_interval_ms == 180_000


def test_a_source_that_is_never_polled_says_so(tmp_path: Path) -> None:
    found = finding(
        tmp_path, "sources: [{id: g, connector: github, config: {poll_interval: 5m}}]\n", Code.NO_EFFECT
    )
    assert found.path == "sources.0.config.poll_interval"
