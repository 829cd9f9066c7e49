from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exporter.scraped import OPENMETRICS, scrape
from ledgers import BILL, at, sample, write
from otel_aicost.exporter.collector import LedgerCollector, Options
from otel_aicost.exporter.labels import Cap, label_names
from otel_aicost.ledger.writer import Writer
from otel_aicost.model import Unpriced
from otel_aicost.names import EXPORTED
from records import cost, record

NOW = at("2026-11-21T12:00:00")


def test_every_family_is_the_catalogues(path, collector):
    """What is yielded is `names.EXPORTED`: the same names, kinds, texts and labels, in the same order."""
    families = list(collector(write(path, *sample()), now=NOW).collect())

    assert [family.name for family in families] == list(EXPORTED)
    for family in families:
        known = EXPORTED[family.name]
        assert (family.type, family.documentation) == (known.kind, known.help)
        labels = family._labelnames
        assert labels[: len(known.labels)] == known.labels
        assert set(labels[len(known.labels) :]) <= {"feature"}


def test_both_formats_say_the_same(path, collector):
    """Text and OpenMetrics hold the same samples, but for when counters began."""
    one = collector(write(path, *sample()), now=NOW)
    plain, full = scrape(one, "text/plain"), scrape(one, OPENMETRICS)

    def told(found):
        return {
            (sample.name, frozenset(sample.labels.items()), sample.value)
            for sample in found.samples
            if not sample.name.endswith("_created") and sample.name != "aicost_collect_seconds"
        }

    assert told(plain) == told(full)
    assert "_created" not in plain.text
    assert full.text.endswith("# EOF\n")


