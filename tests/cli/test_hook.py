"""`orgloop hook`: what an agent's hook says, and where it is kept while nobody listens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orgloop.daemon import spool
from orgloop.daemon.hook_body import SUMMARY, body_of, source_of
from orgloop.daemon.spool import Hook, flush, keep
from orgloop.errors import DaemonError, OrgLoopError, Refused
from orgloop.project.home import DaemonInfo, Home
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, tell, write_project

NOW = 1_800_000_000_000

STOP = {
    "session_id": "s-1",
    "prompt_id": "p-1",
    "transcript_path": "/nowhere/s-1.jsonl",
    "cwd": "/home/mona/billing",
    "permission_mode": "acceptEdits",
    "hook_event_name": "Stop",
    "stop_hook_active": False,
    "last_assistant_message": "Fixed the failing test.",
    "background_tasks": [{"id": "b1"}],
    "session_crons": [],
}
"""As Claude Code writes it."""

FIELDS = {
    "session_id": "s-1",
    "working_directory": "/home/mona/billing",
    "duration_seconds": 0,
    "exit_status": 0,
    "summary": "Fixed the failing test.",
    "transcript_path": "/nowhere/s-1.jsonl",
    "turn_id": "p-1",
}


def said(document: Any, name: str = "claude-code-stop") -> Any:
    return json.loads(body_of(name, json.dumps(document).encode(), NOW))


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("claude-code-stop", "claude-code"),
        ("claude-code-start", "claude-code"),
        ("codex-notify", "codex"),
        ("agents", "agents"),
        ("-stop", "-stop"),
    ],
)
def test_a_hooks_name_says_which_source_it_is_for(name: str, source: str) -> None:
    assert source_of(name) == source


def test_claudes_stop_is_the_end_of_a_session() -> None:
    assert said(STOP) == FIELDS | {
        "meta": {
            "hook": "Stop",
            "permission_mode": "acceptEdits",
            "background_tasks": 1,
            "session_crons": 0,
            "stop_hook_active": False,
        }
    }


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"hook_event_name": "StopFailure", "error": "rate_limit", "last_assistant_message": "429"},
         {"exit_status": 1, "summary": "rate_limit: 429"}),
        ({"hook_event_name": "StopFailure", "error": "overloaded"},
         {"exit_status": 1, "summary": "overloaded"}),
        ({"hook_event_name": "SessionStart"}, {"hook_type": "start"}),
        ({"exit_status": 3}, {"exit_status": 3}),
        ({"duration_seconds": 12.7}, {"duration_seconds": 12}),
        ({"duration_seconds": -1}, {"duration_seconds": 0}),
        ({"summary": "x" * 9999}, {"summary": "x" * SUMMARY}),
        ({"cwd": None, "working_directory": "/srv"}, {"working_directory": "/srv"}),
    ],
    ids=str,
)  # fmt: skip
def test_what_else_a_hook_says_is_understood(document: dict[str, Any], expected: Mapping[str, Any]) -> None:
    found = said({"session_id": "s-1", **document})
    assert {key: found.get(key) for key in expected} == expected


def test_a_hook_that_is_called_start_begins_a_session() -> None:
    assert said(STOP, "claude-code-start")["hook_type"] == "start"
    assert "hook_type" not in said(STOP)


def test_codex_reports_a_thread_as_an_argument() -> None:
    found = said(
        {
            "type": "agent-turn-complete",
            "thread-id": "t-1",
            "turn-id": "1",
            "cwd": "/srv",
            "client": "cli",
            "last-assistant-message": "Done.",
        },
        "codex",
    )
    assert (found["session_id"], found["working_directory"], found["summary"]) == ("t-1", "/srv", "Done.")
    assert found["meta"] == {"hook": "agent-turn-complete", "client": "cli"}


def test_the_duration_is_counted_from_the_transcripts_first_time(tmp_path: Path) -> None:
    transcript = tmp_path / "s.jsonl"
    transcript.write_text(
        '{"type":"summary"}\nno json\n'
        '{"timestamp":"2027-01-15T07:58:00Z"}\n{"timestamp":"2027-01-15T07:59:59Z"}\n'
    )
    assert said(STOP | {"transcript_path": str(transcript)})["duration_seconds"] == 120


@pytest.mark.parametrize("raw", [b"no json", b"[1]", b"", b"null", b'{"build": 7}', b'{"session_id": 5}'])
def test_what_is_no_report_of_a_session_is_handed_on_as_it_is(raw: bytes) -> None:
    assert body_of("deploy", raw, NOW) == raw


# --- without a daemon -----------------------------------------------------------------------------


@pytest.fixture
def acme(place: Path, home: Path) -> Path:
    """A project that ran once. Its source has a secret."""
    write_project(place)

    async def write(story: Story) -> None:
        await story.apply(place)

    tell(home, write)
    return place


def kept(home: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_bytes()) for path in sorted((home / "spool").glob("*"))]


def signature(secret: str, body: bytes) -> str:
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def test_while_no_daemon_runs_a_hook_is_kept_silently(acme: Path, home: Path, orgloop: Orgloop) -> None:
    done = orgloop("hook", "claude-code-stop", stdin=json.dumps(STOP))
    assert (done.code, done.out, done.err) == (0, "", "")
    (one,) = kept(home)
    assert (one["source"], one["headers"]) == ("claude-code", {})
    assert json.loads(base64.b64decode(one["body"]))["session_id"] == "s-1"
    assert (home / "spool").stat().st_mode & 0o077 == 0


def test_a_hook_for_a_source_with_a_secret_is_kept_signed(acme: Path, home: Path, orgloop: Orgloop) -> None:
    orgloop("hook", "github", stdin=json.dumps(STOP))
    (one,) = kept(home)
    assert one["headers"] == {"X-Hub-Signature-256": signature("hush", base64.b64decode(one["body"]))}


def test_the_secret_may_be_in_a_variable(
    acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_SECRET", "other")
    orgloop("hook", "x-stop", "--source", "agents", "--secret-env", "MY_SECRET", stdin=json.dumps(STOP))
    (one,) = kept(home)
    assert one["source"] == "agents"
    assert one["headers"] == {"X-Hub-Signature-256": signature("other", base64.b64decode(one["body"]))}
    monkeypatch.delenv("MY_SECRET")
    done = orgloop("hook", "x", "--secret-env", "MY_SECRET", stdin="{}")
    assert (done.code, "MY_SECRET is not set" in done.err) == (1, True)


def test_a_payload_may_be_an_argument(acme: Path, home: Path, orgloop: Orgloop) -> None:
    orgloop("hook", "codex-notify", '{"type":"agent-turn-complete","thread-id":"t-1"}')
    (one,) = kept(home)
    assert one["source"] == "codex"


def test_a_port_of_older_settings_is_taken_with_a_hint(acme: Path, home: Path, orgloop: Orgloop) -> None:
    done = orgloop("hook", "claude-code-stop", "--port", "4999", stdin=json.dumps(STOP))
    assert (done.code, done.out) == (0, "")
    assert "--port 4999 is not needed" in done.err
    assert len(kept(home)) == 1


def test_a_kept_hook_says_for_which_project_it_is(acme: Path, home: Path, orgloop: Orgloop) -> None:
    orgloop("hook", "claude-code-stop", stdin=json.dumps(STOP))
    (one,) = kept(home)
    assert one["project"] == str(acme.resolve())


def test_within_a_run_of_our_own_a_hook_does_nothing(
    acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORGLOOP_RUN_ID", "run_1")
    done = orgloop("hook", "claude-code-stop", "--verbose", stdin=json.dumps(STOP))
    assert (done.code, done.out) == (0, "")
    assert "a session of run_1" in done.err
    assert not (home / "spool").exists()


def test_where_nothing_has_ever_run_no_home_is_made(
    place: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORGLOOP_HOME", str(tmp_path / "never"))
    assert orgloop("hook", "claude-code-stop", stdin=json.dumps(STOP)).code == 0
    assert not (tmp_path / "never").exists()


# --- the spool ------------------------------------------------------------------------------------


class Daemon:
    """Stands in for a client; takes what it is sent unless it is told not to."""

    def __init__(self, fails: OrgLoopError | None = None) -> None:
        self.fails = fails
        self.taken: list[tuple[str, bytes, str]] = []

    def post_webhook(
        self, source: str, body: bytes, headers: Mapping[str, str], patience: float
    ) -> Mapping[str, Any]:
        if self.fails is not None:
            raise self.fails
        self.taken.append((source, body, headers["Idempotency-Key"]))
        return {"ok": True}


def hook(at: float, body: bytes = b"{}") -> Hook:
    return Hook(source="agents", body=body, headers={}, key=f"k{int(at)}", at=at)


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> float:
    """The spool's clock stands still."""
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    return 1_000_000.0


