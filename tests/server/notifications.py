"""What Alertmanager's webhook sends, as 0.33 sends it."""

from __future__ import annotations

import json

NOBODY = "0001-01-01T00:00:00Z"
STARTED = "2026-11-21T10:00:04.351Z"


def one(
    alertname="HighLatency",
    *,
    status="firing",
    fingerprint="9a2c3f01b7e4d558",
    starts=STARTED,
    summary="Calls are slow",
    **labels,
):
    """One alert of a notification."""
    return {
        "status": status,
        "labels": {"alertname": alertname, "severity": "warning", **labels},
        "annotations": {"summary": summary, "runbook_url": "https://example.com/runbook"},
        "startsAt": starts,
        "endsAt": "2026-11-21T10:20:04.351Z" if status == "resolved" else NOBODY,
        "generatorURL": "http://prometheus:9090/graph?g0.expr=up&g0.tab=1",
        "fingerprint": fingerprint,
    }


def notification(*alerts, **changes):
    """A notification of these alerts."""
    told = {
        "receiver": "aicost",
        "status": "firing" if any(each["status"] == "firing" for each in alerts) else "resolved",
        "alerts": list(alerts),
        "groupLabels": {"alertname": "HighLatency"},
        "commonLabels": {"severity": "warning"},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "version": "4",
        "groupKey": '{}:{alertname="HighLatency"}',
        "truncatedAlerts": 0,
        **changes,
    }
    return json.dumps(told).encode()
