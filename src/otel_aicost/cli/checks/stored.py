"""Checks of what is stored: the ledger, and the prices that are in force."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from otel_aicost.cli.checks import Section
from otel_aicost.config import Server
from otel_aicost.errors import LedgerError, PriceDataError, PriceFileError
from otel_aicost.ledger.questions import Filter

if TYPE_CHECKING:
    from pathlib import Path

    from otel_aicost.config import Settings
    from otel_aicost.ledger.queries import Query
    from otel_aicost.ledger.reader import Ledger
    from otel_aicost.prices.catalogue import Catalogue

OTHERS = 0o077
SHOWN = 3
LATELY_SECONDS = 300.0
COMPANIONS = ("", "-wal", "-shm")


def ledger(path: Path | Server | None) -> tuple[Section, Ledger | None]:
    """Where the ledger is, what it holds, whether it can be written; and the ledger, if it can be read."""
    section = Section("Ledger")
    if path is None:
        section.facts["file"] = "off"
        section.note("The ledger is switched off: no call is stored, and `aicost report` has nothing to read.")
        return section, None
    if isinstance(path, Server):
        section.facts["server"] = str(path)
        _outbox(section, path.outbox)
        return section, _read(section, path)
    section.facts["file"] = str(path)
    if not path.exists():
        _absent(section, path)
        return section, None
    _file(section, path)
    return section, _read(section, path)


def _read(section: Section, path: Path | Server) -> Ledger | None:
    from otel_aicost.ledger.queries import Query  # noqa: PLC0415 - SQLAlchemy takes 0.3 s
    from otel_aicost.ledger.reader import open_ledger  # noqa: PLC0415

    try:
        found = open_ledger(path)
        with found.read() as connection:
            _rows(section, Query(found, connection))
        _processes(section, path)
    except LedgerError as error:
        section.wrong(str(error))
        return None
    return found


def _processes(section: Section, path: Path | Server) -> None:
    from otel_aicost.ledger.opening import looking  # noqa: PLC0415
    from otel_aicost.ledger.processes import seen  # noqa: PLC0415

    with looking(path) as connection:
        found = seen(connection, time.time_ns(), LATELY_SECONDS)
    section.facts["processes of the last 5 minutes"] = len(found)
    lost = sum(each.counts.lost for each in found)
    if lost:
        whose = ", ".join(sorted({each.service for each in found if each.counts.lost}))
        section.wrong(f"{lost:,} calls of {whose} could be written nowhere, and are lost: see what its log says.")


def _outbox(section: Section, path: Path) -> None:
    from otel_aicost.ledger.outbox import Shelf  # noqa: PLC0415 - for a server only

    section.facts["outbox"] = str(path)
    nearest = next(place for place in (path, *path.parents) if place.exists())
    if not os.access(nearest, os.W_OK):
        section.wrong(f"The outbox {path} cannot be written by this user: what the server does not take is lost.")
        return
    waiting = Shelf(path).count()
    section.facts["waiting in the outbox"] = waiting
    if waiting:
        section.note(
            f"{waiting:,} calls wait in the outbox. A program that is running sends them within seconds of the server "
            "being there; aicost ledger ship does it now."
        )


def prices(settings: Settings) -> Section:
    """Which price lists are in force, and how fresh they are."""
    from otel_aicost.cli.price_lists import user_file  # noqa: PLC0415 - for the doctor only
    from otel_aicost.prices.catalogue import Catalogue  # noqa: PLC0415 - takes a third of a second

    section = Section("Prices")
    own = user_file()
    section.facts["user's price file"] = "none" if own is None else str(own)
    section.facts["fetched prices"] = _fetched(section, settings.price_data)
    usable = own is None or _usable(section, own)
    catalogue = Catalogue.load(own if usable else None, settings.price_data)
    section.facts["catalogue"] = catalogue.version
    if usable:
        section.fine("The price lists are read without a mistake.")
    _stale(section, catalogue)
    return section


def _fetched(section: Section, directory: Path) -> str:
    from otel_aicost.prices.editions import day_of, read_editions  # noqa: PLC0415

    try:
        editions = read_editions(directory)
    except PriceDataError as error:
        section.wrong(str(error))
        return str(directory)
    if not editions or editions[-1].digest is None:
        return "none: those that come with the package are used"
    return f"{directory}, {day_of(editions[-1].checked_ns)} from {editions[-1].source}"


def _usable(section: Section, user_file: Path) -> bool:
    from otel_aicost.prices.reading import read_price_file  # noqa: PLC0415 - YAML, for the doctor only

    try:
        read_price_file(user_file)
    except PriceFileError as error:
        for mistake in error.mistakes:
            section.wrong(mistake)
        section.wrong(f"None of the prices in {user_file} is used.")
        return False
    return True


def _stale(section: Section, catalogue: Catalogue) -> None:
    from otel_aicost.cli.price_lists import stale_days  # noqa: PLC0415
    from otel_aicost.prices.staleness import stale  # noqa: PLC0415

    found = stale(catalogue, stale_days())
    section.facts["stale price lists"] = len(found)
    for sentence in found:
        section.note(f"{sentence[0].upper()}{sentence[1:]}.")


def _absent(section: Section, path: Path) -> None:
    nearest = next(parent for parent in path.parents if parent.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        section.note("There is no ledger yet: the first call of an instrumented program makes it.")
    else:
        section.wrong(f"There is no ledger, and none can be made: {nearest} is not writable by this user.")


def _file(section: Section, path: Path) -> None:
    status = path.stat()
    mode = status.st_mode & 0o777
    parts = (path.with_name(path.name + suffix) for suffix in COMPANIONS)
    section.facts["bytes"] = sum(part.stat().st_size for part in parts if part.exists())
    section.facts["mode"] = f"{mode:04o}"
    if mode & OTHERS:
        section.note(f"Other users may read the ledger (mode {mode:04o}); it tells who asked what: chmod 600 {path}")
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK | os.X_OK)
    section.facts["writable"] = writable
    if not writable:
        section.wrong(f"{path} and its directory are not both writable by this user: its calls are not stored.")


def _rows(section: Section, query: Query) -> None:
    section.facts["schema version"] = query.ledger.version
    section.facts["calls"] = query.totals(Filter()).calls
    last = query.last_started_ns()
    if last is None:
        section.note("The ledger holds no single call yet.")
        return
    when = datetime.fromtimestamp(last // 1_000_000_000, UTC)
    section.facts["last call (UTC)"] = f"{when:%Y-%m-%d %H:%M:%S}"
    section.fine("The ledger can be read.")
