"""A message to a channel: e-mail, webhook, 企业微信, 钉钉, and whatever else apprise knows.

企业微信 and 钉钉 refuse under HTTP 200 with an `errcode`, which apprise takes for a success, and count bytes where it counts
characters: these two are called here. An answer says why a message was refused; it never holds the address, which has keys in it.
"""

import base64
import hashlib
import hmac
import logging
import smtplib
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlencode, urlsplit

import httpx

from rotation.facts.lifecycle import ChannelKind

ANSWER_S = 15.0
ANSWER_LENGTH = 200  # kept of an answer, for the page
WECOM_BYTES = 2_048  # of a text, by 企业微信's documentation of group robots
DINGTALK_BYTES = 18_000  # a message may have 20,000, with its JSON
MAIL_PORTS = {"smtp": 587, "smtps": 465}


class ChannelAddressError(ValueError):
    """No address that a channel of this kind can have; the message says which it wants."""


@dataclass(frozen=True, slots=True)
class ChannelMessage:
    """A message; sent twice, it has the same id."""

    subject: str
    body: str
    message_id: str


@dataclass(frozen=True, slots=True)
class SendResult:
    """Whether a message was taken, and the answer in words."""

    taken: bool
    answer: str


def send(kind: ChannelKind, address: str, message: ChannelMessage) -> SendResult:
    """Send a message; whatever goes wrong is an answer."""
    try:
        result = _SENDERS[kind](address, message)
    except (httpx.HTTPError, smtplib.SMTPException, OSError, ValueError) as error:
        result = SendResult(False, f"{type(error).__name__}: {error}")
    return SendResult(result.taken, _without_secrets(result.answer, address)[:ANSWER_LENGTH])


def check(kind: ChannelKind, address: str) -> str:
    """Return an address as pages show it: without keys, passwords and paths.

    Raises
    ------
    ChannelAddressError
        When a channel of that kind cannot have it.
    """
    parts = urlsplit(address)
    if kind is ChannelKind.APPRISE:
        import apprise

        if apprise.Apprise.instantiate(address) is None:
            raise ChannelAddressError("apprise")
        return f"{parts.scheme}://…"
    wanted = tuple(MAIL_PORTS) if kind is ChannelKind.EMAIL else ("http", "https")
    if parts.scheme not in wanted or not parts.hostname:
        raise ChannelAddressError(kind)
    if kind is ChannelKind.EMAIL:
        to = parse_qs(parts.query).get("to", [])
        if not to or "from" not in parse_qs(parts.query):
            raise ChannelAddressError(kind)
        return f"{', '.join(to)} ({parts.hostname})"
    return f"{parts.scheme}://{parts.hostname}/…"


def cut(text: str, most_bytes: int) -> str:
    """Return a text of at most so many bytes of UTF-8, no sign cut in two; a text that was cut ends in …"""
    whole = text.encode()
    if len(whole) <= most_bytes:
        return text
    return whole[: most_bytes - len("…".encode())].decode(errors="ignore") + "…"


def _without_secrets(answer: str, address: str) -> str:
    parts = urlsplit(address)
    secrets = [address, parts.query, parts.path, parts.password or "", unquote(parts.password or "")]
    secrets += [value for _, value in parse_qsl(parts.query)]
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) > 3:
            answer = answer.replace(secret, "…")
    return answer


def _post(address: str, content: Mapping[str, object], headers: Mapping[str, str] | None = None) -> httpx.Response:
    return httpx.post(address, json=content, headers=headers, timeout=ANSWER_S, follow_redirects=False)


def _webhook(address: str, message: ChannelMessage) -> SendResult:
    answer = _post(
        address,
        {"subject": message.subject, "text": message.body, "id": message.message_id},
        {"webhook-id": message.message_id},
    )
    return SendResult(answer.is_success, f"{answer.status_code} {answer.text}")


def _wecom(address: str, message: ChannelMessage) -> SendResult:
    text = cut(f"{message.subject}\n{message.body}", WECOM_BYTES)
    return _by_errcode(_post(address, {"msgtype": "text", "text": {"content": text}}))


def _dingtalk(address: str, message: ChannelMessage) -> SendResult:
    """Send to 钉钉; `secret=SEC…` in the address signs each call, as a robot with a signature wants it."""
    parts = urlsplit(address)
    known = dict(parse_qsl(parts.query))
    if secret := known.pop("secret", ""):
        stamp = str(round(time.time() * 1000))
        digest = hmac.new(secret.encode(), f"{stamp}\n{secret}".encode(), hashlib.sha256).digest()
        known |= {"timestamp": stamp, "sign": base64.b64encode(digest).decode()}
    text = cut(f"{message.subject}\n{message.body}", DINGTALK_BYTES)
    called = parts._replace(query=urlencode(known, quote_via=quote)).geturl()
    return _by_errcode(_post(called, {"msgtype": "text", "text": {"content": text}}))


def _by_errcode(answer: httpx.Response) -> SendResult:
    """Read the answer of 企业微信 and 钉钉: taken only where `errcode` is 0, whatever the status."""
    try:
        told = answer.json()
        taken = answer.is_success and isinstance(told, dict) and told.get("errcode") == 0
    except ValueError:
        taken = False
    return SendResult(taken, f"{answer.status_code} {answer.text}")


def _email(address: str, message: ChannelMessage) -> SendResult:
    parts, asked = urlsplit(address), parse_qs(urlsplit(address).query)
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = message.subject, asked["from"][0], ", ".join(asked["to"])
    mail.set_content(message.body)
    context = ssl.create_default_context()
    port = parts.port or MAIL_PORTS[parts.scheme]
    encrypted = parts.scheme == "smtps"
    connected = (
        smtplib.SMTP_SSL(parts.hostname or "", port, timeout=ANSWER_S, context=context)
        if encrypted
        else smtplib.SMTP(parts.hostname or "", port, timeout=ANSWER_S)
    )
    with connected as server:
        server.ehlo()
        if not encrypted and server.has_extn("starttls"):
            server.starttls(context=context)
            encrypted = True
        if parts.username:
            if not encrypted:
                raise ValueError("the server offers no encryption, so that no password is sent; use smtps://")
            server.login(unquote(parts.username), unquote(parts.password or ""))
        refused = server.send_message(mail)
    return SendResult(not refused, f"refused: {', '.join(refused)}" if refused else "250")


def _apprise(address: str, message: ChannelMessage) -> SendResult:
    import apprise

    said = _LastWords()
    log = logging.getLogger("apprise")
    log.addHandler(said)
    try:
        channel = apprise.Apprise.instantiate(address)
        taken = bool(channel and channel.notify(title=message.subject, body=message.body))
    finally:
        log.removeHandler(said)
    return SendResult(taken, "ok" if taken else said.text or "refused")


class _LastWords(logging.Handler):
    """The last line that apprise logs: it returns only whether."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.text = record.getMessage()


_SENDERS: Mapping[ChannelKind, Callable[[str, ChannelMessage], SendResult]] = {
    ChannelKind.EMAIL: _email,
    ChannelKind.WEBHOOK: _webhook,
    ChannelKind.WECOM: _wecom,
    ChannelKind.DINGTALK: _dingtalk,
    ChannelKind.APPRISE: _apprise,
}
