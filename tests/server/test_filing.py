"""`POST /alerts/alertmanager`: what Alertmanager tells of is in the ledger, once, next to our own alerts."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import pytest

from alerts.raised import NOW, TODAY, reached
from ledgers import write
from otel_aicost.alerts.alert import STATES
from otel_aicost.alerts.settings import Channel
from otel_aicost.budgets.window import Window
from otel_aicost.ledger import deliveries
from otel_aicost.ledger.alerts import Which, list_alerts, raise_alert, set_state
from otel_aicost.ledger.opening import looking
from otel_aicost.ledger.store import FileStore
from otel_aicost.server.filing import LARGEST
from server.notifications import STARTED, notification, one
from server.world import ask, served

PATH = "/alerts/alertmanager"
YESTERDAY = Window("2026-11-20", TODAY.start - 86_400, TODAY.start)


@pytest.fixture
def ledger(tmp_path):
    return write(tmp_path / "ledger.db")


@pytest.fixture
def port(ledger):
    with served(ledger) as port:
        yield port


def post(port, body, **headers):
    return ask(port, PATH, "POST", body, **{"Content_Type": "application/json", **headers})


def rows(ledger):
    with looking(ledger) as connection:
        return list_alerts(connection, Which(STATES))


def raise_own(ledger, *own):
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        for row in own:
            raise_alert(connection, row)


def test_an_alert_is_filed_as_it_is(port, ledger):
    """Name, severity, sentence, time, budget and key are columns; labels, annotations and links are its details."""
    answer = post(port, notification(one("AICostBudgetForecast", budget="user-day", key="alice", severity="critical")))
    assert (answer.status, json.loads(answer.body)) == (200, {"alerts": 1, "new": 1})
    (row,) = rows(ledger)
    assert (row.kind, row.severity, row.title, row.state, row.source) == (
        "AICostBudgetForecast", "critical", "Calls are slow", "unread", "alertmanager",
    )  # fmt: skip
    assert (row.budget, row.key, row.at_ns) == ("user-day", "alice", NOW + 4_351_000_000)
    assert json.loads(row.details) == {
        "labels": {"alertname": "AICostBudgetForecast", "severity": "critical", "budget": "user-day", "key": "alice"},
        "annotations": {"summary": "Calls are slow", "runbook_url": "https://example.com/runbook"},
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up&g0.tab=1",
        "startsAt": STARTED,
        "endsAt": None,
    }


def test_it_is_filed_once(port, ledger):
    """Alertmanager repeats itself, and two of them say the same; one that fires anew is another alert."""
    for _ in range(2):
        post(port, notification(one(), one("Other", fingerprint="0b")))
    assert sorted(row.kind for row in rows(ledger)) == ["HighLatency", "Other"]
    answer = post(port, notification(one(starts="2026-11-22T08:00:00+01:00")))
    assert json.loads(answer.body)["new"] == 1
    assert len(rows(ledger)) == 3


def test_it_is_resolved_for_good(port, ledger):
    """With the time it ended; a late message that it fires changes nothing."""
    for status in ("firing", "resolved", "firing"):
        post(port, notification(one(status=status)))
    (row,) = rows(ledger)
    assert row.state == "resolved"
    assert row.state_at_ns is not None
    assert json.loads(row.details)["endsAt"] == "2026-11-21T10:20:04.351Z"


def test_one_that_is_over_before_it_was_heard_of_is_filed_as_resolved(port, ledger):
    """As after an outage of this server."""
    post(port, notification(one(status="resolved")))
    assert [row.state for row in rows(ledger)] == ["resolved"]


def test_what_was_read_stays_read(port, ledger):
    """Alertmanager repeats an alert that someone has read here."""
    post(port, notification(one()))
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        set_state(connection, None, "read", NOW)
    post(port, notification(one()))
    assert [row.state for row in rows(ledger)] == ["read"]


@pytest.mark.parametrize(
    ("labels", "severity"),
    [({"severity": "CRITICAL"}, "critical"), ({"severity": "page"}, "warning"), ({"severity": ""}, "warning")],
)
def test_a_severity_that_is_not_ours_is_a_warning(port, ledger, labels, severity):
    """Whatever others call their severities."""
    post(port, notification(one(**labels)))
    assert [row.severity for row in rows(ledger)] == [severity]


def test_a_sentence_is_one_line_without_control_characters(port, ledger):
    """It is shown in a terminal."""
    post(port, notification(one(summary="a\n b\x1b[31m")))
    assert [row.title for row in rows(ledger)] == ["a b\N{REPLACEMENT CHARACTER}[31m"]


def budget_alert(alertname="AICostBudgetExceeded", **changes):
    given = {"kind": "budget", "budget": "user-day", "key": "alice", "period": "day", "unit": "USD", **changes}
    return one(alertname, **given)


def test_our_own_alert_is_not_doubled(port, ledger):
    """Whether the rules in Prometheus raised it or it was posted: it stands for the row of the same window."""
    raise_own(ledger, reached("0.5"), reached("0.8"), reached("1"))
    told = [budget_alert(), budget_alert("AICostBudgetThreshold", threshold="0.8")]
    assert json.loads(post(port, notification(*told)).body) == {"alerts": 2, "new": 0}
    assert {row.source for row in rows(ledger)} == {"aicost"}
    post(port, notification(budget_alert("AICostBudgetThreshold", threshold="0.8", status="resolved")))
    assert {json.loads(row.details)["share"]: row.state for row in rows(ledger)} == {
        "0.5": "unread", "0.8": "resolved", "1": "unread",
    }  # fmt: skip


def test_a_threshold_that_was_passed_over_is_not_filed(port, ledger):
    """One call went from nothing beyond the limit: we told of the limit only, and that says more."""
    raise_own(ledger, reached("1"))
    told = [budget_alert("AICostBudgetThreshold", threshold=share) for share in ("0.5", "0.8")]
    assert json.loads(post(port, notification(*told)).body)["new"] == 0
    post(port, notification(*[{**each, "status": "resolved"} for each in told]))
    assert [row.state for row in rows(ledger)] == ["unread"]
    higher = budget_alert("AICostBudgetThreshold", threshold="1.2")
    assert json.loads(post(port, notification(higher)).body)["new"] == 1


@pytest.mark.parametrize(
    "told",
    [
        budget_alert(key="bob"),
        budget_alert(budget="other"),
        budget_alert("AICostBudgetThreshold"),
        budget_alert("AICostBudgetForecast"),
        budget_alert("AICostBudgetThreshold", threshold="0.5", key="bob"),
        budget_alert(starts="2026-11-21T23:00:00Z"),
    ],
    ids=["key", "budget", "no threshold", "kind", "threshold of another", "next window"],
)
def test_what_stands_for_none_of_ours_is_filed(port, ledger, told):
    """Another key, budget, kind or window."""
    raise_own(ledger, reached("0.8"), reached("1"))
    assert json.loads(post(port, notification(told)).body)["new"] == 1


def test_the_window_that_held_the_alert_is_found(port, ledger):
    """Late news of yesterday's does not resolve what was raised today."""
    today = replace(reached("1"), at_ns=NOW)
    yesterday = replace(reached("1", window=YESTERDAY), at_ns=NOW - 86_400 * 10**9)
    raise_own(ledger, yesterday, today)
    post(port, notification(budget_alert(status="resolved", starts="2026-11-20T10:00:05Z")))
    assert {row.id: row.state for row in rows(ledger)} == {yesterday.id: "resolved", today.id: "unread"}


