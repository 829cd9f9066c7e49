"""Every name the outside world sees, once: span attributes, metrics, environment variables.

The `gen_ai.*` names are those of the OpenTelemetry GenAI semantic conventions (and, for the cost, of their pull
request 443). They are literals because `opentelemetry-semantic-conventions` lags behind and deprecates its own.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

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
METRIC_UNPRICED: Final = "aicost.client.unpriced_calls"
METRIC_INTERNAL_ERRORS: Final = "aicost.client.internal_errors"
OTHER: Final = "other"
"""The value of a tag attribute past the cap on distinct values."""


# --- what a scrape of the ledger gives ------------------------------------------------------------------------------
class Family(NamedTuple):
    """A Prometheus metric family. Counters are named without the `_total` that their samples end with."""

    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


SERIES: Final = ("provider", "model", "operation", "service")
"""The labels of every running total; after them come the tags of `OTEL_AICOST_METRIC_TAGS`."""
_BUDGET: Final = ("budget", "key", "period")
_PERIOD: Final = ("period", "offset")
_TOP: Final = ("by", "name", *_PERIOD)

RUNNING_TOTALS: Final[Mapping[str, Family]] = MappingProxyType(
    {
        "aicost_cost_usd": Family("counter", "Cost of calls in US dollars, estimates included.", (*SERIES, "status")),
        "aicost_tokens": Family(
            "counter",
            "Tokens, each counted under one type: input, cache_read, cache_write, output or reasoning.",
            (*SERIES, "type"),
        ),
        "aicost_calls": Family("counter", "Calls by how they ended: ok, error, partial, blocked.", (*SERIES, "status")),
        "aicost_unpriced_calls": Family("counter", "Calls whose cost is not known, and why.", (*SERIES, "reason")),
        "aicost_estimated_cost_usd": Family("counter", "The part of the cost that rests on estimated usage.", SERIES),
        "aicost_saved_usd": Family(
            "counter", "What cached prompts (by=cache) and batches (by=batch) cost less than usual.", (*SERIES, "by")
        ),
        "aicost_repriced_calls": Family(
            "counter", "Calls that got another cost later; reason is why they had none, if so.", (*SERIES, "reason")
        ),
        "aicost_repriced_down_usd": Family(
            "counter", "What calls were found later to cost less; aicost_cost_usd still has it.", SERIES
        ),
        "aicost_call_duration_seconds": Family("histogram", "Duration of calls.", SERIES),
        "aicost_time_to_first_chunk_seconds": Family("histogram", "Time to the first chunk of streams.", SERIES),
    }
)
"""Over all time, from the ledger's `totals` and `repriced`: they never fall, whatever restarts."""

