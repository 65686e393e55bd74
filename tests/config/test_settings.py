"""Settings of sources, actors, transforms and loggers: mistakes at their place, secrets out of sight."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from orgloop.config.findings import Code, Finding
from orgloop.config.load import load_or_raise, load_project
from orgloop.plugin.connector import ActorKind, Connector, SourceKind
from orgloop.plugin.registry import CONNECTORS, Registry
from orgloop.plugin.transform import TransformPlugin
from tests.config.doubles import (
    AgentSettings,
    DedupSettings,
    GithubSettings,
    ScriptSettings,
    build,
    connectors,
    loggers,
    registry,
    transforms,
)
from tests.config.project import HEAD, ROUTES, VARIABLES, codes, load, of, only, sound, write


def source(text: str) -> str:
    """A project whose first source is this one."""
    return (HEAD + ROUTES).replace(
        '- {id: github, connector: github, config: {repo: a/b, token: "${GITHUB_TOKEN}"}}', text
    )


def actor(text: str) -> str:
    """A project whose first actor is this one."""
    return (HEAD + ROUTES).replace("- {id: agent, connector: claude-code, config: {cwd: .}}", text)


@pytest.mark.parametrize(
    ("text", "code", "path", "hint"),
    [
        ("- {id: github, connector: githb}", Code.UNKNOWN_CONNECTOR, "sources.0.connector", "'github'"),
        ("- {id: github, connector: process}", Code.NOT_A_SOURCE, "sources.0.connector", "`actors:`"),
        (
            "- {id: github, connector: linear, config: {api_key: x}}",
            Code.MISSING_KEY,
            "sources.0.config",
            "`team:`",
        ),
        ("- {id: github, connector: linear, config: }", Code.MISSING_KEY, "sources.0.config", ""),
        ("- {id: github}", Code.MISSING_KEY, "sources.0", "`connector:`"),
        ("- {id: github, connector: webhook, confg: {}}", Code.UNKNOWN_KEY, "sources.0.confg", "`config`"),
        (
            "- {id: github, connector: webhook, config: {secrt: x}}",
            Code.UNKNOWN_KEY,
            "sources.0.config.secrt",
            "`secret`",
        ),
        ("- {id: github, connector: webhook, config: []}", Code.WRONG_TYPE, "sources.0.config", ""),
        (
            "- {id: github, connector: webhook, poll: {interval: 5}}",
            Code.BAD_VALUE,
            "sources.0.poll.interval",
            "5s",
        ),
        (
            "- {id: github, connector: webhook, poll: {interval: 5m}}",
            Code.NO_EFFECT,
            "sources.0.poll.interval",
            "remove",
        ),
        (
            "- {id: github, connector: webhook, config: {path: /x}}",
            Code.NO_EFFECT,
            "sources.0.config.path",
            "remove",
        ),
        ("- {id: github, connector: webhook, labels: {a: b}}", Code.NO_EFFECT, "sources.0.labels", "remove"),
        (
            "- {id: github, connector: cron, config: {schedules: [{name: a}]}}",
            Code.MISSING_KEY,
            "sources.0.config.schedules.0",
            "`cron:`",
        ),
        (
            "- {id: github, connector: cron, config: {schedules: [{name: a, crn: b}]}}",
            Code.UNKNOWN_KEY,
            "sources.0.config.schedules.0.crn",
            "`cron`",
        ),
        (
            "- {id: github, connector: github, config: {repo: 1, token: x}}",
            Code.WRONG_TYPE,
            "sources.0.config.repo",
            "quotes",
        ),
    ],
)
def test_a_source_that_cannot_be_is_told(text: str, code: Code, path: str, hint: str, tmp_path: Path) -> None:
    finding = load(tmp_path, source(text)).findings[0]
    assert (finding.code, finding.path) == (code, path)
    assert hint in finding.hint


@pytest.mark.parametrize(
    ("text", "code", "path", "hint"),
    [
        ("- {id: agent, connector: github}", Code.NOT_AN_ACTOR, "actors.0.connector", "`sources:`"),
        ("- {id: agent, connector: claude-code, config: {}}", Code.MISSING_KEY, "actors.0.config", "`cwd:`"),
        (
            "- {id: agent, connector: process, config: {command: 5}}",
            Code.WRONG_TYPE,
            "actors.0.config.command",
            "quotes",
        ),
        (
            "- {id: agent, connector: process, config: {command: [a, 5]}}",
            Code.WRONG_TYPE,
            "actors.0.config.command.1",
            "",
        ),
        (
            "- {id: agent, connector: claude-code, limits: {run: 1}, config: {cwd: .}}",
            Code.UNKNOWN_KEY,
            "actors.0.limits.run",
            "`runs`",
        ),
        (
            "- {id: agent, connector: openclaw, limits: {runs: 1}, config: {agent_id: x}}",
            Code.NO_EFFECT,
            "actors.0.limits.runs",
            "",
        ),
        (
            "- {id: agent, connector: claude-code, poll: {}, config: {cwd: .}}",
            Code.UNKNOWN_KEY,
            "actors.0.poll",
            "",
        ),
    ],
)
def test_an_actor_that_cannot_be_is_told(text: str, code: Code, path: str, hint: str, tmp_path: Path) -> None:
    finding = of(load(tmp_path, actor(text)), code)
    assert finding.path == path
    assert hint in finding.hint


@pytest.mark.parametrize(
    ("text", "code", "path"),
    [
        ("{name: t, type: fliter}", Code.UNKNOWN_TRANSFORM, "transforms.0.type"),
        ("{name: t, type: package}", Code.MISSING_KEY, "transforms.0"),
        ("{name: t, type: package, package: ./own.js}", Code.UNKNOWN_TRANSFORM, "transforms.0.package"),
        ("{name: t, type: filter, package: filter}", Code.NO_EFFECT, "transforms.0.package"),
        ("{name: t, type: filter, timeout_ms: 5}", Code.NO_EFFECT, "transforms.0.timeout_ms"),
        ("{name: t, type: filter, config: {jq: '('}}", Code.BAD_SETTINGS, "transforms.0"),
        ("{name: t, type: dedup, config: {window: soon}}", Code.BAD_VALUE, "transforms.0.config.window"),
        ("{name: t, type: dedup, on_error: hlod}", Code.BAD_VALUE, "transforms.0.on_error"),
        ("{name: t, type: script}", Code.MISSING_KEY, "transforms.0"),
        ("{name: t, type: script, script: ./no.sh}", Code.MISSING_SCRIPT, "transforms.0.script"),
        ("{name: t, type: script, script: ./plain.txt}", Code.NOT_EXECUTABLE, "transforms.0.script"),
        ("{name: t, type: script, script: ./silent.sh}", Code.NOT_EXECUTABLE, "transforms.0.script"),
        ("{name: t, type: script, script: ./sub}", Code.MISSING_SCRIPT, "transforms.0.script"),
        (
            "{name: t, type: script, script: ./ok.sh, timeout_ms: 0}",
            Code.BAD_VALUE,
            "transforms.0.timeout_ms",
        ),
    ],
)
@pytest.mark.parametrize("used", [True, False])
def test_a_transform_that_cannot_be_is_told_used_or_not(
    text: str, code: Code, path: str, used: bool, tmp_path: Path
) -> None:
    write(tmp_path, {"plain.txt": "#!/bin/sh\n", "silent.sh": "cat\n", "ok.sh": "#!/bin/sh\n", "sub/x": ""})
    use = "    transforms: [t]\n" if used else ""
    loaded = load(tmp_path, HEAD + ROUTES + use + f"transforms: [{text}]\n")
    assert of(loaded, code).path == path
    assert set(codes(loaded)) <= {code, Code.UNUSED_TRANSFORM}


def test_an_override_is_laid_over_the_definition_key_by_key(tmp_path: Path) -> None:
    text = """\
    transforms:
      - {ref: d, config: {window: 1h}}
      - d
