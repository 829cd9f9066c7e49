"""Calls that are in the ledger, read page by page with all that their price depends on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otel_aicost.ledger.store import Connection

PAGE: Final = 500
"""So many calls are read, and changed in one transaction, at a time: nobody waits long."""


class StoredCall(NamedTuple):
    """A row of `calls`, as far as it matters to its price; texts of JSON as they are."""

    id: str
    started_ns: int
    provider: str
    operation: str
    model: str
    request_model: str | None
    response_model: str | None
    service: str
    status: str
    usage_state: str
    estimated: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    usage: str
    conditions: str
    tags: str
    cost_nano: int | None
    cost_source: str | None
    price_id: str | None
    price_date: str | None
    catalogue: str | None
    unpriced: str | None
    unpriced_detail: str | None
    parts: str
    cache_saved_nano: int
    batch_saved_nano: int


class Which(NamedTuple):
    """Which calls; what is `None` does not matter."""

    since_ns: int | None = None
    until_ns: int | None = None
    """Exclusive."""
    provider: str | None = None
    model: str | None = None
    """A pattern of LIKE in lower case, with a backslash before what is meant as it stands."""
    unpriced: bool = False


def pages(connection: Connection, which: Which) -> Iterator[list[StoredCall]]:
    """All calls that match, the oldest first."""
    after: tuple[int, str] | None = (-1, "")
    while after is not None and (found := page(connection, which, after)):
        yield found
        after = next_after(found)


def next_after(found: Sequence[StoredCall]) -> tuple[int, str] | None:
    """Where the page after this one begins; `None` behind the last, lest programs that write make it endless."""
    return (found[-1].started_ns, found[-1].id) if len(found) == PAGE else None


def page(connection: Connection, which: Which, after: tuple[int, str]) -> list[StoredCall]:
    """The next calls that match, behind the one that began then and has that id."""
    where, parameters = _condition(which)
    sql = f"SELECT {_COLUMNS} FROM calls WHERE {_AFTER} AND {where} ORDER BY started_ns, id LIMIT {PAGE}"  # noqa: S608
    return [StoredCall(*row) for row in connection.execute(sql, (after[0], *after, *parameters)).fetchall()]


def these(connection: Connection, identifiers: Sequence[str]) -> list[StoredCall]:
    """The calls with these ids, those that are still there."""
    sql = f"SELECT {_COLUMNS} FROM calls WHERE id IN ({', '.join('?' * len(identifiers))})"  # noqa: S608 - marks
    return [StoredCall(*row) for row in connection.execute(sql, identifiers).fetchall()]


def count(connection: Connection, which: Which) -> int:
    """How many calls match."""
    where, parameters = _condition(which)
    return int(connection.execute(f"SELECT count(*) FROM calls WHERE {where}", parameters).fetchone()[0])  # noqa: S608


def count_folded(connection: Connection, which: Which, days: tuple[str | None, str | None]) -> tuple[int, int]:
    """How many calls that match are parts of daily totals by now, and how many of those have no price.

    `days`: the first, and the first after the last.
    """
    where, parameters = _condition(which._replace(since_ns=None, until_ns=None))
    for sign, day in zip((">=", "<"), days, strict=True):
        if day is not None:
            where += f" AND day {sign} ?"
            parameters.append(day)
    sums = "sum(calls), sum(CASE WHEN unpriced IS NULL THEN 0 ELSE calls END)"
    row = connection.execute(f"SELECT {sums} FROM rollups WHERE {where}", parameters).fetchone()  # noqa: S608
    return int(row[0] or 0), int(row[1] or 0)


def _condition(which: Which) -> tuple[str, list[Any]]:
    conditions: list[tuple[str, Any]] = [
        ("started_ns >= ?", which.since_ns),
        ("started_ns < ?", which.until_ns),
        ("provider = ?", which.provider),
        ("lower(model) LIKE ? ESCAPE '\\'", which.model),
    ]
    asked = [(sql, value) for sql, value in conditions if value is not None]
    words = [sql for sql, _ in asked] + (["unpriced IS NOT NULL"] if which.unpriced else [])
    return " AND ".join(words) or "1 = 1", [value for _, value in asked]


_COLUMNS: Final = ", ".join(StoredCall._fields)
# The first part is for the index, which knows nothing of ids.
_AFTER: Final = "started_ns >= ? AND (started_ns, id) > (?, ?)"
