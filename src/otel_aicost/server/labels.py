"""The names that our rules, what is posted to Alertmanager and what comes back from it have in common."""

from __future__ import annotations

from typing import Final

THRESHOLD: Final = "AICostBudgetThreshold"
EXCEEDED: Final = "AICostBudgetExceeded"
RUNBOOK: Final = "https://github.com/otel-aicost/otel-aicost/blob/main/deploy/prometheus/runbook.md"