transforms: [{name: d, type: dedup, config: {key: [id], window: 1m}, on_error: drop}]
"""
    steps = sound(load(tmp_path, HEAD + ROUTES + text)).routes[1].steps
    assert [(step.settings.model_dump()["window"], step.settings.model_dump()["key"]) for step in steps] == [
        (3_600_000, ("id",)),
        (60_000, ("id",)),
    ]
    assert [step.on_error for step in steps] == ["drop", "drop"]


def test_a_mistake_in_an_override_is_told_at_the_route_one_in_the_definition_there(tmp_path: Path) -> None:
    text = """\
    transforms: [{ref: d, config: {window: soon}}, {ref: e, config: {store: memory}}]
transforms:
  - {name: d, type: dedup, config: {window: 1m}}
  - {name: e, type: dedup, config: {window: later}}
"""
    found = [(one.code, one.path) for one in load(tmp_path, HEAD + ROUTES + text).findings]
    assert found == [
        (Code.BAD_VALUE, "routes.1.transforms.0.config.window"),
        (Code.BAD_VALUE, "transforms.1.config.window"),
    ]


def test_a_definition_may_lack_what_every_route_supplies(tmp_path: Path) -> None:
    write(tmp_path, {"drop.sh": "#!/bin/sh\n"})
    text = "    transforms: [{ref: s, config: {script: ./drop.sh}}]\ntransforms: [{name: s, type: script}]\n"
    assert codes(load(tmp_path, HEAD + ROUTES + text)) == []


def test_a_script_is_looked_for_beside_its_yaml_file_then_in_the_project(tmp_path: Path) -> None:
    """A relative path means the same wherever the daemon was started."""
    files = {
        "orgloop.yaml": HEAD + ROUTES + "    transforms: [near, far]\ntransforms: [transforms/t.yaml]\n",
        "transforms/t.yaml": """\
