"""Findings as a list that a person, or an editor that follows `file:line:column`, can work through."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orgloop.cli.output import FAIL, WARN, Output
from orgloop.core.text.columns import folded

if TYPE_CHECKING:
    from orgloop.config.findings import Finding


def print_findings(
    out: Output, findings: Iterable[Finding], *, root: Path | None = None, to_error: bool = False
) -> None:
    """One block per file: place, code, sentence, and what to do next. `root` is the project's directory."""
    if out.quiet and not to_error:
        return
    stream = sys.stderr if to_error else sys.stdout
    for number, (file, group) in enumerate(groupby(findings, lambda one: one.file)):
        if number:
            stream.write("\n")
        shown = out.path(root / file) if root is not None else file
        for finding in group:
            for line in _lines(out, finding, shown, to_error=to_error):
                stream.write("\n".join(folded(line, out.width, 4)) + "\n")


def _lines(out: Output, finding: Finding, file: str, *, to_error: bool) -> list[str]:
    def style(text: str, *styles: str) -> str:
        return out.style(text, *styles, error=to_error)

    place = ":".join(str(part) for part in (file, finding.line, finding.column) if part is not None)
    symbol = style(FAIL, "red") if finding.severity == "error" else style(WARN, "yellow")
    code = style(finding.code, "red" if finding.severity == "error" else "yellow")
    lines = [f"{symbol} {style(place, 'bold')}  {code}  {finding.message}"]
    if finding.hint:
        lines.append(f"    {style(finding.hint, 'dim')}")
    return lines


def as_json(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings for programs; every key is always there."""
    return [asdict(finding) for finding in findings]
