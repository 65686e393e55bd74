"""What this daemon has counted since its start. All else that metrics show is in the journal."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from orgloop.core.deliveries.transition import NotStarted, Rejected, Retry, Transition, Unavailable

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds; what took longer is beyond the last."""


QUIET: Final = 60_000
"""Milliseconds without a refusal after which the next one is news again."""

MOST_REASONS: Final = 3
"""Different reasons of refusals that are kept for each source."""


@dataclass(slots=True)
class Times:
    """How long things took: `counts` per bucket of BUCKETS, and one more for all beyond."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusals:
    """Requests that a source refused: how many, when the last one came (ms since 1970), and why.

    `unproven` of them did not prove their sender: a wrong signature or token.
    """

    times: int
    unproven: int
    at: int
    reasons: Sequence[str]
    """The last different ones, the newest first."""

    @property
    def reason(self) -> str:
        """All of them on one line."""
        return "; ".join(self.reasons)


class Counters:
    """`tries` by route, from claim to outcome; `errors` by source and actor; runs by actor and outcome.

    `refusals` by source: what nobody else keeps, since a request that is refused leaves nothing.
    """

    def __init__(self) -> None:
        self.tries: defaultdict[str, Times] = defaultdict(Times)
        self.errors: Counter[str] = Counter()
        self.refusals: dict[str, Refusals] = {}
        self.runs: Counter[tuple[str, str]] = Counter()
        self.cost_usd: defaultdict[str, float] = defaultdict(float)

    def tried(self, route: str, actor: str, transition: Transition, seconds: float) -> None:
        """A try at waking an actor has ended."""
        self.tries[route].add(max(0.0, seconds))
        if isinstance(transition, Retry | Rejected | Unavailable):
            self.errors[actor] += 1

    def run_ended(self, actor: str, transition: Transition, outcome: str, cost_usd: float | None) -> None:
        """A run has ended, or turned out never to have begun."""
        if isinstance(transition, NotStarted):
            self.errors[actor] += 1
            return
        self.runs[actor, outcome] += 1
        self.cost_usd[actor] += cost_usd or 0.0

    def poll_failed(self, source: str) -> None:
        """A source could not be opened, polled or listened to."""
        self.errors[source] += 1

    def refused(self, source: str, reason: str, at: int, *, unproven: bool) -> bool:
        """A source refused a request. Whether that is news: the first, or the first after QUIET."""
        known = self.refusals.get(source)
        times, before, earlier = (known.times, known.unproven, known.reasons) if known else (0, 0, ())
        reasons = [reason, *(one for one in earlier if one != reason)][:MOST_REASONS]
        self.refusals[source] = Refusals(times=times + 1, unproven=before + unproven, at=at, reasons=reasons)
        return known is None or at - known.at >= QUIET
