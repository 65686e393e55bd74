"""Data against a pydantic model: every problem at its place, in our words, no secret shown."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orgloop.config.findings import Code, Report, advised, nearest
from orgloop.config.reading.documents import Spot, at_path, dotted
from orgloop.config.reading.env import DataPath
from orgloop.config.schema.limits import FORMS, OUTSIDE_CONFIG, ConfigPart
from orgloop.plugin.settings import KEY, Settings

P = TypeVar("P", bound=ConfigPart)

_REMOVE: Final = "remove it: this version does not support it"
_ROUNDS: Final = 5
_MOST_BESIDE: Final = 100
"""Unknown keys that are looked at for one that stands for a missing key."""
_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}")
_MUST_BE: Final = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "tuple": "a list",
    "set": "a list",
    "frozen_set": "a list",
    "dict": "a map of keys and values",
    "model": "a map of keys and values",
    "model_attributes": "a map of keys and values",
    "mapping": "a map of keys and values",
    "path": "a path",
}
_LIMITS: Final = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def read_part(model: type[P], spot: Spot, report: Report, path: DataPath = ()) -> P | None:
    """What stands at `path` in `spot`, as `model`; problems go to the report.

    What can be read is returned even then: bad values are left out, missing ones are empty. None
    if it is not a map at all.
    """
    data = spot.get(*path)
    errors: Sequence[ErrorDetails] = ()
    for round_number in range(_ROUNDS):
        try:
            return model.model_validate(data)
        except ValidationError as exc:
            errors = exc.errors(include_url=False, include_input=False)
        if round_number == 0:
            explain(model, data, errors, spot, report, path)
        data = _repaired(model, data, errors)
    return None


def explain(
    model: type[BaseModel],
    data: Any,
    errors: Sequence[ErrorDetails],
    spot: Spot,
    report: Report,
    path: DataPath = (),
    secrets: Iterable[tuple[str, str]] = (),
) -> None:
    """One finding per place for what pydantic found in `data`, which stands at `path` in `spot`.

    `secrets` are texts that may not be shown, each with what is shown instead.
    """
    grouped: dict[DataPath, list[ErrorDetails]] = {}
    for error in errors:
        grouped.setdefault(place_in(error, data), []).append(error)
    for real in [real for real, group in grouped.items() if _follows(real, group, grouped)]:
        del grouped[real]
    unknown = [real for real, group in grouped.items() if group[0]["type"] == "extra_forbidden"]
    for number, (real, group) in enumerate(grouped.items()):
        if report.full:
            report.leave_out(len(grouped) - number)
            return
        kind = group[0]["type"]
        if spot.lacks_variable(*path, *real):
            continue
        if kind == "extra_forbidden":
            _unknown_key(model, real, spot, report, path)
        elif kind == "missing" and spot.get(*path, *real) is None:
            beside = [one for one in unknown if one[:-1] == real[:-1]]
            hints = [_hint(one[-1], models_at(model, one[:-1])) for one in beside[:_MOST_BESIDE]]
            if f"did you mean `{real[-1]}`?" not in hints:
                _missing(real, spot, report, path)
        elif kind != "missing":
            _bad(model, data, real, group, spot, report, path, secrets)


def _follows(real: DataPath, group: Sequence[ErrorDetails], others: Iterable[DataPath]) -> bool:
    """Whether it is said only because something inside is wrong: a union's other branch, a short list."""
    kinds = [error["type"] for error in group]
    doubtful = all(kind.endswith("_type") or kind == "too_short" for kind in kinds)
    return doubtful and any(len(other) > len(real) and other[: len(real)] == real for other in others)


def _unknown_key(model: type[BaseModel], real: DataPath, spot: Spot, report: Report, path: DataPath) -> None:
    key, models = str(real[-1]), models_at(model, real[:-1])
    where, shown = spot.where(*path, *real, key=True), dotted((*path, *real))
    if any(key in one.NO_EFFECT for one in models if issubclass(one, ConfigPart)):
        report.warn(Code.NO_EFFECT, where, f"{spot.label}: `{shown}` has no effect", "remove it")
    elif any(key in _not_yet(one) for one in models):
        message = f"{spot.label}: `{shown}` is not supported yet"
        report.error(Code.NOT_YET, where, message, _meanwhile(key, models) or _REMOVE)
    elif any(key in keys_of(one) for one in models):
        message = f"{spot.label}: `{shown}` and another key have the same meaning"
        report.error(Code.DUPLICATE_KEY, where, message, "remove one of the two")
    else:
        message = f"{spot.label}: `{shown}` is not a known key"
        outside = OUTSIDE_CONFIG.get(key) if (*path, *real)[-2:-1] == ("config",) else None
        report.error(Code.UNKNOWN_KEY, where, message, outside or _hint(key, models))


def _meanwhile(key: str, models: Iterable[type[BaseModel]]) -> str:
    """What to do until a key works; nothing if there is nothing."""
    hints = [
        one.meanwhile() if issubclass(one, Settings) else one.MEANWHILE
        for one in models
        if issubclass(one, Settings | ConfigPart)
    ]
    return next((hint[key] for hint in hints if key in hint), "")


