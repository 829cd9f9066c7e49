"""What the ledger's tables are, and how an older file becomes the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_aicost.errors import LedgerError

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

APPLICATION_ID: Final = 0x41494355
"""`AICU` in the header of the file: tells a ledger from another program's database."""

DAY: Final = "strftime('%Y-%m-%d', started_ns / 1000000000, 'unixepoch')"
"""The UTC day of a call."""

CALL_COLUMNS: Final = (
    "id",
    "started_ns",
    "duration_ns",
    "first_chunk_ns",
    "provider",
    "operation",
    "model",
    "request_model",
    "response_model",
    "response_id",
    "status",
    "usage_state",
    "estimated",
    "error_type",
    "cost_nano",
    "cost_source",
    "price_id",
    "price_date",
    "catalogue",
    "unpriced",
    "unpriced_detail",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "usage",
    "parts",
    "conditions",
    "tags",
    "service",
    "host",
    "stream",
    "sdk",
    "trace_id",
    "span_id",
    "asked_model",
    "cache_saved_nano",
    "batch_saved_nano",
)

ROLLUP_KEY: Final = (
    "day",
    "provider",
    "operation",
    "model",
    "service",
    "status",
    "usage_state",
    "estimated",
    "unpriced",
    "cost_source",
    "tags",
)

ROLLUP_SUMS: Final = (
    "calls",
    "cost_nano",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "duration_ns",
    "cache_saved_nano",
    "batch_saved_nano",
)

# NULL never equals NULL in a unique index, so the two columns of the key that may be NULL stand there as ''.
ROLLUP_CONFLICT: Final = ", ".join(
    f"coalesce({column}, '')" if column in {"unpriced", "cost_source"} else column for column in ROLLUP_KEY
)

BUCKET_SECONDS: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The upper bounds of the buckets of durations, as the GenAI semantic conventions advise; a last one has the rest."""

TOTAL_KEY: Final = ("provider", "operation", "model", "service", "status", "unpriced", "tags")
"""What is totalled apart. `tags`: those of `OTEL_AICOST_METRIC_TAGS`; `unpriced`: '' where there is a price."""

TOTAL_SUMS: Final = (
    "calls",
    "cost_nano",
    "estimated_nano",
    "cache_saved_nano",
    "batch_saved_nano",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "duration_ns",
    *(f"duration_{bucket}" for bucket in range(len(BUCKET_SECONDS) + 1)),
    "first_chunk_ns",
    *(f"first_chunk_{bucket}" for bucket in range(len(BUCKET_SECONDS) + 1)),
)
"""What only ever grows. `duration_3` counts the calls that took from `BUCKET_SECONDS[2]` to `BUCKET_SECONDS[3]`."""

TOTAL_LAST: Final = ("last_trace_id", "last_trace_ns", "last_trace_cost_nano", "last_trace_duration_ns")
"""Of the last call that is part of a trace: when it began, what it cost, how long it took."""

REPRICED_SUMS: Final = (
    "calls",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "raised_nano",
    "lowered_nano",
    "estimated_nano",
    "cache_saved_nano",
    "cache_lost_nano",
    "batch_saved_nano",
    "batch_lost_nano",
)
"""What repricing made of calls, by the `TOTAL_KEY` they were in before: each only ever grows.

