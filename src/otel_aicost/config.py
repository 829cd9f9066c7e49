"""Settings: the environment read into one frozen object, every mistake reported at once."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from otel_aicost import names
from otel_aicost.alerts.settings import STALE_DAYS
from otel_aicost.budgets.budget import ON_EXCEED, Plan, parse_money
from otel_aicost.budgets.simple import simple_budgets
from otel_aicost.errors import BudgetFileError
from otel_aicost.model import NANO_DIGITS
from otel_aicost.tags import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_aicost.apis import Api
    from otel_aicost.budgets.budget import OnExceed

DEFAULT_RETENTION_DAYS = 400
"""Thirteen months of single calls: this month can be held against the same month of last year."""

DEFAULT_CONFIG = Path("aicost.yaml")
"""In the current directory; that it is missing is no mistake."""

StreamUsage = Literal["estimate", "inject"]


def default_ledger() -> Path:
    """The ledger of this user: `aicost/ledger.db` in the platform's state directory."""
    import platformdirs  # noqa: PLC0415 - not needed where the user names a file

    return Path(platformdirs.user_state_dir("aicost", appauthor=False)) / "ledger.db"


def default_price_data() -> Path:
    """Where this user's fetched prices are: `prices` beside the default ledger."""
    return default_ledger().with_name("prices")


SERVER_SCHEMES: Final = ("postgresql://", "postgres://")
_LAST_PORT: Final = 65_535
_OFF: Final = frozenset({"off", "none", "false"})


@dataclass(frozen=True, slots=True)
class Server:
    """A ledger on PostgreSQL, which the processes of many hosts share."""

    url: str = field(repr=False)
    """As libpq takes it; it may hold a password."""
    outbox: Path
    """The SQLite file on this host in which calls wait until the server has them."""

    def __str__(self) -> str:
        return shown_url(self.url)


def server(url: str, outbox: Path | None = None) -> Server:
    """The ledger at `url`; its outbox is beside the default ledger, unless another is named."""
    # Named after the place only: a new password, or another option, must not leave the old outbox behind.
    place = hashlib.sha256(shown_url(url).encode()).hexdigest()[:8]
    return Server(url, outbox or default_ledger().with_name(f"outbox-{place}.db"))


def shown_url(url: str) -> str:
    """A URL without what may be secret in it: user, password and options."""
    scheme, _, rest = url.partition("://")
    place = rest.partition("?")[0]
    if "@" in rest and "@" not in place:  # a password with a question mark in it
        return f"{scheme}://..."
    return f"{scheme}://{place.rpartition('@')[2]}"


def ledger_at(text: str, outbox: Path | None = None) -> Path | Server:
    """The ledger that a user names: a file, `sqlite:///FILE` or `postgresql://...`.

    Raises `ValueError` for the address of anything else.
    """
    if text.startswith(SERVER_SCHEMES):
        return server(text, outbox)
    path = text.removeprefix("sqlite:///")
    if "://" in path:
        msg = "expected a file, sqlite:///FILE, postgresql://USER:PASSWORD@HOST/DATABASE or off"
        raise ValueError(msg)
    return _path(path)


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user decided. `Settings()` is what an empty environment gives."""

    enabled: bool = True
    disabled_sdks: frozenset[str] = frozenset()
    apis: tuple[Api, ...] = ()
    """Calls made with httpx or requests that count; of the file, as it was when the process began."""
    ledger: Path | Server | None = field(default_factory=default_ledger)
    """The SQLite file or the PostgreSQL server, or `None`: no ledger."""
    outbox: Path | None = None
    """Where calls wait for a server; `None`: beside the default ledger."""
    retention_days: int = DEFAULT_RETENTION_DAYS
    """Single calls older than this are folded into daily totals; 0 keeps them for ever."""
    jsonl: Path | None = None
    prices: Path | None = None
    price_data: Path = field(default_factory=default_price_data)
    """The directory where `aicost prices update` stores what it fetched."""
    stale_days: int | None = None
    """After how many days prices are stale, whatever the file says; 0: never, `None`: what the file says."""
    provider_hosts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """`host` or `host:port` -> provider."""
    stream_usage: StreamUsage = "estimate"
    tags: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    baggage_keys: tuple[str, ...] = ()
    price_spans: bool = False
    """Count the calls that spans of other instrumentations stand for."""
    metric_tags: tuple[str, ...] = ("feature", "team", "job")
    """The tags that metrics, and the ledger's running totals, are kept apart by."""
    config: Path | None = DEFAULT_CONFIG
    """The file of budgets, or `None`: none is read."""
    daily_limit: Decimal | None = None
    """Dollars, as the other limits."""
    monthly_limit: Decimal | None = None
    user_daily_limit: Decimal | None = None
    work_limit: tuple[str, Decimal] | None = None
    """The tag that names a unit of work, and what each may cost."""
    on_exceed: OnExceed = "warn"
    prometheus_port: int | None = None
    """Where this process serves its metrics; `None`: nowhere."""
    prometheus_host: str = "127.0.0.1"
    serve_token: str | None = field(default=None, repr=False)
    """What `aicost serve` asks its callers for."""
    alertmanagers: tuple[str, ...] = field(default=(), repr=False)
    """Where `aicost serve` posts budget alerts; an address may hold a password."""


