"""`aicost prices`: what models cost, why a call cost what it did, and whether a price file is right."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otel_aicost import config
from otel_aicost.cli.options import ledger_option, opened
from otel_aicost.cli.output import show as show_tables
from otel_aicost.cli.output import write_json
from otel_aicost.cli.price_lists import (
    in_force,
    line,
    plain,
    prices_option,
    stale_days,
    user_file,
    warn_of_stale,
)
from otel_aicost.cli.prices_diff import diff
from otel_aicost.cli.prices_update import update
from otel_aicost.cli.prices_verify import verify
from otel_aicost.model import Cost

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from otel_aicost.prices.catalogue import Catalogue, KnownModel
    from otel_aicost.prices.check import Doubt
    from otel_aicost.prices.rates import Price, Rate

json_option = click.option("--json", "as_json", is_flag=True, help="Write one JSON document.")


@click.group(
    epilog="""\b
Examples:
  aicost prices show gpt-4o --at 2024-06-01
  aicost prices list sonnet --provider anthropic
  aicost prices explain 01990000-0000-7000-8000-00000000002a
  aicost prices check prices.yaml
  aicost prices update
  aicost prices diff"""
)
def prices() -> None:
    """Look prices up, explain the cost of a call, check a price file, keep prices right."""


@prices.command(
    "list",
    epilog="""\b
Examples:
  aicost prices list
  aicost prices list sonnet --provider anthropic
  aicost prices list --source user --json""",
)
@click.argument("text", default="")
@click.option("--provider", metavar="NAME", help="Only models of this provider, for example openai.")
@click.option("--source", type=click.Choice(["user", "supplement", "genai-prices"]), help="Only from this price list.")
@prices_option
@json_option
def list_models(
    text: str, provider: str | None, source: str | None, prices_file: Path | None, *, as_json: bool
) -> None:
    """List the models that have a price: all, or those whose name holds TEXT."""
    catalogue = in_force(prices_file)
    known = [
        model
        for model in catalogue.known()
        if text.lower() in model.model.lower() and provider in (None, model.provider) and source in (None, model.source)
    ]
    if as_json:
        write_json([_known_document(model) for model in known])
    else:
        show_tables(_known_tables(known))
    warn_of_stale(catalogue)


@prices.command(
    epilog="""\b
Examples:
  aicost prices show claude-sonnet-4-5 --provider anthropic
  aicost prices show gpt-4o --at 2024-06-01
  aicost prices show gpt-5 --provider openai --when service_tier=flex
  aicost prices show dall-e-3 --when size=1024x1792 --when quality=hd --json

Exit code 1 if no provider has a price for it."""
)
@click.argument("model")
@click.option("--at", "day", metavar="DATE", help="On this day, or at this time (UTC): 2024-06-01. Default: now.")
@click.option("--provider", metavar="NAME", help="Only what this provider takes, for example azure.ai.openai.")
@click.option("--when", "whens", multiple=True, metavar="KEY=VALUE", help="Under this condition; may be repeated.")
@prices_option
@json_option
def show(model: str, provider: str | None, prices_file: Path | None, *, as_json: bool, **asked: Any) -> None:  # noqa: ANN401 - day and whens
    """Show what MODEL costs: each meter, at a date, under given conditions."""
    from otel_aicost.prices.rates import Price, Query  # noqa: PLC0415 - nothing of it is needed for --help

    catalogue = in_force(prices_file)
    conditions, at_ns = _conditions(asked["whens"]), _moment(asked["day"])
    found: dict[str, Price] = {}
    reasons: set[str] = set()
    for name in [provider] if provider else catalogue.providers():
        answer, _ = catalogue.resolve(Query(name, (model,), conditions, at_ns))
        if not isinstance(answer, Price):
            if provider or answer.reason != "unknown_model":
                reasons.add(answer.detail)
        elif provider or not answer.free:  # a model server of one's own takes any name
            found[name] = answer
    if as_json:
        write_json([_price_document(name, price) for name, price in found.items()])
    else:
        show_tables(_price_tables(found))
    warn_of_stale(catalogue)
    if not found:
        raise click.ClickException("\n".join(sorted(reasons)) or f"no provider has a price for {model}")


@prices.command(
    epilog="""\b
Examples:
  aicost prices explain 01990000-0000-7000-8000-00000000002a
  aicost prices explain 01990000-0000-7000-8000-00000000002a --json

