"""What README.md and the examples tell to type does what they say; so does docs/connectors/writing.md."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from urllib.request import Request, urlopen

import pytest

from orgloop.core.deliveries.delivery import State
from orgloop.journal.model import Query
from orgloop.project.home import Home
from tests.docs import pages
from tests.docs.pages import ROOT
from tests.e2e.organization import Organization, wait_for

WRITING = "docs/connectors/writing.md"


def commands(text: str) -> list[str]:
    """The lines of shell blocks, those that go on as one."""
    return [line for line in text.replace("\\\n", "").splitlines() if line]


def lines(heading: str) -> list[str]:
    """The commands below a heading of README.md, in their order."""
    begin = pages.section("README.md", heading)
    found = [block.text for block in pages.blocks("sh", pages=("README.md",)) if block.text in begin]
    return commands("".join(found))


def sent(curl: str, port: int) -> dict[str, object]:
    """Send what this call of curl sends, to another port."""
    words = shlex.split(curl)
    assert words[:3] == ["curl", "-X", "POST"]
    url, options = words[3], dict(zip(words[4::2], words[5::2], strict=True))
    assert options.keys() == {"-H", "-d"}
    name, _, value = options["-H"].partition(": ")
    assert ":4800/" in url
    request = Request(url.replace(":4800/", f":{port}/"), data=options["-d"].encode(), headers={name: value})
    with urlopen(request, timeout=30) as answer:
        said: dict[str, object] = json.loads(answer.read())
    return said


def ends(organization: Organization, answer: Mapping[str, object], count: int) -> set[str]:
    """The routes that an event was delivered by, once it is `count` of them."""

    def delivered() -> set[str] | None:
        with organization.reader() as reader:
            found = reader.deliveries(Query(event_id=str(answer["event_id"])))
        done = {one.route for one in found if one.state is State.DELIVERED}
        return done if len(done) == count else None

    return wait_for("the event to wake its actors", delivered)


def test_the_readmes_start_sequence_runs(tmp_path: Path) -> None:
    _, _, install, leave, make, init, start, curl, *read_only = lines("Begin")
    assert (install, leave, make, init, start) == (
        "pip install .",
        "cd ~",
        "mkdir my-org && cd my-org",
        "orgloop init",
        "orgloop start",
    )
    organization = Organization(root=tmp_path / "my-org", home=Home(tmp_path / "home"))
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(
        ["sh", "-c", f"{make} && {init}"],
        cwd=tmp_path,
        env={**organization.environment, "PATH": scripts},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=60,
    )
    try:
        organization.start()
        answer = sent(curl, organization.port)
        assert answer["ok"] is True

        assert ends(organization, answer, 1) == {"webhook-to-process"}
        for look in read_only:
            program, *words = shlex.split(look)
            assert program == "orgloop"
            assert organization.command(*words).stdout
        shown = organization.command("trace", str(answer["event_id"])).stdout
        assert "webhook-to-process" in shown
        for line in lines("Add your own"):
            subprocess.run(
                ["sh", "-c", line],
                cwd=organization.root,
                env={**organization.environment, "PATH": scripts},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=True,
                timeout=60,
            )
        answer = sent(curl.replace('"type": "test"', '"type": "hello"'), organization.port)
        assert ends(organization, answer, 2) == {"webhook-to-process", "greet"}
        shown = organization.command("trace", str(answer["event_id"])).stdout
        assert f"hello, {answer['event_id']}" in shown
        assert organization.daemon is not None
        # Somebody must take note of its end, or `stop` sees it as there for ever.
        Thread(target=organization.daemon.wait, daemon=True).start()
        assert organization.command("stop").returncode == 0
    finally:
        organization.kill()


@pytest.mark.parametrize(("example", "route"), [("minimal", "greet"), ("supervisor", "implement")])
def test_an_example_does_what_its_readme_tells_to_type(
    example: str, route: str, organization: Organization
) -> None:
    page = f"examples/{example}/README.md"
    typed = commands("".join(block.text for block in pages.blocks("sh", pages=(page,))))
    assert [line for line in typed if line.startswith("cd ")] == [f"cd examples/{example}"]
    exports = [line.removeprefix("export ").partition("=") for line in typed if line.startswith("export ")]
    organization.environ = {name: value for name, _, value in exports}
    if "REPOSITORY" in organization.environ:  # no agent of this machine shall begin to work
        organization.environ["REPOSITORY"] = str(organization.root / "nowhere")
    shutil.copytree(ROOT / "examples" / example, organization.root, dirs_exist_ok=True)
    organization.start()
    [curl] = [line for line in typed if line.startswith("curl ")]
    event_id = str(sent(curl, organization.port)["event_id"])
    with organization.reader() as reader:
        assert [one.route for one in reader.deliveries(Query(event_id=event_id))] == [route]
    [trace] = [line for line in typed if line.startswith("orgloop trace ")]
    shown = organization.command(*shlex.split(trace.replace("evt_…", event_id), comments=True)[1:])
    assert route in shown.stdout


def test_the_connector_of_the_page_works(organization: Organization, tmp_path: Path) -> None:
    [package] = pages.blocks("toml", pages=(WRITING,))
    module, *_ = pages.blocks("python", pages=(WRITING,))
    [project] = pages.blocks("yaml", pages=(WRITING,))
    declared = tomllib.loads(package.text)["project"]
    place = tmp_path / "installed"
    about = place / f"{declared['name'].replace('-', '_')}-{declared['version']}.dist-info"
    about.mkdir(parents=True)
    (place / "orgloop_dropbox.py").write_text(module.text)
    (about / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {declared['name']}\nVersion: {declared['version']}\n"
    )
    points = declared["entry-points"]["orgloop.connectors"]
    listed = "\n".join(f"{name} = {target}" for name, target in points.items())
    (about / "entry_points.txt").write_text(f"[orgloop.connectors]\n{listed}\n")
    organization.environ = {"PYTHONPATH": str(place)}
    organization.write({"orgloop.yaml": project.text, "inbox/old.txt": "", "outbox/.keep": ""})
    assert organization.command("validate").returncode == 0
    assert "inbox" in organization.command("doctor", check=False).stdout
    example = json.loads(organization.command("test", "--generate", "dropbox").stdout)
    assert example["provenance"]["platform_event"] == "file.created"
    organization.start()

    def polled() -> bool:
        with organization.reader() as reader:
            return any(source.checkpoint for source in reader.sources())

    wait_for("the first poll", polled)
    organization.write({"inbox/new.txt": ""})
    written = wait_for("a file", lambda: list((organization.root / "outbox").glob("dlv_*.json")))
    assert [json.loads(one.read_text()) for one in written] == [{"name": "new.txt"}]
