"""Logs of webhooks that serve many repositories: an organization's, and a GitHub App's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from orgloop.connectors.github.api import Api, Denied, Response
from orgloop.connectors.github.lists import Lists, as_object
from orgloop.connectors.github.polling.checkpoint import ReadProgress
from orgloop.connectors.github.polling.hook_log import ask_for_lost, hooks_root, is_address, leads_to
from orgloop.connectors.github.settings import GithubSettings
from orgloop.plugin import PluginError, TryLater, integer_at, text_at

APP: Final = "*"
"""The app's webhook, among the names of a checkpoint. That of an organization is `owner/*`."""


@dataclass(kw_only=True, slots=True)
class LogStep:
    """One step through these logs: how far each was read, and what failed first."""

    progress: dict[str, ReadProgress] = field(default_factory=dict)
    more: bool = False
    failure: PluginError | TryLater | None = None


@dataclass(kw_only=True, slots=True)
class _Reading:
    """One log at work."""

    api: Api
    now: int
    progress: ReadProgress
    more: bool = False
    lists: Lists = field(init=False)

    def __post_init__(self) -> None:
        self.lists = Lists(self.api)


class SharedLogs:
    """Asks again for what these webhooks could not deliver. What the login may not see is left alone."""

    def __init__(self, api: Api, app: Api | None, settings: GithubSettings, path: str) -> None:
        self._api = api
        self._app = app
        self._path = path
        self._events = settings.events
        self._names = [one for one in settings.repo if one.endswith("/*")] + ([APP] if app else [])
        self._hidden: set[str] = set()

    async def step(self, before: Mapping[str, ReadProgress]) -> LogStep:
        """One step through each log. One that fails keeps its place, and holds up no other one."""
        step = LogStep()
        for name in self._names:
            known = before.get(name)
            if name in self._hidden:
                continue
            try:
                reading = await self._read(name, known)
            except Denied as exc:
                if exc.status == 401:
                    step.failure = step.failure or exc
                else:
                    self._hidden.add(name)  # Until the next start: it is a person, or needs another right.
            except (PluginError, TryLater) as exc:
                step.failure = step.failure or exc
            else:
                step.progress[name] = reading.progress
                step.more = step.more or reading.more
                continue
            if known is not None:
                step.progress[name] = known
        return step

    async def _read(self, name: str, known: ReadProgress | None) -> _Reading:
        if name == APP and self._app is not None:
            answer = await self._app.get("/app/hook/config")
            reading = _reading(self._app, answer, known)
            config = as_object(answer.data, "/app/hook/config")
            if known is not None and is_address(text_at(config, "url"), self._path):
                await ask_for_lost(reading, "/app/hook/deliveries", self._events)
            return reading
        root = f"{hooks_root(name)}/hooks"
        answer = await self._api.get(root, per_page=100)
        reading = _reading(self._api, answer, known)
        hooks = answer.data if isinstance(answer.data, list) else []
        for hook in hooks if known is not None else ():
            if isinstance(hook, dict) and leads_to(hook, self._path):
                await ask_for_lost(reading, f"{root}/{integer_at(hook, 'id')}/deliveries", self._events)
        return reading


def _reading(api: Api, answer: Response, known: ReadProgress | None) -> _Reading:
    """What was lost before the first time is not asked for."""
    return _Reading(api=api, now=answer.at, progress=known or ReadProgress(log=answer.at))
