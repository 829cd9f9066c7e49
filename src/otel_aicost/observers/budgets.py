"""The observer that holds calls to their budgets: reserves before a call is sent, settles with what it really cost."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Final

from otel_aicost import faults
from otel_aicost.budgets.budget import Amounts, Limits, Line, Subject, exceeded
from otel_aicost.budgets.window import FOREVER, window_at
from otel_aicost.ledger.balances import Refusal, Settlement
from otel_aicost.ledger.writer import StoreDownError
from otel_aicost.model import NANO_DIGITS, UNPRICED_USAGE
from otel_aicost.observers.estimates import Estimate, Lately
from otel_aicost.observers.fallback import fallen_back
from otel_aicost.observers.local_counts import LocalCounts
from otel_aicost.observers.refusals import because_down, because_over, because_stuck, because_unpriced, say_unpriced
from otel_aicost.text_tokens import tokens_of_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeAlias
    from zoneinfo import ZoneInfo

    from otel_aicost.budgets.budget import Budget
    from otel_aicost.budgets.window import Period, Window
    from otel_aicost.errors import BudgetExceeded
    from otel_aicost.ledger.fleet import Fleet
    from otel_aicost.ledger.writer import Writer
    from otel_aicost.model import Call, Record, Unpriced
    from otel_aicost.observers.alerts import AlertObserver
    from otel_aicost.observers.estimates import Pricing
    from otel_aicost.observers.plans import Plans

    Ask: TypeAlias = Callable[["Hold", list[Line]], BudgetExceeded | None]

MOST_NANO: Final = 10**16
_SECOND: Final = 10**9


class Hold:
    """What one call has to do with budgets. Made before the call; settled once for each of its responses."""

    __slots__ = ("body", "call", "counted", "id", "lines", "refused", "replaced_by", "reserved", "settled", "subject")

    def __init__(
        self, identifier: str, call: Call, subject: Subject, body: Mapping[str, Any], lines: tuple[Line, ...]
    ) -> None:
        self.id = identifier
        self.call = call
        """With another model than it was made with, where a budget fell back to that."""
        self.subject = subject
        self.body: Mapping[str, Any] = body
        self.lines = lines
        self.replaced_by: frozenset[str] = frozenset()
        """The budgets that fell back: each does so once."""
        self.refused: Line | None = None
        """The budget that stopped it."""
        self.reserved = False
        self.counted: tuple[Line, ...] = ()
        """What the process itself counts for it."""
        self.settled = 0

    @property
    def blocking(self) -> bool:
        """Whether any of its budgets may stop it."""
        return any(line.budget.blocks for line in self.lines)


class BudgetObserver:
    """All budgets of this process. `admit` is the one place where a call may be stopped."""

    def __init__(self, plans: Plans, writer: Writer | Fleet | None, alerts: AlertObserver | None = None) -> None:
        """`writer` is the ledger's; `None`: there is none, and it is down for good."""
        self._plans = plans
        self.writer = writer
        self.alerts = alerts
        self._lately = Lately()
        self._local = LocalCounts()
        if writer is not None:
            writer.seen = self._local.saw
            writer.warm()
        elif any(budget.period.kind != "call" for budget in plans.now().budgets):
            faults.say("budgets without ledger", _NO_LEDGER)

    def hold(self, identifier: str, call: Call, subject: Subject, body: Mapping[str, Any]) -> Hold | None:
        """The windows a call belongs to; `None` if no budget is about it."""
        if call.free or call.only_with_usage:
            return None
        lines = self._lines(subject, call.started_ns)
        return Hold(identifier, call, subject, body, lines) if lines else None

    def admit(self, hold: Hold, price: Pricing) -> BudgetExceeded | None:
        """Reserve what the call may cost in every budget that may stop it, or in none: then why not.

        Where the budget that stops it falls back to another model, `hold.call` has that one from then on, and all
        budgets are asked again.
        """
        prompt, hold.body = tokens_of_request(hold.body), {}
        made = hold.call
        refused = self._through_fallbacks(hold, prompt, price, self._reserve)
        if refused is not None:
            hold.call = made
            hold.refused = next(line for line in hold.lines if line.budget.name == refused.budget)
        return refused

    def look(
        self, call: Call, subject: Subject, prompt_tokens: int, price: Pricing
    ) -> tuple[BudgetExceeded | None, Amounts | None]:
        """Why a call would be refused now, and what it may take of the budgets that may stop it; as `admit`."""
        hold = self.hold("", call, subject, {})
        if hold is None or not hold.blocking:
            return None, None
        refused = self._through_fallbacks(hold, prompt_tokens, price, self._look)
        return refused, Amounts(*map(max, *(line.amounts for line in hold.lines), Amounts()))

    def _through_fallbacks(self, hold: Hold, prompt: int, price: Pricing, ask: Ask) -> BudgetExceeded | None:
        refused = self._asked(hold, prompt, price, ask)
        while refused is not None:
            line = next(line for line in hold.lines if line.budget.name == refused.budget)
            if line.budget.fallback is None:
                break
            changed = fallen_back(hold.call, line, price)
            if isinstance(changed, str):
                return because_stuck(refused, line.budget.fallback, changed)
            self._fall_back(hold, changed, line.budget)
            refused = self._asked(hold, prompt, price, ask)
        return refused

    def _asked(self, hold: Hold, prompt: int, price: Pricing, ask: Ask) -> BudgetExceeded | None:
        foreseen = Estimate(hold.call, prompt, price)
        if foreseen.free:
            return None
        refused = self._decide(hold, foreseen, ask)
        if refused is None and foreseen.unpriced is not None:
            for line in hold.lines:
                if line.budget.blocks:
                    say_unpriced(line, foreseen.unpriced)
        return refused

    def now(self) -> tuple[Budget, ...]:
        """The budgets that hold for a call that begins now."""
        return self._plans.now().budgets

    def _decide(self, hold: Hold, foreseen: Estimate, ask: Ask) -> BudgetExceeded | None:
        """Why the call is not to be sent; `ask` tells it of the budgets that keep a balance."""
        hold.lines = tuple(
            self._foreseen(line, foreseen, hold.call) if line.budget.blocks else line for line in hold.lines
        )
        # Those that have a way out come first: what they make of the call may fit the others.
        blocking = sorted(
            (line for line in hold.lines if line.budget.blocks), key=lambda line: not line.budget.fallback
        )
        refused = next(filter(None, (_alone(line, foreseen.unpriced) for line in blocking)), None)
        if refused is not None:
            return refused
        return ask(hold, [line for line in blocking if line.budget.period.kind != "call"])

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

    def blocked(self, refused: BudgetExceeded, at_ns: int) -> None:
        """A call that began at `at_ns` was not sent."""
        if self.alerts is not None:
            self.alerts.blocked(refused, at_ns)

    def settle(self, hold: Hold, record: Record) -> Settlement | None:
        """A response of the call ended: what it took is spent, what was reserved beyond that is free again."""
        reservation = hold.id if hold.reserved and not hold.settled else None
        hold.settled += 1
        if hold.refused is not None:
            return Settlement(None, (), refused=hold.refused)
        self._lately.learn(record)
        lines = tuple(line._replace(amounts=self._spent(line, record)) for line in hold.lines)
        self._local.settled(hold.counted, lines)
        hold.counted = ()
        self._compare(lines, record.started_ns)
        return _settlement(reservation, lines)

    def release(self, hold: Hold) -> None:
        """There was nothing to pay after all; of a call that was settled, nothing is left to release."""
        if not hold.settled:
            hold.settled += 1
            self._withdraw(hold)

    def charge(self, record: Record, subject: Subject) -> Settlement | None:
        """Hold a call that was made without us, and so could not be stopped, against its budgets."""
        lines = self._lines(subject, record.started_ns)
        lines = tuple(line._replace(amounts=self._spent(line, record)) for line in lines)
        self._local.settled((), lines)
        return _settlement(None, lines)

    def _fall_back(self, hold: Hold, call: Call, budget: Budget) -> None:
        hold.replaced_by |= {budget.name}
        hold.call = call
        subject = hold.subject._replace(model=call.request_model or "")
        hold.lines = self._lines(subject, call.started_ns, hold.replaced_by)

    def _lines(self, subject: Subject, started_ns: int, replaced_by: frozenset[str] = frozenset()) -> tuple[Line, ...]:
        lines = []
        for budget in self._plans.now().budgets:
            key = budget.key(subject)
            if key is not None:
                limits = budget.limits_of(key)
                passes = budget.name in replaced_by or budget.fallback == subject.model
                checked = Limits() if passes else limits
                window = _window(budget, started_ns // _SECOND)
                lines.append(Line(budget, key, window, limits, checked=checked, passes=passes))
        return tuple(lines)

    def _foreseen(self, line: Line, foreseen: Estimate, call: Call) -> Line:
        """The line with what the call may take: at the most, or as such calls lately did."""
        amounts = self._lately.usual(call, foreseen) if line.budget.mode == "balanced" else foreseen.most()
        if foreseen.unpriced is None:
            return line._replace(amounts=amounts)
        if line.budget.on_unpriced == "assume":
            return line._replace(amounts=amounts._replace(nano=line.budget.assumed_nano))
        # Nobody knows what it costs: unless that is allowed whatever was spent, something has to be left.
        left = None if line.budget.on_unpriced == "allow" else line.checked.nano
        return line._replace(amounts=amounts._replace(nano=0), checked=line.checked._replace(nano=left))

    def _reserve(self, hold: Hold, lines: list[Line]) -> BudgetExceeded | None:
        if not lines:
            return None
        if self.writer is None:
            return self._unasked(hold, lines, StoreDownError("there is no ledger"))
        hold.reserved = True  # before it is: if this is interrupted, nobody knows whether it was
        try:
            refusal = self.writer.reserve(hold.id, lines)
        except StoreDownError as error:
            hold.reserved = False
            return self._unasked(hold, lines, error)
        hold.reserved = refusal is None
        if refusal is not None:
            return because_over(refusal)
        self._local.admitted(lines)
        hold.counted = tuple(lines)
        return None

    def _unasked(self, hold: Hold, lines: list[Line], error: Exception) -> BudgetExceeded | None:
        """Why a call is not to be sent while nobody knows what is spent; what is sent is counted here."""
        refused = self._unknown(lines, error, self._local.admit)
        if refused is None:
            hold.counted = tuple(lines)
        return refused

    @staticmethod
    def _unknown(
        lines: list[Line], error: Exception, count: Callable[[list[Line]], Refusal | None]
    ) -> BudgetExceeded | None:
        closed = [line for line in lines if line.budget.when_down == "closed" and not line.passes]
        if closed:
            return because_down(closed[0], error)
        # What is more than a whole limit by itself never fits: a limit of 0 needs no ledger to hold.
        refused = next(filter(None, map(_too_much, lines)), None)
        if refused is None and (refusal := count(lines)) is not None:
            refused = because_over(refusal, f"; counted by this process alone: {error}")
        return refused

    def _look(self, _: Hold, lines: list[Line]) -> BudgetExceeded | None:
        if not lines:
            return None
        if self.writer is None:
            return self._unknown(lines, StoreDownError("there is no ledger"), self._local.look)
        try:
            refusal = self.writer.look(lines)
        except StoreDownError as error:
            return self._unknown(lines, error, self._local.look)
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
        self._local.settled(hold.counted, ())
        hold.counted = ()
        if hold.reserved and settlement is not None and self.writer is not None:
            self.writer.release(settlement)

    def _compare(self, lines: tuple[Line, ...], at_ns: int) -> None:
        """Warn of a call that cost more than a budget of single calls allows."""
        for line in lines:
            passed = line.budget.period.kind == "call" and any(
                limit is not None and amount > limit for amount, limit in zip(line.amounts, line.limits, strict=True)
            )
            if passed and self.alerts is not None:
                self.alerts.passed(line, at_ns)


def _window(budget: Budget, at: int) -> Window:
    period = budget.period
    if period.kind in {"call", "forever"}:
        return FOREVER
    last = _windows.get((period, budget.timezone))
    if last is None or not (last.start or 0) <= at < (last.end or 0):
        last = _windows[period, budget.timezone] = window_at(period, at, _zone(budget.timezone))
    return last


_windows: dict[tuple[Period, str], Window] = {}
"""The window of each period that the last call began in: the next is nearly always the same."""


@cache
def _zone(name: str) -> ZoneInfo:
    from zoneinfo import ZoneInfo  # noqa: PLC0415 - not needed where there is no budget

    return ZoneInfo(name)


def _settlement(reservation: str | None, lines: tuple[Line, ...]) -> Settlement | None:
    kept = tuple(line for line in lines if line.budget.period.kind != "call")
    return Settlement(reservation, kept) if kept and (reservation or any(any(line.amounts) for line in kept)) else None


def _alone(line: Line, unpriced: Unpriced | None) -> BudgetExceeded | None:
    """Why a call is not to be sent whatever else was spent."""
    if line.passes:
        return None
    if unpriced is not None and line.limits.nano is not None and line.budget.on_unpriced == "block":
        return because_unpriced(line, unpriced)
    return _too_much(line) if line.budget.period.kind == "call" else None


def _too_much(line: Line) -> BudgetExceeded | None:
    unit = exceeded(line.checked, Amounts(), line.amounts)
    return None if unit is None else because_over(Refusal(line, unit, Amounts(), Amounts(), None))


_NO_LEDGER: Final = (
    "otel-aicost: there are budgets and no ledger (OTEL_AICOST_LEDGER=off): what is spent is known to nobody, and "
    "on_store_down of each budget decides on every call"
)


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