def _not_yet(model: type[BaseModel]) -> frozenset[str]:
    if issubclass(model, Settings):
        return model.not_yet()
    return model.NOT_YET if issubclass(model, ConfigPart) else frozenset()


def _hint(key: str | int, models: Iterable[type[BaseModel]]) -> str:
    models = tuple(models)
    parts = [model for model in models if issubclass(model, ConfigPart)]
    elsewhere = next((one.ELSEWHERE[str(key)] for one in parts if str(key) in one.ELSEWHERE), None)
    if elsewhere is not None:
        return elsewhere
    known = {name for model in models for name in keys_of(model)}
    hint = nearest(str(key), known, what="known keys")
    if hint.startswith("did you mean"):
        return hint
    homes = sorted(
        f"`{outer}`"
        for model in models
        for outer, annotation in keys_of(model).items()
        for inner in _models_in(annotation)
        if key in keys_of(inner)
    )
    if homes:
        return f"it belongs under {' or '.join(homes)}"
    for owner in ("connector", "type"):
        if any({"config", owner} <= set(keys_of(one)) for one in parts):
            return f"write it under `config` if it is a setting of its {owner}; {hint}"
    return hint


def _missing(real: DataPath, spot: Spot, report: Report, path: DataPath) -> None:
    where = spot.where(*path, *real[:-1])
    message = f"{spot.label}: `{dotted((*path, *real))}` is missing"
    report.error(Code.MISSING_KEY, where, message, FORMS.get(real[-1], f"add `{real[-1]}:`"))


def _bad(
    model: type[BaseModel],
    data: Any,
    real: DataPath,
    group: Sequence[ErrorDetails],
    spot: Spot,
    report: Report,
    path: DataPath,
    secrets: Iterable[tuple[str, str]],
) -> None:
    value = at_path(data, real)
    phrases = {_phrase(error, secrets): error for error in reversed(group)}
    wanted = [text for code, text, _ in reversed(phrases) if code is Code.WRONG_TYPE]
    if len(wanted) == len(phrases):
        models = tuple(models_at(model, real))
        defaults = value is True and _has_defaults(models)
        hint = f"write `{real[-1]}: {{}}`" if defaults and real else ""
        hint = hint or _type_hint(wanted, value, real) or _keys_hint(models)
        told = [(Code.WRONG_TYPE, f"must be {' or '.join(wanted)}, not {_kind(value)}", hint)]
    else:
        told = [one for one in reversed(phrases) if one[0] is not Code.WRONG_TYPE]
        # A validator names each fault; other messages are of branches of a union, and one is enough.
        told = [one for one in told if phrases[one]["type"] == "value_error"] or told[:1]
    if all(error["type"] in ("literal_error", "enum") for error in group) and isinstance(value, str):
        told = [(code, text, _choice(value, text)) for code, text, _ in told]
    name = dotted((*path, *real))
    label = f"{spot.label}: `{name}`" if name else spot.label
    for code, text, hint in told:
        error = phrases.get((code, text, hint), group[0])
        where = spot.where(
            *path, *real, key=error["loc"][-1:] == (KEY,), within=str(error.get("ctx", {}).get("written", ""))
        )
        if not real and path:
            code = Code.BAD_SETTINGS if code is Code.BAD_VALUE else code
        report.error(code, where, f"{label} {text}", hint)


def _phrase(error: ErrorDetails, secrets: Iterable[tuple[str, str]]) -> tuple[Code, str, str]:
    """Code, what is wrong as the end of a sentence, and a hint."""
    kind, context = error["type"], error.get("ctx", {})
    base = kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float")
    if base != kind and base in _MUST_BE:
        return Code.WRONG_TYPE, _MUST_BE[base], ""
    if kind in ("literal_error", "enum"):
        return Code.BAD_VALUE, f"must be {_ticked(context.get('expected'))}", ""
    if kind == "union_tag_not_found":
        return Code.BAD_VALUE, f"needs the key {_ticked(context['discriminator'])}", ""
    if kind == "union_tag_invalid":
        key, choices = _ticked(context["discriminator"]), _ticked(context["expected_tags"])
        return Code.BAD_VALUE, f"has a {key} that is none of {choices}", ""
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return Code.BAD_VALUE, f"must be {words} {context[name]:g}", ""
    if kind in ("too_short", "string_too_short") and context.get("min_length") == 1:
        return Code.BAD_VALUE, "must not be empty", ""
    if kind in ("value_error", "assertion_error"):
        text, hint = advised(str(context.get("error", "")) or error["msg"])
    else:
        text, hint = f"{error['msg'][:1].lower()}{error['msg'][1:]}", ""
    # Only what a validator says may quote the value.
    for secret, shown in secrets:
        text, hint = text.replace(secret, shown), hint.replace(secret, shown)
    return Code.BAD_VALUE, text if text.startswith("must ") else f"is not valid: {text}", hint


def _ticked(quoted: Any) -> str:
    return str(quoted).replace("'", "`")


