"""`${VARIABLE}` in values: the environment of one project, and which variables it uses where.

`${NAME}` must be set; `${NAME:-text}` reads as `text` if it is unset or empty; `$${NAME}` stays
`${NAME}`. The result is text and is not read as YAML again. Nothing is written into the process's
own environment, so projects never see each other's values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Final

from dotenv.parser import parse_stream

from orgloop.config.findings import Code, Report, Where
from orgloop.config.reading.paths import read_file, reason
from orgloop.plugin.setup import Variable

DataPath = tuple[str | int, ...]
"""Keys and indexes from a file's root to a value."""

# One that has no end is found, too: it reaches to the end of the text, which is then not looked at again.
_REFERENCE: Final = re.compile(r"\$(\$?)\{([^}]*)(\}?)")
_LAST_NAME: Final = re.compile(r"(?<![A-Za-z0-9_])([A-Za-z_][A-Za-z0-9_]*) *\Z")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_EVENT_FIELD: Final = re.compile(r"(?:event\.)?(?P<path>(?:payload|provenance)(?:\.[\w-]+)+)")
_FILLED: Final = frozenset({"then", "transforms", "worktree", "body", "text"})
"""Keys below which `{{ }}` stands for a field of an event."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VariableUse:
    """One `${...}` in one value. `default` is the text after `:-`, if any."""

    name: str
    where: Where
    is_set: bool
    default: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Filled:
    """Data with its variables filled in. `unresolved` are the paths of values that still lack one."""

    data: Any
    unresolved: frozenset[DataPath] = frozenset()


def read_dotenv(path: Path, shown: str, report: Report) -> dict[str, str]:
    """The variables of a `.env` file; none if there is no such file. Lines that cannot be read are errors."""
    try:
        content = read_file(path).decode("utf-8-sig")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        hint = "make it readable, and save it as UTF-8"
        report.error(Code.MISSING_FILE, Where(file=shown), f"{shown} cannot be read: {reason(exc)}", hint)
        return {}
    values: dict[str, str] = {}
    for binding in parse_stream(StringIO(content, newline=None)):
        lead = len(binding.original.string) - len(binding.original.string.lstrip())
        line = binding.original.line + binding.original.string.count("\n", 0, lead)
        where = Where(file=shown, line=line, column=1)
        if binding.error or "\0" in (binding.value or ""):
            hint = "write NAME=value, and quote values that contain spaces or #"
            report.error(Code.ENV_SYNTAX, where, "the line cannot be read", hint)
        elif binding.key is not None and binding.value is not None:
            values[binding.key] = binding.value
        elif binding.key is not None:
            # It is not shown: it may be a secret without the name of its variable.
            hint = "write NAME=value, or remove the line"
            report.error(Code.ENV_SYNTAX, where, "the line has no `=`, so it sets no variable", hint)
    return values


class Variables:
    """Fills in the variables of every file of one project, and remembers each use."""

    def __init__(self, environment: Mapping[str, str], report: Report) -> None:
        self.environment = environment
        self.uses: list[VariableUse] = []
        self._report = report

    def fill(self, data: Any, where: Callable[[DataPath], Where]) -> Filled:
        """`data` with every text value's variables filled in; keys stay. What does not change is shared."""
        unresolved: set[DataPath] = set()

        def walk(node: Any, path: DataPath) -> Any:
            if isinstance(node, str):
                if "${" not in node:
                    return node
                return self._text(node, path, where(path), unresolved)
            if isinstance(node, dict):
                pairs = {key: walk(value, (*path, key)) for key, value in node.items()}
                return pairs if any(pairs[key] is not node[key] for key in node) else node
            if isinstance(node, list):
                items = [walk(value, (*path, index)) for index, value in enumerate(node)]
                return items if any(new is not old for new, old in zip(items, node, strict=True)) else node
            return node

        return Filled(data=walk(data, ()), unresolved=frozenset(unresolved))

    def _text(self, text: str, path: DataPath, where: Where, unresolved: set[DataPath]) -> str:
        def value(found: re.Match[str]) -> str:
            whole, (escaped, inner, end) = found[0], found.groups()
            if not end:
                return whole
            if escaped:
                return whole[1:]
            filled = self._value(inner, where, path)
            if filled is None:
                unresolved.add(path)
                return whole
            if not filled and whole == text and ":-" not in inner:
                message = f"the variable {inner} is set to nothing"
                self._report.warn(Code.EMPTY_VARIABLE, where, message, "give it a value, or remove the line")
            return filled

        return _REFERENCE.sub(value, text)

    def _value(self, inner: str, where: Where, path: DataPath) -> str | None:
        name, has_default, default = inner.partition(":-")
        if not _NAME.fullmatch(name):
            message = f"`${{{inner}}}` does not name a variable"
            meant = _LAST_NAME.search(inner) if inner.startswith("{") else None
            hint = f"write a name of letters, digits and _, or `$${{{inner}}}` for the text itself"
            hint = f"write `${{{meant[1]}}}`" if meant else hint
            if (field := _EVENT_FIELD.fullmatch(inner)) and not _FILLED.isdisjoint(path):
                hint = f"write `{{{{ {field['path']} }}}}` for a field of the event"
            self._report.error(Code.BAD_VARIABLE, where, message, hint)
            return None
        value = self.environment.get(name)
        use = VariableUse(
            name=name, where=where, is_set=value is not None, default=default if has_default else None
        )
        self.uses.append(use)
        return value or default if has_default else value


def report_missing(uses: Iterable[VariableUse], known: Mapping[str, Variable], report: Report) -> None:
    """An error for each variable that is neither set nor has a default; a warning if its key does nothing."""
    idle = {(one.file, one.path) for one in report.having(Code.NO_EFFECT)}
    for use in uses:
        if not use.is_set and use.default is None:
            message = f"the variable {use.name} is not set"
            steps = use.where.path.split(".")
            if any((use.where.file, ".".join(steps[:length])) in idle for length in range(1, len(steps) + 1)):
                hint = "set it, or remove the key, which has no effect"
                report.warn(Code.MISSING_VARIABLE, use.where, message, hint)
                continue
            report.error(Code.MISSING_VARIABLE, use.where, message, _hint(use.name, known.get(use.name)))


def _hint(name: str, variable: Variable | None) -> str:
    parts = [f"write {name}=… into .env beside orgloop.yaml, or set it in the environment"]
    if variable is not None:
        parts.append(variable.description.rstrip("."))
        if variable.help_url:
            parts.append(f"get it at {variable.help_url}")
        if variable.help_command:
            parts.append(f"or run `{variable.help_command}`")
    return "; ".join(parts)
