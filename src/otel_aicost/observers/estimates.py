"""What a call may cost, told before it is sent: at the most, and by what such calls lately cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from otel_aicost.budgets.budget import Amounts
from otel_aicost.model import (
    NANO_DIGITS,
    UNPRICED_CONDITION,
    UNPRICED_DATE,
    UNPRICED_MODEL,
    UNPRICED_PROVIDER,
    Cost,
    Unpriced,
)
from otel_aicost.text_tokens import BYTES_PER_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_aicost.model import Call, Quantity, Record

    Pricing: TypeAlias = Callable[[Call, Mapping[str, Quantity]], Cost | Unpriced]

MOST_OUTPUT_TOKENS: Final = 128_000
"""What a model is taken to write at the most where the request sets no limit."""
USUAL_OUTPUT_TOKENS: Final = 4096
"""What it is taken to write in `balanced` mode before any such call has ended, where the request sets no limit."""
MOST_NANO: Final = 10**16
KINDS: Final = 4096
_MAX_TOKENS: Final = "gen_ai.request.max_tokens"
_WITHOUT_OUTPUT: Final = frozenset({"embeddings"})
_NO_PRICE: Final = frozenset({UNPRICED_MODEL, UNPRICED_PROVIDER, UNPRICED_DATE, UNPRICED_CONDITION})


class Estimate:
    """What a call may take. Each way to see it is a price, and is worked out when it is asked for."""

    __slots__ = ("_call", "_dearest", "_most", "_nano", "_output", "_price", "_prompt", "free", "unpriced")

    def __init__(self, call: Call, prompt: int, price: Pricing) -> None:
        """Foresee a call whose prompt has about so many tokens; `price` is the catalogue's."""
        self._call, self._price, self._prompt = call, price, prompt
        self._output = _asked(call.parameters.get(_MAX_TOKENS), 0)
        # A token is a byte at the least: so many tokens as bytes is more than any tokeniser makes of a text.
        self._most = _usage(call, prompt * BYTES_PER_TOKEN, self._output or MOST_OUTPUT_TOKENS)
        cost = price(call, self._most)
        self._nano = _nano(cost)
        self._dearest: int | None = None if self._nano else 0
        self.free = isinstance(cost, Cost) and not cost.total
        """It has a price, and that is zero."""
        self.unpriced = cost if isinstance(cost, Unpriced) and cost.reason in _NO_PRICE else None
        """Its model has no price. Without it and with no money in `most`: the price is for what no request tells."""

    def most(self) -> Amounts:
        """In the worst case."""
        if self._dearest is None:
            self._dearest = max(self._nano, _nano(self._price(self._call, _written(self._most))))
        return Amounts(self._dearest, _total(self._most), 1)

    def usual(self) -> Amounts:
        """Where nothing is known of such calls."""
        usage = _usage(self._call, self._prompt, self._output or USUAL_OUTPUT_TOKENS)
        return Amounts(_nano(self._price(self._call, usage)) if self._nano else 0, _total(usage), 1)

    def at_most(self, nano: int, tokens: int) -> Amounts:
        """So much, unless such a call cannot take it."""
        if nano > self._nano:
            nano = min(nano, self.most().nano or MOST_NANO)
        return Amounts(nano, min(tokens, _total(self._most)), 1)


class Lately:
    """What calls of each kind lately took: a mean in which each call weighs less than the next."""

    def __init__(self) -> None:
        self._means: dict[tuple[str, str, str], tuple[float, float]] = {}

    def learn(self, record: Record) -> None:
        """Count a call whose usage its provider reported."""
        if record.cost is None or record.usage_state != "reported" or record.estimated:
            return
        kind = (record.provider, record.operation, record.request_model or "")
        new = (float(_nano(record.cost)), float(_total(record.usage)))
        old = self._means.get(kind)
        if old is None and len(self._means) >= KINDS:
            self._means.clear()
        # Without a lock: at worst one of two calls that end at once is not counted.
        self._means[kind] = new if old is None else (old[0] * 0.8 + new[0] * 0.2, old[1] * 0.8 + new[1] * 0.2)

    def usual(self, call: Call, foreseen: Estimate) -> Amounts:
        """What such a call usually takes; never more than it can."""
        mean = self._means.get((call.provider, call.operation, call.request_model or ""))
        if mean is None:
            return foreseen.usual()
        return foreseen.at_most(int(mean[0]) + 1, int(mean[1]) + 1)

    def of(self, record: Record) -> Amounts:
        """What a call of this kind usually takes; nothing where none has ended yet."""
        mean = self._means.get((record.provider, record.operation, record.request_model or ""))
        return Amounts() if mean is None else Amounts(int(mean[0]), int(mean[1]), 1)


def _usage(call: Call, prompt: int, output: int) -> dict[str, Quantity]:
    if call.usage:
        return dict(call.usage)
    count = _asked(call.parameters.get("gen_ai.request.choice.count"), 1)
    if call.operation == "image_generation":
        return {"output_images": count}
    return {"input_tokens": prompt, "output_tokens": 0 if call.operation in _WITHOUT_OUTPUT else output * count}


def _written(usage: Mapping[str, Quantity]) -> dict[str, Quantity]:
    """The same, with all of the prompt written to the provider's cache for as long as can be: that may cost more."""
    if "input_tokens" not in usage:
        return dict(usage)
    prompt = usage["input_tokens"]
    return {**usage, "cache_write_tokens": prompt, "cache_write_1h_tokens": prompt}


def _total(usage: Mapping[str, Quantity]) -> int:
    return int(usage.get("input_tokens", 0)) + int(usage.get("output_tokens", 0))


def _nano(cost: Cost | Unpriced) -> int:
    return min(int(cost.total.scaleb(NANO_DIGITS)), MOST_NANO) if isinstance(cost, Cost) else 0


def _asked(value: object, otherwise: int) -> int:
    """A number the request states, if it is one."""
    return value if type(value) is int and value > 0 else otherwise
