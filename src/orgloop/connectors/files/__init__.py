"""A directory as a source: files that come, change, go, or get another name."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from typing import Any, Final

from orgloop.connectors.files.directory import scan
from orgloop.connectors.files.settings import FilesSettings
from orgloop.connectors.files.source import FilesSource
from orgloop.plugin import (
    NUMBER,
    TEXT,
    AuthorType,
    CheckResult,
    CheckStatus,
    Connector,
    Context,
    EventShape,
    EventType,
    PluginError,
    Setup,
    SourceKind,
)


async def check(settings: Any, _ctx: Context) -> Sequence[CheckResult]:
    """Looks once: is the directory there, and how many files are looked at?"""
    stopped = threading.Event()
    try:
        found = await asyncio.to_thread(scan, settings, stopped)
    except PluginError as exc:
        return [CheckResult(name="directory", status=CheckStatus.ERROR, detail=exc.message, hint=exc.hint)]
    finally:
        stopped.set()
    files = "1 file" if len(found) == 1 else f"{len(found)} files"
    return [CheckResult(name="directory", status=CheckStatus.OK, detail=f"{files} in {settings.directory}")]


def shapes(settings: FilesSettings) -> Sequence[EventShape]:
    """All that an event has."""
    return (
        EventShape(
            names=tuple(f"file.{event}" for event in settings.events),
            fields={
                "provenance.platform": ("files",),
                "provenance.platform_event": TEXT,
                "provenance.author": ("unknown",),
                "provenance.author_type": (AuthorType.UNKNOWN,),
                "provenance.path": TEXT,
                "payload.path": TEXT,
                "payload.name": TEXT,
                "payload.size": NUMBER,
                "payload.modified": TEXT,
                "payload.old_path": TEXT,
                "payload.content": TEXT,
            },
        ),
    )


connector: Final = Connector(
    name="files",
    title="A directory: files that come, change, go, or get another name",
    source=SourceKind(
        settings=FilesSettings,
        open=FilesSource,
        polled=True,
        names=lambda settings: tuple(f"file.{event}" for event in settings.events),
        names_all=True,
        shapes=shapes,
        scaffold={"directory": "./inbox"},
        example={
            "type": EventType.RESOURCE_CHANGED,
            "provenance": {
                "platform": "files",
                "platform_event": "file.created",
                "author": "unknown",
                "author_type": AuthorType.UNKNOWN,
                "path": "orders/2026-01-05.csv",
            },
            "payload": {
                "path": "orders/2026-01-05.csv",
                "name": "2026-01-05.csv",
                "size": 18,
                "modified": "2026-01-05T12:00:00.000Z",
                "content": "sku,count\nA-17,3\n",
            },
        },
    ),
    setup=Setup(check=check),
)
