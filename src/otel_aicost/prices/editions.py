"""The base layer in time: the list of the installed package, then each list that `aicost prices update` stored.

A call is priced with the list that was in force when it was made, so that a newer one never changes what a call of
the past has cost. Two things newer lists may add to the past: a price of a model that had none, and a change of price
that they date to a day after the list in force was made, which that one could not know of.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Final

from otel_aicost import faults
from otel_aicost.errors import PriceDataError
from otel_aicost.prices.base import Base
from otel_aicost.prices.rates import ALWAYS, narrow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from otel_aicost.model import Conditions
    from otel_aicost.prices.rates import Price, Validity

MANIFEST: Final = "editions.json"
USER_FILE: Final = "prices.yaml"
"""A price file that was fetched; it is used where the user names no other."""
SCHEMA: Final = 1
_SECOND: Final = 10**9


@dataclass(frozen=True, slots=True)
class Edition:
    """A list of prices, and from when on it is in force."""

    since_ns: int
    checked_ns: int
    """When its source was last found to say the same."""
    digest: str | None = None
    """Of its data; `None`: the list of the installed package."""
    source: str = ""
    models: int = 0

    @property
    def file(self) -> str | None:
        """The name of the file with its data."""
        return None if self.digest is None else f"genai-prices-{self.digest}.json"

    @property
    def version(self) -> str:
        """Its name in catalogues: `genai-prices 1a2b3c4d of 2026-11-22`."""
        since, checked = day_of(self.since_ns), day_of(self.checked_ns)
        again = f", checked {checked}" if checked != since else ""
        return f"genai-prices {self.digest} of {since}{again}"


def day_of(at_ns: int) -> date:
    """The day of UTC."""
    return datetime.fromtimestamp(at_ns // _SECOND, UTC).date()


def read_editions(directory: Path) -> tuple[Edition, ...]:
    """What was stored there, in the order of time; nothing, if nothing was. Raises `PriceDataError`."""
    path = directory / MANIFEST
    try:
        told = json.loads(path.read_bytes())
        if told["schema"] != SCHEMA:
            msg = f"{path} was written by a newer version of otel-aicost: upgrade it"
            raise PriceDataError(msg)
        found = tuple(Edition(**each) for each in told["editions"])
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError, TypeError, KeyError) as error:
        msg = f"{path} cannot be read: {error}; `aicost prices update --forget` goes back to the packaged prices"
        raise PriceDataError(msg) from error
    return tuple(sorted(found, key=lambda edition: edition.since_ns))


def write_editions(directory: Path, editions: Sequence[Edition]) -> None:
    """Put the list down in one step: a reader sees the old one or the new one. Raises `OSError`."""
    document = {"schema": SCHEMA, "editions": [asdict(edition) for edition in editions]}
    replace_file(directory / MANIFEST, json.dumps(document, indent=1).encode() + b"\n")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file in one step; what is under its name is whole at any time, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def state_of(directory: Path | None) -> tuple[object, ...]:
    """Differs as soon as anything was stored; two system calls."""
    if directory is None:
        return ()
    return tuple(_stat(directory / name) for name in (MANIFEST, USER_FILE))


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


class Editions:
    """The lists of all times with the face of `Base`. Those of the past are loaded when a call needs them."""

    def __init__(self, directory: Path, editions: Sequence[Edition], packaged: Callable[[], Base] = Base) -> None:
        """`packaged` loads the list of the installed package, which holds before the first edition."""
        self._directory = directory
        self._editions = (Edition(ALWAYS[0], 0), *editions)
        self._load_packaged = packaged
        self._packaged: Base | None = None
        self._bases: dict[int, Base] = {}
        self._newest = self._base(len(self._editions) - 1)
        self.version = self._newest.version

    def knows(self, provider: str) -> bool:
        return self._newest.knows(provider)

    def providers(self) -> list[str]:
        return self._newest.providers()

    def models(self, provider: str) -> Iterator[str]:
        return self._newest.models(provider)

    def newest(self) -> date:
        return self._newest.newest()

    def find(self, provider: str, model: str, conditions: Conditions, at_ns: int) -> tuple[Price | None, Validity]:
        """Return the price of a model at a time, or `None`, and how long this answer holds."""
        last = len(self._editions) - 1
        index = next(i for i in range(last, -1, -1) if self._editions[i].since_ns <= at_ns)
        end = self._editions[index + 1].since_ns if index < last else ALWAYS[1]
        found, valid = self._ask(index, provider, model, conditions, at_ns)
        valid = narrow(valid, (self._editions[index].since_ns, end))
        known = found
        for later in range(last, index, -1):  # the newest knows best
            said, span = self._ask(later, provider, model, conditions, at_ns)
            valid = narrow(valid, span)
            if said is not None and (known is None or self._is_news(said, known, index)):
                return said, valid
        if found is None and self._editions[index].digest is not None:
            found, span = self._of_package().find(provider, model, conditions, at_ns)
            valid = narrow(valid, span)
            found = self._named(found, self._of_package())
        return found, valid

    def _is_news(self, said: Price, known: Price, index: int) -> bool:
        """Whether a later list dates a price after all that the one in force could know."""
        if said.date is None:
            return False
        edition = self._editions[index]
        made = self._base(index).newest() if edition.digest is None else day_of(edition.since_ns)
        return said.date > max(made.isoformat(), known.date or "")

    def _ask(
        self, index: int, provider: str, model: str, conditions: Conditions, at_ns: int
    ) -> tuple[Price | None, Validity]:
        base = self._base(index)
        found, valid = base.find(provider, model, conditions, at_ns)
        return self._named(found, base), valid

    def _named(self, price: Price | None, base: Base) -> Price | None:
        return price if price is None or base is self._newest else replace(price, edition=base.version)

    def _base(self, index: int) -> Base:
        # Without a lock: at worst two threads load the same list.
        found = self._bases.get(index)
        if found is None:
            found = self._bases[index] = self._load(self._editions[index])
        return found

    def _load(self, edition: Edition) -> Base:
        """The list of an edition; one that has become unreadable is said, and the packaged one takes its place."""
        if edition.file is None:
            return self._of_package()
        from otel_aicost.prices.data import digest_of, load_data  # noqa: PLC0415 - only where something was stored

        path = self._directory / edition.file
        try:
            stored = path.read_bytes()
            if digest_of(stored) != edition.digest:
                msg = f"{path} is not what was stored"
                raise PriceDataError(msg)  # noqa: TRY301 - as the other errors
            return load_data(stored, str(path), edition.version, day_of(edition.checked_ns))
        except (OSError, PriceDataError) as error:
            faults.say("prices.editions", _UNREADABLE, error)
            return self._of_package()

    def _of_package(self) -> Base:
        if self._packaged is None:
            self._packaged = self._load_packaged()
        return self._packaged


_UNREADABLE: Final = (
    "the prices that were fetched cannot be read, and the packaged ones are used instead: %s; "
    "`aicost prices update` fetches them again"
)
