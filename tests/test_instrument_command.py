"""The main job, as a user runs it: `opentelemetry-instrument python app.py`, nothing changed in app.py."""

from __future__ import annotations

import gzip
import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from otel_aicost.testing import FakeProvider, Reply, Usage

COMMAND = str(Path(sys.executable).with_name("opentelemetry-instrument"))
APP = """
import anthropic, openai
messages = [{"role": "user", "content": "hello"}]
answer = openai.OpenAI().chat.completions.create(model="gpt-4o", messages=messages)
print(type(answer).__name__, answer.usage.total_tokens)
message = anthropic.Anthropic().messages.create(model="claude-opus-4-5", max_tokens=50, messages=messages)
print(type(message).__name__, message.usage.output_tokens)
"""


@pytest.fixture
def run(tmp_path):
    """Run an application against two fake providers; returns the finished process and the ledger's rows."""
    app = tmp_path / "app.py"
    ledger = tmp_path / "ledger.db"

    def start(code=APP, *, command=(COMMAND,), **environ):
        app.write_text(code)
        with FakeProvider() as openai, FakeProvider() as anthropic:
            openai.next(Reply(usage=Usage(input_tokens=1500, output_tokens=2000)))
            anthropic.next(Reply(usage=Usage(input_tokens=1000, output_tokens=100)))
            done = subprocess.run(
                [*command, sys.executable, str(app)],
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
                env={
                    **os.environ,
                    "OPENAI_BASE_URL": openai.openai_url,
                    "OPENAI_API_KEY": "sk-test",
                    "ANTHROPIC_BASE_URL": anthropic.anthropic_url,
                    "ANTHROPIC_API_KEY": "sk-ant-test",
                    "OTEL_AICOST_LEDGER": str(ledger),
                    "OTEL_AICOST_PROVIDER_HOSTS": f"127.0.0.1:{openai.port}=openai,127.0.0.1:{anthropic.port}=anthropic",
                    **environ,
                },
            )
        return done, rows(ledger)

    return start


def rows(ledger):
    """Every call in the ledger, oldest first."""
    if not ledger.exists():
        return []
    with sqlite3.connect(ledger) as connection:
        connection.row_factory = sqlite3.Row
        found = [dict(row) for row in connection.execute("SELECT * FROM calls ORDER BY started_ns")]
    connection.close()
    return found


def test_an_unmodified_application_is_counted_priced_and_recorded(run):
    """Both SDKs' calls are in the ledger with tokens, dollars and tags; the output is the application's own."""
    done, (chat, message) = run(OTEL_AICOST_TAGS="feature=pitch,user=u1", OTEL_SERVICE_NAME="writer")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "ChatCompletion 3500\nMessage 100\n"
    assert (chat["provider"], chat["model"], chat["cost_nano"]) == ("openai", "gpt-4o", 23_750_000)
    assert (message["provider"], message["model"], message["cost_nano"]) == (
        "anthropic",
        "claude-opus-4-5",
        1000 * 5_000 + 100 * 25_000,
    )
    assert json.loads(chat["tags"]) == {"feature": "pitch", "user": "u1"}
    assert {chat["service"], message["service"]} == {"writer"}


def test_spans_and_metrics_go_to_the_exporter_that_was_asked_for(run):
    """OTEL_TRACES_EXPORTER and OTEL_METRICS_EXPORTER work without a distribution."""
    done, _ = run(OTEL_TRACES_EXPORTER="console", OTEL_METRICS_EXPORTER="console")

    assert done.returncode == 0, done.stderr
    assert '"gen_ai.usage.cost.amount": 0.02375' in done.stdout
    assert "gen_ai.client.operation.cost" in done.stdout


def test_spans_and_metrics_reach_a_collector(run):
    """Naming an OTLP endpoint is all it takes to send spans and metrics there."""
    received = {}

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.setdefault(self.path, b"")
            received[self.path] += gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        done, _ = run(
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}",
            OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf",
        )
        collector.shutdown()

    assert (done.returncode, done.stderr) == (0, "")
    assert b"gen_ai.usage.cost.amount" in received["/v1/traces"]
    assert b"chat gpt-4o" in received["/v1/traces"]
    assert b"gen_ai.client.operation.cost" in received["/v1/metrics"]


