"""Every project and fragment in YAML on a page is valid."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from ruamel.yaml import YAML

from orgloop.config.load import load_project
from orgloop.config.schema.models import GROUPS, Project
from orgloop.plugin import Connector
from orgloop.plugin.registry import CONNECTORS, Registry
from tests.docs.pages import Block, blocks

NOT_OURS: Final = frozenset({"scrape_configs", "services"})
"""Keys of files that belong to other programs."""

BLOCKS: Final = tuple(blocks("yaml"))


def dropbox() -> Connector:
    """The connector of docs/connectors/writing.md."""
    source, *_ = blocks("python", pages=("docs/connectors/writing.md",))
    place: dict[str, Any] = {"__name__": "orgloop_dropbox"}
    exec(compile(source.text, "orgloop_dropbox.py", "exec", dont_inherit=True), place)
    made = place["connector"]
    assert isinstance(made, Connector)
    return made


def registry() -> Registry:
    return Registry({**Registry.installed().points, (CONNECTORS, "dropbox"): dropbox()})


def texts(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for value in node.values():
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)
    elif isinstance(node, str):
        yield node


def variables(data: Any) -> dict[str, str]:
    """A value for each variable: an address where an address is wanted."""
    names = {name for text in texts(data) for name in re.findall(r"\$\{(\w+)", text)}
    return {name: "https://x.example" if re.search("URL|API", name) else "value" for name in names}


def completed(data: Mapping[str, Any]) -> dict[str, Any]:
    """A fragment with what its routes need."""
    whole = {"metadata": {"name": "page"}, **data}
    sources, actors = list(data.get("sources") or []), list(data.get("actors") or [])
    named = {one["id"] for one in [*sources, *actors] if isinstance(one, dict)}
    defined = {one["name"] for one in data.get("transforms") or [] if isinstance(one, dict)}
    transforms = list(data.get("transforms") or [])
    installed = set(Registry.installed().names("orgloop.transforms"))
    for route in data.get("routes") or []:
        actor, source = route["then"]["actor"], route["when"]["source"]
        if actor not in named:
            named.add(actor)
            actors.append({"id": actor, "connector": "process", "config": {"command": ["true"]}})
        if source not in named:
            named.add(source)
            own = {"connector": "github", "config": {"secret": "s"}}
            sources.append({"id": source, **(own if source == "github" else {"connector": "webhook"})})
        for step in route.get("transforms") or []:
            ref = step if isinstance(step, str) else step["ref"]
            if ref not in defined | installed:
                defined.add(ref)
                transforms.append({"name": ref, "type": "filter"})
    return {**whole, "sources": sources, "actors": actors, "transforms": transforms}


def furnish(root: Path, data: Mapping[str, Any]) -> None:
    """The files that the project names."""
    for text in texts(data):
        if re.fullmatch(r"[\w./-]+\.(md|sh|py|yaml)|\./[\w-]+", text):
            path = root / text
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("" if path.suffix in (".md", ".yaml") else "#!/bin/sh\n")
            path.chmod(0o755)


def errors(root: Path, data: Mapping[str, Any]) -> list[str]:
    furnish(root, data)
    with (root / "orgloop.yaml").open("w") as file:
        YAML(typ="safe").dump(dict(data), file)
    return [str(one) for one in load_project(root, registry(), variables(data)).errors]


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_is_valid(block: Block, tmp_path: Path) -> None:
    data = YAML(typ="safe").load(block.text)
    assert isinstance(data, dict), "a project, or a part of one"
    if data.keys() & NOT_OURS:
        return
    known = set(Project.model_fields).union(*(set(group.model_fields) for group in GROUPS.values()))
    assert data.keys() <= known
    assert errors(tmp_path, completed(data)) == []


def test_the_primitives_of_the_readme_are_one_project(tmp_path: Path) -> None:
    whole: dict[str, Any] = {"metadata": {"name": "readme"}}
    for block in blocks("yaml", pages=("README.md",)):
        whole |= YAML(typ="safe").load(block.text)
    assert whole.keys() == {"metadata", "sources", "actors", "transforms", "routes", "loggers"}
    assert errors(tmp_path, whole) == []
    loaded = load_project(tmp_path, registry(), variables(whole))
    assert [str(one) for one in loaded.warnings] == []
