from __future__ import annotations

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otel_aicost import faults
from otel_aicost.model import Cost, Unpriced
from otel_aicost.observers import metrics as observed
from records import record


@pytest.fixture
def measure(monkeypatch):
    """A function that hands records to a fresh observer and returns name -> data points."""
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader])
    monkeypatch.setattr(observed.metrics, "get_meter", provider.get_meter)

    def run(*records, tags=()):
        observer = observed.MetricsObserver(tags)
        for each in records:
            observer.after(each, None)
        data = reader.get_metrics_data()
        return {
            metric.name: (metric.unit, list(metric.data.data_points))
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    yield run
    provider.shutdown()


def test_a_call_gives_tokens_duration_and_cost_under_the_genai_names(measure):
    """Names, units, values and attributes are those of the conventions."""
    from decimal import Decimal

    found = measure(
        record(
            usage={"input_tokens": 1500, "output_tokens": 200},
            cost=Cost(Decimal("0.0057"), (), "user"),
            duration_ns=1_500_000_000,
            first_chunk_ns=250_000_000,
        )
    )

    unit, (duration,) = found["gen_ai.client.operation.duration"]
    assert (unit, duration.sum, duration.count) == ("s", 1.5, 1)
    assert duration.explicit_bounds == observed.SECONDS
    unit, tokens = found["gen_ai.client.token.usage"]
    assert unit == "{token}"
    assert {point.attributes["gen_ai.token.type"]: point.sum for point in tokens} == {"input": 1500, "output": 200}
    unit, (cost,) = found["gen_ai.client.operation.cost"]
    assert (unit, cost.sum, cost.explicit_bounds) == ("{USD}", 0.0057, observed.DOLLARS)
    assert found["gen_ai.client.operation.time_to_first_chunk"][1][0].sum == 0.25
    assert set(cost.attributes) == {
        "gen_ai.provider.name",
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
    }


def test_an_unpriced_call_is_counted_and_not_a_zero_cost(measure):
    """A call without a price appears in the unpriced counter only."""
    found = measure(record(cost=None, unpriced=Unpriced("unknown_model", "no price")))

    assert "gen_ai.client.operation.cost" not in found
    (point,) = found["aicost.client.unpriced_calls"][1]
    assert (point.value, point.attributes["aicost.unpriced.reason"]) == (1, "unknown_model")


def test_a_failed_call_has_its_error_type_on_the_duration(measure):
    """error.type stands on the duration of a failed call."""
    found = measure(record(status="error", error_type="RateLimitError", cost=None, usage={}))

    assert found["gen_ai.client.operation.duration"][1][0].attributes["error.type"] == "RateLimitError"
    assert "gen_ai.client.token.usage" not in found


def test_only_allowed_tags_become_attributes(measure):
    """A tag is an attribute of metrics only if the user allows it."""
    found = measure(record(tags={"team": "a", "user": "u1"}), tags=("team",))

    attributes = found["gen_ai.client.operation.duration"][1][0].attributes
    assert attributes["aicost.tag.team"] == "a"
    assert "aicost.tag.user" not in attributes


@pytest.mark.parametrize(("extra", "series"), [(0, observed.MOST_VALUES), (1, observed.MOST_VALUES + 1)])
def test_past_the_cap_models_are_counted_as_other_and_the_sum_stays_exact(measure, extra, series):
    """The values of an attribute are capped; what is past the cap is in `other`."""
    models = observed.MOST_VALUES + extra
    found = measure(
        *(record(request_model=f"m{n}", response_model=None, duration_ns=10**9) for n in range(models)),
        *(record(request_model="m0", response_model=None, duration_ns=10**9) for _ in range(2)),
    )

    points = found["gen_ai.client.operation.duration"][1]
    assert len(points) == series
    assert sum(point.count for point in points) == models + 2
    others = [point.count for point in points if point.attributes["gen_ai.request.model"] == "other"]
    assert others == [extra] * bool(extra)


def test_internal_errors_are_a_counter_by_place(measure):
    """Our own errors can be seen from outside."""
    faults.report("capture.body", ValueError("x"))
    found = measure(record())

    (point,) = found["aicost.client.internal_errors"][1]
    assert (point.value, dict(point.attributes)) == (1, {"aicost.place": "capture.body"})
