"""`renamed_from`: the names that a route had earlier, whose work is its own."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from orgloop.config.findings import Code, Report
from orgloop.config.reading.documents import Spot
from orgloop.config.resolving.sources_and_actors import valid_name
from orgloop.config.schema import models as schema


class EarlierNames:
    """Of all routes of a project; `taken` are the names that they have now."""

    def __init__(self, taken: Collection[str], report: Report) -> None:
        self._taken = frozenset(taken)
        self._report = report
        self._renamed: dict[str, str] = {}

    def names(self, part: schema.RouteConfig, spot: Spot) -> Sequence[str]:
        """Those of one route. No other route may have such a name, now or earlier."""
        said = part.renamed_from
        names = [said] if isinstance(said, str) else said or []
        for number, name in enumerate(names):
            at = ("renamed_from",) if isinstance(said, str) else ("renamed_from", number)
            fault = ""
            if not valid_name(name):
                fault = f"{name!r} cannot be the name of a route"
            elif name in self._taken:
                fault = f"there is a route {name!r}, whose work stays its own"
            elif self._renamed.setdefault(name, part.name) != part.name or name in names[:number]:
                fault = f"{name!r} is named by `renamed_from` twice"
            if fault and not spot.lacks_variable(*at):
                message = f"{spot.label}: `renamed_from`: {fault}"
                hint = "write the name that this route had, or remove it"
                self._report.error(Code.BAD_VALUE, spot.where(*at), message, hint)
        return names
