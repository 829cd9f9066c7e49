from __future__ import annotations

import re
from pathlib import Path

import pytest

from otel_aicost import config


def test_an_empty_environment_gives_the_defaults(tmp_path):
    """Without variables everything is on, and the ledger is in the user's state directory."""
    settings, mistakes = config.load({})

    assert mistakes == []
    assert settings == config.Settings()
    assert settings.ledger is not None
    assert settings.ledger.name == "ledger.db"


def test_every_variable_is_read():
    """Each variable ends up in its setting."""
    settings, mistakes = config.load(
        {
            "OTEL_AICOST_ENABLED": "false",
            "OTEL_AICOST_DISABLED": "openai, anthropic",
            "OTEL_AICOST_LEDGER": "/var/lib/aicost/ledger.db",
            "OTEL_AICOST_RETENTION_DAYS": "30",
            "OTEL_AICOST_JSONL": "/tmp/calls.jsonl",
            "OTEL_AICOST_PRICES": "/etc/aicost/prices.yaml",
            "OTEL_AICOST_PROVIDER_HOSTS": "Proxy.Corp=openai,localhost:8080=openai",
            "OTEL_AICOST_STREAM_USAGE": "inject",
            "OTEL_AICOST_TAGS": "team=search, env=prod",
            "OTEL_AICOST_BAGGAGE_KEYS": "user,tenant",
            "OTEL_AICOST_METRIC_TAGS": "team",
            "OTEL_AICOST_PROMETHEUS_PORT": "9464",
            "OTEL_AICOST_PROMETHEUS_HOST": "0.0.0.0",
        }
    )

    assert mistakes == []
    assert settings == config.Settings(
        enabled=False,
        disabled_sdks=frozenset({"openai", "anthropic"}),
        ledger=Path("/var/lib/aicost/ledger.db"),
        retention_days=30,
        jsonl=Path("/tmp/calls.jsonl"),
        prices=Path("/etc/aicost/prices.yaml"),
        provider_hosts={"proxy.corp": "openai", "localhost:8080": "openai"},
        stream_usage="inject",
        tags={"team": "search", "env": "prod"},
        baggage_keys=("user", "tenant"),
        metric_tags=("team",),
        prometheus_port=9464,
        prometheus_host="0.0.0.0",
    )


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "94 64", "²"])
def test_a_port_is_a_number(text):
    """What is no number of a port is reported, and there is no port."""
    settings, mistakes = config.load({"OTEL_AICOST_PROMETHEUS_PORT": text})

    assert settings.prometheus_port is None
    assert mistakes == [f"OTEL_AICOST_PROMETHEUS_PORT={text!r}: expected the number of a port, 1 to 65535"]


@pytest.mark.parametrize(
    ("text", "path"),
    [("off", None), ("none", None), ("sqlite:///data/l.db", "data/l.db"), ("~/l.db", "~/l.db")],
)
def test_the_ledger_is_a_file_a_url_or_off(text, path):
    """The ledger variable takes a file, an sqlite URL or off."""
    settings, mistakes = config.load({"OTEL_AICOST_LEDGER": text})

    assert mistakes == []
    assert settings.ledger == (None if path is None else Path(path).expanduser().absolute())


def test_all_mistakes_are_reported_at_once_and_the_defaults_stand_in():
    """Each mistake names the variable, what it holds and what it could hold; the rest of the settings count."""
    settings, mistakes = config.load(
        {
            "OTEL_AICOST_ENABLED": "perhaps",
            "OTEL_AICOST_RETENTION_DAYS": "-1",
            "OTEL_AICOST_LEDGER": "mysql://x",
            "OTEL_AICOST_PROVIDER_HOSTS": "proxy.corp",
            "OTEL_AICOST_STREAM_USAGE": "yes",
            "OTEL_AICOST_LEGDER": "off",
            "OTEL_AICOST_TAGS": "team=search",
        }
    )

    assert settings == config.Settings(tags={"team": "search"})
    assert len(mistakes) == 6
    for name, expected in {
        "OTEL_AICOST_ENABLED='perhaps'": "true or false",
        "OTEL_AICOST_RETENTION_DAYS='-1'": "days",
        "OTEL_AICOST_LEDGER='mysql://x'": "sqlite:///",
        "OTEL_AICOST_PROVIDER_HOSTS='proxy.corp'": "key=value",
        "OTEL_AICOST_STREAM_USAGE='yes'": "estimate or inject",
        "OTEL_AICOST_LEGDER": "no such variable",
    }.items():
        assert any(mistake.startswith(name) and expected in mistake for mistake in mistakes), name


def test_the_ledger_may_be_a_server(tmp_path, monkeypatch):
    """The address of a PostgreSQL server is taken as it is; the outbox is named after the place, or by the user."""
    url = "postgresql://shop:secret@db.corp:5433/costs?sslmode=require"
    settings, mistakes = config.load({"OTEL_AICOST_LEDGER": url})

    assert mistakes == []
    assert isinstance(settings.ledger, config.Server)
    assert settings.ledger.url == url
    assert settings.ledger.outbox.parent == config.default_ledger().parent
    rotated, _ = config.load({"OTEL_AICOST_LEDGER": url.replace("secret", "another")})
    elsewhere, _ = config.load({"OTEL_AICOST_LEDGER": url.replace("5433", "5434")})
    assert rotated.ledger.outbox == settings.ledger.outbox != elsewhere.ledger.outbox
    named, _ = config.load({"OTEL_AICOST_LEDGER": url, "OTEL_AICOST_OUTBOX": str(tmp_path / "o.db")})
    assert named.ledger == config.Server(url, tmp_path / "o.db")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://shop:secret@db.corp/costs",
        "postgresql://shop:sec?ret@db.corp/costs",
        "postgresql://shop:s@cr/et@db.corp/costs",
        "postgresql://db.corp/costs?user=shop&password=secret",
        "oracle://shop:secret@db.corp/costs",
    ],
)
def test_a_password_in_an_address_is_never_shown(url):
    """Whatever is said of an address, accepted or not, says nothing of user, password and options."""
    settings, mistakes = config.load({"OTEL_AICOST_LEDGER": url})

    said = f"{mistakes} {settings} {settings.ledger}"
    assert not re.search("shop|sec|ret@", said)
    assert len(mistakes) == url.startswith("oracle")


def test_addresses_of_alertmanager():
    """Several with commas between, of http and https; they are not in the repr of the settings."""
    settings, mistakes = config.load({"OTEL_AICOST_ALERTMANAGER": "http://one:9093/am/, https://me:hunter2@two"})
    assert settings.alertmanagers == ("http://one:9093/am", "https://me:hunter2@two")
    assert mistakes == []
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    "text",
    [
        "two:9093",
        "me:hunter2@two",
        "ftp://me:hunter2@two",
        "http://",
        "http://two:x",
        "http://two?a=hunter2",
        "http://two,me:hunter2@x",
    ],
)
def test_an_address_that_is_none_is_told_without_its_password(text):
    """It may have been mistyped with a password in it."""
    settings, (mistake,) = config.load({"OTEL_AICOST_ALERTMANAGER": text})
    assert settings.alertmanagers == ()
    assert mistake.startswith("OTEL_AICOST_ALERTMANAGER=")
    assert mistake.endswith("expected an address such as http://127.0.0.1:9093")
    assert "hunter2" not in mistake


def test_the_token_of_the_server_is_in_no_repr():
    """Settings are logged by some."""
    settings = config.load({"OTEL_AICOST_SERVE_TOKEN": "hunter2"})[0]
    assert settings.serve_token == "hunter2"
    assert "hunter2" not in repr(settings)
