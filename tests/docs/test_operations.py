"""The examples of docs/cli-operations.md work as they stand, where there is something to look at."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from orgloop.cli.root import main
from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Query
from tests.docs import pages
from tests.docs.pages import ROOT
from tests.e2e.organization import Organization, wait_for
from tests.e2e.sink import Sink

PAGE: Final = "docs/cli-operations.md"

ELSEWHERE: Final = ("orgloop demo", "orgloop service ")
"""The demo has a test of its own; what `service` tells systemd or launchd would meet this machine's."""

PROJECT: Final = """
metadata: {name: acme}
accounts: {work: {}}
sources:
  - {id: github, connector: github}
  - {id: webhook, connector: webhook}
  - {id: claude-code, connector: claude-code}
actors:
  - {id: engineer, connector: process, config: {command: ["true"]}}
  - {id: sleeper, connector: process, account: work, config: {command: [sleep, "600"], overlap: true}}
  - {id: notify, connector: webhook, config: {url: "${SINK}/status/404"}}
routes:
  - name: pr-review
    when: {source: github, events: [pull_request_review]}
    then: {actor: engineer}
    with: {prompt_file: sop.md}
  - {name: tell, when: {source: webhook, events: [deploy.failed]}, then: {actor: notify}}
  - {name: sleep, when: {source: webhook, events: [sleep]}, then: {actor: sleeper}}
  - {name: ended, when: {source: claude-code, events: [actor.stopped]}, then: {actor: engineer}}
"""


def commands() -> list[str]:
    lines = [line for block in pages.blocks("sh", pages=(PAGE,)) for line in block.text.splitlines()]
    return [line for line in lines if not line.startswith(ELSEWHERE)]


def review(association: str, number: int) -> dict[str, object]:
    """The demo's review, of somebody who stands in this relation to the repository."""
    body = json.loads((ROOT / "src/orgloop/project/demo/review.json").read_text())
    body["review"]["id"] = number
    body["review"]["author_association"] = association
    assert isinstance(body, dict)
    return body


@pytest.fixture
def acme(organization: Organization, sink: Sink) -> Iterator[Organization]:
    """An organization in which something is done, something runs, something is dead and something is held."""
    organization.environ = {
        "HOME": str(organization.root.parent),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    organization.write(
        {"orgloop.yaml": PROJECT, "sop.md": "# Read the review\n", ".env": f"SINK={sink.url}\n"}
    )
    organization.command("start", "--daemon", "--supervised")
    yield organization
    organization.command("stop", check=False)


def ids(acme: Organization) -> dict[str, str]:
    """By how a command begins, the id that it is to be about."""
    headers = {"X-GitHub-Event": "pull_request_review"}
    for number, association in enumerate(("MEMBER", "NONE", "NONE")):
        delivery = {"X-GitHub-Delivery": str(number)}
        assert acme.post("github", review(association, number), {**headers, **delivery})[0] == 200
    for kind in ("deploy.failed", "deploy.failed", "sleep"):
        assert acme.post("webhook", {"type": kind})[0] == 200

    def first(route: str, state: State) -> str:
        def look() -> str | None:
            with acme.reader() as reader:
                found = reader.deliveries(Query(route=route, states=(state,)))
            return found[0].id if found else None

        return wait_for(f"a delivery of {route} that is {state}", look)

    done, at_work = first("pr-review", State.DELIVERED), first("sleep", State.STARTED)
    with acme.reader() as reader:
        event_id = reader.deliveries(Query(route="pr-review", states=(State.DELIVERED,)))[0].event_id
        run_of = {run.delivery_id: run.id for run in reader.runs(Query())}
    return {
        "orgloop runs stop": run_of[at_work],
        "orgloop runs": run_of[done],
        "orgloop dead": first("tell", State.DEAD),
        "orgloop held": first("pr-review", State.HELD),
        "orgloop": event_id,
    }


Type = Callable[[str], tuple[int, str]]


@pytest.fixture
def type_(acme: Organization, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Type:
    """Runs a line in the organization, in this process. Returns exit code, and all that it printed."""
    monkeypatch.chdir(acme.root)
    for name, value in acme.environment.items():
        monkeypatch.setenv(name, value)

    def typed(line: str) -> tuple[int, str]:
        code, printed, complaints = 0, "", ""
        for part in line.split(" | "):
            program, *words = shlex.split(part)
            if program == "echo":
                printed = words[0]
                continue
            assert program == "orgloop"
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(printed.encode())))
            capsys.readouterr()
            code = code or main(words)
            printed, said = capsys.readouterr()
            complaints += said
        return code, printed + complaints

    return typed


def test_the_examples_work_one_after_the_other(acme: Organization, type_: Type) -> None:
    known = ids(acme)
    for line in commands():
        if line == "orgloop start":  # it would run in the foreground, if no daemon ran
            continue
        if line.startswith(
            ("orgloop start ", "orgloop restart")
        ):  # a daemon outlives the process that starts it
            acme.command(*shlex.split(line)[1:])
            continue
        if line == "orgloop dismiss refused:github":
            assert [acme.post("github", {})[0] for _ in range(3)] == [400] * 3
        id = next(one for beginning, one in known.items() if beginning in line)
        code, said = type_(re.sub(r"\b(evt|dlv|run)_19b5a1c2d3e4f506\b", id, line))
        if re.match(r"orgloop (dead retry|held release) --", line):  # many move only with --yes, or if asked
            assert (code, "add --yes" in said) == (1, True), f"{line}\n{said}"
        elif re.match(r"orgloop dead retry dlv_", line):  # its target refuses it again
            assert (code, "dead (rejected) again" in said) == (1, True), f"{line}\n{said}"
        elif line.endswith("--skip"):  # what it was about has been released by then
            assert (code, "cannot be released" in said) == (1, True), f"{line}\n{said}"
        elif "SESSION" in line:  # no agent of this organization has sessions
            assert (code, "no session" in said) == (1, True), f"{line}\n{said}"
        else:
            assert code == 0, f"{line}\n{said}"
        if line == "orgloop stop":
            acme.command("start", "--daemon", "--supervised")


def test_a_second_project_runs_beside_with_a_home_of_its_own(acme: Organization) -> None:
    [block] = pages.blocks("sh", pages=("docs/operations.md",))
    typed = block.text.strip()
    assert typed.endswith(" orgloop start --daemon")
    home = acme.root.parent / ".orgloop-two"
    second = acme.root.parent / "second"
    second.mkdir()
    for command in (
        "orgloop init --no-interactive",
        typed.replace("ORGLOOP_PORT=4801", "ORGLOOP_PORT=0"),
        f"ORGLOOP_HOME={home} orgloop status",
        f"ORGLOOP_HOME={home} orgloop stop",
    ):
        subprocess.run(
            ["sh", "-c", command],
            cwd=second,
            env=acme.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=60,
        )
    assert json.loads(acme.command("status", "--json").stdout)["running"] is True
