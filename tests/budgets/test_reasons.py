"""Why a budget is not about a call."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_aicost.budgets.budget import Budget, Limits, Match, Subject
from otel_aicost.budgets.reasons import why_not
from otel_aicost.budgets.window import Period

CALL = Subject("openai", "gpt-4o", "chat", "shop", {"user": "u1"}, None)


def _budget(per=(), **match):
    return Budget("b", Period("day"), Limits(1), match=Match(**match), per=per)


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (_budget(), None),
        (_budget(("user", "service"), model="GPT-4*"), None),
        (_budget(provider="anthropic"), "its provider is openai, not anthropic"),
        (_budget(operation="embeddings"), "its operation is chat, not embeddings"),
        (_budget(service="jobs"), "its service is shop, not jobs"),
        (_budget(model="claude*"), "its model gpt-4o does not match claude*"),
        (_budget(tags={"user": "u2"}), "its tag user is u1, not u2"),
        (_budget(tags={"team": "red"}), "it has no tag team"),
        (_budget(("team",)), "it has no tag team"),
        (_budget(("trace",)), "it was not made inside a trace"),
        (_budget(("team",), provider="x"), "its provider is openai, not x; it has no tag team"),
    ],
)
def test_reasons(budget, reason):
    """Each thing that keeps a budget from a call is told, all of them at once."""
    assert why_not(budget, CALL) == reason


_words = st.sampled_from(["a", "b", "A*", ""])
_maybe = st.none() | _words
_tags = st.dictionaries(st.sampled_from(["x", "y"]), _words)


@given(
    st.builds(Match, provider=_maybe, model=_maybe, operation=_maybe, service=_maybe, tags=_tags),
    st.lists(st.sampled_from(["x", "y", "trace", "service"]), unique=True).map(tuple),
    st.builds(Subject, _words, _words, _words, _words, _tags, _maybe),
)
def test_a_reason_exactly_where_the_budget_is_not_concerned(match, per, subject):
    """There is a reason if and only if the budget has no key for the call."""
    budget = Budget("b", Period("day"), Limits(1), match=match, per=per)
    assert (why_not(budget, subject) is None) == (budget.key(subject) is not None)
