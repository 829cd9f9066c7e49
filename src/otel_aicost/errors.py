"""The tree of errors.

AICostError
├── ConfigError         settings or a file are wrong; lists every mistake
│   └── PriceFileError  a price file is wrong; each mistake names file, line and key
└── LedgerError         the ledger cannot be opened, read or migrated
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class AICostError(Exception):
    """Any error of otel-aicost."""


class ConfigError(AICostError):
    """Settings that cannot be used. `mistakes` holds one sentence each: what, where and how to mend it."""

    def __init__(self, mistakes: Sequence[str]) -> None:
        self.mistakes = tuple(mistakes)
        super().__init__("\n".join(self.mistakes))


class PriceFileError(ConfigError):
    """A price file that cannot be used; each mistake reads `FILE:LINE: KEY: what is wrong`."""


class LedgerError(AICostError):
    """The ledger cannot be opened, read or migrated."""
