"""Why a text is not YAML: the parser's complaint, where the mistake is, and what to type instead."""

from __future__ import annotations

from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.reader import ReaderError

from orgloop.config.reading.positions import LINE_BREAK, Place, end_of, place


def complaint(exc: YAMLError, text: str) -> tuple[str, Place, str]:
    """Message, place and hint for what the parser says about `text`."""
    if isinstance(exc, ReaderError):
        offset = exc.position if isinstance(exc.position, int) else 0
        before = text.encode()[:offset].decode(errors="replace")
        hint = "remove it, or write it as an escape such as \\x07 inside double quotes"
        return "the file contains a control character", end_of(before), hint
    if not isinstance(exc, MarkedYAMLError) or exc.problem_mark is None:
        return f"not YAML: {exc}", 0, ""
    problem, begun = str(exc.problem), exc.context_mark
    mark: StringMark = exc.problem_mark
    if begun is not None and (_lacks_colon(problem) or _is_alias(exc)):
        # The parser notices it behind the mistake, often a line too late.
        mark = begun
    lines = LINE_BREAK.split(text)
    rest = lines[mark.line][mark.column :] if mark.line < len(lines) else ""
    around = f" {exc.context}" if exc.context else ""
    since = f" (line {begun.line + 1})" if exc.context and begun is not None else ""
    at = place(mark.line, mark.column)
    return f"not YAML: {problem}{around}{since}", at, _hint(exc, rest, lines[: mark.line + 1])


def _hint(exc: MarkedYAMLError, rest: str, lines: list[str]) -> str:
    """`rest` is the line from the mistake on, `lines` are all up to it."""
    problem = str(exc.problem)
    for number, line in reversed([*enumerate(lines, 1)][-2:]):
        if "\u00a0" in line[: len(line) - len(line.lstrip())]:
            return f"replace the no-break space at the beginning of line {number} with a plain one"
    if "tab character" in problem or rest.startswith("\t"):
        return "indent with spaces, not with tabs"
    if _lacks_colon(problem):
        return "write a colon and a space behind the key"
    if _is_alias(exc) or "cannot start any token" in problem:
        return f"put text that begins with {rest[:1]} in quotes"
    if rest.startswith("{"):
        return 'put text with braces in quotes, such as "${NAME}" or "{{ payload.title }}"'
    if "mapping values are not allowed" in problem:
        return "check the indentation and the colons up to here, and quote values that contain `: `"
    if "end of stream" in problem and exc.context_mark is not None:
        return f"close the quote that begins in line {exc.context_mark.line + 1}"
    return "check the indentation, and the quotes and brackets around here"


def _lacks_colon(problem: str) -> bool:
    return problem == "could not find expected ':'"


def _is_alias(exc: MarkedYAMLError) -> bool:
    """Whether `*` or `&` was taken for the beginning of an alias or anchor."""
    return str(exc.context).endswith(("an alias", "an anchor"))
