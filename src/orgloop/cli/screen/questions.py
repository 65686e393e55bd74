"""The questions of `orgloop init`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from shutil import get_terminal_size
from typing import Any, Final

import questionary

from orgloop.cli.output import Output
from orgloop.cli.screen.words import wrapped
from orgloop.plugin import Connector, Offer
from orgloop.plugin.registry import Registry
from orgloop.project.scaffold import ProjectRequest, checked, offers_of

_MARKS: Final = 6
"""Columns of a list that its pointer and its boxes take."""


def ask(
    registry: Registry, *, name: str, description: str | None, chosen: Mapping[str, str]
) -> ProjectRequest:
    """Ask for what was not given. Raises KeyboardInterrupt if the answer is Ctrl-C."""
    installed = unique(registry)
    name = _text("What is the project called?", name)
    if description is None:
        description = _text("What is it for? (may stay empty)", "")
    sources = _pick(
        "Where do events come from?", [(one, one.first_source) for one in installed if one.source]
    )
    actors = _pick("Who does the work?", [(one, one.first_actor) for one in installed if one.actor])
    checked(chosen, actors)
    answers = {offer.key: _choose(offer) for offer in offers_of(actors) if offer.key not in chosen}
    request = ProjectRequest(
        name=name,
        description=description,
        sources=sources,
        actors=actors,
        chosen={**chosen, **answers},
    )
    return replace(request, wakes=_wakes(request))


def which(question: str, names: Sequence[str]) -> str:
    """One of these. Raises KeyboardInterrupt if the answer is Ctrl-C."""
    return _select(question, {name: name for name in names})


def unique(registry: Registry) -> list[Connector]:
    """Every connector once, whatever it is called besides."""
    return list({connector.name: connector for connector in registry.connectors()}.values())


def _wakes(request: ProjectRequest) -> Sequence[tuple[str, str]]:
    """Which source wakes which actor; nothing needs to be asked if there is one actor."""
    if len(request.actors) == 1:
        return ()
    proposed = {(pair.source, pair.actor) for pair in request.pairs}
    return [
        (source.name, id)
        for source in request.sources
        for id in _check(
            f"Which actors does {source.name} wake?",
            {id: (id, (source.name, id) in proposed) for id in map(request.actor_id, request.actors)},
        )
    ]


def _text(question: str, default: str) -> str:
    answer: str = _answer(questionary.text(question, default=default))
    return answer.strip() or default


def _choose(offer: Offer) -> str:
    return _select(offer.question, {value: f"{value}: {means}" for value, means in offer.options.items()})


def _pick(question: str, connectors: Sequence[tuple[Connector, bool]]) -> list[Connector]:
    by_name = {one.name: one for one, _ in connectors}
    choices = {one.name: (f"{one.name:15} {one.title}", first) for one, first in connectors}
    return [by_name[name] for name in _check(question, choices)]


def _select(question: str, choices: Mapping[str, str]) -> str:
    """One of these values; each has a line of text."""
    listed = [questionary.Choice(fitting(line), value=value) for value, line in choices.items()]
    found: str = _answer(
        questionary.select(question, choices=listed, instruction="(↑ ↓, then Enter)", erase_when_done=True)
    )
    return _told(question, found)


def _check(question: str, choices: Mapping[str, tuple[str, bool]]) -> list[str]:
    """One or more of these values; each has a line of text, and whether it is proposed."""
    found: list[str] = _answer(
        questionary.checkbox(
            question,
            choices=[
                questionary.Choice(fitting(line), value=value, checked=checked)
                for value, (line, checked) in choices.items()
            ],
            instruction="(↑ ↓, space selects, then Enter)",
            validate=lambda picked: bool(picked) or "Choose at least one, with the space bar.",
            erase_when_done=True,
        )
    )
    _told(question, ", ".join(found))
    return found


def _told(question: str, answer: str) -> str:
    """Show what was answered. The list itself is gone by now, which would break its line anywhere."""
    Output().fold(f"? {question} {answer}", 2)
    return answer


def fitting(text: str) -> str:
    """On one line of the terminal: a list breaks it anywhere."""
    name, _, title = text.partition(" ")
    blanks = len(title) - len(title.lstrip())
    room = get_terminal_size().columns - _MARKS - len(name) - 1 - blanks
    return f"{name} {' ' * blanks}{wrapped(title, room, lines=1)[0]}".rstrip()


def _answer(question: questionary.Question) -> Any:
    return question.unsafe_ask()
