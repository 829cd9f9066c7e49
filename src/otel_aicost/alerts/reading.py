"""Reading the section `alerts:` of `aicost.yaml`; no mistake ever shows the URL of a channel."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from otel_aicost.alerts.alert import SEVERITIES
from otel_aicost.alerts.settings import AlertSettings, Channel, ExpensiveModels, LowCacheShare, SpendSpike
from otel_aicost.budgets.budget import parse_money
from otel_aicost.yaml_file import TAG, WrongError, flag, line_of, list_of_text, scalar, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otel_aicost.yaml_file import Reader

NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,63}")
MOST_TIMES: Final = 1000
MOST_DAYS: Final = 3660
_KEYS: Final = (
    "channels",
    "daily_summary",
    "low_cache_share",
    "expensive_models",
    "spend_spike",
    "unpriced_calls",
    "stale_prices",
)
_URLS: Final = ("url", "url_env", "url_file")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://\S+")
_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_DAYS: Final = re.compile(r"(\d{1,4})\s*d")


def read_alerts(reader: Reader, node: yaml.Node, zone: str) -> AlertSettings:
    """What the section says; its mistakes are the reader's."""
    at = "alerts"
    if isinstance(node, yaml.ScalarNode) and node.tag == f"{TAG}null":  # `alerts:` and nothing more: the defaults
        return AlertSettings(timezone=zone)
    fields = reader.fields(node, at, (), _KEYS)
    told: dict[str, Any] = {
        "channels": _channels(reader, fields, at),
        "daily_summary": reader.value(fields, at, "daily_summary", _time),
        "low_cache_share": _low_cache_share(reader, fields, at),
        "expensive_models": _expensive_models(reader, fields, at),
        "spend_spike": _spend_spike(reader, fields, at),
        "unpriced_calls": reader.value(fields, at, "unpriced_calls", flag),
    }
    given = {key: value for key, value in told.items() if value is not None}
    days = reader.value(fields, at, "stale_prices", _days)
    if days is not None:
        given["stale_days"] = days or None
    return AlertSettings(**given, timezone=zone)


def _channels(reader: Reader, fields: Mapping[str, yaml.Node], at: str) -> tuple[Channel, ...]:
    told: dict[str, Channel] = {}
    for index, node in reader.items(fields, at, "channels"):
        where = f"{at}.channels[{index}]"
        channel = _channel(reader, node, where)
        if channel is None:
            continue
        if channel.name in told:
            reader.say(line_of(node), f"{where}.name", f"{channel.name!r} is the name of another; give it its own")
        told.setdefault(channel.name, channel)
    return tuple(told.values())


def _channel(reader: Reader, node: yaml.Node, at: str) -> Channel | None:
    fields = reader.fields(node, at, ("name",), ("severity", "daily_summary", *_URLS))
    name = reader.value(fields, at, "name", _name)
    if isinstance(node, yaml.MappingNode) and len(set(_URLS) & fields.keys()) != 1:
        reader.say(line_of(node), at, "needs one of `url`, `url_env` and `url_file`, and one only")
    told: dict[str, Any] = {
        "severity": reader.value(fields, at, "severity", _severity),
        "daily_summary": reader.value(fields, at, "daily_summary", flag),
        "url": reader.value(fields, at, "url", _url),
        "url_env": reader.value(fields, at, "url_env", _variable),
        "url_file": reader.value(
            fields, at, "url_file", lambda found: Path(reader.name).parent / Path(text_of(found)).expanduser()
        ),
    }
    return None if name is None else Channel(name, **{key: value for key, value in told.items() if value is not None})


def _low_cache_share(reader: Reader, fields: Mapping[str, yaml.Node], at: str) -> LowCacheShare | None:
    inner, at = _inner(reader, fields, at, "low_cache_share", ("below",), ("calls",))
    below, calls = reader.value(inner, at, "below", _share), reader.value(inner, at, "calls", _count)
    return None if below is None else LowCacheShare(below, *(() if calls is None else (calls,)))


def _expensive_models(reader: Reader, fields: Mapping[str, yaml.Node], at: str) -> ExpensiveModels | None:
    inner, at = _inner(reader, fields, at, "expensive_models", ("models", "above"), ("least",))
    models, above = reader.value(inner, at, "models", _models), reader.value(inner, at, "above", _share)
    least = reader.value(inner, at, "least", _money)
    if models is None or above is None:
        return None
    return ExpensiveModels(models, above, *(() if least is None else (least,)))


