from __future__ import annotations

import yaml
from tools.dashboards.__main__ import FOLDER

PROVISIONING = FOLDER.parent / "provisioning"


def _read(kind):
    return yaml.safe_load((PROVISIONING / kind / "aicost.yaml").read_text())


def test_data_sources_lead_to_each_other():
    """Exemplars of Prometheus lead to Tempo and traces back, by uids that are provisioned."""
    found = {each["uid"]: each for each in _read("datasources")["datasources"]}
    assert {uid: each["type"] for uid, each in found.items()} == {"prometheus": "prometheus", "tempo": "tempo"}
    (exemplars,) = found["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert (exemplars["name"], exemplars["datasourceUid"]) == ("trace_id", "tempo")
    assert found["tempo"]["jsonData"]["tracesToMetrics"]["datasourceUid"] in found


def test_no_address_or_secret_is_in_the_files():
    """Where the servers are is said by Grafana's environment."""
    assert {each["url"] for each in _read("datasources")["datasources"]} == {"$PROMETHEUS_URL", "$TEMPO_URL"}


def test_dashboards_are_not_changed_in_grafana():
    """What is generated is not edited in place: the files hold."""
    (provider,) = _read("dashboards")["providers"]
    assert provider["allowUiUpdates"] is False
    assert provider["options"]["path"] == "/etc/grafana/dashboards/aicost"
