"""What a GitHub actor can do: each a form of `then.config`, with its placeholders filled in."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from orgloop.connectors.github.settings import ApiSettings, Repo, listed
from orgloop.plugin import Settings, nearest_name

Name = Annotated[str, Field(min_length=1, max_length=255)]
Names = Annotated[tuple[Name, ...], BeforeValidator(listed)]
Number = Annotated[int, Field(ge=1, le=2**53)]
Sha = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{7,64}$")]


def _blank(value: Any) -> Any:
    """A placeholder without a value leaves the default."""
    return None if value == "" else value


def _file(value: str) -> str:
    if value in (".", ".."):
        raise ValueError("is not the name of a workflow's file")
    return value


Maybe = BeforeValidator(_blank)
Workflow = Annotated[str, Field(pattern=r"^[\w.-]{1,200}$"), AfterValidator(_file)]


Conclusion = Literal["success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required"]


class Do(StrEnum):
    """What is done."""

    COMMENT = "comment"
    REVIEW = "review"
    LABEL = "label"
    CHECK_RUN = "check_run"
    DISPATCH = "dispatch"
    ISSUE = "issue"


class GithubTask(Settings):
    """What all of them may say."""

    repo: Annotated[Repo | None, Maybe] = None
    """`owner/name`; the actor's `repo` or the event's without it."""
    session_key: Any = None
    """The engine reads it."""


class OnNumber(GithubTask):
    """What is done with an issue or a pull request."""

    number: Annotated[Number | None, Maybe] = None
    """The issue or pull request; the event's without it."""


class Comment(OnNumber):
    """A comment on an issue or a pull request."""

    body: Annotated[str | None, Maybe] = None
    """Its text; without it the route's prompt file, or what the run said last."""
    sticky: Annotated[Name | None, Maybe] = None
    """A name: the issue has one comment with this name, which is edited."""


class CodeLine(Settings):
    """A comment on one line of a review."""

    path: Name
    line: Number
    body: Annotated[str, Field(min_length=1)]
    side: Literal["LEFT", "RIGHT"] = "RIGHT"


class Review(OnNumber):
    """A review of a pull request."""

    verdict: Literal["approve", "request_changes", "comment"] = "comment"
    """What the review comes to."""
    body: Annotated[str | None, Maybe] = None
    """Its text, as of a comment."""
    comments: Annotated[tuple[CodeLine, ...], Field(max_length=50)] = ()
    """Comments on lines: `path`, `line`, `body`, and `side`."""


class Label(OnNumber):
    """Labels of an issue or a pull request."""

    add: Names = ()
    """Labels that it gets; GitHub makes those that the repository does not have."""
    remove: Names = ()
    """Labels that it loses."""


class CheckRun(GithubTask):
    """A check run of a commit, which shows at its pull request. It takes a GitHub App."""

    name: Name
    """What the check is called."""
    head_sha: Annotated[Sha | None, Maybe] = None
    """The commit; the event's without it."""
    conclusion: Annotated[
        Literal["success", "failure", "neutral", "cancelled", "skipped", "timed_out", "action_required"]
        | None,
        Maybe,
    ] = None
    """How it ended. Without it the run's state: in progress when it starts, then as the run ended."""
    title: Annotated[str | None, Maybe] = None
    """One line; without it the conclusion."""
    summary: Annotated[str | None, Maybe] = None
    """Its text, as of a comment."""
    details_url: Annotated[str | None, Maybe, Field(pattern="^https?://")] = None
    """Where the details are."""


class Dispatch(GithubTask):
    """Starts a workflow that has the trigger `workflow_dispatch`."""

    workflow: Workflow
    """Its file, such as `deploy.yml`, or its number."""
    ref: Name
    """The branch or tag to run it on."""
    inputs: Mapping[str, Any] = {}
    """Its inputs."""
    id_input: Annotated[Name | None, Maybe] = None
    """The input that gets the delivery's id: with it in the `run-name`, the workflow never starts twice."""


class Issue(GithubTask):
    """A new issue."""

    title: Annotated[str, Field(min_length=1)]
    """Its title."""
    body: Annotated[str | None, Maybe] = None
    """Its text, as of a comment."""
    labels: Names = ()
    """Its labels."""
    assignees: Names = ()
    """The logins that it is assigned to."""


class GithubActorSettings(ApiSettings):
    """An actor that writes to GitHub."""

    do: Do
    """What it does, unless a route's `then.config` says otherwise."""
    repo: Repo | None = None
    """`owner/name`: where, if neither the route nor its event says that."""

    @model_validator(mode="after")
    def _needs_login(self) -> Self:
        if not self.has_login:
            raise ValueError(
                "GitHub lets nobody write without a login: add a `token`, `token_command` or `app_id`"
            )
        return self


AnyTask = Comment | Review | Label | CheckRun | Dispatch | Issue

FORMS: Final[Mapping[Do, type[AnyTask]]] = {
    Do.COMMENT: Comment,
    Do.REVIEW: Review,
    Do.LABEL: Label,
    Do.CHECK_RUN: CheckRun,
    Do.DISPATCH: Dispatch,
    Do.ISSUE: Issue,
}


def read(do: Do, config: Mapping[str, Any]) -> AnyTask:
    """The task that a route's `then.config` asks for. Raises ValueError that names each wrong key."""
    given = {key: value for key, value in config.items() if key != "do"}
    try:
        return FORMS[do].model_validate(given)
    except ValidationError as exc:
        raise ValueError("; ".join(f"`{key}` {why}" for key, why in _faults(exc, do).items())) from exc


def check_route(config: Mapping[str, Any]) -> Mapping[str, str]:
    """What is wrong with a `then.config` whose placeholders are not filled in yet."""
    asked = config.get("do")
    if asked is not None and asked not in list(Do):
        near = nearest_name(str(asked), list(Do))
        return {"do": f"is none of {', '.join(Do)}" + (f": write `{near}`" if near else "")}
    known = {"do"}.union(*(form.model_fields for form in FORMS.values()))
    if asked is None:
        why = f"is not a key of a GitHub actor. Its keys: {', '.join(sorted(known))}"
        return {key: why for key in config if key not in known}
    do = Do(asked)
    given = {key: value for key, value in config.items() if key != "do" and "{{" not in repr(value)}
    try:
        FORMS[do].model_validate(given)
    except ValidationError as exc:
        return {key: why for key, why in _faults(exc, do).items() if key in given}
    return {}


def _faults(exc: ValidationError, do: Do) -> dict[str, str]:
    faults: dict[str, str] = {}
    for one in exc.errors(include_url=False, include_context=False, include_input=False):
        key = str(one["loc"][0]) if one["loc"] else "do"
        if one["type"] == "extra_forbidden":
            keys = sorted(FORMS[do].model_fields.keys())
            faults[key] = f"is not a key of `do: {do}`. Its keys: {', '.join(keys)}"
        else:
            said = one["msg"].removeprefix("Value error, ")
            faults.setdefault(key, f"is wrong: {said[:1].lower()}{said[1:]}")
    return faults