def _spend_spike(reader: Reader, fields: Mapping[str, yaml.Node], at: str) -> SpendSpike | None:
    inner, at = _inner(reader, fields, at, "spend_spike", ("times",), ("least",))
    times, least = reader.value(inner, at, "times", _times), reader.value(inner, at, "least", _money)
    return None if times is None else SpendSpike(times, *(() if least is None else (least,)))


def _inner(  # noqa: PLR0913, PLR0917 - as `fields`, with where it is
    reader: Reader,
    fields: Mapping[str, yaml.Node],
    at: str,
    key: str,
    needed: tuple[str, ...],
    known: tuple[str, ...],
) -> tuple[dict[str, yaml.Node], str]:
    where = f"{at}.{key}"
    return (reader.fields(fields[key], where, needed, known) if key in fields else {}), where


def _name(node: yaml.Node) -> str:
    text = text_of(node)
    if not NAME.fullmatch(text):
        msg = f"must be letters, digits, `_`, `-` and `.`, at most 64, and not {text!r}"
        raise WrongError(msg)
    return text


def _severity(node: yaml.Node) -> str:
    text = text_of(node).lower()
    if text not in SEVERITIES:
        msg = f"must be one of {', '.join(SEVERITIES)} and not {text!r}"
        raise WrongError(msg)
    return text


def _url(node: yaml.Node) -> str:
    if not (isinstance(node, yaml.ScalarNode) and _SCHEME.fullmatch(str(node.value).strip())):
        msg = "must be an Apprise URL such as mailto://, slack:// or json://, in quotes; what is there is not shown"
        raise WrongError(msg)
    return str(node.value).strip()


def _variable(node: yaml.Node) -> str:
    # A URL that was put here by mistake must not be shown.
    if not (isinstance(node, yaml.ScalarNode) and _VARIABLE.fullmatch(str(node.value))):
        msg = "must be the name of an environment variable; what is there is not shown"
        raise WrongError(msg)
    return str(node.value)


def _beside(name: str, node: yaml.Node) -> Path:
    return Path(name).parent / Path(text_of(node)).expanduser()


def _time(node: yaml.Node) -> int:
    found = _TIME.fullmatch(str(node.value)) if isinstance(node, yaml.ScalarNode) else None
    if found is None:
        msg = 'must be a time of day such as "08:00"'
        raise WrongError(msg)
    return int(found[1]) * 60 + int(found[2])


def _share(node: yaml.Node) -> Decimal:
    share = _number(node, "a share from 0 to 1, such as 0.2")
    if not 0 < share <= 1:
        msg = f"must be a share above 0 and up to 1, such as 0.2, and not {node.value!r}"
        raise WrongError(msg)
    return share


def _times(node: yaml.Node) -> Decimal:
    times = _number(node, "a number above 1, such as 3")
    if not 1 < times <= MOST_TIMES:
        msg = f"must be a number above 1 and up to {MOST_TIMES}, such as 3, and not {node.value!r}"
        raise WrongError(msg)
    return times


def _number(node: yaml.Node, expected: str) -> Decimal:
    text = scalar(node, ("int", "float"), expected)
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        msg = f"must be {expected} and not {text!r}"
        raise WrongError(msg)
    return number


def _count(node: yaml.Node) -> int:
    text = scalar(node, ("int",), "a whole number such as 100").replace("_", "")
    if not text.isdigit() or not int(text):
        msg = f"must be a whole number from 1 on and not {text!r}"
        raise WrongError(msg)
    return int(text)


def _money(node: yaml.Node) -> int:
    try:
        return parse_money(scalar(node, ("str", "int", "float"), "an amount such as 1 USD"))
    except ValueError as error:
        raise WrongError(str(error)) from None


def _models(node: yaml.Node) -> tuple[str, ...]:
    return (text_of(node),) if isinstance(node, yaml.ScalarNode) else list_of_text(node)


def _days(node: yaml.Node) -> int:
    """Days; 0 for `false`."""
    if isinstance(node, yaml.ScalarNode) and node.tag == f"{TAG}bool" and not flag(node):
        return 0
    found = _DAYS.fullmatch(str(node.value)) if isinstance(node, yaml.ScalarNode) else None
    if found is None or not 1 <= int(found[1]) <= MOST_DAYS:
        msg = f"must be a number of days such as 30d, at most {MOST_DAYS}d, or false"
        raise WrongError(msg)
    return int(found[1])
