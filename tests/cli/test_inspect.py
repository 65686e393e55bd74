"""`orgloop inspect`: one thing in detail."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import orjson
import pytest

from orgloop.core.events.event import REPLAY_OF
from orgloop.journal.model import Acceptance, NewEvent
from orgloop.operations.views.inspector import without_secrets
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, a_few, tell, write_project

pytestmark = pytest.mark.usefixtures("narrow")


@pytest.fixture
def acme(place: Path, home: Path) -> Path:
    """A project with a short past."""
    write_project(place)
    tell(home, partial(a_few, root=place))
    return place


SHOWN = [
    (
        ["github"],
        [
            "github  source\n",
            "events      5\n",
            "routes      pr-review",
            "config.secret  ${HOOK_SECRET}",
            "Last events\n",
            "evt_0000000000000001  ping",
            "orgloop events --source github ",
        ],
    ),
    (
        ["actor", "engineer"],
        [
            "engineer  actor\n",
            "unfinished    1 held\n",
            "1 run, 1 with success, 1m on average, $0.25",
            'config.command  ["sh", "-c", "cat; echo done"]',
            "Last deliveries\n",
            "orgloop deliveries --actor engineer ",
        ],
    ),
    (
        ["notify"],
        ["unfinished  1 dead, 1 pending\n", "config.url         ${NOTIFY_URL}", "config.auth.token  ***"],
    ),
    (
        ["pr-review"],
        [
            "pr-review  route\n",
            "matched       2\n",
            "when.events       [",
            "with.prompt_file  ./sops/review.md",
            "orgloop deliveries --route pr-review ",
        ],
    ),
    (["only-new"], ["only-new  transform\n", "routes  pr-review", "config.window  1h"]),
    (["logger", "quiet-file"], ["quiet-file  logger\n", "config.path  ./log.jsonl"]),
    (["evt_0000000000000001"], ["github ping\n", "by     mona", "it woke no actor", '"number": 1']),
    (["evt_0000000000000003"], ["dlv_0000000000000003  pr-review  held (untrusted)"]),
    (["delivery", "dlv_0000000000000004"], ["dead (rejected)", "orgloop dead retry dlv_0000000000000004 "]),
    (["run_0000000000000002"], ["success", "Fixed it."]),
]


@pytest.mark.parametrize(("words", "facts"), SHOWN, ids=str)
def test_everything_can_be_looked_at(
    words: list[str], facts: list[str], acme: Path, orgloop: Orgloop
) -> None:
    said = orgloop("inspect", *words)
    assert (said.code, said.err) == (0, "")
    assert [fact for fact in facts if fact not in said.out] == []


@pytest.mark.parametrize("words", [case[0] for case in SHOWN], ids=str)
def test_no_secret_is_ever_shown(words: list[str], acme: Path, orgloop: Orgloop) -> None:
    for more in ([], ["--json"], ["--verbose"]):
        said = orgloop("inspect", *words, *more)
        assert not any(secret in said.out + said.err for secret in ("s3cret", "hush", "<secret"))


def test_what_stands_for_a_secret_is_hidden_wherever_it_is() -> None:
    tree = {"a": ["<secret 0123abcd>", {"b": "Bearer <secret 00000000>"}], "n": 1}
    assert without_secrets(tree) == {"a": ["***", {"b": "Bearer ***"}], "n": 1}


def test_json_has_configuration_statistics_and_routes(acme: Path, orgloop: Orgloop) -> None:
    source = orgloop("inspect", "github", "--json").json
    assert (source["kind"], source["id"], source["connector"]) == ("source", "github", "webhook")
    assert source["routes"] == ["pr-review"]
    assert source["statistics"]["events"] == 5
    assert source["statistics"]["last_event"].endswith("Z")
    actor = orgloop("inspect", "engineer", "--json").json
    assert (actor["statistics"]["runs"], actor["statistics"]["cost_usd"]) == (1, 0.25)
    assert [one["state"] for one in actor["last_deliveries"]] == ["held", "delivered"]
    assert orgloop("inspect", "pr-review", "--json").json["when"]["source"] == "github"


def test_before_the_first_start_the_files_are_shown(place: Path, orgloop: Orgloop) -> None:
    write_project(place)
    said = orgloop("inspect", "engineer")
    assert said.out.startswith("engineer  actor  not applied yet: type `orgloop start`\n")
    assert orgloop("inspect", "engineer", "--json").json["applied"] is False


def test_what_is_only_in_the_files_is_shown_as_not_applied(acme: Path, orgloop: Orgloop) -> None:
    file = acme / "orgloop.yaml"
    file.write_text(file.read_text().replace("name: tell,", "name: shout,"))
    assert "not applied yet" in orgloop("inspect", "shout").out
    assert "not applied yet" not in orgloop("inspect", "tell").out


def test_a_name_with_two_meanings_must_be_told_apart(place: Path, orgloop: Orgloop) -> None:
    (place / "orgloop.yaml").write_text(
        "metadata: {name: twice}\n"
        "sources: [{id: hook, connector: webhook, config: {}}]\n"
        "actors: [{id: hook, connector: webhook, config: {url: http://127.0.0.1:9}}]\n"
        "routes: [{name: r, when: {source: hook, events: [x]}, then: {actor: hook}}]\n"
    )
    said = orgloop("inspect", "hook")
    assert said.code == 1
    assert "'hook' is the name of more than one thing: source, actor" in said.err
    assert "orgloop inspect source hook" in said.err
    assert orgloop("inspect", "actor", "hook").out.startswith("hook  actor")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["engineeer"], "did you mean `engineer`?"),
        (["actor", "github"], "there is no actor called 'github'"),
        (["evt_00"], "there is no event evt_00"),
        (["dlv_00"], "there is no delivery dlv_00"),
        (["run", "engineer"], "there is no run engineer"),
        (["house", "engineer"], "kinds: source, actor, route"),
        (["a", "b", "c"], "kinds: source, actor, route"),
    ],
    ids=str,
)
def test_what_is_not_there_is_said(words: list[str], says: str, acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("inspect", *words)
    assert (said.code, said.out) == (1, "")
    assert says in said.err


def test_without_a_project_and_a_past_there_is_nothing_to_inspect(place: Path, orgloop: Orgloop) -> None:
    assert "orgloop init" in orgloop("inspect", "engineer").err
    assert "nothing has run in this home yet" in orgloop("inspect", "evt_00").err


def test_replays_which_no_statistics_count_are_marked(acme: Path, home: Path, orgloop: Orgloop) -> None:
    assert "events      5\n" in orgloop("inspect", "github").out

    async def write(story: Story) -> None:
        document = {"id": "evt_r", REPLAY_OF: "evt_0000000000000001"}
        replay = NewEvent(
            id="evt_r",
            source="github",
            type="resource.changed",
            platform_event="ping",
            trace_id="trc_r",
            hops=0,
            document=orjson.dumps(document),
            deliveries=[],
            is_replay=True,
        )
        await story.journal.accept(Acceptance(source="github", at=story.now, events=[replay]))

    tell(home, write)
    said = orgloop("inspect", "github").out
    assert "events      5, without replays\n" in said
    assert "evt_r  ping  replay\n" in said
