"""Accounts, as `orgloop accounts` and `/api/accounts` show them: who uses them, and what is parked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from orgloop.core.text.suggest import nearest_name
from orgloop.core.text.units import DAY
from orgloop.errors import NotFound

if TYPE_CHECKING:
    from orgloop.config.model import ActorSpec, Organization
    from orgloop.journal.model import AccountUse, ParkedRow
    from orgloop.journal.protocols import Reader

BY_PERSON: Final = "a person parked it"


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountView:
    """One account. `actors` are those whose files name it; `use` is of the last 24 hours."""

    name: str
    actors: Sequence[str]
    parked: ParkedRow | None
    use: AccountUse | None


def accounts(reader: Reader, now: int) -> Sequence[AccountView]:
    """All accounts: those that the applied project names, those that runs used, and those that are parked."""
    applied = reader.applied()
    snapshot: Mapping[str, Any] = applied.snapshot if applied is not None else {}
    actors: dict[str, list[str]] = {name: [] for name in snapshot.get("accounts") or {}}
    for actor, fields in (snapshot.get("actors") or {}).items():
        own = [fields["account"]] if isinstance(fields.get("account"), str) else fields.get("accounts") or []
        for name in own:
            actors.setdefault(str(name), []).append(actor)
    used = {use.account: use for use in reader.account_use(now - DAY)}
    parked = {row.account: row for row in reader.parked()}
    names = dict.fromkeys([*actors, *sorted({*used, *parked})])
    return [
        AccountView(name=name, actors=actors.get(name, ()), parked=parked.get(name), use=used.get(name))
        for name in names
    ]


def known_accounts(reader: Reader) -> Sequence[str]:
    """The names of accounts that runs used lately, or that are parked."""
    return [*(use.account for use in reader.account_use(0)), *(row.account for row in reader.parked())]


def require_account(name: str, names: Iterable[str]) -> None:
    """Raises NotFound unless it is one of these."""
    known = sorted(set(names))
    if name in known:
        return
    near = nearest_name(name, known)
    listed = f"there are: {', '.join(known)}" if known else "there are none yet"
    raise NotFound(f"there is no account {name!r}", hint=f"did you mean {near!r}?" if near else listed)


def each_login(organization: Organization) -> Sequence[ActorSpec]:
    """The actors for a check of their logins: once more with each account that brings a login of its own."""
    from orgloop.plugin import SecretStr

    found = []
    for actor in organization.actors.values():
        brought = {name: organization.account_env(name) for name in actor.accounts}
        if not brought or not all(brought.values()):
            found.append(actor)
        for name, variables in brought.items():
            env = {
                **getattr(actor.settings, "env", {}),
                **{key: SecretStr(text) for key, text in variables.items()},
            }
            if variables:
                settings = actor.settings.model_copy(update={"env": env})
                found.append(replace(actor, id=f"{actor.id} ({name})", settings=settings))
    return found
