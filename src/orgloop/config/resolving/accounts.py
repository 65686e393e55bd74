"""Accounts: logins that actors may share, with what their runs get and what they may use together."""

from __future__ import annotations

from collections.abc import Sequence

from orgloop.config.findings import Code, Report, nearest
from orgloop.config.model import AccountSpec
from orgloop.config.reading.collect import Entry
from orgloop.config.reading.documents import Spot
from orgloop.config.resolving.budget import check_cap, check_told, limits_of
from orgloop.config.schema import models as schema
from orgloop.core.deliveries.admission import Limit, ScopeLevel, Unit, Window
from orgloop.plugin.actor import Actor, Supervised


class Accounts:
    """The accounts of a project, and which actor uses which."""

    def __init__(self, project: Entry[schema.Project] | None, report: Report) -> None:
        self._report = report
        self._spot = project.spot if project is not None else None
        self._parts = (project.part.accounts or {}) if project is not None else {}
        self._used: set[str] = set()
        self.specs = {name: self._spec(name, part) for name, part in self._parts.items()}

    def chain(
        self, part: schema.ActorConfig, spot: Spot, opened: Actor | None, *, priced: bool, cap: float | None
    ) -> Sequence[str]:
        """The accounts of an actor, in the order in which they are tried."""
        if part.account is not None and part.accounts is not None:
            message = f"{spot.label}: `account` and `accounts` are both set"
            hint = "keep `accounts`; the first one is tried first"
            self._report.error(Code.DUPLICATE_KEY, spot.where("account", key=True), message, hint)
        key = "accounts" if part.accounts is not None else "account"
        names = part.accounts if part.accounts is not None else [part.account] if part.account else []
        found: list[str] = []
        for number, name in enumerate(names):
            at = ("accounts", number) if key == "accounts" else ("account",)
            if spot.lacks_variable(*at):
                continue
            if name in found:
                message = f"{spot.label}: the account {name!r} is listed twice"
                self._report.error(Code.DUPLICATE_NAME, spot.where(*at), message, "remove one of the two")
            elif name not in self.specs:
                message = f"{spot.label}: there is no account {name!r}"
                hint = (
                    nearest(name, self.specs, what="there are") or "add it under `accounts:` in orgloop.yaml"
                )
                self._report.error(Code.UNKNOWN_ACCOUNT, spot.where(*at), message, hint)
            else:
                found.append(name)
                self._used.add(name)
                self._check(name, part.id, spot, at, opened, priced=priced, cap=cap)
        return found

    def check_unused(self) -> None:
        """Warn of accounts that no actor names."""
        for name in self.specs:
            if name not in self._used and self._spot is not None:
                where = self._spot.where("accounts", name, key=True)
                message = f"the account {name!r} has no effect: no actor names it"
                self._report.warn(Code.NO_EFFECT, where, message, f"add `account: {name}` to an actor")

    def _spec(self, name: str, part: schema.AccountConfig) -> AccountSpec:
        runs = part.limits.runs if part.limits else None
        at_once = Limit(
            level=ScopeLevel.ACCOUNT,
            unit=Unit.RUNS,
            window=Window.AT_ONCE,
            most=runs or 0,
            setting=f"accounts.{name}.limits.runs",
        )
        budget = limits_of(part.budget, ScopeLevel.ACCOUNT, f"accounts.{name}.budget")
        return AccountSpec(
            name=name,
            env={key: value.get_secret_value() for key, value in part.env.items()},
            limits=budget if runs is None else [at_once, *budget],
            description=part.description or "",
        )

    def _check(
        self,
        name: str,
        actor: str,
        spot: Spot,
        at: Sequence[str | int],
        opened: Actor | None,
        *,
        priced: bool,
        cap: float | None,
    ) -> None:
        spec = self.specs[name]
        if spec.env and opened is not None and not isinstance(opened, Supervised):
            message = (
                f"{spot.label}: the variables of the account {name!r} have no effect: its runs are no "
                "programs on this machine"
            )
            hint = "use an account without `env`, and set the login in the actor's `config`"
            self._report.error(Code.BAD_VALUE, spot.where(*at), message, hint)
        budget = [limit for limit in spec.limits if limit.unit is not Unit.RUNS]
        if self._spot is not None:
            path = ("accounts", name, "budget")
            check_told(budget, priced=priced, actor=actor, spot=self._spot, path=path, report=self._report)
            check_cap(budget, cap, actor, self._spot, self._report)
