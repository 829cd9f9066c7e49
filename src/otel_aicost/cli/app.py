"""The root of the command line: its commands, and how it ends."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import click

from otel_aicost.cli.alerts import alerts
from otel_aicost.cli.budgets import budgets
from otel_aicost.cli.calls import calls
from otel_aicost.cli.doctor import doctor
from otel_aicost.cli.estimate import estimate
from otel_aicost.cli.export import export
from otel_aicost.cli.import_files import import_files
from otel_aicost.cli.ledger import ledger
from otel_aicost.cli.prices import prices
from otel_aicost.cli.reconcile import reconcile
from otel_aicost.cli.record import record
from otel_aicost.cli.report import report
from otel_aicost.cli.reprice import reprice
from otel_aicost.cli.serve import serve
from otel_aicost.errors import AICostError, LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator

WRONG = 1
NO_LEDGER = 3
INTERRUPTED = 130


class _Failure(click.ClickException):
    """An error of ours, or of the machine, on stderr."""

    exit_code = WRONG

    def show(self, file: IO[Any] | None = None) -> None:
        """Print it."""
        click.echo(f"aicost: {self.message}", file=file, err=file is None)


class _Unreadable(_Failure):
    exit_code = NO_LEDGER


class _Misuse(click.UsageError):
    """A usage error as one line on stderr."""

    def __init__(self, error: click.UsageError) -> None:
        super().__init__(error.format_message(), error.ctx)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line."""
        command = self.ctx.command_path if self.ctx else "aicost"
        click.echo(f"{command}: {self.message} ({command} --help tells more)", file=file, err=file is None)


class _App(click.Group):
    """A group that ends as a filter should: quietly when its reader leaves or the user interrupts."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:  # noqa: ANN401 - as click has it
        with _one_line():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - as click has it
        try:
            with _one_line():
                result = super().invoke(ctx)
            sys.stdout.flush()
        except LedgerError as error:
            raise _Unreadable(str(error)) from error
        except BrokenPipeError:
            _forget_stdout()
            ctx.exit(0)
        except (AICostError, OSError) as error:
            raise _Failure(str(error)) from error
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        return result


@contextmanager
def _one_line() -> Iterator[None]:
    try:
        yield
    except click.UsageError as error:
        if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
            raise
        raise _Misuse(error) from error


def _forget_stdout() -> None:
    """Whoever read our output has left: what is still buffered must not fail when Python exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@click.group(
    cls=_App,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
Examples:
  aicost report                       what the last 30 days cost
  aicost report --by feature,model    who spent it, and on what
  aicost calls --status error         the calls that failed
  aicost budgets                      how every budget stands
  aicost serve                        all of it for Prometheus, at http://127.0.0.1:9464/metrics
  aicost doctor                       why a call might not show

Exit codes: 0 fine, 1 something is wrong, 2 wrong usage, 3 no ledger or one that cannot be read.""",
)
@click.version_option(package_name="otel-aicost", prog_name="aicost", message="%(prog)s %(version)s")
def app() -> None:
    """What the AI calls of your programs cost: read from the ledger that instrumented programs write."""


for _command in (
    report,
    calls,
    export,
    budgets,
    alerts,
    prices,
    reprice,
    estimate,
    record,
    import_files,
    reconcile,
    ledger,
    serve,
    doctor,
):
    app.add_command(_command)


def main() -> None:
    """The console script `aicost`."""
    try:
        app(prog_name="aicost")
    except KeyboardInterrupt:  # before or after a command
        sys.exit(INTERRUPTED)
