"""What every AI API call of a Python program costs.

Nothing needs to be imported for that: `opentelemetry-instrument python app.py` counts and prices the calls. This
module is for what only the application knows (whose call it is) and for calls that no SDK makes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from otel_aicost.errors import AICostError, BudgetExceeded, BudgetFileError, ConfigError, LedgerError, PriceFileError
from otel_aicost.tags import tags
from otel_aicost.track import track

if TYPE_CHECKING:
    from otel_aicost.budgeting import Admission, BudgetStatus, budget_status, can_call
    from otel_aicost.manual import estimate, flush, instrument, record, uninstrument
    from otel_aicost.model import Cost, CostPart, Record, Unpriced
    from otel_aicost.spans import CostSpanExporter, CostSpanProcessor

__version__ = "0.1.0"

__all__ = [
    "AICostError",
    "Admission",
    "BudgetExceeded",
    "BudgetFileError",
    "BudgetStatus",
    "ConfigError",
    "Cost",
    "CostPart",
    "CostSpanExporter",
    "CostSpanProcessor",
    "LedgerError",
    "PriceFileError",
    "Record",
    "Unpriced",
    "__version__",
    "budget_status",
    "can_call",
    "estimate",
    "flush",
    "instrument",
    "record",
    "tags",
    "track",
    "uninstrument",
]

_LATER = {
    **dict.fromkeys(("Admission", "BudgetStatus", "budget_status", "can_call"), "otel_aicost.budgeting"),
    **dict.fromkeys(("estimate", "flush", "instrument", "record", "uninstrument"), "otel_aicost.manual"),
    **dict.fromkeys(("Cost", "CostPart", "Record", "Unpriced"), "otel_aicost.model"),
    **dict.fromkeys(("CostSpanExporter", "CostSpanProcessor"), "otel_aicost.spans"),
}
"""Imported at first use: importing this module must cost an application next to nothing."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever is exported under that name
    module = _LATER.get(name)
    if module is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return __all__
