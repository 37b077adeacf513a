"""One message to an e-mail address, through the hospital's own mail server: the same outcomes as a webhook's POST."""

from __future__ import annotations

import smtplib
import ssl
import time
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.utils.translation import gettext as _

from cad_platform.delivery.destination import NotAllowed
from cad_platform.delivery.posting import SECONDS, Outcome

SCHEME = "mailto:"


def is_mail(url: str) -> bool:
    """Whether an address is one of e-mail."""
    return url.lower().startswith(SCHEME)


def mailbox_of(url: str) -> str:
    """The one address that `mailto:` names.

    Raises
    ------
    NotAllowed
        It is none, its domain is not one that the operator allows, or there is no mail server.
    """
    address = url[len(SCHEME) :].strip()
    try:
        validate_email(address)
    except ValidationError:
        raise NotAllowed(_("This is not an e-mail address.")) from None
    domain = address.rpartition("@")[2].lower()
    if not settings.MAIL_SERVER:
        raise NotAllowed(_("There is no mail server: the operator names one in CAD_MAIL_SERVER."))
    if domain not in settings.MAIL_ALLOWED_DOMAINS:
        raise NotAllowed(
            _("%(domain)s is not one of the domains that the operator allows (CAD_MAIL_ALLOWED_DOMAINS).")
            % {"domain": domain}
        )
    return address


def send(url: str, subject: str, text: str, message_id: str) -> Outcome:
    """Send it once. Raises nothing: whatever goes wrong is the outcome."""
    started = time.monotonic()
    status, error = _send(url, subject, text, message_id)
    return Outcome(status, error, time.monotonic() - started)


def _send(url: str, subject: str, text: str, message_id: str) -> tuple[int | None, str]:
    try:
        address = mailbox_of(url)
    except NotAllowed as refusal:
        return None, str(refusal)
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, settings.MAIL_FROM, address
    # The same however often it is sent: a mail program shows it once.
    message["Message-ID"] = f"<{message_id}@{settings.MAIL_FROM.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    server = urlsplit(settings.MAIL_SERVER)
    try:
        with _connected(server.scheme, server.hostname or "", server.port) as connection:
            if server.username:
                connection.login(unquote(server.username), unquote(server.password or ""))
            connection.send_message(message)
    except TimeoutError:
        return None, f"No answer within {SECONDS:g} s."
    except ssl.SSLError:
        return None, "The receiver's certificate or its encryption is not accepted."
    except smtplib.SMTPRecipientsRefused as refused:
        code = next(iter(refused.recipients.values()))[0]
        return code, f"The receiver answered {code}."
    except smtplib.SMTPResponseException as answer:
        return answer.smtp_code, f"The receiver answered {answer.smtp_code}."
    except (OSError, smtplib.SMTPException, ValueError) as failure:
        return None, f"The connection failed ({type(failure).__name__})."
    return 250, ""


def _connected(scheme: str, host: str, port: int | None) -> smtplib.SMTP:
    """`smtps` is encrypted from the first byte, `smtp+tls` from STARTTLS on, `smtp` not at all."""
    if scheme == "smtps":
        return smtplib.SMTP_SSL(host, port or 465, timeout=SECONDS, context=ssl.create_default_context())
    connection = smtplib.SMTP(host, port or 25, timeout=SECONDS)
    if scheme == "smtp+tls":
        connection.starttls(context=ssl.create_default_context())
    return connection
