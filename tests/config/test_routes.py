"""Routes: references, filters, templates, keys, trust, prompt files."""

from __future__ import annotations

from pathlib import Path

import pytest

from orgloop.config.findings import Code, Severity
from orgloop.config.reading.prompt_files import MAX_BYTES
from orgloop.core.deliveries.batch import BatchPolicy
from orgloop.core.deliveries.on_busy import OnBusy
from orgloop.core.runs.session_policy import SessionMode, SessionPolicy
from tests.config.project import HEAD, ROUTES, codes, load, of, only, sound


def route(text: str) -> str:
    """A project with this route after those that use everything."""
    return HEAD + ROUTES + text


@pytest.mark.parametrize(
    ("when", "code", "hint"),
    [
        ("{source: githb, events: [a]}", Code.UNKNOWN_SOURCE, "did you mean `github`?"),
        ("{source: zzz, events: [a]}", Code.UNKNOWN_SOURCE, "there are: agent, github, hooks"),
        ("{source: tell, events: [a]}", Code.UNKNOWN_SOURCE, "an actor that has runs"),
        ("{source: github, events: []}", Code.BAD_VALUE, '["*"]'),
        ("{source: github, events: ['']}", Code.BAD_VALUE, "write its name"),
        ("{source: github}", Code.MISSING_KEY, "add `events: ["),
        ("{source: github, events: a}", Code.WRONG_TYPE, "in brackets"),
        ("{source: github, events: [1]}", Code.WRONG_TYPE, "in quotes"),
        ("{source: github, events: [a], trust: tam}", Code.BAD_VALUE, "did you mean `team`?"),
        ("{source: github, events: [a], filter: {a..b: 1}}", Code.BAD_FILTER, "write a.b"),
        (
            "{source: github, events: [a], filter: {'payload.a[0].b': 1}}",
            Code.BAD_FILTER,
            "write payload.a.0.b",
        ),
        ("{source: github, events: [a], filter: {$.payload.a: 1}}", Code.BAD_FILTER, "write payload.a"),
        ("{source: github, events: [a], filter: {event.payload.a: 1}}", Code.BAD_FILTER, "write payload.a"),
        ("{source: github, events: [a], filter: {payload.a: []}}", Code.BAD_FILTER, "list the values"),
        ("{source: github, events: [a], filter: {payload: {a: 1}}}", Code.BAD_FILTER, "`payload.a`"),
        ("{source: github, events: [a], filter: {payload.a: [[1]]}}", Code.BAD_FILTER, "one list"),
        ("{source: github, events: [a], filter: {platform: x}}", Code.UNKNOWN_PATH, "`provenance.platform`"),
        ("{source: github, events: [a], filter: {provenence.x: 1}}", Code.UNKNOWN_PATH, "`provenance.x`"),
        ("{source: github, events: [actor.stopped]}", Code.EVENT_MISMATCH, "it emits resource.changed"),
        ("{source: github, events: [resource.chnged]}", Code.EVENT_MISMATCH, "`resource.changed`"),
        ("{source: agent, events: [message.received]}", Code.EVENT_MISMATCH, "it emits actor.stopped"),
    ],
)
def test_a_when_that_cannot_be_meant_is_told(when: str, code: Code, hint: str, tmp_path: Path) -> None:
    finding = only(load(tmp_path, route(f"  - {{name: x, when: {when}, then: {{actor: tell}}}}\n")))
    assert finding.code is code
    assert hint in finding.hint


@pytest.mark.parametrize(
    "when",
    [
        "{source: github, events: [pull_request_review, 'pull_request.*', resource.changed]}",
        "{source: agent, events: [actor.stopped, session.started]}",
        "{source: hooks, events: [deploy.finished]}",
        "{source: github, events: ['*'], filter: {payload.a: null, hops: 0, type: [a, b], payload.b.0: 1}}",
    ],
)
def test_a_when_that_can_be_meant_is_not_doubted(when: str, tmp_path: Path) -> None:
    assert codes(load(tmp_path, route(f"  - {{name: x, when: {when}, then: {{actor: tell}}}}\n"))) == []


