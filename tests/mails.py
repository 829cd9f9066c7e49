"""A real SMTP server that keeps the mails it takes."""

from __future__ import annotations

from email import message_from_bytes, policy
from typing import TYPE_CHECKING, NamedTuple, Self

from aiosmtpd.controller import Controller

from prometheus import free_port

if TYPE_CHECKING:
    from email.message import EmailMessage


class Mail(NamedTuple):
    """One that came, as a reader sees it."""

    to: str
    subject: str
    text: str
    html: str


class Mailbox:
    """Inside the `with` it listens on `port`; `mails` is what came."""

    def __init__(self) -> None:
        self.port = free_port()
        self.mails: list[Mail] = []
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(self, _server, _session, envelope) -> str:  # noqa: N802 - as aiosmtpd calls it
        mail: EmailMessage = message_from_bytes(envelope.content, policy=policy.default)  # type: ignore[assignment]
        text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
        self.mails.append(
            Mail(
                ",".join(envelope.rcpt_tos),
                str(mail["Subject"]),
                *(part.get_content().replace("\r\n", "\n") if part else "" for part in (text, html)),
            )
        )
        return "250 OK"

    def to(self, address: str) -> list[Mail]:
        """What came to this address so far."""
        return [mail for mail in self.mails if mail.to == address]

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()
