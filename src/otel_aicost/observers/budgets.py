"""The observer that holds calls to their budgets: reserves before a call is sent, settles with what it really cost."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Final

from otel_aicost import faults
from otel_aicost.budgets.budget import NANO_DIGITS, Amounts, Line, Subject, exceeded
from otel_aicost.budgets.window import FOREVER, window_at
from otel_aicost.ledger.balances import Refusal, Settlement
from otel_aicost.ledger.writer import StoreDownError
from otel_aicost.model import UNPRICED_USAGE
from otel_aicost.observers.estimates import Lately, estimate, foresee
from otel_aicost.observers.refusals import because_down, because_over, because_unpriced, say_unpriced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any
    from zoneinfo import ZoneInfo

    from otel_aicost.budgets.budget import Budget
    from otel_aicost.budgets.window import Window
    from otel_aicost.errors import BudgetExceeded
    from otel_aicost.ledger.balances import Alert
    from otel_aicost.ledger.fleet import Fleet
    from otel_aicost.ledger.writer import Writer
    from otel_aicost.model import Call, Record, Unpriced
    from otel_aicost.observers.estimates import Estimate, Pricing
    from otel_aicost.observers.plans import Plans

MOST_NANO: Final = 10**16
_SECOND: Final = 10**9


class Hold:
    """What one call has to do with budgets. Made before the call; settled once for each of its responses."""

    __slots__ = ("body", "call", "id", "lines", "reserved", "settled")

    def __init__(self, identifier: str, call: Call, body: Mapping[str, Any], lines: tuple[Line, ...]) -> None:
        self.id = identifier
        self.call = call
        self.body: Mapping[str, Any] = body
        self.lines = lines
        self.reserved = False
        self.settled = 0

    @property
    def blocking(self) -> bool:
        """Whether any of its budgets may stop it."""
        return any(line.budget.blocks for line in self.lines)


class BudgetObserver:
    """All budgets of this process. `admit` is the one place where a call may be stopped."""

    def __init__(self, plans: Plans, writer: Writer | Fleet | None) -> None:
        """`writer` is the ledger's; `None`: there is none, and it is down for good."""
        self._plans = plans
        self.writer = writer
        self._lately = Lately()
        if writer is not None:
            writer.alert = say
            writer.warm()
        elif any(budget.period.kind != "call" for budget in plans.now().budgets):
            faults.say("budgets without ledger", _NO_LEDGER)

    def hold(self, identifier: str, call: Call, subject: Subject, body: Mapping[str, Any]) -> Hold | None:
        """The windows a call belongs to; `None` if no budget is about it."""
        if call.free or call.only_with_usage:
            return None
        lines = self._lines(subject, call.started_ns)
        return Hold(identifier, call, body, lines) if lines else None

    def admit(self, hold: Hold, price: Pricing) -> BudgetExceeded | None:
        """Reserve what the call may cost in every budget that may stop it, or in none: then why not."""
        foreseen = estimate(hold.call, hold.body, price)
        hold.body = {}
        if foreseen.free:
            return None
        refused = self._decide(hold, foreseen, lambda lines: self._reserve(hold, lines))
        if refused is None and foreseen.unpriced is not None:
            for line in hold.lines:
                if line.budget.blocks:
                    say_unpriced(line, foreseen.unpriced)
        return refused

    def look(
        self, call: Call, subject: Subject, prompt_tokens: int, price: Pricing
    ) -> tuple[BudgetExceeded | None, Amounts | None]:
        """Why a call would be refused now, and what it may take of the budgets that may stop it; as `admit`."""
        hold = self.hold("", call, subject, {})
        if hold is None or not hold.blocking:
            return None, None
        foreseen = foresee(call, prompt_tokens, price)
        if foreseen.free:
            return None, foreseen.most
        refused = self._decide(hold, foreseen, self._look)
        return refused, Amounts(*map(max, *(line.amounts for line in hold.lines), Amounts()))

    def now(self) -> tuple[Budget, ...]:
        """The budgets that hold for a call that begins now."""
        return self._plans.now().budgets

    def _decide(
        self, hold: Hold, foreseen: Estimate, ask: Callable[[list[Line]], BudgetExceeded | None]
    ) -> BudgetExceeded | None:
        """Why the call is not to be sent; `ask` tells it of the budgets that keep a balance."""
        hold.lines = tuple(
            self._foreseen(line, foreseen, hold.call) if line.budget.blocks else line for line in hold.lines
        )
        blocking = [line for line in hold.lines if line.budget.blocks]
        refused = next(filter(None, (_alone(line, foreseen.unpriced) for line in blocking)), None)
        if refused is not None:
            return refused
        return ask([line for line in blocking if line.budget.period.kind != "call"])

    async def admit_async(self, hold: Hold, price: Pricing) -> BudgetExceeded | None:
        """As `admit`, in a thread: the event loop goes on. A task that is cancelled meanwhile reserves nothing."""
        try:
            loop = asyncio.get_running_loop()
            future = _threads().submit(self.admit, hold, price)
        except RuntimeError:  # another kind of event loop, or the end of the interpreter
            return self.admit(hold, price)
        try:
            return await asyncio.shield(asyncio.wrap_future(future, loop=loop))
        except asyncio.CancelledError:
            future.add_done_callback(lambda _: self._withdraw(hold))
            raise

    def settle(self, hold: Hold, record: Record) -> Settlement | None:
        """A response of the call ended: what it took is spent, what was reserved beyond that is free again."""
        reservation = hold.id if hold.reserved and not hold.settled else None
        hold.settled += 1
        self._lately.learn(record)
        lines = tuple(line._replace(amounts=self._spent(line, record)) for line in hold.lines)
        self._compare(lines)
        return _settlement(reservation, lines)

    def release(self, hold: Hold) -> None:
        """There was nothing to pay after all; of a call that was settled, nothing is left to release."""
        if not hold.settled:
            hold.settled += 1
            self._withdraw(hold)

    def charge(self, record: Record, subject: Subject) -> Settlement | None:
        """Hold a call that was made without us, and so could not be stopped, against its budgets."""
        lines = self._lines(subject, record.started_ns)
        return _settlement(None, tuple(line._replace(amounts=self._spent(line, record)) for line in lines))

    def _lines(self, subject: Subject, started_ns: int) -> tuple[Line, ...]:
        lines = []
        for budget in self._plans.now().budgets:
            key = budget.key(subject)
            if key is not None:
                limits = budget.limits_of(key)
                lines.append(Line(budget, key, _window(budget, started_ns // _SECOND), limits, checked=limits))
        return tuple(lines)

    def _foreseen(self, line: Line, foreseen: Estimate, call: Call) -> Line:
        """The line with what the call may take: at the most, or as such calls lately did."""
        amounts = foreseen.most
        if line.budget.mode == "balanced":
            amounts = self._lately.usual(call, foreseen)
        if foreseen.unpriced is None:
            return line._replace(amounts=amounts)
        if line.budget.on_unpriced == "assume":
            return line._replace(amounts=amounts._replace(nano=line.budget.assumed_nano))
        # Nobody knows what it costs: unless that is allowed whatever was spent, something has to be left.
        left = None if line.budget.on_unpriced == "allow" else line.limits.nano
        return line._replace(amounts=amounts._replace(nano=0), checked=line.limits._replace(nano=left))

    def _reserve(self, hold: Hold, lines: list[Line]) -> BudgetExceeded | None:
        if not lines:
            return None
        if self.writer is None:
            return _unasked(lines, StoreDownError("there is no ledger"))
        hold.reserved = True  # before it is: if this is interrupted, nobody knows whether it was
        try:
            refusal = self.writer.reserve(hold.id, lines)
        except StoreDownError as error:
            hold.reserved = False
            return _unasked(lines, error)
        hold.reserved = refusal is None
        return None if refusal is None else because_over(refusal)

    def _look(self, lines: list[Line]) -> BudgetExceeded | None:
        if not lines:
            return None
        if self.writer is None:
            return _unasked(lines, StoreDownError("there is no ledger"))
        try:
            refusal = self.writer.look(lines)
        except StoreDownError as error:
            return _unasked(lines, error)
        return None if refusal is None else because_over(refusal)

    def _spent(self, line: Line, record: Record) -> Amounts:
        if record.status == "blocked" or (record.cost is None and record.unpriced is None):
            return Amounts()
        tokens = int(record.usage.get("input_tokens", 0)) + int(record.usage.get("output_tokens", 0))
        if record.cost is not None:
            return Amounts(min(int(record.cost.total.scaleb(NANO_DIGITS)), MOST_NANO), tokens, 1)
        if record.unpriced is not None and record.unpriced.reason == UNPRICED_USAGE:
            # It was answered, and nobody knows how long the answer is: what was foreseen is taken for spent.
            foreseen = line.amounts if any(line.amounts) else self._lately.of(record)
            return foreseen._replace(calls=1)
        assumed = line.budget.assumed_nano if line.budget.on_unpriced == "assume" else 0
        return Amounts(assumed, tokens, 1)

    def _withdraw(self, hold: Hold) -> None:
        settlement = _settlement(hold.id, tuple(line._replace(amounts=Amounts()) for line in hold.lines))
        if hold.reserved and settlement is not None and self.writer is not None:
            self.writer.release(settlement)

    @staticmethod
    def _compare(lines: tuple[Line, ...]) -> None:
        """Say of a call that it cost more than a budget of single calls allows."""
        for line in lines:
            if line.budget.period.kind == "call" and any(
                limit is not None and amount > limit for amount, limit in zip(line.amounts, line.limits, strict=True)
            ):
                faults.say(f"budget {line.budget.name}", "otel-aicost: budget %s: a call took %s, more than it allows",
                           line.budget.name, _told(line.amounts))  # fmt: skip


def _window(budget: Budget, at: int) -> Window:
    return FOREVER if budget.period.kind == "call" else window_at(budget.period, at, _zone(budget.timezone))


@cache
def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - not needed where there is no budget

    return ZoneInfo(name)


def _settlement(reservation: str | None, lines: tuple[Line, ...]) -> Settlement | None:
    kept = tuple(line for line in lines if line.budget.period.kind != "call")
    return Settlement(reservation, kept) if kept and (reservation or any(any(line.amounts) for line in kept)) else None


def _alone(line: Line, unpriced: Unpriced | None) -> BudgetExceeded | None:
    """Why a call is not to be sent whatever else was spent."""
    if unpriced is not None and line.limits.nano is not None and line.budget.on_unpriced == "block":
        return because_unpriced(line, unpriced)
    return _too_much(line) if line.budget.period.kind == "call" else None


def _unasked(lines: list[Line], error: Exception) -> BudgetExceeded | None:
    """Why a call is not to be sent while nobody knows what is spent."""
    closed = [line for line in lines if line.budget.closed]
    # What is more than a whole limit by itself never fits: a limit of 0 needs no ledger to hold.
    return because_down(closed[0], error) if closed else next(filter(None, map(_too_much, lines)), None)


def _too_much(line: Line) -> BudgetExceeded | None:
    unit = exceeded(line.checked, Amounts(), line.amounts)
    return None if unit is None else because_over(Refusal(line, unit, Amounts(), Amounts(), None))


_NO_LEDGER: Final = (
    "otel-aicost: there are budgets and no ledger (OTEL_AICOST_LEDGER=off): what is spent is known to nobody, and "
    "on_store_down of each budget decides on every call"
)


def say(alert: Alert) -> None:
    """Log a limit that was reached."""
    line = alert.line
    of = f" of {line.key}" if line.key else ""
    faults.LOGGER.warning(
        "otel-aicost: budget %s%s has reached %s%% of its limit in %s: %s spent",
        line.budget.name,
        of,
        f"{(alert.share * 100).normalize():f}",
        line.window.group.strip() or line.window.id,
        _told(alert.spent),
    )


def _told(amounts: Amounts) -> str:
    return f"{amounts.nano / 1e9:.6g} USD, {amounts.tokens} tokens, {amounts.calls} calls"


_pool: ThreadPoolExecutor | None = None


def _forget_threads() -> None:
    global _pool  # noqa: PLW0603 - as below
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_threads)


def _threads() -> ThreadPoolExecutor:
    """Threads of our own: those of the application may all be busy with work of its own."""
    global _pool  # noqa: PLW0603 - one a process
    if _pool is None:
        _pool = ThreadPoolExecutor(2, "aicost-budgets")
    return _pool
