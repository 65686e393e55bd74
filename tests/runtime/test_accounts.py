"""Accounts with real programs: their variables, the next one meanwhile, and what is told of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from orgloop.plugin import ExitInfo, Limited, NotBegun, RunSpec, Wake, WakeSession
from orgloop.runtime.runs.completion import by_exit_status
from tests.runtime.engine import NOON, engine, until
from tests.runtime.fakes import Stage

PROJECT = """
accounts:
  work: {env: {TOKEN_A: work}}
  spare: {env: {TOKEN_B: spare}}
sources: [{id: in, connector: receiver}]
actors:
  - {id: one, connector: agent, accounts: [work, spare]}
  - {id: two, connector: agent, account: work}
routes:
  - {name: first, when: {source: in, events: ["*"], filter: {payload.who: one}}, then: {actor: one}}
  - {name: second, when: {source: in, events: ["*"], filter: {payload.who: two}}, then: {actor: two}}
"""
PRINT = 'echo "A=$TOKEN_A B=$TOKEN_B K=$API_KEY"'


def program(wake: Wake, session: WakeSession | None) -> RunSpec:
    return RunSpec(
        argv=["sh", "-c", PRINT],
        cwd="/",
        env={"API_KEY": "own", "TOKEN_A": "own"},
        logins=["API_KEY", "TOKEN_A", "TOKEN_B"],
    )


async def test_the_next_account_pays_while_a_limit_lasts_and_all_outputs_say_so(tmp_path: Path) -> None:
    limited = [True]

    def finish(exit: ExitInfo) -> Any:
        if limited and "A=work" in exit.stdout:
            return NotBegun(outcome=Limited(account="whatever", until=NOON + 60_000))
        return by_exit_status(exit)

    stage = Stage(programs={"one": program, "two": program}, finishes={"one": finish, "two": finish})
    async with engine(tmp_path, PROJECT, stage) as it:
        await it.emit(1, who="one")
        await until(lambda: "delivered" in it.states(route="first"), "a run with the next account")
        (stopped,) = [row for row in it.events() if row.type == "actor.stopped"]
        payload = stopped.document["payload"]
        # An account brings its login: others are kept out, as a key of the actor's own would win over it.
        assert payload["result"]["text"].strip() == "A= B=spare K="
        assert (payload["account"], payload["account_instead_of"]) == ("spare", "work")
        assert [run.spec["account"] for run in it.runs()] == ["work", "spare"]
        # Another actor of the same account does not even try.
        await it.emit(2, who="two")
        await until(it.full_scopes, "an actor that waits for its account")
        assert it.states(route="second") == ["pending"]
        limited.clear()
        it.clock.advance(60)
        await until(lambda: it.states(route="second") == ["delivered"], "the probe")
        assert it.reader.parked() == []
        await it.emit(3, who="one")
        await until(lambda: it.states(route="first") == ["delivered"] * 2, "the first account again")
        ends = [row.document["payload"] for row in it.events() if row.type == "actor.stopped"]
        assert ends[-1]["account"] == "work"
        assert "account_instead_of" not in ends[-1]


async def test_quiet_hours_end_by_themselves(tmp_path: Path) -> None:
    # It is 08:00 UTC at the engine's noon.
    project = PROJECT.replace("accounts: [work, spare]", 'quiet_hours: "07:00-08:30 UTC"')
    async with engine(tmp_path, project, Stage(programs={"one": program})) as it:
        for number in range(3):
            await it.emit(number, who="one")
        await until(it.full_scopes, "an actor that waits")
        assert it.states() == ["pending"] * 3
        it.clock.advance(30 * 60)
        await until(lambda: it.states(route="first") == ["delivered"] * 3, "the end of the quiet hours")
        assert it.reader.waits() == []


async def test_the_tokens_of_an_agent_that_tells_no_cost_are_priced(tmp_path: Path) -> None:
    def finish(exit: ExitInfo) -> Any:
        return replace(by_exit_status(exit), tokens={"input": 1_000_000, "output": 100_000})

    project = PROJECT.replace("accounts: [work, spare]", "price: {input: 2, output: 10}").replace(
        "  spare: {env: {TOKEN_B: spare}}\n", ""
    )
    stage = Stage(programs={"one": program}, finishes={"one": finish})
    async with engine(tmp_path, project, stage) as it:
        await it.emit(1, who="one")
        await until(lambda: it.states(route="first") == ["delivered"], "a run")
        (run,) = it.runs()
        assert run.cost_usd == 3.0
        assert run.completion["cost_estimated"] is True
