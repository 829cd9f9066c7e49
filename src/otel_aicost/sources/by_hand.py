"""One record by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_aicost.ids import new_id
from otel_aicost.sources.line import Found, Line, MistakeError, count, made, stated, told
from otel_aicost.tags import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from decimal import Decimal

NAME: Final = "by-hand"


def line(  # noqa: PLR0913 - each a fact of the call
    *,
    provider: str,
    model: str | None,
    usage: Iterable[tuple[str, str]],
    cost: Decimal | None,
    operation: str,
    conditions: Mapping[str, str],
    started_ns: int,
    duration_ns: int,
    known_by: str | None,
) -> Line:
    """The line of a call. `known_by`: twice the same is one call. Raises `MistakeError` for a usage that cannot be."""
    counted = {}
    for meter, quantity in usage:
        if not KEY.fullmatch(meter):
            msg = f"{meter[:60]!r} is no meter: letters, digits and _"
            raise MistakeError(msg)
        if meter in counted:
            msg = f"{meter} is there twice"
            raise MistakeError(msg)
        counted[meter] = count({meter: quantity}, meter)
    record = made(
        NAME,
        id=new_id(),
        started_ns=started_ns,
        duration_ns=duration_ns,
        provider=provider,
        operation=operation,
        request_model=model,
        usage=counted,
        conditions=conditions,
        cost=None if cost is None else stated(cost),
    )
    key = () if known_by is None else (provider, known_by)
    return Line(1, told(NAME, Found(record, key, priced=cost is not None)))
