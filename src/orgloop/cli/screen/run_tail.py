"""Following a run's output, as its actor understands it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orgloop import runner
from orgloop.cli.app import App
from orgloop.cli.output import FAIL, OK
from orgloop.cli.screen.words import outcome_word, printable, run_line
from orgloop.core.text.units import humanize
from orgloop.operations.views.words import dollars, one_line
from orgloop.project.home import open_file

if TYPE_CHECKING:
    from orgloop.journal.model import RunRow
    from orgloop.journal.protocols import Reader
    from orgloop.plugin import Progress

LOOK: Final = 0.2
"""Seconds between two looks at the file."""

CHUNK: Final = 1 << 20
"""Bytes that are read at once."""

Read = Callable[[str], "Progress | None"]


def follow_run(app: App, reader: Reader, run: RunRow, *, raw: bool, follow: bool) -> None:
    """Show what the run wrote so far, and with `follow` what it writes until it has ended."""
    read = None if raw or run.is_remote else reading(app, reader, run)
    show = _shower(app, read)
    from orgloop.runtime.runs.local.run_directory import SETUP_LOG

    for line in lines_of(Path(run.run_dir) / SETUP_LOG, lambda: False):
        # What made its work tree ready is no output of its agent.
        _write_json(line, None) if app.out.json else app.out.line(f"setup: {printable(line)}")
    output = Path(run.run_dir) / runner.STDOUT
    for line in (
        _heard_of(reader, run.id, follow=follow)
        if run.is_remote
        else lines_of(output, lambda: follow and _goes_on(reader, run.id))
    ):
        show(line)
    ended = reader.run(run.id) or run
    if ended.ended_at is None or app.out.json:
        return
    symbol, style = (OK, "green") if ended.outcome == "success" else (FAIL, "red")
    facts = [outcome_word(ended), humanize(ended.ended_at - ended.started_at)]
    facts += [dollars(ended.cost_usd)] if ended.cost_usd is not None else []
    app.out.fold(f"{app.out.style(symbol, style)} {' · '.join(facts)}  {run_line(ended)}".rstrip(), 2)


def _heard_of(reader: Reader, id: str, *, follow: bool) -> Iterator[str]:
    """What the journal says of a run in another system, each time that it says something new."""
    last = ""
    while (run := reader.run(id)) is not None:
        if run.last_line != last:
            last = run.last_line
            yield last
        if run.ended_at is not None or not follow:
            return
        sys.stdout.flush()
        time.sleep(LOOK)


def lines_of(path: Path, goes_on: Callable[[], bool], *, start: int = 0) -> Iterator[str]:
    """The lines of a growing file, from a byte on, until nothing more comes; the last may be in part."""
    rest = b""
    position = start
    while True:
        alive = goes_on()
        chunk = _read(path, position)
        position += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode("utf-8", "replace")
        if chunk:
            continue
        # What was written before the end was seen has been read by now.
        if not alive:
            break
        sys.stdout.flush()
        time.sleep(LOOK)
    if rest:
        yield rest.decode("utf-8", "replace")


def _read(path: Path, position: int) -> bytes:
    try:
        with open_file(path) as file:
            file.seek(position)
            return file.read(CHUNK)
    except OSError:
        return b""


def _goes_on(reader: Reader, id: str) -> bool:
    run = reader.run(id)
    if run is None or run.ended_at is not None:
        return False
    return not (Path(run.run_dir) / runner.EXIT).exists()


def reading(app: App, reader: Reader, run: RunRow) -> Read | None:
    """How the run's actor understands a line; None if that actor cannot be made here any more."""
    from orgloop.plugin import Supervised

    applied = reader.applied()
    if applied is None:
        return None
    sound = app.load(Path(applied.root)).sound
    spec = sound.actors.get(run.actor) if sound is not None else None
    if spec is None:
        return None
    try:
        actor = spec.kind.open(spec.id, spec.settings)
    except ValueError:
        return None
    return actor.read if isinstance(actor, Supervised) else None


def _shower(app: App, read: Read | None) -> Callable[[str], None]:
    if app.out.json:
        return lambda line: _write_json(line, read)
    if read is None:
        return lambda line: app.out.line(printable(line))

    def show(line: str) -> None:
        progress = understood(read, line)
        if progress is not None and progress.text:
            app.out.fold(one_line(progress.text), 2)

    return show


def _write_json(line: str, read: Read | None) -> None:
    from orgloop.core.text.json_text import dump_json

    document: dict[str, Any] = {"line": line}
    progress = understood(read, line) if read is not None else None
    if progress is not None:
        document |= {
            "text": progress.text,
            "session_id": progress.session_id,
            "cost_usd": progress.cost_usd,
        }
    sys.stdout.write(dump_json(document).decode() + "\n")


def understood(read: Read, line: str) -> Progress | None:
    """What a line says. A connector that cannot read it must not end the watching."""
    try:
        return read(line)
    except Exception:
        return None