@pytest.mark.parametrize(
    ("then", "code", "hint"),
    [
        ("{actor: agnt}", Code.UNKNOWN_ACTOR, "did you mean `agent`?"),
        ("{actor: github}", Code.UNKNOWN_ACTOR, "source only"),
        ("{}", Code.MISSING_KEY, "add `actor:`"),
        ("{actor: tell, confg: {}}", Code.UNKNOWN_KEY, "did you mean `config`?"),
        (
            "{actor: tell, fnord: {}}",
            Code.UNKNOWN_KEY,
            "known keys: actor, batch, budget, config, delivery, drop_when, limits, on_busy",
        ),
        ("{actor: tell, limits: {runs: 1}}", Code.NO_EFFECT, "remove it"),
        ("{actor: agent, limits: {runs: true}}", Code.BAD_VALUE, ""),
        ("{actor: agent, config: {session_key: pr}}", Code.CONSTANT_KEY, "{{provenance.pr_number}}"),
        ("{actor: agent, config: {session_key: 5}}", Code.WRONG_TYPE, "in quotes"),
        ("{actor: agent, config: {session_key: ''}}", Code.WRONG_TYPE, "remove the line"),
        ("{actor: agent, config: {session_key: '{{}}'}}", Code.BAD_TEMPLATE, "between the braces"),
        ("{actor: tell, config: {deep: [{text: '{{a..b}}'}]}}", Code.BAD_TEMPLATE, "write {{ a.b }}"),
        ("{actor: tell, config: {text: '{{titel}}'}}", Code.UNKNOWN_PATH, "payload.titel"),
        ("{actor: tell, delivery: {timeout: 30}}", Code.BAD_VALUE, "such as 30s"),
        ("{actor: tell, delivery: {max_age: 5 m}}", Code.BAD_VALUE, "without a space"),
        ("{actor: tell, delivery: {retry: {backoff: exponental}}}", Code.BAD_VALUE, "`exponential`"),
        ("{actor: tell, delivery: {retry: {max_delay: 1s}}}", Code.BAD_VALUE, "raise `max_delay`"),
        ("{actor: tell, batch: {}}", Code.MISSING_KEY, "{{provenance.pr_number}}"),
        ("{actor: tell, batch: {key: ''}}", Code.BAD_VALUE, ""),
        ("{actor: tell, batch: {key: '{{}}'}}", Code.BAD_TEMPLATE, ""),
        ("{actor: tell, batch: {key: k, window: 0s}}", Code.BAD_VALUE, ""),
        ("{actor: tell, batch: {key: k, window: 5}}", Code.BAD_VALUE, ""),
        ("{actor: tell, batch: {key: k, window: 2m, max_wait: 1m}}", Code.BAD_VALUE, "raise `max_wait`"),
        ("{actor: tell, batch: {key: k, max_events: 1}}", Code.BAD_VALUE, ""),
        ("{actor: tell, batch: {key: k, max_events: 501}}", Code.BAD_VALUE, ""),
        ("{actor: tell, batch: {key: k, debounce: 5s}}", Code.UNKNOWN_KEY, "`window`"),
        ("{actor: agent, batch: {key: k, max_wait: 24h}}", Code.BAD_VALUE, "lower `max_wait`"),
        ("{actor: agent, batch: {key: k, window: 5h}}", Code.BAD_VALUE, "lower `max_wait`"),
        ("{actor: agent, on_busy: wait}", Code.BAD_VALUE, ""),
        ("{actor: tell, on_busy: cancel_in_progress}", Code.BAD_VALUE, "`replace_pending`"),
        ("{actor: agent, batch: {key: k}, on_busy: skip}", Code.BAD_VALUE, "remove `on_busy` or `batch`"),
        ("{actor: agent, drop_when: {events: [a]}}", Code.MISSING_KEY, "{{provenance.pr_number}}"),
        ("{actor: agent, drop_when: {key: k}}", Code.MISSING_KEY, ""),
        ("{actor: agent, drop_when: {events: [], key: k}}", Code.BAD_VALUE, "every event"),
        ("{actor: agent, drop_when: {events: [' '], key: k}}", Code.BAD_VALUE, "its name"),
        ("{actor: agent, drop_when: {events: [a], key: '{{}}'}}", Code.BAD_TEMPLATE, ""),
        ("{actor: agent, drop_when: {events: [a], key: k, source: hoks}}", Code.UNKNOWN_SOURCE, "`hooks`"),
        ("{actor: agent, drop_when: {events: [a], key: k, source: tell}}", Code.UNKNOWN_SOURCE, "runs"),
        ("{actor: agent, drop_when: {events: [a], key: k, filter: {payload.x: []}}}", Code.BAD_FILTER, ""),
        ("{actor: agent, drop_when: {events: [a], key: k, filter: {'a..b': 1}}}", Code.BAD_FILTER, ""),
    ],
)
def test_a_then_that_cannot_be_meant_is_told(then: str, code: Code, hint: str, tmp_path: Path) -> None:
    when = "{source: hooks, events: [a]}"
    finding = only(load(tmp_path, route(f"  - {{name: x, when: {when}, then: {then}}}\n")))
    assert finding.code is code
    assert hint in finding.hint


