"""What an application can ask its budgets: how they stand, and whether a call would be sent."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final, Literal

from otel_aicost import config, faults, instrumentor
from otel_aicost.errors import LedgerError

# Here and not where they are needed: a child forked in the middle of an import finds the module locked for ever.
from otel_aicost.ledger.opening import NoLedgerYetError, looking
from otel_aicost.ledger.standings import UNITS, standings, untouched
from otel_aicost.manual import pipeline
from otel_aicost.model import Call
from otel_aicost.observers.refusals import amount
from otel_aicost.tags import clean, current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_aicost.budgets.budget import Budget
    from otel_aicost.config import Settings
    from otel_aicost.errors import BudgetExceeded
    from otel_aicost.ledger.standings import Standing

WAIT_SECONDS: Final = 0.25
"""The longest an application waits for a ledger that does not answer."""


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """One window of one budget in one unit: a budget with two limits has two of these."""

    budget: str
    key: str | None
    """The value of `per`; `""` where there is one window for all, `None` where each key has one and none is there."""
    window: str
    """`2026-11-21`, `2026-11`, `week 2026-11-16`, `forever` ..."""
    currency: str
    """`USD`, `tokens` or `calls`: the unit of the amounts."""
    spent: Decimal
    reserved: Decimal
    """What calls on their way may still cost."""
    limit: Decimal
    remaining: Decimal
    """What is left; 0 when the limit is passed."""
    share: Decimal | None
    """The share of the limit that is spent, 1 for all of it; `None` where the limit is 0 and something is spent."""
    state: Literal["ok", "warned", "exceeded"]
    starts_at: datetime | None
    """UTC; `None` for windows that roll or have always been."""
    resets_at: datetime | None
    """UTC; `None`: never. Of a window that rolls, when the oldest of its spend stops to count."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a call would be sent now. True and false like `allowed`."""

    allowed: bool
    reason: str | None = None
    """The whole sentence; `None` where it would be sent."""
    budget: str | None = None
    """The one that would stop it."""
    key: str | None = None
    needed: Decimal | None = None
    """What the call may take, in `currency`; `None` where no budget that may stop it is about it."""
    remaining: Decimal | None = None
    """What is left in that budget; `None` where nobody knows, and where the call would be sent."""
    currency: str = "USD"
    """`USD`, `tokens` or `calls`: the unit of the two amounts."""
    resets_at: datetime | None = None
    """When the window of that budget ends (UTC)."""

    def __bool__(self) -> bool:
        return self.allowed


def budget_status(name: str | None = None, key: str | None = None) -> list[BudgetStatus]:
    """How every budget stands, or the one called `name`, or one `key` of it: every window that counts now.

    Read from the ledger, which other processes share; calls of this process that ended a moment ago are in it after
    `flush()`. A budget that no call was held against yet stands with nothing spent. It waits a quarter of a second at
    most. Raises `LedgerError` when the ledger is switched off, does not answer, or is damaged.
    """
    settings, budgets = _in_force()
    if settings.ledger is None:
        msg = "the ledger is switched off (OTEL_AICOST_LEDGER=off): nobody knows what is spent"
        raise LedgerError(msg)
    now = time.time_ns()
    try:
        with looking(settings.ledger, WAIT_SECONDS) as connection:
            found = list(standings(connection, now, budgets, name, key))
    except NoLedgerYetError:
        found = list(untouched(budgets, now, name, key))
    return [_status(standing) for standing in found]


def can_call(  # noqa: PLR0913 - keyword arguments, each a fact of the call
    provider: str,
    model: str,
    *,
    input_tokens: int = 0,
    max_output_tokens: int | None = None,
    operation: str = "chat",
    tags: Mapping[str, object] | None = None,
) -> Admission:
    """Whether such a call would be sent now, or stopped by a budget.

    Nothing is sent, reserved or counted, and nothing is raised: another call may take what is left a moment later.
    `input_tokens` is the length of the prompt; without `max_output_tokens` the answer is foreseen as for a request that
    sets no limit. The tags in force apply, and `tags` besides. It is decided as for a real call: in `strict` mode a
    prompt may take more tokens than its text usually has, and a ledger that does not answer (a quarter of a second at
    most) leaves it to `on_store_down`. The first call loads the price list (up to half a second). In a coroutine, ask
    in a thread: `await asyncio.to_thread(can_call, ...)`. A call that would be made, though with the model that a
    budget falls back to, is allowed.
    """
    try:
        refused, foreseen = pipeline().look(
            Call(
                provider=provider,
                operation=operation,
                request_model=model,
                started_ns=time.time_ns(),
                started_ticks=time.perf_counter_ns(),
                tags={**current(), **clean(tags or {})},
                parameters={} if max_output_tokens is None else {"gen_ai.request.max_tokens": max_output_tokens},
                replaceable=True,
            ),
            max(0, int(input_tokens)),
        )
    except Exception as error:  # noqa: BLE001 - as with a real call, an error of ours must not stop it
        faults.report("can_call", error)
        return Admission(allowed=True)
    if refused is not None:
        return _refusal(refused)
    return Admission(allowed=True, needed=None if foreseen is None else amount(foreseen.nano, 0))


def _refusal(refused: BudgetExceeded) -> Admission:
    remaining = None
    if refused.limit is not None and refused.spent is not None and refused.reserved is not None:
        remaining = max(Decimal(0), refused.limit - refused.spent - refused.reserved)
    return Admission(
        allowed=False,
        reason=refused.reason,
        budget=refused.budget,
        key=refused.key,
        needed=refused.needed,
        remaining=remaining,
        currency=refused.currency,
        resets_at=refused.resets_at,
    )


def _in_force() -> tuple[Settings, Sequence[Budget]]:
    running = instrumentor.running()
    if running is not None and running.settings.enabled:
        return running.settings, running.budgets
    settings, _ = config.load()
    return settings, config.load_budgets(settings)[0].budgets


def _status(standing: Standing) -> BudgetStatus:
    unit = UNITS.index(standing.unit)

    return BudgetStatus(
        budget=standing.budget,
        key=standing.key,
        window=standing.window,
        currency=standing.unit,
        spent=amount(standing.spent, unit),
        reserved=amount(standing.reserved, unit),
        limit=amount(standing.limit, unit),
        remaining=amount(standing.remaining, unit),
        share=standing.share,
        state=standing.state,
        starts_at=_instant(standing.starts_at),
        resets_at=_instant(standing.resets_at),
    )


def _instant(seconds: int | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
