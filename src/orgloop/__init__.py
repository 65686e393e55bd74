"""OrgLoop: Organization as Code. The runtime between an organization's events and its AI agents.

The public door for programs that load projects, read journals or run the engine. Each name is
imported when it is first asked for, so that `import orgloop` costs next to nothing. Who writes a
connector, transform or logger uses `orgloop.plugin`.
"""

from __future__ import annotations

# `typing` takes longer to import than all of this; type checkers know the name all the same.
TYPE_CHECKING = False

if TYPE_CHECKING:
    from orgloop.config.load import Loaded, load_or_raise, load_project
    from orgloop.config.model import Organization
    from orgloop.core.events.event import Event, EventType
    from orgloop.errors import OrgLoopError
    from orgloop.journal.backend import memory_journal, open_journal, open_reader
    from orgloop.journal.model import Query
    from orgloop.plugin.registry import Registry
    from orgloop.project.home import Home
    from orgloop.runtime.engine import Runtime

    __version__: str
else:
    _PLACES = {
        "Event": "orgloop.core.events.event",
        "EventType": "orgloop.core.events.event",
        "Home": "orgloop.project.home",
        "Loaded": "orgloop.config.load",
        "OrgLoopError": "orgloop.errors",
        "Organization": "orgloop.config.model",
        "Query": "orgloop.journal.model",
        "Registry": "orgloop.plugin.registry",
        "Runtime": "orgloop.runtime.engine",
        "load_or_raise": "orgloop.config.load",
        "load_project": "orgloop.config.load",
        "memory_journal": "orgloop.journal.backend",
        "open_journal": "orgloop.journal.backend",
        "open_reader": "orgloop.journal.backend",
    }

    def __getattr__(name: str) -> object:
        if name == "__version__":
            from importlib.metadata import version

            value = version("orgloop")
        elif name in _PLACES:
            from importlib import import_module

            value = getattr(import_module(_PLACES[name]), name)
        else:
            raise AttributeError(f"module 'orgloop' has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "__version__",
    # what happens
    "Event",
    "EventType",
    # a project
    "load_project",
    "load_or_raise",
    "Loaded",
    "Organization",
    "Registry",
    # its state
    "Home",
    "open_reader",
    "Query",
    # the engine
    "open_journal",
    "memory_journal",
    "Runtime",
    # what goes wrong
    "OrgLoopError",
]
