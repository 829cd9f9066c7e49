"""`aicost doctor` finds what is wrong, and says why a call might not show."""

from __future__ import annotations

import json
import socket
import sqlite3
import sys
import time
from contextlib import closing

import pytest
from tools.providers import tested

import pricelists
from ledgers import write
from otel_aicost import config
from otel_aicost.capture.sdks import NAMES
from otel_aicost.cli.checks import environment, stored
from otel_aicost.cli.checks.absence import absence
from otel_aicost.ledger import schema
from otel_aicost.model import Unpriced
from records import record

NOW = time.time_ns()
HOUR = 3600 * 10**9


@pytest.fixture
def healthy(tmp_path, monkeypatch):
    """A ledger with one good call of now."""
    path = write(tmp_path / "state" / "ledger.db", record(started_ns=NOW))
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(path))
    return path


@pytest.fixture
def examined():
    """All checks but the slow one, `patched`: whether any is wrong, the findings as (level, text), the facts."""

    def run():
        settings, _ = config.load()
        section, ledger = stored.ledger(settings.ledger)
        sections = [
            environment.instrumentation(),
            environment.sdks(),
            environment.settings(),
            section,
            stored.prices(settings),
            environment.exporters(),
            absence(ledger),
        ]
        findings = [(each.level, each.text) for part in sections for each in part.findings]
        facts = {name: value for part in sections for name, value in part.facts.items()}
        return any(level == "wrong" for level, _ in findings), findings, facts

    return run


def _texts(findings, level):
    return [text for each, text in findings if each == level]


def test_all_is_well(examined, healthy):
    """In a healthy environment nothing is wrong, and the facts are there."""
    wrong, findings, facts = examined()
    assert (wrong, _texts(findings, "wrong")) == (False, [])
    assert facts["file"] == str(healthy)
    assert facts["calls"] == 1
    assert facts["schema version"] == schema.VERSION
    assert facts["mode"] == "0600"
    assert facts["writable"] is True
    assert facts["last call (UTC)"] == time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(NOW // 10**9))
    assert facts["catalogue"].startswith("genai-prices ")
    assert facts["entry point"] == "otel_aicost.instrumentor:AICostInstrumentor"


def test_as_json(aicost, healthy):
    """As JSON there is every section with its facts and findings, and whether all is well."""
    result = aicost("doctor", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["ok"], document["wrong"]) == (0, True, 0)
    assert [section["name"] for section in document["sections"]] == [
        "Instrumentation",
        "SDKs",
        "What is patched",
        "Settings",
        "Ledger",
        "Prices",
        "OpenTelemetry export",
        "Why a call might not show",
    ]
    patched = document["sections"][2]["facts"]
    both = "SyncAPIClient.request, AsyncAPIClient.request"
    assert (patched["openai"], patched["anthropic"], patched["groq"]) == (both, both, both)
    assert patched["botocore"] == "BaseClient._make_api_call"
    assert set(patched) >= {"google.genai", "mistralai", "cohere", "together", "openrouter", "perplexity", "ollama"}
    assert "nothing" not in patched.values()


def test_in_words(aicost, healthy, monkeypatch):
    """For a person every fact and finding has its line, the last line sums it up, and the exit code is 1."""
    monkeypatch.setenv("OTEL_AICOST_RETENTION_DAYS", "a year")
    result = aicost("doctor")
    assert result.exit_code == 1
    assert str(healthy) in result.stdout
    assert "WRONG OTEL_AICOST_RETENTION_DAYS='a year'" in result.stdout
    assert result.stdout.splitlines()[-1] == "One thing is wrong."


def test_every_variable_is_shown(examined, healthy, monkeypatch):
    """The settings are all there, as they are read."""
    monkeypatch.setenv("OTEL_AICOST_TAGS", "team=search, env=prod")
    monkeypatch.setenv("OTEL_AICOST_DISABLED", "openai,anthropic")
    facts = examined()[2]
    assert {name for name, _ in config._VARIABLES.values()} <= set(facts)
    assert facts["OTEL_AICOST_TAGS"] == "team=search,env=prod"
    assert facts["OTEL_AICOST_DISABLED"] == "anthropic,openai"
    assert facts["OTEL_AICOST_JSONL"] == "off"


def test_no_secret_of_the_settings_is_shown(examined, healthy, monkeypatch):
    """That there is a token, and the addresses without user and password; also where one is wrong."""
    monkeypatch.setenv("OTEL_AICOST_SERVE_TOKEN", "hunter2")
    monkeypatch.setenv("OTEL_AICOST_ALERTMANAGER", "http://me:hunter2@one:9093, https://two")
    facts = examined()[2]
    assert facts["OTEL_AICOST_SERVE_TOKEN"] == "set (not shown)"
    assert facts["OTEL_AICOST_ALERTMANAGER"] == "http://one:9093,https://two"
    monkeypatch.setenv("OTEL_AICOST_ALERTMANAGER", "me:hunter2@one:9093")
    assert "hunter2" not in str(examined())


def test_mistakes_in_the_settings(examined, healthy, monkeypatch):
    """Every mistake of the environment is told in the words of the settings."""
    monkeypatch.setenv("OTEL_AICOST_RETENTION_DAYS", "a year")
    monkeypatch.setenv("OTEL_AICOST_LEGDER", "x")
    wrong, findings, _ = examined()
    assert wrong
    assert _texts(findings, "wrong") == config.load()[1]
    assert len(config.load()[1]) == 2


def test_no_ledger_yet(examined, tmp_path, monkeypatch):
    """A ledger that is still to come is no fault, and is not made."""
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(tmp_path / "new" / "ledger.db"))
    wrong, findings, _ = examined()
    assert not wrong
    assert any("There is no ledger yet" in text for text in _texts(findings, "note"))
    assert not (tmp_path / "new").exists()


