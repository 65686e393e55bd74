"""What `orgloop init` says at the end: what was written, what is missing, and what to type next."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from orgloop.cli.app import App
from orgloop.cli.screen.grid import print_next
from orgloop.cli.screen.listing import print_findings
from orgloop.config.findings import Code
from orgloop.config.load import Loaded, load_project
from orgloop.plugin import Connector, Receiver
from orgloop.project.files import PROJECT_FILE
from orgloop.project.home import wanted_port
from orgloop.project.scaffold import Pair, ProjectRequest
from orgloop.project.variables import variables_of


def report(
    app: App, target: Path, choice: ProjectRequest, created: Sequence[Path], kept: Sequence[Path]
) -> None:
    """Check what was written, and tell of it."""
    file = target / PROJECT_FILE
    loaded = load_project(file, app.registry, app.environ, app.home.path)
    missing = [one.name for one in variables_of(loaded, app.registry, app.environ) if one.missing]
    steps = _steps(app, target, choice, loaded, missing)
    if app.out.json:
        app.out.data(
            {
                "project": str(file),
                "created": [str(path.relative_to(target)) for path in created],
                "kept": [str(path.relative_to(target)) for path in kept],
                "missing_variables": missing,
                "next": [step for _, step in steps],
            }
        )
        return
    for path in created:
        app.out.ok(f"created {app.out.path(path)}")
    for path in kept:
        app.out.line(f"  kept    {app.out.path(path)} (exists already)")
    others = [one for one in loaded.errors if one.code is not Code.MISSING_VARIABLE]
    print_findings(app.out, others, root=target)
    app.out.line()
    for pair in choice.pairs:
        style = app.out.style
        app.out.line(f"  {style(pair.source, 'bold')} → {style(pair.actor, 'bold')}")
    print_next(app.out, [(step, why) for why, step in steps])


def _steps(
    app: App, target: Path, choice: ProjectRequest, loaded: Loaded, missing: Sequence[str]
) -> list[tuple[str, str]]:
    """Why, and what to type."""
    steps = [] if target == Path.cwd() else [("", f"cd {quote(app.out.path(target))}")]
    if missing:
        steps.append((f"and fill in {', '.join(missing)}", "cp .env.example .env"))
    steps.append(("runs it", "orgloop start"))
    by_name = {one.name: one for one in choice.sources}
    pair = next((one for one in choice.pairs if by_name[one.source].first_source), choice.pairs[0])
    first = by_name[pair.source]
    steps.append(_first_event(app, pair, first, loaded))
    steps.append(("shows the result", "orgloop logs"))
    return steps


def _first_event(app: App, pair: Pair, connector: Connector, loaded: Loaded) -> tuple[str, str]:
    """How a first event gets in: by a request, if anybody may send one; else an example is tried out."""
    spec = loaded.sound.sources.get(pair.source) if loaded.sound is not None else None
    source = spec.kind.open(spec.id, spec.settings) if spec is not None else None
    kind = connector.source
    example = (kind.example or {}).get("payload") if kind and not kind.team_only else None
    if isinstance(source, Receiver) and not source.signed and example is not None:
        url = f"http://127.0.0.1:{wanted_port(app.environ)}/webhook/{pair.source}"
        body = json.dumps(example)
        return "in another terminal", f"curl {url} -H 'content-type: application/json' -d {quote(body)}"
    return "shows what such an event would do", f"orgloop test --generate {connector.name} | orgloop test -"
