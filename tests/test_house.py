"""The house rules that a linter does not know."""

from __future__ import annotations

import ast
import importlib
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.checkout import ROOT, tracked

SOURCES = sorted((ROOT / "src").rglob("*.py"))
CORE = sorted((ROOT / "src/orgloop/core").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
LOCKS = sorted((ROOT / "requirements").glob("*.txt"))

MAX_LINES = 400

LEAKS = {
    "a folder of one machine": r"(?<![\w.~-])/(?:work|root)/",
    "a package registry": r"pypi[.]org|pythonhosted[.]|npmjs[.]|deb[.]debian[.]org",
}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), name(path))


def tracked_texts() -> Iterator[tuple[str, str]]:
    """Name and text of every file that git has, or would take."""
    for entry in tracked():
        yield entry, (ROOT / entry).read_bytes().decode("utf-8", "replace")


def sleeps(path: Path) -> Iterator[str]:
    for node in ast.walk(parse(path)):
        match node:
            case ast.Call(func=ast.Attribute(attr="sleep") | ast.Name(id="sleep"), lineno=line):
                yield f"{name(path)}:{line}"
            case ast.ImportFrom(names=names, lineno=line) if any(n.name == "sleep" for n in names):
                yield f"{name(path)}:{line}"
            case _:
                pass


def is_dataclass(decorator: ast.expr) -> bool:
    callee = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(callee) in {"dataclass", "dataclasses.dataclass"}


def switched_on(decorator: ast.expr) -> set[str | None]:
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    return {k.arg for k in keywords if isinstance(k.value, ast.Constant) and k.value.value is True}


def test_no_test_sleeps() -> None:
    assert [where for path in TESTS for where in sleeps(path)] == [], "wait for a fact, with a deadline"


def test_every_module_says_what_it_is() -> None:
    assert [name(p) for p in SOURCES if not ast.get_docstring(parse(p))] == []


def test_files_stay_small() -> None:
    sizes = {name(p): len(p.read_text("utf-8").splitlines()) for p in SOURCES}
    assert {file: lines for file, lines in sizes.items() if lines > MAX_LINES} == {}


def test_a_class_name_means_one_class() -> None:
    places: dict[str, list[str]] = {}
    for path in SOURCES:
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(name(path))
    assert {word: files for word, files in places.items() if len(files) > 1} == {}


@pytest.mark.parametrize("what", LEAKS)
def test_no_file_names(what: str) -> None:
    found = [
        f"{file}:{number}: {line.strip()}"
        for file, text in tracked_texts()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(LEAKS[what], line)
    ]
    assert found == []


def test_core_values_are_frozen_keyword_only_and_slotted() -> None:
    loose = [
        f"{name(path)}:{node.lineno}: {node.name}"
        for path in CORE
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ClassDef)
        for decorator in filter(is_dataclass, node.decorator_list)
        if not {"frozen", "kw_only", "slots"} <= switched_on(decorator)
    ]
    assert loose == []


def test_the_public_door_opens_for_every_name_on_it() -> None:
    door = importlib.import_module("orgloop")
    names: list[str] = list(getattr(door, "__all__", []))
    assert len(names) == len(set(names)), "a name is listed twice"
    assert [n for n in names if not hasattr(door, n)] == []


def test_the_public_door_has_no_unlisted_name() -> None:
    door = importlib.import_module("orgloop")
    listed = set(getattr(door, "__all__", []))
    public = {n for n, v in vars(door).items() if not n.startswith("_") and not isinstance(v, ModuleType)}
    assert public - listed - {"annotations", "TYPE_CHECKING"} == set()


def test_the_lock_pins_every_package_by_hash() -> None:
    for lock in LOCKS:
        text = re.sub(r"#.*\n", "", lock.read_text("utf-8")).replace("\\\n", " ")
        loose = [line for line in text.splitlines() if not re.match(r"\S+==\S+ .*--hash=sha256:", line)]
        assert loose == [], name(lock)
        assert "://" not in text, f"{name(lock)} names a place; the installer knows where to look"


def test_the_lock_has_what_the_project_declares() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = {
        "runtime": declared["project"]["dependencies"],
        "dev": declared["project"]["dependencies"] + declared["dependency-groups"]["dev"],
        "tools": declared["dependency-groups"]["tools"],
    }
    for lock, packages in wanted.items():
        text = (ROOT / "requirements" / f"{lock}.txt").read_text("utf-8")
        locked = set(re.findall(r"^([\w-]+)==", text, re.MULTILINE))
        asked = {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", p)[0]) for p in packages}
        assert asked <= locked, f"requirements/{lock}.txt is stale: type `make lock`"


def foreign(path: Path) -> set[str]:
    """The packages of others that a module imports."""
    imported: set[str] = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            imported |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module)
    return {one.partition(".")[0] for one in imported} - sys.stdlib_module_names - {"orgloop"}


def test_a_contract_keeps_each_driver_of_the_journal_in_its_backend() -> None:
    journal = ROOT / "src/orgloop/journal"
    drivers = {
        package
        for path in journal.rglob("*.py")
        for package in foreign(path)
        if not any(package in foreign(other) for other in SOURCES if journal not in other.parents)
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    kept = {
        module
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["type"] == "forbidden" and contract["source_modules"] == ["orgloop"]
        for module in contract["forbidden_modules"]
    }
    assert drivers
    assert drivers - kept == set(), "only its backend may import it: add it to a contract"


def test_the_journal_s_suite_knows_no_database() -> None:
    suite = (ROOT / "tests/journal").glob("*.py")
    knows = [
        name(path)
        for path in suite
        if path.name != "stores.py" and re.search(r"orgloop[.]journal[.]sqlite", path.read_text("utf-8"))
    ]
    assert knows == [], "tests of one database lie in its own folder"
