"""One call and its budgets, as a document and for a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otel_aicost.budgets.budget import Amounts, Limits
from otel_aicost.budgets.definitions import limits_text, window_text
from otel_aicost.budgets.reasons import why_not
from otel_aicost.ledger.accounts import subject_of
from otel_aicost.report.documents import call_document
from otel_aicost.report.money import exact
from otel_aicost.report.screen import Column, Grid, facts, heading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from otel_aicost.budgets.budget import Budget
    from otel_aicost.ledger.accounts import Entry

BLOCKED: Final = "blocked"
UNKNOWN_REFUSAL: Final = (
    "It was blocked. Which budget refused it is not in the ledger; it was one of those below that may block and are "
    "about it, or a budget of single calls."
)


@dataclass(frozen=True, slots=True)
class Account:
    """A row of `calls`, its entries, and the budgets that are known."""

    call: Mapping[str, Any]
    entries: Sequence[Entry]
    budgets: Sequence[Budget]

    @property
    def blocked(self) -> bool:
        """Whether a budget did not let it be sent."""
        return bool(self.call["status"] == BLOCKED)

    def others(self) -> Iterator[tuple[Budget, str, bool]]:
        """Each budget that the call has no entry in, why, and whether it is about the call all the same."""
        subject, entered = subject_of(self.call), {entry.budget for entry in self.entries}
        for budget in self.budgets:
            if budget.name not in entered:
                reason = why_not(budget, subject)
                yield budget, reason or self._without_entry(budget), reason is None

    def _without_entry(self, budget: Budget) -> str:
        if self.blocked:
            return "it is about the call, which was blocked: nothing was spent, nothing is reserved"
        if budget.period.kind == "call":
            return f"it is about each call by itself: {limits_text(budget.limits)} at the most"
        if self.call["cost_nano"] is None and self.call["unpriced"] is None:
            return "it is about the call, which cost nothing"
        if self.call["cost_nano"] == 0 and budget.limits.tokens is None and budget.limits.calls is None:
            return "it is about the call, which was free"
        return "it is about the call, which has no entry: the budget came later, or its program had another file"


def document(account: Account) -> dict[str, Any]:
    """The call, its entries, and the other budgets with the reason why it has none there."""
    return {
        "call": call_document(account.call),
        "blocked": account.blocked,
        "budgets": [_entry(entry, refused=account.blocked) for entry in account.entries],
        "others": [
            {"budget": budget.name, "concerned": concerned, "on_exceed": budget.on_exceed, "reason": reason}
            for budget, reason, concerned in account.others()
        ],
    }


def tables(account: Account) -> Iterator[RenderableType]:
    """The call in a line, the windows it is in, and why not in the others."""
    yield heading(_line(account.call))
    yield ""
    if account.blocked and not account.entries:
        yield UNKNOWN_REFUSAL
    elif account.entries:
        yield _grid(account.entries, refused=account.blocked)
    else:
        yield "It is in no budget."
    others = list(account.others())
    if others:
        yield ""
        yield heading("Not in")
        yield facts((budget.name, reason) for budget, reason, _ in others)


def _line(call: Mapping[str, Any]) -> str:
    told = call_document(call)
    cost = "free" if told["cost_nano"] == 0 else f"${told['cost_usd']}" if told["cost_usd"] else "no cost"
    if told["unpriced"]:
        cost = f"unpriced ({told['unpriced']})"
    when = told["started"][:19].replace("T", " ")
    tags = " ".join(f"{key}={value}" for key, value in told["tags"].items())
    model = told["request_model"] or "(no model)"
    parts = (told["id"], f"{when} UTC", told["provider"], model, told["operation"], told["status"], cost, tags)
    return "  ".join(filter(None, parts))


def _grid(entries: Sequence[Entry], *, refused: bool) -> Grid:
    columns = [
        Column("refused by" if refused else "budget", [entry.budget for entry in entries], right=False),
        Column("key", [entry.key for entry in entries], right=False, fold=True),
        Column("window", [window_text(entry.window) for entry in entries], right=False),
        Column("needed" if refused else "reserved", [_told(entry.reserved) for entry in entries], right=False),
        Column("settled", [_told(entry.settled) for entry in entries], right=False),
        Column("spent now", [_held(entry) for entry in entries], right=False),
        Column("limit", [limits_text(entry.limits) or "-" for entry in entries], right=False),
    ]
    return Grid([column for column in columns if not (refused and column.heading == "settled")])


def _entry(entry: Entry, *, refused: bool) -> dict[str, Any]:
    return {
        "budget": entry.budget,
        "key": entry.key or None,
        "window": entry.window,
        "refused": refused,
        "needed" if refused else "reserved": _amounts(entry.reserved),
        "settled": _amounts(entry.settled),
        "spent": None if entry.spent is None else _amounts(entry.spent),
        "limit": _amounts(entry.limits),
    }


def _amounts(amounts: Amounts | Limits) -> dict[str, Any]:
    return {
        "usd": None if amounts.nano is None else exact(amounts.nano),
        "tokens": amounts.tokens,
        "calls": amounts.calls,
    }


def _told(amounts: Amounts) -> str:
    return limits_text(Limits(*(amount or None for amount in amounts))) or "-"


def _held(entry: Entry) -> str:
    """What is spent, of what is limited."""
    if entry.spent is None:
        return "-"
    pairs = zip(entry.spent, entry.limits, strict=True)
    return limits_text(Limits(*(spent if limit is not None else None for spent, limit in pairs))) or _told(entry.spent)