EXPORTED: Final[Mapping[str, Family]] = MappingProxyType(
    {
        **RUNNING_TOTALS,
        "aicost_budget_blocked_calls": Family("counter", "Calls that a budget did not let be sent.", ("budget",)),
        "aicost_budget_avoided_usd": Family("counter", "What those calls were expected to cost.", ("budget",)),
        "aicost_spend_usd": Family("gauge", "Spend of a calendar period: offset 0 is this one, 1 the last.", _PERIOD),
        "aicost_previous_spend_to_date_usd": Family(
            "gauge", "Spend of the last period up to where this one is now.", ("period",)
        ),
        "aicost_period_start_timestamp_seconds": Family("gauge", "When this calendar period began.", ("period",)),
        "aicost_period_end_timestamp_seconds": Family("gauge", "When this calendar period ends.", ("period",)),
        "aicost_top_spend_usd": Family("gauge", "The top spenders of a period; the rest is named other.", _TOP),
        "aicost_top_calls": Family("gauge", "Calls of the top spenders of a period.", _TOP),
        "aicost_top_tokens": Family("gauge", "Input and output tokens of the top spenders of a period.", _TOP),
        "aicost_top_names": Family("gauge", "How many different names made calls in a period.", ("by", *_PERIOD)),
        "aicost_costliest_call_usd": Family(
            "gauge",
            "The ten dearest calls of the last 24 hours.",
            ("call", "trace_id", *SERIES, "feature", "user"),
        ),
        "aicost_budget_spend_usd": Family("gauge", "Spend in the current window of a budget.", _BUDGET),
        "aicost_budget_reserved_usd": Family("gauge", "Reserved for calls on their way.", _BUDGET),
        "aicost_budget_limit_usd": Family("gauge", "The limit that holds for the next call.", _BUDGET),
        "aicost_budget_spend_tokens": Family("gauge", "Tokens in the current window of a budget.", _BUDGET),
        "aicost_budget_reserved_tokens": Family("gauge", "Tokens reserved for calls on their way.", _BUDGET),
        "aicost_budget_limit_tokens": Family("gauge", "The limit in tokens.", _BUDGET),
        "aicost_budget_spend_calls": Family("gauge", "Calls in the current window of a budget.", _BUDGET),
        "aicost_budget_reserved_calls": Family("gauge", "Calls on their way.", _BUDGET),
        "aicost_budget_limit_calls": Family("gauge", "The limit in calls.", _BUDGET),
        "aicost_budget_used_ratio": Family("gauge", "Share of a limit that is spent; 1 is all.", (*_BUDGET, "unit")),
        "aicost_budget_threshold_reached": Family(
            "gauge", "1 for each share of `alert_at` that is reached.", (*_BUDGET, "unit", "threshold")
        ),
        "aicost_budget_start_timestamp_seconds": Family("gauge", "When the current window began.", _BUDGET),
        "aicost_budget_end_timestamp_seconds": Family("gauge", "When the current window ends.", _BUDGET),
        "aicost_budget_windows": Family("gauge", "Windows of a budget that count now, shown or not.", ("budget",)),
        "aicost_budget_info": Family(
            "gauge", "1 for each budget.", ("budget", "period", "per", "team", "on_exceed", "timezone")
        ),
        "aicost_open_alerts": Family("gauge", "Alerts that are not resolved.", ("kind", "severity", "source", "state")),
        "aicost_list_price_usd_per_million_tokens": Family(
            "gauge", "Today's list price of a model that was used.", ("provider", "model", "type")
        ),
        "aicost_price_table_timestamp_seconds": Family("gauge", "When the price data was made.", ("source",)),
        "aicost_price_table_max_age_seconds": Family("gauge", "The age past which price data is stale.", ()),
        "aicost_ledger_up": Family("gauge", "1: the ledger could be read for this scrape.", ()),
        "aicost_ledger_calls": Family("gauge", "Calls in the ledger, daily totals included.", ()),
        "aicost_ledger_size_bytes": Family("gauge", "Size of the ledger.", ()),
        "aicost_ledger_first_call_timestamp_seconds": Family("gauge", "When the oldest call began.", ()),
        "aicost_ledger_last_call_timestamp_seconds": Family("gauge", "When the newest call began.", ()),
        "aicost_outbox_calls": Family("gauge", "Calls that wait on a host for the server.", ("host",)),
        "aicost_outbox_oldest_timestamp_seconds": Family("gauge", "Since when the oldest of them waits.", ("host",)),
        "aicost_writers": Family("gauge", "Instrumented processes seen of late.", ("service", "version", "sdks")),
        "aicost_writer_queued_calls": Family("gauge", "Calls in the memory of processes, not written.", ("service",)),
        "aicost_writer_lost_calls": Family("counter", "Calls that could be written nowhere.", ("service",)),
        "aicost_writer_errors": Family("counter", "Tries to write to the ledger that failed.", ("service",)),
        "aicost_internal_errors": Family("counter", "Errors of otel-aicost itself.", ("service",)),
        "aicost_label_overflow": Family("gauge", "Values of a label that are shown as `other`.", ("label",)),
        "aicost_series": Family("gauge", "Label sets of the running totals.", ()),
        "aicost_collect_seconds": Family("gauge", "How long reading the ledger took for this scrape.", ()),
        "aicost_build_info": Family("gauge", "1, with the version of otel-aicost.", ("version",)),
    }
)
"""Every family that `aicost serve` shows, in its order."""

# --- environment variables ---------------------------------------------------------------------------------------
ENV_ENABLED: Final = "OTEL_AICOST_ENABLED"
ENV_DISABLED: Final = "OTEL_AICOST_DISABLED"
ENV_LEDGER: Final = "OTEL_AICOST_LEDGER"
ENV_OUTBOX: Final = "OTEL_AICOST_OUTBOX"
ENV_RETENTION: Final = "OTEL_AICOST_RETENTION_DAYS"
ENV_JSONL: Final = "OTEL_AICOST_JSONL"
ENV_PRICES: Final = "OTEL_AICOST_PRICES"
ENV_PRICE_DATA: Final = "OTEL_AICOST_PRICE_DATA"
ENV_STALE_DAYS: Final = "OTEL_AICOST_STALE_DAYS"
ENV_PROVIDER_HOSTS: Final = "OTEL_AICOST_PROVIDER_HOSTS"
ENV_STREAM_USAGE: Final = "OTEL_AICOST_STREAM_USAGE"
ENV_TAGS: Final = "OTEL_AICOST_TAGS"
ENV_BAGGAGE_KEYS: Final = "OTEL_AICOST_BAGGAGE_KEYS"
ENV_PRICE_SPANS: Final = "OTEL_AICOST_PRICE_SPANS"
ENV_METRIC_TAGS: Final = "OTEL_AICOST_METRIC_TAGS"
ENV_CONFIG: Final = "OTEL_AICOST_CONFIG"
ENV_DAILY_LIMIT: Final = "OTEL_AICOST_DAILY_LIMIT"
ENV_MONTHLY_LIMIT: Final = "OTEL_AICOST_MONTHLY_LIMIT"
ENV_USER_DAILY_LIMIT: Final = "OTEL_AICOST_USER_DAILY_LIMIT"
ENV_WORK_LIMIT: Final = "OTEL_AICOST_WORK_LIMIT"
ENV_ON_EXCEED: Final = "OTEL_AICOST_ON_EXCEED"
ENV_SERVE_TOKEN: Final = "OTEL_AICOST_SERVE_TOKEN"  # noqa: S105 - the name of a variable
ENV_ALERTMANAGER: Final = "OTEL_AICOST_ALERTMANAGER"
ENV_PROMETHEUS_PORT: Final = "OTEL_AICOST_PROMETHEUS_PORT"
ENV_PROMETHEUS_HOST: Final = "OTEL_AICOST_PROMETHEUS_HOST"
