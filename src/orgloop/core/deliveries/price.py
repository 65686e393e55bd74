"""What tokens cost, where an agent tells how many it used and not what they cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenPrice:
    """US dollars for a million tokens. What reads a cache, or fills it, costs as input if nothing is said."""

    input: float
    output: float
    cache_read: float | None = None
    cache_creation: float | None = None

    def of(self, tokens: Mapping[str, int]) -> float:
        """The cost of so many tokens by kind. Other kinds cost as output: rather too much."""
        prices = {
            "input": self.input,
            "output": self.output,
            "cache_read": self.input if self.cache_read is None else self.cache_read,
            "cache_creation": self.input if self.cache_creation is None else self.cache_creation,
        }
        return round(sum(prices.get(kind, self.output) * count for kind, count in tokens.items()) / 1e6, 8)
