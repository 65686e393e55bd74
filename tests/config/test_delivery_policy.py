"""`delivery` of the project, of an actor and of a route: what holds where, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from orgloop.config.diff import diff
from orgloop.config.findings import Code
from orgloop.config.model import Organization
from orgloop.core.deliveries.breaker import BreakerPolicy
from orgloop.core.deliveries.queue_limit import Overflow
from tests.config.project import load, only, sound

DEFAULT: Final = "defaults.delivery.max_rate"
USUAL: Final = BreakerPolicy()


def project(*, defaults: str = "{}", agent: str = "", tell: str = "", route: str = "") -> str:
    return f"""metadata: {{name: test}}
defaults: {{delivery: {defaults}}}
sources: [{{id: hooks, connector: webhook}}]
actors:
  - {{id: agent, connector: claude-code, config: {{cwd: .}}{agent}}}
  - {{id: tell, connector: webhook, config: {{url: "https://example.com"}}{tell}}}
routes:
  - {{name: work, when: {{source: hooks, events: ["*"]}}, then: {{actor: agent{route}}}}}
  - {{name: notice, when: {{source: hooks, events: ["*"]}}, then: {{actor: tell}}}}
"""


def organization(root: Path, **parts: str) -> Organization:
    return sound(load(root, project(**parts)))


@pytest.mark.parametrize(
    ("parts", "agent", "tell"),
    [
        ({}, USUAL, None),
        ({"defaults": "{circuit_breaker: {}}"}, USUAL, USUAL),
        ({"defaults": "{circuit_breaker: null}"}, None, None),
        ({"defaults": "{circuit_breaker: null}", "agent": ", delivery: {circuit_breaker: {}}"}, USUAL, None),
        ({"agent": ", delivery: {circuit_breaker: null}"}, None, None),
        (
            {
                "defaults": "{circuit_breaker: {failure_threshold: 2}}",
                "tell": ", delivery: {circuit_breaker: {cooldown: 1m}}",
            },
            BreakerPolicy(failure_threshold=2),
            BreakerPolicy(failure_threshold=2, cooldown_ms=60_000),
        ),
    ],
    ids=str,
)
def test_which_actor_has_which_circuit_breaker(
    parts: dict[str, str], agent: BreakerPolicy | None, tell: BreakerPolicy | None, tmp_path: Path
) -> None:
    actors = organization(tmp_path, **parts).actors
    assert (actors["agent"].breaker, actors["tell"].breaker) == (agent, tell)


def test_what_a_route_does_not_say_its_actor_says_and_then_the_project(tmp_path: Path) -> None:
    found = organization(
        tmp_path,
        defaults="{max_age: 3h, retry: {max_attempts: 2, initial_delay: 2s}}",
        agent=", delivery: {timeout: 9s, retry: {max_attempts: 3}}",
        route=", delivery: {retry: {max_attempts: 4}}",
    )
    work, notice = (route.policy for route in found.routes)
    assert (work.max_age_ms, work.timeout_ms) == (10_800_000, 9_000)
    assert (work.retry.max_attempts, work.retry.initial_delay_ms) == (4, 2_000)
    assert (notice.timeout_ms, notice.retry.max_attempts) == (30_000, 2)


@pytest.mark.parametrize(
    ("parts", "code", "says", "line"),
    [
        ({"route": ", delivery: {circuit_breaker: {}}"}, Code.UNKNOWN_KEY, "it belongs to the actor", 8),
        (
            {"agent": ", delivery: {circuit_breaker: {failure_threshold: 0}}"},
            Code.BAD_VALUE,
            "failure_threshold",
            5,
        ),
        ({"tell": ", delivery: {circuit_breaker: {cooldown: 5}}"}, Code.BAD_VALUE, "cooldown", 6),
        ({"defaults": "{circuit_breaker: {colldown: 5s}}"}, Code.UNKNOWN_KEY, "cooldown", 2),
        ({"defaults": "{circuit_breaker: true}"}, Code.WRONG_TYPE, "circuit_breaker", 2),
        ({"route": ", delivery: {overflow: hold}"}, Code.BAD_VALUE, "without a `queue_depth`", 8),
        ({"defaults": "{queue_depth: 0}"}, Code.BAD_VALUE, "at least 1", 2),
        ({"agent": ", delivery: {queue_depth: 5, overflow: dropp}"}, Code.BAD_VALUE, "drop_oldest", 5),
        ({"route": ", delivery: {max_rate: 100}"}, Code.BAD_VALUE, "such as 100/s", 8),
        ({"route": ", delivery: {order: loose}"}, Code.BAD_VALUE, "`strict` or `none`", 8),
        ({"defaults": "{max_rate: 0/s}"}, Code.BAD_VALUE, "between 1 and", 2),
        ({"agent": ", delivery: {max_rate: 5/d}"}, Code.BAD_VALUE, "one of s, m, h", 5),
        ({"agent": ", delivery: {retry: {max_delay: 1s}}"}, Code.BAD_VALUE, "`delivery.retry`", 5),
    ],
    ids=str,
)
def test_what_has_no_meaning_is_refused_where_it_stands(
    parts: dict[str, str], code: Code, says: str, line: int, tmp_path: Path
) -> None:
    finding = only(load(tmp_path, project(**parts)))
    assert finding.code is code
    assert says in f"{finding.message} {finding.hint}"
    assert (finding.file, finding.line) == ("orgloop.yaml", line)
    assert (finding.column or 0) > 1


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ({"defaults": "{circuit_breaker: {cooldown: 1m}}"}, "delivery.circuit_breaker.cooldown"),
        ({"agent": ", delivery: {circuit_breaker: null}"}, "delivery.circuit_breaker"),
        ({"route": ", delivery: {timeout: 1m}"}, "then.delivery.timeout"),
        ({"route": ", delivery: {max_rate: 1/m}"}, "then.delivery.max_rate"),
        ({"route": ", delivery: {queue_depth: 9}"}, "then.delivery.queue_depth"),
    ],
    ids=str,
)
def test_plan_shows_each_change(parts: dict[str, str], path: str, tmp_path: Path) -> None:
    before = organization(tmp_path).snapshot
    changed = [item for item in diff(before, organization(tmp_path, **parts).snapshot).items if item.fields]
    assert [field[0] for item in changed for field in item.fields][:1] == [path]


@pytest.mark.parametrize(
    ("parts", "work", "notice"),
    [
        ({}, None, None),
        (
            {"defaults": "{max_rate: 5/m}"},
            (5, DEFAULT),
            (5, DEFAULT),
        ),
        (
            {"defaults": "{max_rate: 5/m}", "tell": ", delivery: {max_rate: null}"},
            (5, DEFAULT),
            None,
        ),
        (
            {"agent": ", delivery: {max_rate: 6/h}", "route": ", delivery: {max_rate: 7/s}"},
            (7, "then.delivery.max_rate"),
            None,
        ),
        ({"tell": ", delivery: {max_rate: 6/h}"}, None, (6, "delivery.max_rate")),
    ],
    ids=str,
)
def test_which_route_has_which_rate_and_where_it_stands(
    parts: dict[str, str], work: tuple[int, str] | None, notice: tuple[int, str] | None, tmp_path: Path
) -> None:
    rates = [route.policy.max_rate for route in organization(tmp_path, **parts).routes]
    assert [None if rate is None else (rate.most, rate.setting) for rate in rates] == [work, notice]


@pytest.mark.parametrize(
    ("parts", "work"),
    [
        ({}, None),
        ({"defaults": "{queue_depth: 9}"}, (9, Overflow.HOLD)),
        (
            {"defaults": "{queue_depth: 9, overflow: refuse}", "route": ", delivery: {queue_depth: 3}"},
            (3, Overflow.REFUSE),
        ),
        (
            {"defaults": "{queue_depth: 9}", "route": ", delivery: {overflow: drop_oldest}"},
            (9, Overflow.DROP_OLDEST),
        ),
        ({"defaults": "{queue_depth: 9}", "agent": ", delivery: {queue_depth: null}"}, None),
    ],
    ids=str,
)
def test_how_much_of_a_route_may_wait(
    parts: dict[str, str], work: tuple[int, Overflow] | None, tmp_path: Path
) -> None:
    queue = organization(tmp_path, **parts).routes[0].policy.queue
    assert (None if queue is None else (queue.depth, queue.overflow)) == work


@pytest.mark.parametrize(
    ("defaults", "repeats", "per_key"),
    [
        ("{}", 2, 50),
        ("{limits: {max_repeats: 0, runs_per_key: 7}}", 0, 7),
        ("{limits: {max_repeats: null, runs_per_key: null}}", None, None),
        ("{budget: {runs_per_hour: 20}}", 2, 50),
        ("{budget: {runs_per_hour: 600}}", 2, 500),
        ("{budget: {runs_per_hour: null}}", 2, None),
        ("{budget: {runs_per_hour: null}, limits: {runs_per_key: 9}}", 2, 9),
    ],
)
def test_what_stops_loops(defaults: str, repeats: int | None, per_key: int | None, tmp_path: Path) -> None:
    text = project().replace("defaults: {delivery: {}}", f"defaults: {defaults}")
    found = sound(load(tmp_path, text)).defaults
    assert (found.max_repeats, found.runs_per_key) == (repeats, per_key)


def test_where_the_order_of_a_key_is_kept(tmp_path: Path) -> None:
    found = organization(tmp_path, agent=", delivery: {order: none}")
    work, notice = found.routes
    assert (work.policy.ordered, notice.policy.ordered) == (False, True)
    again = organization(tmp_path, agent=", delivery: {order: none}", route=", delivery: {order: strict}")
    assert again.routes[0].policy.ordered
    assert again.routes[0].fingerprint != work.fingerprint


@pytest.mark.parametrize(
    ("limits", "memory", "load_limit"),
    [
        ("{}", 100 * 1024**2, None),
        ("{memory_free: 1.5 GB, load: 8}", 3 * 512 * 1024**2, 8),
        ("{memory_free: null}", None, None),
    ],
)
def test_what_a_machine_needs_to_start_a_program(
    limits: str, memory: int | None, load_limit: float | None, tmp_path: Path
) -> None:
    text = project().replace("defaults: {delivery: {}}", f"defaults: {{limits: {limits}}}")
    found = sound(load(tmp_path, text)).defaults
    assert (found.memory_free, found.load) == (memory, load_limit)


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ("{memory_free: 100}", "such as 100MB"),
        ("{memory_free: 5 XB}", "is not a size"),
        ("{load: 0}", "greater than 0"),
        ("{load: true}", "must be a number"),
        ("{max_repeats: -1}", "at least 0"),
        ("{runs_per_key: 0}", "at least 1"),
    ],
)
def test_a_limit_of_the_machine_or_of_loops_that_is_none(limits: str, says: str, tmp_path: Path) -> None:
    text = project().replace("defaults: {delivery: {}}", f"defaults: {{limits: {limits}}}")
    finding = only(load(tmp_path, text))
    assert says in f"{finding.message} {finding.hint}"
    assert (finding.file, finding.line) == ("orgloop.yaml", 2)


@pytest.mark.parametrize(
    "parts",
    [
        {"route": ", batch: {key: '{{payload.a}}', window: 3 sec, max_wait: 10s}"},
        {"route": ", batch: {key: '{{payload.a}}', window: 3h, max_wait: 10 sec}"},
        {"route": ", batch: {key: '{{payload.a}}', window: 3h, max_wait: 9h}, delivery: {max_age: 2 dys}"},
        {
            "defaults": "{max_age: 2 dys}",
            "route": ", batch: {key: '{{payload.a}}', window: 3h, max_wait: 9h}",
        },
        {"route": ", delivery: {retry: {initial_delay: 3 dys, max_delay: 1ms}}"},
        {"route": ", delivery: {retry: {initial_delay: 3d, max_delay: 4 dys}}"},
        {"defaults": "{retry: {max_delay: 4 dys}}", "route": ", delivery: {retry: {initial_delay: 3d}}"},
        {"route": ", delivery: {queue_depth: many, overflow: hold}"},
    ],
    ids=str,
)
def test_a_value_that_is_wrong_by_itself_is_compared_with_nothing(
    parts: dict[str, str], tmp_path: Path
) -> None:
    only(load(tmp_path, project(**parts)))
