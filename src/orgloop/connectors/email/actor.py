"""Sends mail, and says by the server's answers what became of it."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Sequence
from typing import Any

from orgloop.connectors.email.message import UnfitMail, mail_of
from orgloop.connectors.email.settings import EmailSettings
from orgloop.connectors.email.smtp import Smtp, words
from orgloop.plugin import (
    SECOND,
    CheckResult,
    CheckStatus,
    Clock,
    Context,
    Delivered,
    DeliverOutcome,
    Rejected,
    Retry,
    Unavailable,
    Wake,
)


class EmailActor:
    """One wake is one mail. A mail that may have been sent is sent again under the same Message-ID."""

    def __init__(self, id: str, settings: EmailSettings) -> None:
        self._settings = settings
        self._clock: Clock | None = None

    async def open(self, ctx: Context) -> None:
        """Connects with the first wake."""
        self._clock = ctx.clock

    async def close(self) -> None:
        """Nothing to give back."""

    async def deliver(self, wake: Wake) -> DeliverOutcome:
        """Send it."""
        assert self._clock is not None, "the actor is not open"
        try:
            mail, to = mail_of(wake, self._settings, self._clock.now())
        except UnfitMail as exc:
            return Rejected(reason=f"{exc} (route {wake.route})")
        # A little less than the engine waits, so that the reason is ours and not just a cancellation.
        limit = min(wake.timeout - min(1.0, wake.timeout / 10), self._settings.timeout / SECOND)
        smtp = Smtp(self._settings, limit)
        try:
            refused = await smtp.send(mail, to)
        except (smtplib.SMTPException, OSError) as exc:
            return outcome_of(exc, self._settings, sent=smtp.sent, seconds=limit)
        if refused:
            told = "; ".join(f"{address}: {code} {words(said)}" for address, (code, said) in refused.items())
            return Delivered(detail=f"sent to {len(to) - len(refused)} of {len(to)}; refused {told}"[:1_000])
        return Delivered(detail=f"sent as {mail['Message-ID']}")


def outcome_of(exc: Exception, settings: EmailSettings, *, sent: bool, seconds: float) -> DeliverOutcome:
    """What an error means for a wake. `sent`: the server may have the mail all the same."""
    host, port = settings.at
    where = f"{host}:{port}"
    match exc:
        case smtplib.SMTPAuthenticationError(smtp_code=code, smtp_error=said):
            why = f"{where} does not take the password of {settings.username} ({code} {words(said)})"
            return Retry(reason=why) if code < 500 else Unavailable(reason=f"{why}: set another in .env")
        case smtplib.SMTPRecipientsRefused(recipients=refused):
            address, (code, said) = next(iter(refused.items()))
            why = f"{where} refuses {address}: {code} {words(said)}"
            later = any(code < 500 for code, _ in refused.values())
            return Retry(reason=why) if later else Rejected(reason=why)
        case smtplib.SMTPConnectError(smtp_code=code, smtp_error=said):
            return Unavailable(reason=f"{where} takes no connections now: {code} {words(said)}")
        case smtplib.SMTPResponseException(smtp_code=code, smtp_error=said):
            why = f"{where} refuses the mail: {code} {words(said)}"
            return Rejected(reason=why) if code >= 500 else Retry(reason=why)
        case smtplib.SMTPNotSupportedError():
            return Unavailable(reason=f"{where}: {words(exc)}: check `security` and `username`")
        case smtplib.SMTPServerDisconnected() if not sent:
            return Retry(reason=f"{where} closed the connection")
        case ssl.SSLCertVerificationError():
            return Unavailable(reason=f"{where} has an invalid certificate: {exc.verify_message}")
        case TimeoutError() if not sent:
            return Retry(reason=f"{where} took longer than {seconds:g} s")
        case OSError() if not sent:
            return Unavailable(reason=f"{where} cannot be reached: {exc.strerror or type(exc).__name__}")
        case _:
            return Retry(reason=f"{where} did not say whether it has the mail", known=False)


async def check(settings: Any, _ctx: Context) -> Sequence[CheckResult]:
    """Connects, logs in, and says goodbye: no mail is sent."""
    if not isinstance(settings, EmailSettings):
        return []
    smtp = Smtp(settings, 4.0)
    try:
        await smtp.log_in()
    except (smtplib.SMTPException, OSError) as exc:
        outcome = outcome_of(exc, settings, sent=False, seconds=4.0)
        reason = getattr(outcome, "reason", "")
        hint = "check `host`, `port`, `security` and the login"
        return [CheckResult(name="server", status=CheckStatus.ERROR, detail=reason, hint=hint)]
    host, port = settings.at
    who = settings.username or ""
    detail = f"{host}:{port} takes mail ({settings.security})"
    return [CheckResult(name="server", status=CheckStatus.OK, detail=detail, identity=who)]
