"""Why a budget is not about a call; pure."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_aicost.budgets.budget import Budget, Match, Subject


def why_not(budget: Budget, subject: Subject) -> str | None:
    """Every reason why the call is not held against the budget, as one sentence; `None` if it is."""
    said = [*_unmatched(budget.match, subject), *(_missing(name) for name in budget.per if not _has(name, subject))]
    return "; ".join(said) or None


def _unmatched(match: Match, subject: Subject) -> Iterator[str]:
    for name in ("provider", "operation", "service"):
        wanted, got = getattr(match, name), getattr(subject, name)
        if wanted not in (None, got):
            yield f"its {name} is {got or 'not known'}, not {wanted}"
    if match.model is not None and not fnmatchcase(subject.model.lower(), match.model.lower()):
        yield f"its model {subject.model or '(none)'} does not match {match.model}"
    for tag, wanted in match.tags.items():
        value = subject.tags.get(tag)
        if value is None:
            yield f"it has no tag {tag}"
        elif value != wanted:
            yield f"its tag {tag} is {value}, not {wanted}"


def _has(name: str, subject: Subject) -> bool:
    if name == "trace":
        return subject.trace_id is not None
    return name == "service" or name in subject.tags


def _missing(name: str) -> str:
    return "it was not made inside a trace" if name == "trace" else f"it has no tag {name}"