@pytest.mark.parametrize(
    ("then", "key", "policy"),
    [
        ("batch: {key: '{{payload.pr}}'}", "{{payload.pr}}", BatchPolicy()),
        ("config: {session_key: '{{payload.pr}}'}, batch: {}", "{{payload.pr}}", BatchPolicy()),
        (
            "config: {session_key: '{{payload.x}}'}, batch: {key: all, window: 10s, max_events: 7}",
            "all",
            BatchPolicy(window_ms=10_000, max_wait_ms=50_000, max_events=7),
        ),
        (
            "batch: {key: k, window: 10s, max_wait: 10s}",
            "k",
            BatchPolicy(window_ms=10_000, max_wait_ms=10_000),
        ),
    ],
)
def test_a_batch_has_the_key_of_its_route_unless_it_names_its_own(
    then: str, key: str, policy: BatchPolicy, tmp_path: Path
) -> None:
    text = f"  - {{name: x, when: {{source: hooks, events: [a]}}, then: {{actor: agent, {then}}}}}\n"
    loaded = load(tmp_path, route(text))
    assert loaded.sound is not None
    *others, spec = loaded.sound.routes
    assert (spec.batch_key, spec.batch) == (key, policy)
    assert {other.batch for other in others} == {None}


@pytest.mark.parametrize(
    ("source", "then", "expected"),
    [
        ("hooks", "{actor: agent}", OnBusy.QUEUE),
        ("hooks", "{actor: agent, on_busy: skip}", OnBusy.SKIP),
        ("clock", "{actor: agent}", OnBusy.REPLACE_PENDING),
        ("clock", "{actor: agent, on_busy: queue}", OnBusy.QUEUE),
        ("clock", "{actor: agent, batch: {key: k}}", OnBusy.QUEUE),
    ],
)
def test_a_webhook_queues_and_a_tick_takes_the_place_of_the_one_that_waits(
    source: str, then: str, expected: OnBusy, tmp_path: Path
) -> None:
    clock = "  - {id: clock, connector: cron, config: {schedules: [{name: daily, cron: 0 9 * * *}]}}\n"
    text = HEAD.replace("actors:\n", f"{clock}actors:\n") + ROUTES
    text += f"  - {{name: x, when: {{source: {source}, events: ['*']}}, then: {then}}}\n"
    loaded = load(tmp_path, text)
    assert loaded.sound is not None
    assert loaded.sound.routes[-1].on_busy is expected
    assert loaded.sound.routes[-1].ticks is (source == "clock")


def test_what_makes_needless_has_the_source_and_the_key_of_its_route_unless_it_names_its_own(
    tmp_path: Path,
) -> None:
    found = []
    for then in [
        "config: {session_key: '{{payload.pr}}'}, drop_when: {events: [closed], filter: {payload.x: 1}}",
        "drop_when: {source: github, events: ['push*'], key: '{{payload.n}}'}",
    ]:
        text = f"  - {{name: x, when: {{source: hooks, events: [a]}}, then: {{actor: agent, {then}}}}}\n"
        loaded = load(tmp_path, route(text))
        assert loaded.sound is not None
        spec = loaded.sound.routes[-1]
        assert spec.drop_when is not None
        names = (spec.drop_when.source, spec.drop_when.events, len(spec.drop_when.filter))
        found.append((*names, spec.drop_key))
    assert found == [("hooks", ("closed",), 1, "{{payload.pr}}"), ("github", ("push*",), 0, "{{payload.n}}")]


