"""All that a plugin imports of OrgLoop: contracts, values and helpers.

A contract's docstrings say who calls, how often, whether calls may overlap, and what each
exception makes the engine do. Built-in plugins use this door and nothing else of OrgLoop.
"""

from orgloop.core.environment import child_environment
from orgloop.core.event import ENVELOPE, UNCHANGEABLE, AuthorType, Event, EventType, event_names
from orgloop.core.event_shape import (
    ANYTHING,
    FLAG,
    NUMBER,
    SESSION_ENDED,
    SESSION_STARTED,
    TEXT,
    EventShape,
    Values,
)
from orgloop.core.fields import MISSING, Path, PathError, as_text, in_event, same, set_at
from orgloop.core.json_text import NotJson, dump_json, exact_number, load_json, parse_json
from orgloop.core.keys import identity, is_missing, key_text, no_value
from orgloop.core.lifecycle import (
    Lifecycle,
    LifecycleError,
    Phase,
    RunOutcome,
    Session,
    event_type,
    from_end,
    from_exit_status,
    from_stop,
    lifecycle_key,
    platform_event,
)
from orgloop.core.match import is_glob, names_match, near_miss
from orgloop.core.record import Level, Record, RecordPhase, timestamp
from orgloop.core.run_failure import TEXT_LIMIT, last_words
from orgloop.core.suggest import nearest_name
from orgloop.core.templates import Fault, Template, TemplateError, TreeTemplate
from orgloop.core.text import folded
from orgloop.core.transition import (
    Delivered,
    DeliverOutcome,
    Limited,
    Rejected,
    Retry,
    Skipped,
    Throttled,
    Unavailable,
)
from orgloop.core.units import DAY, HOUR, MINUTE, SECOND, UnitError, humanize, parse_duration, parse_size
from orgloop.errors import JournalUnavailable, Overloaded, PluginError, Refused
from orgloop.plugin.actor import (
    Actor,
    Completion,
    Deliverer,
    ExitInfo,
    NotBegun,
    Priced,
    Progress,
    RunLimitsSpec,
    RunSpec,
    Supervised,
    Turns,
    Wake,
    WakeSession,
)
from orgloop.plugin.connector import ActorKind, Connector, SourceKind
from orgloop.plugin.context import Clock, Context, Http, HttpFailed, HttpReply
from orgloop.plugin.draft import Draft, Mark
from orgloop.plugin.logger import Logger, LoggerPlugin
from orgloop.plugin.remote import CalledBack, Findable, Ref, Remote, RemoteEnd, RemoteRequest, RemoteRun
from orgloop.plugin.settings import KEY, Duration, EventPath, ProjectPath, SecretStr, Settings, Size, refuse
from orgloop.plugin.setup import Check, CheckResult, CheckStatus, Offer, Setup, Variable
from orgloop.plugin.signature import (
    AUTO,
    SCHEMES,
    TOLERANCE,
    Proof,
    Secret,
    Secrets,
    authenticate,
    authenticate_head,
    padded,
    require_signature,
    sign,
    signed_headers,
    verify,
)
from orgloop.plugin.source import (
    HeadChecker,
    Inbound,
    Listener,
    Page,
    Poller,
    Received,
    Receiver,
    Reply,
    Source,
    TryLater,
)
from orgloop.plugin.starting import started
from orgloop.plugin.transform import (
    Change,
    Discard,
    Failure,
    OnError,
    Pass,
    Reading,
    Scope,
    Transform,
    TransformPlugin,
    TransformResult,
    Trial,
)
from orgloop.plugin.work_tree import Worktree

__all__ = [
    # connectors
    "Connector",
    "SourceKind",
    "ActorKind",
    # settings
    "Settings",
    "Duration",
    "Size",
    "ProjectPath",
    "EventPath",
    "Fault",
    "KEY",
    "refuse",
    "SecretStr",
    "Worktree",
    "Secret",
    "Secrets",
    # sources
    "Source",
    "Poller",
    "Receiver",
    "HeadChecker",
    "Listener",
    "Page",
    "Draft",
    "Mark",
    "Inbound",
    "Received",
    "Reply",
    "Refused",
    "TryLater",
    "JournalUnavailable",
    "Overloaded",
    # events
    "Event",
    "EventType",
    "AuthorType",
    "ENVELOPE",
    "UNCHANGEABLE",
    "event_names",
    "EventShape",
    "Values",
    "ANYTHING",
    "TEXT",
    "NUMBER",
    "FLAG",
    "SESSION_STARTED",
    "SESSION_ENDED",
    "names_match",
    "is_glob",
    "near_miss",
    "nearest_name",
    # sessions of agents, as events tell of them
    "Lifecycle",
    "LifecycleError",
    "Session",
    "Phase",
    "RunOutcome",
    "event_type",
    "platform_event",
    "lifecycle_key",
    "from_end",
    "from_exit_status",
    "from_stop",
    # actors
    "Actor",
    "Deliverer",
    "Supervised",
    "Wake",
    "WakeSession",
    "RunSpec",
    "RunLimitsSpec",
    "Turns",
    "ExitInfo",
    "Priced",
    "Progress",
    "Completion",
    "NotBegun",
    "Remote",
    "Findable",
    "CalledBack",
    "RemoteRequest",
    "RemoteRun",
    "RemoteEnd",
    "Ref",
    "TEXT_LIMIT",
    "last_words",
    "child_environment",
    "started",
    # outcomes
    "DeliverOutcome",
    "Delivered",
    "Skipped",
    "Rejected",
    "Retry",
    "Throttled",
    "Unavailable",
    "Limited",
    # transforms
    "Transform",
    "TransformPlugin",
    "TransformResult",
    "OnError",
    "Trial",
    "Scope",
    "Reading",
    "Pass",
    "Change",
    "Discard",
    "Failure",
    "PluginError",
    # loggers
    "Logger",
    "LoggerPlugin",
    "Record",
    "RecordPhase",
    "Level",
    "timestamp",
    "folded",
    # paths, templates and JSON
    "Path",
    "PathError",
    "in_event",
    "Template",
    "TemplateError",
    "TreeTemplate",
    "MISSING",
    "as_text",
    "identity",
    "is_missing",
    "key_text",
    "no_value",
    "same",
    "set_at",
    "parse_json",
    "load_json",
    "NotJson",
    "dump_json",
    "exact_number",
    # signatures
    "AUTO",
    "SCHEMES",
    "TOLERANCE",
    "Proof",
    "authenticate",
    "authenticate_head",
    "padded",
    "sign",
    "signed_headers",
    "verify",
    "require_signature",
    # units
    "SECOND",
    "MINUTE",
    "HOUR",
    "DAY",
    "UnitError",
    "humanize",
    "parse_duration",
    "parse_size",
    # context and setup
    "Context",
    "Clock",
    "Http",
    "HttpReply",
    "HttpFailed",
    "Setup",
    "Offer",
    "Variable",
    "Check",
    "CheckResult",
    "CheckStatus",
]
