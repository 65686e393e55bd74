"""The prompt that a waiting delivery would be sent with, as the files are now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orgloop.config.load import Loaded
    from orgloop.config.model import Organization
    from orgloop.journal.model import DeliveryRow
    from orgloop.journal.protocols import Reader


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """`text` is empty for an actor that reads no prompt, or if `fault` says why there is none."""

    text: str = ""
    file: str = ""
    fault: str = ""


def preview(load: Callable[[Path], Loaded], reader: Reader, row: DeliveryRow) -> Preview:
    """What its actor would read if it were woken now. `load` reads a project."""
    applied = reader.applied()
    if applied is None:
        return Preview(fault="nothing was applied here")
    loaded = load(Path(applied.root))
    wrong = [one.message for one in loaded.errors]
    if loaded.sound is None:
        return Preview(fault=f"the project cannot be read: {'; '.join(wrong)}")
    return _of_project(loaded.sound, reader, row, wrong)


def _of_project(project: Organization, reader: Reader, row: DeliveryRow, wrong: Sequence[str]) -> Preview:
    from orgloop.core.text.json_text import dump_json
    from orgloop.runtime.dispatch.prompt import SopMissing, SopShelf, compose
    from orgloop.runtime.support.documents import load

    route = next((one for one in project.routes if one.name == row.route), None)
    actor = project.actors.get(row.actor)
    if route is None or actor is None:
        missing = f"route {row.route}" if route is None else f"actor {row.actor}"
        return Preview(fault="; ".join([f"the project has no valid {missing}", *wrong]))
    if row.lead != row.id:
        return Preview(fault=f"it is part of the batch of {row.lead}, which has the prompt")
    event = reader.event(row.event_id)
    document = row.document or (event.document if event is not None else None)
    if document is None:
        return Preview(fault="its event is no longer there")
    file = str(route.prompt_file) if route.prompt_file is not None else ""
    if not (actor.kind.wakes_agent or actor.has_runs):
        return Preview(file=file)
    try:
        sop = SopShelf().get(route.prompt_file) if route.prompt_file is not None else None
    except SopMissing as exc:
        return Preview(file=file, fault=str(exc))
    body = sop.rendered(document) if sop is not None else None
    documents = [document, *_others(reader, row)]
    events = [load(dump_json(one)) for one in documents]
    return Preview(text=compose(body, events, row.id), file=file)


def _others(reader: Reader, row: DeliveryRow) -> Iterator[Mapping[str, Any]]:
    """The events of the deliveries that it leads."""
    for id in row.members[1:]:
        other = reader.delivery(id)
        event = reader.event(other.event_id) if other is not None else None
        if other is not None and event is not None:
            yield other.document or event.document
