"""What a connector needs around it: variables, and checks that tell whether they work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orgloop.plugin.context import Context


@dataclass(frozen=True, kw_only=True, slots=True)
class Variable:
    """An environment variable: what it is for, where to get it, and the command that prints it, if any."""

    name: str
    description: str
    help_url: str = ""
    help_command: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Offer:
    """A setting for which `init` offers a few values, each with what it means; the first is the usual one.

    Whoever wants another value writes it into the file.
    """

    key: str
    question: str
    options: Mapping[str, str]


class CheckStatus(StrEnum):
    """What a check found."""

    OK = "ok"
    WARNING = "warning"
    MISSING = "missing"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckResult:
    """What a check found about `name`; `hint` is what to do next, `identity` who is logged in."""

    name: str
    status: CheckStatus
    detail: str = ""
    hint: str = ""
    identity: str = ""


Check = Callable[[Any, Context], Awaitable[Sequence[CheckResult]]]
"""`(settings, ctx) -> results`: a live check without side effects; cancelled after a few seconds."""


Install = Callable[[Any, Context, str | None], Awaitable[Sequence[CheckResult]]]
"""`(settings, ctx, address) -> results`: what `orgloop setup` does at the service: it creates a webhook.

`address` is where the service reaches the source; None: nobody said it. Called again, it leaves alone what is
right already. Whatever it raises is shown; it may take a minute.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """`variables` that the scaffold's settings use; `check`, `install` for a configured source or actor."""

    variables: Sequence[Variable] = ()
    check: Check | None = None
    install: Install | None = None
