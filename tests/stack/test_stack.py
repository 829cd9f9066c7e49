import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from prometheus import Prometheus, wait

ROOT = Path(__file__).parents[2]


def test_make_stack_shows_what_is_spent_and_ends_with_ctrl_c(tmp_path):
    """On any free ports: Prometheus sees the traffic's cost and the budgets, and Ctrl-C leaves nothing behind."""
    command = [sys.executable, str(ROOT / "examples" / "stack.py"), "--free-ports", "--keep", str(tmp_path / "kept")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as stack:
        try:
            told = ""
            while "ledger" not in told:
                line = stack.stdout.readline()
                assert line, stack.stderr.read()
                told += line
            port = re.search(r"Prometheus +http://127\.0\.0\.1:(\d+)", told)[1]
            server = Prometheus.started_elsewhere(int(port))
            wait(lambda: server.query("sum(aicost_cost_usd_total) > 0"), 120)
            wait(lambda: server.query('aicost:budget_used:ratio{budget="growth"} > 0'))
            assert server.query('up{job="aicost"} == 1')
        finally:
            stack.send_signal(signal.SIGINT)
            said, wrong = stack.communicate(timeout=120)
    assert stack.returncode == 0, wrong
    assert "Stopping" in said
    assert wrong == ""
    assert not _running(str(tmp_path))


def _running(word):
    """The processes with this word in their command or their environment."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        if int(place.name) != os.getpid():
            try:
                text = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
            except OSError:
                continue
            if word.encode() in text:
                found.append(text)
    return found