def _choice(value: str, text: str) -> str:
    hint = nearest(value, re.findall("`([^`]+)`", text))
    return hint if hint.startswith("did you mean") else ""


def _kind(value: Any) -> str:
    match value:
        case None:
            return "empty"
        case bool():
            return "true or false"
        case int() | float() | Decimal():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a map"


def _type_hint(wanted: Sequence[str], value: Any, real: DataPath) -> str:
    if "text" in wanted and isinstance(value, int | float | Decimal):
        return "put it in quotes"
    if "text" in wanted and value is None:
        return "write it behind the colon; text that begins with #, & or ! needs quotes"
    if "text" in wanted and isinstance(value, dict):
        return "put text that contains `: ` in quotes"
    if "a list" in wanted and isinstance(value, str):
        # Only a name is shown: other text may be a secret.
        is_name = real[-1:] == ("events",) and _NAME.fullmatch(value)
        return f"put it in brackets: [{value if is_name else ' '}]"
    if "a list" in wanted and isinstance(value, dict):
        return "begin each of its entries with `- `"
    return ""


def _has_defaults(models: Sequence[type[BaseModel]]) -> bool:
    """Whether a map without a key is enough."""
    return bool(models) and not any(
        field.is_required() for one in models for field in one.model_fields.values()
    )


def _keys_hint(models: Iterable[type[BaseModel]]) -> str:
    known = sorted({key for model in models for key in keys_of(model)})
    return f"its keys: {', '.join(known)}" if known else ""


def place_in(error: ErrorDetails, data: Any) -> DataPath:
    """Where an error lies in the data. Pydantic also names the branches of unions on its way."""
    real: list[str | int] = []
    for step in error["loc"]:
        in_list = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if in_list or (isinstance(data, dict) and step in data):
            real.append(step)
            data = data[step]
    if error["type"] == "missing":
        real.append(error["loc"][-1])
    return tuple(real)


def _repaired(model: type[BaseModel], data: Any, errors: Sequence[ErrorDetails]) -> Any:
    """A copy without what is wrong, and with something empty for what is missing."""
    if not isinstance(data, dict):
        return None
    data = copy.deepcopy(data)
    paths = {place_in(error, data): error["type"] for error in errors}
    # Later members of a list go first, so that the others keep their numbers.
    for path in sorted(
        paths, key=lambda steps: [s if isinstance(s, int) else -1 for s in steps], reverse=True
    ):
        holder = at_path(data, path[:-1])
        if not path or not isinstance(holder, dict | list):
            return None
        if paths[path] == "missing" and isinstance(holder, dict):
            holder[str(path[-1])] = _empty(model, path)
        else:
            _remove(holder, path[-1])
    return data


def _remove(holder: dict[Any, Any] | list[Any], step: str | int) -> None:
    if isinstance(holder, dict):
        holder.pop(step, None)
    elif isinstance(step, int) and step < len(holder):
        del holder[step]


def _empty(model: type[BaseModel], path: DataPath) -> Any:
    if models_at(model, path):
        return {}
    holders = models_at(model, path[:-1])
    annotations = [keys_of(holder).get(str(path[-1])) for holder in holders]
    return [] if any(get_origin(annotation) is list for annotation in annotations) else ""


def keys_of(model: type[BaseModel]) -> Mapping[str, Any]:
    """The keys that a model takes in YAML, with their annotations."""
    keys: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        aliases = [alias for alias in (field.alias, field.validation_alias) if isinstance(alias, str)]
        choices = getattr(field.validation_alias, "choices", ())
        aliases += [choice for choice in choices if isinstance(choice, str)]
        both = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
        if both or not aliases:
            aliases.append(name)
        keys.update(dict.fromkeys(aliases, field.annotation))
    return keys


def types_at(model: type[BaseModel], path: Iterable[str | int]) -> tuple[Any, ...]:
    """The types that may stand at `path` inside `model`."""
    annotations: list[Any] = [model]
    for step in path:
        annotations = [inner for annotation in annotations for inner in _inside(annotation, step)]
    return tuple(one for annotation in annotations for one in _alternatives(annotation))


def models_at(model: type[BaseModel], path: Iterable[str | int]) -> tuple[type[BaseModel], ...]:
    """The models that may stand at `path` inside `model`."""
    return tuple(dict.fromkeys(found for one in types_at(model, path) for found in _models_in(one)))


def _inside(annotation: Any, step: str | int) -> Iterator[Any]:
    for one in _alternatives(annotation):
        origin, args = get_origin(one), get_args(one)
        if isinstance(one, type) and origin is None and issubclass(one, BaseModel):
            if step in keys_of(one):
                yield keys_of(one)[str(step)]
        elif isinstance(step, int):
            yield from (arg for arg in args if arg is not Ellipsis)
        elif len(args) == 2:
            yield args[1]


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    for one in _alternatives(annotation):
        if isinstance(one, type) and get_origin(one) is None and issubclass(one, BaseModel):
            yield one


def _alternatives(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin is Union or origin is UnionType:
        for arg in get_args(annotation):
            yield from _alternatives(arg)
    else:
        yield annotation
