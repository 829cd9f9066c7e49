"""The endpoints of a provider, and of the dialects, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_aicost.model import METERS
from otel_aicost.providers import ENDPOINTS, POLLS
from tools.providers.meters import meters_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.providers.base import Endpoint, Provider

Table = dict[str, tuple["Endpoint", str]]
"""End of a path -> endpoint, and with which methods it is asked."""
Meters = dict[str, frozenset[str]]
"""Operation, or where they are told -> meters."""
_MANY = 5
"""More operations of one kind are the rest."""


class _Row(NamedTuple):
    """What endpoints of one kind have in common."""

    operation: str
    method: str
    notes: str


def operations(provider: Provider) -> list[str]:
    """What a provider has endpoints of its own for; families of operations (`places.details`) by what comes first."""
    found = [endpoint.operation for endpoint in (*provider.endpoints.values(), *provider.polls.values())]
    return list(dict.fromkeys(operation.partition(".")[0].replace("_", " ") for operation in found))


def own(provider: Provider) -> str:
    """The endpoints that a provider has beside the dialects, and what else is its own."""
    table = _joined(provider.endpoints, provider.polls)
    known = {
        f"those of a chat in [{name}'s dialect](#{name.lower()}s-dialect)": _meters(spoken)["chat"]
        for name, spoken in _dialects().items()
    }
    told = [_written(table, _metered(_meters(table), known))] if table else []
    if provider.priced_by_request:
        told.append("The model of the request decides the price, not that of the response.")
    if provider.closed:
        told.append("No other path counts.")
    return "\n\n".join(told)


def dialects() -> str:
    """What many providers speak, each dialect by itself."""
    parts = []
    for name, table in _dialects().items():
        meters = _meters(table)
        told = _metered(meters, {"those of a chat": meters["chat"]}, full="chat")
        parts.append(f"### {name}'s dialect\n\n{_written(table, told)}")
    return "\n\n".join(parts)


def _dialects() -> dict[str, Table]:
    found: dict[str, Table] = {}
    for path, (endpoint, method) in _joined(ENDPOINTS, POLLS).items():
        name = "Anthropic" if ".anthropic" in endpoint.read.__module__ else "OpenAI"
        found.setdefault(name, {})[path] = endpoint, method
    return found


def _joined(posted: Mapping[str, Endpoint], fetched: Mapping[str, Endpoint]) -> Table:
    table: Table = {path: (endpoint, "") for path, endpoint in posted.items()}
    for path, endpoint in fetched.items():
        both = path in table
        table[path if not both or table[path][0] is endpoint else f"{path} "] = (
            endpoint,
            "a GET too" if both else "a GET",
        )
    return table


def _meters(table: Table) -> Meters:
    """By operation. One without any is billed elsewhere: where its result is fetched."""
    found: dict[str, set[str]] = {}
    for endpoint, _ in table.values():
        if not endpoint.free:
            found.setdefault(endpoint.operation, set()).update(meters_of(endpoint))
    return {operation: frozenset(meters) for operation, meters in found.items() if meters}


def _written(table: Table, meters: str) -> str:
    rows: dict[_Row, list[str]] = {}
    for path, (endpoint, method) in table.items():
        rows.setdefault(_Row(endpoint.operation, method, _notes(endpoint)), []).append(f"`{path.strip()}`")
    lines = ["| operation | a POST to a path that ends with | |", "|---|---|---|"]
    for row, paths in rows.items():
        notes = ", ".join(note for note in (row.method, row.notes) if note)
        lines.append(f"| {row.operation} | {', '.join(paths)} | {notes} |")
    return "\n".join([*lines, "", meters])


def _metered(meters: Meters, known: Meters, full: str | None = None) -> str:
    """Which operations have which meters; those of `full` are not told by where else they are."""
    groups: dict[frozenset[str], list[str]] = {}
    for operation, names in meters.items():
        groups.setdefault(names, []).append(operation)
    told = sorted(groups.items(), key=lambda group: len(group[1]) > _MANY)
    lines: list[str] = []
    for names, operations in told:
        rest = lines and len(operations) > _MANY
        named = _named(names, {} if full in operations else known)
        lines.append(f"{'The rest' if rest else ', '.join(operations)}: {named}.")
    return "\n".join(f"- {line}" for line in lines) if len(lines) > 1 else f"Meters of {lines[0]}"


def _named(names: frozenset[str], known: Meters) -> str:
    """Meters by their names; many of them, that have been told elsewhere, by where."""
    where = next((where for where, there in known.items() if there <= names), None)
    own = [f"`{name}`" for name in METERS if name in names - known.get(str(where), frozenset())]
    return ", ".join([where, *own] if where else own)


def _notes(endpoint: Endpoint) -> str:
    notes = (
        ("free", endpoint.free),
        ("fetches what was spent before, counted once", endpoint.past),
        ("counts if it tells a usage", endpoint.only_with_usage and not endpoint.past),
    )
    return "; ".join(note for note, holds in notes if holds)
