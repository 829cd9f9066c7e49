import json
import re
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import yaml

from deployment import SHIPPED

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
MOUNTS = [
    (name, *volume.split(":")[:2])
    for name, service in SERVICES.items()
    for volume in service.get("volumes", [])
    if volume.startswith(".")
]


def test_docker_compose_takes_the_file():
    """It is what the Compose specification's schema says."""
    schema = json.loads((files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json").read_text())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"app": {"imagee": "x"}}}, schema)
    jsonschema.validate(COMPOSE, schema)


@pytest.mark.parametrize(("service", "source", "target"), MOUNTS)
def test_what_is_mounted_is_there(service, source, target):
    """Docker would make an empty directory of a path that is missing; and all of them are mounted to be read."""
    assert (ROOT / source).exists()
    assert f"{source}:{target}:ro" in SERVICES[service]["volumes"]


def test_volumes_and_networks_are_declared():
    """All that are used, and no others."""
    named = {v.split(":")[0] for s in SERVICES.values() for v in s.get("volumes", []) if not v.startswith(".")}
    assert named == set(COMPOSE["volumes"])
    assert {each for s in SERVICES.values() for each in s.get("networks", [])} == set(COMPOSE["networks"])


@pytest.mark.parametrize("service", SERVICES)
def test_a_service(service):
    """Has a pinned image or is built here, is restarted, is checked where it can be, and listens to this machine alone."""
    told = SERVICES[service]
    if "build" in told:
        dockerfile = (ROOT / told["build"]["dockerfile"]).read_text()
        assert re.search(r"^FROM \S+:\d+\.\d+\.\d+\S*$", dockerfile, re.MULTILINE)
    else:
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*", told["image"])
    assert told["restart"] == "unless-stopped"
    assert "healthcheck" in told or service == "tempo"
    for port in told.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)
    assert ("networks" in told) != ("network_mode" in told)
    for other in told.get("depends_on", {}):
        assert "healthcheck" in SERVICES[other]


def test_nothing_in_it_is_secret():
    """No variable has a password, a token or a key in it."""
    for service in SERVICES.values():
        for name in service.get("environment", {}):
            assert not re.search("PASSWORD|SECRET|TOKEN|_KEY", name)
    assert "@postgres/" in SERVICES["aicost"]["environment"]["OTEL_AICOST_LEDGER"]


def test_addresses_lead_to_services_that_are_there():
    """In variables, commands and the files of deploy/compose/local, which has all that deploy/prometheus/local has."""
    local = ROOT / "deploy" / "compose" / "local"
    assert {path.name for path in local.iterdir()} == {
        path.name
        for path in (SHIPPED / "local").iterdir()
        if path.name in {"aicost.yml", "alertmanager.yml", "webhook-url"}
    }
    text = json.dumps(SERVICES) + "".join(path.read_text() for path in local.iterdir())
    hosts = re.findall(r"(?:https?://|@|targets: \[\")([a-z][a-z-]*)(?=[:/])", text)
    assert set(hosts) == {"alertmanager", "aicost", "postgres", "prometheus", "tempo"} <= set(SERVICES)


def test_the_flags_are_those_the_documentation_asks_for():
    """Without them the first call of a new series is lost to rates."""
    flag = "--enable-feature=created-timestamp-zero-ingestion,exemplar-storage"
    assert flag in SERVICES["prometheus"]["command"]
    assert flag in (SHIPPED / "prometheus.yml").read_text()
    assert flag in (ROOT / "examples" / "stack.py").read_text()


def test_the_image_has_all_that_is_copied_into_it():
    """What the Dockerfile copies is not kept out by .dockerignore."""
    let_in = re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "deploy/compose/Dockerfile").read_text(), re.MULTILINE)
    assert {name for line in copied for name in line.split()} == set(let_in)
    assert all((ROOT / name).exists() for name in let_in)
