"""Paths, JSON equality, values as text, and templates."""

from __future__ import annotations

import copy
import json
from datetime import date
from enum import Enum
from types import MappingProxyType
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgloop.core.events.fields import (
    MISSING,
    Path,
    PathError,
    as_text,
    in_event,
    quoted_key,
    same,
    set_at,
    translated,
)
from orgloop.core.events.templates import MAX_TREE_DEPTH, Template, TemplateError, TreeTemplate, render_tree

EVENT = {
    "id": "evt_1",
    "type": "resource.changed",
    "payload": {
        "title": "Fix",
        "count": 42,
        "draft": False,
        "nothing": None,
        "empty": "",
        "labels": ["bug", {"name": "p1"}],
        "by_number": {"0": "zero", "01": "one"},
    },
}

TREE = {
    "text": "{{event.type}}: {{event.payload.count}}",
    "count": "{{ event.payload.count }}",
    "labels": ["{{event.payload.labels}}", "fixed", 1, None, True],
    "{{key}}": {"absent": "{{event.nope}}", "null": "{{event.payload.nothing}}"},
}

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
# Few and alike, so that two of them are often the same.
alike = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 0.0, 1.0, 1.5, "", "1", "true", "null"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
keys = st.text(alphabet="abc01", min_size=1, max_size=2)
trees = st.dictionaries(keys, st.recursive(scalars, lambda inner: st.dictionaries(keys, inner), max_leaves=8))
paths = st.lists(keys, min_size=1, max_size=4).map(lambda parts: Path.parse(".".join(parts)))


def nested(levels: int, leaf: object = 1) -> Any:
    """Lists and maps in turn, `levels` deep."""
    value = leaf
    for level in range(levels):
        value = {"in": value} if level % 2 else [value]
    return value


