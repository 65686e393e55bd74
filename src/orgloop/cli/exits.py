"""Exit codes, the same for every command."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """`orgloop`'s exit codes. Scripts rely on them."""

    OK = 0
    """It worked. Warnings do not change that."""
    FAILED = 1
    """It did not work, or a check found something; standard error says what. `doctor`: degraded."""
    DIFFERENT = 2
    """`plan --detailed-exitcode`: there are changes. `doctor`: an error."""
    BUG = 70
    """A fault of OrgLoop itself; the message says where the details are."""
    INTERRUPTED = 130
    """Ctrl-C."""
    BROKEN_PIPE = 141
    """Whoever read the output has stopped reading."""
