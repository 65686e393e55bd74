"""Hooks that came while no daemon ran, kept in the home until one does."""

from __future__ import annotations

import base64
import json
import logging
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orgloop.errors import DaemonError, OrgLoopError

if TYPE_CHECKING:
    from threading import Event

    from orgloop.daemon.client import Client
    from orgloop.project.home import Home

log = logging.getLogger(__name__)

MOST: Final = 1_000
"""Hooks that are kept; a new one beyond them is refused."""

FRESH: Final = 24 * 3600.0
"""Seconds after which a hook is told to nobody any more: it wakes agents for what is long over."""

LOOK_AGAIN: Final = 10.0
"""Seconds between two looks of a daemon into its spool."""

SUFFIX: Final = ".hook.json"
ASIDE: Final = ".refused"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hook:
    """One request for a source. `key` makes a second try of it a duplicate; `at` is in seconds since 1970.

    `project` is the directory of the project for which it was kept; "" if the home had none.
    """

    source: str
    body: bytes
    headers: Mapping[str, str]
    key: str
    at: float
    project: str = ""

    @classmethod
    def new(cls, source: str, body: bytes, headers: Mapping[str, str]) -> Hook:
        """One that came now."""
        return cls(source=source, body=body, headers=headers, key=uuid.uuid4().hex, at=time.time())

    def send(self, client: Client, patience: float) -> Mapping[str, Any]:
        """Hand it over. Raises as `Client.post_webhook`."""
        return client.post_webhook(
            self.source, self.body, {**self.headers, "Idempotency-Key": self.key}, patience
        )


def keep(home: Home, hook: Hook) -> Path:
    """Write it into the home's spool. Raises OrgLoopError if that cannot be done, or if there is no room."""
    from orgloop.project.home import replace_file

    home.ensure()
    if len(list(home.spool.glob(f"*{SUFFIX}"))) >= MOST:
        raise OrgLoopError(
            f"{home.spool} holds {MOST} hooks already, so this one is lost",
            hint="type `orgloop start`: it takes them all",
        )
    content = {
        "version": 1,
        "source": hook.source,
        "body": base64.b64encode(hook.body).decode(),
        "headers": dict(hook.headers),
        "key": hook.key,
        "at": hook.at,
        "project": hook.project,
    }
    path = home.spool / f"{int(hook.at * 1000):013}-{hook.key}{SUFFIX}"
    with home.writing():
        replace_file(path, json.dumps(content))
    return path


def flush(home: Home, client: Client, patience: float) -> Iterator[str]:
    """Hand over what is kept, the oldest first, until the daemon does not answer. Yields what went wrong."""
    from orgloop.project.home import running_daemon

    daemon = home.read_daemon() or running_daemon(home)
    project = daemon.root if daemon is not None else ""
    for path in sorted(home.spool.glob(f"*{SUFFIX}")):
        hook = _read(path)
        if hook is None:
            yield _set_aside(path, "it cannot be read")
        elif time.time() - hook.at > FRESH:
            yield _set_aside(path, "it is older than a day")
        elif hook.project and project and hook.project != project:
            yield _set_aside(path, f"it is for the project in {hook.project}, and the daemon runs {project}")
        else:
            try:
                hook.send(client, patience)
            except OrgLoopError as exc:
                if isinstance(exc, DaemonError) and not exc.broke:
                    return
                # Whatever is wrong with this one, those behind it need not wait for it.
                yield _set_aside(path, exc.message)
            else:
                path.unlink(missing_ok=True)


def keep_taking(home: Home, stopped: Event, every: float = LOOK_AGAIN) -> None:
    """What a daemon does with the spool once it answers: hand it over to itself, until it has stopped.

    Again and again: a hook may come while the daemon begins, or when it is too busy to answer.
    """
    while not stopped.is_set():
        _take_kept(home)
        stopped.wait(every)


def _take_kept(home: Home, patience: float = 30.0) -> None:
    from orgloop.daemon.client import Client

    try:
        if not any(home.spool.glob(f"*{SUFFIX}")):
            return
        client = Client.of_home(home)
        for trouble in flush(home, client, patience) if client is not None else ():
            log.warning("%s", trouble)
    except (OrgLoopError, OSError) as exc:
        log.warning("hooks that are stored in %s could not be sent: %s", home.spool, exc)


def _read(path: Path) -> Hook | None:
    from orgloop.project.home import open_file

    try:
        with open_file(path) as file:
            document = json.load(file)
        return Hook(
            source=str(document["source"]),
            body=base64.b64decode(document["body"]),
            headers={str(name): str(value) for name, value in document["headers"].items()},
            key=str(document["key"]),
            at=float(document["at"]),
            project=str(document.get("project", "")),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _set_aside(path: Path, why: str) -> str:
    """Keep it for a person, out of the way."""
    aside = path.with_name(path.name + ASIDE)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return f"{path.name} was taken by another command meanwhile"
    return f"a stored hook was refused: {why}; it is in {aside}"
