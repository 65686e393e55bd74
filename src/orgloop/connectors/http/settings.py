"""The `config:` map of sources that ask an API, or a feed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from orgloop.connectors.webhook.settings import Auth, HeaderName, HeaderValue
from orgloop.connectors.webhook.urls import is_host
from orgloop.plugin import (
    MINUTE,
    SECOND,
    Duration,
    Fault,
    Path,
    PathError,
    Settings,
    Size,
    Template,
    TemplateError,
    TreeTemplate,
    dump_json,
    refuse,
)

SINCE: Final = ("since", "since_unix", "since_unix_ms", "since_date")
"""How far the source has come, as placeholders write it."""

PLACES: Final = ("page", "offset", "next", "cursor")
"""Where in a list of several pages a request is."""

LINK: Final = "link"
"""As `next`: the `Link` header names the next page."""

_DEFAULTS: Final[Mapping[str, Mapping[str, str | None]]] = {
    "json": {"id": "id", "version": None, "time": None, "author": None, "link": None},
    "lines": {"id": "id", "version": None, "time": None, "author": None, "link": None},
    "feed": {"id": "id", "version": "updated", "time": "updated", "author": "author", "link": "link"},
}
"""Where things stand in an item if the settings do not say it."""


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not is_host(parts.hostname):
        raise ValueError("this is not a URL that can be asked: write http:// or https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL holds a user name or password: move them to `auth`, as type `basic`")
    if parts.port == 0:
        raise ValueError("port 0 cannot be asked")
    if "{{" in value:
        raise ValueError("the URL holds no placeholders: put what differs into `params`")
    if any(char.isspace() or not char.isprintable() for char in value):
        raise ValueError("the URL holds a space or a line break: remove it, or write %20")
    return value


def _path(value: str) -> str:
    Path.parse(value)
    return value


def _template(value: str) -> str:
    if "{{" not in value:
        return _path(value)
    try:
        template = Template.parse(value)
    except TemplateError as exc:
        refuse(exc.faults)
        raise
    if template.is_constant:
        raise ValueError("this is the same text for every item: name a value of it, such as {{ id }}")
    return value


def _event(value: str) -> str:
    try:
        Template.parse(value)
    except TemplateError as exc:
        refuse(exc.faults)
    return value


def _in_request(text: str) -> str:
    if text not in (*SINCE, *PLACES):
        raise PathError(f"{text!r} is not known here: write one of {', '.join((*SINCE, *PLACES))}")
    return text


def _request(value: Any) -> Any:
    try:
        TreeTemplate.parse(value, _in_request)
    except TemplateError as exc:
        refuse(exc.faults)
    dump_json(value)
    return value


def as_template(value: str) -> str:
    """A dot path as the template that has its value; a template as it is."""
    return value if "{{" in value else f"{{{{ {value} }}}}"


ItemPath = Annotated[str, AfterValidator(_path)]
ItemKey = Annotated[str, AfterValidator(_template)]


class HttpSettings(Settings):
    """A source that asks a URL for a list, and tells what is new in it."""

    url: Annotated[str, AfterValidator(_url), Field(repr=False)]
    """What is asked: http or https."""
    method: Annotated[
        Literal["GET", "POST"],
        BeforeValidator(lambda value: value.upper() if isinstance(value, str) else value),
    ] = "GET"
    """`GET`, or `POST` for an API that takes its queries in a body."""
    headers: dict[HeaderName, HeaderValue] = Field(default_factory=dict)
    """More headers, such as the API's key."""
    auth: Auth | None = None
    """`{type: bearer, token}` or `{type: basic, username, password}`."""
    params: dict[str, Annotated[str | int | bool, AfterValidator(_request)]] = Field(
        default_factory=dict, repr=False
    )
    """Parameters of the query, with placeholders; one that has no value is left out."""
    body: Annotated[Any, AfterValidator(_request), Field(repr=False)] = None
    """The JSON body of a `POST`, with placeholders."""
    format: Literal["json", "lines", "feed"] = "json"
    """`json`; `lines` for one JSON document in each line; `feed` for RSS and Atom."""
    items: ItemPath | None = None
    """Dot path of the list in the answer; without it, the answer is the list."""
    id: ItemKey | None = None
    """Dot path or template over an item: what names it."""
    version: ItemKey | None = None
    """Dot path or template over an item: another value of it is another event. Else an item comes once."""
    time: ItemPath | None = None
    """Dot path of an item's time: ISO 8601, or seconds or milliseconds since 1970."""
    event: Annotated[str, AfterValidator(_event)] | None = None
    """The event's name, a template over the item; else `item.created`, or `item.changed`."""
    platform: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")] = "http"
    """What the events say in `provenance.platform`."""
    author: ItemPath | None = None
    """Dot path of who made the item."""
    link: ItemPath | None = None
    """Dot path of the item's page."""
    next: ItemPath | None = None
    """How the next page is found: `link` (the header), or the dot path of its URL or token in the answer."""
    cursor: ItemPath | None = None
    """Dot path, in the answer, of the place from which the next poll goes on."""
    newest_first: bool = False
    """The list begins with what is newest: later pages are read only if the one before has something new."""
    overlap: Duration = 2 * MINUTE
    """How far `since` is before the newest item: what is late in the list is found."""
    initial_lookback: Duration = 0
    """How far back the first poll tells; without it, only what comes from then on is told."""
    max_pages: Annotated[int, Field(ge=1, le=100)] = 10
    """Pages of one poll. What is left is read at once, by the next one."""
    max_bytes: Annotated[Size, Field(ge=1, le=64 * 2**20)] = 8 * 2**20
    """How large one answer may be."""
    timeout: Annotated[Duration, Field(gt=0, le=2 * MINUTE)] = 30 * SECOND
    """How long one answer may take."""

    def place(self, name: str) -> str | None:
        """Where an item has its `id`, `version`, `time`, `author` or `link`; None if nowhere."""
        given = getattr(self, name)
        return given if given is not None else _DEFAULTS[self.format][name]

    def uses(self, *names: str) -> bool:
        """Whether a request differs by one of these placeholders."""
        tree = TreeTemplate.parse([self.params, self.body])
        return any(str(path) in names for path in tree.paths)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        refuse(_contradictions(self))
        return self


