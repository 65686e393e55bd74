"""What a plugin author reads: the contracts of sources, actors, transforms and loggers.

A contract's docstrings say who calls, how often, whether calls may overlap, and what each
exception makes the engine do. Built-in plugins use these contracts and nothing else.
"""

from orgloop.core.happening import (
    Delivered,
    Interrupted,
    Limited,
    Outcome,
    Rejected,
    Retry,
    Skipped,
    Started,
    Throttled,
    Unavailable,
)
from orgloop.plugin.actor import (
    Actor,
    Completion,
    Deliverer,
    ExitInfo,
    NotBegun,
    Progress,
    RunLimitsSpec,
    RunSpec,
    Supervised,
    Wake,
    WakeSession,
)
from orgloop.plugin.connector import ActorKind, Connector, SourceKind
from orgloop.plugin.context import Clock, Context, Http, HttpFailed, HttpReply
from orgloop.plugin.draft import Draft
from orgloop.plugin.logger import Logger, LoggerPlugin
from orgloop.plugin.settings import Settings
from orgloop.plugin.setup import Check, CheckResult, CheckStatus, Setup, Variable
from orgloop.plugin.source import Inbound, Listener, Page, Poller, Received, Receiver, Reply, Source
from orgloop.plugin.transform import (
    Change,
    Discard,
    Failure,
    Pass,
    Scope,
    Transform,
    TransformPlugin,
    TransformResult,
)

__all__ = [
    # connectors
    "Connector",
    "SourceKind",
    "ActorKind",
    "Settings",
    # sources
    "Source",
    "Poller",
    "Receiver",
    "Listener",
    "Page",
    "Draft",
    "Inbound",
    "Received",
    "Reply",
    # actors
    "Actor",
    "Deliverer",
    "Supervised",
    "Wake",
    "WakeSession",
    "RunSpec",
    "RunLimitsSpec",
    "ExitInfo",
    "Progress",
    "Completion",
    "NotBegun",
    # outcomes
    "Outcome",
    "Delivered",
    "Started",
    "Skipped",
    "Rejected",
    "Retry",
    "Throttled",
    "Unavailable",
    "Limited",
    "Interrupted",
    # transforms
    "Transform",
    "TransformPlugin",
    "TransformResult",
    "Scope",
    "Pass",
    "Change",
    "Discard",
    "Failure",
    # loggers
    "Logger",
    "LoggerPlugin",
    # context and setup
    "Context",
    "Clock",
    "Http",
    "HttpReply",
    "HttpFailed",
    "Setup",
    "Variable",
    "Check",
    "CheckResult",
    "CheckStatus",
]
