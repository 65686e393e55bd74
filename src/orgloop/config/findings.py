"""Findings: what is wrong, or doubtful, in a project; where; and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from orgloop.core.text.suggest import nearest_name

MOST_FINDINGS: Final = 1_000
"""Findings of one project that are listed."""

_LIST_LIMIT: Final = 12
_ADVICE: Final = re.compile(r"[:;] (?=(?:write|remove|keep|name|move|type|quote) )")


class Severity(StrEnum):
    """An error keeps the project from running; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Code(StrEnum):
    """The stable name of a kind of finding. `meaning` is one sentence on it."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Code:
        code = str.__new__(cls, value)
        code._value_ = value
        code.meaning = meaning
        return code

    # the files
    NO_PROJECT = "no-project", "No orgloop.yaml was found."
    EMPTY_PROJECT = "empty-project", "The orgloop.yaml is empty."
    IGNORED_FILE = "ignored-file", "Another project file beside this one is not read."
    OPEN_FILE = "open-file", "Every user of this machine can change a file of the project."
    MISSING_FILE = "missing-file", "A file that the project names does not exist, or cannot be read."
    YAML_SYNTAX = "yaml-syntax", "The file is not YAML."
    YAML_ENCODING = "yaml-encoding", "The file is not UTF-8."
    YAML_SIZE = "yaml-size", "The file is too large to be a configuration."
    YAML_DEPTH = "yaml-depth", "Maps and lists nest too deeply."
    YAML_DOCUMENTS = "yaml-documents", "The file holds more than one YAML document."
    YAML_KEY = "yaml-key", "A key is a map or a list; often text with braces that needs quotes."
    YAML_ALIAS = "yaml-alias", "An alias or a merge key is not valid."
    YAML_TAG = "yaml-tag", "A value carries a YAML tag that is not supported."
    YAML_NUMBER = "yaml-number", "A number cannot be written as JSON."
    DUPLICATE_KEY = "duplicate-key", "One map has a key twice."
    DUPLICATE_FILE = "duplicate-file", "A file is listed twice; it is read once."
    TOO_MANY = "too-many", "There are more findings than are listed."
    WRONG_KIND = "wrong-kind", "A file's `kind` does not fit the list that names it."
    API_VERSION = "api-version", "A file's `apiVersion` is unknown."
    # keys and values
    UNKNOWN_KEY = "unknown-key", "The key is unknown here."
    NOT_YET = "not-yet", "The key is reserved; this version does not support it yet."
    NO_EFFECT = "no-effect", "The key is accepted, but has no effect."
    MISSING_KEY = "missing-key", "A required key is missing."
    WRONG_TYPE = "wrong-type", "A value is of the wrong type."
    BAD_VALUE = "bad-value", "A value has the right type, but is not valid."
    BAD_NAME = "bad-name", "A name or id has characters that are not allowed."
    BAD_FILTER = "bad-filter", "A line of `when.filter` cannot be read, or can never hold."
    BAD_TEMPLATE = "bad-template", "A `{{ }}` placeholder cannot be read."
    BAD_SETTINGS = "bad-settings", "A connector or transform refuses its settings as a whole."
    ROUTE_CONFIG = "route-config", "The actor would refuse every wake with this key of `then.config`."
    # variables
    MISSING_VARIABLE = "missing-variable", "A `${VARIABLE}` that is used is not set."
    EMPTY_VARIABLE = "empty-variable", "A `${VARIABLE}` is empty and is the whole value."
    BAD_VARIABLE = "bad-variable", "The text between `${` and `}` is not the name of a variable."
    ENV_SYNTAX = "env-syntax", "A line of `.env` cannot be read."
    # plugins
    UNKNOWN_CONNECTOR = "unknown-connector", "No installed connector has this name."
    NOT_A_SOURCE = "not-a-source", "The connector provides no source."
    NOT_AN_ACTOR = "not-an-actor", "The connector provides no actor."
    UNKNOWN_LOGGER = "unknown-logger", "No installed logger has this name."
    BROKEN_PLUGIN = "broken-plugin", "A plugin cannot be loaded, or fails on its settings."
    # references
    DUPLICATE_NAME = "duplicate-name", "Two things of one kind have the same name."
    UNKNOWN_SOURCE = "unknown-source", "A route listens to a source that does not exist."
    UNKNOWN_ACCOUNT = "unknown-account", "An actor names an account that does not exist."
    UNKNOWN_ACTOR = "unknown-actor", "A route wakes an actor that does not exist."
    UNKNOWN_TRANSFORM = "unknown-transform", "A route or definition names a transform that does not exist."
    MISSING_SOP = "missing-sop", "A route's prompt file does not exist, or cannot be read as text."
    MISSING_SCRIPT = "missing-script", "A script does not exist."
    NOT_EXECUTABLE = "not-executable", "A transform's script cannot be started as a program."
    # doubts
    RISKY_SETTING = "risky-setting", "The setting works, but is risky."
    DEAD_SOURCE = "dead-source", "No route listens to this source."
    UNREACHABLE_ACTOR = "unreachable-actor", "No route wakes this actor."
    UNUSED_TRANSFORM = "unused-transform", "No route uses this transform."
    EVENT_MISMATCH = (
        "event-mismatch",
        "The source never emits an event of this name, or the name looks misspelled.",
    )
    FAILS_ON_EXAMPLE = "fails-on-example", "A step of a route fails on the example event of its source."
    UNKNOWN_PATH = "unknown-path", "A path that does not exist in any event, or in the events of the route."
    UNKNOWN_VALUE = "unknown-value", "A filter requires a value that never occurs."
    DOUBTFUL_VALUE = (
        "doubtful-value",
        "A filter's value looks like a pattern, but is compared literally.",
    )
    DOUBTFUL_KEY = "doubtful-key", "A free key of `then.config` that looks like a misspelled one."
    CONSTANT_KEY = "constant-key", "All wakes of a route share one session key."
    NO_REPOSITORY = "no-repository", "An actor's `worktree` has no git repository in `cwd`."
    MISSING_BASE = "missing-base", "The base of an actor's `worktree` does not exist."
    UNCOMMITTED_CWD = (
        "uncommitted-cwd",
        "The branch that an actor's work trees begin at does not have its `cwd`.",
    )
    SHARED_TREE = (
        "shared-tree",
        "Runs work in one directory, so they run one at a time.",
    )
    CYCLE = "cycle", "Actors wake each other in an endless loop."
    OVER_BUDGET = "over-budget", "Schedules alone start more runs in an hour than the budget allows."
    FRONT_MATTER = "front-matter", "The front matter of a prompt file cannot be read, so it has no effect."
    UNRENDERED_SOP = "unrendered-sop", "A prompt file has placeholders that are not rendered."


@dataclass(frozen=True, kw_only=True, slots=True)
class Where:
    """A place in a file. `file` is relative to the project if inside it; `path` is a dot path in its data."""

    file: str
    line: int | None = None
    column: int | None = None
    path: str = ""

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part is not None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One problem. Lines and columns count from 1; they are None where a file as a whole is meant."""

    severity: Severity
    code: Code
    message: str
    hint: str
    file: str
    line: int | None = None
    column: int | None = None
    path: str = ""

    def __str__(self) -> str:
        where = Where(file=self.file, line=self.line, column=self.column)
        hint = f"\n  {self.hint}" if self.hint else ""
        return f"{where}: {self.severity}: {self.message} [{self.code}]{hint}"


