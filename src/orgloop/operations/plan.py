"""What the files of a project would change in what was applied last."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from types import MappingProxyType

from orgloop.config.diff import Plan, diff
from orgloop.config.model import Organization
from orgloop.errors import NotFound
from orgloop.journal.backend import open_reader
from orgloop.journal.model import AppliedRow
from orgloop.project.home import Home


def plan_of(home: Home, organization: Organization) -> Plan:
    """What this project would change in what its home applied last."""
    try:
        reader = open_reader(home.path)
    except NotFound:
        return compared(None, organization)
    with closing(reader):
        return compared(reader.applied(), organization)


def compared(applied: AppliedRow | None, organization: Organization) -> Plan:
    """What this project would change in what was applied."""
    return diff(applied.snapshot if applied is not None else None, organization.snapshot)


def renames(organization: Organization) -> dict[str, str]:
    """The new name of each route by its earlier ones."""
    return {old: route.name for route in organization.routes for old in route.renamed_from}


def unfinished(
    plan: Plan, waiting: Mapping[str, Mapping[str, int]], renamed: Mapping[str, str] = MappingProxyType({})
) -> dict[str, dict[str, int]]:
    """Unfinished deliveries of routes that change, go or have another name, by route and state."""
    touched = {
        item.name for item in plan.items if item.kind == "route" and item.action in ("change", "remove")
    }
    found: dict[str, dict[str, int]] = {}
    for state, routes in waiting.items():
        for route, count in routes.items():
            name = renamed.get(route, route)
            if state != "total" and name in touched and count:
                found.setdefault(name, {})[state] = found.get(name, {}).get(state, 0) + count
    return found
