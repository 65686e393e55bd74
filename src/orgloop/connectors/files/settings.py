"""The `config:` map of sources that watch a directory."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from orgloop.plugin import HOUR, SECOND, Duration, ProjectPath, Settings, Size

FileEvent = Literal["created", "changed", "removed", "renamed"]


def _pattern(value: str) -> str:
    parts = value.split("/")
    if "" in parts or ".." in parts or "." in parts:
        raise ValueError("must be a file name or a path below `directory`, such as *.csv or reports/**/*.pdf")
    if any("**" in part and part != "**" for part in parts):
        raise ValueError("`**` stands alone between two slashes, for any number of directories")
    return value


Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_pattern)]


class FilesSettings(Settings):
    """A source that looks at a directory, and tells what changed in it."""

    directory: ProjectPath
    """What is watched, beside the file that says so or in the project."""
    include: tuple[Pattern, ...] = ("*",)
    """Names of files (`*.csv`) or paths below `directory` (`reports/**/*.pdf`)."""
    exclude: tuple[Pattern, ...] = ()
    """What is left out, written alike; of a directory, all that is in it."""
    recursive: bool = False
    """Look into directories below, too."""
    hidden: bool = False
    """Look also at files and directories whose name begins with a dot."""
    events: Annotated[tuple[FileEvent, ...], Field(min_length=1)] = (
        "created",
        "changed",
        "removed",
        "renamed",
    )
    """What is told: `created`, `changed`, `removed`, `renamed`."""
    settle: Annotated[Duration, Field(le=HOUR)] = 2 * SECOND
    """A file is told once it stayed as it is for that long: it may be half written before."""
    content: Annotated[Size, Field(le=2**20)] = 0
    """The payload has the text of files up to this size."""
    initial_lookback: Duration = 0
    """The first look tells of files that changed within this time; of none without it."""
    max_files: Annotated[int, Field(ge=1, le=10_000)] = 5_000
    """How many files there may be."""
