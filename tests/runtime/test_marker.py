"""The marks of runs."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orgloop.plugin import Mark
from orgloop.runtime.support.marker import Marker

OURS, THEIRS = Marker(lambda: "the token of this home"), Marker(lambda: "another home's")
MARK = Mark(run_id="run_00000000000000ab", actor="engineer", event_id="evt_1", trace_id="trc_1", hops=2)

texts = st.text(min_size=1, max_size=20)
marks = st.builds(
    Mark,
    run_id=st.sampled_from((MARK.run_id, "dlv_00000000000000ab")),
    actor=texts.filter(lambda text: text.isprintable()),
    event_id=texts.filter(lambda text: text.isprintable()),
    trace_id=st.just("trc_1"),
    hops=st.integers(0, 1_000_000),
)


@given(marks, st.text(), st.text())
def test_a_mark_is_found_wherever_it_stands(mark: Mark, before: str, after: str) -> None:
    assert OURS.find(f"{before}{OURS.comment(mark)}{after}") == mark
    assert OURS.find(f"{before}\n\n{OURS.trailer(mark)}\n{after}") == mark


def test_nobody_else_can_make_or_change_one() -> None:
    told = OURS.comment(MARK)
    assert OURS.find(THEIRS.comment(MARK)) is None
    for old, new in (("engineer", "reviewer"), (":2:", ":0:"), ("00ab", "00ac"), ("evt_1", "evt_2")):
        assert OURS.find(told.replace(old, new)) is None
    assert OURS.find("orgloop-run: run_1") is None


def test_a_forged_mark_in_front_does_not_hide_ours() -> None:
    assert OURS.find(THEIRS.comment(MARK) + OURS.comment(MARK)) == MARK
    assert OURS.find(THEIRS.comment(MARK) * 100_000) is None


def test_a_mark_survives_a_comment_and_a_commit() -> None:
    assert OURS.comment(MARK).startswith("<!-- ")
    assert OURS.comment(MARK).endswith(" -->")
    assert "\n" not in OURS.trailer(MARK)
    assert OURS.trailer(MARK).startswith("OrgLoop-Run: ")


def test_an_event_tells_of_the_run_or_the_delivery_that_did_it() -> None:
    assert MARK.provenance == {"run_id": MARK.run_id, "run_actor": "engineer"}
    assert replace(MARK, run_id="dlv_1").provenance == {"delivery_id": "dlv_1", "run_actor": "engineer"}
