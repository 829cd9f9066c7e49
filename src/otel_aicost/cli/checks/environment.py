"""Checks of the environment: settings, SDKs, the instrumentor, the exporters."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from otel_aicost import config
from otel_aicost.cli.checks import Section

SDKS: Mapping[str, tuple[int, ...]] = {"openai": (1, 40), "anthropic": (0, 40)}
"""The SDKs whose calls are seen, and the oldest supported version of each."""


class Other(NamedTuple):
    """Another SDK whose calls are seen."""

    sdk: str
    """Its name in `capture.sdks`."""
    oldest: tuple[int, ...]
    """The oldest version that the tests run with."""


OTHERS: Mapping[str, Other] = {
    "aiobotocore": Other("aiobotocore", (3, 1)),
    "boto3": Other("botocore", (1, 42)),
    "cohere": Other("cohere", (5, 20)),
    "dashscope": Other("dashscope", (1, 25)),
    "google-genai": Other("google.genai", (1, 56)),
    "google-maps-places": Other("google.maps.places", (0, 9)),
    "googlemaps": Other("googlemaps", (4, 10)),
    "groq": Other("groq", (0, 13)),
    "litellm": Other("litellm", (1, 106)),
    "mistralai": Other("mistralai", (1, 5)),
    "ollama": Other("ollama", (0, 4)),
    "openrouter": Other("openrouter", (1, 0)),
    "perplexityai": Other("perplexity", (0, 16)),
    "together": Other("together", (2, 0)),
    "voyageai": Other("voyageai", (0, 5)),
}
"""What is installed -> the SDK."""

ENTRY_POINT = "aicost"
SIGNALS = ("traces", "metrics")
COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
GRPC_PORT, HTTP_PORT = 4317, 4318
PATIENCE = 1.0
"""Seconds to wait for a collector to answer."""
TRIAL = """
import importlib, json, sys
from otel_aicost.capture.sdks import SDKS
from otel_aicost.config import Settings
from otel_aicost.instrumentor import AICostInstrumentor
instrumentor = AICostInstrumentor()
instrumentor.instrument(settings=Settings(ledger=None))
for name in sys.argv[1:]:
    for sdk in SDKS:
        if sdk.name == name and name not in instrumentor.patched:
            try:
                importlib.import_module(sdk.module)
            except ImportError:  # a module of another version
                pass