class Report:
    """Collects findings while a project is loaded. The same finding counts once.

    Beyond MOST_FINDINGS they are only counted: a file may be wrong in a million places.
    """

    def __init__(self) -> None:
        self._findings: dict[Finding, None] = {}
        self._left_out = {Severity.ERROR: 0, Severity.WARNING: 0}

    def error(self, code: Code, where: Where, message: str, hint: str = "") -> None:
        """Note an error."""
        self._add(Severity.ERROR, code, where, message, hint)

    def warn(self, code: Code, where: Where, message: str, hint: str = "") -> None:
        """Note a warning."""
        self._add(Severity.WARNING, code, where, message, hint)

    def having(self, code: Code) -> list[Finding]:
        """The findings of this code so far."""
        return [one for one in self._findings if one.code is code]

    @property
    def full(self) -> bool:
        """Whether further findings are only counted: then nobody needs to find out what they are."""
        return len(self._findings) >= MOST_FINDINGS

    def leave_out(self, errors: int) -> None:
        """Count errors that are not listed."""
        self._left_out[Severity.ERROR] += errors

    def _add(self, severity: Severity, code: Code, where: Where, message: str, hint: str) -> None:
        if self.full:
            self._left_out[severity] += 1
            return
        finding = Finding(
            severity=severity,
            code=code,
            message=message,
            hint=hint,
            file=where.file,
            line=where.line,
            column=where.column,
            path=where.path,
        )
        self._findings[finding] = None

    @property
    def failed(self) -> bool:
        """Whether there is an error."""
        return self._left_out[Severity.ERROR] > 0 or any(
            finding.severity is Severity.ERROR for finding in self._findings
        )

    def sorted(self, files: Iterable[str]) -> tuple[Finding, ...]:
        """All findings by file, in the order in which the files were read, then by place."""
        order = {file: number for number, file in enumerate(files)}
        more = sum(self._left_out.values())
        last = []
        if more and self._findings:
            worst = Severity.ERROR if self._left_out[Severity.ERROR] else Severity.WARNING
            message = f"{more} more findings are not listed"
            hint = "correct these first, and check again"
            file = next(reversed(self._findings)).file
            last = [Finding(severity=worst, code=Code.TOO_MANY, message=message, hint=hint, file=file)]
        return (
            *sorted(
                self._findings,
                key=lambda one: (
                    order.get(one.file, len(order)),
                    one.file,
                    one.line or 0,
                    one.column or 0,
                    one.code,
                    one.message,
                ),
            ),
            *last,
        )


def advised(text: str, otherwise: str = "") -> tuple[str, str]:
    """A sentence that ends with what to do, as sentence and hint; else it and `otherwise`."""
    fault, *advice = _ADVICE.split(text, maxsplit=1)
    return fault, advice[0] if advice else otherwise


def nearest(name: str, known: Iterable[str], *, what: str = "known", short: bool = False) -> str:
    """A hint for a name that does not exist: the nearest one that does, else those that do.

    `short`: see `nearest_name`.
    """
    names = sorted(set(known) - {""})
    near = nearest_name(name, names, short=short)
    if near is not None:
        return f"did you mean `{near}`?"
    if not names:
        return ""
    # One name takes no more room than the words that there is one more.
    shown = names if len(names) == _LIST_LIMIT + 1 else names[:_LIST_LIMIT]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{what}: {', '.join(shown)}{more}"
