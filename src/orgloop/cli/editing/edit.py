"""Changing orgloop.yaml: checked first, written as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from orgloop.cli.command import Cli
from orgloop.cli.editing.insert import insert
from orgloop.cli.screen.listing import print_findings
from orgloop.config.findings import Code, Finding
from orgloop.config.load import Loaded, load_project
from orgloop.errors import ConfigError, OrgLoopError
from orgloop.project.variables import variables_of


class Edit:
    """One more item in one section of a project."""

    def __init__(self, cli: Cli, section: str, word: str) -> None:
        """Raises ConfigError if the project cannot be read."""
        self._cli = cli
        self._section = section
        self._word = word
        self._file = cli.project_file.resolve()
        self._before = cli.loaded
        self._created: list[Path] = []
        if self._before.sound is None:
            raise ConfigError(
                f"{cli.out.path(cli.project_file)} cannot be read",
                hint="`orgloop validate` shows what is wrong with it",
                findings=self._before.errors,
            )
        self._snapshot = self._before.sound.snapshot

    def parts(self, section: str) -> Mapping[str, Mapping[str, Any]]:
        """What is in a section, in whichever file it stands, by name."""
        found: Mapping[str, Mapping[str, Any]] = self._snapshot.get(section, {})
        return found

    def names(self, section: str) -> list[str]:
        """The names in a section."""
        return list(self.parts(section))

    def create(self, name: str, content: str, *, executable: bool = False) -> None:
        """A new file beside orgloop.yaml, taken back if the change fails. One that exists stays as it is."""
        path = self._file.parent / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                self._created.append(path)
                file.write(content)
            if executable:
                path.chmod(0o755)
        except FileExistsError:
            return
        except OSError as exc:
            self._take_back()
            raise _unwritable(path, exc) from exc

    def save(self, entry: Mapping[str, Any]) -> None:
        """Check and write. Raises ConfigError, with nothing written, if the project would not be sound."""
        temporary = self._file.with_name(f".{self._file.name}.{os.getpid()}.tmp")
        try:
            text = self._file.read_bytes().decode("utf-8")
            temporary.write_bytes(insert(text, self._section, entry).encode())
            temporary.chmod(self._file.stat().st_mode & 0o777)
            cli = self._cli
            after = load_project(temporary, cli.registry, cli.environ, cli.home.path)
            self._refuse_new_errors(after, temporary.name)
            temporary.replace(self._file)
        except OSError as exc:
            self._take_back()
            raise _unwritable(self._file, exc) from exc
        except OrgLoopError:
            self._take_back()
            raise
        finally:
            with suppress(OSError):
                temporary.unlink()
        self._report(entry, after)

    def _refuse_new_errors(self, after: Loaded, name: str) -> None:
        known = {(one.code, one.message) for one in self._before.errors}
        new = [
            _renamed(one, name, self._file.name)
            for one in after.errors
            if one.code is not Code.MISSING_VARIABLE and (one.code, one.message) not in known
        ]
        if new:
            raise ConfigError(
                f"with this {self._word} the project would not be sound; nothing was written",
                hint="change what you add, for example with --set"
                + ("" if self._word == "route" else "; with --keys instead, its keys are listed"),
                findings=new,
            )

    def _take_back(self) -> None:
        for path in self._created:
            path.unlink(missing_ok=True)
            with suppress(OSError):
                path.parent.rmdir()

    def _report(self, entry: Mapping[str, Any], after: Loaded) -> None:
        out = self._cli.out
        name = entry.get("id") or entry.get("name")
        before = {one.name for one in variables_of(self._before, self._cli.registry, self._cli.environ)}
        states = variables_of(after, self._cli.registry, self._cli.environ)
        missing = [one for one in states if one.missing and one.name not in before]
        if out.json:
            created = [str(path) for path in self._created]
            document = {"file": str(self._file), "section": self._section, "entry": entry, "created": created}
            out.data(document | {"missing_variables": [one.name for one in missing]})
            return
        out.ok(f"added {self._word} {name} to {out.path(self._file)}")
        for path in self._created:
            out.ok(f"created {out.path(path)}")
        for state in missing:
            out.warn(
                f"{state.name} is not set", "\n".join([*state.advice, f"write {state.name}=… into .env"])
            )
        old = {one.message for one in self._before.warnings}
        about = [one for one in after.warnings if one.message not in old and one.code not in _EXPECTED]
        print_findings(out, [replace(one, file=self._file.name) for one in about], root=self._file.parent)


_EXPECTED = frozenset({Code.DEAD_SOURCE, Code.UNREACHABLE_ACTOR, Code.UNUSED_TRANSFORM})
"""What is new is not used yet."""


def _renamed(finding: Finding, temporary: str, real: str) -> Finding:
    return replace(
        finding,
        file=real if finding.file == temporary else finding.file,
        message=finding.message.replace(temporary, real),
    )


def _unwritable(path: Path, exc: OSError) -> OrgLoopError:
    return OrgLoopError(
        f"{path} cannot be written: {exc.strerror or exc}; nothing was changed", hint="make it writable"
    )
