"""A plugin package as a third party writes it: source, both kinds of actor, transform and logger."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from orgloop.plugin import (
    MISSING,
    SECOND,
    ActorKind,
    AuthorType,
    Change,
    Completion,
    Connector,
    Context,
    Delivered,
    DeliverOutcome,
    Discard,
    Draft,
    EventType,
    ExitInfo,
    Inbound,
    LoggerPlugin,
    Path,
    Phase,
    Progress,
    ProjectPath,
    Received,
    Record,
    RecordPhase,
    Refused,
    Rejected,
    RunLimitsSpec,
    RunOutcome,
    RunSpec,
    Scope,
    Secret,
    Settings,
    SourceKind,
    Template,
    Throttled,
    TransformPlugin,
    TransformResult,
    Wake,
    WakeSession,
    as_text,
    from_end,
    last_words,
    parse_json,
    set_at,
    verify,
)


class PostSettings(Settings):
    """Takes signed parcels."""

    secret: Secret
    """Verifies each parcel."""


class Post:
    """Each parcel is an event."""

    signed = True

    def __init__(self, id: str, settings: PostSettings) -> None:
        self._secret = settings.secret

    async def open(self, ctx: Context) -> None:
        """Needs nothing."""

    async def close(self) -> None:
        """Has nothing to give back."""

    async def receive(self, request: Inbound) -> Received:
        verify(request, self._secret, ["x-parcel-signature"], missing="Missing signature")
        parcel = parse_json(request.body)
        if not isinstance(parcel, dict):
            raise Refused("A parcel is a JSON object", hint="send an object", status=422)
        provenance = {"platform": "parcel", "platform_event": "parcel.came", "author_type": AuthorType.BOT}
        return Received(
            events=[Draft(type=EventType.MESSAGE_RECEIVED, provenance=provenance, payload=parcel)],
            request=request.headers.get("x-parcel-number"),
        )


class ShelfSettings(Settings):
    """A directory for parcels."""

    directory: ProjectPath
    """Where they lie."""
    label: str = "{{payload.weight}}"
    """What is written on each."""


class Shelf:
    """Puts each parcel into a file."""

    def __init__(self, id: str, settings: ShelfSettings) -> None:
        self._directory = settings.directory
        self._label = Template.parse(settings.label)

    async def open(self, ctx: Context) -> None:
        self._clock = ctx.clock

    async def close(self) -> None:
        """Has nothing to give back."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        if wake.event.payload.get("fragile"):
            return Rejected(reason="fragile")
        try:
            (self._directory / f"{wake.event.id}.txt").write_text(self._label.render(wake.event.document()))
        except OSError:
            return Throttled(until=self._clock.now() + SECOND)
        return Delivered()


class WorkerSettings(Settings):
    """A shell command."""

    command: str
    """What is done with each parcel."""


class Worker:
    """Runs a shell command for each parcel."""

    harness = "parcel"
    directory = None

    def __init__(self, id: str, settings: WorkerSettings) -> None:
        self._command = settings.command

    async def open(self, ctx: Context) -> None:
        """Needs nothing."""

    async def close(self) -> None:
        """Has nothing to give back."""

    def start(self, wake: Wake, session: WakeSession | None) -> RunSpec:
        if wake.directory is None:
            raise Refused("a run has a directory")
        return RunSpec(
            argv=["/bin/sh", "-c", self._command],
            cwd=wake.directory,
            stdin=json.dumps(wake.event.payload),
            limits=RunLimitsSpec(total_s=60),
        )

    def read(self, line: str) -> Progress | None:
        return Progress(text=line)

    def finish(self, exit: ExitInfo) -> Completion:
        phase, outcome, reason = from_end(exit.status, exit.stopped)
        done = phase is Phase.COMPLETED and outcome is RunOutcome.SUCCESS
        text = exit.stdout if done else last_words(exit.stdout, exit.stderr)
        return Completion(phase=phase, outcome=outcome, reason=reason, text=text)


class WeighSettings(Settings):
    """Nothing to set."""


class Weigh:
    """Writes each parcel's weight into it, and drops those that have nothing in them."""

    bounded = True

    def __init__(self, settings: WeighSettings) -> None:
        self._content, self._weight = Path.parse("payload.content"), Path.parse("payload.weight")

    def apply_now(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        content = self._content.get(document)
        if content is MISSING:
            return Discard(reason="empty")
        return Change(document=set_at(document, self._weight, len(as_text(content))))

    async def apply(self, document: Mapping[str, Any], scope: Scope) -> TransformResult:
        return self.apply_now(document, scope)

    async def close(self) -> None:
        """Has nothing to give back."""


class BookSettings(Settings):
    """A file."""

    path: ProjectPath
    """Where it lies."""


class Book:
    """Notes each wake."""

    def __init__(self, settings: BookSettings) -> None:
        self._path = settings.path

    def write(self, records: Sequence[Record]) -> None:
        with self._path.open("a") as book:
            book.writelines(
                f"{one.event_id}\n" for one in records if one.phase is RecordPhase.DELIVER_SUCCESS
            )

    def close(self) -> None:
        """Has nothing to give back."""


post = Connector(
    name="parcel",
    title="Parcels",
    source=SourceKind(settings=PostSettings, open=Post, scaffold={"secret": "${PARCEL_SECRET}"}),
    actor=ActorKind(settings=ShelfSettings, open=Shelf, scaffold={"directory": "./shelf"}),
)
worker = Connector(
    name="parcel-worker",
    title="Works on parcels",
    actor=ActorKind(settings=WorkerSettings, open=Worker, has_runs=lambda _: True),
)
weigh = TransformPlugin(name="weigh", title="Weighs parcels", settings=WeighSettings, open=Weigh)
book = LoggerPlugin(name="book", title="A book", settings=BookSettings, open=Book)
