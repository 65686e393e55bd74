"""One run in detail, for `orgloop runs show` and `orgloop inspect`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orgloop import runner
from orgloop.cli.app import App
from orgloop.cli.screen.grid import print_block, print_facts, print_next
from orgloop.cli.screen.words import (
    OUTCOME_STYLES,
    event_name,
    from_home,
    is_fence,
    outcome_word,
    paid_by,
    run_line,
    run_words,
    says_only,
    why_ended,
)
from orgloop.core.text.units import humanize
from orgloop.operations.status.attention import take_over
from orgloop.operations.status.stuck import last_sign
from orgloop.operations.views.words import age, ago, dollars, moment, one_line
from orgloop.project.home import open_file

if TYPE_CHECKING:
    from orgloop.journal.model import EventRow, RunRow
    from orgloop.journal.protocols import Reader

TAIL: Final = 8
"""Lines of its output that are shown."""

LOOKED_AT: Final = 50
"""Lines at the end of its output that are looked at for one that says something."""

MAX_RESULT: Final = 4_000
"""Characters of its last words that are shown."""


def show_run(app: App, reader: Reader, run: RunRow, now: int) -> None:
    """Print all that is known of it, and what to type next."""
    out = app.out
    gone = is_gone(app, run)
    word = outcome_word(run, gone=gone)
    if run.ended_at is None and not gone:
        word += f" for {humanize(now - run.started_at)}"
    style = OUTCOME_STYLES.get(run.outcome, "yellow")
    out.line(f"{out.style(run.id, 'bold')}  {out.style(word, style)}")
    print_facts(
        out, [*_facts(run, reader.event(run.event_id), now, gone=gone), ("output", _says(app, reader, run))]
    )
    _show_result(app, run)
    if run.ended_at is None or run.outcome not in ("success", ""):
        _show_output(app, run)
    print_next(out, list(_next(run, goes_on=run.ended_at is None and not gone)))


def is_gone(app: App, run: RunRow) -> bool:
    """Whether its process has ended, and no daemon is there to take note."""
    from orgloop.operations.status.status import gone_runs
    from orgloop.project.home import running_daemon

    return run.ended_at is None and running_daemon(app.home) is None and bool(gone_runs([run]))


def _facts(run: RunRow, event: EventRow | None, now: int, *, gone: bool) -> Iterator[tuple[str, str]]:
    completion = run.completion
    yield "actor", f"{run.actor} ({run.harness})"
    why = f": {event.source} {one_line(event_name(event))}" if event is not None else ""
    yield "woken by", f"route {run.route}, {run.event_id}{why}"
    yield "started", f"{moment(run.started_at, now)}, {ago(run.started_at, now)}"
    ended = written_end(run) if gone else run.ended_at
    if ended is not None:
        yield "ended", f"{moment(ended, now)}, after {humanize(ended - run.started_at)}"
    if run.ended_at is not None:
        yield "reason", why_ended(run) or (run.reason if run.outcome == "" else "")
        yield "exit status", str(run.exit_status) if run.exit_status is not None else ""
    elif ended is None:
        yield "last output", ago(last_sign(run), now)
    if completion.get("needs_you") is True:
        yield "asks you", one_line(str(completion.get("asked") or ""))
    yield "cost", dollars(run.cost_usd)
    tokens = completion.get("tokens")
    if isinstance(tokens, dict):
        yield "tokens", ", ".join(f"{name} {count}" for name, count in tokens.items() if count)
    yield "turns", str(completion.get("turns") or "")
    yield "git", _git(completion.get("git"))
    yield "session", run.session_id or ""
    yield "account", paid_by(run)
    yield "job", run.spec.get("job") or ""
    yield "key", run.key or ""
    yield "works in", from_home(run.spec.get("cwd") or run.directory or "")
    yield "command", shlex.join(str(word) for word in run.spec.get("argv", ()))
    yield "files", from_home(run.run_dir) if Path(run.run_dir).is_dir() else ""


def _says(app: App, reader: Reader, run: RunRow) -> str:
    """The last thing that its output says, as its actor understands it; nothing if its result is shown."""
    if run.ended_at is not None and run.text.strip():
        return ""
    from orgloop.cli.screen.run_tail import reading, understood

    read = reading(app, reader, run)
    if read is not None:
        for line in reversed(last_lines(Path(run.run_dir) / runner.STDOUT, LOOKED_AT)):
            progress = understood(read, line)
            if progress is not None and progress.text and not is_fence(progress.text):
                return one_line(progress.text)
    return one_line(run.last_line)


def _git(changes: Any) -> str:
    if not isinstance(changes, dict):
        return ""
    commits = changes.get("commits")
    many = len(commits) if isinstance(commits, list) else commits or 0
    unpushed = f", {changes['unpushed']} not pushed" if changes.get("unpushed") else ""
    dirty = ", and left changes uncommitted" if changes.get("dirty") else ""
    return f"{many} commits on {changes.get('branch') or 'no branch'}{unpushed}{dirty}"


def _show_result(app: App, run: RunRow) -> None:
    result, decided = run.text.strip(), run_words(run)[1]
    if says_only(result, (run.completion.get("result") or {}).get("json")):
        result = ""
    if run.ended_at is None or not (result or decided):
        return
    app.out.line()
    app.out.line(app.out.style("Result", "bold"))
    if result:
        print_block(app.out, app.out.cut(result, MAX_RESULT))
    if decided:
        app.out.line(f"  json  {decided}")


def _show_output(app: App, run: RunRow) -> None:
    """The last lines of what it wrote: of its errors, if there are any."""
    for name in (runner.STDERR, runner.STDOUT):
        lines = last_lines(Path(run.run_dir) / name, TAIL)
        if lines:
            app.out.line()
            app.out.line(app.out.style(f"Last lines of {name}", "bold"))
            print_block(app.out, "\n".join(line[: app.out.width * 2] for line in lines))
            return


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines of a file, of its last 64 KB; nothing if there is none."""
    try:
        with open_file(path) as file:
            file.seek(max(0, file.seek(0, 2) - 65_536))
            content = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return content.splitlines()[-count:]


