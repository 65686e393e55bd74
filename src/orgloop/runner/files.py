"""The files of a run directory, safely: whatever the program made of them. And their JSON."""

# ruff: noqa: PTH104, PTH112

import fcntl
import os
import sys
import time

from . import SPEC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


def write_json(name: str, record: dict[str, object], *, durable: bool) -> None:
    """Write the whole file or none of it. Raises OSError."""
    spare = name + ".tmp"
    make_way(spare)
    with open(create(spare, os.O_EXCL), "wb") as file:
        file.write(encode(to_json(record) + "\n"))
    if durable:
        sync(spare)
    if os.path.isdir(name):
        make_way(name)
    os.rename(spare, name)
    if durable:
        sync(".")


def make_way(name: str) -> None:
    """Remove what has this name, whatever it is; a directory is put aside."""
    if os.path.lexists(name) and not attempt(os.unlink, name):
        os.rename(name, f"{name}.{time.time_ns()}")


def create(name: str, flags: int = os.O_APPEND) -> int:
    """Open a file of the run for writing, for nobody else to read."""
    return os.open(name, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | flags, 0o600)


def sync(path: str) -> None:
    """Bring a file or directory to the disk itself; on macOS, fsync alone stops at the drive's cache."""
    file = os.open(path, os.O_RDONLY)
    try:
        if sys.platform != "darwin" or not attempt(fcntl.fcntl, file, fcntl.F_FULLFSYNC):
            os.fsync(file)
    finally:
        os.close(file)


def attempt(call: "Callable[..., object]", *arguments: object) -> bool:
    """Make a system call that may fail. Returns whether it did not."""
    try:
        call(*arguments)
    except OSError:
        return False
    return True


def log(sentence: str) -> None:
    """Add a line to runner.log."""
    attempt(os.write, 2, encode(time.strftime("%Y-%m-%dT%H:%M:%SZ ", time.gmtime()) + sentence + "\n"))


def encode(text: str) -> bytes:
    """UTF-8 in any locale; bytes that were no UTF-8 come back as they were."""
    if not text.isascii():  # JSON may write a character as two halves
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return text.encode("utf-8", "surrogateescape")


def to_json(value: object) -> str:
    """JSON of the few kinds of values that this file writes."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{to_json(name)}: {to_json(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(to_json, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(c if c >= " " and c not in '"\\' else f"\\u{ord(c):04x}" for c in value) + '"'
    return "null" if value is None else repr(value)


def from_json(text: str) -> "Any":
    """The value of a JSON text: a Python literal but for three names. Python parses it, and runs nothing."""
    tree: Any = compile(text.strip(), SPEC, "eval", 0x400)  # 0x400: only to a syntax tree
    return literal(tree.body)


def literal(node: "Any") -> "Any":
    """The value of a node of that tree; a spec has no negative numbers. Raises ValueError, LookupError."""
    kind = type(node).__name__
    if kind == "Dict":
        return dict(zip(map(literal, node.keys), map(literal, node.values), strict=True))
    if kind == "List":
        return [literal(item) for item in node.elts]
    if kind == "Constant":
        return node.value
    if kind == "Name":
        return {"null": None, "true": True, "false": False}[node.id]
    raise ValueError(f"{kind} where a value belongs")
