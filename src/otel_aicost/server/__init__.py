"""`aicost serve`: a small HTTP service over a ledger, for Prometheus and Alertmanager."""
