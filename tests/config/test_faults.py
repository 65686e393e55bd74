"""Everything that is wrong is named at once, each fault at its line and column."""

from __future__ import annotations

from pathlib import Path

from orgloop.config.load import load_project
from orgloop.plugin.registry import Registry
from tests.config.project import write

FAULTY = """\
metadata: {name: test}
sources: [{id: open, connector: webhook}]
actors: [{id: agent, connector: process, config: {command: ["true"]}}]
transforms:
  - name: rules
    type: filter
    config:
      match:
        payload.items[0].n: 1
        event.payload.x: /(/
        payload.ok: /)/
      exclude: {payload/y: 1, payload.z: a}
  - name: once
    type: dedup
    config: {key: ["{{payload.id}}", payload.n, "$.payload.x"]}
  - name: more
    type: enrich
    config:
      set:
        payload.text: >-
          a {{ payload.a }}
          b {{ payload.b[0] }} {{ }}
        payload.tree: {x: ["{{event.payload.n}}"]}
        id: 7
      copy: {payload.a: 'payload[0]'}
      compute: {payload.b: payload.n}
routes:
  - name: work
    when: {source: open, events: [a]}
    transforms: [rules, once, more]
    then:
      actor: agent
      config:
        session_key: "x:{{ a[0] }}-{{ .b }}"
        text: |
          one {{ payload.x | default(1) }}
          two {{ payload.y[0] }}
    with: {prompt_file: sop.md}
"""
SOP = "---\nrender: true\n---\n{{ a[0] }} {{ event.id }}\n\n{{ payload.x[1] }}\n"


def test_all_faults_of_transforms_templates_and_prompts_are_named_at_once_each_at_its_place(
    tmp_path: Path,
) -> None:
    files = {"orgloop.yaml": FAULTY, "sop.md": SOP}
    write(tmp_path, files)
    lines = {name: text.splitlines() for name, text in files.items()}
    found = [
        (lines[one.file][(one.line or 0) - 1][(one.column or 0) - 1 :], one.hint or one.message)
        for one in load_project(tmp_path, Registry.installed(), {}).errors
    ]
    expected = [
        ("payload.items[0].n: 1", "payload.items.0.n"),
        ("event.payload.x: /(/", "write payload.x"),
        ("/(/", ""),
        ("/)/", ""),
        ("payload/y: 1", "write payload.y"),
        ('"{{payload.id}}"', "write payload.id without braces"),
        ('"$.payload.x"', "write payload.x"),
        ("{{ payload.b[0] }} {{ }}", "{{ payload.b.0 }}"),
        ("{{ }}", "write a path between the braces"),
        ('{{event.payload.n}}"', "{{ payload.n }}"),
        ("id: 7", "write below payload"),
        ("'payload[0]'}", "payload.0"),
        ("payload.n}", "write a path"),
        ("{{ a[0] }}-{{ .b", "{{ a.0 }}"),
        ('{{ .b }}"', "{{ b }}"),
        ("{{ payload.x | default(1) }}", "{{ payload.x ?? 1 }}"),
        ("{{ payload.y[0] }}", "{{ payload.y.0 }}"),
        ("{{ a[0] }} {{ event.id", "{{ a.0 }}"),
        ("{{ event.id }}", "{{ id }}"),
        ("{{ payload.x[1] }}", "{{ payload.x.1 }}"),
    ]
    assert len(found) == len(expected), found
    for (place, told), (begin, hint) in zip(found, expected, strict=True):
        assert place.startswith(begin)
        assert hint in told


def test_all_faults_of_a_body_are_named_at_once(tmp_path: Path) -> None:
    text = """\
metadata: {name: test}
actors:
  - id: calls
    connector: webhook
    config:
      url: https://example.com
      body_template:
        a: '{{ payload.items[0].n }}'
        b: ['{{ event.id }}', '{{ title }}', '{{ payload.x }}']
"""
    write(tmp_path, {"orgloop.yaml": text})
    found = [(one.line, one.hint) for one in load_project(tmp_path, Registry.installed(), {}).errors]
    assert [line for line, _ in found] == [8, 9, 9]
    assert "{{ event.payload.items.0.n }}" in found[0][1]
    assert "event.payload.title" in found[1][1]
    assert "{{ event.payload.x }}" in found[2][1]