MODELS = st.sampled_from(["gpt-4o", "gpt-9", "claude"])
CALLS = st.lists(
    st.builds(
        lambda model, nano, priced, tokens, tags, status, estimated: {
            "request_model": model,
            "response_model": None,
            "cost": cost(f"0.{nano:09}") if priced else None,
            "unpriced": None if priced else Unpriced("unknown_model", "x"),
            "usage": {
                "input_tokens": sum(tokens[:3]),
                "cache_read_tokens": tokens[0],
                "cache_write_tokens": tokens[1],
                "output_tokens": sum(tokens[3:]),
                "reasoning_tokens": tokens[3],
            },
            "tags": tags,
            "status": status,
            "estimated": estimated,
        },
        MODELS,
        st.integers(0, 999_999_999),
        st.booleans(),
        st.tuples(*[st.integers(0, 5000)] * 5),
        st.dictionaries(st.sampled_from(["feature", "team", "user"]), st.sampled_from(["a", "b", 'q"\\\n', "é"])),
        st.sampled_from(["ok", "error", "partial"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=CALLS, most=st.integers(1, 3))
def test_counters_add_up_to_the_ledger_to_the_nano(tmp_path_factory, calls, most):
    """Whatever was recorded, and however few values a label may have: the sum of each counter is that of the calls."""
    path = tmp_path_factory.mktemp("totals") / "ledger.db"
    write(path, *(record(started_ns=NOW + index, **call) for index, call in enumerate(calls)))
    one = LedgerCollector(path, options=Options(most_values=most), now_ns=lambda: NOW)
    found = scrape(one)
    one.close()

    nano = sum(int(call["cost"].total.scaleb(9)) for call in calls if call["cost"])
    estimated = sum(int(call["cost"].total.scaleb(9)) for call in calls if call["cost"] and call["estimated"])
    assert found.nano("aicost_cost_usd_total") == nano
    assert found.nano("aicost_estimated_cost_usd_total") == estimated
    assert sum(found.all("aicost_calls_total")) == len(calls)
    assert sum(found.all("aicost_unpriced_calls_total")) == sum(call["cost"] is None for call in calls)
    assert sum(found.all("aicost_call_duration_seconds_count")) == len(calls)
    for kinds, meter in (
        (("input", "cache_read", "cache_write"), "input_tokens"),
        (("output", "reasoning"), "output_tokens"),
    ):
        shown = sum(sum(found.all("aicost_tokens_total", type=kind)) for kind in kinds)
        assert shown == sum(call["usage"][meter] for call in calls)
    for label in ("model", "feature"):
        values = set(found.by(label, "aicost_calls_total")) - {"", "other"}
        assert len(values) <= most


def test_tokens_are_counted_under_one_type_each(path, scraped):
    """Cached and reasoning tokens are taken out of the input and output that the ledger counts them in."""
    usage = {"input_tokens": 100, "cache_read_tokens": 30, "cache_write_tokens": 20, "output_tokens": 9}
    found = scraped(write(path, record(usage={**usage, "reasoning_tokens": 4})))

    expected = {"input": 50, "cache_read": 30, "cache_write": 20, "output": 5, "reasoning": 4}
    assert found.by("type", "aicost_tokens_total") == expected


def test_a_model_without_a_price_has_no_cost(path, scraped):
    """Calls that cost something nobody knows are counted with the reason, and are no series of $0."""
    found = scraped(write(path, record(cost=None, unpriced=Unpriced("unknown_model", "x"), response_model="gpt-9")))

    assert found.one("aicost_unpriced_calls_total", model="gpt-9", reason="unknown_model") == 1
    assert found.all("aicost_cost_usd_total") == []
    assert found.all("aicost_saved_usd_total") == []


def test_durations_fall_into_cumulative_buckets(path, scraped):
    """A call of 0.84 s is in every bucket from 1.28 s on, and the sum is in seconds."""
    found = scraped(write(path, record(duration_ns=840_000_000), record(duration_ns=90_000_000_000)))

    name = "aicost_call_duration_seconds"
    buckets = found.by("le", f"{name}_bucket")
    assert (buckets["0.64"], buckets["1.28"], buckets["81.92"], buckets["+Inf"]) == (0, 1, 1, 2)
    assert found.one(f"{name}_sum") == 90.84
    assert found.all("aicost_time_to_first_chunk_seconds_count") == []


def test_a_sample_leads_to_a_trace(path, scraped):
    """The cost, and the bucket of its duration, have the trace of the last traced call as exemplar."""
    trace = "0af7651916cd43dd8448eb211c80319c"
    found = scraped(write(path, record(trace_id=trace, cost=cost("0.25"), started_ns=NOW)))

    led = {
        (sample.name, sample.labels.get("le")): sample.exemplar
        for family in found.families.values()
        for sample in family.samples
        if sample.exemplar
    }
    assert set(led) == {("aicost_cost_usd_total", None), ("aicost_call_duration_seconds_bucket", "1.28")}
    spent = led["aicost_cost_usd_total", None]
    assert (spent.labels, spent.value, float(spent.timestamp)) == ({"trace_id": trace}, 0.25, NOW / 1e9)
    assert led["aicost_call_duration_seconds_bucket", "1.28"].value == 0.84


def test_counters_say_since_when_they_count(path, scraped, sql):
    """Each counter and histogram has the time at which its label set came into the ledger."""
    found = scraped(write(path, record()))

    ((first_ns,),) = sql("SELECT first_ns FROM totals")
    for name in ("aicost_cost_usd", "aicost_calls", "aicost_call_duration_seconds"):
        assert found.one(f"{name}_created") == first_ns / 10**9


def test_nothing_falls_when_values_are_cut_off(path, collector):
    """A value that was served under its name keeps it; later ones are `other`, and their number is told."""
    write(path, record(tags={"feature": "a"}), record(tags={"feature": "b"}))
    one = collector(path, options=Options(most_values=3), now=NOW)
    before = scrape(one)
    write(path, *(record(tags={"feature": feature}) for feature in ("aa", "c", "d")), record(tags={}))
    after = scrape(one)

    assert set(before.by("feature", "aicost_calls_total")) == {"a", "b"}
    assert after.by("feature", "aicost_calls_total") == {"a": 1, "b": 1, "aa": 1, "other": 2, "": 1}
    assert after.nano("aicost_cost_usd_total") == 6 * 6_250_000
    assert after.one("aicost_label_overflow", label="feature") == 2
    assert after.one("aicost_label_overflow", label="model") == 0
    again = scrape(collector(path, options=Options(most_values=3), now=NOW))
    assert again.by("feature", "aicost_calls_total") == after.by("feature", "aicost_calls_total")


def test_first_come_first_named():
    """Who was seen first keeps the name; of those seen at once the first of the alphabet."""
    cap = Cap(2)

    assert cap.admit("m", {"b": 5, "a": 5, "z": 1}) == 1
    assert [cap.shown("m", value) for value in ("z", "a", "b", "")] == ["z", "a", "other", ""]
    assert cap.admit("m", {"b": 0, "a": 5, "z": 1}) == 1
    assert cap.shown("m", "b") == "other"


@pytest.mark.parametrize(
    ("tags", "labels"),
    [
        (["feature", "team"], ["feature", "team"]),
        (["team.name", "x-y"], ["team_name", "x_y"]),
        (["team.name", "team_name"], ["tag_team_name", "team_name"]),
        (["model", "le", "status", "type"], ["tag_model", "tag_le", "tag_status", "tag_type"]),
        (["__name__"], ["tag___name__"]),
        (["a.b", "a-b"], ["tag_a_b", "a_b"]),
    ],
)
def test_tags_become_labels(tags, labels):
    """Each tag has a valid label of its own; one whose name is taken begins with `tag_`."""
    names = label_names(tags)

    assert [names[tag] for tag in tags] == labels


def test_what_budgets_refused_is_counted(path, scraped, sql):
    """Blocked calls and what they would have cost are counters by budget."""
    write(path)
    import sqlite3

    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO refusals VALUES ('day', 5000000000, 3, 1500000000)")
    found = scraped(path)

    assert found.one("aicost_budget_blocked_calls_total", budget="day") == 3
    assert found.one("aicost_budget_avoided_usd_total", budget="day") == 1.5
    assert found.one("aicost_budget_blocked_calls_created", budget="day") == 5


def test_what_is_written_is_served(path, scraped):
    """A process writes, and the next scrape has it, savings of caches included."""
    writer = Writer.of_file(path, total_tags=("team",))
    writer.put(record(cost=BILL, tags={"team": "red", "user": "u1"}))
    saving = replace(cost("1"), cache_saved_nano=500_000_000)
    writer.put(record(cost=saving, tags={"team": "blue"}))
    assert writer.close(10)
    found = scraped(path)

    assert found.by("team", "aicost_cost_usd_total") == {"red": 0.02325, "blue": 1}
    assert found.by("by", "aicost_saved_usd_total", team="blue") == {"cache": 0.5, "batch": 0}


def test_without_a_ledger_nothing_looks_like_zero(path, scraped, tmp_path):
    """No file, an empty one, and a file of another program: the ledger is down, and no number is given."""
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.db").write_text("not a database" * 100)
    for ledger in (path, tmp_path / "empty.db", tmp_path / "text.db"):
        found = scraped(ledger)
        assert found.one("aicost_ledger_up") == 0
        assert set(found.families) == {"aicost_ledger_up", "aicost_collect_seconds", "aicost_build_info"}
        assert not path.exists()


def test_a_ledger_that_comes_later_is_served(path, collector):
    """The exporter may be there first."""
    one = collector(path, now=NOW)
    assert scrape(one).one("aicost_ledger_up") == 0
    write(path, *sample())

    found = scrape(one)
    assert found.one("aicost_ledger_up") == 1
    assert found.nano("aicost_cost_usd_total") == 1_883_250_001
    assert found.one("aicost_series") == len(found.by("model", "aicost_calls_total")) + 5
