"""`aicost alerts`: list, read and resolve alerts, look for new ones, try a channel."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from otel_aicost import config
from otel_aicost.alerts.alert import KINDS, OWN, SEVERITIES
from otel_aicost.cli.options import config_option, json_option, ledger_option, ledger_path
from otel_aicost.cli.output import show, write_json
from otel_aicost.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from rich.console import RenderableType

    from otel_aicost.alerts.alert import AlertRow, State
    from otel_aicost.alerts.settings import AlertSettings, ChannelError
    from otel_aicost.ledger.alerts import Which
    from otel_aicost.ledger.deliveries import Delivery
    from otel_aicost.ledger.store import Connection

SHORT = 8
_SECOND = 10**9
_AGES = ((86_400, "d"), (3600, "h"), (60, "min"))


@click.group(
    invoke_without_command=True,
    epilog="""\b
Examples:
  aicost alerts
  aicost alerts list --severity warning
  aicost alerts read --all
  aicost alerts check
  aicost alerts test ops""",
)
@json_option
@ledger_option
@click.pass_context
def alerts(context: click.Context, path: Path | None, *, as_json: bool) -> None:
    """Show what was warned of; check for more; test a channel."""
    if context.invoked_subcommand is None:
        _list(path, {}, as_json=as_json)


@alerts.command(
    "list",
    epilog="""\b
Examples:
  aicost alerts list
  aicost alerts list --severity critical --json
  aicost alerts list --budget user-day --all""",
)
@click.option("--severity", type=click.Choice(SEVERITIES), help="Only those as bad as that, or worse.")
@click.option(
    "--kind", metavar="KIND", help="Only this kind, for example call_blocked or the name of a Prometheus alert."
)
@click.option("--budget", metavar="NAME", help="Only those of this budget.")
@click.option("--days", type=click.IntRange(1, 36_500), metavar="N", help="Only those of the last N days.")
@click.option("--all", "resolved", is_flag=True, help="Resolved ones too.")
@click.option(
    "--limit", type=click.IntRange(1, 100_000), metavar="N", default=50, show_default=True, help="At most so many."
)
@json_option
@ledger_option
def list_alerts(path: Path | None, *, as_json: bool, **options: Any) -> None:  # noqa: ANN401 - each as click has it
    """List alerts: the unread ones first, and of those the newest."""
    _list(path, options, as_json=as_json)


@alerts.command(
    epilog="""\b
Examples:
  aicost alerts read 3f9a01bc 77d0e2f4
  aicost alerts read --all"""
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="All that are unread.")
@ledger_option
def read(ids: tuple[str, ...], path: Path | None, *, every: bool) -> None:
    """Mark alerts as read. An ID may be its first eight characters."""
    _set_state(path, ids, "read", every=every)


@alerts.command(
    epilog="""\b
Examples:
  aicost alerts resolve 3f9a01bc
  aicost alerts resolve --all"""
)
@click.argument("ids", nargs=-1, metavar="[ID]...")
@click.option("--all", "every", is_flag=True, help="All there are.")
@ledger_option
def resolve(ids: tuple[str, ...], path: Path | None, *, every: bool) -> None:
    """Mark alerts as resolved, for good: what was not sent yet is sent no more."""
    _set_state(path, ids, "resolved", every=every)


@alerts.command(
    epilog="""\b
Examples:
  aicost alerts check --config /etc/aicost.yaml

Prints each new alert, and nothing where there is none. Exit code 1 if a message did not arrive (it is
tried again with the next check) or aicost.yaml is wrong, 3 if there is no ledger; an alert is no error."""
)
@config_option
@ledger_option
def check(path: Path | None, config_file: Path | None) -> None:
    """Look for what to warn of, and send what is due: once, for cron."""
    from otel_aicost.ledger.opening import changing  # noqa: PLC0415 - --help needs none of it
    from otel_aicost.ledger.visits import Visits  # noqa: PLC0415
    from otel_aicost.observers import watch  # noqa: PLC0415

    settings = _settings(config_file)
    file = ledger_path(path)
    changing(file).close()  # it has to be there
    visits = Visits(lambda: changing(file))
    for row in watch.check(visits, settings, time.time_ns()):
        click.echo(f"{row.severity}: {row.title}")
    failed: list[ChannelError] = []
    watch.send_due(visits, settings, failed=failed.append)
    for error in failed:
        click.echo(f"aicost: {error}", err=True)
    if failed:
        click.get_current_context().exit(1)


@alerts.command(
    epilog="""\b
Examples:
  aicost alerts test ops

