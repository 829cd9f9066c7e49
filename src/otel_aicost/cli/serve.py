"""`aicost serve`: the ledger for Prometheus and Alertmanager, over HTTP."""

from __future__ import annotations

import errno
import logging
import socket
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from otel_aicost import config, names
from otel_aicost.cli.options import config_option, ledger_option, ledger_path
from otel_aicost.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

    from otel_aicost.budgets.budget import Plan
    from otel_aicost.config import Server, Settings
    from otel_aicost.server.running import Tls

FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


def _web(_context: click.Context, _parameter: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return (
            tuple(map(config.web_address, given)) if isinstance(given, tuple) else given and config.web_address(given)
        )
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(
    epilog="""\b
Examples:
  aicost serve
  aicost serve --alertmanager http://127.0.0.1:9093 --config /etc/aicost.yaml
  aicost serve --host 0.0.0.0 --token-file /etc/aicost/token --tls-cert server.pem --tls-key server.key
  aicost serve --ledger postgresql://aicost@db.example.com/aicost

/metrics is for Prometheus, /alerts/alertmanager for the webhook of Alertmanager; /healthz and /readyz say whether the
process lives and the ledger can be read. With --alertmanager, budget alerts are posted the moment they are raised,
next to those of the rules in Prometheus: Alertmanager takes both for one.

It starts without a ledger, too, and serves it as soon as a first call has made one. Ctrl-C or SIGTERM end it with exit
code 0; 2 is wrong usage, or a port that is in use."""
)
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=9464,
    show_default=True,
    metavar="N",
    help="The port to listen on; 0 is any free one.",
)
@click.option(
    "--token-file",
    type=FILE,
    metavar="FILE",
    help=f"Holds the token that callers must send, instead of {names.ENV_SERVE_TOKEN}.",
)
@click.option("--tls-cert", type=FILE, metavar="FILE", help="The certificate to serve HTTPS with, as PEM.")
@click.option("--tls-key", type=FILE, metavar="FILE", help="Its key, as PEM.")
@click.option(
    "--alertmanager",
    "alertmanagers",
    multiple=True,
    callback=_web,
    metavar="URL",
    help=f"Post budget alerts there, instead of to {names.ENV_ALERTMANAGER}; may be repeated.",
)
@config_option
@ledger_option
def serve(path: Path | Server | None, config_file: Path | None, host: str, port: int, **options: Any) -> None:  # noqa: ANN401 - each as click has it
    """Serve the ledger to Prometheus, and take and post alerts."""
    from otel_aicost.server.app import Served, app  # noqa: PLC0415 - --help needs none of it
    from otel_aicost.server.running import end_well, is_local, listen, run  # noqa: PLC0415

    logging.basicConfig(format="aicost serve: %(message)s", level=logging.WARNING)
    settings = _settings(config_file)
    tls = _tls(options["tls_cert"], options["tls_key"])
    token = _token(options["token_file"], settings)
    alertmanagers = options["alertmanagers"] or settings.alertmanagers
    place = _place(path)
    listening = _listening(listen, host, port)
    registry, plan_of = _metrics(place, settings)
    served = Served(place, registry, plan_of, token, alertmanagers)
    if token is None and not is_local(host):
        click.echo(
            f"aicost serve: everyone who can reach {host} can read what is spent and file alerts; "
            f"set a token with --token-file or {names.ENV_SERVE_TOKEN}",
            err=True,
        )
    end_well()
    _announce(listening, place, alertmanagers, tls)
    run(app(served), listening, tls)


def _announce(listening: socket.socket, place: Path | Server, alertmanagers: tuple[str, ...], tls: Tls | None) -> None:
    from otel_aicost.server.health import unreadable  # noqa: PLC0415 - as above

    address, port = listening.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    posts = "".join(f"; budget alerts go to {config.shown_url(each)}" for each in alertmanagers)
    click.echo(
        f"aicost serve: http{'s' if tls else ''}://{shown}:{port}/metrics serves {place}{posts} (Ctrl-C ends it)"
    )
    trouble = unreadable(place)
    if trouble is not None:
        click.echo(f"aicost serve: not ready yet: {trouble}", err=True)


def _metrics(place: Path | Server, settings: Settings) -> tuple[CollectorRegistry, Callable[[], Plan]]:
    """What `/metrics` gives, and the budgets of the file as it is now."""
    from otel_aicost.exporter.collector import registry  # noqa: PLC0415 - as above
    from otel_aicost.observers.plans import Plans  # noqa: PLC0415
    from otel_aicost.prices.catalogue import Catalogue  # noqa: PLC0415

    plans = Plans(config.budget_file(settings), lambda: config.load_budgets(settings))
    return registry(place, plans.now, lambda: Catalogue.load(settings.prices, settings.price_data)), plans.now


def _settings(config_file: Path | None) -> Settings:
    settings, mistakes = config.load()
    for mistake in mistakes:
        click.echo(f"aicost serve: {mistake}", err=True)
    return settings if config_file is None else replace(settings, config=config_file.expanduser().absolute())


def _place(path: Path | Server | None) -> Path | Server:
    """The ledger. What no waiting mends is said now: a server's address without psycopg, or one it cannot read."""
    place = ledger_path(path)
    if isinstance(place, config.Server):
        try:
            from psycopg import ProgrammingError  # noqa: PLC0415 - an extra
            from psycopg.conninfo import conninfo_to_dict  # noqa: PLC0415
        except ImportError as error:
            from otel_aicost.ledger.fleet import MISSING  # noqa: PLC0415

            raise LedgerError(MISSING) from error
        try:
            conninfo_to_dict(place.url)
        except ProgrammingError:
            from otel_aicost.ledger.postgres import unreadable  # noqa: PLC0415

            raise unreadable(place) from None
    return place


def _token(file: Path | None, settings: Settings) -> str | None:
    if file is None:
        return settings.serve_token
    token = file.read_text("utf-8", "replace").strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        msg = f"{file} holds no token: it must be one word of printable ASCII characters"
        raise click.UsageError(msg)
    return token


def _tls(certificate: Path | None, key: Path | None) -> Tls | None:
    import ssl  # noqa: PLC0415 - as above

    from otel_aicost.server.running import Tls  # noqa: PLC0415

    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        msg = "--tls-cert and --tls-key go together"
        raise click.UsageError(msg)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as error:
        msg = f"{certificate} and {key} are no certificate and its key (without a passphrase), as PEM: {error}"
        raise click.UsageError(msg) from None
    return Tls(certificate, key)


def _listening(listen: Any, host: str, port: int) -> socket.socket:  # noqa: ANN401 - `running.listen`
    try:
        found: socket.socket = listen(host, port)
    except socket.gaierror:
        msg = f"there is no address {host!r}: give --host one of this machine, 127.0.0.1 or 0.0.0.0 for all"
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: f"port {port} of {host} is in use, by another aicost serve or exporter: stop it, "
            "or choose another with --port",
            errno.EADDRNOTAVAIL: f"{host} is no address of this machine: 127.0.0.1 is, and 0.0.0.0 stands for all",
            errno.EACCES: f"port {port} needs more rights: choose one from 1024 on with --port",
        }
        msg = reasons.get(error.errno or 0, f"{host} port {port}: {error.strerror or error}")
    else:
        return found
    raise click.UsageError(msg)
