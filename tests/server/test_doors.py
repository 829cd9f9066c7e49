"""Who is let in, what the pages say, and what they do not say."""

from __future__ import annotations

import pytest

from ledgers import write
from otel_aicost.config import server
from server.notifications import notification
from server.world import ask, served

TOKEN = "right-horse"
SECRET = "hunter2"


@pytest.fixture
def ledger(tmp_path):
    return write(tmp_path / "ledger.db")


@pytest.fixture
def guarded(ledger):
    with served(ledger, token=TOKEN) as port:
        yield port


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        TOKEN,
        f"Basic {TOKEN}",
        "Bearer",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        "Bearer right-horsÃ©",
        f"Bearer {TOKEN[:-1]}",
    ],
)
def test_without_the_token_nothing_is_told(guarded, given):
    """401 for every page but the health of the server, with what to send."""
    headers = {} if given is None else {"Authorization": given}
    for method, path in (("GET", "/metrics"), ("GET", "/"), ("POST", "/alerts/alertmanager"), ("GET", "/nothing")):
        answer = ask(guarded, path, method, **headers)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == 'Bearer realm="aicost"'
        assert TOKEN not in answer.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_opens(guarded, scheme):
    """As Prometheus and Alertmanager send it."""
    headers = {"Authorization": f"{scheme} {TOKEN}"}
    assert ask(guarded, "/metrics", **headers).status == 200
    assert ask(guarded, "/", **headers).status == 200
    filed = ask(guarded, "/alerts/alertmanager", "POST", notification(), Content_Type="application/json", **headers)
    assert filed.status == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_needs_no_token(guarded, path):
    """An orchestrator knows none."""
    assert ask(guarded, path).text == "ok\n"


def test_ready_is_who_can_read_the_ledger(tmp_path, ledger):
    """503 with one line that says what to do while there is none, it is no ledger, or it is damaged."""
    place = tmp_path / "later.db"
    with served(place) as port:
        assert ask(port, "/healthz").status == 200
        said = {}
        for what, content in {"missing": None, "other": b"text\n" * 100, "empty": b""}.items():
            if content is not None:
                place.write_bytes(content)
            answer = ask(port, "/readyz")
            assert answer.status == 503
            assert answer.text.count("\n") == 1
            said[what] = answer.text
        place.unlink()
        ledger.rename(place)
        assert ask(port, "/readyz").status == 200
    assert said["missing"].startswith(
        f"there is no ledger at {place}. The first call of an instrumented program makes it"
    )
    assert said["other"] == f"the ledger {place} cannot be read: file is not a database\n"
    assert "is an empty database; the first call of an instrumented program makes it a ledger" in said["empty"]


def test_no_page_shows_a_secret(tmp_path):
    """Addresses of a server and of Alertmanager are shown without user, password and options."""
    place = server(f"postgresql://someone:{SECRET}@127.0.0.1:1/costs?sslpassword={SECRET}", tmp_path / "outbox.db")
    with served(place, alertmanagers=(f"http://someone:{SECRET}@127.0.0.1:9/am",), token=SECRET) as port:
        front = ask(port, "/", Authorization=f"Bearer {SECRET}")
        ready = ask(port, "/readyz")
    assert front.status == 200
    assert "postgresql://127.0.0.1:1/costs" in front.text
    assert "http://127.0.0.1:9/am" in front.text
    assert ready.status == 503
    assert "postgresql://127.0.0.1:1/costs cannot be reached" in ready.text
    for page in (front.text, ready.text):
        assert SECRET not in page
        assert "someone" not in page


def test_the_front_page_leads_to_the_others(tmp_path):
    """Each of its links is there; a path with signs of HTML in it is text."""
    ledger = write(tmp_path / "<b>.db")
    with served(ledger) as port:
        page = ask(port, "/")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        for link in ("metrics", "healthz", "readyz"):
            assert f'<a href="{link}">' in page.text
            assert ask(port, f"/{link}").status == 200
    assert "&lt;b&gt;.db" in page.text


def test_nothing_else_is_there(guarded, ledger):
    """No other page, and no other method."""
    with served(ledger) as port:
        assert ask(port, "/docs").status == 404
        assert ask(port, "/metrics", "POST", b"").status == 405
