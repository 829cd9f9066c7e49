"""Ledgers of these tests, and collectors that are closed at the end."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing

import pytest

from exporter.scraped import scrape
from otel_aicost.budgets.budget import Plan
from otel_aicost.exporter.collector import LedgerCollector

NO_PLAN = Plan()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.db"


@pytest.fixture
def collector():
    """Make a collector; the clock may be given as a function, or as a moment that stands still."""
    made = []

    def make(ledger, plan=NO_PLAN, *, now=time.time_ns, **more):
        clock = now if callable(now) else lambda: now
        one = LedgerCollector(ledger, lambda: plan, now_ns=clock, **more)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


@pytest.fixture
def scraped(collector):
    """Scrape a ledger once."""

    def once(ledger, plan=NO_PLAN, **more):
        return scrape(collector(ledger, plan, **more))

    return once


@pytest.fixture
def sql(path):
    """Ask the ledger's file."""

    def ask(statement, *parameters):
        with closing(sqlite3.connect(path)) as connection:
            return connection.execute(statement, parameters).fetchall()

    return ask
