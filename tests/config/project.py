"""Projects for the tests: written to a directory, loaded with the doubles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orgloop.config.findings import Code, Finding
from orgloop.config.load import Loaded, load_project
from orgloop.config.model import Organization
from tests.config.doubles import registry

HEAD = """\
metadata: {name: test}
sources:
  - {id: github, connector: github, config: {repo: a/b, token: "${GITHUB_TOKEN}"}}
  - {id: hooks, connector: webhook}
actors:
  - {id: agent, connector: claude-code, config: {cwd: .}}
  - {id: tell, connector: webhook, config: {url: "https://example.com"}}
"""

ROUTES = """\
routes:
  - name: work
    when: {source: github, events: [pull_request_review]}
    then: {actor: agent}
  - name: notice
    when: {source: hooks, events: ["*"]}
    then: {actor: tell}
"""

VARIABLES = {
    "GITHUB_TOKEN": "ghp_0123456789abcdef",
    "GITHUB_REPO": "acme/app",
    "SLACK_WEBHOOK_URL": "https://hooks.example.com/T0/B0/s3cr3tpart",
    "PARTNER_SECRET": "partner-secret-value",
    "TEAM_MEMBERS": "ann,bob",
    "EXCLUDED_BOTS": "dependabot[bot],renovate[bot]",
    "DEPLOYMENT_ENV": "staging",
}


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write these files below `root`; scripts (`*.sh`) are executable. Returns `root`."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
        if path.suffix == ".sh":
            path.chmod(0o755)
    return root


def load(
    root: Path,
    files: str | Mapping[str, str],
    environ: Mapping[str, str] = VARIABLES,
    home: Path | None = None,
) -> Loaded:
    """Write a project (text: its orgloop.yaml) and load it."""
    write(root, {"orgloop.yaml": files} if isinstance(files, str) else files)
    return load_project(root, registry(), environ, home)


def sound(loaded: Loaded) -> Organization:
    """The organization; fails with the findings if there is none."""
    assert loaded.organization is not None, "\n".join(map(str, loaded.findings))
    return loaded.organization


def codes(loaded: Loaded) -> list[Code]:
    """The codes of all findings, in their order."""
    return [finding.code for finding in loaded.findings]


def only(loaded: Loaded) -> Finding:
    """The one finding there is."""
    assert len(loaded.findings) == 1, "\n".join(map(str, loaded.findings))
    return loaded.findings[0]


def of(loaded: Loaded, code: Code) -> Finding:
    """The one finding with this code."""
    found = [finding for finding in loaded.findings if finding.code is code]
    assert len(found) == 1, "\n".join(map(str, loaded.findings))
    return found[0]
