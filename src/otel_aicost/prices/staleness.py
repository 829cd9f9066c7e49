"""Which prices nobody has refreshed or checked for long, in sentences that say what to do."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from otel_aicost import faults

if TYPE_CHECKING:
    from otel_aicost.prices.catalogue import Catalogue


def stale(catalogue: Catalogue, days: int | None, today: date | None = None) -> list[str]:
    """One sentence for each list that is older than `days`; none where that is `None`.

    Of a user's file each entry still in force counts, of the other lists the newest date in them.
    """
    if days is None:
        return []
    today = today or datetime.now(UTC).date()
    made = catalogue.made()
    told = []
    base = made.get("genai-prices")
    if base is not None and (age := (today - base).days) > days:
        told.append(
            f"the prices of genai-prices are {age} days old ({base}), more than {days}: "
            "`aicost prices update` fetches newer ones"
        )
    shipped = made.get("supplement")
    if shipped is not None and (age := (today - shipped).days) > days:
        told.append(
            f"the prices that come with otel-aicost were last checked {age} days ago ({shipped}), more than {days}: "
            "upgrade otel-aicost"
        )
    dates = [known.checked for known in catalogue.known() if known.source == "user" and known.checked is not None]
    old = sorted(day for day in dates if (today - date.fromisoformat(day)).days > days)
    if old:
        told.append(
            f"{len(old):,} of the prices in your file were last checked more than {days} days ago, the oldest on "
            f"{old[0]}: look at them, then `aicost prices verify`"
        )
    return told


def say_stale(catalogue: Catalogue, days: int | None) -> None:
    """Log what is stale, once a minute at the most. It does not raise."""
    try:
        found = stale(catalogue, days)
    except Exception as error:  # noqa: BLE001 - a warning must not keep prices from being used
        faults.report("prices.stale", error)
        return
    if found:
        faults.say("prices.stale", "otel-aicost: %s", "; ".join(found))
