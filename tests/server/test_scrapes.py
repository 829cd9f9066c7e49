"""`GET /metrics`: the formats, and that many scrapers are one reader of the ledger."""

from __future__ import annotations

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector

from ledgers import sample, write
from otel_aicost.exporter.collector import registry
from server.world import ask, served, until

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
CREATED = 1_795_255_200.5


class Slow(Collector):
    """Counts its looks; each waits until the gate is open, or fails."""

    def __init__(self):
        self.looks = 0
        self.at_once = 0
        self.most_at_once = 0
        self.gate = threading.Event()
        self.fails = False

    def describe(self):
        return []

    def collect(self):
        self.looks += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            assert self.gate.wait(20)
            if self.fails:
                msg = "no such table"
                raise ValueError(msg)
            family = CounterMetricFamily("looks", "So many looks.", labels=("who",))
            family.add_metric(("me",), self.looks, created=CREATED)
            yield family
        finally:
            self.at_once -= 1


@pytest.fixture
def slow():
    slow = Slow()
    yield slow
    slow.gate.set()


@pytest.fixture
def port(slow, tmp_path):
    made = CollectorRegistry()
    made.register(slow)
    with served(tmp_path / "none.db", made) as port:
        yield port
        slow.gate.set()


def test_a_ledger_is_served_in_both_formats(tmp_path):
    """Both formats, each as its own parser reads it, say the same of a real ledger."""
    ledger = write(tmp_path / "ledger.db", *sample())
    with served(ledger, registry(ledger)) as port:
        text, openmetrics = (ask(port, "/metrics", Accept=accept) for accept in ("text/plain", OPENMETRICS))
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    found = [
        {sample.name: sample.value for family in families for sample in family.samples}
        for families in (parse_text(text.text), parse_openmetrics(openmetrics.text))
    ]
    assert found[0]["aicost_ledger_up"] == found[1]["aicost_ledger_up"] == 1
    assert found[0]["aicost_ledger_calls"] == found[1]["aicost_ledger_calls"] == 10


def test_only_openmetrics_says_since_when(port, slow):
    """The text format has no place for it but series of their own; one look at the ledger serves both formats."""
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, port, "/metrics", Accept=accept) for accept in ("text/plain", OPENMETRICS)]
        until(lambda: slow.looks)
        time.sleep(0.3)  # for the second to be there; that it comes too late is no failure of what follows
        slow.gate.set()
        text, openmetrics = (each.result().text for each in asked)
    assert "_created" not in text
    assert "looks_created" in openmetrics


def test_it_is_compressed_when_asked_for(port, slow):
    """Prometheus asks for gzip; others need not understand it."""
    slow.gate.set()
    packed = ask(port, "/metrics", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    assert b"looks_total" in gzip.decompress(packed.body)
    plain = ask(port, "/metrics")
    assert "content-encoding" not in plain.headers
    assert b"looks_total" in plain.body


def test_scrapers_at_once_share_one_look(port, slow):
    """Eight come while the ledger is read: it is read once, for all; who comes later gets news."""
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, port, "/metrics") for _ in range(8)]
        until(lambda: slow.looks)
        assert ask(port, "/healthz").status == 200  # the server itself does not wait
        until(lambda: sum(each.running() for each in asked) == 8)
        time.sleep(0.3)
        slow.gate.set()
        answers = [each.result() for each in asked]
    assert {answer.status for answer in answers} == {200}
    assert slow.most_at_once == 1
    shared = slow.looks
    assert ask(port, "/metrics").text.count(f'looks_total{{who="me"}} {shared + 1}.0') == 1


def test_a_scraper_hears_in_its_own_time(port, slow):
    """503 shortly before its patience ends; what is read meanwhile goes to the next one who asks."""
    began = time.monotonic()
    answer = ask(port, "/metrics", X_Prometheus_Scrape_Timeout_Seconds="0.4")
    assert answer.status == 503
    assert answer.text == "the ledger was not read within 0.4 s; raise scrape_timeout\n"
    assert time.monotonic() - began < 20
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(ask, port, "/metrics")
        time.sleep(0.2)
        slow.gate.set()
        assert second.result().status == 200
    assert slow.most_at_once == 1


@pytest.mark.parametrize("said", ["soon", "-1", "nan", "inf", ""])
def test_a_timeout_that_is_none_is_passed_over(port, slow, said):
    """Whoever sends nonsense gets the metrics all the same."""
    slow.gate.set()
    assert ask(port, "/metrics", X_Prometheus_Scrape_Timeout_Seconds=said).status == 200


def test_a_collector_that_fails_is_an_error_of_that_scrape(port, slow, caplog):
    """500 without the details, which are logged; the next scrape is a new try."""
    slow.gate.set()
    slow.fails = True
    answer = ask(port, "/metrics")
    assert (answer.status, "no such table" in answer.text) == (500, False)
    assert "no such table" in caplog.text
    slow.fails = False
    assert ask(port, "/metrics").status == 200


def test_a_ledger_that_is_not_there_is_down_and_not_zero(tmp_path):
    """200 with `aicost_ledger_up 0`, and no money."""
    place = tmp_path / "none.db"
    with served(place, registry(place)) as port:
        page = ask(port, "/metrics")
    assert page.status == 200
    assert "aicost_ledger_up 0.0" in page.text
    assert "aicost_cost_usd" not in page.text
