"""What may not be shown or stored: literal secrets become fingerprints."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Any, Final

from pydantic import BaseModel, SecretBytes, SecretStr

from orgloop.config.check import types_at
from orgloop.config.env import DataPath

_WORDS: Final = frozenset(
    {
        *("token", "tokens", "secret", "secrets", "auth", "authorization", "cookie", "apikey"),
        *("password", "passwords", "passwd", "passphrase", "credential", "credentials"),
    }
)
_KEY_OWNERS: Final = frozenset({"api", "access", "private", "signing", "secret"})
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_ONLY_VARIABLES: Final = re.compile(r"(?:(?:Bearer|Basic|token) )?(?:\$\{[A-Za-z_][A-Za-z0-9_]*\})+")
_OTHER_VARIABLE: Final = re.compile(
    r"\$(?:env:)?(?P<shell>[A-Z_][A-Z0-9_]*)|\$\((?P<make>[A-Z_][A-Z0-9_]*)\)|%(?P<dos>[A-Z_][A-Z0-9_]*)%"
    r"|env:(?P<env>[A-Z_][A-Z0-9_]*)|\$?\{\{ ?(?:env\.|secrets\.)?(?P<braces>[A-Z_][A-Z0-9_]*) ?\}\}"
)
_LOGIN_IN_URL: Final = re.compile(r"://[^/\s@:]*:[^/\s@]+@")


@cache
def is_secret_key(key: str) -> bool:
    """Whether a key of this name holds a secret: `token`, `api_key`, `Authorization`; not `authors`."""
    words = [word.lower() for word in _CAMEL.split(key) if word]
    if not _WORDS.isdisjoint(words):
        return True
    return any(owner in _KEY_OWNERS and word in ("key", "keys") for owner, word in pairwise(words))


def fingerprint(text: str) -> str:
    """What stands for a secret: enough to see that it changed, too little to guess it from."""
    return f"<secret {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}>"


def redacted(tree: Any, model: type[BaseModel] | None = None) -> Any:
    """`tree`, as written in YAML, with literal secrets as fingerprints; `${VARIABLE}` stays.

    Secret is what `model` types as such, what lies under a key that says so, and a login in a URL.
    """

    def walk(node: Any, path: DataPath, *, secret: bool) -> Any:
        if isinstance(node, dict):
            pairs = {
                key: walk(value, (*path, key), secret=secret or is_secret_key(key))
                for key, value in node.items()
            }
            return pairs if any(pairs[key] is not node[key] for key in node) else node
        if isinstance(node, list):
            items = [walk(value, (*path, number), secret=secret) for number, value in enumerate(node)]
            return items if any(new is not old for new, old in zip(items, node, strict=True)) else node
        if not isinstance(node, str):
            return node
        hidden = secret or _LOGIN_IN_URL.search(node) or (model is not None and _is_secret(model, path))
        return fingerprint(node) if hidden and not _ONLY_VARIABLES.fullmatch(node) else node

    return walk(tree, (), secret=False)


def secret_texts(raw: Any, filled: Any) -> Iterator[tuple[str, str]]:
    """Every text of a config that no message may show, and what to show instead.

    `raw` is the config as written, `filled` the same with its variables.
    """

    def walk(written: Any, value: Any, *, secret: bool) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict):
            for key, item in value.items():
                below = written.get(key) if isinstance(written, dict) else None
                yield from walk(below, item, secret=secret or is_secret_key(key))
        elif isinstance(value, list):
            for number, item in enumerate(value):
                below = written[number] if isinstance(written, list) and number < len(written) else None
                yield from walk(below, item, secret=secret)
        elif isinstance(value, str) and value and value != written and isinstance(written, str):
            yield value, written
        elif isinstance(value, str) and value and secret:
            yield value, "<secret>"

    yield from walk(raw, filled, secret=False)


def unexpanded(tree: Any, model: type[BaseModel]) -> Iterator[tuple[DataPath, str]]:
    """Secrets, as written, that name a variable as other tools do, such as `$NAME`, and that name."""

    def walk(node: Any, path: DataPath) -> Iterator[tuple[DataPath, str]]:
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(value, (*path, key))
        elif isinstance(node, list):
            for number, value in enumerate(node):
                yield from walk(value, (*path, number))
        elif isinstance(node, str) and (found := _OTHER_VARIABLE.fullmatch(node.strip())):
            key = next((step for step in reversed(path) if isinstance(step, str)), "")
            if is_secret_key(key) or _is_secret(model, path):
                yield path, found[found.lastgroup or 0]

    yield from walk(tree, ())


def _is_secret(model: type[BaseModel], path: DataPath) -> bool:
    return any(one in (SecretStr, SecretBytes) for one in types_at(model, path))
