"""OpenClaw: an actor that wakes an agent of a gateway over HTTP, and waits for the end of its turn."""

from __future__ import annotations

from typing import Final

from orgloop.connectors.agents.openclaw.actor import HARNESS, OpenClawActor
from orgloop.connectors.agents.openclaw.answers import SHAPE
from orgloop.connectors.agents.openclaw.doctor import check
from orgloop.connectors.agents.openclaw.message import check_route
from orgloop.connectors.agents.openclaw.settings import OpenClawSettings
from orgloop.plugin import ActorKind, Connector, Offer, Setup, Variable

connector: Final = Connector(
    name=HARNESS,
    title="OpenClaw: wakes an agent of a gateway",
    actor=ActorKind(
        settings=OpenClawSettings,
        open=OpenClawActor,
        has_runs=lambda settings: settings.has_runs,
        wakes_agent=True,
        concurrency=8,
        check_route=check_route,
        shapes=(SHAPE,),
        scaffold={"token": "${OPENCLAW_WEBHOOK_TOKEN}", "agent_id": "main"},
        offers=(
            Offer(
                key="completion",
                question="When is a wake done?",
                options={
                    "wait": "when the agent's turn has ended",
                    "callback": "when the agent has reported its result, or its turn has ended",
                    "accept": "when the gateway has accepted it; its end is not known",
                },
            ),
        ),
    ),
    setup=Setup(
        variables=(
            Variable(
                name="OPENCLAW_WEBHOOK_TOKEN",
                description="the gateway's hooks.token, in its configuration ~/.openclaw/openclaw.json",
                help_url="https://docs.openclaw.ai/automation/cron-jobs/webhooks",
            ),
        ),
        check=check,
    ),
)