def test_a_batch_that_changes_makes_its_route_another_one(tmp_path: Path) -> None:
    def mark(batch: str) -> str:
        then = f"{{actor: agent, batch: {batch}}}"
        text = f"  - {{name: x, when: {{source: hooks, events: [a]}}, then: {then}}}\n"
        loaded = load(tmp_path, route(text))
        assert loaded.sound is not None
        return loaded.sound.routes[-1].fingerprint

    others = ["{key: j}", "{key: k, window: 1m}", "{key: k, max_wait: 20m}", "{key: k, max_events: 5}"]
    assert mark("{key: k}") == mark("{key: k, window: 2m}")
    assert len({mark(batch) for batch in ["{key: k}", *others]}) == 5


@pytest.mark.parametrize(
    "then",
    [
        "approve: {}",
        *("config: {inbox: true}", "config: {inbox_ttl: 1h}", "config: {inbox_max_batch: 5}"),
    ],
)
def test_a_policy_that_nothing_acts_on_yet_is_an_error(then: str, tmp_path: Path) -> None:
    text = f"  - {{name: x, when: {{source: hooks, events: [a]}}, then: {{actor: agent, {then}}}}}\n"
    finding = only(load(tmp_path, route(text)))
    assert finding.code is Code.NOT_YET
    assert "not supported yet" in finding.message


@pytest.mark.parametrize(
    "text",
    [
        "  - {name: x, when: {source: hooks, events: [a]}, then: {actor: tell}, approve: {}}\n",
    ],
)
def test_other_keys_that_nothing_acts_on_yet_are_errors(text: str, tmp_path: Path) -> None:
    assert only(load(tmp_path, route(text))).code is Code.NOT_YET


@pytest.mark.parametrize(
    ("more", "hint"),
    [
        (", filter: {payload.a: 1}", "it belongs under `when`, as `filter`"),
        (", on: push", "it belongs under `when`, as `source` and `events`"),
        (", trigger: push", "it belongs under `when`, as `source` and `events`"),
        (", prompt_file: a.md", "it belongs under `with`, as `prompt_file`"),
        (", session_key: a", "it belongs under `then.config`"),
        (", with: {session_key: a}", "it belongs under `then.config`"),
        (", with: {prompt: a.md}", "write the path of a file as `prompt_file`"),
        (", actor: tell", "it belongs under `then`, as `actor`"),
        (", on_error: hold", "it belongs to a transform: `transforms: [{ref: NAME, on_error: …}]`"),
        (", dedup: a", "write a transform of the type `dedup`, and its name in `transforms`"),
        (", concurrency: 2", "it belongs under `then.limits`, as `runs`"),
        (", timeout: 5s", "it belongs under `then.delivery`"),
        ("|then: {actor: tell, session_key: a}", "it belongs under `then.config`"),
        ("|then: {actor: tell, prompt_file: a.md}", "write it beside `then`, as `with: {prompt_file: …}`"),
        ("|then: {actor: tell, timeout: 5s}", "it belongs under `then.delivery`"),
        ("|when: {source: hooks, events: [a], filters: {payload.a: 1}}", "write it as `filter`"),
        ("|when: {source: hooks, events: [a], session_key: a}", "it belongs under `then.config`"),
        ("|when: {source: hooks, events: [a], batch: {}}", "it belongs under `then`, beside `when`"),
        ("|when: {source: hooks, events: [a], budget: {}}", "it belongs under `then`, beside `when`"),
    ],
)
def test_a_key_at_the_wrong_place_is_sent_to_the_right_one(more: str, hint: str, tmp_path: Path) -> None:
    parts = {"when": "when: {source: hooks, events: [a]}", "then": "then: {actor: tell}"}
    added, _, replaced = more.partition("|")
    if replaced:
        parts[replaced.partition(":")[0]] = replaced
    text = f"  - {{name: x, {parts['when']}, {parts['then']}{added}}}\n"
    finding = only(load(tmp_path, route(text)))
    assert (finding.code, finding.hint) == (Code.UNKNOWN_KEY, hint)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("session_key: a", "it belongs to a route, under `then.config`"),
        ("prompt_file: a.md", "it belongs to a route, as `with: {prompt_file: …}`"),
        ("concurrency: 2", "it belongs under `limits`, as `runs`"),
        ("cwd: /srv", "write it under `config` if it is a setting of its connector; known keys: "),
    ],
)
def test_a_key_of_an_actor_at_the_wrong_place_is_sent_to_the_right_one(
    key: str, hint: str, tmp_path: Path
) -> None:
    text = f"actors:\n  - {{id: more, connector: process, config: {{command: [cat]}}, {key}}}\n"
    found = [one for one in load(tmp_path, text).findings if one.code is Code.UNKNOWN_KEY]
    assert [one.hint.startswith(hint) for one in found] == [True]


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("budget", "it belongs to an actor, beside `config`"),
        ("limits", "it belongs to an actor, beside `config`"),
        ("batch", "it belongs to a route, under `then`"),
        ("drop_when", "it belongs to a route, under `then`"),
    ],
)
def test_a_key_in_the_config_of_an_actor_is_sent_to_the_right_place(
    key: str, hint: str, tmp_path: Path
) -> None:
    text = f"actors:\n  - {{id: more, connector: process, config: {{command: [cat], {key}: {{}}}}}}\n"
    found = [one for one in load(tmp_path, text).findings if one.code is Code.UNKNOWN_KEY]
    assert [one.hint.startswith(hint) for one in found] == [True]


