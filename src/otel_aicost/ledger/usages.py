"""The usages of single calls, by what decides their price: for pricing many of them again at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection


class UsageKind(NamedTuple):
    """What the calls of a group have in common."""

    provider: str
    request_model: str | None
    response_model: str | None
    conditions: str
    """JSON."""
    calls: int


def kinds(connection: Connection, since_ns: int, until_ns: int) -> list[UsageKind]:
    """The groups of calls since then that report a usage, and whose cost no provider stated."""
    found = connection.execute(text(_KINDS), {"since": since_ns, "until": until_ns})
    return [UsageKind(*row) for row in found]


def usages(connection: Connection, kind: UsageKind, since_ns: int, until_ns: int) -> Iterator[tuple[str, int]]:
    """The different usages of a group (JSON), and how many calls had each."""
    asked = {**kind._asdict(), "since": since_ns, "until": until_ns}
    asked["request_model"], asked["response_model"] = kind.request_model or "", kind.response_model or ""
    del asked["calls"]
    for usage, count in connection.execute(text(_USAGES), asked):
        yield str(usage), int(count)


_WHERE: Final = """
    FROM calls WHERE started_ns >= :since AND started_ns < :until AND usage <> '{}' AND usage_state <> 'invalid'
    AND coalesce(cost_source, '') <> 'provider'
"""
_KINDS: Final = f"""
    SELECT provider, request_model, response_model, conditions, count(*) {_WHERE}
    GROUP BY provider, request_model, response_model, conditions
    ORDER BY provider, request_model, response_model, conditions
"""
_USAGES: Final = f"""
    SELECT usage, count(*) {_WHERE} AND provider = :provider AND conditions = :conditions
    AND coalesce(request_model, '') = :request_model AND coalesce(response_model, '') = :response_model
    GROUP BY usage
"""
