"""What a request to a source means: translated by the source itself, as the daemon would have it done."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orgloop.config.model import Organization
from orgloop.errors import Refused
from orgloop.operations.signing import secret_of
from orgloop.plugin import Clock, Draft, Http, Inbound, Mark, SecretStr, signed_headers
from orgloop.runtime.intake.inbound import receiver_of
from orgloop.runtime.support.clock import SystemClock
from orgloop.runtime.support.http import HttpClient
from orgloop.runtime.wiring import build


@dataclass(frozen=True, kw_only=True, slots=True)
class _DryRunContext:
    """A source's context. Whatever it emits by itself is refused: nothing is taken in here."""

    id: str
    project: str
    clock: Clock
    http: Http
    environment: Mapping[str, str]

    def mark_in(self, text: str) -> Mark | None:
        return None

    async def emit(self, events: Sequence[Draft]) -> Sequence[str]:
        raise Refused(f"source {self.id!r} emits by itself, and a test takes nothing in")


async def translate(
    organization: Organization, source: str, body: bytes, headers: Mapping[str, str]
) -> tuple[list[dict[str, Any]], Mapping[str, Any] | None]:
    """The events, as documents, that this body means to the source, and what it would answer if it says so.

    Without a signature among the `headers` it is signed with the source's own secret. Raises NotFound
    if there is no such source, Refused if it refuses the request, as the sender would hear it.
    """
    receiver = receiver_of(build(organization), source)
    http = HttpClient()
    context = _DryRunContext(
        id=source,
        project=organization.name,
        clock=SystemClock(),
        http=http,
        environment=organization.environment,
    )
    named = {name.lower(): value for name, value in headers.items()}
    secret = secret_of(organization.sources[source])
    if secret is not None and not any("signature" in name or "token" in name for name in named):
        scheme = getattr(organization.sources[source].settings, "signature", "github")
        now = context.clock.now()
        named |= (
            signed_headers(SecretStr(secret), scheme, body, now)
            if isinstance(scheme, str)
            else {scheme.header.lower(): hmac.digest(secret.encode(), body, scheme.algorithm).hex()}
        )
    request = Inbound(
        method="POST",
        headers={"content-type": "application/json", **named},
        body=body,
        peer="127.0.0.1",
    )
    try:
        await receiver.open(context)
        received = await receiver.receive(request)
    except Refused as exc:
        raise Refused(f"{source} answers {exc.status}: {exc.message}", hint=exc.hint) from exc
    finally:
        await receiver.close()
        await http.close()
    events = [
        {
            "source": source,
            "type": str(draft.type),
            "provenance": dict(draft.provenance),
            "payload": draft.payload,
        }
        for draft in received.events
    ]
    return events, received.reply.body