def test_the_application_ends_with_nothing_said_when_no_collector_listens(run):
    """An OTLP endpoint where nobody listens costs no output and no data."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else gets the port
        done, calls = run(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{taken.getsockname()[1]}")

    assert (done.returncode, done.stderr) == (0, "")
    assert len(calls) == 2


def test_one_switch_turns_everything_off(run):
    """OTEL_AICOST_ENABLED=false leaves the application alone and writes nothing."""
    done, calls = run(OTEL_AICOST_ENABLED="false")

    assert (done.returncode, done.stderr, calls) == (0, "", [])


def test_one_sdk_can_be_left_out(run):
    """OTEL_AICOST_DISABLED names SDKs that are not instrumented."""
    _, calls = run(OTEL_AICOST_DISABLED="openai")

    assert [call["sdk"] for call in calls] == ["anthropic"]


def test_a_setting_that_cannot_be_used_is_said_and_the_application_runs(run):
    """A mistake in a variable is one clear line on stderr."""
    done, calls = run(OTEL_AICOST_RETENTION_DAYS="soon")

    assert done.returncode == 0
    assert "OTEL_AICOST_RETENTION_DAYS='soon'" in done.stderr
    assert len(calls) == 2


def test_a_ledger_that_cannot_be_written_is_said_once_and_the_application_runs(run, tmp_path):
    """An unwritable ledger costs one message, not the application."""
    (tmp_path / "file").write_text("")
    done, _ = run(OTEL_AICOST_LEDGER=str(tmp_path / "file" / "ledger.db"))

    assert done.returncode == 0
    assert done.stdout == "ChatCompletion 3500\nMessage 100\n"
    assert done.stderr.count("ledger") >= 1
    assert "Traceback" not in done.stderr


def test_a_price_file_with_mistakes_is_said_and_the_application_runs(run, tmp_path):
    """A broken price file names file, line and key on stderr; calls are recorded all the same."""
    prices = tmp_path / "prices.yaml"
    prices.write_text("schema: 1\ncurrency: USD\nmodels:\n  - {provider: openai, model: gpt-4o, periodz: []}\n")
    done, calls = run(OTEL_AICOST_PRICES=str(prices))

    assert done.returncode == 0
    assert f"{prices}:4" in done.stderr
    assert "periodz" in done.stderr
    assert len(calls) == 2


def test_the_exit_of_the_application_keeps_its_code_and_its_calls(run):
    """A call made just before an uncaught exception is in the ledger."""
    done, calls = run(APP + "\nraise SystemExit(3)\n")

    assert done.returncode == 3
    assert len(calls) == 2


def test_instrumenting_by_hand_works_with_clients_made_before(run):
    """instrument() may come after the SDKs and their clients, and twice."""
    code = APP.replace(
        "messages =",
        "client = openai.OpenAI()\nimport otel_aicost\notel_aicost.instrument()\notel_aicost.instrument()\nmessages =",
        1,
    ).replace("openai.OpenAI().chat", "client.chat")
    done, calls = run(code, command=())

    assert (done.returncode, done.stderr) == (0, "")
    assert len(calls) == 2


def test_a_budget_of_the_environment_stops_an_unmodified_application(run):
    """With a limit and `block`, the call that may pass it raises BudgetExceeded and is on record as blocked."""
    code = """
import openai, otel_aicost
client, asked = openai.OpenAI(), {"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 2000}
client.chat.completions.create(**asked)
try:
    client.chat.completions.create(**asked)
except otel_aicost.BudgetExceeded as error:
    print(error.budget, error.spent, error.limit)
"""
    done, (first, second) = run(code, OTEL_AICOST_DAILY_LIMIT="0.03", OTEL_AICOST_ON_EXCEED="block")

    assert (done.returncode, done.stdout) == (0, "daily 0.02375 0.03\n"), done.stderr
    assert (first["status"], first["cost_nano"]) == ("ok", 23_750_000)
    assert (second["status"], second["cost_nano"], second["error_type"]) == ("blocked", None, "BudgetExceeded")


def test_a_mistake_in_the_file_of_budgets_is_said_and_stops_nothing(run, tmp_path):
    """The log names the line; the application and its record are as without budgets."""
    (tmp_path / "budgets.yaml").write_text("budgets:\n  - {name: a, limit: much, period: day, on_exceed: block}\n")
    done, calls = run(OTEL_AICOST_CONFIG=str(tmp_path / "budgets.yaml"))

    assert done.returncode == 0
    assert "budgets.yaml:2: budgets[0].limit: must be an amount of dollars" in done.stderr
    assert [call["status"] for call in calls] == ["ok", "ok"]