print(json.dumps(instrumentor.patched))
"""
TRIAL_SECONDS = 60
HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
"""May hold keys: said to be set, never shown."""


def settings() -> Section:
    """The environment as otel-aicost reads it, and its mistakes."""
    section = Section("Settings")
    values, mistakes = config.load()
    mistakes += config.load_budgets(values)[1]
    for attribute, (name, _) in config._VARIABLES.items():  # noqa: SLF001 - the one list of them
        section.facts[name] = _shown(_without_secrets(attribute, getattr(values, attribute)))
    for mistake in mistakes:
        section.wrong(mistake)
    if not mistakes:
        section.fine("The environment has no mistakes.")
    return section


def sdks() -> Section:
    """Which SDKs are installed, and whether their versions are supported."""
    section = Section("SDKs")
    for name, floor in SDKS.items():
        found = _installed(name)
        section.facts[name] = ", ".join(version for version, _ in found) or "not installed"
        if not found:
            continue
        version = found[0][0]
        if _numbers(version) < floor:
            oldest = ".".join(map(str, floor))
            section.wrong(f"{name} {version} is older than {oldest}, the oldest supported: its calls may not be seen.")
        else:
            section.fine(f"{name} {version} is supported.")
        if len(found) > 1:
            places = ", ".join(f"{version} in {place}" for version, place in found)
            section.note(f"{name} is installed more than once ({places}): the first is the one that is imported.")
    for name, other in OTHERS.items():
        _other(section, name, other)
    if not section.findings:
        section.note(f"No SDK is installed in this environment ({sys.prefix}): nothing can be seen here.")
    return section


def _other(section: Section, name: str, other: Other) -> None:
    found = _installed(name)
    if not found:
        return
    version = found[0][0]
    section.facts[name] = version
    if _numbers(version) < other.oldest:
        oldest = ".".join(map(str, other.oldest))
        section.note(f"{name} {version} is older than {oldest}, the oldest that is tested: some calls may not be seen.")
    else:
        section.fine(f"{name} {version} is supported.")


def patched() -> Section:
    """What of the installed SDKs is wrapped once they are instrumented: tried in a process of its own."""
    section = Section("What is patched")
    installed = [name for name in SDKS if _installed(name)]
    installed += [other.sdk for name, other in OTHERS.items() if _installed(name)]
    try:
        done = subprocess.run(  # noqa: S603 - our own code, in this Python
            [sys.executable, "-P", "-c", TRIAL, *installed],
            capture_output=True,
            check=True,
            text=True,
            timeout=TRIAL_SECONDS,
        )
        wrapped: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError) as error:
        last = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1:]
        section.wrong(f"The SDKs cannot be instrumented here: {''.join(last)}")
        return section
    for name in installed:
        section.facts[name] = ", ".join(wrapped.get(name, ())) or "nothing"
        if wrapped.get(name):
            section.fine(f"The calls of {name} are seen once it runs under opentelemetry-instrument.")
        else:
            section.wrong(f"Nothing of {name} is patched: its calls are not seen.")
    return section


def instrumentation() -> Section:
    """Whether `opentelemetry-instrument` will find us."""
    section = Section("Instrumentation")
    try:
        version = metadata.version("otel-aicost")
    except metadata.PackageNotFoundError:
        version = "not installed"
    section.facts["otel-aicost"] = version
    points = metadata.entry_points(group="opentelemetry_instrumentor", name=ENTRY_POINT)
    section.facts["entry point"] = next((point.value for point in points), "missing")
    if points:
        section.fine(f"The instrumentor {ENTRY_POINT!r} is registered with OpenTelemetry.")
    else:
        section.wrong(f"The instrumentor {ENTRY_POINT!r} is not registered: pip install otel-aicost")
    _command(section)
    return section


def _command(section: Section) -> None:
    command = "opentelemetry-instrument"
    found, beside = shutil.which(command), Path(sys.executable).with_name(command)
    section.facts[command] = found or (str(beside) if beside.exists() else "missing")
    if found:
        section.fine(f"{command} is on the PATH.")
    elif beside.exists():
        section.note(f"{command} is not on the PATH; it stands beside this Python: {beside}")
    else:
        section.wrong(f"{command} is missing: pip install opentelemetry-instrumentation")


def exporters() -> Section:
    """Where spans and metrics go, as far as the environment says, and whether somebody listens there."""
    section = Section("OpenTelemetry export")
    shown = [f"OTEL_{signal.upper()}_EXPORTER" for signal in SIGNALS]
    for name in (*shown, COLLECTOR, *map(_own_collector, SIGNALS), PROTOCOL):
        section.facts[name] = _without_credentials(os.environ.get(name, "")) or "not set"
    section.facts[HEADERS] = "set (not shown)" if os.environ.get(HEADERS) else "not set"
    listening: dict[tuple[str, int], bool] = {}
    for signal in SIGNALS:
        _exporter(section, signal, listening)
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        section.note("OTEL_SDK_DISABLED=true: no spans and no metrics; the ledger is written all the same.")
    return section


def _exporter(section: Section, signal: str, listening: dict[tuple[str, int], bool]) -> None:
    variable = f"OTEL_{signal.upper()}_EXPORTER"
    address = os.environ.get(_own_collector(signal)) or os.environ.get(COLLECTOR)
    named = os.environ.get(variable, "otlp" if address else "none")
    wanted = [word.strip() for word in named.split(",") if word.strip() not in {"", "none"}]
    known = {point.name for point in metadata.entry_points(group=f"opentelemetry_{signal}_exporter")} | {"otlp"}
    for name in wanted:
        if name not in known:
            section.wrong(f"{variable}={name}: no such exporter is installed; there are {', '.join(sorted(known))}.")
    if not wanted:
        section.note(f"No exporter of {signal} is asked for ({variable}, {COLLECTOR}); the ledger needs none.")
    elif any(name.startswith("otlp") for name in wanted):
        _collector(section, signal, address, listening)
    elif set(wanted) <= known:
        section.fine(f"{signal} go to {', '.join(wanted)}.")


def _collector(section: Section, signal: str, address: str | None, listening: dict[tuple[str, int], bool]) -> None:
    """Whether somebody listens where OTLP goes: one connection, nothing is sent."""
    port = HTTP_PORT if os.environ.get(PROTOCOL, "").startswith("http") else GRPC_PORT
    parts = urlsplit(address if address and "://" in address else f"http://{address or 'localhost'}")
    try:
        place = (parts.hostname or "localhost", parts.port or port)
    except ValueError as error:
        section.wrong(f"The collector's address for {signal} cannot be used: {error}.")
        return
    if place not in listening:
        try:
            socket.create_connection(place, timeout=PATIENCE).close()
            listening[place] = True
        except OSError:
            listening[place] = False
    where = f"{place[0]}:{place[1]}"
    if listening[place]:
        section.fine(f"{signal} go to the collector at {where}, which listens.")
    else:
        section.wrong(f"{signal} go to the collector at {where}, and nobody listens there; the ledger needs none.")


def _own_collector(signal: str) -> str:
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_ENDPOINT"


def _installed(name: str) -> list[tuple[str, str]]:
    """Version and place of each copy of a distribution on the path, in the order Python looks."""
    found: dict[str, str] = {}
    for copy in metadata.distributions(name=name):
        found.setdefault(str(copy.locate_file("")), copy.version)
    return [(version, place) for place, version in found.items()]


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in parts)


def _without_credentials(address: str) -> str:
    scheme, separator, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}" if separator else address


def _without_secrets(attribute: str, value: Any) -> Any:  # noqa: ANN401 - of any setting
    if attribute == "serve_token":
        return value and "set (not shown)"
    return tuple(map(config.shown_url, value)) if attribute == "alertmanagers" else value


def _shown(value: object) -> object:
    if isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return ",".join(f"{key}={text}" for key, text in value.items())
    if isinstance(value, Iterable):
        return ",".join(map(str, sorted(value) if isinstance(value, frozenset) else value))
    return "off" if value is None else str(value)
