"""Which variables of ours Claude Code needs to find its login, its model and its way to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

LOGIN: Final = (
    "LOGNAME",
    "CLAUDE_CONFIG_DIR",
    "CLAUDE_CODE_OAUTH_TOKEN",
    "ANTHROPIC_API_KEY",
    "ANTHROPIC_AUTH_TOKEN",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_CUSTOM_HEADERS",
    "ANTHROPIC_BETAS",
    "ANTHROPIC_UNIX_SOCKET",
    "ANTHROPIC_MODEL",
    "ANTHROPIC_SMALL_FAST_MODEL",
    "ANTHROPIC_DEFAULT_OPUS_MODEL",
    "ANTHROPIC_DEFAULT_SONNET_MODEL",
    "ANTHROPIC_DEFAULT_HAIKU_MODEL",
    "ANTHROPIC_DEFAULT_FABLE_MODEL",
    "CLAUDE_CODE_SUBAGENT_MODEL",
    "CLAUDE_CODE_EFFORT_LEVEL",
    "CLAUDE_CODE_MAX_RETRIES",
    "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
    "CLAUDE_CODE_TMPDIR",
    "CLAUDE_CODE_API_KEY_HELPER_TTL_MS",
    "CLAUDE_CODE_CLIENT_CERT",
    "CLAUDE_CODE_CLIENT_KEY",
    "CLAUDE_CODE_CLIENT_KEY_PASSPHRASE",
    "CLAUDE_CODE_CERT_STORE",
    "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
    "DISABLE_TELEMETRY",
    "DISABLE_ERROR_REPORTING",
    "DISABLE_AUTOUPDATER",
    "IS_SANDBOX",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "NODE_EXTRA_CA_CERTS",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""Every run gets these, if they are set. CLAUDECODE is not here: a run is no child of another session."""

CLOUDS: Final[Mapping[str, tuple[str, ...]]] = {
    "CLAUDE_CODE_USE_BEDROCK": (
        "CLAUDE_CODE_SKIP_BEDROCK_AUTH",
        "ANTHROPIC_BEDROCK_BASE_URL",
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_ROLE_ARN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CA_BUNDLE",
    ),
    "CLAUDE_CODE_USE_VERTEX": (
        "CLAUDE_CODE_SKIP_VERTEX_AUTH",
        "ANTHROPIC_VERTEX_PROJECT_ID",
        "ANTHROPIC_VERTEX_BASE_URL",
        "CLOUD_ML_REGION",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_CLOUD_PROJECT",
        "GCLOUD_PROJECT",
    ),
    "CLAUDE_CODE_USE_FOUNDRY": (
        "CLAUDE_CODE_SKIP_FOUNDRY_AUTH",
        "ANTHROPIC_FOUNDRY_API_KEY",
        "ANTHROPIC_FOUNDRY_BASE_URL",
        "ANTHROPIC_FOUNDRY_RESOURCE",
        "AZURE_CLIENT_ID",
        "AZURE_TENANT_ID",
        "AZURE_CLIENT_SECRET",
        "AZURE_FEDERATED_TOKEN_FILE",
    ),
}
"""Switches, and what the agent needs once one is on. Off, it gets no key of a cloud that it does not use."""

FIXED: Final[Mapping[str, str]] = {"CLAUDE_CODE_DISABLE_ATTACHMENTS": "1"}
"""What every run gets, unless `env` says otherwise. Else `@path` in an event would read that file."""


def login_names(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The names that a run takes over; `environment` is the project's with the actor's `env` over it."""
    return (
        *LOGIN,
        *(
            name
            for switch, names in CLOUDS.items()
            if _is_on(environment, switch)
            for name in (switch, *names)
        ),
    )


def account(environment: Mapping[str, str]) -> str:
    """Which login a run uses, as far as its environment tells: its sessions and limits belong to that."""
    key = next((name for name in _KEYS if environment.get(name)), None)
    cloud = next((name for name in CLOUDS if _is_on(environment, name)), None)
    return " ".join(filter(None, (cloud or key or "login", environment.get("CLAUDE_CONFIG_DIR"))))


_KEYS: Final = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")

LOGINS: Final = (*_KEYS, *CLOUDS)
"""Each of these says whose login a run uses; none of them, that of the configuration directory."""


def _is_on(environment: Mapping[str, str], switch: str) -> bool:
    return environment.get(switch, "").strip().lower() not in ("", "0", "false", "no", "off")
