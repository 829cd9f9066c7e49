"""Channels: real messages to real servers, what happens to those that do not arrive, and no secret anywhere."""

from __future__ import annotations

import contextvars
import logging
import socket
import sys
import threading
import time

import pytest
from aiosmtpd.controller import Controller
from opentelemetry.instrumentation.utils import is_http_instrumentation_enabled

from otel_aicost.alerts.message import Message, message, trial_alert
from otel_aicost.alerts.settings import Channel, ChannelError
from otel_aicost.observers import channels
from otel_aicost.observers.channels import Sending, send
from webhook import PASSWORD, SECRETS, TOKEN, Webhook

HELLO = message([trial_alert("ops", 1)], "UTC")


@pytest.fixture
def hook():
    with Webhook() as hook:
        yield hook


@pytest.fixture
def everything(caplog):
    """All that is logged, by anybody, down to the last detail."""
    caplog.set_level(1)
    return lambda: "\n".join(f"{entry.name}: {entry.getMessage()}" for entry in caplog.records)


def failing(channel, seconds=10.0):
    with pytest.raises(ChannelError) as raised:
        send(channel, HELLO, seconds)
    said = str(raised.value)
    assert not any(secret in said or secret in repr(raised.value) for secret in SECRETS)
    return said


def test_a_message_arrives(hook):
    """Title and body as they are, and how bad it is in the server's own words."""
    send(Channel("ops", url=hook.url), Message("critical", "A <b>title</b>", "two\nlines & more"))
    (told,) = hook.messages
    assert (told["title"], told["message"], told["type"]) == ("A <b>title</b>", "two\nlines & more", "failure")


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_a_message_that_is_refused_is_an_error(hook, status):
    """With the status, which is no secret."""
    hook.status = status
    assert failing(Channel("ops", url=hook.url)) == f"channel ops: it was not accepted (HTTP {status})"
    assert len(hook.asked) == 1


def test_a_server_that_is_down_is_an_error():
    """Nobody listens."""
    with Webhook() as gone:
        url = gone.url
    assert failing(Channel("ops", url=url)) == "channel ops: it cannot be reached, or does not answer"


def test_a_server_that_is_slow_is_not_waited_for(hook):
    """The message may arrive all the same; until then there is no second one."""
    hook.open.clear()
    channel = Channel("slow", url=hook.url)
    assert failing(channel, 0.3) == "channel slow: it takes too long"
    assert failing(channel, 0.3) == "channel slow: the message before is still on its way"
    assert len(hook.asked) <= 1
    hook.open.set()
    channels._on_their_way["slow"].join()
    send(channel, HELLO)
    assert len(hook.messages) == 2


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"nosuch://{PASSWORD}", "its URL is none that Apprise understands"),
        (f"mailto://{PASSWORD}", "its URL is none that Apprise understands"),
        (f"slack://{TOKEN}", "its URL is none that Apprise understands"),
        ("", "it has no URL"),
    ],
)
def test_a_url_that_is_none_is_an_error(url, said):
    """Without the URL in it."""
    assert failing(Channel("ops", url=url)) == f"channel ops: {said}"


def test_no_log_holds_a_secret(hook, everything):
    """Apprise and the HTTP client write the URL into their debug logs; whichever way it ends, nobody sees it."""
    channel = Channel("ops", url=hook.url)
    send(channel, HELLO)
    for status in (500, 404):
        hook.status = status
        failing(channel)
    failing(Channel("ops", url=f"json://user:{PASSWORD}@127.0.0.1:9/{TOKEN}"))
    failing(Channel("ops", url=f"mailto://me:{PASSWORD}@127.0.0.1:9?to=a@example.com&from=b@example.com"))
    failing(Channel("ops", url=f"slack://{TOKEN}/{PASSWORD}"))
    assert not any(secret in everything() for secret in SECRETS)
    assert len(hook.asked) == 3
    assert any(header.get("Authorization", "").startswith("Basic ") for header in hook.asked)


def test_the_application_hears_its_own_messages(everything):
    """What it sends itself with the same libraries is logged as before."""
    with Webhook() as hook:
        send(Channel("ops", url=hook.url), HELLO)
        logging.getLogger("apprise").warning("mine")
        logging.getLogger("urllib3.connectionpool").debug("mine too")
    assert "apprise: mine" in everything()
    assert "urllib3.connectionpool: mine too" in everything()


def test_no_span_is_made_of_a_message(hook, monkeypatch):
    """An instrumentation of the HTTP client would put the URL into a span."""
    import requests

    seen = []
    original = requests.Session.send

    def send_(self, request, **options):
        seen.append(is_http_instrumentation_enabled())
        return original(self, request, **options)

    monkeypatch.setattr(requests.Session, "send", send_)
    send(Channel("ops", url=hook.url), HELLO)
    assert seen == [False]
    assert contextvars.copy_context().run(is_http_instrumentation_enabled)


def test_without_apprise_it_says_what_to_install(monkeypatch):
    """The package is an extra."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    said = failing(Channel("ops", url="json://127.0.0.1"))
    assert said == "channel ops: the package apprise is missing: pip install 'otel-aicost[alerts]'"


def test_an_error_of_a_library_does_not_tell_the_url(monkeypatch):
    """Exceptions hold what they failed with."""

    def fail(*_):
        raise ValueError(PASSWORD)

    monkeypatch.setattr(channels, "_notify", fail)
    assert failing(Channel("ops", url="json://x")) == "channel ops: it cannot be sent (ValueError)"


class Mailbox:
    def __init__(self):
        self.envelopes = []

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802 - as aiosmtpd calls it
        self.envelopes.append(envelope)
        return "250 OK"


def test_a_mail_arrives():
    """Over SMTP, with the title as its subject."""
    box = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    try:
        url = f"mailto://127.0.0.1:{port}?from=aicost@example.com&to=ops@example.com"
        send(Channel("mail", url=url), Message("warning", "Budget b is used up", "one\ntwo"))
    finally:
        server.stop()
    (mail,) = box.envelopes
    assert (mail.mail_from, mail.rcpt_tos) == ("aicost@example.com", ["ops@example.com"])
    text = mail.content.decode()
    assert "Subject: Budget b is used up" in text
    assert text.endswith("\r\none\r\ntwo\r\n")


def test_a_message_is_sent_in_a_thread_that_ends_nothing(hook):
    """A thread that hangs must not keep the process."""
    sending = Sending(Channel("ops", url=hook.url), HELLO)
    sending.start()
    assert sending._thread.daemon
    sending.wait(time.monotonic() + 10)
    assert not [each for each in threading.enumerate() if "ThreadPoolExecutor" in each.name]
