"""What `orgloop start` shows in the foreground: what runs, how to reach it, then what happens."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from orgloop.cli.app import App
from orgloop.operations.version import version_of

if TYPE_CHECKING:
    from orgloop.config.model import Organization

TERMINAL = "terminal"
"""The logger that the foreground adds, if the project has no console logger of its own."""


class Banner:
    """The foreground's words around the live log."""

    def __init__(self, app: App) -> None:
        self._app = app

    def observed(self, organization: Organization) -> Organization:
        """The project with something that shows its records here."""
        from orgloop.config.model import LoggerSpec

        app = self._app
        if (
            app.out.quiet
            or app.out.json
            or any(spec.plugin.name == "console" for spec in organization.loggers)
        ):
            return organization
        plugin = app.registry.logger("console")
        level = "debug" if app.out.verbose else organization.defaults.log_level
        settings = plugin.settings.model_validate({"level": level})
        spec = LoggerSpec(name=TERMINAL, plugin=plugin, settings=settings, fingerprint=level)
        return replace(organization, loggers=(*organization.loggers, spec))

    def ready(self, organization: Organization, url: str) -> None:
        """It answers."""
        from orgloop.plugin import Receiver

        out = self._app.out
        if out.json:
            out.data({"ready": True, "project": organization.name, "url": url})
        out.line()
        out.fold(
            f"  {out.style('OrgLoop', 'bold')} {version_of('orgloop')}"
            f"  {out.style(organization.name, 'bold', 'cyan')}  {url}",
            2,
        )
        out.line()
        for source in organization.sources.values():
            built = source.kind.open(source.id, source.settings)
            how = (
                f"POST {url}/webhook/{source.id}"
                if isinstance(built, Receiver)
                else "polls, or follows a clock"
            )
            out.fold(f"  {out.style('source', 'dim')}  {source.id}  {out.style(how, 'dim')}", 10)
        for actor in organization.actors.values():
            woken = sum(route.actor == actor.id for route in organization.routes)
            routes = f"{woken} route{'' if woken == 1 else 's'}"
            out.fold(
                f"  {out.style('actor', 'dim')}   {actor.id}"
                f"  {out.style(f'{actor.connector}, {routes}', 'dim')}",
                10,
            )
        out.line()
        words = "Ctrl-C stops it; agents continue. In another terminal: orgloop status, logs, trace"
        out.fold(f"  {out.style(words, 'dim')}", 2)
        out.line()

    def stopped(self) -> None:
        """It has ended."""
        self._app.out.ok("stopped; unfinished work continues at the next start")
