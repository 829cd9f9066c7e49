"""When prices are stale, and what is said then."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from otel_aicost import config
from otel_aicost.alerts.settings import AlertSettings
from otel_aicost.budgets.budget import Plan
from otel_aicost.prices.catalogue import Catalogue
from otel_aicost.prices.staleness import say_stale, stale

FILE = """
schema: 1
models:
  - {provider: openai, model: old, checked: 2026-01-02, periods: [{from: 2026-01-01, rates: [RATE]}]}
  - {provider: openai, model: never, periods: [{from: 2026-01-01, rates: [RATE]}]}
  - {provider: openai, model: free, checked: 2025-01-02, periods: [{from: 2026-01-01, free: true}]}
  - {provider: openai, model: fresh, checked: 2026-02-01, periods: [{from: 2026-01-01, rates: [RATE]}]}
""".replace("RATE", '{meter: input_tokens, price: "1.00", per: 1_000_000}')


@pytest.fixture(scope="module")
def catalogue():
    return Catalogue.load()


def test_each_list_is_stale_after_so_many_days(catalogue):
    """On the last day it is not, a day later it is, with its age and what to do."""
    made = catalogue.made()
    for source, words in (("genai-prices", "`aicost prices update`"), ("supplement", "upgrade otel-aicost")):
        last = made[source] + timedelta(days=30)
        assert not any(words in told for told in stale(catalogue, 30, last))
        (told,) = (told for told in stale(catalogue, 30, last + timedelta(days=1)) if words in told)
        assert "31 days" in told
        assert str(made[source]) in told


def test_entries_of_the_users_file_are_stale_one_by_one(tmp_path):
    """Those without a date, and those of the past or free, are not counted."""
    path = tmp_path / "prices.yaml"
    path.write_text(FILE)
    told = [each for each in stale(Catalogue.load(path), 30, date(2026, 2, 2)) if "your file" in each]
    assert len(told) == 1
    assert told[0].startswith(
        "1 of the prices in your file were last checked more than 30 days ago, the oldest on 2026-01-02"
    )
    assert told[0].endswith("`aicost prices verify`")
    assert not any("your file" in each for each in stale(Catalogue.load(path), 30, date(2026, 2, 1)))


def test_nobody_is_told_who_does_not_want_to_be(catalogue, monkeypatch):
    """Never is never; the threshold is that of the file, 30 days without one."""
    monkeypatch.delenv("OTEL_AICOST_STALE_DAYS")
    assert stale(catalogue, None, date(2999, 1, 1)) == []
    assert config.stale_days(Plan()) == 30
    assert config.stale_days(Plan(alerts=AlertSettings(stale_days=60))) == 60
    assert config.stale_days(Plan(alerts=AlertSettings(stale_days=None))) is None


@pytest.mark.parametrize(("told", "days"), [("60", 60), ("0", None), ("", 5), ("soon", 5)])
def test_the_variable_wins_over_the_file(told, days, tmp_path):
    """For the log, the command and the metric, and for the alerts of the file; what is no number is left out."""
    file = tmp_path / "aicost.yaml"
    file.write_text("alerts: {stale_prices: 5d}")
    settings, mistakes = config.load({"OTEL_AICOST_CONFIG": str(file), "OTEL_AICOST_STALE_DAYS": told})
    assert len(mistakes) == (told == "soon")
    plan, _ = config.load_budgets(settings)
    assert config.stale_days(plan, settings) == days
    assert plan.alerts.stale_days == days


def test_the_log_tells_of_it_once(catalogue, caplog):
    """However often prices are loaded."""
    for _ in range(3):
        say_stale(catalogue, -10_000)
    (row,) = caplog.records
    assert row.levelname == "WARNING"
    assert "the prices of genai-prices are " in row.getMessage()
    assert "upgrade otel-aicost" in row.getMessage()
