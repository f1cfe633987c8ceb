"""Mails, through any server that speaks SMTP."""

from __future__ import annotations

import smtplib
import socket
import ssl
from contextlib import suppress
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate
from typing import Annotated, Any
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import Field
from typing_extensions import TypedDict

from cloudflow_dagster.nodes.call import Call
from cloudflow_dagster.nodes.declare import BLUE, action
from cloudflow_dagster.nodes.errors import NodeError
from cloudflow_dagster.nodes.fields import Lines, Multiline
from cloudflow_dagster.nodes.spec import Repeat
from cloudflow_dagster.providers.generic.http.addresses import refusal

_PATIENCE = 60.0
"""Seconds that a server has to answer a command, if the node has no `timeout`."""
_PORTS = {"smtps": 465, "smtp": 587, "smtp+plain": 25}
_PASSING = range(400, 500)
"""Answers after which one may try again (RFC 5321, 4.2.1)."""
_Line = Annotated[str, Field(min_length=1, pattern=r"^[^\r\n]*$")]


class Sent(TypedDict):
    """What the server took."""

    id: Annotated[str, Field(description="The mail's `Message-ID`.")]
    to: Annotated[list[str], Field(description="Who gets it, `cc` and `bcc` included.")]
    refused: Annotated[dict[str, str], Field(description="Whom the server refused, and why.")]


@action(
    "generic.mail.send",
    label="Send mail (SMTP)",
    icon="mail",
    category="web",
    color=BLUE,
    repeat=Repeat.ASK,
    documentation="https://www.rfc-editor.org/rfc/rfc5321",
)
def send(
    call: Call,
    *,
    server: Annotated[str, Field(min_length=1)],
    from_: _Line,
    to: Lines,
    subject: _Line,
    text: Multiline = "",
    html: Multiline | None = None,
    cc: Lines | None = None,
    bcc: Lines | None = None,
    reply_to: Lines | None = None,
) -> Sent:
    """Sends a mail through an SMTP server.

    Args:
        call: What surrounds the attempt.
        server: `smtps://user:password@host` (TLS, port 465), `smtp://…` (STARTTLS, port 587) or
            `smtp+plain://host` (a relay without TLS and user, port 25), as a secret:
            `{{ $secret('mail_server') }}`.
        from_: An address, also as `Name <address>`.
        to: One address or several.
        subject: One line.
        text: For those who read plain text.
        html: For the others.
        cc: Who else gets it.
        bcc: Who else gets it without the others knowing.
        reply_to: Where answers go.
    """
    where = _read_server(call, server)
    mail = _mail(call, from_=from_, to=to, cc=cc, reply_to=reply_to, subject=subject)
    mail.set_content(text)
    if html is not None:
        mail.add_alternative(html, subtype="html")
    everybody = [_address(one) for one in (*to, *(cc or ()), *(bcc or ()))]
    refused = _deliver(call, where, mail, _address(from_), list(dict.fromkeys(everybody)))
    said = {who: f"{code} {text.decode(errors='replace')}" for who, (code, text) in refused.items()}
    taken = [one for one in dict.fromkeys(everybody) if one not in said]
    return {"id": str(mail["Message-ID"]), "to": taken, "refused": said}


def _read_server(call: Call, server: str) -> SplitResult:
    where = urlsplit(server)
    try:
        fits = where.scheme in _PORTS and bool(where.hostname) and where.port != 0
    except ValueError:  # the port is no number
        fits = False
    if not fits or where.path.strip("/"):
        raise NodeError(
            "InvalidConfig",
            "`server` is no address of a mail server: write `smtps://user:password@host`, "
            "`smtp://user:password@host` or `smtp+plain://host`.",
            transient=False,
        )
    if where.scheme == "smtp+plain" and where.username:
        raise NodeError(
            "InvalidConfig",
            "`server`: a password is never sent without TLS: use `smtps://` or `smtp://`.",
            transient=False,
        )
    if where.password:
        call.hide(unquote(where.password))
    return where


def _mail(
    call: Call,
    *,
    from_: str,
    to: list[str],
    cc: list[str] | None,
    reply_to: list[str] | None,
    subject: str,
) -> EmailMessage:
    mail = EmailMessage()
    try:
        mail["Subject"] = subject
        mail["From"] = from_
        mail["To"] = ", ".join(to)
        if cc:
            mail["Cc"] = ", ".join(cc)
        if reply_to:
            mail["Reply-To"] = ", ".join(reply_to)
    except ValueError:
        raise NodeError(
            "InvalidConfig", "An address or the subject holds a line break.", transient=False
        ) from None
    mail["Date"] = formatdate()
    domain = _address(from_).rpartition("@")[2]
    # The same one if the same mail is sent again: some servers then deliver it once.
    mail["Message-ID"] = f"<{call.token[:32]}@{domain}>"
    return mail