def flushed(home: Home, daemon: Daemon) -> list[str]:
    return list(flush(home, daemon, 1.0))  # type: ignore[arg-type]


def test_what_was_kept_is_handed_over_in_order_and_once(home: Path, now: float) -> None:
    place, daemon = Home(home), Daemon()
    for at in (now - 1, now - 30, now - 2):
        keep(place, hook(at, str(at).encode()))
    assert flushed(place, daemon) == []
    assert [body for _, body, _ in daemon.taken] == [str(at).encode() for at in (now - 30, now - 2, now - 1)]
    assert list(place.spool.iterdir()) == []
    assert flushed(place, daemon) == []


def test_what_cannot_be_delivered_now_stays(home: Path, now: float) -> None:
    place = Home(home)
    keep(place, hook(now))
    assert flushed(place, Daemon(DaemonError("gone"))) == []
    assert len(kept(home)) == 1


@pytest.mark.parametrize(
    "answer",
    [Refused("Invalid signature", status=401), DaemonError("Invalid signature", broke=True)],
    ids=["refused", "the source breaks over it"],
)
def test_what_is_refused_is_set_aside_and_told(answer: OrgLoopError, home: Path, now: float) -> None:
    place = Home(home)
    path = keep(place, hook(now))
    (words,) = flushed(place, Daemon(answer))
    assert "Invalid signature" in words
    assert [one.name for one in place.spool.iterdir()] == [f"{path.name}.refused"]
    assert flushed(place, Daemon()) == []


