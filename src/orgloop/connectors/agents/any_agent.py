"""An agent of any make, as a `config:` map describes it: what its lines say, and how its sessions go on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from orgloop.connectors.agents.heard import Heard, completion_of, free_at, is_cut
from orgloop.connectors.agents.json_lines import parse
from orgloop.connectors.agents.result import (
    COMPLAINT_LIMIT,
    ended,
    last_line,
    not_begun,
    one_line,
    session_gone,
    stopped,
)
from orgloop.plugin import (
    Completion,
    ExitInfo,
    Json,
    Limited,
    NotBegun,
    Phase,
    Progress,
    Retry,
    RunOutcome,
    Settings,
    Turns,
    number_at,
)

SESSION: Final = "{session}"
"""Stands in a word for the id of a session."""

MOST_STEPS: Final = 16

Value = str | bool | int


def _path(value: str) -> str:
    steps = value.split(".")
    if not all(step.strip() for step in steps) or len(steps) > MOST_STEPS:
        raise ValueError(f"must be a path such as message.text, not {value!r}")
    return value


def _one_member(value: Mapping[str, str]) -> Mapping[str, str]:
    if len(value) != 1:
        raise ValueError("must be one member that these lines have, such as {type: result}")
    return value


def _with_session(value: Sequence[str]) -> Sequence[str]:
    if not any(SESSION in word for word in value):
        raise ValueError(f'must have a word with {SESSION}, such as ["--resume", "{SESSION}"]')
    if any("\0" in word for word in value):
        raise ValueError("must be of words without NUL")
    return value


LinePath = Annotated[str, AfterValidator(_path)]
"""A dot path in a line; a number is a place in a list, and -1 its last."""

Member = Annotated[dict[str, str], AfterValidator(_one_member)]
"""A member at the top of a line, and the text that it must have."""

Words = Annotated[tuple[str, ...], AfterValidator(_with_session)]


class TokenPaths(Settings):
    """Where the result says how many tokens it took."""

    input: LinePath | None = None
    """Tokens that the model read."""
    output: LinePath | None = None
    """Tokens that it wrote."""
    cache_read: LinePath | None = None
    """Tokens that it read from its cache, if `input` is without them."""
    cache_creation: LinePath | None = None
    """Tokens that it wrote to its cache."""


class OutputSettings(Settings):
    """How to understand a program that writes JSON objects, one a line."""

    result: Member
    """The line with the result: a member and its text, such as `{type: result}`."""
    result_text: LinePath | None = None
    """Where the result has the agent's last words. Without it, the last message has them."""
    message: Member | None = None
    """Lines with what the agent says: a member and its text, such as `{type: message}`."""
    message_text: LinePath | None = None
    """Where these lines have the text."""
    failed: dict[LinePath, Value | list[Value]] | None = None
    """Values that make the result a failure, by path. Without it, an exit status other than 0 does."""
    error: LinePath | None = None
    """Where the result says why it failed."""
    usage_limit: tuple[Annotated[str, Field(min_length=3)], ...] = ()
    """Texts in an error or on standard error that mean a usage limit. Upper and lower case are one."""
    session: LinePath | None = None
    """Where any line has the id of the session."""
    cost_usd: LinePath | None = None
    """Where the result has what was paid, in US dollars."""
    cost_of: Literal["run", "session"] = "run"
    """Whether that is the cost of this run, or of its whole session so far."""
    tokens: TokenPaths = TokenPaths()
    """Where the result has numbers of tokens: `{input, output, cache_read, cache_creation}`."""

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if (self.message is None) is not (self.message_text is None):
            raise ValueError("must have both `message` and `message_text`, or neither")
        if self.usage_limit and self.message is None:
            raise ValueError("needs `message` beside `usage_limit`: it shows whether work was done already")
        if self.message == self.result:
            raise ValueError("must have different members for `message` and `result`")
        return self

    @property
    def turns(self) -> Turns:
        """How the runner knows the result."""
        return Turns(ends=tuple(self.result.items()))


class Sessions(Settings):
    """How the program goes on in a session."""

    resume: Words
    """Words behind `command` that take up a session, such as `["--resume", "{session}"]`."""
    begin: Words | None = None
    """Words behind `command` that begin one with an id of ours (a UUID). Without it, the program names it."""
    gone: tuple[Annotated[str, Field(min_length=3)], ...] = ()
    """Texts on standard error that mean that there is no such session. Upper and lower case are one."""


def words_of(template: Sequence[str], session: str) -> list[str]:
    """The words with the session's id."""
    return [word.replace(SESSION, session) for word in template]


def at(line: Any, path: str | None) -> Any:
    """What a line has at a path; None if it has nothing there."""
    if path is None:
        return None
    for step in path.split("."):
        if isinstance(line, dict):
            line = line.get(step)
        elif isinstance(line, list) and step.lstrip("-").isdigit() and len(step) < 9:
            line = line[int(step)] if -len(line) <= int(step) < len(line) else None
        else:
            return None
    return line


