from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from exporter.scraped import OPENMETRICS, Scrape
from exporter.until import until
from ledgers import sample, write
from otel_aicost import faults, instrumentor
from otel_aicost.config import load
from otel_aicost.exporter.collector import registry
from otel_aicost.exporter.in_process import Port

TESTS = Path(__file__).parents[1]
WORKERS = """
import os, sys, threading, time
from otel_aicost import instrumentor
from otel_aicost.config import load
settings, mistakes = load()
assert not mistakes, mistakes
if os.environ.get("PRELOAD"):
    instrumentor.start(settings)
    time.sleep(0.3)
pids = []
for _ in range(4):
    pid = os.fork()
    if pid == 0:
        if not os.environ.get("PRELOAD"):
            instrumentor.start(settings)
        time.sleep(300)
        os._exit(0)
    pids.append(pid)
print(*pids, flush=True)
time.sleep(300)
"""


@pytest.fixture
def free():
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(port, path="/metrics", method="GET", accept=OPENMETRICS):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method, headers={"Accept": accept})
    with urllib.request.urlopen(request, timeout=10) as response:
        return response, response.read().decode()


def holders(port):
    """The processes that have a listening socket on that port (Linux)."""
    inodes = set()
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and int(words[1].partition(":")[2], 16) == port:
            inodes.add(f"socket:[{words[9]}]")
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(link.readlink()) in inodes:
                found.add(int(link.parts[2]))
        except OSError:
            continue
    return found


@pytest.fixture
def port(free, path):
    """A port that is served, with the sample ledger."""
    write(path, *sample())
    one = Port("127.0.0.1", free, lambda: registry(path))
    one.start()
    until(lambda: one.serving)
    yield free
    one.close()


def test_the_metrics_are_at_metrics(port):
    """`/metrics` speaks both formats, `/` says where it is, and there is nothing else."""
    response, text = get(port)
    assert response.headers["Content-Type"].startswith("application/openmetrics-text")
    assert Scrape(text).nano("aicost_cost_usd_total") == 1_883_250_001
    response, text = get(port, accept="*/*")
    assert response.headers["Content-Type"].startswith("text/plain")
    assert Scrape(text, plain_text=True).nano("aicost_cost_usd_total") == 1_883_250_001
    assert "/metrics" in get(port, "/")[1]
    assert get(port, method="HEAD")[1] == ""
    for path, method, code in (("/metrics/x", "GET", 404), ("/ledger.db", "GET", 404), ("/metrics", "POST", 405)):
        with pytest.raises(urllib.error.HTTPError) as raised:
            get(port, path, method)
        assert raised.value.code == code
        raised.value.close()


def test_a_port_that_is_taken_is_no_error(port, path):
    """Who comes second waits quietly, and has the port when the first lets go."""
    faults.reset()
    other = Port("127.0.0.1", port, lambda: registry(path))
    other.start()
    time.sleep(0.2)
    assert not other.serving
    assert faults.counts() == {}
    other.close()


def test_an_address_that_cannot_be_had_is_reported(free):
    """The application goes on, and the log says why there are no metrics."""
    faults.reset()
    one = Port("192.0.2.1", free, lambda: registry(Path("nowhere")))
    one.start()
    until(lambda: faults.counts().get("prometheus port"))
    assert not one.serving
    one.close()


@pytest.mark.parametrize("preload", ["", "1"])
def test_of_many_workers_one_has_the_port_and_another_takes_over(free, path, preload):
    """Four forked workers, one port: killed without warning, the one that has it is followed by another."""
    write(path, *sample())
    variables = {
        "OTEL_AICOST_LEDGER": str(path),
        "OTEL_AICOST_PROMETHEUS_PORT": str(free),
        "OTEL_AICOST_CONFIG": "off",
        "PRELOAD": preload,
        "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
        "PATH": os.environ["PATH"],
    }
    parent = subprocess.Popen([sys.executable, "-c", WORKERS], env=variables, stdout=subprocess.PIPE, text=True)
    everybody = {parent.pid}
    try:
        everybody |= set(map(int, parent.stdout.readline().split()))
        killed = set()
        for _ in range(2):
            (holder,) = until(lambda: len(found := holders(free) - killed) == 1 and found)
            assert holder in everybody
            found = Scrape(until(lambda: answer(free)))
            assert found.nano("aicost_cost_usd_total") == 1_883_250_001
            os.kill(holder, signal.SIGKILL)
            killed.add(holder)
        (last,) = until(lambda: len(found := holders(free) - killed) == 1 and found)
        assert last in everybody - killed
    finally:
        for pid in everybody:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        parent.wait(10)
        parent.stdout.close()


def answer(port):
    try:
        return get(port)[1]
    except (urllib.error.URLError, ConnectionError):
        return None


def test_an_instrumented_process_without_a_port_knows_nothing_of_it(path):
    """Neither prometheus_client nor the exporter is imported where no port is set."""
    code = (
        "import sys; from otel_aicost import instrumentor; from otel_aicost.config import load;"
        "instrumentor.start(load()[0]); instrumentor.stop();"
        "print([name for name in sys.modules if 'prometheus_client' in name or name.startswith('otel_aicost.exporter')])"
    )
    variables = {**os.environ, "OTEL_AICOST_LEDGER": str(path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_serves_loads_nothing_heavy(path, free):
    """With a port and a scrape, an instrumented process has neither SQLAlchemy nor what commands use."""
    write(path, *sample())
    code = (
        "import sys, time, urllib.request; from otel_aicost import instrumentor; from otel_aicost.config import load;"
        "instrumentor.start(load()[0])\n"
        "while not instrumentor._port.serving: time.sleep(0.01)\n"
        f"text = urllib.request.urlopen('http://127.0.0.1:{free}/metrics').read().decode()\n"
        "assert 'aicost_ledger_up 1.0' in text, text\n"
        "heavy = {'sqlalchemy', 'click', 'rich', 'jsonschema', 'starlette', 'uvicorn'}\n"
        "print(sorted(heavy & set(sys.modules)), len(text) > 1000)"
    )
    variables = {
        **os.environ,
        "OTEL_AICOST_LEDGER": str(path),
        "OTEL_AICOST_PROMETHEUS_PORT": str(free),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run([sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"


def test_a_port_without_a_ledger_is_said(free, caplog):
    """Where no ledger is kept there is nothing to serve: the log says so, and nobody has the port."""
    settings, _ = load({"OTEL_AICOST_LEDGER": "off", "OTEL_AICOST_PROMETHEUS_PORT": str(free)})
    instrumentor.start(settings)
    instrumentor.stop()

    assert f"no metrics to serve at port {free} without a ledger" in caplog.text
    assert holders(free) == set()


def test_who_stops_gives_the_port_back(path, free):
    """After `uninstrument` the port is free at once."""
    settings, _ = load({"OTEL_AICOST_LEDGER": str(path), "OTEL_AICOST_PROMETHEUS_PORT": str(free)})
    instrumentor.start(settings)
    until(lambda: holders(free))
    instrumentor.stop()
    until(lambda: not holders(free), 5)
