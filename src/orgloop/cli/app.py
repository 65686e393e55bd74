"""What a command works with: what it was told, the home, the project, and where to print."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from orgloop.cli.output import Output
from orgloop.errors import ConfigError, NotFound

if TYPE_CHECKING:
    from orgloop.config.findings import Finding
    from orgloop.config.load import Loaded
    from orgloop.config.model import Organization
    from orgloop.journal.protocols import Reader
    from orgloop.operations.views.waits import Waits
    from orgloop.plugin import Connector
    from orgloop.plugin.registry import Registry
    from orgloop.project.home import Home

SHARED: Final = "orgloop.shared"
"""Where click's context keeps the options that every command has."""


@dataclass(frozen=True, kw_only=True)
class App:
    """What a command works with. `config` is what `--config` says: a file or a directory."""

    out: Output
    config: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @cached_property
    def home(self) -> Home:
        """`$ORGLOOP_HOME`, else ~/.orgloop. It need not exist."""
        from orgloop.project.home import Home

        return Home.of(self.environ)

    @cached_property
    def registry(self) -> Registry:
        """Every plugin that is installed."""
        from orgloop.plugin.registry import Registry

        return Registry.installed()

    @cached_property
    def project_file(self) -> Path:
        """The orgloop.yaml that is meant: `--config`, else here or in the nearest directory above.

        The file need not exist if `--config` names it. Raises ConfigError if nothing names one.
        """
        from orgloop.project.files import project_file

        return project_file(self.config)

    @cached_property
    def loaded(self) -> Loaded:
        """The project with everything that is wrong with it. Raises ConfigError if there is none."""
        return self.load(self.project_file)

    def load(self, file: Path) -> Loaded:
        """Another project, as it would be loaded here."""
        from orgloop.config.load import load_project

        return load_project(file, self.registry, self.environ, self.home.path)

    def connector(self, name: str) -> Connector:
        """An installed connector. Raises NotFound with all that are installed."""
        try:
            return self.registry.connector(name)
        except NotFound as exc:
            known = ", ".join(connector.name for connector in self.registry.connectors())
            near = f"{exc.hint}; " if exc.hint.startswith("did") else ""
            raise NotFound(exc.message, hint=f"{near}installed are: {known}") from exc

    @contextmanager
    def reading(self) -> Iterator[Reader | None]:
        """The home's journal, for reading; None if it has none yet."""
        from orgloop.journal.backend import open_reader

        try:
            reader = open_reader(self.home.path)
        except NotFound:
            yield None
            return
        with closing(reader):
            yield reader

    @contextmanager
    def journal(self) -> Iterator[Reader]:
        """The home's journal, for reading. Raises NotFound if it has none yet."""
        from orgloop.journal.backend import open_reader

        with closing(open_reader(self.home.path)) as reader:
            yield reader

    @property
    def organization(self) -> Organization:
        """The project, sound. Raises ConfigError with all findings if it is not."""
        loaded = self.loaded
        if loaded.organization is None:
            raise self.unsound(loaded.errors)
        return loaded.organization

    def unsound(self, errors: Sequence[Finding]) -> ConfigError:
        """The failure that lists these errors of the project."""
        root = self.project_file.parent
        wrong = [replace(one, file=self.out.path(root / one.file)) for one in errors]
        many = "an error" if len(wrong) == 1 else f"{len(wrong)} errors"
        return ConfigError(f"{self.out.path(self.project_file)} has {many}", findings=wrong)

    @cached_property
    def here(self) -> Path | None:
        """The directory of the project that is meant; None if there is none."""
        try:
            return self.project_file.parent.resolve()
        except (ConfigError, OSError):
            return None

    def waits(self, reader: Reader, now: int) -> Waits:
        """Why deliveries of this home wait."""
        from orgloop.operations.views.waits import Waits
        from orgloop.project.home import running_daemon

        return Waits(reader, now, lambda: running_daemon(self.home) is not None)

    def require_this_project(self, verb: str) -> None:
        """For what acts. Raises DaemonError if this home is another project's than the one here."""
        from orgloop.operations.ownership import require_this_project

        require_this_project(self.home, self.here, verb)

    def tell_another_project(self) -> None:
        """For what only looks: one line, if what it shows is another project's than the one here."""
        from orgloop.operations.ownership import another_project

        if (owner := another_project(self.home, self.here)) is not None:
            self.out.warn(f"{owner.description}; the project in {owner.here} does not run")

    def claim_home(self, root: Path, name: str, *, take_over: bool) -> None:
        """For what starts the project in `root`. Raises Conflict if another one has work here."""
        from orgloop.operations.ownership import claim_home
        from orgloop.project.home import PORT, wanted_port

        port = wanted_port(self.environ) or PORT
        if doubt := claim_home(self.home, root, name, port, take_over=take_over):
            self.out.warn(doubt)


def app_of(ctx: click.Context) -> App:
    """The App of this call."""
    shared: Mapping[str, Any] = ctx.meta.get(SHARED, {})
    return App(
        out=Output(
            json=shared.get("json", False),
            verbose=shared.get("verbose", False),
            quiet=shared.get("quiet", False),
            color=False if shared.get("no_color") else None,
        ),
        config=shared.get("config"),
    )
