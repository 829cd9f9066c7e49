"""`aicost doctor` finds what is wrong, and says why a call might not show."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import time
from contextlib import closing

import pytest
from ledgers import write
from records import record

from otel_aicost import config
from otel_aicost.cli.checks import environment
from otel_aicost.model import Unpriced

NOW = time.time_ns()
HOUR = 3600 * 10**9


@pytest.fixture
def healthy(tmp_path, monkeypatch):
    """A ledger with one good call of now."""
    path = write(tmp_path / "state" / "ledger.db", record(started_ns=NOW))
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(path))
    return path


@pytest.fixture
def examined(aicost):
    """The findings as (level, text), and the facts of all sections."""

    def run(*arguments):
        result = aicost("doctor", "--json", *arguments)
        document = json.loads(result.stdout)
        findings = [(each["level"], each["text"]) for part in document["sections"] for each in part["findings"]]
        facts = {name: value for part in document["sections"] for name, value in part["facts"].items()}
        assert document["ok"] is (result.exit_code == 0)
        assert document["wrong"] == sum(level == "wrong" for level, _ in findings)
        return result.exit_code, findings, facts

    return run


def _texts(findings, level):
    return [text for each, text in findings if each == level]


def test_all_is_well(examined, healthy):
    """In a healthy environment nothing is wrong, and the facts are there."""
    code, findings, facts = examined()
    assert (code, _texts(findings, "wrong")) == (0, [])
    assert facts["file"] == str(healthy)
    assert facts["calls"] == 1
    assert facts["schema version"] == 1
    assert facts["mode"] == "0600"
    assert facts["writable"] is True
    assert facts["last call (UTC)"] == time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(NOW // 10**9))
    assert facts["catalogue"].startswith("genai-prices ")
    assert facts["entry point"] == "otel_aicost.instrumentor:AICostInstrumentor"


def test_in_words(aicost, healthy):
    """For a person every fact and finding has its line, and the last line sums it up."""
    result = aicost("doctor")
    assert result.exit_code == 0
    assert str(healthy) in result.stdout
    assert result.stdout.splitlines()[-1] == "All is in place."


def test_every_variable_is_shown(examined, healthy, monkeypatch):
    """The settings are all there, as they are read."""
    monkeypatch.setenv("OTEL_AICOST_TAGS", "team=search, env=prod")
    monkeypatch.setenv("OTEL_AICOST_DISABLED", "openai,anthropic")
    facts = examined()[2]
    assert {name for name, _ in config._VARIABLES.values()} <= set(facts)
    assert facts["OTEL_AICOST_TAGS"] == "team=search,env=prod"
    assert facts["OTEL_AICOST_DISABLED"] == "anthropic,openai"
    assert facts["OTEL_AICOST_JSONL"] == "off"


def test_mistakes_in_the_settings(examined, aicost, healthy, monkeypatch):
    """Every mistake of the environment is told in the words of the settings, and the exit code is 1."""
    monkeypatch.setenv("OTEL_AICOST_RETENTION_DAYS", "a year")
    monkeypatch.setenv("OTEL_AICOST_LEGDER", "x")
    code, findings, _ = examined()
    assert code == 1
    assert _texts(findings, "wrong") == config.load()[1]
    assert len(config.load()[1]) == 2
    assert aicost("doctor").stdout.splitlines()[-1] == "2 things are wrong."


def test_no_ledger_yet(examined, tmp_path, monkeypatch):
    """A ledger that is still to come is no fault, and is not made."""
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(tmp_path / "new" / "ledger.db"))
    code, findings, _ = examined()
    assert code == 0
    assert any("There is no ledger yet" in text for text in _texts(findings, "note"))
    assert not (tmp_path / "new").exists()


def test_a_ledger_that_cannot_be(examined, tmp_path, monkeypatch):
    """A ledger below something that is no directory cannot be made, and that is wrong."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("OTEL_AICOST_LEDGER", str(tmp_path / "file" / "ledger.db"))
    code, findings, _ = examined()
    assert code == 1
    assert any("none can be made" in text for text in _texts(findings, "wrong"))


def test_a_newer_ledger(examined, healthy):
    """A ledger of a newer version is wrong, and the other checks go on."""
    with closing(sqlite3.connect(healthy)) as raw:
        raw.execute("PRAGMA user_version = 99")
    code, findings, facts = examined()
    assert code == 1
    assert any("newer otel-aicost" in text for text in _texts(findings, "wrong"))
    assert facts["catalogue"]


@pytest.mark.parametrize(("mode", "notes"), [(0o600, 0), (0o640, 1), (0o604, 1)])
def test_a_ledger_that_others_may_read(examined, healthy, mode, notes):
    """A ledger that others may read is noted."""
    healthy.chmod(mode)
    assert sum("Other users may read" in text for text in _texts(examined()[1], "note")) == notes


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("OTEL_AICOST_ENABLED", "false", "nothing is recorded at all"),
        ("OTEL_AICOST_DISABLED", "openai", "leaves out openai"),
        ("OTEL_AICOST_LEDGER", "off", "spans and metrics only"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "requests, aicost", "contains aicost: no call is seen"),
        ("OTEL_PYTHON_DISABLED_INSTRUMENTATIONS", "*", "contains *: no call is seen"),
        ("OTEL_SDK_DISABLED", "true", "the ledger is written all the same"),
    ],
)
def test_switches(examined, healthy, monkeypatch, name, value, said):
    """A switch that hides calls is noted; it may be meant, so it is not wrong."""
    assert not any(said in text for _, text in examined()[1])
    monkeypatch.setenv(name, value)
    code, findings, _ = examined()
    assert code == 0
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
    code, findings, _ = examined()
    assert code == 1
    assert any("1 calls since yesterday are unpriced (unknown_model): openai gpt-9" in text for _, text in findings)


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
        code, findings, facts = examined()
        assert code == 0
        assert f"traces go to the collector at 127.0.0.1:{port}, which listens." in _texts(findings, "fine")
        assert "secret" not in json.dumps([findings, facts])
        assert facts["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://127.0.0.1:{port}/v1"
    code, findings, _ = examined()
    assert code == 1
    assert sum("nobody listens" in text for text in _texts(findings, "wrong")) == 2


@pytest.mark.parametrize(("value", "level"), [("console", "fine"), ("none", "note"), ("", "note"), ("bogus", "wrong")])
def test_exporters(monkeypatch, value, level):
    """An exporter that is not installed is wrong, none at all is only noted."""
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", value)
    monkeypatch.setenv("OTEL_METRICS_EXPORTER", value)
    assert {finding.level for finding in environment.exporters().findings} == {level}


def test_a_price_file_with_mistakes(examined, healthy, tmp_path, monkeypatch, caplog):
    """Every mistake of the user's price file is told, and that none of its prices is used."""
    prices = tmp_path / "prices.yaml"
    prices.write_text("schema: 1\nprices: nonsense\n")
    monkeypatch.setenv("OTEL_AICOST_PRICES", str(prices))
    code, findings, _ = examined()
    assert code == 1
    assert any(text.startswith(f"{prices}:2") for text in _texts(findings, "wrong"))
    assert any("None of the prices" in text for text in _texts(findings, "wrong"))
    assert os.listdir(tmp_path)
    assert caplog.records == []
