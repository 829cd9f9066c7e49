"""`aicost serve` as a process of its own: what it says, whom it lets in, and how it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trustme

from ledgers import sample, write
from server.notifications import notification, one
from server.spending import budget, define, spend
from server.world import Pager, ask, until

SOURCE = Path(__file__).parents[2] / "src"
ADDRESS = re.compile(r"https?://[^ ]*?:(\d+)/metrics")
SECRET = "hunter2"


class Served:
    """`aicost serve` that runs: its port, and the lines it has printed."""

    def __init__(self, *arguments, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "otel_aicost.cli", "serve", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True)
        self._reader.start()
        self.greeting = self.process.stdout.readline().rstrip("\n")
        assert self.greeting, self.end()
        self.port = int(ADDRESS.search(self.greeting)[1])
        until(self._answers)

    def _answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def end(self, number=signal.SIGTERM):
        """End it: the exit code, and all it said on stderr."""
        self.process.send_signal(number)
        code = self.process.wait(20)
        self._reader.join()
        return code, "".join(self.said)


@pytest.fixture
def serve():
    started = []

    def start(*arguments, **environment):
        started.append(Served("--port", 0, *arguments, **environment))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()
        each.process.stdout.close()
        each._reader.join()
        each.process.stderr.close()


@pytest.fixture
def ledger(tmp_path):
    return write(tmp_path / "ledger.db", *sample())


@pytest.fixture
def refused():
    """Run a command that does not start: its exit code and what it said."""

    def run(*arguments, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "otel_aicost.cli", "serve", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(SOURCE), **environment},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.stdout == ""
        return done.returncode, done.stderr

    return run


def test_one_line_says_what_is_served_where(serve, ledger):
    """Then it serves the ledger, and is silent: no line for each request."""
    server = serve("--ledger", ledger)
    assert server.greeting == (f"aicost serve: http://127.0.0.1:{server.port}/metrics serves {ledger} (Ctrl-C ends it)")
    assert ask(server.port, "/readyz").text == "ok\n"
    assert "aicost_ledger_calls 10.0" in ask(server.port, "/metrics").text
    assert server.end() == (0, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly(serve, ledger, number):
    """With exit code 0, also while somebody keeps a connection open."""
    server = serve("--ledger", ledger)
    with socket.create_connection(("127.0.0.1", server.port)) as idle:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200 OK")
        assert server.end(number) == (0, "")


def test_it_starts_without_a_ledger(serve, tmp_path):
    """It says so once, is not ready, and serves the ledger when there is one."""
    place = tmp_path / "later.db"
    server = serve(OTEL_AICOST_LEDGER=str(place))
    assert ask(server.port, "/readyz").status == 503
    assert "aicost_ledger_up 0.0" in ask(server.port, "/metrics").text
    write(place, *sample())
    assert ask(server.port, "/readyz").status == 200
    assert "aicost_ledger_up 1.0" in ask(server.port, "/metrics").text
    code, said = server.end()
    assert code == 0
    assert said.count("\n") == 1
    assert said.startswith(f"aicost serve: not ready yet: there is no ledger at {place}.")


def test_a_port_in_use_is_told(serve, refused, ledger):
    """In one line that says what to do, with exit code 2."""
    server = serve("--ledger", ledger)
    code, said = refused("--port", server.port, "--ledger", ledger)
    assert code == 2
    assert said == (
        f"aicost serve: port {server.port} of 127.0.0.1 is in use, by another aicost serve or exporter: stop it, or "
        "choose another with --port (aicost serve --help tells more)\n"
    )


def test_a_token_in_a_file_is_asked_for(serve, ledger, tmp_path):
    """It wins over the variable; whoever sends none or another is told nothing."""
    file = tmp_path / "token"
    file.write_text("from-the-file\n")
    server = serve("--ledger", ledger, "--token-file", file, OTEL_AICOST_SERVE_TOKEN="from-the-variable")
    assert ask(server.port, "/metrics").status == 401
    assert ask(server.port, "/metrics", Authorization="Bearer from-the-variable").status == 401
    assert ask(server.port, "/metrics", Authorization="Bearer from-the-file").status == 200
    assert ask(server.port, "/healthz").status == 200


def test_a_token_in_the_environment_is_asked_for(serve, ledger):
    """As containers have it."""
    server = serve("--ledger", ledger, OTEL_AICOST_SERVE_TOKEN=SECRET)
    assert ask(server.port, "/metrics").status == 401
    assert ask(server.port, "/metrics", Authorization=f"Bearer {SECRET}").status == 200
    assert server.end() == (0, "")
    assert SECRET not in server.greeting


@pytest.mark.parametrize(("token", "warned"), [("", 1), (SECRET, 0)])
def test_an_open_door_is_warned_of(serve, ledger, token, warned):
    """One line, where others can connect and no token is set."""
    server = serve("--ledger", ledger, "--host", "0.0.0.0", OTEL_AICOST_SERVE_TOKEN=token)
    code, said = server.end()
    assert code == 0
    assert said.count("\n") == warned
    assert ("everyone who can reach 0.0.0.0 can read what is spent" in said) == bool(warned)


def test_it_serves_https(serve, ledger, tmp_path):
    """With a certificate and its key; plain HTTP is not answered."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    issued.private_key_pem.write_to_path(key)
    server = serve("--ledger", ledger, "--tls-cert", certificate, "--tls-key", key)
    assert server.greeting.startswith(f"aicost serve: https://127.0.0.1:{server.port}/metrics serves ")
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    assert ask(server.port, "/metrics", tls=trusting).status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(server.port, "/metrics", tls=ssl.create_default_context())
    assert server.end()[0] == 0