def load(environ: Mapping[str, str] | None = None) -> tuple[Settings, list[str]]:
    """Read the settings from `environ` (the process's own by default).

    Returns the settings, with the default wherever a value cannot be used, and one sentence for each mistake
    that names the variable, what it holds, and what it could hold. It never raises: a typo must not stop the
    application it is made in. `aicost doctor` shows the same sentences.
    """
    source = os.environ if environ is None else environ
    mistakes: list[str] = []
    values: dict[str, object] = {}
    for attribute, (name, parse) in _VARIABLES.items():
        text = source.get(name, "").strip()
        if not text:
            continue
        try:
            values[attribute] = parse(text)
        except ValueError as error:
            mistakes.append(f"{name}={_told(name, text)!r}: {error}")
    mistakes += _unknown_variables(source)
    settings = Settings(**values)  # type: ignore[arg-type]  # each parser gives its attribute's type
    if settings.outbox is not None and isinstance(settings.ledger, Server):
        settings = replace(settings, ledger=replace(settings.ledger, outbox=settings.outbox))
    return settings, mistakes


def load_budgets(settings: Settings) -> tuple[Plan, list[str]]:
    """The budgets of the file and of the variables, and every mistake in them. It never raises.

    A file with a mistake is left out as a whole: which calls it was about cannot be told. The variables still hold.
    """
    plan, mistakes = Plan(), []
    path = budget_file(settings)
    if path is not None:
        from otel_aicost.budgets.reading import read_budgets  # noqa: PLC0415 - YAML is not needed without a file

        try:
            plan = read_budgets(path)
        except BudgetFileError as error:
            mistakes += [*error.mistakes, f"{path}: NONE of its budgets holds until that is mended"]
    if plan.alerts is not None:
        plan = replace(plan, alerts=replace(plan.alerts, stale_days=stale_days(plan, settings)))
    simple = simple_budgets(
        settings.daily_limit,
        settings.monthly_limit,
        settings.user_daily_limit,
        settings.work_limit,
        settings.on_exceed,
    )
    named = {budget.name for budget in plan.budgets}
    clashes = sorted(budget.name for budget in simple if budget.name in named)
    mistakes += [f"{path}: has a budget {name!r}, which is that of a variable; the file's holds" for name in clashes]
    others = tuple(budget for budget in simple if budget.name not in named)
    return replace(plan, budgets=(*plan.budgets, *others)), mistakes


def stale_days(plan: Plan, settings: Settings | None = None) -> int | None:
    """After how many days prices that nobody refreshed are stale; `None`: never.

    As the variable says (of the process's own environment without `settings`), else `stale_prices` of the file.
    """
    told = (load()[0] if settings is None else settings).stale_days
    if told is not None:
        return told or None
    return STALE_DAYS if plan.alerts is None else plan.alerts.stale_days


def budget_file(settings: Settings) -> Path | None:
    """The file of budgets, if one is named or there is one in the current directory."""
    path = settings.config
    return path if path is not None and (path != DEFAULT_CONFIG or path.is_file()) else None


def _told(name: str, text: str) -> str:
    """A value that is wrong, without the password that it may hold."""
    if name == names.ENV_ALERTMANAGER:  # it may be several addresses, and no address at all
        return text.rpartition("@")[2].partition("?")[0]
    return shown_url(text) if "://" in text else text


def _unknown_variables(source: Mapping[str, str]) -> list[str]:
    known = {name for name, _ in _VARIABLES.values()}
    strangers = sorted(name for name in source if name.startswith("OTEL_AICOST_") and name not in known)
    return [f"{name}: no such variable; the known ones are {', '.join(sorted(known))}" for name in strangers]


def _boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in {"true", "1", "yes", "on"}:
        return True
    if lowered in {"false", "0", "no", "off"}:
        return False
    msg = "expected true or false"
    raise ValueError(msg)


def _ledger(text: str) -> Path | Server | None:
    return None if text.lower() in _OFF else ledger_at(text)


