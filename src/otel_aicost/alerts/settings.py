"""What the user decided about alerts: channels, the daily summary, and which monitors watch."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otel_aicost.alerts.alert import DAILY_SUMMARY, SEVERITIES
from otel_aicost.errors import AICostError

if TYPE_CHECKING:
    from decimal import Decimal
    from pathlib import Path

    from otel_aicost.alerts.alert import AlertRow, Severity

DOLLAR: Final = 10**9
STALE_DAYS: Final = 30


class ChannelError(AICostError):
    """A channel cannot be used; it is named, and its URL is not."""


@dataclass(frozen=True, slots=True)
class Channel:
    """Where messages go. Its URL holds passwords and tokens: it is in no repr, no log and no row."""

    name: str
    severity: Severity = "warning"
    """The least that is sent."""
    daily_summary: bool = True
    """Whether the daily summary goes there, whatever `severity` says."""
    url: str | None = field(default=None, repr=False)
    url_env: str | None = None
    """The variable that holds the URL."""
    url_file: Path | None = None
    """The file that holds the URL."""

    @property
    def severities(self) -> tuple[Severity, ...]:
        """What is sent."""
        return SEVERITIES[SEVERITIES.index(self.severity) :]

    def wants(self, row: AlertRow) -> bool:
        """Whether an alert is sent there."""
        return self.daily_summary if row.kind == DAILY_SUMMARY else row.severity in self.severities

    def address(self) -> str:
        """The URL, looked up now. Raises `ChannelError`, which says what is missing and never what is there."""
        if self.url_env is not None:
            found, where = os.environ.get(self.url_env, ""), f"the variable {self.url_env} is not set or empty"
        elif self.url_file is not None:
            where = f"the file {self.url_file} cannot be read or is empty"
            try:
                found = self.url_file.read_text(encoding="utf-8")
            except (OSError, UnicodeError):
                found = ""
        else:
            found, where = self.url or "", "it has no URL"
        if not found.strip():
            msg = f"channel {self.name}: {where}"
            raise ChannelError(msg)
        return found.strip()


@dataclass(frozen=True, slots=True)
class LowCacheShare:
    """Warn where less than `below` of the input tokens of a day came from the provider's cache."""

    below: Decimal
    calls: int = 100
    """Models with fewer calls are left alone."""


@dataclass(frozen=True, slots=True)
class ExpensiveModels:
    """Warn when more than `above` of the money of the last 24 hours went to these models."""

    models: tuple[str, ...]
    """Shell patterns."""
    above: Decimal
    least_nano: int = DOLLAR
    """While all of the money is less, nothing is said."""


@dataclass(frozen=True, slots=True)
class SpendSpike:
    """Warn when an hour costs more than `times` what the same hour of the last days did."""

    times: Decimal
    least_nano: int = DOLLAR
    """An hour that costs less is never one."""


@dataclass(frozen=True, slots=True)
class AlertSettings:
    """The section `alerts:`; as it stands here, what holds for a file without one."""

    channels: tuple[Channel, ...] = ()
    daily_summary: int | None = None
    """Minutes after midnight; `None`: none is made."""
    low_cache_share: LowCacheShare | None = None
    expensive_models: ExpensiveModels | None = None
    spend_spike: SpendSpike | None = None
    unpriced_calls: bool = True
    stale_days: int | None = STALE_DAYS
    """The age of a price catalogue that is said; `None`: none."""
    timezone: str = "UTC"