WRONG = {
    "port": (["--port", "70000"], "70000 is not in the range"),
    "host": (["--host", "no.such.host.invalid"], "there is no address 'no.such.host.invalid'"),
    "other host": (["--host", "192.0.2.7"], "192.0.2.7 is no address of this machine"),
    "half of TLS": (["--tls-cert", "{file}"], "--tls-cert and --tls-key go together"),
    "no certificate": (["--tls-cert", "{file}", "--tls-key", "{file}"], "are no certificate and its key"),
    "no token file": (["--token-file", "{file}.gone"], "does not exist"),
    "empty token": (["--token-file", "{empty}"], "holds no token"),
    "token of words": (["--token-file", "{file}"], "holds no token"),
    "alertmanager": (["--alertmanager", "alerts:9093"], "expected an address such as http://127.0.0.1:9093"),
    "query": (["--alertmanager", "http://alerts?x=1"], "expected an address such as"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG)
def test_wrong_usage_is_told_in_one_line(refused, ledger, tmp_path, arguments, said):
    """Exit code 2, before anything is served."""
    (tmp_path / "file").write_text("two words")
    (tmp_path / "empty").write_text("\n")
    arguments = [each.format(file=tmp_path / "file", empty=tmp_path / "empty") for each in arguments]
    code, told = refused("--ledger", ledger, *arguments)
    assert code == 2
    assert said in told
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OTEL_AICOST_LEDGER": "off"}, "the ledger is switched off by OTEL_AICOST_LEDGER"),
        ({"OTEL_AICOST_LEDGER": f"postgresql://a:{SECRET}@h:port=1/x?nonsense"}, "cannot be read: write it as"),
    ],
)
def test_what_no_waiting_mends_is_told_at_once(refused, environment, said):
    """Exit code 3, in one line without the password."""
    code, told = refused(**environment)
    assert code == 3
    assert said in told
    assert told.count("\n") == 1
    assert SECRET not in told


def test_without_psycopg_a_server_is_refused(refused, tmp_path):
    """With what to install."""
    (tmp_path / "psycopg").mkdir()
    (tmp_path / "psycopg" / "__init__.py").write_text("raise ImportError")
    environment = {"PYTHONPATH": f"{tmp_path}:{SOURCE}", "OTEL_AICOST_LEDGER": "postgresql://h/x"}
    code, told = refused(**environment)
    assert code == 3
    assert told == 'aicost: a ledger on PostgreSQL needs psycopg: pip install "otel-aicost[postgresql]"\n'


def test_a_wrong_file_of_budgets_is_told_and_the_rest_served(serve, ledger, tmp_path):
    """The metrics of the ledger do not depend on it."""
    file = tmp_path / "aicost.yaml"
    file.write_text("budgets: 3\n")
    server = serve("--ledger", ledger, "--config", file)
    assert ask(server.port, "/metrics").status == 200
    code, said = server.end()
    assert code == 0
    assert f"{file}:1" in said


def test_alerts_go_both_ways(serve, ledger):
    """A spent budget is posted to Alertmanager; what its webhook tells is listed by `aicost alerts`."""
    one_budget = budget("chat", team="search")
    define(ledger, one_budget)
    with Pager() as pager:
        server = serve("--ledger", ledger, "--alertmanager", pager.url.replace("://", f"://me:{SECRET}@"))
        assert f"; budget alerts go to {pager.url} (Ctrl-C ends it)" in server.greeting
        spend(ledger, one_budget, "10")
        until(lambda: pager.posts)
        posted = {alert["labels"]["alertname"]: alert for alert in pager.posts[0]}
        back = [
            {**alert, "status": "firing", "fingerprint": f"{number:016x}"}
            for number, alert in enumerate(posted.values())
        ]
        body = notification(*back, one("AICostUnpricedModel", summary="gpt-9 has no price"))
        answer = ask(server.port, "/alerts/alertmanager", "POST", body, Content_Type="application/json")
        assert json.loads(answer.body) == {"alerts": len(back) + 1, "new": 1}
        assert server.end() == (0, "")
    assert set(posted) == {"AICostBudgetExceeded", "AICostBudgetThreshold"}
    assert posted["AICostBudgetExceeded"]["labels"]["team"] == "search"