Exit code 1 if the message did not arrive."""
)
@click.argument("channel")
@config_option
def test(channel: str, config_file: Path | None) -> None:
    """Send a test message to a channel now."""
    from otel_aicost.alerts.message import message, trial_alert  # noqa: PLC0415 - --help needs none of it
    from otel_aicost.observers.channels import send  # noqa: PLC0415

    settings = _settings(config_file)
    known = {each.name: each for each in settings.channels}
    if channel not in known:
        existing = f"the channels are {', '.join(known)}" if known else "aicost.yaml has none"
        msg = f"there is no channel {channel!r}; {existing}"
        raise click.UsageError(msg)
    begun = time.monotonic()
    send(known[channel], message([trial_alert(channel, time.time_ns())], settings.timezone))
    click.echo(f"channel {channel}: a test message was accepted after {time.monotonic() - begun:.1f} s")


def _settings(file: Path | None) -> AlertSettings:
    """The section of the file; the defaults where it has none. Raises `ConfigError` for a file with a mistake."""
    from dataclasses import replace  # noqa: PLC0415 - as above

    from otel_aicost.alerts.settings import AlertSettings  # noqa: PLC0415

    settings = config.load()[0]
    if file is not None:
        settings = replace(settings, config=file.absolute())
    plan, mistakes = config.load_budgets(settings)
    if mistakes:
        raise ConfigError(mistakes)
    return plan.alerts or AlertSettings()


def _set_state(path: Path | None, ids: tuple[str, ...], state: State, *, every: bool) -> None:
    from otel_aicost.ledger.alerts import UnknownAlertError, set_state  # noqa: PLC0415 - as above
    from otel_aicost.ledger.opening import changing  # noqa: PLC0415

    if every == bool(ids):
        msg = "name alerts by their ids, or all of them with --all"
        raise click.UsageError(msg)
    try:
        with closing(changing(ledger_path(path))) as store, store.transaction() as connection:
            changed = set_state(connection, None if every else ids, state, time.time_ns())
    except UnknownAlertError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"{changed} {'alert' if changed == 1 else 'alerts'} {state}")


def _list(path: Path | None, options: dict[str, Any], *, as_json: bool) -> None:
    from otel_aicost.ledger import alerts as stored  # noqa: PLC0415 - as above
    from otel_aicost.ledger.deliveries import deliveries  # noqa: PLC0415
    from otel_aicost.ledger.opening import looking  # noqa: PLC0415

    now_ns = time.time_ns()
    with looking(ledger_path(path)) as connection:
        found = stored.list_alerts(connection, _which(options, now_ns))
        _known(connection, options.get("kind"))
        sent = deliveries(connection, [row.id for row in found]) if as_json else {}
    if as_json:
        write_json({"alerts": [_document(row, sent.get(row.id, [])) for row in found]})
    else:
        show(_tables(found, now_ns))


def _known(connection: Connection, kind: str | None) -> None:
    """Refuse a kind that is neither one of ours nor the name of an alert that Alertmanager sent: it is misspelt."""
    from otel_aicost.ledger.alerts import kinds  # noqa: PLC0415 - as above

    if kind is None or kind in KINDS:
        return
    there = sorted({*KINDS, *kinds(connection)})
    if kind not in there:
        msg = f"there is no alert of kind {kind!r}; the kinds are {', '.join(there)}"
        raise click.UsageError(msg)


def _which(options: dict[str, Any], now_ns: int) -> Which:
    from otel_aicost.alerts.alert import STATES  # noqa: PLC0415 - as above
    from otel_aicost.ledger.alerts import Which  # noqa: PLC0415

    days = options.get("days")
    return Which(
        states=STATES if options.get("resolved") else STATES[:-1],
        severity=options.get("severity"),
        kind=options.get("kind"),
        budget=options.get("budget"),
        since_ns=None if days is None else now_ns - days * 86_400 * _SECOND,
        limit=options.get("limit", 50),
    )


def _document(row: AlertRow, sent: Sequence[Delivery]) -> dict[str, Any]:
    import json  # noqa: PLC0415 - as above

    return {
        "id": row.id,
        "at": _iso(row.at_ns),
        "kind": row.kind,
        "severity": row.severity,
        "state": row.state,
        "state_at": _iso(row.state_at_ns),
        "budget": row.budget,
        "key": row.key or None,
        "window": row.window_id,
        "title": row.title,
        "source": row.source,
        "details": json.loads(row.details),
        "deliveries": [
            {
                "channel": each.channel,
                "attempts": each.attempts,
                "sent_at": _iso(each.sent_ns),
                "next_at": None if each.sent_ns is not None else _iso(each.next_ns),
                "error": each.error,
            }
            for each in sent
        ],
    }


def _iso(at_ns: int | None) -> str | None:
    return None if at_ns is None else datetime.fromtimestamp(at_ns // _SECOND, UTC).isoformat()


def _tables(found: Sequence[AlertRow], now_ns: int) -> Iterator[RenderableType]:
    from otel_aicost.report.screen import Column, Grid  # noqa: PLC0415 - rich takes 0.1 s

    if not found:
        yield "There is no such alert: nothing was reached, exceeded or found (docs/alerts.md)."
        return
    yield Grid(
        [
            Column("id", [row.id[:SHORT] for row in found], right=False),
            Column("state", [row.state for row in found], right=False, spare=1),
            Column("severity", [row.severity for row in found], right=False),
            Column("age", [_age(now_ns - row.at_ns) for row in found]),
            Column("alert", [_told(row) for row in found], right=False, fold=True),
        ]
    )


def _told(row: AlertRow) -> str:
    """Its sentence; of one that Alertmanager sent, with the name that it has there."""
    if row.source == OWN or row.title == row.kind:
        return row.title
    return f"{row.kind}: {row.title}"


def _age(ns: int) -> str:
    seconds = max(0, ns // _SECOND)
    return next((f"{seconds // size} {unit}" for size, unit in _AGES if seconds >= size), f"{seconds} s")
