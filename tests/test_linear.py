"""Every regular expression of ours takes time that grows with the text, and no faster.

They are found in the code, and each is held against texts that are made for it: its own characters, over
and over, in ones and twos, with an end that fits none.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

import orgloop

PACKAGE: Final = Path(orgloop.__file__).parent
CALLS: Final = frozenset({"match", "fullmatch", "search", "sub", "subn", "split", "findall", "finditer"})
OURS: Final = {"re", "re2"}
SIZES: Final = (20, 150, 600, 2_400)
"""Four times the text takes four times as long; what is quadratic takes sixteen times."""

QUICK_S: Final = 0.002
"""What takes less is not looked at closely."""

# There, what the author of a filter writes is compiled; and of a logger, the name of its file.
NOT_OURS: Final = {"filter_patterns.py", "helper_program.py", "charset.py", "file.py"}


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        if "agents" not in path.parts or "demo" not in path.parts:
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            yield ".".join(parts).removesuffix(".__init__"), path


def compiled(value: object) -> Iterator[re.Pattern[str]]:
    """The patterns in a value of a module."""
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        yield value
    elif isinstance(value, dict):
        yield from itertools.chain.from_iterable(map(compiled, value.values()))
    elif isinstance(value, list | tuple | set | frozenset):
        yield from itertools.chain.from_iterable(map(compiled, value))


def literals(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """Method, line and text of each `re.method("…")` in a module."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
            continue
        owner = node.func.value
        if isinstance(owner, ast.Name) and owner.id in OURS and node.func.attr in CALLS | {"compile"}:
            given = node.args[0]
            text = given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else ""
            yield node.func.attr, node.lineno, text


def uses() -> dict[str, set[str]]:
    """By name of a variable, the methods of a pattern that are called on it, or handed on, anywhere."""
    found: dict[str, set[str]] = {}
    for _, path in modules():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in CALLS:
                owner = node.value
                while isinstance(owner, ast.Subscript | ast.Call | ast.Attribute):
                    owner = owner.func if isinstance(owner, ast.Call) else owner.value
                if isinstance(owner, ast.Name):
                    found.setdefault(owner.id, set()).add(node.attr)
    return found


def every() -> Iterator[tuple[str, re.Pattern[str], set[str]]]:
    """Where each pattern stands, and the methods that are called on it."""
    used = uses()
    for name, path in modules():
        tree = ast.parse(path.read_text("utf-8"))
        where = path.relative_to(PACKAGE).as_posix()
        for variable, value in vars(importlib.import_module(name)).items():
            patterns = list(compiled(value))
            if patterns and _is_own(variable, tree):
                for number, pattern in enumerate(patterns):
                    methods = used.get(variable, set(CALLS))
                    yield f"{where}:{variable}{number or ''}", pattern, methods
        for method, line, text in literals(tree):
            if method != "compile" and text:
                yield f"{where}:{line}", re.compile(text), {method}


def _is_own(variable: str, tree: ast.Module) -> bool:
    """Whether a module makes it, rather than imports it."""
    return any(
        isinstance(target, ast.Name) and target.id == variable
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    )


def characters(pattern: re.Pattern[str]) -> list[str]:
    """Characters that patterns like, and those that this one knows, the likeliest first."""
    written = pattern.pattern
    escaped = re.findall(r"\\([^a-zA-Z0-9])", written)
    told = re.sub(r"\\[a-zA-Z]", "", written)
    plain = [char for char in told if char not in "()[]{}*+?|^$\\,:=!<>"]
    known = dict.fromkeys([" ", "a", "1", *escaped, *plain, "\n", *told])
    return [char for char in known if char.isprintable() or char == "\n"]


def words(pattern: re.Pattern[str]) -> list[str]:
    """Runs of plain characters in the pattern, such as what begins a comment."""
    return re.findall(r"[^\\()\[\]{}*+?|^$.]{2,}", pattern.pattern)[:3]


def took(call: Callable[[str], object], text: str) -> float:
    """Seconds of this process: the least of several tries, unless the first is quick."""
    best = float("inf")
    for _ in range(4):
        began = time.process_time()
        call(text)
        best = min(best, time.process_time() - began)
        if best < QUICK_S:
            break
    return best


def calls(pattern: re.Pattern[str], methods: set[str]) -> list[Callable[[str], object]]:
    found: list[Callable[[str], object]] = []
    if methods - {"match", "fullmatch"}:
        found.append(lambda text: sum(1 for _ in pattern.finditer(text)))
    if "match" in methods:
        found.append(pattern.match)
    if "fullmatch" in methods:
        found.append(pattern.fullmatch)
    return found


def is_linear(pattern: re.Pattern[str], methods: set[str]) -> bool:
    """Whether no text is found that takes too long."""
    known = characters(pattern)
    signs = [char for char in known if not char.isalnum()][1:6]
    units = [*known[:12], *words(pattern), *map("".join, itertools.permutations(signs, 2))]
    begins = ["", *signs, *words(pattern)]
    edges = {(begin, end) for begin in begins for end in ("", "\0")} | {("", end) for end in signs}
    for call, unit, (begin, end) in itertools.product(calls(pattern, methods), units, sorted(edges)):
        texts = [begin + unit * (size // len(unit)) + end for size in SIZES]
        # What explodes is noticed before it is asked for more.
        if any(took(call, text) > QUICK_S for text in texts[:2]):
            return False
        if (large := took(call, texts[3])) > QUICK_S and large > 9 * took(call, texts[2]):
            return False
    return True


def test_every_pattern_is_linear() -> None:
    """One test for all: parameters would be looked for whenever any test is run."""
    found = list(every())
    assert len(found) > 80
    assert [where for where, pattern, methods in found if not is_linear(pattern, methods)] == []


@pytest.mark.parametrize(
    "written", [r"<\s*/?\s*orgloop-event", r"\s*\S+", r"(a+)+$", r"[a-z]+@", r"(~{3,})([^`]*)$", r"\s+$"]
)
def test_the_test_knows_what_is_not(written: str) -> None:
    assert not is_linear(re.compile(written, re.DOTALL), set(CALLS))


def test_no_pattern_is_made_where_it_is_not_found() -> None:
    """Patterns are compiled at the top of a module, so that the test above sees them."""
    hidden: list[str] = []
    for _, path in modules():
        where = path.relative_to(PACKAGE.parent).as_posix()
        tree = ast.parse(path.read_text("utf-8"))
        inside = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for node in ast.walk(function)
        }
        hidden += [
            f"{where}:{node.lineno}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id in OURS
            and node.func.attr in CALLS | {"compile"}
            and id(node) in inside
            and not isinstance(node.args[0], ast.Constant)
            and path.name not in NOT_OURS
        ]
    assert hidden == []