def test_a_hook_for_another_project_is_set_aside(home: Path, now: float) -> None:
    place, daemon = Home(home), Daemon()
    place.ensure()
    place.write_daemon(
        DaemonInfo(pid=1, started_at=0, port=1, project="new", root="/srv/new", version="1", process="")
    )
    for project in ("/srv/old", "/srv/new", ""):
        at = now + len(project)
        keep(
            place,
            Hook(
                source="agents",
                body=project.encode(),
                headers={},
                key=project[1:].replace("/", "-"),
                at=at,
                project=project,
            ),
        )
    (words,) = flushed(place, daemon)
    assert "/srv/old" in words
    assert sorted(body for _, body, _ in daemon.taken) == [b"", b"/srv/new"]


def test_what_is_older_than_a_day_wakes_nobody(home: Path, now: float) -> None:
    place, daemon = Home(home), Daemon()
    keep(place, hook(now - spool.FRESH - 1))
    keep(place, hook(now - spool.FRESH + 1))
    (words,) = flushed(place, daemon)
    assert "older than a day" in words
    assert len(daemon.taken) == 1


@pytest.mark.parametrize("content", ["", "[]", '{"source": "x"}', '{"source":"x","body":"!","headers":3}'])
def test_a_file_that_is_no_hook_is_set_aside(content: str, home: Path, now: float) -> None:
    place = Home(home)
    place.ensure()
    (place.spool / "1.hook.json").write_text(content)
    (words,) = flushed(place, Daemon())
    assert "it cannot be read" in words


def test_a_full_spool_is_told(home: Path, now: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "MOST", 1)
    keep(Home(home), hook(now))
    with pytest.raises(OrgLoopError, match="this one is lost"):
        keep(Home(home), hook(now + 1))