def canonical(value: object) -> str:
    """One text for all ways to write the same JSON."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    return json.dumps(value)


class TestPath:
    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("type", "resource.changed"),
            ("payload.title", "Fix"),
            ("payload.draft", False),
            ("payload.nothing", None),
            ("payload.empty", ""),
            ("payload.labels.0", "bug"),
            ("payload.labels.1.name", "p1"),
            ("payload.by_number.0", "zero"),
            ("payload.by_number.01", "one"),
        ],
    )
    def test_a_path_finds_the_value_of_keys_and_indexes(self, path: str, value: object) -> None:
        found = Path.parse(path).get(EVENT)
        assert found == value
        assert type(found) is type(value)

    @pytest.mark.parametrize(
        "path",
        [
            "nope",
            "payload.nope.deeper",
            "payload.title.upper",
            "payload.title.0",
            "payload.count.real",
            "payload.nothing.x",
            "payload.labels.2",
            "payload.labels.-1",
            "payload.labels.00",
            "payload.labels.01",
            "payload.labels.²",
            "payload.labels.\u0660",
            "payload.labels.length",
            "payload.labels.append",
            "payload.items",
            "payload.labels." + "9" * 5000,
        ],
    )
    def test_what_is_not_there_is_missing(self, path: str) -> None:
        assert Path.parse(path).get(EVENT) is MISSING

    @pytest.mark.parametrize("data", [None, 1, "text", [], {}, MISSING])
    def test_any_data_may_be_asked(self, data: object) -> None:
        assert Path.parse("a.b").get(data) is MISSING

    def test_read_only_maps_and_tuples_read_like_dicts_and_lists(self) -> None:
        data = MappingProxyType({"a": ({"b": 7},)})
        assert Path.parse("a.0.b").get(data) == 7

    @pytest.mark.parametrize(
        ("written", "right"),
        [
            ("payload.items[0].n", "payload.items.0.n"),
            ("payload.items[0][1]", "payload.items.0.1"),
            ("$.payload.x", "payload.x"),
            ("$['payload']['x']", "payload.x"),
            ('.payload["a b"].x', 'payload."a b".x'),
            ("payload['a.b']", 'payload."a.b"'),
            ("payload?.x", "payload.x"),
            ("payload.x?", "payload.x"),
            ("/payload/labels/0", "payload.labels.0"),
            ("'payload.x'", "payload.x"),
            ("`payload.x`", "payload.x"),
            (" payload.x", "payload.x"),
            ("payload.x\n", "payload.x"),
            ("payload . x", "payload.x"),
            ("payload.due date", 'payload."due date"'),
        ],
    )
    def test_what_other_tools_write_is_refused_with_the_right_form(self, written: str, right: str) -> None:
        with pytest.raises(PathError) as refused:
            Path.parse(written)
        assert str(refused.value).endswith(f": write {right}")
        assert Path.parse(right).text == right

    @pytest.mark.parametrize(
        ("written", "right"),
        [
            ("event.payload.n", "payload.n"),
            ("event.payload", "payload"),
            ("event.id", "id"),
            ("event.payload.items[0].n", "payload.items.0.n"),
            ("$.event.payload.x", "payload.x"),
            ("payload/x", "payload.x"),
            ("payload/labels/0", "payload.labels.0"),
            ("payload:x", "payload.x"),
            ("payload::x:y", "payload.x.y"),
            ("payload->items->0", "payload.items.0"),
            ("event/payload/x", "payload.x"),
            ("event['payload']['x']", "payload.x"),
            ("$payload.x", "payload.x"),
            ("@.payload.x", "payload.x"),
            ("{{payload.x}}", "payload.x without braces"),
            ("{{ event.payload.items[0] }}", "payload.items.0 without braces"),
            ("${{ payload.x }}", "payload.x"),
            ("${payload.x}", "payload.x"),
            ("{payload.x}", "payload.x"),
            ("#{payload.x}", "payload.x"),
            ("payload.items[ 0 ]", "payload.items.0"),
            ("payload.items.[0].n", "payload.items.0.n"),
        ],
    )
    def test_a_path_of_an_event_is_corrected_in_one_step(self, written: str, right: str) -> None:
        with pytest.raises(PathError) as refused:
            Path.parse(written, in_event)
        assert str(refused.value).endswith(f": write {right}")
        plain = right.removesuffix(" without braces")
        assert Path.parse(plain, in_event).text == plain

    @pytest.mark.parametrize(
        "written",
        [
            *(
                "payload.a/b",
                "payload.a:b",
                "payload.event.x",
                "event",
                "event.x",
                "event_type",
                "payloads.x",
            ),
            *("payload", "x/y", "type", "payload.$x", 'payload."a/b"', "provenance.event/x", "my.payload.x"),
        ],
    )
    def test_other_paths_of_an_event_stay_as_they_are(self, written: str) -> None:
        assert Path.parse(written, in_event).text == written

    @pytest.mark.parametrize(
        ("written", "right"),
        [
            *(("payload..x", "payload.x"), ("payload.x.", "payload.x"), (".payload.x", "payload.x")),
            *(("", "payload.title"), ("..", "payload.title")),
        ],
    )
    def test_an_empty_part_is_refused(self, written: str, right: str) -> None:
        with pytest.raises(PathError, match=rf"empty part: write {right}$"):
            Path.parse(written)

    @pytest.mark.parametrize(
        "written",
        [
            *(" ", "[0", "a[", 'a."', 'a.""', "a.b or c", "a || b", "a == 1", "a | length"),
            *("a[-1]", "a[*].b", "a.*.b", "a[].b", "a[1:2]", "a[?(@.b)]", "length(a)", "{{a}}", "a,b", "!a"),
            *("#if a.b", "a.b|c", "'a", '"a', "a\\b", "x" * 5_000 + "[0]", "[" * 50_000, "a." + " " * 50_000),
        ],
        ids=lambda it: ascii(it)[:30],
    )
    def test_what_is_no_path_is_refused_with_advice(self, written: str) -> None:
        with pytest.raises(PathError, match=r": write |: write a path") as refused:
            Path.parse(written)
        assert len(str(refused.value)) < 1_000

    @pytest.mark.parametrize(
        "key",
        [
            "a.b",
            "due date",
            "items[0]",
            'say "hi"',
            "back\\slash",
            "a|b",
            "0",
            "$",
            "/x",
            "é",
            "\n",
            "a'b",
            "+1",
        ],
    )
    def test_every_key_has_a_path(self, key: str) -> None:
        path = Path.parse(f"payload.{quoted_key(key)}.n")
        assert path.get({"payload": {key: {"n": 7}}}) == 7

    @given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
    def test_quoted_keys_are_read_as_they_are(self, keys: list[str]) -> None:
        path = Path.parse(".".join(map(quoted_key, ["root", *keys])))
        assert [key for key, _ in path.steps] == ["root", *keys]

    def test_a_number_in_quotes_is_a_key_and_no_index(self) -> None:
        assert Path.parse('a."0"').get({"a": ["x"]}) is MISSING
        assert Path.parse('a."0"').get({"a": {"0": "x"}}) == "x"

    @given(st.text(max_size=30) | st.text(alphabet=".[]\"'$/ |?0a", max_size=30))
    def test_any_text_is_a_path_or_refused_with_a_right_form_that_is_one(self, written: str) -> None:
        try:
            Path.parse(written)
        except PathError:
            right = translated(written)
            assert right is None or Path.parse(right).text == right

    def test_paths_are_values(self) -> None:
        assert Path.parse("a.0") == Path.parse("a.0")
        assert Path.parse("a.0") != Path.parse("a.1")
        assert len({Path.parse("a"), Path.parse("a"), Path.parse("b")}) == 2
        assert str(Path.parse("a.0")) == "a.0"

    def test_missing_is_false_and_not_none(self) -> None:
        assert not MISSING
        assert MISSING is not None
        assert repr(MISSING) == "MISSING"

    def test_a_path_as_deep_as_the_data_finds_its_end(self) -> None:
        deep = nested(20_000, "end")
        path = Path.parse(".".join("0" if level % 2 else "in" for level in range(20_000)))
        assert path.get(deep) == "end"


class TestSetAt:
    @given(trees, paths, values)
    def test_what_was_set_is_got(self, data: dict[str, Any], path: Path, value: object) -> None:
        assert path.get(set_at(data, path, value)) is value

    @given(trees, paths, values)
    def test_the_given_data_stays_as_it_was(self, data: dict[str, Any], path: Path, value: object) -> None:
        before = copy.deepcopy(data)
        set_at(data, path, value)
        assert same(data, before)

    @given(trees, paths, paths, values)
    def test_what_lies_beside_the_path_is_shared(
        self, data: dict[str, Any], path: Path, other: Path, value: object
    ) -> None:
        ours, theirs = path.text.split("."), other.text.split(".")
        common = min(len(ours), len(theirs))
        if ours[:common] != theirs[:common]:
            before, after = other.get(data), other.get(set_at(data, path, value))
            # A value that stood in the way of the path gives way to a map, with what was in it.
            assert after is before or (after is MISSING and not isinstance(before, dict))

    @given(trees, paths, values)
    def test_setting_twice_is_setting_once(self, data: dict[str, Any], path: Path, value: object) -> None:
        once = set_at(data, path, value)
        assert same(set_at(once, path, value), once)

    @pytest.mark.parametrize("blocking", [None, 1, "text", [], ["zero"]])
    def test_what_is_not_a_map_gives_way_to_one(self, blocking: object) -> None:
        assert set_at({"a": blocking, "z": 1}, Path.parse("a.0.b"), 2) == {"a": {"0": {"b": 2}}, "z": 1}

    def test_keys_keep_their_order(self) -> None:
        assert list(set_at({"x": 1, "y": 2, "z": 3}, Path.parse("y.deep"), 4)) == ["x", "y", "z"]

    def test_read_only_maps_are_copied_into_plain_ones(self) -> None:
        data = MappingProxyType({"a": MappingProxyType({"b": 1})})
        assert set_at(data, Path.parse("a.c"), 2) == {"a": {"b": 1, "c": 2}}

    def test_missing_is_no_value_to_set(self) -> None:
        with pytest.raises(PathError, match=r"no value to set at a\.b"):
            set_at({}, Path.parse("a.b"), MISSING)


class TestSame:
    @pytest.mark.parametrize(
        ("a", "b"),
        [
            (1, 1.0),
            (0.0, -0.0),
            (10**22, 1e22),
            (True, True),
            (None, None),
            ("é", "é"),
            ([1, [2]], [1.0, [2.0]]),
            ([1], (1,)),
            ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
            ({"a": 1}, MappingProxyType({"a": 1})),
            (MISSING, MISSING),
        ],
    )
    def test_the_same_json_is_the_same(self, a: object, b: object) -> None:
        assert same(a, b)
        assert same(b, a)

    @pytest.mark.parametrize(
        ("a", "b"),
        [
            (True, 1),
            (False, 0),
            (True, "true"),
            (1, "1"),
            (None, 0),
            (None, False),
            (None, ""),
            (None, MISSING),
            (MISSING, False),
            (MISSING, "missing"),
            ("a", "A"),
            ("a", ["a"]),
            ([], {}),
            ([1, 2], [2, 1]),
            ([1], [1, 1]),
            ([True], [1]),
            ({"a": True}, {"a": 1}),
            ({"a": None}, {"b": None}),
            ({"a": None}, {}),
            ({"a": 1}, {"a": 1, "b": 2}),
            (2**53 + 1, float(2**53)),
        ],
    )
    def test_different_json_is_not(self, a: object, b: object) -> None:
        assert not same(a, b)
        assert not same(b, a)

    @given(values)
    def test_a_value_is_the_same_as_its_copy(self, value: object) -> None:
        assert same(value, copy.deepcopy(value))

    @given(alike, alike)
    def test_it_agrees_with_canonical_json_and_so_is_an_equivalence(self, a: object, b: object) -> None:
        assert same(a, b) is (canonical(a) == canonical(b))
        assert same(b, a) is same(a, b)

    @given(values, values)
    def test_it_agrees_with_canonical_json_for_any_values(self, a: object, b: object) -> None:
        assert same(a, b) is (canonical(a) == canonical(b))

    def test_depth_does_not_matter(self) -> None:
        assert same(nested(20_000), nested(20_000))
        assert not same(nested(20_000, 1), nested(20_000, True))


class Colour(str, Enum):  # noqa: UP042  a StrEnum would format as its value anyway
    RED = "red"


class TestText:
    @pytest.mark.parametrize(
        ("value", "written"),
        [
            ("as it is\n", "as it is\n"),
            ("", ""),
            (True, "true"),
            (False, "false"),
            (42, "42"),
            (-7, "-7"),
            (10**30, "1" + "0" * 30),
            (1.0, "1"),
            (-0.0, "0"),
            (1.5, "1.5"),
            (float(2**53 - 1), "9007199254740991"),
            (1e22, "1e+22"),
            (None, "gone"),
            (MISSING, "gone"),
            (float("nan"), "gone"),
            (float("inf"), "gone"),
            ([], "[]"),
            (["a", None, True, 1.5], '["a",null,true,1.5]'),
            ({"b": 1, "a": "é\n"}, '{"b":1,"a":"é\\n"}'),
            (("a", MappingProxyType({"b": ()})), '["a",{"b":[]}]'),
            ([10**30, -(10**30)], "[1" + "0" * 30 + ",-1" + "0" * 30 + "]"),
            ({"a": "\ud800", "b": [], "c": {}}, '{"a":"\ud800","b":[],"c":{}}'),
            ({1: "int", None: "null"}, '{"1":"int","null":"null"}'),
        ],
    )
    def test_a_value_reads_as_in_json_and_text_as_itself(self, value: object, written: str) -> None:
        assert as_text(value, "gone") == written

    def test_nothing_reads_as_nothing_unless_told(self) -> None:
        assert as_text(None) == as_text(MISSING) == ""

    @given(values.filter(lambda value: isinstance(value, (list, dict))))
    def test_a_list_or_map_reads_back_from_its_text(self, value: object) -> None:
        assert same(json.loads(as_text(value)), value)

    @given(st.recursive(scalars.filter(lambda value: not isinstance(value, int)), st.lists, max_leaves=8))
    def test_deep_values_are_written_like_flat_ones(self, value: object) -> None:
        deep = as_text(nested(300, value))
        assert deep == '{"in":[' * 150 + orjson.dumps(value).decode() + "]}" * 150

    def test_depth_does_not_matter(self) -> None:
        assert as_text(nested(20_000)) == '{"in":[' * 10_000 + "1" + "]}" * 10_000

    def test_text_of_a_closed_set_reads_as_its_value(self) -> None:
        assert type(as_text(Colour.RED)) is str
        assert f"{as_text(Colour.RED)}" == "red"

    @pytest.mark.parametrize(
        "value",
        [object(), b"bytes", {1, 2}, date(2026, 1, 2), [date(2026, 1, 2)], {"a": {1}}, nested(300, b"")],
    )
    def test_what_is_not_json_is_refused(self, value: object) -> None:
        with pytest.raises(TypeError, match="is not JSON"):
            as_text(value)


class TestTemplate:
    @pytest.mark.parametrize(
        ("source", "rendered"),
        [
            ("{{type}}", "resource.changed"),
            ("{{  payload.title  }}", "Fix"),
            ("pr:{{payload.title}}#{{payload.count}}", "pr:Fix#42"),
            ("{{payload.title}}{{payload.title}}", "FixFix"),
            ("{{payload.draft}}", "false"),
            ("[{{payload.empty}}]", "[]"),
            ("[{{payload.nothing}}{{payload.nope}}]", "[??]"),
            ("{{payload.labels}}", '["bug",{"name":"p1"}]'),
            ("{{payload.labels.1.name}}", "p1"),
            ('{"t":{{{payload.title}}}}', '{"t":{Fix}}'),
            ("{{ open {{type}}", "{{ open resource.changed"),
            ("{{type}} }} {{", "resource.changed }} {{"),
            ("{{type}}}}{{type}}", "resource.changed}}resource.changed"),
            ("{{ not\non one line }} {{type}}", "{{ not\non one line }} resource.changed"),
            ("{ {type} } {type} }}", "{ {type} } {type} }}"),
            ("", ""),
        ],
    )
    def test_placeholders_give_way_to_values_and_other_braces_stay(self, source: str, rendered: str) -> None:
        assert Template.parse(source).render(EVENT, "?") == rendered

    @given(st.text(alphabet="{ ab.\n", max_size=20) | st.text(alphabet="} ab.\n", max_size=20))
    def test_a_text_without_placeholders_renders_as_itself(self, source: str) -> None:
        template = Template.parse(source)
        assert template.is_constant
        assert template.render(EVENT) == source == template.value(EVENT)

    @given(st.text(alphabet="{} a\n", max_size=30))
    def test_literal_parts_and_placeholders_make_up_the_whole_text(self, source: str) -> None:
        try:
            template = Template.parse(source)
        except TemplateError:
            return
        pattern = [part if isinstance(part, str) else "{{" + str(part) + "}}" for part in template.parts]
        assert "".join(pattern).replace(" ", "") == source.replace(" ", "")

    @given(st.lists(st.tuples(st.text(alphabet="ab {\n", max_size=3), st.text(max_size=5)), max_size=5))
    def test_values_stand_between_the_literal_parts(self, parts: list[tuple[str, str]]) -> None:
        source = "".join(f"{literal}{{{{ v.{at} }}}}" for at, (literal, _) in enumerate(parts))
        data = {"v": [value for _, value in parts]}
        assert Template.parse(source).render(data) == "".join(literal + value for literal, value in parts)

    @given(values)
    def test_a_lone_placeholder_keeps_the_type_of_its_value(self, value: object) -> None:
        found = Template.parse("{{ a.b }}").value({"a": {"b": value}})
        assert found is ("" if value is None else value)

    @pytest.mark.parametrize("source", [" {{ a }}", "{{ a }} ", "{{ a }}{{ b }}"])
    def test_anything_beside_the_placeholder_makes_it_text(self, source: str) -> None:
        assert Template.parse(source).value({"a": 1, "b": ""}).__class__ is str

    def test_a_lone_placeholder_without_a_value_reads_as_missing(self) -> None:
        assert Template.parse("{{a}}").value({}, "unknown") == "unknown"
        assert Template.parse("{{a}}").value({"a": None}, "unknown") == "unknown"
        assert Template.parse("key:{{a}}").value({}, "unknown") == "key:unknown"

    def test_a_template_knows_its_paths(self) -> None:
        template = Template.parse("x{{ a.b }}y{{ c }}")
        assert template.paths == (Path.parse("a.b"), Path.parse("c"))
        assert template.parts == ("x", Path.parse("a.b"), "y", Path.parse("c"))
        assert not template.is_constant

    @pytest.mark.parametrize(("source", "place"), [("{{}}", (1, 1)), ("one\ntwo {{   }}", (2, 5))])
    def test_an_empty_placeholder_is_refused_at_its_place(self, source: str, place: tuple[int, int]) -> None:
        with pytest.raises(TemplateError, match=r"is empty: .*\{\{ payload.title \}\}") as refused:
            Template.parse(source)
        assert [(one.line, one.column) for one in refused.value.faults] == [place]

    def test_all_placeholders_that_are_wrong_are_named_at_once(self) -> None:
        with pytest.raises(TemplateError, match=r"\(and 2 more\)$") as refused:
            Template.parse("{{ a.b }} {{ a[0] }}\n{{ }}, {{ok}} and {{ x y | z }}")
        found = [(one.line, one.column, one.written) for one in refused.value.faults]
        assert found == [(1, 11, "{{ a[0] }}"), (2, 1, "{{ }}"), (2, 19, "{{ x y | z }}")]

    def test_all_texts_of_a_tree_that_are_wrong_are_named_at_once(self) -> None:
        with pytest.raises(TemplateError) as refused:
            TreeTemplate.parse({"a": ["{{ x }}", "{{ x[0] }}{{ }}"], "b": {"c": "{{ y[1] }}"}, "d": 1})
        assert [(one.at, one.written) for one in refused.value.faults] == [
            (("a", 1), "{{ x[0] }}"),
            (("a", 1), "{{ }}"),
            (("b", "c"), "{{ y[1] }}"),
        ]

    @pytest.mark.parametrize(
        ("source", "right"),
        [
            ("{{event.payload.items[0].n}}", "payload.items.0.n"),
            ("{{event.payload.n}}", "payload.n"),
            ("{{ event.payload.n ?? event.payload.m }}", "payload.n ?? payload.m"),
            ("{{event['payload'].n | default(0)}}", "payload.n ?? 0"),
            ("{{ payload/labels/0 }}", "payload.labels.0"),
            ("{{ payload:x }}", "payload.x"),
            ("{{ $.event.payload.x }}", "payload.x"),
        ],
    )
    def test_a_path_of_an_event_is_corrected_in_one_step(self, source: str, right: str) -> None:
        with pytest.raises(TemplateError) as refused:
            Template.parse(source, in_event)
        assert str(refused.value).endswith(f"write {{{{ {right} }}}}")
        assert not Template.parse(f"{{{{ {right} }}}}", in_event).is_constant

    def test_a_placeholder_that_is_no_path_is_refused_with_the_reason(self) -> None:
        with pytest.raises(TemplateError, match=r"\{\{ a..b \}\} is wrong: write \{\{ a.b \}\}$"):
            Template.parse("{{ a..b }}")

    @pytest.mark.parametrize(
        ("source", "right"),
        [
            ("{{payload.n | default(0)}}", "payload.n ?? 0"),
            ("{{ payload.n|default('none') }}", 'payload.n ?? "none"'),
            ("{{ payload.n | default: 'x' }}", 'payload.n ?? "x"'),
            ('{{ payload.n | default("x", true) }}', 'payload.n ?? "x"'),
            ("{{payload.a || payload.b}}", "payload.a ?? payload.b"),
            ('{{ .payload.a // "x" }}', 'payload.a ?? "x"'),
            ("{{ payload.a or payload.b }}", "payload.a ?? payload.b"),
            ("{{ payload.items[0].n ?? 'x' }}", 'payload.items.0.n ?? "x"'),
        ],
    )
    def test_defaults_of_other_tools_are_refused_with_the_right_form(self, source: str, right: str) -> None:
        with pytest.raises(TemplateError) as refused:
            Template.parse(source)
        assert str(refused.value).endswith(f": write {{{{ {right} }}}}")
        Template.parse(f"{{{{ {right} }}}}")

    @pytest.mark.parametrize(
        "inner",
        [
            *(
                "a ??",
                "?? a",
                "a ?? ?? b",
                'a ?? "x" ?? b',
                'a ?? "x',
                "a ?? 'x y",
                "a | upper",
                "#if a",
                "/if",
            ),
            *('a ?? "x" y', "a ?? 1e3x y", "a ?? b | c", '"' * 20_001, "a ?? " * 20_000, "? " * 50_000),
        ],
        ids=lambda it: it[:20],
    )
    def test_a_placeholder_that_cannot_be_read_is_refused(self, inner: str) -> None:
        with pytest.raises(TemplateError):
            Template.parse(f"{{{{ {inner} }}}}")

    @pytest.mark.parametrize(
        ("source", "data", "value"),
        [
            ('{{ a ?? "none" }}', {}, "none"),
            ('{{ a ?? "none" }}', {"a": None}, "none"),
            ('{{ a ?? "none" }}', {"a": ""}, ""),
            ('{{ a ?? "none" }}', {"a": False}, False),
            ("{{ a ?? 0 }}", {}, 0),
            ("{{ a ?? -1.5 }}", {}, -1.5),
            ("{{ a ?? true }}", {}, True),
            ("{{ a ?? b ?? c }}", {"c": [1]}, [1]),
            ("{{ a ?? b }}", {}, ""),
            ('{{ a ?? "what?? \\"so\\"" }}', {}, 'what?? "so"'),
            ('{{ a ?? "x".y }}', {"x": {"y": 5}}, 5),
            ('<{{ a ?? "none" }}>', {}, "<none>"),
        ],
    )
    def test_a_default_stands_for_what_is_missing_or_null(self, source: str, data: Any, value: Any) -> None:
        found = Template.parse(source).value(data)
        assert (found, type(found)) == (value, type(value))

    def test_a_key_needs_every_part(self) -> None:
        template = Template.parse('{{a}}#{{b.c}}#{{ d ?? "main" }}')
        assert template.key({"a": 1, "b": {"c": "x"}}) == "1#x#main"
        assert template.key({"a": 1, "b": {"c": None}}) is None
        assert template.key({"b": {"c": ""}}) is None
        assert template.key({"a": False, "b": {"c": "-"}, "d": 0}) == "false#-#0"
        assert template.missing({}) == ["a", "b.c"]
        assert Template.parse("all").key({}) == "all"


class TestTreeTemplate:
    def test_text_values_are_rendered_at_every_depth_and_keys_are_not(self) -> None:
        assert TreeTemplate.parse(TREE).render({"event": EVENT}) == {
            "text": "resource.changed: 42",
            "count": 42,
            "labels": [["bug", {"name": "p1"}], "fixed", 1, None, True],
            "{{key}}": {"absent": "", "null": ""},
        }

    def test_it_knows_all_paths(self) -> None:
        assert [str(path) for path in TreeTemplate.parse(TREE).paths] == [
            "event.type",
            "event.payload.count",
            "event.payload.count",
            "event.payload.labels",
            "event.nope",
            "event.payload.nothing",
        ]

    @given(values)
    def test_a_tree_without_placeholders_renders_as_itself(self, tree: object) -> None:
        try:
            compiled = TreeTemplate.parse(tree)
        except TemplateError:
            return
        if not compiled.paths:
            assert same(compiled.render({}), tree)

    def test_each_rendering_is_a_tree_of_its_own(self) -> None:
        compiled = TreeTemplate.parse({"list": ["fixed"]})
        compiled.render({})["list"].append("changed")
        assert compiled.render({}) == {"list": ["fixed"]}

    def test_rendering_at_once_gives_the_same(self) -> None:
        assert render_tree("{{a}}", {"a": [1]}) == [1]
        assert render_tree(["{{b}}"], {}, "none") == ["none"]

    def test_a_tree_nested_beyond_the_limit_is_refused(self) -> None:
        assert same(render_tree(nested(MAX_TREE_DEPTH), {}), nested(MAX_TREE_DEPTH))
        with pytest.raises(TemplateError, match=f"keep it within {MAX_TREE_DEPTH} levels"):
            TreeTemplate.parse(nested(MAX_TREE_DEPTH + 1))

    def test_the_data_may_be_deeper_than_the_tree_may(self) -> None:
        deep = nested(20_000)
        assert render_tree({"data": "{{ a }}"}, {"a": deep})["data"] is deep