`aicost calls` lists the ids."""
)
@click.argument("call_id")
@prices_option
@ledger_option
@json_option
def explain(call_id: str, path: Path | None, prices_file: Path | None, *, as_json: bool) -> None:
    """Explain what the call CALL_ID cost: its bill, the price used, and what it would be today."""
    from otel_aicost.ledger.queries import Query  # noqa: PLC0415 - SQLAlchemy takes 0.3 s
    from otel_aicost.report.documents import adjustment_document, call_document  # noqa: PLC0415

    ledger, identifier = opened(path), call_id.strip().lower()
    with ledger.read() as connection:
        query = Query(ledger, connection)
        row, changes = query.call(identifier), query.adjustments(identifier)
    if row is None:
        msg = f"there is no call {call_id!r} in the ledger {ledger.path}"
        raise click.UsageError(msg)
    call = call_document(row)
    catalogue = in_force(prices_file)
    again = _priced_again(call, catalogue)
    if as_json:
        adjustments = [adjustment_document(change) for change in changes]
        write_json({"call": call, "adjustments": adjustments, "priced_again": again})
    else:
        show_tables(_explained(row, call, changes, again))
    warn_of_stale(catalogue)


@prices.command(
    epilog="""\b
Examples:
  aicost prices check prices.yaml
  aicost prices check --json

A mistake makes the whole file unusable: exit code 1. A doubt (a price that is stale, idle, or far from the
catalogue's; a meter nobody knows) is only told: exit code 0."""
)
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@json_option
def check(file: Path | None, *, as_json: bool) -> None:
    """Check the price FILE; without one, the file in use and the list that comes with aicost."""
    path = file or user_file()
    mistakes, doubts = _checked(path, shipped=file is None)
    if as_json:
        write_json(
            {
                "file": None if path is None else str(path),
                "mistakes": mistakes,
                "doubts": [
                    {"file": name, "line": doubt.line, "key": doubt.key, "text": doubt.text} for name, doubt in doubts
                ],
            }
        )
    else:
        for mistake in mistakes:
            click.echo(f"mistake: {mistake}")
        for name, doubt in doubts:
            click.echo(f"doubt: {name}:{doubt.line}: {doubt.key}: {doubt.text}")
        files = " and ".join(([str(path)] if path else []) + ([] if file else ["the list of aicost"]))
        click.echo(f"{files}: {len(mistakes)} mistakes, {len(doubts)} doubts")
    if mistakes:
        raise click.exceptions.Exit(1)


def _checked(path: Path | None, *, shipped: bool) -> tuple[list[str], list[tuple[str, Doubt]]]:
    from otel_aicost.errors import PriceFileError  # noqa: PLC0415
    from otel_aicost.prices.catalogue import Catalogue, load_supplement  # noqa: PLC0415 - slow
    from otel_aicost.prices.check import doubts_of  # noqa: PLC0415
    from otel_aicost.prices.reading import read_price_file  # noqa: PLC0415

    below, today = Catalogue.load(updates=config.load()[0].price_data), datetime.now(UTC).date()
    days = stale_days()
    mistakes: list[str] = []
    doubts: list[tuple[str, Doubt]] = []
    if path is not None:
        try:
            doubts += [(str(path), doubt) for doubt in doubts_of(read_price_file(path), below, today, days)]
        except PriceFileError as error:
            mistakes += error.mistakes
    if shipped:
        doubts += [("supplement.yaml", doubt) for doubt in doubts_of(load_supplement(), below, today, days)]
    return mistakes, doubts


def _moment(day: str | None) -> int:
    if day is None:
        return int(datetime.now(UTC).timestamp()) * 10**9
    try:
        moment = datetime.fromisoformat(day)
        seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        msg = f"{day!r} is not a date: write it as YYYY-MM-DD, for example 2024-06-01"
        raise click.BadParameter(msg, param_hint="--at") from None
    return seconds * 10**9


def _conditions(whens: Sequence[str]) -> dict[str, str]:
    pairs = [when.partition("=") for when in whens]
    for when, (key, _, value) in zip(whens, pairs, strict=True):
        if not (key and value):
            msg = f"{when!r} is not a condition: write it as key=value, for example service_tier=flex"
            raise click.BadParameter(msg, param_hint="--when")
    return {key: value for key, _, value in pairs}


def _priced_again(call: Mapping[str, Any], catalogue: Catalogue) -> dict[str, str | None]:
    """Return what the catalogue of today makes of a recorded call, at the call's own date."""
    from decimal import Decimal  # noqa: PLC0415

    from otel_aicost.providers import names_priced  # noqa: PLC0415

    usage = {meter: Decimal(str(quantity)) for meter, quantity in call["usage"].items()}
    models = names_priced(call["provider"], call["response_model"], call["request_model"])
    answer = catalogue.price(call["provider"], models, usage, call["conditions"], call["started_ns"])
    told: dict[str, str | None] = {"catalogue": catalogue.version}
    if isinstance(answer, Cost):
        told["catalogue"] = answer.catalogue  # the list of the call's own time
        return {**told, "cost_usd": plain(answer.total), "price_id": answer.price_id, "source": answer.source}
    return {**told, "cost_usd": None, "unpriced": answer.reason, "unpriced_detail": answer.detail}


