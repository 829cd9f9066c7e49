"""The values that travel: a Usage becomes a Cost, and one frozen Record of the call goes to the observers.

Nothing here imports anything of the project. Units: quantities are counts (tokens, images, requests) or seconds,
money is US dollars as `Decimal`, times are integer nanoseconds since the Unix epoch (UTC), durations nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

Quantity: TypeAlias = int | Decimal
Usage: TypeAlias = "Mapping[str, Quantity]"
"""Meter -> quantity, e.g. `{"input_tokens": 1500, "cache_read_tokens": 1000, "output_tokens": 200}`.

Totals are inclusive: `input_tokens` holds cached, audio and image tokens, `output_tokens` holds reasoning tokens.
The meters are the ones of `METERS`; quantities are finite and never negative.
"""

Conditions: TypeAlias = "Mapping[str, str]"
"""What else decides the price: `service_tier`, `processing` (batch), `speed`, `region`, `size`, `quality`, `sku` ..."""

NO_USAGE: Usage = MappingProxyType({})
NO_CONDITIONS: Conditions = MappingProxyType({})
NO_TAGS: Mapping[str, str] = MappingProxyType({})
NO_PARAMETERS: Mapping[str, object] = MappingProxyType({})

NANO_DIGITS = 9
NANO = Decimal("1e-9")
"""The ledger's unit of money, in dollars. Every part of a cost is a whole number of these."""

METERS: Mapping[str, str] = MappingProxyType(
    {
        "input_tokens": "tokens sent, all kinds (cached, audio and image tokens are inside)",
        "cache_read_tokens": "input tokens read from the provider's prompt cache",
        "cache_write_tokens": "input tokens written to the provider's prompt cache, any lifetime",
        "cache_write_5m_tokens": "of those, written for five minutes",
        "cache_write_1h_tokens": "of those, written for one hour",
        "output_tokens": "tokens generated, all kinds (reasoning, audio and image tokens are inside)",
        "reasoning_tokens": "output tokens the model thought with",
        "output_citation_tokens": "output tokens that cite what was found",
        "input_text_tokens": "input tokens that are text",
        "input_audio_tokens": "input tokens that are audio",
        "cache_audio_read_tokens": "audio input tokens read from the cache",
        "input_image_tokens": "input tokens that are images",
        "cache_image_read_tokens": "image input tokens read from the cache",
        "output_text_tokens": "output tokens that are text",
        "output_audio_tokens": "output tokens that are audio",
        "output_image_tokens": "output tokens that are images",
        "input_video_tokens": "input tokens that are video",
        "audio_seconds": "seconds of a live session that is billed by its length, whoever speaks",
        "input_audio_seconds": "seconds of audio sent",
        "output_audio_seconds": "seconds of audio generated",
        "input_characters": "characters sent, for speech",
        "output_images": "images generated; priced by `size` and `quality`",
        "output_video_seconds": "seconds of video generated",
        "output_videos": "videos generated, of a length that is not known",
        "output_video_tokens": "output tokens that are video",
        "cache_video_read_tokens": "video input tokens read from the cache",
        "document_pages": "pages read",
        "input_annotated_document_pages": "of those, pages that were annotated too",
        "requests": "requests, where a request itself has a price",
        "matrix_elements": "pairs of an origin and a destination, for travel times",
        "web_searches": "searches the provider made for the model",
        "web_fetches": "pages the provider fetched for the model",
        "batch_requests": "requests of a batch whose usage is not told",
        "cache_token_hours": "tokens kept in a cache of one's own, times hours",
        "maps_groundings": "look-ups in Google Maps the provider made for the model",
        "file_searches": "searches in the provider's file store",
        "code_executions": "runs of the provider's code interpreter",
        "rerank_searches": "rerank search units",
        "guardrail_content_units": "text units held against content filters; a unit is up to 1,000 characters",
        "guardrail_attack_units": "text units looked through for attacks in prompts",
        "guardrail_topic_units": "text units held against denied topics",
        "guardrail_personal_data_units": "text units looked through for personal data",
        "guardrail_grounding_units": "text units held against their sources",
        "guardrail_reasoning_units": "text units checked by automated reasoning, times policies",
        "guardrail_images": "images held against content filters",
        "guardrail_free_units": "text units held against word lists and patterns, which costs nothing",
        "classifications": "texts that were classified",
        "training_tokens": "tokens a model was trained on, epochs multiplied in",
        "training_seconds": "seconds of training that is billed by the hour",
    }
)
"""Every meter and what it counts. A meter that is not here can be recorded; it needs a price of the user's."""

Status: TypeAlias = Literal["ok", "error", "partial", "blocked"]
"""`partial`: a stream that ended before its end; `blocked`: a budget did not let it be sent."""

UsageState: TypeAlias = Literal["reported", "missing", "unread", "invalid", "none"]
"""Where the usage stands: `reported` by the provider; `missing` from a response that should have it (an estimate may
stand in: `estimated`); `unread`, the application never read the body; `invalid`, absurd numbers that were set
aside; `none`, nothing was to be counted (an error, a free endpoint)."""

PriceSource: TypeAlias = Literal["provider", "user", "supplement", "genai-prices"]


class CostPart(NamedTuple):
    """One line of a bill: `quantity` of `meter` at `price` dollars per `per`."""

    meter: str
    quantity: Quantity
    price: Decimal
    per: int
    amount: Decimal
    """Dollars, a whole number of nano-dollars; the parts of a cost add up to its total exactly."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a usage costs: `total` dollars, and how it came about."""

    total: Decimal
    """Dollars, finite, never negative, a whole number of nano-dollars."""
    parts: tuple[CostPart, ...]
    source: PriceSource
    price_id: str | None = None
    """Which price was used, e.g. `openai/gpt-4o`; `None` when the provider stated the cost."""
    price_date: str | None = None
    """The ISO date from which that price is valid, where the price list knows it."""
    catalogue: str | None = None
    """The version of the price list, so that a past cost can be reproduced."""
    cache_saved_nano: int = 0
    """What input read from a prompt cache cost less than input that is not, in nano-dollars."""
    batch_saved_nano: int = 0
    """What a batch cost less than the same calls one by one, in nano-dollars."""


