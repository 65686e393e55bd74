"""The error tree.

OrgLoopError                     what happened, where, and what to do next
├── ConfigError                  the project cannot be loaded; carries located findings
├── PluginError                  a connector, transform or logger is missing or broken
├── JournalError                 the store cannot be opened, or not be used
│   ├── JournalLocked            another process holds this home's journal
│   ├── JournalTooNew            written by a newer OrgLoop
│   ├── JournalDamaged           the file is not a sound database
│   └── JournalUnavailable       the commit failed; nothing was promised
├── Overloaded                   too much work waits to be accepted; try again later
├── Refused                      an outside message is not accepted: bad signature, bad body
├── NotFound                     no such event, delivery, run, route, ...
├── Conflict                     it exists, but its state does not allow this
└── DaemonError                  the daemon is not there, or answered with an error
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

FAULTS: Final = (Exception, SystemExit)
"""What code of a plugin may raise without ending us. Calling `sys.exit` is an error like any other."""


class OrgLoopError(Exception):
    """The root: `message` says what happened and where, `hint` what to type or change next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class ConfigError(OrgLoopError):
    """The project cannot be loaded. `findings` holds every problem with its file, line and column."""

    def __init__(self, message: str, *, hint: str = "", findings: Sequence[Any] = ()) -> None:
        super().__init__(message, hint=hint)
        self.findings = tuple(findings)


class PluginError(OrgLoopError):
    """A connector, transform or logger is missing, or broke its contract."""


class JournalError(OrgLoopError):
    """The journal cannot be opened or used."""


class JournalLocked(JournalError):
    """Another process holds this home's journal; the message names it."""


class JournalTooNew(JournalError):
    """The journal's schema is newer than this program."""


class JournalDamaged(JournalError):
    """The journal file fails its integrity check and is never served."""


class JournalUnavailable(JournalError):
    """A commit failed (disk full, read-only, I/O error): nothing of it was promised to anybody."""


class Overloaded(OrgLoopError):
    """More work waits to be accepted than the bound allows. `retry_after` is in seconds."""

    def __init__(self, message: str, *, hint: str = "", retry_after: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after


class Refused(OrgLoopError):
    """An outside message that is not accepted. `status` is the HTTP status it deserves."""

    def __init__(self, message: str, *, hint: str = "", status: int = 400) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class NotFound(OrgLoopError):
    """The named thing does not exist."""


class Conflict(OrgLoopError):
    """The named thing exists, but is not in a state that allows this."""


class DaemonError(OrgLoopError):
    """The daemon is not running, does not answer, or refused. `broke`: it answered that this broke it."""

    def __init__(self, message: str, *, hint: str = "", broke: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.broke = broke