def _path(text: str) -> Path:
    return Path(text).expanduser().absolute()


def _days(text: str) -> int:
    if not text.isdigit():
        msg = "expected a whole number of days, 0 to keep every call"
        raise ValueError(msg)
    return int(text)


def _stale_days(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        msg = "expected a whole number of days, 0 not to be told"
        raise ValueError(msg)
    return int(text)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _pairs(text: str) -> Mapping[str, str]:
    pairs: dict[str, str] = {}
    for word in _words(text):
        key, equals, value = word.partition("=")
        if not (equals and key.strip() and value.strip()):
            msg = f"expected key=value,key=value and found {word!r}"
            raise ValueError(msg)
        pairs[key.strip()] = value.strip()
    return MappingProxyType(pairs)


def _hosts(text: str) -> Mapping[str, str]:
    return MappingProxyType({host.lower(): provider for host, provider in _pairs(text).items()})


def _config(text: str) -> Path | None:
    return None if text.lower() in _OFF else _path(text)


def _dollars(text: str) -> Decimal:
    return Decimal(parse_money(text)).scaleb(-NANO_DIGITS)


def _work(text: str) -> tuple[str, Decimal]:
    tag, equals, amount = text.partition("=")
    if not equals or not KEY.fullmatch(tag.strip()):
        msg = "expected a tag and what each of its values may cost: analysis_id=5"
        raise ValueError(msg)
    return tag.strip(), _dollars(amount)


def _on_exceed(text: str) -> str:
    if text.lower() not in ON_EXCEED:
        msg = f"expected {' or '.join(ON_EXCEED)}"
        raise ValueError(msg)
    return text.lower()


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() else 0
    if not 0 < port <= _LAST_PORT:
        msg = f"expected the number of a port, 1 to {_LAST_PORT}"
        raise ValueError(msg)
    return port


def web_address(text: str) -> str:
    """The address of a service, `http://HOST:PORT/PATH`. Raises `ValueError` for anything else."""
    try:
        parts = urlsplit(text.strip())
        right = parts.scheme in {"http", "https"} and bool(parts.hostname) and not (parts.query or parts.fragment)
        _ = parts.port
    except ValueError:
        right = False
    if not right:
        msg = "expected an address such as http://127.0.0.1:9093"
        raise ValueError(msg)
    return text.strip().rstrip("/")


def _web_addresses(text: str) -> tuple[str, ...]:
    return tuple(web_address(word) for word in _words(text))


def _stream_usage(text: str) -> str:
    if text not in {"estimate", "inject"}:
        msg = "expected estimate or inject"
        raise ValueError(msg)
    return text


_VARIABLES: dict[str, tuple[str, Callable[[str], object]]] = {
    "enabled": (names.ENV_ENABLED, _boolean),
    "disabled_sdks": (names.ENV_DISABLED, lambda text: frozenset(_words(text))),
    "ledger": (names.ENV_LEDGER, _ledger),
    "outbox": (names.ENV_OUTBOX, _path),
    "retention_days": (names.ENV_RETENTION, _days),
    "jsonl": (names.ENV_JSONL, _path),
    "prices": (names.ENV_PRICES, _path),
    "price_data": (names.ENV_PRICE_DATA, _path),
    "stale_days": (names.ENV_STALE_DAYS, _stale_days),
    "provider_hosts": (names.ENV_PROVIDER_HOSTS, _hosts),
    "stream_usage": (names.ENV_STREAM_USAGE, _stream_usage),
    "tags": (names.ENV_TAGS, _pairs),
    "baggage_keys": (names.ENV_BAGGAGE_KEYS, _words),
    "price_spans": (names.ENV_PRICE_SPANS, _boolean),
    "metric_tags": (names.ENV_METRIC_TAGS, lambda text: () if text.lower() in _OFF else _words(text)),
    "config": (names.ENV_CONFIG, _config),
    "daily_limit": (names.ENV_DAILY_LIMIT, _dollars),
    "monthly_limit": (names.ENV_MONTHLY_LIMIT, _dollars),
    "user_daily_limit": (names.ENV_USER_DAILY_LIMIT, _dollars),
    "work_limit": (names.ENV_WORK_LIMIT, _work),
    "on_exceed": (names.ENV_ON_EXCEED, _on_exceed),
    "prometheus_port": (names.ENV_PROMETHEUS_PORT, _port),
    "prometheus_host": (names.ENV_PROMETHEUS_HOST, str),
    "serve_token": (names.ENV_SERVE_TOKEN, str),
    "alertmanagers": (names.ENV_ALERTMANAGER, _web_addresses),
}
