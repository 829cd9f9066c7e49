"""How the dashboards look: units, thresholds and colours, one meaning each."""

from __future__ import annotations

from typing import Final

USD: Final = "currencyUSD"
SHARE: Final = "percentunit"
COUNT: Final = "short"
SECONDS: Final = "s"
BYTES: Final = "bytes"
MOMENT: Final = "dateTimeFromNow"
"""Of milliseconds: "in 3 days"."""
RATIO: Final = "none"

OK: Final = "green"
WARN: Final = "yellow"
BAD: Final = "red"
NEUTRAL: Final = "blue"
QUIET: Final = "text"

STATUS: Final = {"ok": OK, "partial": WARN, "error": BAD, "blocked": "purple"}
TOKENS: Final = {
    "input": "blue",
    "cache_read": "light-blue",
    "cache_write": "super-light-blue",
    "output": "orange",
    "reasoning": "dark-orange",
}
SEVERITY: Final = {"info": NEUTRAL, "warning": WARN, "critical": BAD}

Shown = tuple[str, int | None]
"""A unit and how many decimals."""
DOLLARS: Final[Shown] = (USD, 2)
CENT_PARTS: Final[Shown] = (USD, 4)
"""Of what costs less than a cent."""
Steps = tuple[tuple[float | None, str], ...]
"""From which value on which colour; the first has no value."""

ALWAYS: Final[Steps] = ((None, NEUTRAL),)
BUDGET: Final[Steps] = ((None, OK), (0.8, WARN), (1, BAD))
"""Shares of a limit: fine, near, reached."""
GREW: Final[Steps] = ((None, OK), (0.1, WARN), (0.5, BAD))
"""Growth against the last period."""
RARE: Final[Steps] = ((None, OK), (0.01, WARN), (0.05, BAD))
"""Shares of calls or of money that ought to be small."""
NONE_WANTED: Final[Steps] = ((None, OK), (1, BAD))
"""Counts of what ought never to happen."""


def ages(warn_seconds: float, bad_seconds: float) -> Steps:
    """Good while young."""
    return ((None, OK), (warn_seconds, WARN), (bad_seconds, BAD))