def test_a_ledger_that_cannot_be(examined, tmp_path, monkeypatch):
    """A ledger below something that is no directory cannot be made, and that is wrong."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(tmp_path / "file" / "ledger.db"))
    wrong, findings, _ = examined()
    assert wrong
    assert any("none can be made" in text for text in _texts(findings, "wrong"))


def test_a_newer_ledger(examined, healthy):
    """A ledger of a newer version is wrong, and the other checks go on."""
    with closing(sqlite3.connect(healthy)) as raw:
        raw.execute("PRAGMA user_version = 99")
    wrong, findings, facts = examined()
    assert wrong
    assert any("newer otel-aicost" in text for text in _texts(findings, "wrong"))
    assert facts["catalogue"]


@pytest.mark.parametrize(("mode", "notes"), [(0o600, 0), (0o640, 1), (0o604, 1)])
def test_a_ledger_that_others_may_read(examined, healthy, mode, notes):
    """A ledger that others may read is noted."""
    healthy.chmod(mode)
    assert sum("Other users may read" in text for text in _texts(examined()[1], "note")) == notes


@pytest.mark.parametrize(
    ("switch", "said"),
    [
        ("OTEL_AICOST_ENABLED=false", "nothing is recorded at all"),
        ("OTEL_AICOST_DISABLED=openai", "leaves out openai"),
        ("OTEL_AICOST_LEDGER=off", "spans and metrics only"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=requests, aicost", "contains aicost: no call is seen"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=*", "contains *: no call is seen"),
        ("OTEL_SDK_DISABLED=true", "the ledger is written all the same"),
    ],
)
def test_switches(examined, healthy, monkeypatch, switch, said):
    """A switch that hides calls is noted; it may be meant, so it is not wrong."""
    assert not any(said in text for _, text in examined()[1])
    monkeypatch.setenv(*switch.split("="))
    wrong, findings, _ = examined()
    assert not wrong
    assert any(said in text for text in _texts(findings, "note"))


@pytest.mark.parametrize(("hours", "wrong"), [(23, 1), (25, 0)])
def test_a_host_without_a_provider(examined, healthy, hours, wrong):
    """Calls of the last day to a host without a provider are wrong, with the setting that mends it."""
    call = record(
        started_ns=time.time_ns() - hours * HOUR,
        provider="openai_compatible",
        host="proxy.corp",
        cost=None,
        unpriced=Unpriced("unknown_provider", "?"),
    )
    write(healthy, call)
    texts = [text for text in _texts(examined()[1], "wrong") if "OTEL_AICOST_PROVIDER_HOSTS=proxy.corp=" in text]
    assert len(texts) == wrong


def test_unpriced_calls(examined, healthy):
    """Unpriced calls of today are told by reason, provider and model."""
    call = record(
        started_ns=NOW, response_model="gpt-9", cost=None, unpriced=Unpriced("unknown_model", "no price for gpt-9")
    )
    write(healthy, call)
    wrong, findings, _ = examined()
    assert wrong
    assert "1 call since yesterday without a price (unknown_model): openai gpt-9." in _texts(findings, "wrong")


def _install(directory, name, version):
    """Metadata of a distribution, as pip leaves it."""
    place = directory / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return str(directory)


@pytest.mark.parametrize(
    ("name", "version", "wrong"),
    [
        ("openai", "1.39.0", True),
        ("openai", "1.40.0", False),
        ("openai", "2.0.0rc1", False),
        ("anthropic", "0.39.9", True),
        ("anthropic", "0.40.0", False),
    ],
)
def test_versions(monkeypatch, tmp_path, name, version, wrong):
    """An SDK older than the oldest supported is wrong; the oldest itself is not."""
    monkeypatch.setattr(sys, "path", [_install(tmp_path, name, version)])
    section = environment.sdks()
    assert section.facts[name] == version
    assert [finding.level for finding in section.findings] == ["wrong" if wrong else "fine"]


def test_the_oldest_versions_are_those_that_the_tests_run_with():
    """What the doctor takes for old is what `make test` does not try any more."""
    pinned = tested.versions()

    for name, other in environment.OTHERS.items():
        assert pinned[name].oldest.release[: len(other.oldest)] == other.oldest, name
    known = {other.sdk for other in environment.OTHERS.values()} | set(environment.SDKS)
    assert known == set(NAMES)


def test_installed_twice(monkeypatch, tmp_path):
    """Two copies of an SDK on the path are told, and the first decides."""
    places = [_install(tmp_path / "a", "openai", "1.50.0"), _install(tmp_path / "b", "openai", "1.30.0")]
    monkeypatch.setattr(sys, "path", places)
    section = environment.sdks()
    assert [finding.level for finding in section.findings] == ["fine", "note"]
    assert "1.50.0 in" in section.findings[1].text
    assert "1.30.0 in" in section.findings[1].text


def test_no_sdk(monkeypatch, tmp_path):
    """Without any SDK nothing can be seen, and that is said."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert ["nothing can be seen here" in finding.text for finding in environment.sdks().findings] == [True]


