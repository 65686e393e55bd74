"""`orgloop routes`: the picture says what the files say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.cli.exits import Exit
from orgloop.cli.output import Output
from orgloop.cli.screen.drawing import Drawing
from orgloop.operations.views.topology import Edge, Topology
from tests.cli.conftest import Orgloop

pytestmark = pytest.mark.usefixtures("narrow")

PROJECT = """\
apiVersion: orgloop/v1alpha1
kind: Project
metadata: {name: acme}
transforms:
  - {name: no-bots, type: filter, config: {exclude: {provenance.author_type: bot}}}
  - {name: unused, type: dedup}
sources:
  - {id: github, connector: github, config: {secret: "${GITHUB_WEBHOOK_SECRET}"}}
  - {id: quiet, connector: webhook}
actors:
  - {id: implementer, connector: process, config: {command: [cat]}}
  - {id: supervisor, connector: process, config: {command: [cat]}}
  - {id: idle, connector: process, config: {command: [cat]}}
routes:
  - name: review
    description: What reviewers ask for
    when:
      source: github
      events: [pull_request_review]
      filter: {payload.review_state: changes_requested, payload.ok: [1, true]}
    transforms: [no-bots, dedup]
    then: {actor: implementer}
  - name: done
    when: {source: implementer, events: [actor.stopped]}
    then: {actor: supervisor}
  - name: again
    when: {source: supervisor, events: [actor.stopped], filter: {payload.result.json.decision: again}}
    then: {actor: implementer}
"""


@pytest.fixture
def project(place: Path) -> Path:
    (place / "orgloop.yaml").write_text(PROJECT)
    return place


def test_the_picture_shows_sources_routes_actors_and_loops(orgloop: Orgloop, project: Path) -> None:
    said = orgloop("routes")
    assert said.code == Exit.OK
    assert re.search(r"└─ review ─+▶ implementer ↺\n", said.out)
    assert "pull_request_review · payload.review_state = changes_requested" in said.out
    assert "payload.ok = 1 or true" in said.out
    assert "no-bots → dedup" in said.out
    assert re.search(r"quiet +webhook\n└─ ! no route listens to it", said.out)
    assert re.search(r"\nsupervisor ↺ ", said.out)
    assert "↺ implementer → supervisor → implementer" in said.out
    assert "no route wakes idle" in said.out
    assert "no route uses the transform unused" in said.out


def test_it_draws_before_variables_are_set(orgloop: Orgloop, project: Path) -> None:
    said = orgloop("routes")
    assert "github" in said.out
    assert "1 error" in said.err


def test_the_graph_is_data_as_well(orgloop: Orgloop, project: Path) -> None:
    graph = orgloop("routes", "--json").json
    assert (graph["project"], graph["sources"]) == ("acme", ["github", "quiet"])
    assert graph["edges"][0] == {
        "route": "review",
        "description": "What reviewers ask for",
        "source": "github",
        "actor": "implementer",
        "events": ["pull_request_review"],
        "filter": {"payload.review_state": "changes_requested", "payload.ok": [1, True]},
        "transforms": ["no-bots", "dedup"],
    }
    assert graph["loops"] == [["implementer", "supervisor", "implementer"]]
    assert [(one["kind"], one["id"]) for one in graph["warnings"]] == [
        ("unrouted-source", "quiet"),
        ("unreachable-actor", "idle"),
        ("orphan-transform", "unused"),
    ]


def test_a_flowchart_has_every_node_and_edge(orgloop: Orgloop, project: Path) -> None:
    chart = orgloop("routes", "--mermaid").out
    assert chart.startswith("flowchart LR\n")
    assert 'n0(["github"])' in chart
    assert 'n2["implementer"]' in chart
    assert 'n0 -->|"review<br/>pull_request_review"| n2' in chart
    assert "class n1,n4 idle" in chart


def test_what_a_file_says_cannot_break_out_of_the_flowchart() -> None:
    edge = Edge(route='a"]; x', source="<b>", actor="c", events=["*"])
    graph = Topology(project="p", sources={"<b>": "w"}, actors={"c": "w"}, transforms=[], edges=[edge])
    assert 'n0 -->|"a&quot;]; x<br/>*"| n1' in graph.mermaid()
    assert "<b>" not in graph.mermaid()


NAMES = st.sampled_from(["a", "github", "a-rather-long-name-for-an-actor", "x" * 60])
EDGES = st.lists(
    st.builds(
        lambda n, s, a, e, f, t: Edge(route=f"{n}", source=s, actor=a, events=e, filter=f, transforms=t),
        st.text("abcdefgh-", min_size=1, max_size=40),
        NAMES,
        NAMES,
        st.lists(st.text("ab.*", min_size=1, max_size=30), min_size=1, max_size=4),
        st.dictionaries(
            st.text("ab.", min_size=1, max_size=30), st.integers() | st.text("xyz ", max_size=80), max_size=3
        ),
        st.lists(st.text("ab", min_size=1, max_size=20), max_size=4),
    ),
    max_size=40,
)


@pytest.mark.parametrize("width", [40, 80, 120, 160])
@given(edges=EDGES)
def test_every_route_is_drawn_at_every_width(width: int, edges: list[Edge]) -> None:
    class Sized(Output):
        @property
        def width(self) -> int:
            return width

    names = dict.fromkeys(["a", "github", "a-rather-long-name-for-an-actor", "x" * 60], "webhook")
    graph = Topology(
        project="p", sources=dict(list(names.items())[:2]), actors=names, transforms=[], edges=edges
    )
    lines = list(Drawing(Sized(color=False), graph).lines())
    arrows = [line for line in lines if "▶" in line]
    assert len(arrows) == len(edges)
    drawn = [(line.split("▶ ")[1].split()[0]) for line in arrows]
    assert sorted(drawn) == sorted(edge.actor for edge in edges)
    name = max((len(edge.route) for edge in edges), default=0)
    actor = max((len(edge.actor) for edge in edges), default=0)
    if name + actor + 40 <= width:
        assert [line for line in arrows if len(line) > width] == []
    if width >= 80:
        below = [line for line in lines if line[:3] in ("│  ", "   ")]
        assert [line for line in below if len(line) > width] == []


def test_details_that_are_too_long_for_a_line_are_broken(place: Path, orgloop: Orgloop) -> None:
    wanted = " ".join(["word"] * 40)
    text = PROJECT.replace("payload.result.json.decision: again", f'payload.result.json.decision: "{wanted}"')
    (place / "orgloop.yaml").write_text(text)
    said = orgloop("routes")
    assert said.out.count("word") == 40
    assert max(map(len, said.out.splitlines())) <= 80


def test_a_flowchart_is_no_json(place: Path, orgloop: Orgloop) -> None:
    (place / "orgloop.yaml").write_text(PROJECT)
    said = orgloop("routes", "--mermaid", "--json")
    assert (said.code, said.json["error"]["kind"]) == (1, "Refused")
    assert "do not go together" in said.err


def test_loops_are_found_once() -> None:
    def edge(source: str, actor: str) -> Edge:
        return Edge(route=f"{source}{actor}", source=source, actor=actor)

    actors = dict.fromkeys("abcde", "process")
    edges = [edge("a", "b"), edge("b", "c"), edge("c", "a"), edge("c", "d"), edge("d", "d"), edge("e", "a")]
    graph = Topology(project="p", sources={}, actors=actors, transforms=[], edges=edges)
    assert graph.loops() == [["a", "b", "c", "a"], ["d", "d"]]