def test_a_missing_list_of_events_is_shown_as_it_is_written(tmp_path: Path) -> None:
    [found] = load(tmp_path, route("  - {name: x, when: {source: hooks}, then: {actor: tell}}\n")).errors
    assert (found.code, 'events: ["*"]' in found.hint) == (Code.MISSING_KEY, True)


@pytest.mark.parametrize(
    ("wanted", "severity"), [("a", Severity.ERROR), ("[a, b]", Severity.ERROR), ("null", Severity.WARNING)]
)
def test_a_filter_on_a_misspelt_root_is_an_error(wanted: str, severity: Severity, tmp_path: Path) -> None:
    when = f"{{source: hooks, events: [a], filter: {{payloud.service: {wanted}}}}}"
    found = only(load(tmp_path, route(f"  - {{name: x, when: {when}, then: {{actor: tell}}}}\n")))
    assert (found.code, found.severity, found.hint) == (
        Code.UNKNOWN_PATH,
        severity,
        "did you mean `payload.service`?",
    )


@pytest.mark.parametrize(
    ("source", "actor", "said", "trust"),
    [
        ("github", "agent", "", "team"),
        ("github", "agent", ", trust: any", "any"),
        ("github", "tell", "", "any"),
        ("hooks", "agent", "", "any"),
        ("hooks", "agent", ", trust: team", "team"),
        ("agent", "agent", ", filter: {payload.result.json.again: true}", "any"),
    ],
)
def test_trust_is_team_where_anybody_could_wake_an_agent(
    source: str, actor: str, said: str, trust: str, tmp_path: Path
) -> None:
    when = (
        f"{{source: {source}, events: [a, actor.stopped]{said}}}"
        if said
        else f"{{source: {source}, events: [a]}}"
    )
    organization = load(tmp_path, route(f"  - {{name: x, when: {when}, then: {{actor: {actor}}}}}\n")).sound
    assert organization is not None
    assert organization.routes[-1].trust == trust


def test_a_missing_prompt_file_is_an_error_that_names_the_nearest(tmp_path: Path) -> None:
    (tmp_path / "sops").mkdir()
    (tmp_path / "sops/review.md").write_text("Review.", "utf-8")
    text = route("    with: {prompt_file: ./sops/reviw.md}\n")
    finding = only(load(tmp_path, text))
    assert (finding.code, finding.path) == (Code.MISSING_SOP, "routes.1.with.prompt_file")
    assert finding.hint == "did you mean `review.md`?"


def test_each_route_is_told_why_its_prompt_file_cannot_be_read(tmp_path: Path) -> None:
    missing = "    with: {prompt_file: ./nowhere.md}\n"
    more = "  - name: x\n    when: {source: hooks, events: [a]}\n    then: {actor: tell}\n"
    loaded = load(tmp_path, route(missing + more + missing))
    assert codes(loaded) == [Code.MISSING_SOP] * 2
    assert all(finding.message.endswith("it does not exist") for finding in loaded.findings)


def test_the_prompt_file_beside_the_route_wins_over_the_projects(tmp_path: Path) -> None:
    text = "routes:\n  - name: x\n    when: {source: hooks, events: [a]}\n    then: {actor: tell}\n"
    files = {
        "orgloop.yaml": HEAD + ROUTES,
        "routes/x.yaml": f"{text}    with: {{prompt_file: sops/a.md}}\n",
        "sops/a.md": "The project's.",
        "routes/sops/a.md": "The route's.",
    }
    assert sound(load(tmp_path, files)).routes[-1].prompt_file == tmp_path / "routes/sops/a.md"


