"""Polls GitHub's API: what a webhook would have told, asked for."""

from __future__ import annotations

from collections.abc import Mapping

from orgloop.connectors.github.api import ORIGIN, Api, app_of
from orgloop.connectors.github.app_login import AppKey
from orgloop.connectors.github.enrich import IN_POLL, MOST_ENRICHED
from orgloop.connectors.github.polling.bodies import ReportedFact
from orgloop.connectors.github.polling.checkpoint import ReadProgress, dump, load
from orgloop.connectors.github.polling.hook_log import hook_path
from orgloop.connectors.github.polling.owner import MOST_REPOS, owned
from orgloop.connectors.github.polling.repository import Repository
from orgloop.connectors.github.polling.shared_logs import SharedLogs
from orgloop.connectors.github.polling.step import ReadStep
from orgloop.connectors.github.settings import GithubSettings
from orgloop.connectors.github.shared_keys import Pairs, Way
from orgloop.connectors.github.source import GithubIntake, GithubSource
from orgloop.plugin import Context, Draft, Page, PluginError, TryLater

Fault = PluginError | TryLater


class GithubPoller:
    """One poll is one step through each repository, with what is new in the order of its times."""

    def __init__(self, id: str, settings: GithubSettings) -> None:
        self._settings = settings
        self._intake = GithubIntake(settings)
        self._hook = hook_path(id) if settings.secret is not None else None
        self._api: Api | None = None
        self._repositories: dict[str, Repository] = {}
        self._logs: SharedLogs | None = None

    def pair(self, pairs: Pairs) -> None:
        """Webhooks come, too."""
        self._intake.pair(pairs, Way.POLLED)

    async def open(self, ctx: Context) -> None:
        """Asks nothing yet: a token that is refused is a poll that failed, and is told as such."""
        api = self._intake.open(ctx)
        assert api is not None
        self._api = api
        if self._hook is not None:
            app = app_of(self._settings, ctx)
            by_key = Api(self._settings.api_url or ORIGIN, AppKey(app), ctx.clock, ctx.http) if app else None
            self._logs = SharedLogs(api, by_key, self._settings, self._hook)

    async def close(self) -> None:
        """Nothing to give back."""

    async def poll(self, checkpoint: str | None) -> Page:
        """What is new. A repository that fails keeps its place, and holds up no other one."""
        before = load(checkpoint)
        after: dict[str, ReadProgress] = {}
        facts: list[ReportedFact] = []
        more = False
        names, failure = await self._names(before)
        for repo in before:
            # Of an owner's many repositories those that were not polled now keep their place, too.
            if repo in names or "*" in repo:
                continue
            if f"{repo.partition('/')[0]}/*" in self._settings.repo:
                after[repo] = before[repo]
        for repo in names:
            known, repository = before.get(repo), self._repository(repo)
            try:
                step = await self._step(repository, known)
            except (PluginError, TryLater) as exc:
                failure = failure or exc
                if known is not None:
                    after[repo] = known
                continue
            after[repo] = step.progress
            facts += step.reported
            more = more or step.more
        if self._logs is not None:
            logs = await self._logs.step(before)
            after |= logs.progress
            failure, more = failure or logs.failure, more or logs.more
        # What failed is told by the next poll, which has nothing else to tell.
        if failure is not None and after == before:
            raise failure
        events = await self._drafts(facts)
        return Page(events=events, checkpoint=dump(after), more=more or failure is not None)

    def _repository(self, name: str) -> Repository:
        assert self._api is not None
        if name not in self._repositories:
            self._repositories[name] = Repository(name, self._api, self._settings.events, self._hook)
        return self._repositories[name]

    async def _names(self, before: Mapping[str, ReadProgress]) -> tuple[list[str], Fault | None]:
        """What is polled now: of an owner all repositories that GitHub lists, or else those known before."""
        assert self._api is not None
        names: list[str] = []
        failure: Fault | None = None
        for repo in self._settings.repo:
            owner, _, name = repo.partition("/")
            if name != "*":
                names.append(repo)
                continue
            try:
                names += await owned(self._api, owner)
            except (PluginError, TryLater) as exc:
                failure = failure or exc
                names += [one for one in before if one.partition("/")[0] == owner and "*" not in one][
                    :MOST_REPOS
                ]
        return list(dict.fromkeys(names)), failure

    async def _step(self, repository: Repository, known: ReadProgress | None) -> ReadStep:
        if known is None:
            lookback = (self._settings.initial_lookback or 0) // 1000
            return await repository.begin(lookback)
        return await repository.step(known)

    async def _drafts(self, facts: list[ReportedFact]) -> list[Draft]:
        drafts, asked = [], 0
        for one in sorted(facts, key=_when):
            draft, left_out = self._intake.read(one.event, one.body, one.words)
            if left_out:
                continue
            asked += self._intake.asks(one.event, one.body)
            within = IN_POLL if asked <= MOST_ENRICHED else 0
            drafts.append(await self._intake.enriched(one.event, one.body, draft, within))
        return drafts


class GithubBoth(GithubSource):
    """Takes webhooks and polls: what comes both ways has one key, and is one event."""

    def __init__(self, id: str, settings: GithubSettings) -> None:
        super().__init__(id, settings)
        self._poller = GithubPoller(id, settings)
        pairs = Pairs()
        self._intake.pair(pairs, Way.PUSHED)
        self._poller.pair(pairs)

    async def open(self, ctx: Context) -> None:
        """Both ways."""
        await super().open(ctx)
        await self._poller.open(ctx)

    async def poll(self, checkpoint: str | None) -> Page:
        """See `GithubPoller.poll`."""
        return await self._poller.poll(checkpoint)


def open_source(id: str, settings: GithubSettings) -> GithubSource | GithubPoller:
    """The ways in that the settings ask for."""
    if not settings.polls:
        return GithubSource(id, settings)
    return GithubPoller(id, settings) if settings.secret is None else GithubBoth(id, settings)


def _when(fact: ReportedFact) -> int:
    return fact.at
