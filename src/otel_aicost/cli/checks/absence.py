"""Why a call might not show, or has no cost: the switches that hide calls, and what the ledger tells."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from otel_aicost import config, names
from otel_aicost.cli.checks import Section
from otel_aicost.ledger.questions import Filter
from otel_aicost.model import UNPRICED_PROVIDER, UNPRICED_USAGE

if TYPE_CHECKING:
    from otel_aicost.ledger.queries import Query
    from otel_aicost.ledger.reader import Ledger

SWITCHED_OFF = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
UNMAPPED = "openai_compatible"
"""The provider of a host that nobody told us about."""
DAY = timedelta(days=1)


def absence(ledger: Ledger | None) -> Section:
    """What applies here of all that keeps a call, or its cost, out of a report."""
    section = Section("Why a call might not show")
    _switches(section)
    if ledger is not None:
        from otel_aicost.ledger.queries import Query  # noqa: PLC0415 - SQLAlchemy takes 0.3 s

        with ledger.read() as connection:
            _recent(section, Query(ledger, connection))
    if not section.findings:
        section.fine("Nothing in this environment hides calls. Is the program started with opentelemetry-instrument?")
    return section


def _switches(section: Section) -> None:
    settings, _ = config.load()
    if not settings.enabled:
        section.note(f"{names.ENV_ENABLED} is false: nothing is recorded at all.")
    if settings.disabled_sdks:
        section.note(f"{names.ENV_DISABLED} leaves out {', '.join(sorted(settings.disabled_sdks))}.")
    if settings.ledger is None:
        section.note(f"{names.ENV_LEDGER} is off: calls are recorded on spans and metrics only.")
    off = {word.strip() for word in os.environ.get(SWITCHED_OFF, "").split(",")}
    if off & {"aicost", "*"}:
        section.note(f"{SWITCHED_OFF} contains {', '.join(sorted(off & {'aicost', '*'}))}: no call is seen.")


def _recent(section: Section, query: Query) -> None:
    now = datetime.now(UTC)
    hosts = query.hosts_of(UNMAPPED, int((now - DAY).timestamp()) * 1_000_000_000)
    for host, number in hosts:
        section.wrong(
            f"{_calls(number)} of the last day went to {host or 'an unknown host'}, a host without "
            f"provider and so without a price. Say whose it is: "
            f"{names.ENV_PROVIDER_HOSTS}={host or 'HOST'}=openai"
        )
    where = Filter(since=(now - DAY).date(), unpriced=True)
    for group in query.groups(where, ("unpriced", "provider", "model")):
        reason, provider, model = group.keys
        if provider == UNMAPPED:
            continue
        calls = f"{_calls(group.sums.calls)} since yesterday without a price"
        text = f"{calls} ({reason}): {provider} {model or '(no model)'}."
        if reason == UNPRICED_USAGE:
            section.note(text)  # a response that nobody read, a stream broken off: no setting mends that
            continue
        if reason == UNPRICED_PROVIDER:
            text += f" A price file ({names.ENV_PRICES}) can name this provider."
        section.wrong(text)


def _calls(number: int) -> str:
    return "1 call" if number == 1 else f"{number:,} calls"
