"""Four reviews on four pull requests of one repository at once, and the daemon is killed in between."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Query
from tests.docs import pages
from tests.docs.pages import ROOT
from tests.e2e.organization import Organization, wait_for
from tests.support.repository import cloned, commit, git, push_elsewhere

FEATURES = ("feature-1", "feature-2", "feature-3", "feature-4")

SETUP = """#!/bin/sh
state="$ORGLOOP_HOME/../state"
echo $$ > "$state/setup-$(git branch --show-current)"
[ -e "$state/go-setup" ] || exec sleep 600
touch ready
"""

SLOW = """#!/bin/sh
echo $$ >> STATE/checkout
[ -e STATE/go-checkout ] || exec sleep 600
exec cat
"""

CLAUDE = """#!/bin/sh
[ "$1" = --version ] && { echo "2.1.300 (Claude Code)"; exit; }
state="$ORGLOOP_HOME/../state"
branch=$(git branch --show-current)
cat > /dev/null
echo "$branch" >> "$state/begun"
while [ ! -e "$state/go" ]; do sleep 0.05; done
echo "$branch" > fix; git add fix; git commit -q -m "Fix $branch"
result=success
case $branch in
  feature-1) git push -q ;;
  feature-2) echo more > notes ;;
  feature-3) result=error_max_turns ;;
esac
printf '{"type":"result","subtype":"%s","result":"Fixed.","total_cost_usd":0.01}\\n' "$result"
"""


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A clone whose files are written slowly, of a remote that has the branches of four pull requests."""
    app = cloned(tmp_path)
    state = tmp_path / "state"
    state.mkdir()
    slow = tmp_path / "slow"
    slow.write_text(SLOW.replace("STATE", str(state)))
    slow.chmod(0o755)
    commit(app, "script/setup", SETUP)
    (app / "script" / "setup").chmod(0o755)
    commit(app, ".gitignore", "ready\n")
    commit(app, ".gitattributes", "large filter=slow\n")
    commit(app, "large", "large\n")
    git(app, "push", "-q")
    for feature in FEATURES:
        push_elsewhere(tmp_path, feature, feature)
    git(app, "config", "filter.slow.smudge", str(slow))
    return app


@pytest.fixture
def orphans() -> Iterator[list[int]]:
    """Processes that outlive a killed daemon; those that are left end with the test."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        with suppress(psutil.Error):
            psutil.Process(pid).kill()


def pids_in(file: Path) -> list[int]:
    return [int(word) for word in file.read_text().split()] if file.exists() else []


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def review(number: int) -> dict[str, Any]:
    """Somebody of the team asks for changes in one of the pull requests."""
    body: dict[str, Any] = json.loads((ROOT / "src/orgloop/project/demo/review.json").read_text())
    body["review"]["id"] = number
    body["pull_request"]["number"] = number
    body["pull_request"]["head"] = {**body["pull_request"].get("head", {}), "ref": FEATURES[number - 1]}
    return body


def stopped(organization: Organization) -> dict[str, dict[str, Any]]:
    """What the ends of the runs carry, by branch."""
    with organization.reader() as reader:
        rows = [row for row in reader.events(Query(limit=1000)) if row.type == "actor.stopped"]
    assert len(rows) == len({row.document["payload"]["run_id"] for row in rows}), "each run ends once"
    return {row.document["payload"]["git"]["branch"]: row.document["payload"] for row in rows}


@pytest.mark.chaos
def test_four_pull_requests_are_worked_on_at_once_and_nothing_is_lost(
    organization: Organization, app: Path, tmp_path: Path, orphans: list[int]
) -> None:
    state = tmp_path / "state"
    example = next(iter(pages.blocks("yaml", pages=("docs/worktrees.md",)))).text
    organization.write(
        {
            "orgloop.yaml": "metadata: {name: reviews}\nsources: [{id: github, connector: github}]\n"
            + example,
            "sops/pr-review.md": "# Answer the review\n",
        }
    )
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "claude").write_text(CLAUDE)
    (tmp_path / "bin" / "claude").chmod(0o755)
    organization.environ = {
        "PATH": f"{tmp_path / 'bin'}:{organization.environment['PATH']}",
        "HOME": str(tmp_path),
    }

    organization.start()
    for number in range(1, 5):
        headers = {"X-GitHub-Event": "pull_request_review", "X-GitHub-Delivery": str(number)}
        assert organization.post("github", review(number), headers)[0] == 200
    wait_for("trees that git writes", lambda: len(pids_in(state / "checkout")) == 4)
    orphans += pids_in(state / "checkout")
    organization.kill()

    (state / "go-checkout").touch()
    organization.start()
    setups = [state / f"setup-{feature}" for feature in FEATURES]
    wait_for("four setups", lambda: all(pids_in(one) for one in setups))
    orphans += [pid for one in setups for pid in pids_in(one)]
    organization.kill()

    (state / "go-setup").touch()
    organization.start()
    begun = state / "begun"
    wait_for("four agents", lambda: begun.exists() and len(begun.read_text().split()) == 4)
    assert not any(map(lives, orphans)), "nothing is left of what the killed daemons began"
    organization.kill()

    (state / "go").touch()
    organization.start()
    wait_for("four ends", lambda: len(stopped(organization)) == 4)
    ends = stopped(organization)
    assert sorted(begun.read_text().split()) == list(FEATURES), "nobody is started twice"
    assert {branch: end["git"]["unpushed"] for branch, end in ends.items()} == {
        "feature-1": 0,
        "feature-2": 1,
        "feature-3": 1,
        "feature-4": 1,
    }
    assert [branch for branch, end in ends.items() if end["git"]["dirty"]] == ["feature-2"]
    assert ends["feature-3"]["lifecycle"]["outcome"] == "failure"
    with organization.reader() as reader:
        states = {row.state for row in reader.deliveries(Query(route="pr-review"))}
    assert states == {State.DELIVERED}

    places = {branch: Path(end["working_directory"]) for branch, end in ends.items()}
    assert len(set(places.values())) == 4
    assert all(
        (place / "ready").exists() and (place / "large").read_text() == "large\n" for place in places.values()
    )
    [block] = pages.blocks("sh", pages=("docs/worktrees.md",))
    for line in block.text.splitlines():
        organization.command(*line.split()[1:])
    assert all(place.exists() for place in places.values()), "none is old enough"
    organization.command("worktrees", "clean", "--all")
    assert {branch for branch, place in places.items() if place.exists()} == set(FEATURES[1:])
    for branch, place in places.items():
        fixed = git(app, "show", f"{branch if place.exists() else f'origin/{branch}'}:fix")
        assert fixed == branch, "its commit is there"
    assert (places["feature-2"] / "notes").read_text() == "more\n"
    assert subprocess.run(["git", "-C", str(app), "status", "--porcelain"], capture_output=True).stdout == b""
    assert organization.stop() == 0