`raised_nano` and `lowered_nano`: what was added to costs, and taken off others. `estimated_nano` is what was added to
costs that rest on estimates; `cache_lost_nano` what calls were found to save less than it had been said.
"""

PRICED: Final = (
    "cost_nano",
    "cost_source",
    "price_id",
    "price_date",
    "catalogue",
    "unpriced",
    "unpriced_detail",
    "parts",
    "cache_saved_nano",
    "batch_saved_nano",
)
"""The columns of a call that say what it costs: all that repricing may change."""

ANY_ID: Final = "lower(hex(randomblob(16)))"
NOW_NS: Final = "CAST(strftime('%s', 'now') AS BIGINT) * 1000000000"
_SPEND_COLUMNS: Final = ", ".join(ROLLUP_KEY[1:])

MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """
        CREATE TABLE calls (
            id TEXT PRIMARY KEY,
            started_ns INTEGER NOT NULL CHECK (started_ns >= 0),
            duration_ns INTEGER NOT NULL CHECK (duration_ns >= 0),
            first_chunk_ns INTEGER,
            provider TEXT NOT NULL,
            operation TEXT NOT NULL,
            model TEXT NOT NULL,
            request_model TEXT,
            response_model TEXT,
            response_id TEXT,
            status TEXT NOT NULL,
            usage_state TEXT NOT NULL,
            estimated INTEGER NOT NULL CHECK (estimated IN (0, 1)),
            error_type TEXT,
            cost_nano INTEGER CHECK (cost_nano >= 0),
            cost_source TEXT,
            price_id TEXT,
            price_date TEXT,
            catalogue TEXT,
            unpriced TEXT,
            unpriced_detail TEXT,
            input_tokens INTEGER NOT NULL CHECK (input_tokens >= 0),
            output_tokens INTEGER NOT NULL CHECK (output_tokens >= 0),
            cache_read_tokens INTEGER NOT NULL CHECK (cache_read_tokens >= 0),
            cache_write_tokens INTEGER NOT NULL CHECK (cache_write_tokens >= 0),
            usage TEXT NOT NULL,
            parts TEXT NOT NULL,
            conditions TEXT NOT NULL,
            tags TEXT NOT NULL,
            service TEXT NOT NULL,
            host TEXT,
            stream INTEGER NOT NULL CHECK (stream IN (0, 1)),
            sdk TEXT,
            trace_id TEXT,
            span_id TEXT,
            asked_model TEXT
        )
        """,
        "CREATE INDEX calls_started ON calls (started_ns)",
        """
        CREATE TABLE rollups (
            day TEXT NOT NULL,
            provider TEXT NOT NULL,
            operation TEXT NOT NULL,
            model TEXT NOT NULL,
            service TEXT NOT NULL,
            status TEXT NOT NULL,
            usage_state TEXT NOT NULL,
            estimated INTEGER NOT NULL,
            unpriced TEXT,
            cost_source TEXT,
            tags TEXT NOT NULL,
            calls INTEGER NOT NULL,
            cost_nano INTEGER,
            input_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL,
            cache_read_tokens INTEGER NOT NULL,
            cache_write_tokens INTEGER NOT NULL,
            duration_ns INTEGER NOT NULL
        )
        """,
        f"CREATE UNIQUE INDEX rollups_key ON rollups ({ROLLUP_CONFLICT})",
        f"""
        CREATE VIEW spend AS
        SELECT {DAY} AS day, provider, operation, model, service, status, usage_state, estimated, unpriced,
               cost_source, tags, 1 AS calls, cost_nano, input_tokens, output_tokens, cache_read_tokens,
               cache_write_tokens, duration_ns
        FROM calls
        UNION ALL
        SELECT {", ".join(ROLLUP_KEY + ROLLUP_SUMS[:7])} FROM rollups
        """,  # noqa: S608 - constants
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT)",
        "INSERT INTO meta VALUES ('created_at', strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))",
        f"PRAGMA application_id = {APPLICATION_ID}",
    ),
    (
        """
        CREATE TABLE budget_windows (
            budget TEXT NOT NULL,
            key TEXT NOT NULL,
            window_id TEXT NOT NULL,
            starts_at INTEGER,
            counts_until INTEGER,
            limit_nano INTEGER,
            limit_tokens INTEGER,
            limit_calls INTEGER,
            spent_nano INTEGER NOT NULL DEFAULT 0 CHECK (spent_nano >= 0),
            spent_tokens INTEGER NOT NULL DEFAULT 0 CHECK (spent_tokens >= 0),
            spent_calls INTEGER NOT NULL DEFAULT 0 CHECK (spent_calls >= 0),
            reserved_nano INTEGER NOT NULL DEFAULT 0 CHECK (reserved_nano >= 0),
            reserved_tokens INTEGER NOT NULL DEFAULT 0 CHECK (reserved_tokens >= 0),
            reserved_calls INTEGER NOT NULL DEFAULT 0 CHECK (reserved_calls >= 0),
            alerted TEXT NOT NULL DEFAULT '0',
            PRIMARY KEY (budget, key, window_id)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE reservations (
            id TEXT NOT NULL,
            budget TEXT NOT NULL,
            key TEXT NOT NULL,
            window_id TEXT NOT NULL,
            nano INTEGER NOT NULL,
            tokens INTEGER NOT NULL,
            calls INTEGER NOT NULL,
            lease_until_ns INTEGER NOT NULL,
            PRIMARY KEY (id, budget, key, window_id)
        ) WITHOUT ROWID
        """,
        """
        CREATE TABLE budget_entries (
            call_id TEXT NOT NULL,
            budget TEXT NOT NULL,
            key TEXT NOT NULL,
            window_id TEXT NOT NULL,
            nano INTEGER NOT NULL CHECK (nano >= 0),
            tokens INTEGER NOT NULL CHECK (tokens >= 0),
            calls INTEGER NOT NULL CHECK (calls >= 0),
            reserved_nano INTEGER NOT NULL,
            reserved_tokens INTEGER NOT NULL,
            reserved_calls INTEGER NOT NULL,
            at_ns INTEGER NOT NULL,
            PRIMARY KEY (call_id, budget, key, window_id)
        ) WITHOUT ROWID
        """,
        "CREATE INDEX budget_entries_window ON budget_entries (budget, key, window_id)",
        """
        CREATE TABLE budget_limits (
            budget TEXT NOT NULL,
            key TEXT NOT NULL,
            limit_nano INTEGER,
            limit_tokens INTEGER,
            limit_calls INTEGER,
            at_ns INTEGER NOT NULL,
            who TEXT NOT NULL,
            PRIMARY KEY (budget, key)
        )
        """,
        """
        CREATE TABLE budget_definitions (
            budget TEXT PRIMARY KEY,
            definition TEXT NOT NULL,
            at_ns INTEGER NOT NULL,
            who TEXT NOT NULL
        )
        """,
        """
        CREATE TABLE events (
            id TEXT PRIMARY KEY,
            at_ns INTEGER NOT NULL,
            who TEXT NOT NULL,
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            was TEXT,
            became TEXT
        )
        """,
        "CREATE INDEX events_at ON events (at_ns)",
        """
        CREATE TABLE alerts (
            id TEXT PRIMARY KEY,
            fingerprint TEXT NOT NULL UNIQUE,
            at_ns INTEGER NOT NULL,
            kind TEXT NOT NULL,
            severity TEXT NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
            budget TEXT,
            key TEXT,
            window_id TEXT,
            title TEXT NOT NULL,
            details TEXT NOT NULL,
            state TEXT NOT NULL DEFAULT 'unread' CHECK (state IN ('unread', 'read', 'resolved')),
            state_at_ns INTEGER,
            source TEXT NOT NULL DEFAULT 'aicost'
        )
        """,
        "CREATE INDEX alerts_at ON alerts (at_ns)",
        """
        CREATE TABLE deliveries (
            alert_id TEXT NOT NULL,
            channel TEXT NOT NULL,
            attempts INTEGER NOT NULL DEFAULT 0,
            next_ns INTEGER NOT NULL,
            sent_ns INTEGER,
            error TEXT,
            PRIMARY KEY (alert_id, channel)
        )
        """,
    ),
    (
        "ALTER TABLE calls ADD COLUMN cache_saved_nano INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE calls ADD COLUMN batch_saved_nano INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE rollups ADD COLUMN cache_saved_nano INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE rollups ADD COLUMN batch_saved_nano INTEGER NOT NULL DEFAULT 0",
        "DROP VIEW spend",
        f"""
        CREATE VIEW spend AS
        SELECT {DAY} AS day, {_SPEND_COLUMNS}, 1 AS calls, {", ".join(ROLLUP_SUMS[1:])} FROM calls
        UNION ALL
        SELECT {", ".join(ROLLUP_KEY + ROLLUP_SUMS)} FROM rollups
        """,  # noqa: S608 - constants
        "DROP INDEX calls_started",
        # The sum of a period is read from the index alone.
        "CREATE INDEX calls_started ON calls (started_ns, cost_nano)",
        f"""
        CREATE TABLE totals (
            id TEXT PRIMARY KEY,
            {"".join(f"{column} TEXT NOT NULL, " for column in TOTAL_KEY)}
            first_ns INTEGER NOT NULL,
            {"".join(f"{column} INTEGER NOT NULL DEFAULT 0, " for column in TOTAL_SUMS)}
            last_trace_id TEXT,
            last_trace_ns INTEGER,
            last_trace_cost_nano INTEGER,
            last_trace_duration_ns INTEGER
        ) WITHOUT ROWID
        """,
        f"""
        INSERT INTO totals (id, {", ".join(TOTAL_KEY)}, first_ns, calls, cost_nano, estimated_nano, input_tokens,
                            output_tokens, cache_read_tokens, cache_write_tokens)
        SELECT {ANY_ID}, provider, operation, model, service, status, coalesce(unpriced, ''), '{{}}', {NOW_NS},
               sum(calls), coalesce(sum(cost_nano), 0), coalesce(sum(CASE WHEN estimated = 1 THEN cost_nano END), 0),
               sum(input_tokens), sum(output_tokens), sum(cache_read_tokens), sum(cache_write_tokens)
        FROM spend GROUP BY provider, operation, model, service, status, coalesce(unpriced, '')
        """,  # noqa: S608 - constants
        """
        CREATE TABLE refusals (
            budget TEXT PRIMARY KEY,
            first_ns INTEGER NOT NULL,
            calls INTEGER NOT NULL,
            avoided_nano INTEGER NOT NULL
        )
        """,
        """
        CREATE TABLE processes (
            id TEXT PRIMARY KEY,
            host TEXT NOT NULL,
            pid INTEGER NOT NULL,
            service TEXT NOT NULL,
            version TEXT NOT NULL,
            sdks TEXT NOT NULL,
            started_ns INTEGER NOT NULL,
            seen_ns INTEGER NOT NULL,
            ended INTEGER NOT NULL DEFAULT 0,
            written INTEGER NOT NULL,
            queued INTEGER NOT NULL,
            lost INTEGER NOT NULL,
            errors INTEGER NOT NULL,
            internal_errors INTEGER NOT NULL,
            outbox_calls INTEGER,
            outbox_oldest_ns INTEGER
        )
        """,
        "CREATE INDEX processes_seen ON processes (seen_ns)",
    ),
    (
        """
        CREATE TABLE adjustments (
            call_id TEXT NOT NULL,
            number INTEGER NOT NULL,
            run TEXT NOT NULL,
            at_ns INTEGER NOT NULL,
            who TEXT NOT NULL,
            reason TEXT,
            was_cost_nano INTEGER CHECK (was_cost_nano >= 0),
            was_cost_source TEXT,
            was_price_id TEXT,
            was_price_date TEXT,
            was_catalogue TEXT,
            was_unpriced TEXT,
            was_unpriced_detail TEXT,
            was_parts TEXT NOT NULL,
            was_cache_saved_nano INTEGER NOT NULL,
            was_batch_saved_nano INTEGER NOT NULL,
            cost_nano INTEGER NOT NULL CHECK (cost_nano >= 0),
            cost_source TEXT NOT NULL,
            price_id TEXT,
            price_date TEXT,
            catalogue TEXT,
            unpriced TEXT,
            unpriced_detail TEXT,
            parts TEXT NOT NULL,
            cache_saved_nano INTEGER NOT NULL,
            batch_saved_nano INTEGER NOT NULL,
            budgets TEXT NOT NULL,
            PRIMARY KEY (call_id, number)
        )
        """,
        f"""
        CREATE TABLE repriced (
            id TEXT PRIMARY KEY,
            {"".join(f"{column} TEXT NOT NULL, " for column in TOTAL_KEY)}
            first_ns INTEGER NOT NULL,
            {", ".join(f"{column} INTEGER NOT NULL DEFAULT 0" for column in REPRICED_SUMS)}
        ) WITHOUT ROWID
        """,
    ),
)
"""Migration n (counted from 1) makes a file of version n out of one of version n - 1. Append, never edit."""

VERSION: Final = len(MIGRATIONS)


def check(connection: sqlite3.Connection, path: Path) -> int:
    """Return the schema version of the file, 0 for an empty one, and change nothing.

    Raises `LedgerError` when the file is another program's database or was written by a newer otel-aicost.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    marked = connection.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    if (tables or version) and not marked and not {"calls", "rollups", "spend"} <= tables:
        msg = (
            f"{path} is the database of another program and is left as it is; "
            "set OTEL_AICOST_LEDGER to a file of its own"
        )
        raise LedgerError(msg)
    if version > VERSION:
        msg = (
            f"{path} was written by a newer otel-aicost (schema {version}, this one knows {VERSION}); "
            "upgrade otel-aicost here or set OTEL_AICOST_LEDGER to another file"
        )
        raise LedgerError(msg)
    return version


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the file to `VERSION` in one transaction; processes that start at once do it once."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for version in range(check(connection, path), VERSION):
            for statement in MIGRATIONS[version]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def verify(connection: sqlite3.Connection) -> None:
    """Read no row of the tables and the view: an `sqlite3.OperationalError` if one is not as it should be."""
    connection.execute(f"SELECT {', '.join(CALL_COLUMNS)} FROM calls LIMIT 0")  # noqa: S608 - constants
    connection.execute(f"SELECT {', '.join(ROLLUP_KEY + ROLLUP_SUMS)} FROM spend LIMIT 0")  # noqa: S608 - constants
    connection.execute("SELECT budget, key, window_id, spent_nano, reserved_nano, alerted FROM budget_windows LIMIT 0")
    connection.execute("SELECT id, budget, key, window_id, lease_until_ns FROM reservations LIMIT 0")
    connection.execute("SELECT call_id, reserved_nano, at_ns FROM budget_entries LIMIT 0")
    connection.execute("SELECT fingerprint, state, source FROM alerts LIMIT 0")
    connection.execute(f"SELECT id, {', '.join(TOTAL_KEY + TOTAL_SUMS + TOTAL_LAST)} FROM totals LIMIT 0")  # noqa: S608
    connection.execute("SELECT id, service, seen_ns FROM processes LIMIT 0")
    connection.execute(f"SELECT call_id, number, run, at_ns, {', '.join(PRICED)} FROM adjustments LIMIT 0")  # noqa: S608
    connection.execute(f"SELECT id, {', '.join(TOTAL_KEY + REPRICED_SUMS)} FROM repriced LIMIT 0")  # noqa: S608
