"""What Alertmanager's webhook sends (version 4), read and checked, as rows of the ledger's alerts."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from otel_aicost.alerts.alert import ALERTMANAGER, SEVERITIES, alert, plain
from otel_aicost.ledger.received import Crossing
from otel_aicost.server.labels import EXCEEDED, THRESHOLD

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

    from otel_aicost.alerts.alert import AlertRow, Severity

MOST_ALERTS: Final = 5000
LONGEST_NAME: Final = 100
_LONGEST_MISTAKE: Final = 300
_TEXTS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["version", "alerts"],
    "properties": {
        "version": {"const": "4"},
        "alerts": {
            "type": "array",
            "maxItems": MOST_ALERTS,
            "items": {
                "type": "object",
                "required": ["status", "labels", "startsAt", "fingerprint"],
                "properties": {
                    "status": {"enum": ["firing", "resolved"]},
                    "labels": {**_TEXTS, "required": ["alertname"]},
                    "annotations": _TEXTS,
                    "startsAt": {"type": "string"},
                    "endsAt": {"type": "string"},
                    "generatorURL": {"type": "string"},
                    "fingerprint": {"type": "string", "pattern": "^[0-9a-f]{1,64}$"},
                },
            },
        },
    },
}


class WrongPayloadError(ValueError):
    """The body is not what Alertmanager sends; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Received:
    """One alert of a notification."""

    row: AlertRow
    crossing: Crossing | None
    """What it says of a budget, if it is one of our own budget alerts that came back."""


def read(body: bytes, now_ns: int) -> list[Received]:
    """The alerts in the body of a notification. Raises `WrongPayloadError`."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        msg = f"the body is no JSON: {error}"
        raise WrongPayloadError(msg) from None
    mistake = next(_validator().iter_errors(told), None)
    if mistake is not None:
        where = "the body" if mistake.json_path == "$" else mistake.json_path.removeprefix("$.")
        msg = f"{where}: {plain(mistake.message)[:_LONGEST_MISTAKE]}"
        raise WrongPayloadError(msg)
    return [_received(each, f"alerts[{number}]", now_ns) for number, each in enumerate(told["alerts"])]


def _received(told: dict[str, Any], where: str, now_ns: int) -> Received:
    labels, annotations = told["labels"], told.get("annotations", {})
    name = plain(labels["alertname"])[:LONGEST_NAME]
    begun_ns = _instant(told["startsAt"], f"{where}.startsAt")
    title = annotations.get("summary") or annotations.get("description") or name
    row = alert(
        name,
        _severity(labels.get("severity", "")),
        " ".join(title.split()),
        once=(ALERTMANAGER, told["fingerprint"], str(begun_ns)),
        at_ns=begun_ns,
        details={
            "labels": labels,
            "annotations": annotations,
            "generatorURL": told.get("generatorURL", ""),
            "startsAt": told["startsAt"],
            "endsAt": _end(told),
        },
        budget=labels.get("budget"),
        key=labels.get("key"),
    )
    row = replace(row, source=ALERTMANAGER)
    if told["status"] == "resolved":
        row = replace(row, state="resolved", state_at_ns=now_ns)
    return Received(row, _crossing(labels))


def _severity(text: str) -> Severity:
    return next((each for each in SEVERITIES if each == text.strip().lower()), "warning")


def _end(told: dict[str, Any]) -> str | None:
    """When it ended; Alertmanager writes the year 1 for one that goes on."""
    return told.get("endsAt") if told["status"] == "resolved" else None


def _instant(text: str, where: str) -> int:
    """Nanoseconds since the epoch, exact to microseconds."""
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=at.tzinfo or UTC)
        nano = int(at.timestamp()) * 10**9 + at.microsecond * 1000
    except (ValueError, OverflowError):
        nano = -1
    if not 0 <= nano < 2**63:
        msg = f"{where}: {plain(text)[:LONGEST_NAME]!r} is no time such as 2026-11-21T10:00:00Z"
        raise WrongPayloadError(msg)
    return nano


def _crossing(labels: dict[str, str]) -> Crossing | None:
    budget, key = labels.get("budget"), labels.get("key", "")
    if budget is None:
        return None
    if labels["alertname"] == EXCEEDED:
        return Crossing(budget, key, None)
    if labels["alertname"] != THRESHOLD:
        return None
    try:
        return Crossing(budget, key, Decimal(labels.get("threshold", "")))
    except InvalidOperation:
        return None


@cache
def _validator() -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - takes 0.1 s, needed with the first notification

    return Draft202012Validator(_SCHEMA)
