"""Real counterparts. Without them the tests skip and say how to install them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.github_payloads import GithubPayloads
from tests.support.scripted_model import ScriptedModel

ROOT = Path(__file__).parents[2]
INSTALL = 'Install it: eval "$(scripts/counterparts)"'
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture(scope="session")
def counterparts() -> Path:
    """The folder that scripts/counterparts fills."""
    folder = Path(os.environ.get("ORGLOOP_COUNTERPARTS") or ROOT / ".cache/counterparts")
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing. {INSTALL}")
    return folder


@pytest.fixture
def claude_folder() -> str:
    """Where the CLI lies that is tried: `bin`, or `newest`."""
    return "bin"


@pytest.fixture
def claude_cli(counterparts: Path, claude_folder: str) -> Path:
    """A folder for PATH in which `claude` is the real Claude Code CLI."""
    folder = counterparts / claude_folder
    if not os.access(folder / "claude", os.X_OK):
        pytest.skip(f"{folder}/claude is missing. {INSTALL}")
    return folder


@pytest.fixture
def codex_env(counterparts: Path, scripted_model: ScriptedModel, tmp_path: Path) -> dict[str, str]:
    """The whole environment of a Codex CLI with a home of its own, cut off from all but the model."""
    folder = counterparts / "codex"
    if not os.access(folder / "codex", os.X_OK):
        pytest.skip(f"{folder}/codex is missing. {INSTALL}")
    home = tmp_path / "codex-home"
    home.mkdir()
    (home / "config.toml").write_text(
        'model = "scripted"\nmodel_provider = "local"\n'
        f'[model_providers.local]\nname = "local"\nbase_url = "{scripted_model.url}/v1"\n'
        'wire_api = "responses"\nenv_key = "CODEX_API_KEY"\nrequest_max_retries = 0\nstream_max_retries = 0\n'
    )
    return {
        "HOME": str(tmp_path),
        "CODEX_HOME": str(home),
        "CODEX_API_KEY": "dummy",
        "PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TMPDIR": str(tmp_path),
        "HTTPS_PROXY": NOWHERE,
        "HTTP_PROXY": NOWHERE,
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture(scope="session")
def openclaw_folder(counterparts: Path) -> Path:
    """Where the OpenClaw gateway lies: `node` and `openclaw`."""
    folder = counterparts / "openclaw"
    if not os.access(folder / "node", os.X_OK) or not (folder / "openclaw").is_file():
        pytest.skip(f"{folder}/openclaw is missing. {INSTALL}")
    return folder


@pytest.fixture(scope="session")
def github_payloads(counterparts: Path) -> GithubPayloads:
    """GitHub's published webhook payloads."""
    folder = counterparts / "github"
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing. {INSTALL}")
    return GithubPayloads(folder)


@pytest.fixture
def scripted_model() -> Iterator[ScriptedModel]:
    """A model that says what the test's script tells it."""
    with ScriptedModel() as model:
        yield model


@pytest.fixture
def claude_env(claude_cli: Path, scripted_model: ScriptedModel, tmp_path: Path) -> dict[str, str]:
    """The whole environment of a Claude Code CLI with a home of its own, cut off from all but the model."""
    home = tmp_path / "claude-home"
    home.mkdir()
    return {
        "HOME": str(home),
        "PATH": f"{claude_cli}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TMPDIR": str(tmp_path),
        "CLAUDE_CODE_TMPDIR": str(tmp_path),
        "ANTHROPIC_BASE_URL": scripted_model.url,
        "ANTHROPIC_API_KEY": "dummy",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_TELEMETRY": "1",
        # What would leave this machine goes to a port where nobody listens.
        "HTTPS_PROXY": NOWHERE,
        "HTTP_PROXY": NOWHERE,
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The directory in which an agent works."""
    folder = tmp_path / "app"
    folder.mkdir()
    return folder