def _contradictions(it: HttpSettings) -> list[Fault]:
    found = []

    def no(key: str, why: str) -> None:
        found.append(Fault(message=why, at=(key,)))

    ways = [name for name in ("next", "cursor") if getattr(it, name) is not None]
    ways += [name for name in ("page", "offset") if it.uses(name)]
    if len(ways) > 1:
        no("params", f"`{ways[0]}` and `{ways[1]}` are two ways to the next page: keep one")
    if it.uses(*SINCE) and it.place("time") is None:
        no("params", "`{{ since }}` is the time of the newest item: write where it stands into `time`")
    if it.initial_lookback and it.place("time") is None:
        no("initial_lookback", "needs `time`, the dot path of an item's time")
    if it.uses("cursor") != (it.cursor is not None):
        no("cursor", "`cursor` and the placeholder {{ cursor }} in `params` or `body` need each other")
    if it.uses("next") and it.next in (None, LINK):
        no("next", "must be the dot path of the value that stands for {{ next }}")
    if it.body is not None and it.method != "POST":
        no("body", "goes with `method: POST` only")
    if it.format == "feed":
        for key in ("items", "next", "cursor"):
            if getattr(it, key) is not None:
                no(key, "has no meaning for a feed: remove it")
    if it.format == "lines":
        for key in ("items", "cursor"):
            if getattr(it, key) is not None:
                no(key, "has no meaning for `format: lines`, where each line is an item: remove it")
        if it.next not in (None, LINK):
            no("next", "can only be `link` with `format: lines`")
    if any(name.lower() in ("if-none-match", "if-modified-since") for name in it.headers):
        no("headers", "If-None-Match and If-Modified-Since are set by OrgLoop: remove them")
    if it.auth is not None and any(name.lower() == "authorization" for name in it.headers):
        no("headers", "the header Authorization is set by `auth` too: keep one of them")
    if len({name.lower() for name in it.headers}) < len(it.headers):
        no("headers", "a header is written twice")
    return found