def test_a_route_without_its_prompt_file_is_not_sound(tmp_path: Path) -> None:
    loaded = load(tmp_path, route("    with: {prompt_file: ./nowhere.md}\n"))
    assert loaded.sound is not None
    assert [one.name for one in loaded.sound.routes] == ["work"]


@pytest.mark.parametrize("text", ["", "null", "''"])
def test_a_prompt_file_without_a_name_is_an_error_and_no_wake_without_an_sop(
    text: str, tmp_path: Path
) -> None:
    loaded = load(tmp_path, route(f"    with:\n      prompt_file: {text}\n"))
    assert only(loaded).path == "routes.1.with.prompt_file"
    assert loaded.sound is not None
    assert [one.name for one in loaded.sound.routes] == ["work"]


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_prompt_file_that_is_no_text_is_an_error(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "sop.md"
    path.mkdir() if content is None else path.write_bytes(content)
    assert only(load(tmp_path, route("    with: {prompt_file: sop.md}\n"))).code is Code.MISSING_SOP


def test_a_prompt_file_that_is_too_large_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sop.md").write_bytes(b"x" * (MAX_BYTES + 1))
    finding = only(load(tmp_path, route("    with: {prompt_file: sop.md}\n")))
    assert finding.code is Code.MISSING_SOP
    assert finding.message.endswith("its prompt file sop.md cannot be read: it is larger than 1 MB")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("Fix {{payload.title}}.", 1),
        ("---\nowner: me\n---\n\nFix {{payload.title}}.", 5),
        ("---\nrender: yes\n---\nFix {{payload.title}}.", 4),
        ("---\nrender: true\n---\nFix {{payload.title}}.", None),
        ("---\r\nrender: true\r\n---\r\nFix {{payload.title}}.", None),
        ("\ufeff---\nrender: true\n---\nFix {{payload.title}}.", None),
        ("\ufeffFix {{payload.title}}.", 1),
        ("Fix it.", None),
        ("---\nnote: '{{x}}'\n---\nFix it.", None),
    ],
)
def test_placeholders_in_a_prompt_file_that_is_not_rendered_are_doubted(
    content: str, line: int | None, tmp_path: Path
) -> None:
    (tmp_path / "sop.md").write_bytes(content.encode())
    loaded = load(tmp_path, route("    with: {prompt_file: sop.md}\n"))
    if line is None:
        assert codes(loaded) == []
    else:
        finding = only(loaded)
        assert (finding.code, finding.file, finding.line) == (Code.UNRENDERED_SOP, "sop.md", line)


@pytest.mark.parametrize(
    ("content", "line", "hint"),
    [
        ("---\nrender: true\ntitle: Fix: it\n---\n{{payload.title}}", 3, "values that contain `: `"),
        ("---\n\ttitle: x\n---\nFix it.", 2, "not with tabs"),
        ("---\n- render\n---\nFix it.", 2, "such as `render: true`"),
        ("---\nrender\n---\nFix it.", 2, "such as `render: true`"),
    ],
)
def test_front_matter_that_cannot_be_read_is_doubted_at_its_line(
    content: str, line: int, hint: str, tmp_path: Path
) -> None:
    (tmp_path / "sop.md").write_text(content, "utf-8")
    finding = only(load(tmp_path, route("    with: {prompt_file: sop.md}\n")))
    assert (finding.code, finding.file, finding.line) == (Code.FRONT_MATTER, "sop.md", line)
    assert hint in finding.hint


@pytest.mark.parametrize("content", ["---\n---\nFix it.", "---\n# nothing\n---\nFix it.", "--- \nFix it."])
def test_front_matter_that_says_nothing_is_not_doubted(content: str, tmp_path: Path) -> None:
    (tmp_path / "sop.md").write_text(content, "utf-8")
    assert codes(load(tmp_path, route("    with: {prompt_file: sop.md}\n"))) == []


