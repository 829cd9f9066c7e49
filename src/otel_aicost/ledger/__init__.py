"""The ledger: every billable response as one row of a SQLite file; `docs/ledger.md` describes the tables."""
