"""What may not be shown or stored: literal secrets become fingerprints."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from functools import cache
from itertools import pairwise
from typing import Any, Final

from pydantic import BaseModel, SecretBytes, SecretStr

from orgloop.config.reading.env import DataPath
from orgloop.config.reading.validation import types_at

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
    r"(?:(?:Bearer|Basic|token) )?(?:"
    r"\$(?:env:)?(?P<shell>[A-Za-z_]\w*)|\$\((?P<make>[A-Za-z_]\w*)\)|%(?P<dos>[A-Za-z_]\w*)%"
    r"|env:(?P<env>[A-Za-z_]\w*)|\$?\{\{ ?(?:env\.|secrets\.)?(?P<braces>[A-Z_][A-Z0-9_]*) ?\}\})",
    re.ASCII,
)
_IN_URL: Final = re.compile(r"\$([A-Z_][A-Z0-9_]{2,})|\$\(([A-Z_][A-Z0-9_]*)\)", re.ASCII)
_FILLED: Final = frozenset({"headers", "env", "environment", "args", "command", "cwd", "binary", "auth"})
"""Keys below which a value that names a variable is meant to be its value."""

_URLS: Final = frozenset({"url", "uri", "base_url", "endpoint", "host"})
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


def unexpanded(tree: Any, model: type[BaseModel], known: Collection[str]) -> Iterator[tuple[DataPath, str]]:
    """Values, as written, that name a variable as other tools do, such as `$NAME`, and that name.

    Secrets, and what a request or a program gets; `known` are the variables that there are.
    """

    def walk(node: Any, path: DataPath) -> Iterator[tuple[DataPath, str]]:
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(value, (*path, key))
        elif isinstance(node, list):
            for number, value in enumerate(node):
                yield from walk(value, (*path, number))
        elif isinstance(node, str):
            name = _variable_in(node, path)
            if name is not None and (name == name.upper() or name in known):
                yield path, name

    def _variable_in(text: str, path: DataPath) -> str | None:
        keys = [step for step in path if isinstance(step, str)]
        found = _OTHER_VARIABLE.fullmatch(text.strip())
        if found is not None and (
            not _FILLED.isdisjoint(keys) or is_secret_key(keys[-1]) or _is_secret(model, path)
        ):
            return found[found.lastgroup or 0]
        if keys[-1] in _URLS and (found := _OTHER_VARIABLE.fullmatch(text.strip()) or _IN_URL.search(text)):
            return found[found.lastgroup or found.lastindex or 0]
        return None

    yield from walk(tree, ())


def _is_secret(model: type[BaseModel], path: DataPath) -> bool:
    return any(one in (SecretStr, SecretBytes) for one in types_at(model, path))
