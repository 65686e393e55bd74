"""Changing orgloop.yaml: checked first, written as a whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from orgloop.config.findings import Code, Finding
from orgloop.config.load import Loaded
from orgloop.errors import ConfigError, OrgLoopError
from orgloop.plugin.registry import Registry
from orgloop.project.files import shown
from orgloop.project.insert import insert
from orgloop.project.variables import VariableState, variables_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """What was written. `missing` are newly needed variables, `doubts` new warnings."""

    file: Path
    entry: Mapping[str, Any]
    created: Sequence[Path]
    missing: Sequence[VariableState]
    doubts: Sequence[Finding]


class Edit:
    """One more item in one section of a project. `load` reads a project as it would be read here."""

    def __init__(
        self,
        loaded: Loaded,
        file: Path,
        section: str,
        word: str,
        *,
        registry: Registry,
        environ: Mapping[str, str],
        load: Callable[[Path], Loaded],
    ) -> None:
        """`loaded` is the project in `file` as it is. Raises ConfigError if it cannot be read."""
        self._load = load
        self._registry = registry
        self._environ = environ
        self.section = section
        self._word = word
        self._file = file.resolve()
        self._before = loaded
        self._created: list[Path] = []
        if self._before.sound is None:
            raise ConfigError(
                f"{shown(file)} cannot be read",
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

    def save(self, entry: Mapping[str, Any]) -> Added:
        """Check and write. Raises ConfigError, with nothing written, if the project would not be sound."""
        temporary = self._file.with_name(f".{self._file.name}.{os.getpid()}.tmp")
        try:
            text = self._file.read_bytes().decode("utf-8")
            temporary.write_bytes(insert(text, self.section, entry).encode())
            temporary.chmod(self._file.stat().st_mode & 0o777)
            after = self._load(temporary)
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
        return self._added(entry, after)

    def _refuse_new_errors(self, after: Loaded, name: str) -> None:
        known = {(one.code, one.message) for one in self._before.errors}
        new = [
            _renamed(one, name, self._file.name)
            for one in after.errors
            if one.code is not Code.MISSING_VARIABLE and (one.code, one.message) not in known
        ]
        if new:
            raise ConfigError(
                f"with this {self._word} the project would not be valid; nothing was written",
                hint="change what you add, for example with --set"
                + ("" if self._word == "route" else "; with --keys instead, its keys are listed"),
                findings=new,
            )

    def _take_back(self) -> None:
        for path in self._created:
            path.unlink(missing_ok=True)
            with suppress(OSError):
                path.parent.rmdir()

    def _added(self, entry: Mapping[str, Any], after: Loaded) -> Added:
        before = {one.name for one in variables_of(self._before, self._registry, self._environ)}
        states = variables_of(after, self._registry, self._environ)
        old = {one.message for one in self._before.warnings}
        new = [one for one in after.warnings if one.message not in old and one.code not in _EXPECTED]
        return Added(
            file=self._file,
            entry=entry,
            created=list(self._created),
            missing=[one for one in states if one.missing and one.name not in before],
            doubts=[replace(one, file=self._file.name) for one in new],
        )


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
