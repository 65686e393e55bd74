"""Talks to the daemon of one home, with nothing but the standard library: commands start quickly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from orgloop.errors import ConfigError, Conflict, DaemonError, NotFound, OrgLoopError, Refused

if TYPE_CHECKING:
    from socket import socket
    from threading import Event

    from orgloop.config.findings import Finding
    from orgloop.operations.status.live import Live
    from orgloop.project.home import DaemonInfo, Home

PATIENCE: Final = 10.0
"""Seconds that the daemon gets for an answer."""

GLANCE: Final = 3.0
"""Seconds that it gets where its answer only adds to what the journal says."""

APPLY_PATIENCE: Final = 120.0
"""Seconds for reading a project and replacing what runs. Before that it has answered within `PATIENCE`."""

LARGEST: Final = 64 * 1024 * 1024
"""Bytes of an answer."""


class Client:
    """The daemon that serves `home`. Before the first call it is asked who it is.

    Every method raises DaemonError if the daemon is not there, does not answer, or belongs to another
    home; NotFound, Conflict, Refused or ConfigError as the daemon says.
    """

    def __init__(self, home: Home, info: DaemonInfo, token: str) -> None:
        self.info = info
        self._home = home
        self._token = token
        self._known: Mapping[str, Any] | None = None

    @classmethod
    def of_home(cls, home: Home) -> Client | None:
        """The client for the daemon of this home; None if none runs. Raises DaemonError without its token."""
        from orgloop.project.home import running_daemon

        info = running_daemon(home)
        if info is None:
            return None
        token = home.read_token()
        if token is None:
            raise DaemonError(
                f"the daemon (process {info.pid}) runs, but its token {home.token} is gone",
                hint="type `orgloop restart`: it makes a new one",
            )
        return cls(home, info, token)

    def status(self, patience: float = PATIENCE) -> Mapping[str, Any]:
        """What GET /control/status says."""
        answer = self._call("GET", "/control/status", patience=patience)
        self._require_this_home(answer)
        self._known = answer
        return answer

    def overview(self, patience: float = PATIENCE) -> Mapping[str, Any]:
        """What GET /api/status says."""
        return self._ask("GET", "/api/status", None, patience)

    def shutdown(self) -> None:
        """Ask it to stop. Returns when it has heard; it ends some time later."""
        self._ask("POST", "/control/shutdown", {})

    def apply(self, path: str | Path) -> Mapping[str, int]:
        """Have it read this project again and apply it. Returns what happened to waiting work, counted."""
        body = {"configPath": str(Path(path).absolute())}
        moved: Mapping[str, int] = self._ask("POST", "/control/apply", body, APPLY_PATIENCE)["moved"]
        return moved

    def emit(self, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put an event in: `{ok, event_id, duplicate}`."""
        return self._ask("POST", "/control/emit", document)

    def replay(self, event_id: str, *, route: str = "", dry_run: bool = False) -> Mapping[str, Any]:
        """Process an accepted event again: `{ok, replay_of, event_id, deliveries}`."""
        body = {"route": route, "dry_run": dry_run}
        return self._ask("POST", f"/control/events/{_part(event_id)}/replay", body)

    def operate(
        self, delivery_id: str, verb: str, *, by: str = "", note: str = "", skip: bool = False
    ) -> Mapping[str, Any]:
        """Release, retry or discard a delivery: `{ok, id, state}`."""
        body = {key: value for key, value in (("by", by), ("note", note), ("skip", skip)) if value}
        return self._ask("POST", f"/control/deliveries/{_part(delivery_id)}/{_part(verb)}", body)

    def stop_run(self, run_id: str) -> None:
        """Ask a run to end."""
        self._ask("POST", f"/control/runs/{_part(run_id)}/stop", {})

    def pause(self, kind: str, name: str, until: int | None, by: str, why: str) -> None:
        """Let nothing of an actor or a route start until a time, or until it is resumed."""
        self._ask("POST", f"/control/{kind}s/{_part(name)}/pause", {"until": until, "by": by, "why": why})

    def resume_route(self, route: str) -> bool:
        """Let a paused route go on now. False if it is not paused."""
        return bool(self._ask("POST", f"/control/routes/{_part(route)}/resume", {})["resumed"])

    def resume_actor(self, actor: str) -> bool:
        """Let a paused actor go on now. False if it is not paused."""
        return bool(self._ask("POST", f"/control/actors/{_part(actor)}/resume", {})["resumed"])

    def forget_session(self, actor: str, session: str) -> None:
        """Detach a session from its key."""
        self._ask("POST", "/control/sessions/forget", {"actor": actor, "session": session})

    def park(self, account: str, until: int | None, reason: str) -> Mapping[str, Any]:
        """Let nothing start with an account until a time, or until it is resumed."""
        return self._ask(
            "POST", "/control/accounts/park", {"account": account, "until": until, "reason": reason}
        )

    def resume(self, account: str) -> None:
        """Let an account's work go on."""
        self._ask("POST", "/control/accounts/resume", {"account": account})

    def post_webhook(
        self,
        source: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        patience: float = PATIENCE,
    ) -> Mapping[str, Any]:
        """Hand a request to a source as its outside system would."""
        self._recognize(patience)
        given = {"Content-Type": "application/json", **(headers or {})}
        return self._exchange("POST", f"/webhook/{_part(source)}", body, given, patience)

    def _ask(self, method: str, path: str, body: Any, patience: float = PATIENCE) -> Mapping[str, Any]:
        self._recognize(patience)
        return self._call(method, path, body, patience)

    def _recognize(self, patience: float = PATIENCE) -> None:
        if self._known is None:
            self.status(min(patience, PATIENCE))

    def _require_this_home(self, answer: Mapping[str, Any]) -> None:
        theirs = str(answer.get("home", ""))
        if not theirs or Path(theirs).resolve() != self._home.path.resolve():
            raise DaemonError(
                f"port {self.info.port} is answered by the daemon of {theirs or 'another home'}, "
                f"not of {self._home.path}",
                hint="check ORGLOOP_HOME; `orgloop restart` gives this home its daemon",
            )

    def _call(
        self, method: str, path: str, body: Any = None, patience: float = PATIENCE
    ) -> Mapping[str, Any]:
        from orgloop.core.text.json_text import dump_json

        data = dump_json(body) if body is not None else None
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        return self._exchange(method, path, data, headers, patience)

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], patience: float
    ) -> Mapping[str, Any]:
        import http.client
        import threading

        from orgloop.core.text.json_text import load_json

        connection = http.client.HTTPConnection("127.0.0.1", self.info.port, timeout=patience)
        over = threading.Event()
        try:
            connection.connect()
            with _deadline(connection.sock, patience, over):
                connection.request(method, path, body, dict(headers))
                answer = connection.getresponse()
                content = load_json(answer.read(LARGEST))
            if not isinstance(content, dict):
                raise ValueError("no object")
        except (OSError, http.client.HTTPException, ValueError) as exc:
            if over.is_set() or isinstance(exc, TimeoutError):
                raise self._late(patience) from exc
            if isinstance(exc, OSError):
                raise DaemonError(
                    f"{self._who} does not answer: {exc.strerror or exc}",
                    hint="it may just be starting or stopping: try again, or type `orgloop restart`",
                ) from exc
            raise DaemonError(
                f"the program that answers on port {self.info.port} is not OrgLoop",
                hint="type `orgloop restart`, or choose another port with ORGLOOP_PORT",
            ) from exc
        finally:
            connection.close()
        if answer.status >= 300:
            raise self._error(answer.status, content)
        return content

    @property
    def _who(self) -> str:
        return f"the daemon (process {self.info.pid}, port {self.info.port})"

    def _late(self, patience: float) -> DaemonError:
        from orgloop.project.home import go_on_command, is_suspended

        if is_suspended(self.info):
            return DaemonError(
                f"{self._who} is suspended",
                hint=f"type `{go_on_command(self.info)}`, or `orgloop restart`",
            )
        return DaemonError(
            f"{self._who} has not answered within {patience:g} s",
            hint="look at its log, or type `orgloop stop --force` and `orgloop start`",
        )

    def _error(self, status: int, content: Mapping[str, Any]) -> OrgLoopError:
        message = str(content.get("error") or f"{self._who} answers {status}")
        hint = str(content.get("hint", ""))
        match status:
            case 401 if self._known is None:
                return DaemonError(
                    f"port {self.info.port} is answered by a daemon that does not know the token of "
                    f"{self._home.path}",
                    hint="check ORGLOOP_HOME; `orgloop restart` gives this home its daemon",
                )
            case 404:
                return NotFound(message, hint=hint)
            case 409:
                return Conflict(message, hint=hint)
            case 422:
                return ConfigError(message, hint=hint, findings=_findings(content.get("findings", ())))
            case _ if status < 500:
                return Refused(message, hint=hint, status=status)
            case _:
                hint = hint or "look at its log with `orgloop logs`"
                return DaemonError(message, hint=hint, broke=status != 503)


def live_of_home(home: Home) -> tuple[Live | None, str]:
    """What the home's daemon knows of itself, or why it does not answer."""
    from orgloop.operations.status.live import live_of_document

    try:
        client = Client.of_home(home)
        return (live_of_document(client.overview(GLANCE)), "") if client is not None else (None, "")
    except DaemonError as exc:
        return None, exc.message


@contextmanager
def _deadline(connection: socket, seconds: float, over: Event) -> Iterator[None]:
    """Cut the connection after so many seconds, also where something comes in now and then."""
    from socket import SHUT_RDWR
    from threading import Timer

    def cut() -> None:
        over.set()
        with suppress(OSError):
            connection.shutdown(SHUT_RDWR)

    timer = Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _part(text: str) -> str:
    return quote(text, safe="")


def _findings(documents: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Those that this version has words for: the daemon may be of another one."""
    from orgloop.config.findings import Code, Finding, Severity

    codes = {code.value: code for code in Code}
    return [
        Finding(
            severity=Severity(one["severity"]),
            code=codes[one["code"]],
            message=one["message"],
            hint=one["hint"],
            file=one["file"],
            line=one["line"],
            column=one["column"],
            path=one["path"],
        )
        for one in documents
        if one["code"] in codes
    ]
