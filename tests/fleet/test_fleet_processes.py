"""Many processes with one ledger: exactly what fits is admitted, forks and SDKs included."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fleet.load import until
from otel_aicost.testing import FakeProvider, Reply, Usage

COMMAND = str(Path(sys.executable).with_name("opentelemetry-instrument"))
RACERS = """
fleet = Fleet(place)
fleet.warm()
assert fleet.flush(30)
mode, threads, tries = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
print("ready", flush=True); sys.stdin.readline()
admitted, lock = [], threading.Lock()
def race(thread):
    for number in range(tries):
        name = f"{os.getpid()}-{thread}-{number}"
        lines = [line(1, limit=100, mode=mode), line(1, limit=10**6, key="k", name="other", mode=mode)]
        if thread % 2:
            lines.reverse()  # the order in which budgets are named must not matter
        while True:
            try:
                refused = fleet.reserve(name, lines)
                break
            except Exception:
                time.sleep(0.02)
        if refused is None:
            with lock:
                admitted.append(name)
            settle(fleet, name, *(taking(each, 1) for each in lines))
threads = [threading.Thread(target=race, args=(number,)) for number in range(threads)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert fleet.flush(60) and fleet.close(10)
print(len(admitted), flush=True)
"""


@pytest.mark.parametrize("mode", ["strict", "balanced"])
def test_exactly_what_fits_is_admitted(spawn, ask, balanced, mode):
    """Six processes of four threads race for 100 admissions: 100 are admitted, and every balance is its sum."""
    children = [spawn(RACERS, mode, 4, 12) for _ in range(6)]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    outputs = [child.communicate(timeout=120) for child in children]
    assert sum(int(out) for out, _ in outputs) == 100, outputs
    assert ask("SELECT spent_nano, spent_calls FROM budget_windows ORDER BY budget") == [(100, 100), (100, 100)]
    until(lambda: ask("SELECT count(*) FROM reservations") == [(0,)])
    balanced()


FORKER = """
fleet = Fleet(place)
if sys.argv[3] == "used":
    fleet.put(record(id="before"))
    assert fleet.flush(30)
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        one = line(1, limit=10**6, mode="strict")
        for number in range(40):
            name = f"{child}-{number}"
            while True:
                try:
                    assert fleet.reserve(name, [one]) is None
                    break
                except AssertionError:
                    raise
                except Exception:
                    time.sleep(0.02)
            settle(fleet, name, taking(one, 1))
        os._exit(0 if fleet.flush(30) else 1)
    children.append(pid)
    for number in range(40):
        fleet.put(record(id=f"parent-{child}-{number}"))
assert fleet.flush(30) and fleet.stats()["errors"] == 0, fleet.stats()
print([os.waitpid(pid, 0)[1] for pid in children], flush=True)
fleet.put(record(id="after"))
assert fleet.flush(30) and fleet.stats()["errors"] == 0, fleet.stats()
assert fleet.close(30)
"""


@pytest.mark.parametrize(("before", "extra"), [("used", 1), ("fresh", 0)])
def test_both_sides_of_a_fork(spawn, ask, balanced, before, extra):
    """A parent and its forked children share the ledger, not the connection: all is there once, with no error."""
    out, err = spawn(FORKER, before).communicate(timeout=120)
    assert out == "[0, 0, 0]\n", err
    assert ask("SELECT count(*) FROM calls") == [(240 + 1 + extra,)]
    until(lambda: ask("SELECT count(*) FROM reservations") == [(0,)])
    balanced()


FORK_WHILE_STUCK = """
from otel_aicost.ledger import forks
forks.WAIT_SECONDS = 0.1
fleet = Fleet(place)
fleet.put(record(id="parent"))
assert fleet.flush(30)
fleet._remote._turn.take(10)  # as by a step that hangs, so that the connection cannot be closed before the fork
pid = os.fork()
if pid == 0:
    fleet.put(record(id="child"))
    assert not fleet.flush(3)
    sys.exit(0)  # an ordinary end, which finalises everything
assert os.waitpid(pid, 0)[1] == 0
fleet._remote._turn.give()
fleet.put(record(id="parent-2"))
assert fleet.flush(30) and fleet.stats()["errors"] == 0, fleet.stats()
assert fleet.close(30)
print("fine", flush=True)
"""


def test_a_child_leaves_the_connection_of_its_parent_alone(spawn, ask):
    """A child forked in the middle of a step neither uses nor closes the parent's connection."""
    out, err = spawn(FORK_WHILE_STUCK).communicate(timeout=60)
    assert out == "fine\n", err
    assert {name for (name,) in ask("SELECT id FROM calls")} >= {"parent", "parent-2"}


APP = """
import openai
from fleet.load import at_ease
at_ease()  # however slow the machine is
client = openai.OpenAI()
for number in range(5):
    try:
        answer = client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hello"}], max_tokens=1000)
        print(answer.usage.total_tokens)
    except Exception as error:
        print(type(error).__name__, error.budget)
"""
BUDGETS = """
budgets:
  - {name: user-day, per: [user], limit: 0.05 USD, period: day, on_exceed: block, mode: strict}
"""


def test_the_sdk_of_openai_in_a_fleet(place, ask, waiting, balanced, tmp_path):
    """Two unchanged programs under `opentelemetry-instrument`: one ledger, one budget, and what is over it is blocked."""
    (tmp_path / "aicost.yaml").write_text(BUDGETS)
    (tmp_path / "app.py").write_text(APP)
    outputs = []
    for _ in range(2):
        with FakeProvider() as openai:
            for _ in range(5):
                openai.next(Reply(usage=Usage(input_tokens=1500, output_tokens=1000)))  # 0.01375 dollars
            done = subprocess.run(
                [COMMAND, sys.executable, str(tmp_path / "app.py")],
                check=False,
                capture_output=True,
                text=True,
                timeout=60,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(
                        [str(Path(__file__).parents[1]), *(entry for entry in sys.path if entry)]
                    ),
                    "OPENAI_BASE_URL": openai.openai_url,
                    "OPENAI_API_KEY": "sk-test",
                    "OTEL_AICOST_LEDGER": place.url,
                    "OTEL_AICOST_OUTBOX": str(place.outbox),
                    "OTEL_AICOST_CONFIG": str(tmp_path / "aicost.yaml"),
                    "OTEL_AICOST_TAGS": "user=u1",
                    "OTEL_AICOST_PROVIDER_HOSTS": f"127.0.0.1:{openai.port}=openai",
                },
            )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.splitlines())
        assert place.url not in done.stderr
    assert outputs == [["2500"] * 3 + ["BudgetExceeded user-day"] * 2, ["BudgetExceeded user-day"] * 5]
    assert ask("SELECT status, count(*), sum(cost_nano) FROM calls GROUP BY status ORDER BY status") == [
        ("blocked", 7, None),
        ("ok", 3, 3 * 13_750_000),
    ]
    assert ask("SELECT key, spent_nano, reserved_nano FROM budget_windows") == [("u1", 3 * 13_750_000, 0)]
    assert waiting() == 0
    balanced()
