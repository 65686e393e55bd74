"""`filter`: an event passes if it is like what is wanted, by patterns per path or by a jq program."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, Field, model_validator

from orgloop.plugin import (
    Change,
    Discard,
    Duration,
    EventPath,
    Failure,
    Pass,
    Path,
    PluginError,
    Reading,
    Scope,
    Settings,
    Transform,
    TransformPlugin,
    TransformResult,
    Trial,
    as_text,
    same,
)
from orgloop.transforms.filter_patterns import SlowRegex, Test, compile_pattern, plain_values, regex_text
from orgloop.transforms.helper import Helper, HelperFailed, try_now

PASS: Final = Pass()


def _pattern(value: Any) -> Any:
    compile_pattern(value)
    return value


Wanted = Annotated[Any, AfterValidator(_pattern)]
"""A pattern."""


class FilterSettings(Settings):
    """Without any of these, every event passes."""

    exclude: dict[EventPath, Wanted] = Field(default_factory=dict)
    """Dot path -> pattern. One match drops the event. Looked at first."""
    match: dict[EventPath, Wanted] = Field(default_factory=dict)
    """Dot path -> pattern. All must match."""
    match_any: dict[EventPath, Wanted] | None = None
    """Dot path -> pattern. At least one must match."""
    jq: str = ""
    """A jq program instead: null, false or nothing drops the event, an object with an `id` replaces it."""
    timeout: Duration = Field(default=5_000, gt=0)
    """How long jq, or a regular expression with lookaround or back-references, may take for one event."""

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.jq and (self.exclude or self.match or self.match_any is not None):
            raise ValueError(
                "`jq` excludes patterns: move `exclude`, `match` and `match_any` into a filter of their own"
            )
        if self.match_any is not None and not self.match_any:
            raise ValueError("`match_any` is empty, so nothing could pass: name a path, or remove it")
        return self


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterCondition:
    """A path and what is wanted there: `test`, or one of the `slow` regular expressions."""

    get: Callable[[object], object]
    test: Test
    slow: Sequence[SlowRegex]


@dataclass(frozen=True, kw_only=True, slots=True)
class FilterRule:
    """One of the conditions must hold, or (not `wanted`) none of them; else the event is dropped."""

    conditions: Sequence[FilterCondition]
    wanted: bool
    otherwise: Discard


class PatternFilter:
    """The open step if all its patterns are fast."""

    bounded = True

    def __init__(self, rules: Sequence[FilterRule]) -> None:
        self._rules = [
            ([(one.get, one.test) for one in rule.conditions], rule.wanted, rule.otherwise) for rule in rules
        ]

    def apply_now(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        for conditions, wanted, otherwise in self._rules:
            for get, test in conditions:
                if test(get(document)):
                    if not wanted:
                        return otherwise
                    break
            else:
                if wanted:
                    return otherwise
        return PASS

    async def apply(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        return self.apply_now(document, scope)

    async def close(self) -> None:
        """Nothing is open."""


class HelpedFilter(ABC):
    """The open step if it needs a helper process."""

    bounded = False

    def __init__(self, helper: Helper) -> None:
        self._helper = helper

    def apply_now(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        raise RuntimeError("a filter with a helper process cannot answer at once: use `apply`")

    async def apply(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        try:
            return await self._decide(document)
        except HelperFailed as exc:
            return Failure(reason=f"{self._what}: {exc}")

    async def close(self) -> None:
        await self._helper.close()

    _what: ClassVar[str]

    @abstractmethod
    async def _decide(self, document: Mapping[str, Any]) -> TransformResult: ...


class SlowPatternFilter(HelpedFilter):
    """Patterns, some of which may take for ever."""

    _what = "regular expression"

    def __init__(self, rules: Sequence[FilterRule], helper: Helper) -> None:
        super().__init__(helper)
        self._rules = rules

    async def _decide(self, document: Mapping[str, Any]) -> TransformResult:
        for rule in self._rules:
            if await self._any_holds(rule.conditions, document) is not rule.wanted:
                return rule.otherwise
        return PASS

    async def _any_holds(self, conditions: Sequence[FilterCondition], document: Mapping[str, Any]) -> bool:
        for condition in conditions:
            value = condition.get(document)
            if condition.test(value):
                return True
            for regex in condition.slow:
                given = regex.shape.encoded(regex_text(value)).encode()
                if await self._helper.ask({"regex": regex.body, "sticky": regex.sticky}, given):
                    return True
        return False


class JqFilter(HelpedFilter):
    """A jq program."""

    _what = "jq"

    def __init__(self, program: str, helper: Helper) -> None:
        super().__init__(helper)
        self._task = {"jq": program}

    async def _decide(self, document: Mapping[str, Any]) -> TransformResult:
        return _by_values(await self._helper.ask(self._task, _encoded(document)), document)


def _encoded(document: Mapping[str, Any]) -> bytes:
    return as_text(document).encode("utf-8", "replace")


def _by_values(found: tuple[int, Any], document: Mapping[str, Any]) -> TransformResult:
    """What follows from how many values a jq program gives, and the last of them."""
    count, last = found
    if not count:
        return Discard(reason="jq gave nothing")
    if last is None or last is False:
        return Discard(reason=f"jq gave {as_text(last, 'null')}")
    if count == 1 and isinstance(last, dict) and last.get("id"):
        return PASS if same(last, document) else Change(document=last)
    return PASS


def _trial(settings: FilterSettings) -> Trial | None:
    def tried(document: Mapping[str, Any]) -> TransformResult:
        try:
            return _by_values(try_now({"jq": settings.jq}, _encoded(document)), document)
        except HelperFailed as exc:
            return Failure(reason=f"jq: {exc}")

    return tried if settings.jq else None


def _open(settings: FilterSettings) -> Transform:
    if settings.jq:
        return JqFilter(_checked(settings.jq), Helper(settings.timeout))
    rules = list(_rules(settings))
    if any(condition.slow for rule in rules for condition in rule.conditions):
        return SlowPatternFilter(rules, Helper(settings.timeout))
    return PatternFilter(rules)


def _rules(settings: FilterSettings) -> Iterator[FilterRule]:
    """All rules in their order."""
    for path, pattern in settings.exclude.items():
        why = f"exclude: {path} matches {_shown(pattern)}"
        yield FilterRule(conditions=[_condition(path, pattern)], wanted=False, otherwise=Discard(reason=why))
    for path, pattern in settings.match.items():
        why = f"match: {path} does not match {_shown(pattern)}"
        yield FilterRule(conditions=[_condition(path, pattern)], wanted=True, otherwise=Discard(reason=why))
    if settings.match_any is not None:
        why = f"match_any: none of {', '.join(settings.match_any)} matches"
        conditions = [_condition(path, pattern) for path, pattern in settings.match_any.items()]
        yield FilterRule(conditions=conditions, wanted=True, otherwise=Discard(reason=why))


def _condition(path: str, pattern: Any) -> FilterCondition:
    compiled = compile_pattern(pattern)
    return FilterCondition(get=Path.parse(path).get, test=compiled.test, slow=compiled.slow)


def _shown(pattern: Any) -> str:
    shown = as_text(pattern, "null")
    return shown if len(shown) <= 80 else f"{shown[:80]}…"


def _checked(program: str) -> str:
    if find_spec("jq") is None:
        raise PluginError("`jq` of a filter cannot run: its library is missing", hint="type: pip install jq")
    try:
        try_now({"jq": program})
    except HelperFailed as exc:
        raise ValueError(f"`jq` is not a program that can run: {exc}") from exc
    return program


def _reads(settings: FilterSettings) -> list[Reading]:
    rules = {"exclude": settings.exclude, "match": settings.match, "match_any": settings.match_any or {}}
    return [
        Reading(path=Path.parse(path), at=(key, path), wanted=plain_values(pattern))
        for key, patterns in rules.items()
        for path, pattern in patterns.items()
    ]


transform = TransformPlugin(
    name="filter",
    title="Pass or drop, by patterns or by jq",
    settings=FilterSettings,
    open=_open,
    # What cannot be decided does not pass.
    on_error="drop",
    trial=_trial,
    reads=_reads,
    changes=lambda settings: bool(settings.jq),
)
