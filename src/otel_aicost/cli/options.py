"""Options that several commands share, and how their text becomes a Filter."""

from __future__ import annotations

import functools
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from otel_aicost import config, names
from otel_aicost.errors import LedgerError
from otel_aicost.ledger.questions import Filter
from otel_aicost.tags import KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from otel_aicost.budgets.budget import Budget
    from otel_aicost.config import Server
    from otel_aicost.ledger.queries import Query
    from otel_aicost.ledger.reader import Ledger

F = TypeVar("F", bound="Callable[..., Any]")

YEARS = range(1970, 2262)
"""What fits the ledger's nanoseconds."""
SHORT = {"job": "job", "batch": "batch", "pr": "pull request"}
"""Tags with an option of their own, and what they stand for."""


def _day(_context: click.Context, _parameter: click.Parameter, text: str | None) -> date | None:
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        msg = f"{text!r} is not a date: write it as YYYY-MM-DD, for example 2026-11-21"
        raise click.BadParameter(msg) from None
    if day.year not in YEARS:
        msg = f"{text!r} is out of range: years {YEARS[0]} to {YEARS[-1]}"
        raise click.BadParameter(msg)
    return day


def past_day(context: click.Context, parameter: click.Parameter, text: str | None) -> date | None:
    """A day that is over or goes on, for an option."""
    day = _day(context, parameter, text)
    if day is not None and day > today():
        msg = f"{text!r} is in the future"
        raise click.BadParameter(msg)
    return day


def day_option(name: str, **more: Any) -> Callable[[F], F]:  # noqa: ANN401 - of click
    """An option that is a day of UTC."""
    return click.option(name, callback=_day, metavar="DATE", **more)


def tags_given(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """`key=value` as pairs."""
    pairs = []
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not KEY.fullmatch(key):
            msg = f"{text!r} is not a tag: write it as key=value, for example feature=search"
            raise click.BadParameter(msg)
        pairs.append((key, value))
    return tuple(pairs)


def filters(command: F) -> F:
    """The options that say which calls; the command gets them as keyword arguments for `chosen`."""
    options = (
        click.option(
            "--days",
            type=click.IntRange(min=1, max=100_000),
            metavar="N",
            help="The last N days, today included.",
        ),
        day_option("--since", help="From this day on (UTC)."),
        day_option("--until", help="Up to this day, itself included (UTC)."),
        click.option("--provider", metavar="NAME", help="Only calls to this provider, for example openai."),
        click.option("--model", metavar="GLOB", help="Only these models; * and ? stand for anything: 'gpt-4o*'."),
        click.option("--operation", metavar="NAME", help="Only this operation, for example chat or embeddings."),
        click.option("--service", metavar="NAME", help="Only calls of this service."),
        click.option(
            "--status", type=click.Choice(["ok", "error", "partial", "blocked"]), help="Only calls that ended so."
        ),
        click.option(
            "--tag",
            "tags",
            callback=tags_given,
            multiple=True,
            metavar="KEY=VALUE",
            help="Only calls with this tag; may be repeated.",
        ),
        *(
            click.option(f"--{key}", metavar="VALUE", help=f"Only calls of this {of}: --tag {key}=VALUE.")
            for key, of in SHORT.items()
        ),
    )
    return functools.reduce(lambda wrapped, option: option(wrapped), reversed(options), command)


class _Place(click.ParamType):  # type: ignore[type-arg]  # generic in some versions only
    """A ledger file, or the address of a server."""

    name = "ledger"

    def convert(
        self, value: str | Path | Server, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | Server:
        """The place; an address of anything else is a usage error."""
        if not isinstance(value, str):
            return value
        try:
            place = config.ledger_at(value, config.load()[0].outbox)
        except ValueError as error:
            self.fail(f"{config.shown_url(value)!r}: {error}", param, ctx)
        # A file is told as it was typed.
        return place if isinstance(place, config.Server) else Path(value.removeprefix("sqlite:///")).expanduser()


ledger_option = click.option(
    "--ledger",
    "path",
    type=_Place(),
    metavar="LEDGER",
    help="A file or postgresql://..., to read instead of the ledger in OTEL_AICOST_LEDGER or the default place.",
)


def format_option(*formats: str) -> Callable[[F], F]:
    """`--format`, the first of `formats` being the default."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(formats),
        default=formats[0],
        show_default=True,
        help="How to write it.",
    )


def today() -> date:
    """The current day of UTC."""
    return datetime.now(UTC).date()


def chosen(options: dict[str, Any], default_days: int | None = None) -> Filter:
    """The Filter that the options of `filters` (and `unpriced`, `estimated`) describe."""
    days = options.pop("days", None)
    since, until = options.pop("since", None), options.pop("until", None)
    if days is not None and (since or until):
        msg = "--days goes without --since and --until"
        raise click.UsageError(msg)
    if since and until and since > until:
        msg = f"--since {since} is after --until {until}"
        raise click.UsageError(msg)
    if days is None and not (since or until):
        days = default_days
    if days is not None:
        until = today()
        since = max(until - timedelta(days=days - 1), date(YEARS[0], 1, 1))
    short = [(key, value) for key in SHORT if (value := options.pop(key, None)) is not None]
    return Filter(since=since, until=until, tags=(*options.pop("tags", ()), *short), **options)


def opened(path: Path | Server | None) -> Ledger:
    """The ledger to read: the option, the environment or the default place.

    Raises `LedgerError` when it is switched off, missing or cannot be read.
    """
    from otel_aicost.ledger.reader import open_ledger  # noqa: PLC0415

    return open_ledger(ledger_path(path))


def ledger_path(path: Path | Server | None) -> Path | Server:
    """Where the ledger is: the option, the environment or the default place. A `LedgerError` if it is switched off."""
    if path is None:
        settings, mistakes = config.load()
        for mistake in mistakes:
            if mistake.startswith(f"{names.ENV_LEDGER}="):
                raise LedgerError(mistake)
        path = settings.ledger
    if path is None:
        msg = f"the ledger is switched off by {names.ENV_LEDGER}; name the file to read with --ledger FILE"
        raise LedgerError(msg)
    return path


def ledger_file(path: Path | Server | None) -> Path:
    """As `ledger_path`, for what only a file has."""
    found = ledger_path(path)
    if isinstance(found, config.Server):
        msg = f"{found} is a server, and this is for a ledger file"
        raise click.UsageError(msg)
    return found


config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file of budgets, instead of the one in OTEL_AICOST_CONFIG or ./aicost.yaml.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")


def planned(config_file: Path | None) -> tuple[Budget, ...]:
    """The budgets of the file and of the variables, as far as they are at hand; mistakes are said on stderr.

    Raises `BudgetFileError` when the file that the option names has a mistake.
    """
    settings, _ = config.load()
    if config_file is not None:
        from otel_aicost.budgets.reading import read_budgets  # noqa: PLC0415 - YAML takes 0.05 s

        return read_budgets(config_file.expanduser()).budgets
    plan, mistakes = config.load_budgets(settings)
    for mistake in mistakes:
        click.echo(f"aicost: {mistake}", err=True)
    return plan.budgets


def known_tags(query: Query, keys: Iterable[str]) -> None:
    """Refuse a tag that found nothing and is on no call of the ledger: it is misspelt, not just rare."""
    asked = list(keys)
    if not asked:
        return
    known = query.tag_keys()
    unknown = next((key for key in asked if key not in known), None)
    if unknown is not None and query.any_call():
        existing = f"the tags are {', '.join(known)}" if known else "no call has any tag"
        msg = f"no call in the ledger has a tag {unknown!r}; {existing}"
        raise click.UsageError(msg)
