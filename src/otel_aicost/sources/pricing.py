"""What a source's record costs: at its own date, at the tier of one of the calls it sums up."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from otel_aicost.model import NANO, UNPRICED_USAGE, Cost, Unpriced

if TYPE_CHECKING:
    from otel_aicost.model import Record
    from otel_aicost.prices.catalogue import Catalogue
    from otel_aicost.sources.line import Found


def priced(prices: Catalogue, found: Found) -> Record:
    """The record with its cost, or why it has none: at its own date, at the tier of one of the calls it sums up."""
    record = found.record
    if found.priced:
        return record
    if not record.usage:
        cost: Cost | Unpriced = Unpriced(UNPRICED_USAGE, "it states neither usage nor cost")
    else:
        models = [model for model in dict.fromkeys((record.response_model, record.request_model)) if model]
        share = Decimal(1).scaleb(-found.scale)
        usage = record.usage if not found.scale else {key: amount * share for key, amount in record.usage.items()}
        cost = prices.price(record.provider, models, usage, record.conditions, record.started_ns)
    if isinstance(cost, Cost):
        return replace(record, cost=_whole(cost, found.scale), unpriced=None)
    if found.fallback is not None:
        return replace(record, cost=found.fallback, unpriced=None, estimated=True)
    return replace(record, cost=None, unpriced=cost)


def _whole(cost: Cost, scale: int) -> Cost:
    """The cost of 10**`scale` such calls, each line of the bill rounded once."""
    if not scale:
        return cost
    parts = []
    for part in cost.parts:
        quantity = Decimal(part.quantity).scaleb(scale)
        amount = (quantity * part.price / part.per).quantize(NANO)
        whole = int(quantity) if quantity == quantity.to_integral_value() else quantity
        parts.append(part._replace(quantity=whole, amount=amount))
    return replace(
        cost,
        total=sum((part.amount for part in parts), Decimal(0)),
        parts=tuple(parts),
        cache_saved_nano=cost.cache_saved_nano * 10**scale,
        batch_saved_nano=cost.batch_saved_nano * 10**scale,
    )
