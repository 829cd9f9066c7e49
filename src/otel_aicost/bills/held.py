"""What the ledger holds of a provider, day by day and model by model."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING

from otel_aicost.bills.bill import undated
from otel_aicost.bills.comparing import Ours
from otel_aicost.ledger.questions import Filter
from otel_aicost.model import NANO

if TYPE_CHECKING:
    from otel_aicost.bills.bill import Days
    from otel_aicost.bills.comparing import Place
    from otel_aicost.ledger.queries import Query


def held(query: Query, provider: str, days: Days) -> dict[Place, Ours]:
    """The sums of the calls to `provider` in `days`."""
    found: dict[Place, Ours] = {}
    where = Filter(since=days.first, until=days.last, provider=provider)
    for group in query.groups(where, ("day", "model", "estimated")):
        day, model, estimated = group.keys
        place = (date.fromisoformat(day or ""), undated(model or "") or "(no model)")
        entry, sums = found.setdefault(place, Ours()), group.sums
        entry.amount += Decimal(sums.cost_nano) * NANO
        entry.calls += sums.calls
        entry.unpriced += sums.unpriced
        entry.estimated += sums.calls if estimated == "yes" else 0
        entry.tokens += sums.input_tokens + sums.output_tokens
    # A call that failed or was blocked is in no bill.
    return {place: entry for place, entry in found.items() if entry.amount or entry.unpriced or entry.tokens}
