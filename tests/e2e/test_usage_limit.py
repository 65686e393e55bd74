"""A usage limit with real processes: parked over kills of the daemon, probed by one run, then all go on."""

from __future__ import annotations

from pathlib import Path

from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Query
from tests.e2e.organization import Organization, wait_for

PROJECT = """
metadata: {name: limit}
accounts: {work: {}}
sources:
  - {id: hook, connector: webhook, config: {}}
actors:
  - &agent
    id: one
    connector: process
    account: work
    config:
      command: [./bin/agent]
      overlap: true
      output:
        message: {type: message}
        message_text: text
        result: {type: result}
        result_text: text
        failed: {status: error}
        error: error
        usage_limit: [usage limit reached]
  - {<<: *agent, id: two}
routes:
  - {name: to-one, when: {source: hook, events: [one]}, then: {actor: one}}
  - {name: to-two, when: {source: hook, events: [two]}, then: {actor: two}}
"""

AGENT = """#!/bin/sh
cat > /dev/null
echo "$ORGLOOP_ACTOR" >> "$TRIES"
if [ -e "$LIMITED" ]; then
    echo '{"type": "result", "status": "error", "error": "usage limit reached, try again in 3 seconds"}'
    exit 1
fi
echo '{"type": "message", "text": "at work"}'
echo '{"type": "result", "text": "done"}'
"""


def test_a_limit_parks_its_account_over_kills_and_one_run_probes_before_the_others(
    organization: Organization, tmp_path: Path
) -> None:
    tries, limit = tmp_path / "tries", tmp_path / "limited"
    agent = AGENT.replace("$TRIES", str(tries)).replace("$LIMITED", str(limit))
    organization.write({"orgloop.yaml": PROJECT, "bin/agent": agent})
    limit.touch()
    organization.start()
    assert organization.post("hook", {"type": "one"})[0] == 200

    def is_parked() -> bool:
        with organization.reader() as reader:
            return [one.account for one in reader.parked()] == ["work"]

    wait_for("the limit", is_parked)
    for kind in ("two", "one", "two"):
        assert organization.post("hook", {"type": kind})[0] == 200
    known = len(tries.read_text().split())
    organization.kill()
    assert is_parked()
    organization.start()
    # However often it is probed, no other run than the probe starts while the limit lasts.
    wait_for("another probe", lambda: len(tries.read_text().split()) > known)
    wait_for("the limit again", is_parked)
    with organization.reader() as reader:
        assert not reader.deliveries(Query(states=[State.DELIVERED, State.DEAD]))
        waiting = reader.deliveries(Query(states=[State.PENDING]))
        assert {row.attempts for row in waiting} == {0}
        assert len(waiting) >= 3, "all but the probe"
    limit.unlink()

    def all_done() -> bool:
        with organization.reader() as reader:
            return [row.state for row in reader.deliveries(Query())] == [State.DELIVERED] * 4

    wait_for("all work to be done", all_done)
    assert not is_parked()
    with organization.reader() as reader:
        began = [run for run in reader.runs(Query()) if run.outcome == "success"]
    assert len(began) == 4
    assert {run.completion["account"] for run in began} == {"work"}
    assert organization.stop() == 0
