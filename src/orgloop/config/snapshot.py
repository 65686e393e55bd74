"""A project as its files say it: what `plan` compares and the journal remembers. Holds no secret."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orgloop.config.diff import VARIABLES
from orgloop.config.model import LoggerSpec
from orgloop.config.reading.collect import Collected, Entry
from orgloop.config.reading.paths import read_file, shown
from orgloop.config.reading.prompt_files import SopFacts
from orgloop.config.reading.secrets import redacted
from orgloop.config.resolving.sources_and_actors import ActorEnd, SourceEnd, fingerprint
from orgloop.config.resolving.transforms import Steps
from orgloop.config.schema import models as schema
from orgloop.plugin.registry import CONNECTORS, LOGGERS, TRANSFORMS, plain_name
from orgloop.plugin.settings import Settings


def snapshot(
    *,
    name: str,
    found: Collected,
    defaults: Iterable[Any],
    sources: Iterable[SourceEnd],
    actors: Iterable[ActorEnd],
    loggers: Mapping[str, LoggerSpec | None],
    steps: Steps,
    run_usd: float | None,
    sops: Mapping[Path, SopFacts | str],
) -> dict[str, Any]:
    """JSON: per kind and name the fields as written, `${VARIABLE}` unresolved, secrets as fingerprints.

    Beside them stand the `DERIVED` ones. `scripts` and `sops` are SHA-256 by path. `defaults` are the
    `defaults:` maps, lowest first.
    """
    root = found.root
    merged: dict[str, Any] = {}
    for level in defaults:
        merged = _merged(merged, level if isinstance(level, dict) else {})
    return {
        "version": 1,
        "project": name,
        "defaults": redacted(merged),
        "accounts": _accounts(found),
        "sources": {end.entry.name: _source(end) for end in sources},
        "actors": {end.entry.name: _actor(end, run_usd) for end in actors},
        "transforms": {
            one.entry.name: _transform(one.entry, one.plugin.settings if one.plugin else None)
            for one in steps.definitions.values()
        },
        "routes": {entry.name: _route(entry) for entry in found.routes},
        "loggers": {entry.name: _logger(entry, loggers.get(entry.name)) for entry in found.loggers},
        "scripts": {shown(path, root): _hash(path) for path in sorted(steps.scripts)},
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
    if filled := list(_filled(raw, entry.spot.data)):
        # Like that of a secret: enough to see that it changed, too little to guess it from.
        fields[VARIABLES] = fingerprint(filled)[:8]
    return fields


def _filled(raw: Any, data: Any) -> Iterator[Any]:
    """The values in which variables stand, with what they are."""
    if isinstance(raw, dict):
        for key in raw:
            yield from _filled(raw[key], data[key])
    elif isinstance(raw, list):
        for one, filled in zip(raw, data, strict=True):
            yield from _filled(one, filled)
    elif isinstance(raw, str) and "${" in raw:
        yield data


def _accounts(found: Collected) -> dict[str, Any]:
    raw = (found.project.spot.raw.get("accounts") or {}) if found.project is not None else {}
    filled = (found.project.spot.data.get("accounts") or {}) if found.project is not None else {}
    return {
        name: {**redacted(fields or {}, schema.AccountConfig), **_marked(fields, filled.get(name))}
        for name, fields in raw.items()
    }


def _marked(raw: Any, filled: Any) -> dict[str, str]:
    values = list(_filled(raw, filled))
    return {VARIABLES: fingerprint(values)[:8]} if values else {}


def _end(end: SourceEnd | ActorEnd, **defaults: Any) -> dict[str, Any]:
    fields = _fields(end.entry, end.kind.settings if end.kind else None)
    fields["connector"] = plain_name(CONNECTORS, str(fields.get("connector")))
    return fields | _place(end.entry, defaults)


def _source(end: SourceEnd) -> dict[str, Any]:
    raw, spec = end.entry.spot.raw, end.spec
    config = raw.get("config") or {}
    own = "poll" in raw or not {"poll", "poll_interval"}.isdisjoint(config)
    if own or spec is None or spec.poll_interval_ms is None:
        return _end(end)
    return _end(end, poll_interval_ms=spec.poll_interval_ms)


def _actor(end: ActorEnd, run_usd: float | None) -> dict[str, Any]:
    return _end(end, run_usd=run_usd) if end.has_runs else _end(end)


def _place(entry: Entry[Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Where the file is, against which paths are read, and the defaults of the project that count here."""
    return {"folder": str(entry.spot.folder)} | ({"defaults": dict(defaults)} if defaults else {})


def _transform(entry: Entry[Any], model: type[Settings] | None) -> dict[str, Any]:
    fields = _fields(entry, model)
    for key in ("type", "package"):
        if isinstance(fields.get(key), str):
            fields[key] = plain_name(TRANSFORMS, fields[key])
    return fields


def _route(entry: Entry[Any]) -> dict[str, Any]:
    fields = _fields(entry, None)
    if isinstance(fields.get("transforms"), list):
        fields["transforms"] = [{"ref": one} if isinstance(one, str) else one for one in fields["transforms"]]
    return fields


def _logger(entry: Entry[Any], spec: LoggerSpec | None) -> dict[str, Any]:
    fields = _fields(entry, spec.plugin.settings if spec else None)
    fields["type"] = plain_name(LOGGERS, str(fields.get("type")))
    level = getattr(spec.settings, "level", None) if spec is not None else None
    own = "level" in (entry.spot.raw.get("config") or {})
    return fields | _place(entry, {} if own or level is None else {"log_level": str(level)})


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