@dataclass(frozen=True, slots=True)
class Unpriced:
    """There is no price, and why. Never a zero: a model that is explicitly free has a Cost of 0."""

    reason: str
    """One of the `UNPRICED_*` names, low in cardinality."""
    detail: str
    """For a human: which model, which meter, what to do."""


UNPRICED_MODEL = "unknown_model"
UNPRICED_PROVIDER = "unknown_provider"
UNPRICED_DATE = "no_price_at_date"
UNPRICED_METER = "unpriced_meter"
UNPRICED_CONDITION = "unpriced_condition"
UNPRICED_USAGE = "no_usage"
UNPRICED_INVALID = "invalid_usage"
UNPRICED_FAILED = "pricing_failed"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one billable response says of itself, as a provider file read it."""

    model: str | None = None
    response_id: str | None = None
    usage: Usage | None = None
    """`None`: the response holds no usage."""
    conditions: Conditions = field(default_factory=lambda: NO_CONDITIONS)
    cost: Decimal | None = None
    """Dollars, where the provider itself states the cost."""
    finish_reasons: tuple[str, ...] = ()
    final: bool = True
    """The usage is the last word, even if the response goes on; a stream begins with a provisional one."""
    error: str | None = None
    """The code of a failure that came with a successful HTTP status."""
    invalid: str | None = None
    """Why the usage cannot be believed; it is then recorded nowhere and priced at nothing."""
    once: str | None = None
    """What the provider bills under this key it bills once, however often it is fetched; one for each provider."""
    at_ns: int | None = None
    """When it was billed, where that is not when it was asked for: a result of a batch. Decides its price."""
    others: tuple[Reading, ...] = ()
    """Further parts of the same response that are billed apart, each at the rates of a model of its own."""
    operation: str | None = None
    """What was done, where that is not what the endpoint says: a transcription inside a conversation."""
    pending: bool = False
    """Nothing is billed yet: the work goes on, and its usage is told when its result is fetched."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call about to be sent: what is known before the first byte."""

    provider: str
    """The GenAI semantic-convention name of who is paid: `openai`, `azure.ai.openai`, `groq` ..."""
    operation: str
    """`gen_ai.operation.name`: `chat`, `embeddings`, `text_completion` ..."""
    request_model: str | None
    started_ns: int
    started_ticks: int
    """`time.perf_counter_ns()` at the start: durations do not jump with the wall clock."""
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    host: str | None = None
    port: int | None = None
    stream: bool = False
    parameters: Mapping[str, object] = field(default_factory=lambda: NO_PARAMETERS)
    """Request parameters under their `gen_ai.request.*` names, without any content."""
    usage: Usage = field(default_factory=lambda: NO_USAGE)
    """What the request alone tells: characters to speak, images asked for."""
    conditions: Conditions = field(default_factory=lambda: NO_CONDITIONS)
    free: bool = False
    """The endpoint costs nothing by the provider's own rules (moderation, token counting)."""
    only_with_usage: bool = False
    """Not known to be billable: there is a call to record only if the response holds a usage."""
    past: bool = False
    """It fetches what was spent before: no budget can stop it, and all of it counts."""
    priced_by_request: bool = False
    """The model of the request decides the price rather than the one of the response."""
    replaceable: bool = False
    """The request names its model in its body alone, so that another one can take its place."""
    asked_model: str | None = None
    """What the application asked for, where a budget had `request_model` take its place."""
    sdk: str | None = None
    sdk_span: bool = False
    """The SDK opens a span of its own for this call."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one billable response of a call ended, before it is priced."""

    status: Status
    usage_state: UsageState
    usage: Usage = field(default_factory=lambda: NO_USAGE)
    estimated: bool = False
    reading: Reading = field(default_factory=Reading)
    error_type: str | None = None
    ended_ticks: int = 0
    """`time.perf_counter_ns()` at the end."""
    first_chunk_ticks: int | None = None
    resends: int = 0
    """Attempts before the one that was answered."""


@dataclass(frozen=True, slots=True)
class Record:
    """One finished billable response, priced: what every observer gets."""

    id: str
    """A UUIDv7 of our own: unique, and in the order of time."""
    started_ns: int
    duration_ns: int
    provider: str
    operation: str
    status: Status
    usage_state: UsageState
    service: str
    request_model: str | None = None
    response_model: str | None = None
    asked_model: str | None = None
    """What the application asked for, where a budget had `request_model` take its place."""
    response_id: str | None = None
    usage: Usage = field(default_factory=lambda: NO_USAGE)
    conditions: Conditions = field(default_factory=lambda: NO_CONDITIONS)
    cost: Cost | None = None
    """`None` where nothing was billed (an error) or no price is known (`unpriced` says why)."""
    unpriced: Unpriced | None = None
    estimated: bool = False
    """The quantities are our own estimate, not the provider's."""
    error_type: str | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    first_chunk_ns: int | None = None
    """From the start of the call to the first chunk of a streamed body."""
    host: str | None = None
    port: int | None = None
    stream: bool = False
    parameters: Mapping[str, object] = field(default_factory=lambda: NO_PARAMETERS)
    finish_reasons: tuple[str, ...] = ()
    sdk: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
