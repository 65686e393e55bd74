"""The public door: what is on it, what it costs, and the example of docs/architecture.md."""

from __future__ import annotations

import subprocess
import sys

import orgloop
from tests.docs import pages
from tests.e2e.organization import Organization


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.strip()


def test_every_name_is_what_it_is_called() -> None:
    for name in orgloop.__all__:
        found = getattr(orgloop, name)
        assert name == "__version__" or found.__name__ == name
    assert set(orgloop.__all__) <= set(dir(orgloop))


def test_what_is_not_on_it_does_not_exist() -> None:
    assert python("import orgloop\ntry: orgloop.nothing\nexcept AttributeError as e: print(e)") == (
        "module 'orgloop' has no attribute 'nothing'"
    )


def test_importing_it_imports_nothing_else() -> None:
    code = "import sys; before = {'__future__', *sys.modules}; import orgloop; print({*sys.modules} - before)"
    assert python(code) == "{'orgloop'}"


def test_the_example_runs(organization: Organization) -> None:
    [example] = pages.blocks("python", pages=("docs/architecture.md",))
    project = """
metadata: {name: door}
sources: [{id: hook, connector: webhook}]
actors: [{id: clerk, connector: process, config: {command: ["true"]}}]
routes: [{name: work, when: {source: hook, events: ["*"]}, then: {actor: clerk}}]
"""
    organization.write({"orgloop.yaml": project})
    organization.start()
    organization.post("hook", {"n": 1})
    done = subprocess.run(
        [sys.executable, "-c", example.text],
        cwd=organization.root,
        env=organization.environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stdout.startswith("dlv_")
