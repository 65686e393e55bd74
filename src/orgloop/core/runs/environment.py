"""What a child process sees of our environment: an allow list, so that no secret gets out by accident."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

ALLOWED: Final = frozenset(
    {"HOME", "USER", "SHELL", "PATH", "LANG", "TERM", "TZ", "TMPDIR", "SSH_AUTH_SOCK"}
)  # fmt: skip
"""Names that every child gets."""

ALLOWED_PREFIXES: Final = ("LC_", "XDG_", "ORGLOOP_")
"""Beginnings of names that every child gets, unless the name is a secret's."""

NEVER: Final = frozenset({"ORGLOOP_DAEMON", "ORGLOOP_MAKES_TREE"})
"""Names that say what this process is, and would be untrue of a child."""

_SECRET_WORDS: Final = frozenset({"TOKEN", "SECRET", "KEY", "PASSWORD", "PASSPHRASE", "CREDENTIALS"})


def is_secret(name: str) -> bool:
    """Whether a variable of this name holds a secret, as far as the words in its name tell."""
    return not _SECRET_WORDS.isdisjoint(name.upper().split("_"))


def child_environment(
    environ: Mapping[str, str], passed: Collection[str] = (), extra: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The environment of a child.

    `environ` is ours. `passed` are further names that the child gets from it if they are set;
    `extra` is added as it is and wins.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if name not in NEVER
        and (name in ALLOWED or name in passed or (name.startswith(ALLOWED_PREFIXES) and not is_secret(name)))
    }
    return kept | dict(extra or {})
