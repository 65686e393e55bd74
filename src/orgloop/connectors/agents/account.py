"""What the login of an actor is called, whose usage limits its runs meet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import sha256


def account_name(harness: str, login: str, environment: Mapping[str, str], secrets: Iterable[str]) -> str:
    """`claude-code login`, or with a secret of the environment in use, its mark beside the variable's name.

    Two keys in the same variable are two accounts; nobody could guess a key from its mark.
    """
    used = next(
        (environment[name] for name in secrets if name in login.split() and environment.get(name)), ""
    )
    mark = sha256(used.encode("utf-8", "surrogateescape")).hexdigest()[:6] if used else ""
    return " ".join(filter(None, (harness, login, mark)))
