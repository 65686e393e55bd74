"""The suite: one class of tests, which an author derives and tells what the other system looks like."""

from __future__ import annotations

import ast
import asyncio
import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from orgloop.plugin import (
    Delivered,
    Deliverer,
    Limited,
    Page,
    Rejected,
    Retry,
    Skipped,
    Throttled,
    TryLater,
    Unavailable,
    dump_json,
    event_names,
    names_match,
)
from orgloop.testing.actors import ActorTests
from orgloop.testing.description import LIMIT_S, within
from orgloop.testing.other_side import ANSWERS, Answer, OtherSide
from orgloop.testing.sources import SourceTests

Call = Callable[[], Coroutine[Any, Any, Any]]

_OUTCOMES: Final = (Delivered, Skipped, Rejected, Retry, Throttled, Unavailable, Limited)


class ConnectorSuite(SourceTests, ActorTests):
    """Tests of one connector. A test of something that it does not have, or that nobody describes, passes."""

    def test_it_imports_the_door_alone(self) -> None:
        for kind in self._kinds():
            module = inspect.getmodule(kind.open)
            if module is None or module.__file__ is None or module.__name__.startswith("orgloop."):
                continue
            tree = ast.parse(Path(module.__file__).read_text("utf-8"))
            names = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
            names += [
                one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names
            ]
            others = [one for one in names if one.split(".")[0] == "orgloop" and one != "orgloop.plugin"]
            assert not others, f"{module.__name__} imports {others}; a plugin imports orgloop.plugin alone"

    def test_each_setting_is_described_and_an_unknown_one_is_refused(self) -> None:
        for model in self._settings():
            silent = [name for name, field in model.model_fields.items() if not field.description]
            assert not silent, f"{model.__name__}: write a string below {', '.join(silent)}"
            try:
                model.model_validate({"a-key-that-nobody-knows": 1})
            except ValidationError as exc:
                kinds = {one["type"] for one in exc.errors()}
            else:
                kinds = set()
            assert "extra_forbidden" in kinds, f"{model.__name__} takes a key that it does not know"

    def test_the_example_is_an_event_that_it_declares(self) -> None:
        source = self.connector.source
        if source is None or source.example is None:
            return
        example = source.example
        assert dump_json({**example}), "the example is no JSON"
        assert example.get("provenance", {}).get("platform"), "provenance needs `platform`"
        # What it knows may depend on its settings; those of the scaffold are what `init` writes.
        settings = self._parsed(source.settings, source.scaffold)
        if settings is not None and source.names is not None:
            names = event_names(str(example.get("type", "")), example["provenance"])
            known = tuple(source.names(settings))
            assert not known or names_match(known, names), f"`names` has none of {names}"

    def test_whatever_the_other_system_answers_ends_in_time_and_tells_no_secret(self, tmp_path: Path) -> None:
        for name, answer in ANSWERS.items():
            place = tmp_path / name.replace(" ", "-")
            place.mkdir()
            asyncio.run(self._answered(place, name, answer))

    def test_what_waits_for_the_other_system_can_be_cancelled(self, tmp_path: Path) -> None:
        async def cancelled() -> None:
            side = OtherSide.answering(None)
            for ask, what in await self._calls(tmp_path, side):
                task = asyncio.ensure_future(ask())
                done, _ = await asyncio.wait({task}, timeout=0.2)
                if not done:
                    task.cancel()
                    done, _ = await asyncio.wait({task}, timeout=LIMIT_S)
                assert done, f"{what} goes on after it was cancelled"
                task.cancelled() or task.exception()

        asyncio.run(cancelled())

    async def _calls(self, place: Path, side: OtherSide) -> list[tuple[Call, str]]:
        """Everything of this connector that may ask the other system."""
        calls: list[tuple[Call, str]] = []
        if self._polls(place):
            source = await self._opened(self.connector.source, self.source_config(place), side)
            calls.append((partial(source.poll, None), "poll"))
        config = self.actor_config(place)
        if config is not None:
            actor = await self._opened(self.connector.actor, config, side)
            kind = self.connector.actor
            has_runs = kind is not None and kind.has_runs is not None
            if isinstance(actor, Deliverer) and not has_runs:
                calls.append((partial(actor.deliver, self._wake(place, config)), "deliver"))
        return calls

    async def _answered(self, place: Path, name: str, answer: Answer) -> None:
        side = OtherSide.answering(answer)
        for ask, what in await self._calls(place, side):
            try:
                said: object = await within(ask(), f"{what}, answered with {name},")
            except TryLater as exc:
                said = exc
            except Exception as exc:
                said = exc
            if what == "poll":
                assert isinstance(said, Page | Exception), f"poll returned {said!r:.100}"
            else:
                assert isinstance(said, (*_OUTCOMES, Exception)), f"deliver returned {said!r:.100}"
            told = f"{said!r} {said}"
            for secret in self._secrets(place):
                assert secret not in told, f"{what}, answered with {name}, tells a secret of its settings"