def _explained(
    row: Mapping[str, Any],
    call: Mapping[str, Any],
    changes: Sequence[Mapping[str, Any]],
    again: Mapping[str, str | None],
) -> Iterator[RenderableType]:
    from otel_aicost.report.calls import adjustment_tables, call_tables  # noqa: PLC0415
    from otel_aicost.report.screen import facts, heading  # noqa: PLC0415

    yield from call_tables(row)
    yield ""
    yield heading("How it was priced")
    yield facts(_reasons(call))
    yield from adjustment_tables(changes)
    yield ""
    yield heading(f"Priced again with {again['catalogue']}")
    cost = again["cost_usd"]
    if cost is None:
        yield line(f"no cost: {again['unpriced']}: {again['unpriced_detail']}")
    else:
        same = " (as recorded)" if cost == call["cost_usd"] else ""
        yield line(f"${cost}{same} by {again['price_id']} of {again['source']}")


def _reasons(call: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    sources = {
        "provider": "the provider stated the cost in its response",
        "user": "your price file",
        "supplement": "the list that comes with aicost",
        "genai-prices": "genai-prices",
    }
    if call["unpriced"]:
        yield "no cost", f"{call['unpriced']}: {call['unpriced_detail']}"
    elif call["cost_usd"] is None:
        yield "no cost", "nothing was billed"
    else:
        yield "price from", sources.get(call["cost_source"], str(call["cost_source"]))
    if call["price_id"]:
        since = f", valid from {call['price_date']}" if call["price_date"] else ""
        yield "price", f"{call['price_id']}{since}"
    if call["catalogue"]:
        yield "price lists", call["catalogue"]
    if call["estimated"]:
        yield "usage", "our own estimate: the response reported none"


def _known_document(known: KnownModel) -> dict[str, str | None]:
    return {
        "provider": known.provider,
        "model": known.model,
        "source": known.source,
        "checked": known.checked,
    }


def _known_tables(known: Sequence[KnownModel]) -> Iterator[RenderableType]:
    from otel_aicost.report.screen import Column, Grid  # noqa: PLC0415

    if known:
        yield Grid(
            [
                Column("provider", [model.provider for model in known], right=False),
                Column("model", [model.model for model in known], right=False, fold=True),
                Column("source", [model.source for model in known], right=False),
                Column("checked", [model.checked or "" for model in known], right=False),
            ]
        )
    yield line(f"{len(known):,} prices")


def _price_document(provider: str, price: Price) -> dict[str, Any]:
    return {
        "provider": provider,
        "price_id": price.id,
        "source": price.source,
        "from": price.date,
        "free": price.free,
        "url": price.url,
        "checked": price.checked,
        "adjustments": list(price.changes),
        "rates": [_rate_document(rate) for rate in price.rates],
        "under_other_conditions": [_rate_document(rate) for rate in price.conditional],
    }


def _rate_document(rate: Rate) -> dict[str, Any]:
    return {
        "meter": rate.meter,
        "price_usd": plain(rate.price),
        "per": rate.per,
        "tiers": [{"above": above, "price_usd": plain(price)} for above, price in rate.tiers],
        "when": {key: list(values) for key, values in rate.when.items()},
        "unless": rate.unless,
        "round": None if rate.round is None else str(rate.round),
        "minimum": None if rate.minimum is None else str(rate.minimum),
    }


def _price_tables(found: Mapping[str, Price]) -> Iterator[RenderableType]:
    from otel_aicost.report.screen import Column, Grid, heading  # noqa: PLC0415

    for number, (provider, price) in enumerate(found.items()):
        if number:
            yield ""
        yield heading(f"{provider}: {price.id}")
        since = f", valid from {price.date}" if price.date else ""
        checked = f", checked {price.checked}" if price.checked else ""
        yield line(f"{price.source}{since}{checked}: {price.url or 'no source named'}")
        for change in price.changes:
            yield line(f"adjusted: {change}")
        rates = (*price.rates, *price.conditional)
        if price.free:
            yield "free"
        elif rates:
            yield Grid(
                [
                    Column("meter", [rate.meter for rate in rates], right=False),
                    Column("price", [f"${plain(rate.price)} per {rate.per:,}" for rate in rates]),
                    Column("conditions", [_told(rate) for rate in rates], right=False, fold=True),
                ]
            )
        else:
            yield "listed without a price"


def _told(rate: Rate) -> str:
    from otel_aicost.prices.rates import describe  # noqa: PLC0415

    words = [describe(rate.when)] if rate.when else []
    words += [f"${plain(price)} above {above:,} input tokens" for above, price in rate.tiers]
    words += [f"unless {rate.unless} is reported"] if rate.unless else []
    words += [f"rounded to the nearest {rate.round}"] if rate.round else []
    words += [f"{rate.minimum} at the least"] if rate.minimum else []
    return ", ".join(words)


for _command in (diff, update, verify):
    prices.add_command(_command)
