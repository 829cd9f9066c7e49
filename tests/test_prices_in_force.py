"""Fetched prices in an instrumented process: taken without a restart, and said when they are stale."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from decimal import Decimal

import pytest

import otel_aicost
import pricelists
from otel_aicost import instrumentor, pipeline
from otel_aicost.config import Settings
from otel_aicost.prices import update

USAGE = {"input_tokens": 1_000_000}


@pytest.fixture
def settings(tmp_path):
    return Settings(ledger=None, price_data=tmp_path / "prices", config=None)


def store(settings, price):
    """What `aicost prices update` does, with gpt-4o at another price."""
    data = pricelists.published()
    pricelists.model(data, "openai", "gpt-4o")["prices"]["input_mtok"] = price
    now_ns = time.time_ns()
    update.install(settings.price_data, update.read(pricelists.raw(data), "data.json", now_ns), now_ns)


def recorded():
    return otel_aicost.record("openai", "gpt-4o", USAGE).cost


@pytest.fixture
def started(settings):
    yield lambda: instrumentor.start(settings)
    instrumentor.stop()


def test_a_program_starts_with_the_prices_that_were_fetched(settings, started):
    """Its costs name them."""
    store(settings, 7)
    started()
    found = recorded()
    assert found.total == 7
    assert found.catalogue.split()[2:3] == ["of"]


def test_a_running_program_takes_newer_prices(settings, started, monkeypatch):
    """With a call that comes a while after they were stored; calls before it had the old ones."""
    running = started()
    assert recorded().total == Decimal("2.5")
    store(settings, 7)
    assert recorded().total == Decimal("2.5")
    monkeypatch.setattr(running, "_renew_at", 0.0)
    recorded()
    assert running.settle(30)
    assert recorded().total == 7
    assert running._renew_at > time.monotonic() + pipeline.RENEW_SECONDS - 10


def test_without_anything_new_the_prices_stay_as_they_are(settings, started, monkeypatch):
    """Nothing is loaded again."""
    running = started()
    recorded()
    before = running.warm()
    monkeypatch.setattr(running, "_renew_at", 0.0)
    recorded()
    assert running.settle(30)
    assert running.warm() is before


def test_stale_prices_are_said_once_in_the_log(settings, caplog):
    """However often they are loaded; not at all where the user does not want to be told."""
    instrumentor.load_prices(settings, stale_days=-10_000)
    instrumentor.load_prices(settings, stale_days=-10_000)
    assert [row.getMessage().split(":")[0] for row in caplog.records] == ["otel-aicost"]
    assert "`aicost prices update`" in caplog.text
    caplog.clear()
    instrumentor.load_prices(settings, stale_days=None)
    assert not caplog.records


def test_an_instrumented_process_imports_nothing_of_the_command(settings):
    """Reading fetched prices needs neither the network nor what only the command does."""
    store(settings, 7)
    code = """
        import sys, time
        from pathlib import Path
        from otel_aicost.prices.catalogue import Catalogue
        found = Catalogue.load(updates=Path(sys.argv[1])).price("openai", ("gpt-4o",), {"input_tokens": 10**6}, {}, time.time_ns())
        assert found.total == 7, found
        banned = {"requests", "click", "sqlalchemy", "rich", "otel_aicost.prices.update"} & set(sys.modules)
        assert not banned, banned
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(settings.price_data)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
