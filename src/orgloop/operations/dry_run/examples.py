"""An example event of every connector that can emit: what its source says, or how its runs end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from orgloop.core.events.session_lifecycle import Phase, RunOutcome
from orgloop.errors import NotFound
from orgloop.plugin import Completion, Connector, ExitInfo
from orgloop.runtime.runs.completion import RunFacts, stopped

if TYPE_CHECKING:
    from orgloop.config.model import Organization
    from orgloop.plugin.registry import Registry

_RUN: Final = "run_19b5a1c2d3e4f506"


def example_of(registry: Registry, connector: Connector, organization: Organization | None) -> dict[str, Any]:
    """An event as the project's source or actor of this connector would emit it. Raises NotFound."""
    source = connector.source.example if connector.source is not None else None
    has_runs = connector.actor is not None and connector.actor.has_runs is not None
    if source is None and not has_runs:
        having = sorted(one.name for one in registry.connectors() if _emits(one))
        raise NotFound(
            f"the connector {connector.name} has no example event",
            hint=f"these have one: {', '.join(having)}",
        )
    sources = organization.sources.values() if organization is not None else ()
    actors = organization.actors.values() if organization is not None else ()
    own = next((one.id for one in sources if one.connector == connector.name), None)
    actor = next((one.id for one in actors if one.connector == connector.name and one.has_runs), None)
    if source is None or (own is None and actor is not None):
        return end_of_run(connector.name, actor or connector.name, organization)
    return {"source": own or connector.name, **source}


def _emits(connector: Connector) -> bool:
    return (connector.source is not None and connector.source.example is not None) or (
        connector.actor is not None and connector.actor.has_runs is not None
    )


def end_of_run(harness: str, actor: str, organization: Organization | None) -> dict[str, Any]:
    """The `actor.stopped` of a run that went well, woken by the first route that wakes this actor."""
    routes = organization.routes if organization is not None else ()
    run = RunFacts(
        run_id=_RUN,
        delivery_id="dlv_19b5a1c2d3e4f507",
        route=next((route.name for route in routes if route.actor == actor), "example"),
        actor=actor,
        harness=harness,
        session_id=_RUN,
        cwd=str(organization.root) if organization is not None else None,
        started_at="2026-01-05T10:00:00.000Z",
    )
    completion = Completion(
        phase=Phase.COMPLETED,
        outcome=RunOutcome.SUCCESS,
        reason="exit_code_0",
        text='Fixed the failing test.\n```json\n{"decision": "done"}\n```',
        json={"decision": "done"},
    )
    exit = ExitInfo(status=0, stopped=None, stdout="", stderr="", duration_s=120.0)
    draft = stopped(run, completion, exit, "2026-01-05T10:02:00.000Z", None)
    return {
        "source": actor,
        "type": draft.type,
        "provenance": dict(draft.provenance),
        "payload": draft.payload,
    }
