"""`--alertmanager`: what fires is posted when it begins, while it lasts, and when it is over."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from ledgers import write
from otel_aicost.budgets.window import Window
from otel_aicost.config import server
from otel_aicost.ledger.opening import opener
from otel_aicost.server import watching
from postgres import cluster, database  # noqa: F401 - fixtures
from server.spending import allow, budget, define, spend
from server.world import Pager, ask, served, until

EXCEEDED = "AICostBudgetExceeded"


@pytest.fixture
def ledger(tmp_path):
    return write(tmp_path / "ledger.db")


@pytest.fixture
def pager():
    with Pager() as pager:
        yield pager


def posted(pager, name="day", alertname=EXCEEDED):
    """All that was posted of one budget."""
    alerts = [alert for post in pager.posts for alert in post]
    return [alert for alert in alerts if (alert["labels"]["budget"], alert["labels"]["alertname"]) == (name, alertname)]


def ends_in(alert):
    """Seconds from now to its end."""
    return datetime.fromisoformat(alert["endsAt"]).timestamp() - time.time()


def test_it_is_posted_when_the_call_is_written(ledger, pager):
    """All that fires of that budget in one post to the API, which ends by itself if nobody repeats it."""
    with served(ledger, alertmanagers=(f"{pager.url}/",)):
        one = budget()
        define(ledger, one)
        spend(ledger, one, "9")
        until(lambda: posted(pager, alertname="AICostBudgetThreshold"))
        assert posted(pager) == []
        spend(ledger, one, "1")
        alert = until(lambda: posted(pager))[0]
    assert {path for path, _ in pager.asked} == {"/api/v2/alerts"}
    assert alert["labels"] == {
        "alertname": EXCEEDED, "severity": "critical", "kind": "budget", "budget": "day", "period": "day", "unit": "USD",
    }  # fmt: skip
    assert alert["annotations"]["spend"] == "$10.00"
    assert datetime.fromisoformat(alert["startsAt"]).timestamp() <= time.time()
    assert ends_in(alert) <= 300


def test_what_fires_already_is_posted_at_the_start(ledger, pager):
    """A server that was restarted does not wait for the next call."""
    one = budget()
    define(ledger, one)
    spend(ledger, one, "10")
    with served(ledger, alertmanagers=(pager.url,)):
        until(lambda: posted(pager))


def test_it_is_posted_again_while_it_lasts(ledger, pager, monkeypatch):
    """Alertmanager would take it for resolved otherwise."""
    monkeypatch.setattr(watching, "EVERY_SECONDS", 0.3)
    one = budget(limit=10)
    define(ledger, one)
    spend(ledger, one, "10")
    with served(ledger, alertmanagers=(pager.url,)):
        again = until(lambda: posted(pager)[2:])
    assert len({alert["startsAt"] for alert in posted(pager)}) == 1
    assert all(alert["labels"]["budget"] == "day" for alert in again)


def test_a_raised_limit_resolves_it(ledger, pager):
    """It is posted once more, as over; and again if it is spent again."""
    one = budget(at=("1",))
    define(ledger, one)
    with served(ledger, alertmanagers=(pager.url,)):
        spend(ledger, one, "10")
        until(lambda: posted(pager))
        allow(ledger, one.name, 20)
        until(lambda: ends_in(posted(pager)[-1]) <= 0)
        allow(ledger, one.name, 10)
        until(lambda: ends_in(posted(pager)[-1]) > 0)


def test_the_end_of_the_window_resolves_it(ledger, pager):
    """At that moment by what was posted before, and soon after by a post."""
    one = budget(at=("1",))
    define(ledger, one)
    ends = int(time.time()) + 4
    with served(ledger, alertmanagers=(pager.url,)):
        spend(ledger, one, "10", window=Window("today", ends - 60, ends))
        first = until(lambda: posted(pager))[0]
        assert datetime.fromisoformat(first["endsAt"]).timestamp() == ends
        until(lambda: ends_in(posted(pager)[-1]) <= 0 and len(posted(pager)) > 1)
    assert all(datetime.fromisoformat(alert["endsAt"]).timestamp() <= ends + 20 for alert in posted(pager))


def test_an_alertmanager_that_fails_is_tried_again(ledger, pager, caplog):
    """The tries are counted on the front page and said once, without the password; nothing is lost."""
    pager.status = 503
    address = pager.url.replace("http://", "http://someone:hunter2@")
    one = budget()
    define(ledger, one)
    with served(ledger, alertmanagers=(address,)) as port:
        spend(ledger, one, "10")
        until(lambda: len(pager.asked) >= 2)
        assert pager.posts == []
        pager.status = 200
        until(lambda: posted(pager))
        page = until(lambda: (text := ask(port, "/").text) and "1 posts were taken" in text and text)
    assert f"budget alerts go to {pager.url}: 1 posts were taken, " in page
    assert "0 tries failed" not in page
    assert [record.getMessage() for record in caplog.records if "alerts" in record.getMessage()] == [
        f"budget alerts were not posted and are tried again: {pager.url} answered 503: sorry"
    ]
    assert "hunter2" not in caplog.text
    assert {headers["Authorization"] for _, headers in pager.asked} == {"Basic c29tZW9uZTpodW50ZXIy"}


def test_one_that_is_gone_holds_up_no_other(ledger, pager, caplog):
    """Each has a thread of its own; why the one cannot be reached is said."""
    one = budget()
    define(ledger, one)
    with served(ledger, alertmanagers=("http://someone:hunter2@127.0.0.1:9", pager.url)):
        spend(ledger, one, "10")
        until(lambda: posted(pager))
        until(lambda: "http://127.0.0.1:9 cannot be reached (Connection refused)" in caplog.text)
    assert "hunter2" not in caplog.text


def test_a_ledger_that_comes_later_is_watched_then(tmp_path, pager):
    """The server may have been started before the first call."""
    place = tmp_path / "later.db"
    with served(place, alertmanagers=(pager.url,)):
        time.sleep(0.5)
        one = budget()
        define(place, one)
        spend(place, one, "10")
        until(lambda: posted(pager))


def test_a_ledger_on_a_server_is_watched_as_well(database, tmp_path, pager):  # noqa: F811 - the fixture
    """What a host wrote there is posted by a server on another."""
    place = server(database, tmp_path / "outbox.db")
    opener(place)().close()
    one = budget("fleet")
    define(place, one)
    with served(place, alertmanagers=(pager.url,)) as port:
        assert ask(port, "/readyz").status == 200
        spend(place, one, "10")
        until(lambda: posted(pager, "fleet"))
