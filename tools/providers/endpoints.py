"""The endpoints of a provider, and of the dialects, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otel_aicost.providers import ENDPOINTS, POLLS
from tools.providers.meters import meters_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_aicost.providers.base import Endpoint, Provider

Table = dict[str, tuple["Endpoint", str]]
"""End of a path -> endpoint, and with which methods it is asked."""


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
    told = [_written(_joined(provider.endpoints, provider.polls))] if provider.endpoints or provider.polls else []
    if provider.priced_by_request:
        told.append("The model of the request decides the price, not that of the response.")
    if provider.closed:
        told.append("No other path counts.")
    return "\n\n".join(told)


def dialects() -> str:
    """What many providers speak, each dialect by itself."""
    found: dict[str, Table] = {}
    for path, (endpoint, method) in _joined(ENDPOINTS, POLLS).items():
        family = "Anthropic" if ".anthropic" in endpoint.read.__module__ else "OpenAI"
        found.setdefault(family, {})[path] = endpoint, method
    return "\n\n".join(f"### {family}'s dialect\n\n{_written(table)}" for family, table in found.items())


def _joined(posted: Mapping[str, Endpoint], fetched: Mapping[str, Endpoint]) -> Table:
    table: Table = {path: (endpoint, "") for path, endpoint in posted.items()}
    for path, endpoint in fetched.items():
        both = path in table
        table[path if not both or table[path][0] is endpoint else f"{path} "] = (
            endpoint,
            "a GET too" if both else "a GET",
        )
    return table


def _written(table: Table) -> str:
    rows: dict[_Row, list[str]] = {}
    meters: dict[tuple[str, ...], list[str]] = {}
    for path, (endpoint, method) in table.items():
        rows.setdefault(_Row(endpoint.operation, method, _notes(endpoint)), []).append(f"`{path.strip()}`")
        if not endpoint.free:
            meters.setdefault(meters_of(endpoint), []).append(endpoint.operation)
    lines = ["| operation | a POST to a path that ends with | |", "|---|---|---|"]
    for row, paths in rows.items():
        notes = ", ".join(note for note in (row.method, row.notes) if note)
        lines.append(f"| {row.operation} | {', '.join(paths)} | {notes} |")
    return "\n".join(lines) + "\n\n" + _metered(meters)


def _metered(found: Mapping[tuple[str, ...], list[str]]) -> str:
    """Meters, and of which operations; those that most have in common come last, as the rest."""
    told = sorted(found.items(), key=lambda group: len(group[1]))
    lines = [f"{_named(operations)}: {_code(meters)}." for meters, operations in told[:-1]]
    lines += [f"{'The rest' if lines else 'Meters'}: {_code(meters)}." for meters, _ in told[-1:]]
    return "\n".join([f"- {line}" for line in lines] if len(lines) > 1 else lines)


def _named(operations: list[str]) -> str:
    return ", ".join(dict.fromkeys(operations))


def _code(words: Sequence[str]) -> str:
    return ", ".join(f"`{word}`" for word in words) or "none"


def _notes(endpoint: Endpoint) -> str:
    notes = (
        ("free", endpoint.free),
        ("fetches what was spent before, counted once", endpoint.past),
        ("counts if it tells a usage", endpoint.only_with_usage and not endpoint.past),
    )
    return "; ".join(note for note, holds in notes if holds)
