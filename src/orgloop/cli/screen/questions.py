"""The questions of `orgloop init`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import questionary

from orgloop.plugin import Connector
from orgloop.plugin.registry import Registry
from orgloop.project.choices import FIRST_ACTOR, FIRST_SOURCE, PERMISSION_MODES
from orgloop.project.scaffold import Choice, has_permission_mode

_MEANINGS = {
    "acceptEdits": "edit files in its directory; other commands as allowed by its tool list",
    "default": "only what its tool list allows",
    "plan": "read and plan, change nothing",
    "dontAsk": "only what its settings and tool list allow, without asking",
}


def ask(registry: Registry, *, name: str, description: str | None, permission_mode: str | None) -> Choice:
    """Ask for what was not given. Raises KeyboardInterrupt if the answer is Ctrl-C."""
    installed = unique(registry)
    name = _text("What is the project called?", name)
    if description is None:
        description = _text("What is it for? (may stay empty)", "")
    sources = _pick("Where do events come from?", [one for one in installed if one.source], FIRST_SOURCE)
    actors = _pick("Who does the work?", [one for one in installed if one.actor], FIRST_ACTOR)
    if permission_mode is None and any(has_permission_mode(one) for one in actors):
        permission_mode = _answer(
            questionary.select(
                "What may the agent do without asking?",
                choices=[
                    questionary.Choice(f"{mode}: {_MEANINGS[mode]}", value=mode) for mode in PERMISSION_MODES
                ],
            )
        )
    return Choice(
        name=name,
        description=description,
        sources=sources,
        actors=actors,
        permission_mode=permission_mode or PERMISSION_MODES[0],
    )


def unique(registry: Registry) -> list[Connector]:
    """Every connector once, whatever it is called besides."""
    return list({connector.name: connector for connector in registry.connectors()}.values())


def _text(question: str, default: str) -> str:
    answer: str = _answer(questionary.text(question, default=default))
    return answer.strip() or default


def _pick(question: str, connectors: Sequence[Connector], first: str) -> list[Connector]:
    chosen: list[Connector] = _answer(
        questionary.checkbox(
            question,
            choices=[
                questionary.Choice(f"{one.name:15} {one.title}", value=one, checked=one.name == first)
                for one in connectors
            ],
            validate=lambda picked: bool(picked) or "Choose at least one, with the space bar.",
        )
    )
    return chosen


def _answer(question: questionary.Question) -> Any:
    return question.unsafe_ask()
