"""The ledger as Prometheus metrics: what a scrape gives, and a port for it inside an application."""
