"""`orgloop held` and `orgloop dead`: what a person decides, without a daemon."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path

import click
import pytest

from orgloop.cli.screen import decide
from orgloop.core.deliveries.batch import Batching, BatchPolicy
from orgloop.core.deliveries.delivery import State
from orgloop.core.deliveries.transition import Hold, HoldReason, Rejected, Released, Retry, Transition
from orgloop.core.text.units import HOUR, MINUTE
from orgloop.daemon.client import Client
from orgloop.journal.model import START, DeliveryRow, Query
from orgloop.journal.sqlite import open_journal, open_reader
from tests.cli.conftest import Orgloop
from tests.cli.story import Story, tell, write_project
from tests.journal.build import accept, claim_one, delivery, event, settle


async def waiting(story: Story, root: Path) -> None:
    """Three held for one reason, one for another, two dead."""
    await story.apply(root)
    for number in range(3):
        await story.held(HoldReason.UNTRUSTED, ago=3 * HOUR - number, detail="not of the team")
    await story.held(HoldReason.NO_SOP, ago=HOUR, detail="sops/review.md cannot be read")
    await story.dead("404 Not Found", ago=2 * HOUR)
    await story.dead("410 Gone", ago=MINUTE)


HELD = [f"dlv_000000000000000{n}" for n in (1, 2, 3, 4)]
DEAD = ["dlv_0000000000000005", "dlv_0000000000000006"]


@pytest.fixture
def acme(place: Path, home: Path) -> Path:
    """A project whose work waits for a person."""
    write_project(place)
    tell(home, partial(waiting, root=place))
    return place


def states(home: Path) -> dict[str, str]:
    reader = open_reader(home)
    found = {row.id: str(row.state) for row in reader.deliveries(Query())}
    reader.close()
    return found


def row(home: Path, id: str) -> DeliveryRow:
    reader = open_reader(home)
    found = reader.delivery(id)
    reader.close()
    assert found is not None
    return found


ONE = [
    (["held", "release", HELD[0]], HELD[0], "pending", "released"),
    (["held", "discard", HELD[0]], HELD[0], "discarded", "discarded"),
    (["dead", "retry", DEAD[0]], DEAD[0], "pending", "queued again"),
    (["dead", "discard", DEAD[0]], DEAD[0], "discarded", "discarded"),
]


@pytest.mark.parametrize(("words", "id", "state", "says"), ONE, ids=str)
def test_one_that_is_named_moves_at_once(
    words: list[str], id: str, state: str, says: str, acme: Path, home: Path, orgloop: Orgloop
) -> None:
    before = states(home)
    said = orgloop(*words)
    assert (said.code, said.out, said.err) == (0, f"✓ {id} {says}\n", "")
    assert states(home) == before | {id: state}


def test_several_may_be_named(acme: Path, home: Path, orgloop: Orgloop) -> None:
    assert orgloop("held", "release", *HELD[:2]).out == "✓ 2 deliveries released\n"
    assert [states(home)[id] for id in HELD] == ["pending", "pending", "held", "held"]


MANY = [
    (["held", "release", "--all"], "held", HELD),
    (["held", "release", "--reason", "untrusted"], "held", HELD[:3]),
    (["held", "discard", "--route", "pr-review", "--reason", "no_sop"], "held", HELD[3:]),
    (["held", "release", "--since", "90m"], "held", HELD[3:]),
    (["dead", "retry", "--actor", "notify"], "dead", DEAD),
    (["dead", "discard", "--since", "1h"], "dead", DEAD[1:]),
]


@pytest.mark.parametrize(("words", "state", "ids"), MANY, ids=str)
def test_many_move_only_with_yes_and_are_shown_before(
    words: list[str], state: str, ids: list[str], acme: Path, home: Path, orgloop: Orgloop
) -> None:
    before = states(home)
    looked = orgloop(*words)
    assert looked.code == 1
    assert all(id in looked.out for id in ids)
    assert "add --yes to do it" in looked.err
    assert f"{len(ids)} deliver" in looked.err
    assert states(home) == before
    assert orgloop(*words, "--yes").code == 0
    assert {id for id, now in states(home).items() if now != before[id]} == set(ids)


def test_the_preview_counts_what_it_does_not_show(
    acme: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "PREVIEWED", 2)
    said = orgloop("held", "release", "--all").out
    assert "and 2 more\n" in said
    assert "  3 of pr-review → engineer, untrusted\n  1 of pr-review → engineer, no_sop\n" in said


def test_pages_are_all_read(
    acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "PAGE", 1)
    assert orgloop("held", "release", "--all", "--yes").out == "✓ 4 deliveries released\n"


def test_many_are_released_in_the_order_in_which_they_came(acme: Path, home: Path, orgloop: Orgloop) -> None:
    orgloop("held", "release", "--all", "--yes")
    reader = open_reader(home)
    steps = [step.delivery_id for step in reader.steps(Query(after=START)) if step.transition == "released"]
    reader.close()
    assert steps == HELD


@pytest.mark.parametrize(("answer", "moved"), [(True, True), (False, False)])
def test_on_a_terminal_it_asks(
    answer: bool, moved: bool, acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def confirm(text: str) -> bool:
        asked.append(text)
        return answer

    monkeypatch.setattr(click, "confirm", confirm)
    monkeypatch.setattr(decide, "sys", Terminal())
    said = orgloop("held", "release", "--reason", "untrusted")
    assert asked == ["Release these 3?"]
    assert (states(home)[HELD[0]] == "pending") is moved
    assert said.code == (0 if moved else 1)


class Terminal:
    """Stands in for `sys`."""

    @property
    def stdin(self) -> Terminal:
        return self

    def isatty(self) -> bool:
        return True


def test_what_moved_meanwhile_is_told_and_the_rest_goes_on(acme: Path, home: Path, orgloop: Orgloop) -> None:
    orgloop("held", "discard", HELD[0])
    said = orgloop("held", "release", *HELD[:2], DEAD[0])
    assert (said.code, said.out) == (1, f"✓ {HELD[1]} released\n")
    assert f"delivery {HELD[0]} is discarded and cannot be released" in said.err
    assert f"delivery {DEAD[0]} is dead and cannot be released" in said.err
    assert "A dead delivery can be retried or discarded." in said.err


class HeldAgain:
    """A daemon whose released work is held at once again, but for what was not of the team."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def operate(self, id: str, verb: str, **_: str) -> None:
        if row(self._home, id).reason == HoldReason.UNTRUSTED:
            tell(self._home, partial(self._release, id=id))

    def overview(self, _: float) -> dict[str, object]:
        return {"waits": {"engineer": "1 of 1 slots is taken", "notify": "1 of 1 slots is taken"}}

    async def _release(self, story: Story, id: str) -> None:
        await story.journal.operate(id, Released(by="me"), story.now)


