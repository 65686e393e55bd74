"""The questions of `orgloop init`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import questionary

from orgloop.plugin import Connector, Offer
from orgloop.plugin.registry import Registry
from orgloop.project.scaffold import ProjectRequest, checked, offers_of


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
    return ProjectRequest(
        name=name,
        description=description,
        sources=sources,
        actors=actors,
        chosen={**chosen, **answers},
    )


def unique(registry: Registry) -> list[Connector]:
    """Every connector once, whatever it is called besides."""
    return list({connector.name: connector for connector in registry.connectors()}.values())


def _text(question: str, default: str) -> str:
    answer: str = _answer(questionary.text(question, default=default))
    return answer.strip() or default


def _choose(offer: Offer) -> str:
    choices = [questionary.Choice(f"{value}: {means}", value=value) for value, means in offer.options.items()]
    answer: str = _answer(questionary.select(offer.question, choices=choices))
    return answer


def _pick(question: str, connectors: Sequence[tuple[Connector, bool]]) -> list[Connector]:
    chosen: list[Connector] = _answer(
        questionary.checkbox(
            question,
            choices=[
                questionary.Choice(f"{one.name:15} {one.title}", value=one, checked=first)
                for one, first in connectors
            ],
            validate=lambda picked: bool(picked) or "Choose at least one, with the space bar.",
        )
    )
    return chosen


def _answer(question: questionary.Question) -> Any:
    return question.unsafe_ask()
