"""A project as its files say it: what `plan` compares and the journal remembers. Holds no secret."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orgloop.config.collect import Collected, Entry
from orgloop.config.ends import ActorEnd, SourceEnd
from orgloop.config.model import LoggerSpec
from orgloop.config.paths import read_file, shown
from orgloop.config.secrets import redacted
from orgloop.config.sop import SopFacts
from orgloop.config.steps import Steps
from orgloop.plugin.registry import CONNECTORS, LOGGERS, TRANSFORMS, plain_name
from orgloop.plugin.settings import Settings

VALUES = "values"
"""The field that changes when a variable's value does, though the file says the same."""


def snapshot(
    *,
    name: str,
    found: Collected,
    defaults: Iterable[Any],
    sources: Iterable[SourceEnd],
    actors: Iterable[ActorEnd],
    loggers: Mapping[str, LoggerSpec | None],
    steps: Steps,
    sops: Mapping[Path, SopFacts | str],
) -> dict[str, Any]:
    """JSON: per kind and name the fields as written, `${VARIABLE}` unresolved, secrets as fingerprints.

    `sops` are SHA-256 by path. `defaults` are the `defaults:` maps, lowest first.
    """
    root = found.root
    merged: dict[str, Any] = {}
    for level in defaults:
        merged = _merged(merged, level if isinstance(level, dict) else {})
    return {
        "version": 1,
        "project": name,
        "defaults": redacted(merged),
        "sources": {end.entry.name: _end(end.entry, end) for end in sources},
        "actors": {end.entry.name: _end(end.entry, end) for end in actors},
        "transforms": {
            one.entry.name: _transform(one.entry, one.plugin.settings if one.plugin else None, steps)
            for one in steps.definitions.values()
        },
        "routes": {entry.name: _route(entry) for entry in found.routes},
        "loggers": {entry.name: _logger(entry, loggers.get(entry.name)) for entry in found.loggers},
        "sops": {
            shown(path, root): facts.hash
            for path, facts in sorted(sops.items())
            if isinstance(facts, SopFacts)
        },
    }


def _fields(entry: Entry[Any], model: type[Settings] | None) -> dict[str, Any]:
    raw = entry.spot.raw
    fields = {key: redacted(value) for key, value in raw.items() if key not in ("id", "name", "config")}
    if raw.get("config"):
        fields["config"] = redacted(raw["config"], model)
    return fields


def _end(entry: Entry[Any], end: SourceEnd | ActorEnd) -> dict[str, Any]:
    fields = _fields(entry, end.kind.settings if end.kind else None)
    fields["connector"] = plain_name(CONNECTORS, str(fields.get("connector")))
    if end.spec is not None:
        fields[VALUES] = end.spec.fingerprint
    return fields


def _transform(entry: Entry[Any], model: type[Settings] | None, steps: Steps) -> dict[str, Any]:
    fields = _fields(entry, model)
    for key in ("type", "package"):
        if isinstance(fields.get(key), str):
            fields[key] = plain_name(TRANSFORMS, fields[key])
    script = steps.scripts.get(entry.name)
    if script is not None:
        fields["script_hash"] = _hash(script)
    return fields


def _route(entry: Entry[Any]) -> dict[str, Any]:
    fields = _fields(entry, None)
    if isinstance(fields.get("transforms"), list):
        fields["transforms"] = [{"ref": one} if isinstance(one, str) else one for one in fields["transforms"]]
    return fields


def _logger(entry: Entry[Any], spec: LoggerSpec | None) -> dict[str, Any]:
    fields = _fields(entry, spec.plugin.settings if spec else None)
    fields["type"] = plain_name(LOGGERS, str(fields.get("type")))
    if spec is not None:
        fields[VALUES] = spec.fingerprint
    return fields


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def _hash(path: Path) -> str | None:
    try:
        return hashlib.sha256(read_file(path)).hexdigest()
    except OSError:
        return None