def test_one_prompt_file_of_many_routes_is_doubted_once(tmp_path: Path) -> None:
    (tmp_path / "sop.md").write_text("{{x}}", "utf-8")
    same = "    with: {prompt_file: sop.md}\n"
    more = "  - name: x\n    when: {source: hooks, events: [a]}\n    then: {actor: tell}\n"
    only(load(tmp_path, route(same + more + same)))


def test_a_route_needs_all_its_parts_and_each_missing_one_is_told(tmp_path: Path) -> None:
    found = load(tmp_path, route("  - {description: x}\n"))
    assert [finding.message for finding in found.errors] == [
        "route number 3: `name` is missing",
        "route number 3: `then` is missing",
        "route number 3: `when` is missing",
    ]


@pytest.mark.parametrize(
    ("written", "path", "hint"),
    [
        ("when: hooks, then: {actor: tell}", "when", "its keys: events, filter, source, trust"),
        (
            "when: {source: hooks, events: [a]}, then: tell",
            "then",
            "its keys: actor, batch, budget, config, delivery, drop_when, limits, on_busy",
        ),
        (
            "when: {source: hooks, events: [a]}, then: {actor: tell}, with: x.md",
            "with",
            "its keys: prompt_file",
        ),
        ("when: {source: hooks, events: [issue: a]}, then: {actor: tell}", "when.events.0", "in quotes"),
    ],
)
def test_a_part_of_the_wrong_shape_is_the_only_thing_told(
    written: str, path: str, hint: str, tmp_path: Path
) -> None:
    text = HEAD + ROUTES.split("  - name: notice")[0] + f"  - {{name: x, {written}}}\n"
    finding = only(load(tmp_path, text))
    assert (finding.code, finding.path) == (Code.WRONG_TYPE, f"routes.1.{path}")
    assert hint in finding.hint


def test_events_filter_and_policy_arrive_as_written(tmp_path: Path) -> None:
    text = """\
  - name: x
    description: What it is for
    when: {source: hooks, events: ["a.*", b], filter: {payload.n: [1, true, null], type: a.b}}
    then: {actor: tell, config: {a: 1, b: {c: "{{payload.n}}"}}}
"""
    found = sound(load(tmp_path, route(text))).routes[-1]
    assert found.description == "What it is for"
    assert (found.when.source, found.when.events) == ("hooks", ("a.*", "b"))
    assert [(line.path.text, line.values) for line in found.when.filter] == [
        ("payload.n", (1, True, None)),
        ("type", ("a.b",)),
    ]
    assert found.config == {"a": 1, "b": {"c": "{{payload.n}}"}}
    assert (found.session_key, found.prompt_file, found.max_runs) == (None, None, None)


def test_the_route_that_a_finding_is_about_is_named(tmp_path: Path) -> None:
    text = "  - {name: the one, when: {source: nobody, events: [a]}, then: {actor: tell}}\n"
    assert of(load(tmp_path, route(text)), Code.UNKNOWN_SOURCE).message.startswith("route 'the one': ")


@pytest.mark.parametrize(
    ("text", "line", "right"),
    [
        ("---\nrender: true\n---\n\n# {{ payload.items[0].n }}\n", 5, "write {{ payload.items.0.n }}"),
        ("---\nrender: true\n---\n{{ payload.n | default(0) }}\n", 4, "write {{ payload.n ?? 0 }}"),
        (
            "---\r\nrender: true\r\n---\r\n\r\n\r\n{{ payload.n\t| upper }}\r\n",
            6,
            "write keys joined by dots",
        ),
    ],
)
def test_a_placeholder_of_a_prompt_file_that_cannot_be_filled_in_is_an_error(
    text: str, line: int, right: str, tmp_path: Path
) -> None:
    files = {
        "orgloop.yaml": route(
            "  - {name: x, when: {source: github, events: [a]}, then: {actor: agent},"
            " with: {prompt_file: sop.md}}\n"
        ),
        "sop.md": text,
    }
    finding = only(load(tmp_path, files))
    assert (finding.code, finding.file, finding.line) == (Code.BAD_TEMPLATE, "sop.md", line)
    assert right in finding.hint


