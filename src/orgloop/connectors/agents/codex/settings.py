"""The `config:` map of a Codex actor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import Field

from orgloop.connectors.agents.settings import Binary, CliSettings, Dollars, Word
from orgloop.plugin import Settings

LOGIN: Final = (
    "LOGNAME",
    "CODEX_HOME",
    "CODEX_API_KEY",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "OPENAI_ORGANIZATION",
    "OPENAI_PROJECT",
    "RUST_LOG",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "CODEX_CA_CERTIFICATE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
)
"""Every run gets these of the daemon's variables, if they are set: its login, its model and the way to it."""

MILLION: Final = 1_000_000


class Price(Settings):
    """US dollars for a million tokens."""

    input: Dollars
    """Of what the model reads."""
    output: Dollars
    """Of what it writes, its reasoning included."""
    cached_input: Annotated[float | None, Field(ge=0, allow_inf_nan=False)] = None
    """Of what it reads from its cache. As `input` by default."""

    def of(self, tokens: Mapping[str, int]) -> float:
        """US dollars for these tokens, of which `input` are those that were not cached."""
        cached = self.input if self.cached_input is None else self.cached_input
        read = tokens["input"] + tokens["cache_creation"]
        dollars = read * self.input + tokens["cache_read"] * cached + tokens["output"] * self.output
        return round(dollars / MILLION, 8)


class CodexSettings(CliSettings):
    """An actor that runs the Codex CLI."""

    sandbox: Literal["read-only", "workspace-write", "danger-full-access"] = "read-only"
    """What its commands may do. Nobody is there to be asked: what the sandbox does not allow fails."""
    network: bool = False
    """Whether commands may use the network, with `sandbox: workspace-write`."""
    model: Word | None = None
    """The model. The CLI's own default otherwise."""
    effort: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")] | None = None
    """How much the model reasons, such as `low`, `medium` or `high`."""
    profile: Word | None = None
    """A profile of the CLI's own configuration."""
    price: Price | None = None
    """US dollars for a million tokens: `{input, output, cached_input}`. Without it no cost is told."""
    binary: Binary = "codex"
    """The CLI: a name in PATH, or a path beside this file or in the project."""

    def warnings(self) -> Mapping[str, str]:
        found = dict(super().warnings())
        if self.sandbox == "danger-full-access":
            found["sandbox"] = (
                "is danger-full-access, so the agent may do anything that an event tells it to do; "
                "use workspace-write, or keep it in a container"
            )
        if self.network and self.sandbox != "workspace-write":
            found["network"] = "has no effect without `sandbox: workspace-write`; remove it"
        return found

    @property
    def passed(self) -> tuple[str, ...]:
        """Names that a run takes over from the project's environment."""
        return (*LOGIN, *self.env_pass)

    @property
    def options(self) -> list[str]:
        """The command line's options that these settings mean; all stand before a subcommand."""
        options = ["--sandbox", self.sandbox]
        if self.profile is not None:
            options += ["--profile", self.profile]
        if self.model is not None:
            options += ["--model", self.model]
        if self.effort is not None:
            options += ["--config", f'model_reasoning_effort="{self.effort}"']
        if self.network and self.sandbox == "workspace-write":
            options += ["--config", "sandbox_workspace_write.network_access=true"]
        return options


LOGINS: Final = ("CODEX_API_KEY", "OPENAI_API_KEY")
"""Each of these says whose login a run uses; none of them, that of `CODEX_HOME`."""


def account(environment: Mapping[str, str]) -> str:
    """Which login a run uses, as far as its environment tells: its sessions and limits belong to that."""
    key = next((name for name in LOGINS if environment.get(name)), "login")
    return " ".join(filter(None, (key, environment.get("CODEX_HOME"))))