def test_what_is_held_again_at_once_is_no_success(
    acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client, "of_home", lambda _: HeldAgain(home))
    said = orgloop("held", "release", "--all", "--yes")
    assert (said.code, "✓ 3 deliveries released\n" in said.out) == (1, True)
    assert f"{HELD[3]} was released, and is held (no_sop) again: sops/review.md cannot be read" in said.err
    assert "put the prompt file back" in said.err
    answer = orgloop("held", "release", HELD[3], "--json").json
    assert (answer["moved"], [one["id"] for one in answer["failed"]]) == ([], [HELD[3]])


def test_json_says_what_moved_and_what_did_not(acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("dead", "retry", DEAD[0], HELD[0], "--json")
    assert said.code == 1
    assert said.json["moved"] == [DEAD[0]]
    assert [one["id"] for one in said.json["failed"]] == [HELD[0]]
    assert orgloop("held", "release", "--all", "--json").json["error"]["hint"] == "add --yes to do it"


def test_a_discard_keeps_its_note_and_who_did_it(
    acme: Path, home: Path, orgloop: Orgloop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("USER", "mona")
    orgloop("held", "discard", HELD[0], "--note", "done by hand")
    orgloop("held", "release", HELD[1])
    assert (row(home, HELD[0]).detail, row(home, HELD[0]).reason) == ("done by hand", "untrusted")
    reader = open_reader(home)
    (released,) = [step for step in reader.steps(Query(delivery_id=HELD[1])) if step.transition == "released"]
    reader.close()
    assert released.detail == "mona"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["held", "release"], "no held delivery is chosen"),
        (["held", "release", HELD[0], "--all"], "ids and filters exclude each other"),
        (["dead", "retry", "dlv_00"], "there is no delivery dlv_00"),
        (["dead", "retry", "--route", "telll"], "did you mean `tell`?"),
        (["held", "show", "dlv_00"], "there is no delivery dlv_00"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_moves_nothing(
    words: list[str], says: str, acme: Path, home: Path, orgloop: Orgloop
) -> None:
    before = states(home)
    said = orgloop(*words)
    assert said.code == 1
    assert says in said.err
    assert states(home) == before


def test_nothing_that_fits_is_no_error(acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("held", "release", "--reason", "stale", "--yes")
    assert (said.code, said.out) == (0, "no held delivery matches\n")


def test_while_another_process_holds_the_journal_nothing_moves(
    acme: Path, home: Path, orgloop: Orgloop
) -> None:
    async def hold() -> int:
        journal = await open_journal(home, project="acme", clock=lambda: 0, holder="the other one")
        try:
            said = await asyncio.to_thread(orgloop, "held", "release", HELD[0])
        finally:
            await journal.close()
        assert "in use by the other one" in said.err
        code: int = said.code
        return code

    assert asyncio.run(hold()) == 1
    assert states(home)[HELD[0]] == State.HELD


# --- show -----------------------------------------------------------------------------------------


def test_show_says_why_and_what_its_agent_would_get_and_what_to_type(acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("held", "show", HELD[0]).out
    for fact in (
        f"{HELD[0]}  held (untrusted) since ",
        "  not of the team\n",
        "read the event below",
        "route  pr-review → engineer",
        "untrusted: hold  not of the team",
        '"author": "mona"',
        f"Prompt that it would get  {acme / 'sops/review.md'}",
        "  │ # Read the review\n",
        "more lines: --prompt shows them",
        f"orgloop held release {HELD[0]} ",
        f"orgloop held discard {HELD[0]} ",
        f"orgloop trace {HELD[0]} ",
    ):
        assert fact in said.replace("~", str(acme.parent)), fact
    whole = orgloop("held", "show", HELD[0], "--prompt").out
    assert "more lines" not in whole
    assert f"Delivery {HELD[0]}." in whole
    assert "</orgloop-event>" in whole


def test_what_happened_several_times_in_a_row_is_one_line(acme: Path, home: Path, orgloop: Orgloop) -> None:
    async def write(story: Story) -> None:
        story.count = 100
        await story.event("tell", ago=HOUR)
        for number in range(1, 4):
            wake = await story.claimed("tell", ago=HOUR - number * MINUTE)
            await settle(story.journal, wake, Retry(reason="500"), at=story.now - HOUR + number * MINUTE)

    tell(home, write)
    said = orgloop("dead", "show", "dlv_0000000000000065").out
    assert re.search(r"retry \(2 times until [0-9: -]+\) +500\n", said)


def test_a_missing_prompt_file_is_what_the_preview_shows(acme: Path, orgloop: Orgloop) -> None:
    (acme / "sops/review.md").unlink()
    shown = orgloop("held", "show", HELD[3]).out.split("Prompt that")[1]
    assert "none: the project has no valid route pr-review" in shown
    assert "sops/review.md" in shown


def test_an_actor_that_reads_no_prompt_has_none(acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("dead", "show", DEAD[0]).out
    assert "Prompt" not in said
    assert "refused it permanently" in said
    assert f"orgloop dead retry {DEAD[0]} " in said


def test_show_as_json_has_event_prompt_and_steps(acme: Path, orgloop: Orgloop) -> None:
    said = orgloop("held", "show", HELD[0], "--json").json
    assert (said["state"], said["event"]["id"]) == ("held", "evt_0000000000000001")
    assert said["prompt"]["text"].startswith("# Read the review")
    assert [step["name"] for step in said["transforms"]] == ["untrusted"]
    no_sop = orgloop("held", "show", HELD[3], "--json").json
    assert [step["transition"] for step in no_sop["steps"]] == ["hold"]
    assert said["next"][0] == f"orgloop held release {HELD[0]}"


@pytest.mark.parametrize("reason", list(HoldReason))
def test_every_reason_has_a_word_of_advice(reason: HoldReason) -> None:
    from orgloop.cli.screen.delivery_view import WHAT_TO_DO

    assert WHAT_TO_DO[reason]


async def rivals(story: Story, root: Path) -> None:
    """An outsider's event is held; a team member's one with the same dedup key has passed since."""
    await story.apply(root)
    once = [("k", HOUR)]
    await story.event("pr-review", ago=2 * MINUTE, once=once, state=State.HELD, reason="untrusted")
    await story.event("pr-review", ago=MINUTE, once=once)


def test_a_release_that_drops_a_duplicate_says_so_and_asks_first(
    place: Path, home: Path, orgloop: Orgloop
) -> None:
    write_project(place)
    tell(home, partial(rivals, root=place))
    first, second = "dlv_0000000000000001", "dlv_0000000000000002"
    said = orgloop("held", "release", first)
    assert (said.code, states(home)[first]) == (1, "held")
    assert f"{second} has passed with the same dedup key" in said.err
    assert "--yes" in said.err
    said = orgloop("held", "release", first, "--yes")
    assert (said.code, states(home)[first]) == (0, "dropped")
    assert f"{second} has passed" in said.err
    assert f"{first} dropped as a duplicate" in said.out
    assert second in orgloop("inspect", first).out


@pytest.mark.parametrize(("skip", "state"), [((), "preparing"), (("--skip",), "pending")])
def test_what_a_transform_held_is_prepared_again_unless_that_is_skipped(
    skip: tuple[str, ...], state: str, place: Path, home: Path, orgloop: Orgloop
) -> None:
    async def broken(story: Story) -> None:
        await story.apply(place)
        await story.event("pr-review", ago=MINUTE, state=State.HELD, reason="transform")

    write_project(place)
    tell(home, broken)
    assert orgloop("held", "release", "dlv_0000000000000001", *skip).code == 0
    assert states(home) == {"dlv_0000000000000001": state}


async def together(story: Story, root: Path) -> None:
    """Three that are woken for together, held and dead."""
    await story.apply(root)
    one = Batching(key="k", policy=BatchPolicy(window_ms=1))
    ends: list[Transition] = [Hold(reason=HoldReason.NO_SOP), Rejected(reason="404")]
    for number, end in enumerate(ends):
        for name in "abc":
            made = delivery(f"{name}{number}", route="notify", actor="notify", batch=one)
            await accept(story.journal, event(f"{name}{number}", made))
        await settle(story.journal, await claim_one(story.journal, now=1, actor="notify"), end)


@pytest.mark.parametrize(
    ("words", "number", "state", "steps"),
    [
        (["held", "release"], 0, "pending", 2),
        (["held", "discard"], 0, "discarded", 2),
        (["dead", "retry"], 1, "pending", 2),
        (["dead", "discard"], 1, "discarded", 2),
    ],
    ids=str,
)
def test_what_is_woken_for_together_goes_on_once(
    words: list[str], number: int, state: str, steps: int, place: Path, home: Path, orgloop: Orgloop
) -> None:
    write_project(place)
    tell(home, partial(together, root=place))
    said = orgloop(*words, "--all", "--yes")
    assert (said.code, "3 deliveries" in said.out) == (0, True), said
    ids = [f"dlv_{name}{number}" for name in "abc"]
    assert {states(home)[id] for id in ids} == {state}
    reader = open_reader(home)
    assert [len(reader.steps(Query(delivery_id=id))) for id in ids] == [steps] * 3
    reader.close()