def test_a_placeholder_with_a_default_is_sound_everywhere(tmp_path: Path) -> None:
    text = """\
  - name: x
    when: {source: github, events: [a], filter: {'payload."a.b"': 1}}
    then:
      actor: agent
      config: {session_key: 'x:{{payload.n ?? "none"}}', text: "{{ payload.a ?? payload.b }}"}
    with: {prompt_file: sop.md}
"""
    sop = '---\nrender: true\n---\n{{ payload.title ?? "no title" }}\n'
    assert codes(load(tmp_path, {"orgloop.yaml": route(text), "sop.md": sop})) == []


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ("renamed_from: y", "there is a route 'y'"),
        ("renamed_from: [a, a]", "named by `renamed_from` twice"),
        ("renamed_from: ['']", "cannot be the name"),
        ("renamed_from: x", "there is a route 'x'"),
    ],
)
def test_an_earlier_name_is_one_that_nothing_has_now(more: str, fault: str, tmp_path: Path) -> None:
    text = f"""
  - {{name: x, when: {{source: hooks, events: [a]}}, then: {{actor: tell}}, {more}}}
  - {{name: y, when: {{source: hooks, events: [b]}}, then: {{actor: tell}}}}
"""
    found = only(load(tmp_path, route(text)))
    assert (found.code, fault in found.message) == (Code.BAD_VALUE, True)


def test_a_lost_run_is_resumed_only_where_there_is_a_session(tmp_path: Path) -> None:
    for then in ("actor: agent, on_lost: resume", "actor: tell, on_lost: resume, config: {session_key: k}"):
        text = f"  - {{name: x, when: {{source: hooks, events: [a]}}, then: {{{then}}}}}\n"
        (found,) = load(tmp_path, route(text)).errors
        assert (found.code, "on_lost" in found.message) == (Code.BAD_VALUE, True)


KEYED = 'config: {session_key: "{{payload.id}}"}'


@pytest.mark.parametrize(
    ("then", "policy"),
    [
        ("actor: agent", SessionPolicy()),
        (f"actor: agent, session: resume, {KEYED}", SessionPolicy()),
        (f"actor: agent, session: fork, {KEYED}", SessionPolicy(mode=SessionMode.FORK)),
        (f"actor: agent, session: {{mode: fresh}}, {KEYED}", SessionPolicy(mode=SessionMode.FRESH)),
        (
            f"actor: agent, session: {{max_wakes: 20, max_age: 3d}}, {KEYED}",
            SessionPolicy(max_wakes=20, max_age_ms=259_200_000),
        ),
    ],
)
def test_a_route_says_which_session_a_run_works_in(then: str, policy: SessionPolicy, tmp_path: Path) -> None:
    text = f"  - {{name: x, when: {{source: hooks, events: [a]}}, then: {{{then}}}}}\n"
    organization = sound(load(tmp_path, route(text)))
    assert [one.session for one in organization.routes if one.name == "x"] == [policy]


@pytest.mark.parametrize(
    ("then", "code", "told"),
    [
        ("actor: agent, session: resume", Code.MISSING_KEY, "needs a session key"),
        (f"actor: agent, session: new, {KEYED}", Code.BAD_VALUE, "`resume`, `fork` or `fresh`"),
        (f"actor: agent, session: {{max_wakes: 0}}, {KEYED}", Code.BAD_VALUE, "at least 1"),
        (
            f"actor: agent, session: {{mode: fresh, max_wakes: 3}}, {KEYED}",
            Code.BAD_VALUE,
            "begins a session anyway",
        ),
        (f"actor: agent, session: {{max_turns: 3}}, {KEYED}", Code.UNKNOWN_KEY, "max_turns"),
        (
            f"actor: agent, session: {{max_context_tokens: 3}}, {KEYED}",
            Code.BAD_VALUE,
            "does not report its context",
        ),
        (f"actor: tell, session: fork, {KEYED}", Code.BAD_VALUE, "keeps no sessions"),
        (f"actor: fixed, session: fork, {KEYED}", Code.BAD_VALUE, "cannot copy a session"),
    ],
)
def test_a_session_that_its_actor_cannot_have_is_refused(
    then: str, code: Code, told: str, tmp_path: Path
) -> None:
    fixed = (
        "  - {id: fixed, connector: claude-code, config: {cwd: ., permission_mode: acceptEdits}}\nroutes:\n"
    )
    text = f"  - {{name: x, when: {{source: hooks, events: [a]}}, then: {{{then}}}}}\n"
    finding = of(load(tmp_path, route(text).replace("routes:\n", fixed, 1)), code)
    assert told in f"{finding.message} {finding.hint}"
