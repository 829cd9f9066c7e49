"""Every name the outside world sees, once: span attributes, metrics, environment variables.

The `gen_ai.*` names are those of the OpenTelemetry GenAI semantic conventions (and, for the cost, of their pull
request 443). They are literals because `opentelemetry-semantic-conventions` lags behind and deprecates its own.
"""

from __future__ import annotations

from typing import Final

SCOPE: Final = "otel_aicost"

# --- span attributes ---------------------------------------------------------------------------------------------
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
REQUEST_MODEL: Final = "gen_ai.request.model"
RESPONSE_MODEL: Final = "gen_ai.response.model"
RESPONSE_ID: Final = "gen_ai.response.id"
FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS: Final = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS: Final = "gen_ai.usage.reasoning.output_tokens"
COST_AMOUNT: Final = "gen_ai.usage.cost.amount"
COST_CURRENCY: Final = "gen_ai.usage.cost.currency"
COST_SOURCE: Final = "gen_ai.usage.cost.source"
"""`provider` (the response stated it) or `local` (computed from a price list)."""
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105 - tokens of text
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
ERROR_TYPE: Final = "error.type"

AICOST_RECORD_ID: Final = "aicost.record.id"
AICOST_STATUS: Final = "aicost.status"
AICOST_ESTIMATED: Final = "aicost.estimated"
AICOST_USAGE_STATE: Final = "aicost.usage.state"
AICOST_USAGE_PREFIX: Final = "aicost.usage."
"""Followed by a meter that has no `gen_ai.usage.*` name, e.g. `aicost.usage.input_audio_seconds`."""
AICOST_PRICE_SOURCE: Final = "aicost.price.source"
AICOST_PRICE_ID: Final = "aicost.price.id"
AICOST_PRICE_DATE: Final = "aicost.price.date"
AICOST_UNPRICED_REASON: Final = "aicost.unpriced.reason"
AICOST_BUDGET: Final = "aicost.budget.name"
AICOST_BUDGET_KEY: Final = "aicost.budget.key"
"""Which budget did not let a call be sent, or not with the model asked for, and the value of its `per`."""
AICOST_FALLBACK_FROM: Final = "aicost.fallback.from_model"
"""The model the application asked for, where that budget had a cheaper one take its place."""
AICOST_BUDGET_WINDOW: Final = "aicost.budget.window"
AICOST_ALERT_KIND: Final = "aicost.alert.kind"
AICOST_ALERT_SEVERITY: Final = "aicost.alert.severity"
AICOST_ALERT_ID: Final = "aicost.alert.id"
AICOST_TAG_PREFIX: Final = "aicost.tag."
AICOST_CONDITION_PREFIX: Final = "aicost.condition."
"""Followed by what else decided the price: `service_tier`, `processing`, `size` ..."""

USAGE_ATTRIBUTES: Final = {
    "input_tokens": INPUT_TOKENS,
    "output_tokens": OUTPUT_TOKENS,
    "cache_read_tokens": CACHE_READ_TOKENS,
    "cache_write_tokens": CACHE_WRITE_TOKENS,
    "reasoning_tokens": REASONING_TOKENS,
}
"""Meter -> its semantic-convention span attribute."""

# --- OpenTelemetry log events -------------------------------------------------------------------------------------
EVENT_ALERT: Final = "aicost.alert"

# --- OpenTelemetry metrics ---------------------------------------------------------------------------------------
METRIC_TOKENS: Final = "gen_ai.client.token.usage"
METRIC_DURATION: Final = "gen_ai.client.operation.duration"
METRIC_FIRST_CHUNK: Final = "gen_ai.client.operation.time_to_first_chunk"
METRIC_COST: Final = "gen_ai.client.operation.cost"
METRIC_UNPRICED: Final = "aicost.unpriced_calls"
METRIC_INTERNAL_ERRORS: Final = "aicost.internal_errors"
OTHER: Final = "other"
"""The value of a tag attribute past the cap on distinct values."""

# --- environment variables ---------------------------------------------------------------------------------------
ENV_ENABLED: Final = "OTEL_AICOST_ENABLED"
ENV_DISABLED: Final = "OTEL_AICOST_DISABLED"
ENV_LEDGER: Final = "OTEL_AICOST_LEDGER"
ENV_OUTBOX: Final = "OTEL_AICOST_OUTBOX"
ENV_RETENTION: Final = "OTEL_AICOST_RETENTION_DAYS"
ENV_JSONL: Final = "OTEL_AICOST_JSONL"
ENV_PRICES: Final = "OTEL_AICOST_PRICES"
ENV_PROVIDER_HOSTS: Final = "OTEL_AICOST_PROVIDER_HOSTS"
ENV_STREAM_USAGE: Final = "OTEL_AICOST_STREAM_USAGE"
ENV_TAGS: Final = "OTEL_AICOST_TAGS"
ENV_BAGGAGE_KEYS: Final = "OTEL_AICOST_BAGGAGE_KEYS"
ENV_METRIC_TAGS: Final = "OTEL_AICOST_METRIC_TAGS"
ENV_CONFIG: Final = "OTEL_AICOST_CONFIG"
ENV_DAILY_LIMIT: Final = "OTEL_AICOST_DAILY_LIMIT"
ENV_MONTHLY_LIMIT: Final = "OTEL_AICOST_MONTHLY_LIMIT"
ENV_USER_DAILY_LIMIT: Final = "OTEL_AICOST_USER_DAILY_LIMIT"
ENV_WORK_LIMIT: Final = "OTEL_AICOST_WORK_LIMIT"
ENV_ON_EXCEED: Final = "OTEL_AICOST_ON_EXCEED"
