"""How soon a page comes: from the return of the call that broke a budget to the mail, and to Alertmanager's webhook."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final, Self

from benchmarks.report import table

from tools.accuracy import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence

USERS: Final = 20
APART: Final = 3.7
"""Seconds between two calls: no multiple of a scrape."""
BUDGET: Final = "  - {{name: {0}, match: {{tags: {{user: {0}}}}}, limit: 0.001 USD, period: day}}\n"
"""One for each user: Alertmanager sends what comes later of one budget with the next message on it, a minute later."""
CALLS: Final = """
import sys, time
import otel_aicost
otel_aicost.instrument()
for number in range(int(sys.argv[1])):
    with otel_aicost.tags(user=f"{sys.argv[2]}-{number}"):
        otel_aicost.record("openai", "gpt-4o", {"input_tokens": 1000}, operation="chat")
    print(f"{sys.argv[2]}-{number}", time.time(), flush=True)
    time.sleep(float(sys.argv[3]))
otel_aicost.flush()
"""


def measured() -> str:
    """A table: posted by `aicost serve` itself, and found by Prometheus' rules as they ship."""
    rows = [["how the alert comes to Alertmanager", "mails", "s (least)", "s (median)", "s (most)"]]
    for title, direct in (
        ("`aicost serve --alertmanager URL`", True),
        ("scrape and rules each 15 s, as shipped", False),
    ):
        took = _run(direct=direct)
        rows.append([title, str(len(took)), *(f"{of(took):.2f}" for of in (min, median, max))])
    return (
        "From the return of the call that broke a budget to the mail, one budget each for "
        f"{USERS} users, Alertmanager as it ships:\n\n{table(rows)}"
    )


def _run(*, direct: bool) -> Sequence[float]:
    from deployment import SHIPPED, Deployment  # noqa: PLC0415 - of the tests, found by then
    from mails import Mailbox  # noqa: PLC0415
    from prometheus import Alertmanager, Prometheus, free_port  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="aicost-pages-") as name, ExitStack() as running:
        directory, port = Path(name), free_port()
        kind = "posted" if direct else "ruled"
        budgets = [BUDGET.format(f"{kind}-{number}") for number in range(USERS)]
        (directory / "aicost.yaml").write_text("budgets:\n" + "".join(budgets))
        environ = {**os.environ, "OTEL_AICOST_LEDGER": str(directory / "ledger.db"), "PYTHONPATH": str(ROOT / "src")}
        environ["OTEL_AICOST_CONFIG"] = str(directory / "aicost.yaml")
        mailbox = running.enter_context(_Timed(Mailbox()))
        address = f"127.0.0.1:{port}"
        webhook = f"http://{address}/alerts/alertmanager"
        deployed = Deployment(directory, exporters=[address], smtp_port=mailbox.box.port, webhook=webhook)
        for path in (deployed.prometheus, *(deployed.directory / "rules").glob("*.yml")):  # the shipped pace
            path.write_text((SHIPPED / path.relative_to(deployed.directory)).read_text())
        alertmanager = running.enter_context(Alertmanager(deployed.alertmanager))
        deployed.alerting_to(alertmanager.port)
        more = ["--alertmanager", alertmanager.url] if direct else []
        serve = [sys.executable, "-m", "otel_aicost.cli", "serve", "--port", str(port), *more]
        exporter = running.enter_context(subprocess.Popen(serve, env=environ, stdout=subprocess.DEVNULL))
        running.callback(exporter.terminate)
        if not direct:
            running.enter_context(Prometheus(deployed.prometheus))
        calls = [sys.executable, "-c", CALLS, str(USERS), kind, str(APART)]
        said = subprocess.run(calls, env=environ, check=True, capture_output=True, text=True, cwd=directory).stdout
        called = {user: float(at) for user, at in (line.split() for line in said.splitlines())}
        return mailbox.took(called)


class _Timed:
    """A mailbox that knows when each mail came."""

    def __init__(self, box: Any) -> None:  # noqa: ANN401 - a class of the tests
        self.box = box
        self._came: dict[int, float] = {}

    def __enter__(self) -> Self:
        keep = self.box.handle_DATA

        async def keep_time(*given: Any) -> str:  # noqa: ANN401 - as aiosmtpd calls it
            answer: str = await keep(*given)
            self._came[len(self.box.mails)] = time.time()
            return answer

        self.box.handle_DATA = keep_time
        self.box.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.box.__exit__(*error)

    def took(self, called: dict[str, float]) -> Sequence[float]:
        """Seconds from each user's call to the first mail that names the user; waits for all of them."""
        end = time.monotonic() + 180
        first: dict[str, float] = {}
        while len(first) < len(called) and time.monotonic() < end:
            time.sleep(0.2)
            for number, mail in enumerate(list(self.box.mails), 1):
                for user in called:
                    if f" {user}:" in mail.subject and number in self._came:
                        first.setdefault(user, self._came[number])
        if len(first) < len(called):
            msg = f"{len(called) - len(first)} of {len(called)} pages never came"
            raise TimeoutError(msg)
        return [first[user] - at for user, at in called.items()]