def test_not_installed(monkeypatch, tmp_path):
    """Where our own distribution is missing, so is the instrumentor, and that is wrong."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setenv("PATH", str(tmp_path))
    section = environment.instrumentation()
    assert section.facts["entry point"] == "missing"
    assert "wrong" in {finding.level for finding in section.findings}


def test_a_collector_that_listens(examined, healthy, monkeypatch):
    """A collector is tried: one that listens is fine, one that does not is wrong. Keys are never shown."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://user:secret@127.0.0.1:{port}/v1")
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=secret")
        wrong, findings, facts = examined()
        assert not wrong
        assert f"traces go to the collector at 127.0.0.1:{port}, which listens." in _texts(findings, "fine")
        assert "secret" not in json.dumps([findings, facts])
        assert facts["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://127.0.0.1:{port}/v1"
    wrong, findings, _ = examined()
    assert wrong
    assert sum("nobody listens" in text for text in _texts(findings, "wrong")) == 2


@pytest.mark.parametrize(("value", "level"), [("console", "fine"), ("none", "note"), ("", "note"), ("bogus", "wrong")])
def test_exporters(monkeypatch, value, level):
    """An exporter that is not installed is wrong, none at all is only noted."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", value)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", value)
    assert {finding.level for finding in environment.exporters().findings} == {level}


def test_prices_that_were_fetched(examined, healthy, tmp_path, monkeypatch):
    """Where they are, from when and from where; what cannot be read there is wrong."""
    from otel_aicost.prices import update

    place = tmp_path / "fetched"
    monkeypatch.setenv("OTEL_AICOST_PRICE_DATA", str(place))
    assert examined()[2]["fetched prices"] == "none: those that come with the package are used"
    found = update.read(pricelists.raw(pricelists.published()), "data.json", NOW)
    update.install(place, found, NOW)
    _, _, facts = examined()
    assert facts["fetched prices"].startswith(f"{place}, ")
    assert facts["fetched prices"].endswith(" from data.json")
    (place / "editions.json").write_text("{")
    wrong, findings, _ = examined()
    assert wrong
    assert any("editions.json cannot be read" in text for text in _texts(findings, "wrong"))


def test_stale_prices_are_noted(examined, healthy, tmp_path, monkeypatch):
    """What is old by the threshold of the file, with what to do; it is no defect of the set-up."""
    prices = tmp_path / "prices.yaml"
    prices.write_text(
        "schema: 1\nmodels: [{provider: openai, model: gpt-4o, checked: 2020-01-01, periods: [{from: 2020-01-01, "
        "rates: [{meter: input_tokens, price: '1', per: 1}]}]}]\n"
    )
    monkeypatch.setenv("OTEL_AICOST_PRICES", str(prices))
    monkeypatch.setenv("OTEL_AICOST_STALE_DAYS", "400")
    wrong, findings, facts = examined()
    assert not wrong
    assert facts["stale price lists"] >= 1
    assert any("the oldest on 2020-01-01" in text for text in _texts(findings, "note"))


def test_a_price_file_with_mistakes(examined, healthy, tmp_path, monkeypatch, caplog):
    """Every mistake of the user's price file is told, and that none of its prices is used."""
    prices = tmp_path / "prices.yaml"
    prices.write_text("schema: 1\nprices: nonsense\n")
    monkeypatch.setenv("OTEL_AICOST_PRICES", str(prices))
    wrong, findings, _ = examined()
    assert wrong
    assert any(text.startswith(f"{prices}:2") for text in _texts(findings, "wrong"))
    assert any("None of the prices" in text for text in _texts(findings, "wrong"))
    assert caplog.records == []