transforms:
  - {name: near, type: script, script: ./drop.sh}
  - {name: far, type: script, script: scripts/other.sh}
""",
        "transforms/drop.sh": "#!/bin/sh\n",
        "scripts/other.sh": "#!/bin/sh\n",
    }
    near, far = sound(load(tmp_path, files)).routes[1].steps
    assert isinstance(near.settings, ScriptSettings)
    assert isinstance(far.settings, ScriptSettings)
    assert near.settings.script == tmp_path / "transforms/drop.sh"
    assert far.settings.script == tmp_path / "scripts/other.sh"


@pytest.mark.parametrize(
    ("definition", "step", "path"),
    [
        ("[{name: t, type: script, script: nope.sh}]", "t", "transforms.0.script"),
        ("[{name: t, type: script, config: {script: nope.sh}}]", "t", "transforms.0.config.script"),
        (
            "[{name: t, type: script, script: t.sh}]",
            "{ref: t, config: {script: nope.sh}}",
            "routes.1.transforms.0.config.script",
        ),
        ("[]", "{ref: script, config: {script: nope.sh}}", "routes.1.transforms.0.config.script"),
    ],
)
def test_a_script_that_is_not_there_is_told_where_it_is_named(
    definition: str, step: str, path: str, tmp_path: Path
) -> None:
    text = f"transforms: {definition}\n{HEAD}{ROUTES}    transforms: [{step}]\n"
    assert only(load(tmp_path, {"orgloop.yaml": text, "t.sh": "#!/bin/sh\n"})).path == path
    unset = only(load(tmp_path, text.replace("nope.sh", '"${UNSET}"')))
    assert (unset.code, unset.path) == (Code.MISSING_VARIABLE, path)


def test_an_actors_directory_is_looked_for_beside_its_yaml_file_then_in_the_project(tmp_path: Path) -> None:
    files = {
        "orgloop.yaml": actor("").replace("actors:\n  \n", "actors:\n") + "connectors: [connectors/a.yaml]\n",
        "connectors/a.yaml": "actors: [{id: agent, connector: claude-code, config: {cwd: app}}]\n",
        "app/x": "",
    }
    settings = sound(load(tmp_path, files)).actors["agent"].settings
    assert isinstance(settings, AgentSettings)
    assert settings.cwd == tmp_path / "app"


SECRET = "sk-not-to-be-seen"


def shown(root: Path, text: str) -> str:
    loaded = load(root, text, {**VARIABLES, "GITHUB_TOKEN": f"bad {SECRET}"})
    parts = [*map(str, loaded.findings), *map(repr, loaded.findings)]
    if loaded.sound is not None:
        parts += [repr(loaded.sound.snapshot), repr(loaded.sound.sources), repr(loaded.sound.actors)]
    return "\n".join(parts)


def test_a_secret_from_a_variable_is_shown_as_its_variable(tmp_path: Path) -> None:
    text = shown(tmp_path, HEAD + ROUTES)
    assert SECRET not in text
    assert "${GITHUB_TOKEN} is not a token" in text


def test_a_secret_in_the_file_is_never_shown(tmp_path: Path) -> None:
    for value in (f"'bad {SECRET}'", f"['{SECRET}']", f"{{a: '{SECRET}'}}"):
        text = source(f"- {{id: github, connector: github, config: {{repo: a/b, token: {value}}}}}")
        assert SECRET not in shown(tmp_path, text)


def test_a_plugin_that_breaks_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    def broken(*_: object) -> Any:
        raise RuntimeError("a fault")

    kind = ActorKind(settings=AgentSettings, open=broken, has_runs=lambda _: True)
    parts: list[Connector | TransformPlugin] = [
        Connector(name="github", title="", source=SourceKind(settings=GithubSettings, open=broken)),
        Connector(name="claude-code", title="", actor=kind),
        *[one for one in connectors() if one.name == "webhook"],
        TransformPlugin(name="dedup", title="", settings=DedupSettings, open=broken),
    ]
    write(tmp_path, {"orgloop.yaml": HEAD + ROUTES + "    transforms: [dedup]\n"})
    loaded = load_project(tmp_path, Registry.of(*parts), VARIABLES)
    assert [finding.code for finding in loaded.errors] == [Code.BROKEN_PLUGIN] * 3
    assert all("RuntimeError" in finding.message for finding in loaded.errors)


def test_a_plugin_whose_checks_break_is_a_finding_and_no_crash(tmp_path: Path) -> None:
    class Doubtful(AgentSettings):
        def warnings(self) -> Mapping[str, str]:
            raise LookupError("a fault")

    def broken(_: object) -> Any:
        raise LookupError("a fault")

    kind = ActorKind(settings=Doubtful, open=build, has_runs=lambda _: True, check_route=broken)
    agent = Connector(name="claude-code", title="", actor=kind)
    parts = [agent, *(one for one in connectors() if one.name in ("github", "webhook"))]
    write(tmp_path, {"orgloop.yaml": HEAD + ROUTES})
    loaded = load_project(tmp_path, Registry.of(*parts), VARIABLES)
    assert [finding.code for finding in loaded.errors] == [Code.BROKEN_PLUGIN] * 2
    assert all("LookupError" in finding.message for finding in loaded.errors)


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "x" * 5000])
def test_a_path_that_cannot_be_looked_for_is_a_finding_and_no_crash(path: str, tmp_path: Path) -> None:
    text = actor(f"- {{id: agent, connector: claude-code, config: {{cwd: '{path}'}}}}")
    assert only(load(tmp_path, text)).code is Code.BAD_SETTINGS


@pytest.mark.parametrize(
    "written",
    [
        'actors: [{id: a, connector: claude-code, config: {cwd: "a\\0b"}}]',
        'transforms: [{name: t, type: script, script: "a\\0b"}]',
        "actors: [{id: a, connector: claude-code, config: {cwd: [a]}}]",
        "transforms: [{name: t, type: script, script: [a]}]",
    ],
)
def test_what_is_no_path_is_told_once_and_is_no_crash(written: str, tmp_path: Path) -> None:
    (told,) = load(tmp_path, f"metadata: {{name: paths}}\n{written}\n").errors
    assert told.code in (Code.BAD_VALUE, Code.WRONG_TYPE)
    assert "must be " in told.message


def test_words_of_our_own_are_not_taken_for_a_short_secret(tmp_path: Path) -> None:
    text = source("- {id: github, connector: github, config: {repo: ['${GITHUB_REPO}'], token: x}}")
    finding = load(tmp_path, text, {"GITHUB_REPO": "t", "GITHUB_TOKEN": "x"}).errors[0]
    assert finding.message == "source 'github': `config.repo` must be text, not a list"
    unused = "loggers: [{name: l, type: file, config: {path: '${GITHUB_REPO}', rotate: {}}}]\n"
    told = only(load(tmp_path, HEAD + ROUTES + unused, {"GITHUB_REPO": "s", "GITHUB_TOKEN": "x"}))
    assert told.message == "logger 'l': `config.rotate` has no effect"


def test_a_plugin_that_cannot_be_loaded_is_told_once_per_use(tmp_path: Path) -> None:
    points = Registry.of(*connectors(), *transforms(), *loggers()).points
    broken = EntryPoint(name="github", value="tests.support.of_nobody:connector", group=CONNECTORS)
    write(tmp_path, {"orgloop.yaml": HEAD + ROUTES})
    loaded = load_project(tmp_path, Registry({**points, (CONNECTORS, "github"): broken}), VARIABLES)
    assert only(loaded).code is Code.BROKEN_PLUGIN


def test_connectors_answer_to_their_published_and_their_other_names(tmp_path: Path) -> None:
    for name in ("claude-code", "@orgloop/connector-claude-code", "coding-agent"):
        text = actor(f"- {{id: agent, connector: '{name}', config: {{cwd: .}}}}")
        assert sound(load(tmp_path, text)).actors["agent"].connector == "claude-code"


def test_a_source_is_polled_at_its_own_interval_else_at_the_defaults(tmp_path: Path) -> None:
    organization = sound(load(tmp_path, HEAD + ROUTES + "defaults: {poll_interval: 7m}\n"))
    assert organization.sources["github"].poll_interval_ms == 420_000
    assert organization.sources["hooks"].poll_interval_ms is None
    text = source("- {id: github, connector: github, poll: {interval: 1m}, config: {repo: a/b, token: x}}")
    assert sound(load(tmp_path, text)).sources["github"].poll_interval_ms == 60_000


@pytest.mark.parametrize(
    "change",
    [
        "config: {cwd: ..}",
        "config: {cwd: .}, limits: {runs: 3}",
        "config: {cwd: ., permission_mode: acceptEdits}",
    ],
)
def test_a_change_that_needs_a_new_actor_changes_its_fingerprint(change: str, tmp_path: Path) -> None:
    before = sound(load(tmp_path, HEAD + ROUTES)).actors["agent"].fingerprint
    after = sound(load(tmp_path, actor(f"- {{id: agent, connector: claude-code, {change}}}")))
    assert after.actors["agent"].fingerprint != before
    assert sound(load(tmp_path, HEAD + ROUTES)).actors["agent"].fingerprint == before


def test_the_settings_know_the_project_and_its_budget(tmp_path: Path) -> None:
    seen: list[object] = []

    class Curious(AgentSettings):
        def model_post_init(self, context: object, /) -> None:
            seen.append(context)

    parts = [one for one in connectors() if one.name != "claude-code"]
    kind = ActorKind(settings=Curious, open=lambda _, settings: settings, has_runs=lambda _: True)
    parts.append(Connector(name="claude-code", title="", actor=kind))
    write(tmp_path, {"orgloop.yaml": HEAD + ROUTES + "defaults: {budget: {run_usd: 2}}\n"})
    load_project(tmp_path, Registry.of(*parts), VARIABLES)
    assert seen == [{"project": tmp_path, "base": tmp_path, "environment": VARIABLES, "run_usd": 2}]
    assert registry().names("orgloop.connectors")


def test_a_logger_without_a_level_has_the_projects(tmp_path: Path) -> None:
    (tmp_path / "orgloop.yaml").write_text(
        "metadata: {name: a}\n"
        "defaults: {log_level: warn}\n"
        "loggers:\n"
        "  - {name: quiet, type: console}\n"
        "  - {name: loud, type: console, config: {level: debug}}\n"
        "  - {name: kept, type: file}\n"
    )
    organization = load_or_raise(tmp_path, Registry.installed(), {})
    levels = {spec.name: getattr(spec.settings, "level", None) for spec in organization.loggers}
    assert levels == {"quiet": "warn", "loud": "debug", "kept": None}


@pytest.mark.parametrize(
    "written",
    ["$NAME", "$(NAME)", "%NAME%", "env:NAME", "$env:NAME", "{{NAME}}", " $NAME "],
)
@pytest.mark.parametrize("key", ["secret", "hmac_secret"])
def test_a_secret_that_names_a_variable_as_other_tools_do_is_refused(
    written: str, key: str, tmp_path: Path
) -> None:
    """Else the name itself would be the secret, which anybody can guess."""
    text = (
        "metadata: {name: t}\n"
        f"sources:\n  - {{id: open, connector: webhook, config: {{{key}: '{written}'}}}}\n"
        "actors: [{id: a, connector: process, config: {command: ['true']}}]\n"
        "routes: [{name: r, when: {source: open, events: [a]}, then: {actor: a}}]\n"
    )
    (tmp_path / "orgloop.yaml").write_text(text)
    loaded = load_project(tmp_path, Registry.installed(), {"NAME": "value"})
    (found,) = loaded.errors
    assert (found.file, found.line) == ("orgloop.yaml", 3)
    assert found.hint.startswith("write ${NAME}")


@pytest.mark.parametrize("written", ["a$NAME", "pa$$word", "$5abc", "abc"])
def test_a_secret_with_a_dollar_in_it_is_one(written: str, tmp_path: Path) -> None:
    text = (
        "metadata: {name: t}\n"
        f"sources:\n  - {{id: open, connector: webhook, config: {{secret: '{written}'}}}}\n"
        "actors: [{id: a, connector: process, config: {command: ['true']}}]\n"
        "routes: [{name: r, when: {source: open, events: [a]}, then: {actor: a}}]\n"
    )
    (tmp_path / "orgloop.yaml").write_text(text)
    assert load_project(tmp_path, Registry.installed(), {"NAME": "$NAME"}).findings == ()


def project(source: str) -> str:
    return (
        "metadata: {name: t}\n"
        f"sources:\n  - {source}\n"
        "actors: [{id: a, connector: process, config: {command: ['true']}}]\n"
        "routes: [{name: r, when: {source: gh, events: [push]}, then: {actor: a}}]\n"
    )


def test_a_token_without_a_repository_polls_nothing_and_says_so(tmp_path: Path) -> None:
    text = project("{id: gh, connector: github, config: {secret: s, token: t}, poll: {interval: 5m}}")
    (tmp_path / "orgloop.yaml").write_text(text)
    loaded = load_project(tmp_path, Registry.installed(), {})
    assert loaded.errors == ()
    assert {(one.code, one.path) for one in loaded.warnings} == {
        (Code.NO_EFFECT, "sources.0.poll.interval"),
        (Code.RISKY_SETTING, "sources.0.config.token"),
    }
    assert all("repo" in one.message + one.hint for one in loaded.warnings)


def test_a_variable_of_a_key_with_effect_is_still_needed(tmp_path: Path) -> None:
    (tmp_path / "orgloop.yaml").write_text(project("{id: gh, connector: github, config: {secret: '${T}'}}"))
    loaded = load_project(tmp_path, Registry.installed(), {})
    assert [one.code for one in loaded.errors] == [Code.MISSING_VARIABLE]


@pytest.mark.parametrize(
    "place",
    [
        "headers: {X-Api-Key: '$NAME'}",
        "headers: {X-Api-Key: 'Bearer $NAME'}",
        "headers: {X-Any: '$(NAME)'}",
        "headers: {X-Any: '$lower'}",
        "auth: {type: bearer, token: '%NAME%'}",
        "auth: {type: basic, username: '$NAME', password: x}",
        "secret: '${{ secrets.NAME }}'",
        "url: '$NAME'",
        "url: 'https://example.com/hooks/$NAME'",
        "url: 'https://$NAME/hooks'",
    ],
)
def test_a_variable_as_other_tools_write_it_is_refused_wherever_its_value_is_meant(
    place: str, tmp_path: Path
) -> None:
    url = "" if place.startswith("url") else "url: 'https://example.com', "
    found = _of_actor(tmp_path, f"connector: webhook, config: {{{url}{place}}}")
    assert [(one.file, one.line) for one in found] == [("orgloop.yaml", 3)]
    assert found[0].hint.startswith(("write ${", "write `${"))


@pytest.mark.parametrize(
    "config",
    [
        "command: [./x, '$NAME']",
        "command: ['$NAME']",
        "command: ['true'], env: {TOKEN: '$NAME'}",
        "command: ['true'], env: {MODE: 'env:NAME'}",
        "command: ['true'], cwd: '$NAME'",
    ],
)
def test_a_program_is_not_given_the_name_of_a_variable(config: str, tmp_path: Path) -> None:
    found = _of_actor(tmp_path, f"connector: process, config: {{{config}}}")
    assert [(one.line, one.hint) for one in found] == [(3, "write ${NAME}")]


@pytest.mark.parametrize(
    ("connector", "config"),
    [
        ("process", "command: [sh, -c, 'echo $NAME', '$1']"),
        ("process", "command: ['true'], env: {PRICE: '$5', PATTERN: '%d', NOTE: 'costs $NAME each'}"),
        ("process", "command: ['true'], env: {A: '$unset', B: '${NAME}'}"),
        ("webhook", "url: 'https://example.com/odata?$filter=x&$top=5'"),
        ("webhook", "url: 'https://example.com', body_template: {text: '$NAME'}"),
    ],
)
def test_other_dollars_stay(connector: str, config: str, tmp_path: Path) -> None:
    assert _of_actor(tmp_path, f"connector: {connector}, config: {{{config}}}") == []


def _of_actor(root: Path, actor: str) -> list[Finding]:
    text = (
        "metadata: {name: t}\nactors:\n"
        f"  - {{id: a, {actor}}}\n"
        "sources: [{id: open, connector: webhook}]\n"
        "routes: [{name: r, when: {source: open, events: [a]}, then: {actor: a}}]\n"
    )
    (root / "orgloop.yaml").write_text(text)
    return list(load_project(root, Registry.installed(), {"NAME": "value", "lower": "x"}).errors)