def _address(written: str) -> str:
    """Return the address in `Name <address>`.

    Raises:
        NodeError: `InvalidConfig`.
    """
    bare = written.rpartition("<")[2].rstrip("> ").strip()
    try:
        return Address(addr_spec=bare).addr_spec
    except (ValueError, IndexError, TypeError, MessageError):
        text = f"`{written}` is no mail address."
        raise NodeError("InvalidConfig", text, transient=False) from None


def _deliver(
    call: Call, where: SplitResult, mail: EmailMessage, sender: str, everybody: list[str]
) -> dict[str, tuple[int, bytes]]:
    """Hand the mail to the server; return whom it refused."""
    sending = False
    server: smtplib.SMTP | None = None
    try:
        server = _connected(call, where)
        if where.scheme == "smtp":
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
        if where.username:
            server.login(unquote(where.username), unquote(where.password or ""))
        sending = True
        return server.send_message(mail, sender, everybody)
    except smtplib.SMTPRecipientsRefused as error:
        said = "; ".join(
            f"{who}: {text.decode(errors='replace')}" for who, (_, text) in error.recipients.items()
        )
        raise NodeError("Refused", f"The server refused all addresses: {said}") from None
    except smtplib.SMTPAuthenticationError:
        raise NodeError(
            "NotAllowed", "The server refused the user or the password.", transient=False
        ) from None
    except smtplib.SMTPResponseException as error:
        text = error.smtp_error
        said = text.decode(errors="replace") if isinstance(text, bytes) else text
        passing = error.smtp_code in _PASSING
        raise NodeError(
            "SmtpError", f"The server says: {error.smtp_code} {said}", transient=passing
        ) from None
    except smtplib.SMTPNotSupportedError as error:
        raise NodeError(
            "SmtpError", f"The server cannot do that: {error}", transient=False
        ) from None
    except (smtplib.SMTPException, OSError) as error:
        if isinstance(error, ssl.SSLError) and not sending:
            raise NodeError(
                "TlsError",
                f"No TLS connection to the mail server {where.hostname} came about: {error}",
                transient=False,
            ) from None
        # Once it has begun to take the mail, it may have taken it whole.
        raise NodeError(
            "ConnectionFailed",
            f"The mail server {where.hostname} broke off or cannot be reached: {error}",
            transient=not sending,
            unsure=sending,
        ) from None
    finally:
        if server is not None:
            _leave(server)


def _leave(server: smtplib.SMTP) -> None:
    """Say goodbye; what is answered to that changes nothing about the mail."""
    with suppress(smtplib.SMTPException, OSError):
        server.quit()
    server.close()


def _connected(call: Call, where: SplitResult) -> smtplib.SMTP:
    host, port = where.hostname or "", where.port or _PORTS[where.scheme]
    patience = call.remaining(_PATIENCE)
    private = call.settings.private_addresses
    if where.scheme == "smtps":
        trusted = ssl.create_default_context()
        return _Tls(host, port, timeout=patience, context=trusted, private=private)
    return _Plain(host, port, timeout=patience, private=private)


class _Plain(smtplib.SMTP):
    """A connection to an address that flows may reach; smtplib asks `_get_socket` for it."""

    def __init__(self, *arguments: Any, private: bool, **more: Any) -> None:
        self._private = private
        super().__init__(*arguments, **more)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return _reached(host, port, timeout, private=self._private)


class _Tls(smtplib.SMTP_SSL):
    """The same, with TLS from its first byte."""

    def __init__(self, *arguments: Any, private: bool, **more: Any) -> None:
        self._private = private
        super().__init__(*arguments, **more)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = _reached(host, port, timeout, private=self._private)
        return self.context.wrap_socket(plain, server_hostname=host)


def _reached(host: str, port: int, timeout: float, *, private: bool) -> socket.socket:
    """Connect to the address that was checked: what a name stands for may change any moment."""
    failed: OSError = OSError(f"{host} stands for no address")
    for _, _, _, _, found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        why = refusal(str(found[0]), private=private)
        if why is not None:
            raise NodeError(
                "ForbiddenAddress", f"`{host}` stands for `{found[0]}`: {why}.", transient=False
            )
        try:
            return socket.create_connection((str(found[0]), port), timeout)
        except OSError as error:
            failed = error
    raise failed
