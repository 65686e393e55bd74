"""Every endpoint beside /webhook, in one list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final

from orgloop.web import api, control, metrics, overview
from orgloop.web.daemon_api import DaemonApi
from orgloop.web.endpoint import Call, Endpoint, Table

_Answer = Callable[[DaemonApi, Call], Awaitable[Any]]

ENDPOINTS: Final[tuple[tuple[str, str, _Answer], ...]] = (
    ("GET", "/api/status", overview.status),
    ("GET", "/api/health", overview.liveness),
    ("GET", "/api/routes", api.routes),
    ("GET", "/api/sources", api.sources),
    ("GET", "/api/events", api.events),
    ("GET", "/api/events/{id}", api.event),
    ("GET", "/api/deliveries", api.deliveries),
    ("GET", "/api/deliveries/{id}", api.delivery),
    ("GET", "/api/runs", api.runs),
    ("GET", "/api/runs/{id}", api.run),
    ("GET", "/api/trace/{id}", api.trace),
    ("GET", "/api/accounts", api.accounts),
    ("GET", "/api/doctor", api.doctor),
    ("GET", "/api/metrics", metrics.metrics),
    ("GET", "/control/status", control.status),
    ("GET", "/control/health", overview.liveness),
    ("POST", "/control/shutdown", control.shutdown),
    ("POST", "/control/apply", control.apply),
    ("POST", "/control/reload", control.apply),
    ("POST", "/control/emit", control.emit),
    ("POST", "/control/events/{id}/replay", control.replay),
    ("POST", "/control/deliveries/{id}/{verb}", control.operate),
    ("POST", "/control/runs/{id}/stop", control.stop_run),
    ("POST", "/control/sessions/forget", control.forget_session),
    ("POST", "/control/actors/{id}/pause", control.pause_actor),
    ("POST", "/control/actors/{id}/resume", control.resume_actor),
    ("POST", "/control/routes/{id}/pause", control.pause_route),
    ("POST", "/control/routes/{id}/resume", control.resume_route),
    ("POST", "/control/accounts/park", control.park),
    ("POST", "/control/accounts/resume", control.resume),
    ("GET", "/control/module/list", control.modules),
    ("GET", "/control/module/status/{name}", control.module),
    ("POST", "/control/module/reload", control.reload_module),
    ("POST", "/control/module/load-project", control.load_project),
    ("POST", "/control/module/load", control.no_other_module),
    ("POST", "/control/module/unload", control.no_other_module),
)


def table(daemon: DaemonApi) -> Table:
    """The endpoints of one daemon."""
    return Table(
        Endpoint(method=method, path=path, answer=partial(answer, daemon))
        for method, path, answer in ENDPOINTS
    )