def test_a_budget_for_all_has_no_key(port, ledger):
    """Prometheus has no label where ours is empty."""
    raise_own(ledger, reached("1", key=""))
    told = budget_alert()
    del told["labels"]["key"]
    assert json.loads(post(port, notification(told)).body)["new"] == 0


def test_our_channels_do_not_send_what_alertmanager_has_sent(port, ledger):
    """It would arrive twice."""
    raise_own(ledger, replace(reached("1"), at_ns=NOW))
    post(port, notification(one(severity="critical")))
    channel = Channel("ops", "info", url="json://localhost")
    with closing(FileStore(ledger)) as store, store.transaction() as connection:
        assert deliveries.enqueue(connection, [channel], NOW) == 1


WRONG = {
    "no JSON": (b"{", "no JSON"),
    "no object": (b"[]", "the body: [] is not of type 'object'"),
    "deep": (b"[" * 100_000, "no JSON"),
    "version": (notification(version="5"), "version: '4' was expected"),
    "no alerts": (notification(alerts=None), "alerts: None is not of type 'array'"),
    "no name": (notification({**one(), "labels": {}}), "alerts[0].labels: 'alertname' is a required property"),
    "status": (notification(one(status="asleep")), "alerts[0].status: 'asleep' is not one of ['firing', 'resolved']"),
    "time": (notification(one(), one(starts="soon")), "alerts[1].startsAt: 'soon' is no time such as"),
    "old": (notification(one(starts="0001-01-01T00:00:00Z")), "alerts[0].startsAt"),
    "label": (notification(one(budget=3)), "alerts[0].labels.budget: 3 is not of type 'string'"),
    "fingerprint": (notification(one(fingerprint="x y")), "alerts[0].fingerprint"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_body_is_refused_with_the_reason(port, ledger, body, said):
    """400, the place and what is wrong there; nothing of it is filed."""
    answer = post(port, body)
    assert answer.status == 400
    assert said in answer.text
    assert answer.text.count("\n") == 1
    assert rows(ledger) == []


def test_a_body_is_not_too_large(port, ledger):
    """413 from a megabyte on, told by its length or found while it is read."""
    large = notification(one(summary="x" * LARGEST))
    assert post(port, large).status == 413
    chunks = (large[start : start + 65_536] for start in range(0, len(large), 65_536))
    assert post(port, chunks).status == 413
    assert post(port, notification(one(summary="x" * (LARGEST - 2000)))).status == 200


def test_a_form_in_a_browser_cannot_file(port):
    """Only what is sent as JSON is read: a page elsewhere cannot send that unasked."""
    assert post(port, notification(one()), Content_Type="text/plain").status == 415
    assert ask(port, PATH).status == 405


def test_a_ledger_that_cannot_be_written_has_alertmanager_try_again(tmp_path, ledger, port):
    """503 while there is none, or it is damaged; the same notification is filed later."""
    kept = ledger.rename(tmp_path / "kept.db")
    answer = post(port, notification(one()))
    assert answer.status == 503
    assert "there is no ledger" in answer.text
    kept.rename(ledger)
    assert post(port, notification(one())).status == 200
    assert len(rows(ledger)) == 1


def test_all_of_a_notification_is_filed_or_nothing(port, ledger):
    """A row that the database refuses takes the others with it."""
    with closing(FileStore(ledger)) as store:
        store.connection.execute(
            "CREATE TRIGGER no BEFORE INSERT ON alerts WHEN NEW.kind = 'Bad' BEGIN SELECT RAISE(FAIL, 'full'); END"
        )
    assert post(port, notification(one(), one("Bad", fingerprint="0b"))).status >= 500
    assert rows(ledger) == []
