"""Knows the program's result among the lines that it writes."""

import os

from . import NEVER
from .spec import Spec

CHUNK, AT_ONCE, LONGEST_LINE = 4 << 20, 64 << 20, 64 << 20  # bytes of stdout that are looked at for a result


class TurnWatcher:
    """Knows from the program's stdout whether it has given its result. `result`: where the last one is."""

    def __init__(self, spec: Spec, file: int) -> None:
        self.result: list[int] | None = None
        self._spec, self._file, self._offset, self._rest = spec, file, 0, b""
        self._ended = self._busy = self._skips = False
        self._needles = {b'"' + pair[1] + b'"' for pair in (*spec.ends, *spec.begins, spec.busy[:2]) if pair}

    def rests(self) -> bool:
        """Whether the program has given a result, and nothing more is to come."""
        return self._ended and not self._busy

    def look(self, *, last: bool = False) -> None:
        """Read on. `last`: the program has ended, and its last line may have no newline."""
        until = NEVER if last else self._offset + AT_ONCE
        while self._needles and self._offset < until:
            chunk = os.pread(self._file, CHUNK, self._offset + len(self._rest))
            if not chunk:
                break
            text = self._rest + chunk
            first = text.find(b"\n") + 1 if self._skips else 0
            cut = text.rfind(b"\n") + 1
            if cut:
                self._take(text[first:cut], self._offset + first)
                self._skips = False
            self._offset, self._rest = self._offset + cut, text[cut:]
            if len(self._rest) > LONGEST_LINE:
                self._offset, self._rest, self._skips = self._offset + len(self._rest), b"", True
        if last and self._rest and not self._skips:
            self._take(self._rest + b"\n", self._offset)

    def _take(self, lines: bytes, offset: int) -> None:
        """Look at whole lines. Few of them have the words that are looked for: only those are read."""
        found: dict[int, int] = {}
        for needle in self._needles:
            end = 0
            while (at := lines.find(needle, end)) >= 0:
                end = lines.find(b"\n", at)
                found[lines.rfind(b"\n", 0, at) + 1] = end
        for start in sorted(found):
            members = members_of(lines[start : found[start]])
            if any(members.get(name) == text for name, text in self._spec.ends):
                self.result, self._ended = [offset + start, found[start] - start], True
            elif any(members.get(name) == text for name, text in self._spec.begins):
                self._ended = False
            elif self._spec.busy and members.get(self._spec.busy[0]) == self._spec.busy[1]:
                self._busy = not members.get(self._spec.busy[2], b"[]").replace(b" ", b"").startswith(b"[]")


def members_of(line: bytes) -> "dict[bytes, bytes]":
    """What the JSON object that ends a line has at its top: a string's text, or how else a value begins.

    Other text may come before it. Empty if there is none; a string with escapes is not put together.
    """
    text, start = line.replace(b"\\\\", b"").replace(b'\\"', b""), -1
    for _ in range(8):
        if (start := text.find(b"{", start + 1)) < 0:
            break
        parts, depth, found = text[start:].split(b'"'), 0, dict[bytes, bytes]()
        for number in range(0, len(parts), 2):
            gap = parts[number]
            depth += gap.count(b"{") + gap.count(b"[") - gap.count(b"}") - gap.count(b"]")
            after = parts[number + 2].strip() if number + 2 < len(parts) else b""
            if depth == 1 and after.startswith(b":"):
                found[parts[number + 1]] = after[1:].strip() or b"".join(parts[number + 3 : number + 4])
        if depth == 0 and len(parts) % 2:
            return found
    return {}
