"""Holds what Prometheus and the dashboards say against the ledger: `python -m tools.accuracy`."""