def text(line: Json, path: str | None) -> str:
    """The text at a path; of several text blocks, all."""
    value = at(line, path)
    if isinstance(value, list):
        pieces = [one.get("text") if isinstance(one, dict) else one for one in value]
        return "\n".join(piece for piece in pieces if isinstance(piece, str))
    return value if isinstance(value, str) else ""


def has(line: Json, member: Mapping[str, str] | None) -> bool:
    """Whether a line is one of these."""
    return member is not None and all(line.get(name) == value for name, value in member.items())


def progress(raw: str, output: OutputSettings) -> Progress | None:
    """What one line says to somebody who watches."""
    line = parse(raw)
    if line is None:
        return None
    session_id = text(line, output.session) or None
    if has(line, output.result):
        said = one_line(text(line, output.result_text) or text(line, output.error))
        alive = not _failed(line, output)
        return Progress(text=said or None, session_id=session_id, alive=alive, result=True)
    if has(line, output.message):
        return Progress(text=one_line(text(line, output.message_text)) or None, session_id=session_id)
    return Progress(session_id=session_id, alive=False) if session_id else None


def hear(exit: ExitInfo, output: OutputSettings) -> Heard:
    """What the whole output came to. Lines that are no JSON objects do not count."""
    heard, result = Heard(), None
    for raw in [*exit.stdout.split("\n"), *([] if exit.result is None else [exit.result])]:
        line = parse(raw)
        if line is None:
            continue
        heard.lines += 1
        heard.session_id = text(line, output.session) or heard.session_id
        if has(line, output.result):
            result = line
        elif has(line, output.message):
            heard.answered = True
            heard.spoken = text(line, output.message_text).strip() or heard.spoken
    if result is not None:
        _result(heard, result, exit, output)
    return heard


def _result(heard: Heard, result: Json, exit: ExitInfo, output: OutputSettings) -> None:
    heard.ended = True
    heard.spoken = text(result, output.result_text).strip() or heard.spoken
    error = text(result, output.error).strip()
    broken = exit.stopped is None and exit.status not in (0, None) if output.failed is None else False
    if broken or _failed(result, output):
        heard.failed = error or heard.spoken or last_line(exit.stderr) or "the program failed"
    heard.cost_usd = _amount(result, output.cost_usd)
    paths = {kind: getattr(output.tokens, kind) for kind in TokenPaths.model_fields}
    found = {kind: _amount(result, path) for kind, path in paths.items() if path is not None}
    heard.tokens = {kind: int(number) for kind, number in found.items() if number is not None} or None
    heard.answered |= bool(heard.cost_usd) or any((heard.tokens or {}).values())


def _amount(line: Json, path: str | None) -> float | None:
    return number_at({"": at(line, path)}, "", least=0)


def _failed(result: Json, output: OutputSettings) -> bool:
    for path, wanted in (output.failed or {}).items():
        value = at(result, path)
        values = wanted if isinstance(wanted, list) else [wanted]
        # `true` is not 1, though Python has them equal.
        if any(value == one and isinstance(value, bool) is isinstance(one, bool) for one in values):
            return True
    return False


def classify_exit(
    exit: ExitInfo, output: OutputSettings, sessions: Sessions | None, account: str
) -> Completion | NotBegun:
    """The result decides, then what stopped the program, then its exit status."""
    heard = hear(exit, output)
    how = stopped(exit) if exit.stopped != "result" else None
    complaint = f"{heard.failed or ''}\n{exit.stderr[-COMPLAINT_LIMIT:]}".casefold()
    limited = any(one.casefold() in complaint for one in output.usage_limit)
    if heard.ended and heard.failed is None:
        end = (Phase.COMPLETED, RunOutcome.SUCCESS, "success")
        return _completed(exit, heard, end, output)
    unpaid = not heard.answered and not is_cut(exit)
    if exit.stopped == "start" and heard.lines == 0:
        return not_begun(exit, Retry(reason="the program wrote nothing until its `start_timeout`"))
    if how is None and unpaid:
        gone = sessions.gone if sessions is not None and exit.resumed else ()
        if any(one.casefold() in complaint for one in gone):
            return session_gone(exit.session_id)
        if limited and (heard.ended or exit.status):
            reason = one_line(heard.failed or "") or last_line(exit.stderr)
            until = free_at(exit, complaint)
            return not_begun(exit, Limited(account=account, until=until, reason=reason))
    if heard.ended:
        reason = "usage_limit" if limited else "error"
        return _completed(exit, heard, (Phase.FAILED, RunOutcome.FAILURE, reason), output)
    if how is None and exit.status == 0:
        return _completed(exit, heard, (Phase.STOPPED, RunOutcome.UNKNOWN, "no_result"), output)
    return _completed(exit, heard, how or ended(exit), output)


def _completed(
    exit: ExitInfo, heard: Heard, how: tuple[Phase, RunOutcome, str], output: OutputSettings
) -> Completion:
    whole = output.cost_of == "session"
    return completion_of(exit, heard, how, cost_of_session=whole)
