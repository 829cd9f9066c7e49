"""Sending a message to a channel, through Apprise, within a time, and without a word of its URL anywhere.

The URL of a channel holds passwords and tokens. Apprise, and the HTTP client it uses, write them into their debug
logs, and instrumentations of HTTP clients into spans; what happens while a message is sent is kept out of both. Of what
Apprise says only the kind is passed on.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.instrumentation.utils import suppress_instrumentation

from otel_aicost.alerts.settings import Channel, ChannelError

if TYPE_CHECKING:
    from apprise import Apprise

    from otel_aicost.alerts.message import Message

SECONDS: Final = 20.0
"""The longest a message may take."""
LOGGERS: Final = frozenset(
    {"apprise", "urllib3", "requests", "requests_oauthlib", "oauthlib", "httpx", "httpcore", "slixmpp", "paho"}
)
"""Whose loggers are silent while a message is sent, with all below them."""
_STATUS: Final = re.compile(r"\berror=([1-5]\d\d)\b")
_TYPES: Final = {"info": "info", "warning": "warning", "critical": "failure"}
_MISSING: Final = "the package apprise is missing: pip install 'otel-aicost[alerts]'"


class Sending:
    """A message on its way, in a thread of its own: nobody waits for it longer than he wants to."""

    def __init__(self, channel: Channel, message: Message) -> None:
        self.channel = channel
        self._message = message
        self._error: str | None = "it takes too long"
        self._thread = threading.Thread(target=self._run, name="aicost-alert", daemon=True)

    def start(self) -> None:
        """Send it, unless the one before is still on its way."""
        before = _on_their_way.get(self.channel.name)
        if before is not None and before.is_alive():
            self._error = "the message before is still on its way"
            return
        try:
            self._thread.start()
        except RuntimeError:
            self._error = "the interpreter is shutting down"
        else:
            _on_their_way[self.channel.name] = self._thread

    def wait(self, until: float) -> None:
        """Wait until it has arrived, at most until `until` (monotonic). Raises `ChannelError` if it has not."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, until - time.monotonic()))
        if self._error is not None:
            msg = f"channel {self.channel.name}: {self._error}"
            raise ChannelError(msg)

    def _run(self) -> None:
        try:
            with suppress_instrumentation():
                self._error = _notify(self.channel, self._message)
        except ChannelError as error:
            self._error = str(error).removeprefix(f"channel {self.channel.name}: ")
        except Exception as error:  # noqa: BLE001 - its text may hold the URL
            self._error = f"it cannot be sent ({type(error).__name__})"


def send(channel: Channel, message: Message, seconds: float = SECONDS) -> None:
    """Send a message now. Raises `ChannelError`, which names the channel and what happened."""
    sending = Sending(channel, message)
    sending.start()
    sending.wait(time.monotonic() + seconds)


def _notify(channel: Channel, message: Message) -> str | None:
    """Why it was not sent; `None`: it was."""
    url = channel.address()
    hush = _Hush()
    token = _hush.set(hush)
    _quieten()
    try:
        with _importing:
            apprise = _server(url)
        if apprise is None:
            return "its URL is none that Apprise understands"
        _quieten()
        kind = _TYPES[message.severity]
        done = apprise.notify(message.body, message.title, notify_type=kind, body_format="text")
        return None if done else hush.heard
    finally:
        _hush.reset(token)


def _server(url: str) -> Apprise | None:
    """What sends to a URL; `None` where the URL is none. This imports all that it takes."""
    try:
        from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - nowhere else
    except ImportError as error:
        raise ChannelError(_MISSING) from error
    # Newer ones have a pool of threads that outlives a time-out, and that the end of the process would wait for.
    options: dict[str, Any] = {"service_timeout": 0} if hasattr(AppriseAsset, "_service_timeout") else {}
    apprise = Apprise(asset=AppriseAsset(app_id="otel-aicost", app_desc="otel-aicost", **options))
    server = Apprise.instantiate(url, asset=apprise.asset, suppress_exceptions=True)
    return apprise if server is not None and apprise.add(server) else None


class _Hush:
    """What the libraries said while one message was sent: the kind of it."""

    def __init__(self) -> None:
        self.heard = "it was not accepted"

    def hear(self, record: logging.LogRecord) -> None:
        if record.levelno < logging.WARNING:
            return
        text = record.getMessage()
        status = _STATUS.search(text)
        if status is not None:
            self.heard = f"it was not accepted (HTTP {status[1]})"
        elif "connection error" in text.lower():
            self.heard = "it cannot be reached, or does not answer"


def _filter(record: logging.LogRecord) -> bool:
    hush = _hush.get()
    if hush is None:
        return True
    hush.hear(record)
    return False


def _quieten() -> None:
    """Filter every logger of these libraries there is by now; for the application they go on as before."""
    for name in (*LOGGERS, "urllib3.connectionpool", *logging.root.manager.loggerDict):
        if name.partition(".")[0] in LOGGERS:
            logging.getLogger(name).addFilter(_filter)  # once: a filter that is there is not added again


# A variable of the context, as Apprise may hand the work to threads of its own, with their context.
_hush: ContextVar[_Hush | None] = ContextVar("aicost_hush", default=None)
_on_their_way: dict[str, threading.Thread] = {}

_importing = threading.Lock()
if hasattr(os, "register_at_fork"):
    # A child forked in the middle of an import would find that module locked for ever.
    os.register_at_fork(
        before=_importing.acquire, after_in_parent=_importing.release, after_in_child=_importing.release
    )