def _next(run: RunRow, *, goes_on: bool) -> Iterator[tuple[str, str]]:
    if goes_on:
        yield f"orgloop runs tail {run.id}", "watch it"
        yield f"orgloop runs stop {run.id}", "ask it to end"
    else:
        yield f"orgloop runs tail {run.id}", "its output"
        if command := take_over(run):
            yield command, "continue its session yourself"
    yield f"orgloop trace {run.id}", "its whole chain"


def document(reader: Reader, run: RunRow) -> dict[str, Any]:
    """All that is known of it, for programs."""
    from orgloop.operations.views import json_rows

    event = reader.event(run.event_id)
    return json_rows.run(run) | {
        "spec": run.spec,
        "completion": run.completion,
        "event": event.document if event is not None else None,
    }


def says(run: RunRow) -> str:
    """What came of a run, or what one that goes on said last; empty if it said nothing.

    The journal hears of a new line some seconds later. A plain program's own file is never late.
    """
    if run.ended_at is None and run.harness == "process":
        for line in reversed(last_lines(Path(run.run_dir) / runner.STDOUT, TAIL)):
            if (shown := one_line(line)) and not is_fence(shown):
                return shown
    return run_line(run)


def age_of(run: RunRow, now: int, *, gone: bool = False) -> str:
    """How long it took, or has taken. If it is `gone`, as its runner says; empty if nobody saw its end."""
    ended = written_end(run) if gone else run.ended_at
    if ended is not None:
        return humanize(ended - run.started_at)
    return "" if gone else age(run.started_at, now)


def written_end(run: RunRow) -> int | None:
    """When its program ended, as its runner wrote down before any daemon took note: in ms since 1970."""
    from orgloop.runtime.runs.local.run_directory import exit_record

    record = exit_record(Path(run.run_dir))
    return max(record.ended_at, run.started_at) if record is not None and record.ended_at else None
