"""Cuts Linear's schema down to what the queries of the connector `linear` use, for its tests.

    .venv/bin/python scripts/linear_schema.py schema.graphql > tests/support/linear.graphql

Linear publishes the schema with its SDK. What is kept is as Linear has it: a query that is valid here is
valid there. Run on its own output, it changes nothing; a test checks that.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLInputObjectType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    build_schema,
    get_named_type,
    is_input_object_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
    is_specified_scalar_type,
    parse,
    print_ast,
    validate,
    visit,
)

from orgloop.connectors.linear import queries

QUERIES = [text for name, text in vars(queries).items() if name.isupper() and not name.startswith("_")]

NESTED = frozenset(
    {
        *("CommentFilter", "IssueFilter", "IssueLabelFilter", "NullableIssueFilter", "NullableProjectFilter"),
        *("NullableTeamFilter", "ProjectFilter", "TeamFilter", "UserFilter", "WorkflowStateFilter"),
        *("BooleanComparator", "DateComparator", "IDComparator", "IssueIDComparator", "StringComparator"),
    }
)
"""Input types that the connector's filters go into. Others are left out, since each leads to all the rest."""

Used = dict[str, set[str]]


class Fields(Visitor):
    """Collects the fields that a query uses, by their type."""

    def __init__(self, info: TypeInfo, used: Used) -> None:
        super().__init__()
        self.info = info
        self.used = used

    def enter_field(self, node: FieldNode, *_: object) -> None:
        parent = self.info.get_parent_type()
        assert parent is not None
        self.used[parent.name].add(node.name.value)


def used_by(document: DocumentNode, schema: GraphQLSchema, used: Used) -> None:
    if errors := validate(schema, document):
        sys.exit(f"a query is not valid: {errors[0]}")
    info = TypeInfo(schema)
    visit(document, TypeInfoVisitor(info, Fields(info, used)))


def cut(schema: GraphQLSchema) -> str:
    """The schema with the fields that are used, their arguments and what those need."""
    used: Used = defaultdict(set)
    for query in QUERIES:
        used_by(parse(query), schema, used)
    leaves: set[str] = set()
    inputs: dict[str, list[str]] = {}

    def keep_input(kind: GraphQLInputObjectType) -> None:
        if kind.name in inputs:
            return
        inputs[kind.name] = []
        for name, field in sorted(kind.fields.items()):
            inner = get_named_type(field.type)
            if not (is_leaf_type(inner) or inner.name in NESTED or is_required_input_field(field)):
                continue
            inputs[kind.name].append(f"  {name}: {field.type}")
            keep(inner)

    def keep(kind: object) -> None:
        if is_input_object_type(kind):
            keep_input(kind)
        elif is_leaf_type(kind) and not is_specified_scalar_type(kind):
            leaves.add(kind.name)

    types: list[str] = []
    for type_name, fields in sorted(used.items()):
        lines = []
        for name in sorted(fields - {"__typename"}):
            field = schema.type_map[type_name].fields[name]
            arguments = []
            for key, argument in sorted(field.args.items()):
                inner = get_named_type(argument.type)
                if is_leaf_type(inner) or inner.name in NESTED or is_required_argument(argument):
                    arguments.append(f"{key}: {argument.type}")
                    keep(inner)
            keep(get_named_type(field.type))
            taken = f"({', '.join(arguments)})" if arguments else ""
            lines.append(f"  {name}{taken}: {field.type}")
        types.append(f"type {type_name} {{\n" + "\n".join(lines) + "\n}")
    types += [f"input {name} {{\n" + "\n".join(lines) + "\n}" for name, lines in sorted(inputs.items())]
    for name in sorted(leaves):
        node = schema.type_map[name].ast_node
        values = sorted(value.name.value for value in getattr(node, "values", ()))
        types.append(f"enum {name} {{\n  " + "\n  ".join(values) + "\n}" if values else f"scalar {name}")
    return print_ast(parse("\n".join(types))) + "\n"


if __name__ == "__main__":
    sys.stdout.write(cut(build_schema(Path(sys.argv[1]).read_text("utf-8"), assume_valid=True)))
