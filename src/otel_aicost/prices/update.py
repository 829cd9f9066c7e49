"""Fetching prices and putting them into force: all of what was fetched, checked, or nothing of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from otel_aicost.errors import PriceDataError, PriceFileError
from otel_aicost.prices.changes import models_of, resolved, same
from otel_aicost.prices.data import Data, is_data, read_data
from otel_aicost.prices.editions import (
    MANIFEST,
    USER_FILE,
    Edition,
    day_of,
    read_editions,
    replace_file,
    write_editions,
)
from otel_aicost.prices.rates import Price
from otel_aicost.prices.reading import parse, read_price_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from otel_aicost.prices.catalogue import Catalogue
    from otel_aicost.prices.files import PriceFile

TIMEOUT: Final = 30.0
MOST_BYTES: Final = 64 * 2**20
LEAST_SHARE: Final = 0.5
"""Data that know less than this share of the models in force are an accident: a list cut short, a part of one."""
_CHUNK: Final = 2**16
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Found:
    """What was fetched, read and found right: price data, or a price file."""

    source: str
    raw: bytes
    data: Data | None = None
    file: PriceFile | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """How many models price data add, take away and change, as of now."""

    added: tuple[tuple[str, str], ...]
    gone: tuple[tuple[str, str], ...]
    changed: tuple[tuple[str, str], ...]


def standard_source() -> str:
    """Where genai-prices publishes its newest data."""
    from genai_prices.update_prices import DEFAULT_UPDATE_URL  # noqa: PLC0415 - as in `base`

    return str(DEFAULT_UPDATE_URL)


def fetch(source: str, timeout: float = TIMEOUT, got: Callable[[int], object] = lambda _: None) -> bytes:
    """The bytes at a URL or in a file; all within `timeout` seconds. `got` is told of each chunk's size.

    Raises `PriceDataError`.
    """
    if "://" not in source:
        try:
            return Path(source).expanduser().read_bytes()
        except OSError as error:
            msg = f"{source} cannot be read: {error.strerror or error}"
            raise PriceDataError(msg) from error
    if urlsplit(source).scheme not in {"http", "https"}:
        msg = f"{_shown(source)}: expected a file, or an address that begins with https:// or http://"
        raise PriceDataError(msg)
    return _download(source, timeout, got)


def _download(source: str, timeout: float, got: Callable[[int], object]) -> bytes:
    import requests  # noqa: PLC0415 - no instrumented process needs it

    until = time.monotonic() + timeout
    chunks: list[bytes] = []
    size = 0
    try:
        with requests.get(source, timeout=timeout, stream=True) as response:
            if response.status_code != _OK:
                msg = f"{_shown(source)} answers {response.status_code} {response.reason}; nothing was changed"
                raise PriceDataError(msg)
            for chunk in response.iter_content(_CHUNK):
                chunks.append(chunk)
                size += len(chunk)
                got(len(chunk))
                if size > MOST_BYTES:
                    msg = f"{_shown(source)} is larger than {MOST_BYTES >> 20} MB: that is no price list"
                    raise PriceDataError(msg)
                if time.monotonic() > until:
                    raise requests.Timeout  # noqa: TRY301 - each chunk came in time, all of them did not
    except requests.Timeout as error:
        msg = f"{_shown(source)} did not answer within {timeout:g} seconds; try again, or give it more by --timeout"
        raise PriceDataError(msg) from error
    except requests.RequestException as error:
        why = type(error).__name__
        msg = (
            f"{_shown(source)} cannot be fetched ({why}): is there a network? A file that was brought here by other "
            "means can be given by --from FILE"
        )
        raise PriceDataError(msg) from error
    return b"".join(chunks)


def _shown(source: str) -> str:
    """An address without what may be secret in it."""
    parts = urlsplit(source)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def read(raw: bytes, source: str, now_ns: int) -> Found:
    """Read what was fetched, and check all of it. Raises `PriceDataError`, or `PriceFileError` with every mistake."""
    name = source if "://" not in source else _shown(source)
    if is_data(raw):
        made = day_of(now_ns)
        data = read_data(raw, name, made=made)
        version = Edition(now_ns, now_ns, data.digest).version
        data.base.version = version
        return Found(name, raw, data=data)
    if raw.lstrip()[:1] == b"<" or b"schema" not in raw:
        msg = (
            f"{name} is neither price data of genai-prices (a JSON list of providers) nor a price file of otel-aicost "
            "(YAML that begins with `schema: 1`); nothing was changed"
        )
        raise PriceDataError(msg)
    return Found(name, raw, file=parse(raw, name))


def compare(old: Catalogue, new: Catalogue, at_ns: int) -> Summary:
    """What becomes of each model of the base layers."""
    added: list[tuple[str, str]] = []
    gone: list[tuple[str, str]] = []
    changed: list[tuple[str, str]] = []
    bases = [base for base in (old.base, new.base) if base is not None]
    for provider, model in models_of(*bases):
        before, after = resolved(old, provider, (model,), at_ns), resolved(new, provider, (model,), at_ns)
        if not same(before, after):
            kind = gone if not isinstance(after, Price) else changed if isinstance(before, Price) else added
            kind.append((provider, model))
    return Summary(tuple(added), tuple(gone), tuple(changed))


def guard(data: Data, old: Catalogue, source: str) -> None:
    """Refuse data that lack most of the models in force: `PriceDataError`."""
    known = set(models_of(old.base)) if old.base is not None else set()
    kept = len(known & set(models_of(data.base)))
    if kept < LEAST_SHARE * len(known):
        msg = (
            f"{source} has prices of only {kept:,} of the {len(known):,} models in force: it is a part of a list, or "
            "was cut short; nothing was changed. Prices of a few models go into a price file (schema: 1)"
        )
        raise PriceDataError(msg)


def is_news(directory: Path, found: Found) -> bool:
    """Whether it differs from what is in force."""
    if found.data is not None:
        editions = read_editions(directory)
        return not editions or editions[-1].digest != found.data.digest
    path = directory / USER_FILE
    return not path.is_file() or path.read_bytes() != found.raw


def install(directory: Path, found: Found, now_ns: int) -> bool:
    """Put what was found into force from now on. `False`: it is what is in force already, and is marked as checked.

    Raises `PriceDataError` where the directory cannot be written.
    """
    try:
        return _install_file(directory, found.raw) if found.data is None else _install_data(directory, found, now_ns)
    except OSError as error:
        msg = f"{directory} cannot be written: {error.strerror or error}; name another by --to DIRECTORY"
        raise PriceDataError(msg) from error


def _install_data(directory: Path, found: Found, now_ns: int) -> bool:
    data = found.data
    assert data is not None  # noqa: S101 - as its only caller has seen
    new = is_news(directory, found)
    editions = list(read_editions(directory))
    if new:
        editions.append(Edition(now_ns, now_ns, data.digest, found.source, data.models))
    else:
        editions[-1] = replace(editions[-1], checked_ns=now_ns)
    replace_file(directory / str(editions[-1].file), data.raw)
    write_editions(directory, editions)
    return new


def _install_file(directory: Path, raw: bytes) -> bool:
    path = directory / USER_FILE
    if path.is_file():
        old = path.read_bytes()
        if old == raw:
            return False  # its entries carry the days on which they were checked
        _keep(path, old)
    replace_file(path, raw)
    return True


def _keep(path: Path, old: bytes) -> None:
    """Leave a price file that goes out of force beside its place: nobody else may have it."""
    kept = path.with_name(f"prices-before-{day_of(time.time_ns())}.yaml")
    if not kept.exists():
        replace_file(kept, old)


def past_changes(directory: Path, file: PriceFile, now_ns: int) -> list[str]:
    """Periods of the price file in force that held in the past, and that `file` has not or has otherwise."""
    path = directory / USER_FILE
    if not path.is_file():
        return []
    try:
        before = read_price_file(path)
    except PriceFileError:
        return []
    told = {(entry.label, period.date): replace(period, line=0) for entry in file.entries for period in entry.periods}
    return [
        f"{entry.label} from {period.date}"
        for entry in before.entries
        for period in entry.periods
        if period.start_ns <= now_ns and told.get((entry.label, period.date)) != replace(period, line=0)
    ]


def remove(directory: Path, now_ns: int) -> bool:
    """Go back to the packaged prices from now on, and to no price file; calls of the past keep theirs.

    `False`: nothing was in force.
    """
    editions = list(read_editions(directory))
    file = directory / USER_FILE
    had_file = file.is_file()
    if had_file:
        _keep(file, file.read_bytes())
        file.unlink()
    if editions and editions[-1].digest is not None:
        write_editions(directory, [*editions, Edition(now_ns, now_ns)])
        return True
    return had_file


def forget(directory: Path) -> int:
    """Delete all that was ever stored, the past too: how many files."""
    names = (MANIFEST, USER_FILE, "genai-prices-*.json", "prices-before-*.yaml")
    found = [path for name in names for path in directory.glob(name)]
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)
