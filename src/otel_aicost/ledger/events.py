"""The audit trail: who changed what about budgets and costs, and when. Events are added and read, never rewritten."""

from __future__ import annotations

import getpass
import os
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

from otel_aicost.ids import new_id

if TYPE_CHECKING:
    from otel_aicost.ledger.store import Connection

LIMIT_SET: Final = "limit_set"
LIMIT_UNSET: Final = "limit_unset"
DEFINITION_ADDED: Final = "definition_added"
DEFINITION_CHANGED: Final = "definition_changed"
BALANCE_REPAIRED: Final = "balance_repaired"
TOTAL_REPAIRED: Final = "total_repaired"
CALLS_REPRICED: Final = "calls_repriced"


class Event(NamedTuple):
    """One change. `was` and `became` are for people, with exact amounts; `None`: there was, or is, nothing."""

    id: str
    at_ns: int
    who: str
    kind: str
    subject: str
    """The budget, and after a space the key, if it is about one."""
    was: str | None
    became: str | None


def subject(budget: str, key: str = "") -> str:
    """What an event about a budget, or one key of it, is about. Names of budgets hold no space."""
    return f"{budget} {key}" if key else budget


def add(  # noqa: PLR0913 - each a fact of the event
    connection: Connection, who: str, kind: str, about: str, *, was: str | None, became: str | None, now_ns: int
) -> None:
    """Add an event, in the transaction of the change it tells of."""
    connection.execute(
        "INSERT INTO events (id, at_ns, who, kind, subject, was, became) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (new_id(), now_ns, who, kind, about, was, became),
    )


def listed(connection: Connection, budget: str | None = None, limit: int | None = None) -> list[Event]:
    """The events, of one budget or of all, the newest first; at most `limit` of them."""
    where, parameters = ("", ())
    if budget is not None:
        where = "WHERE subject = ? OR substr(subject, 1, ?) = ?"
        parameters = (budget, len(budget) + 1, f"{budget} ")  # type: ignore[assignment]
    rows = connection.execute(
        "SELECT id, at_ns, who, kind, subject, was, became FROM events "  # noqa: S608 - constants
        f"{where} ORDER BY at_ns DESC, id DESC" + ("" if limit is None else f" LIMIT {int(limit)}"),
        parameters,
    ).fetchall()
    return [Event(*row) for row in rows]


def whoami() -> str:
    """The user of the operating system and the machine: `alice@build-7`."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run as a number that has no name
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
