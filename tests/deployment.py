"""A copy of `deploy/prometheus` for a test: the files as they ship, but for addresses, and with waits cut short."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

SHIPPED = Path(__file__).parents[1] / "deploy" / "prometheus"
_SHORT = {"30s": "2s", "10s": "1s", "1m": "2s", "5m": "3s"}
"""How long a group of alerts waits: shorter, in the same order."""


class Deployment:
    """`prometheus.yml` and `alertmanager.yml` in a directory of their own, beside their rules and templates."""

    def __init__(self, directory: Path, *, exporters: list[str], smtp_port: int, webhook: str) -> None:
        self.directory = directory / "prometheus"
        shutil.copytree(SHIPPED, self.directory)
        self.prometheus = self.directory / "prometheus.yml"
        self.alertmanager = self.directory / "alertmanager.yml"
        self._targets("aicost", exporters)
        (self.directory / "local" / "webhook-url").write_text(webhook + "\n")
        self._change(self.prometheus, r"(_interval|_timeout): 1[05]s", r"\1: 1s")
        for path in (self.directory / "rules").glob("*.yml"):
            path.write_text(path.read_text().replace("interval: 1m", "interval: 1s"))
        self._change(self.alertmanager, r"127\.0\.0\.1:1025", f"127.0.0.1:{smtp_port}")
        self._change(
            self.alertmanager, r"(group_wait|group_interval): (30s|10s|1m|5m)$", lambda m: f"{m[1]}: {_SHORT[m[2]]}"
        )

    def alerting_to(self, port: int) -> None:
        """Tell Prometheus where Alertmanager is."""
        self._targets("alertmanager", [f"127.0.0.1:{port}"])

    def with_slack(self, url: str) -> None:
        """What the comment in `alertmanager.yml` says to do for Slack."""
        (self.directory / "local" / "slack-url").write_text(url)
        self._change(self.alertmanager, r"# (- \{matchers: .*receiver: slack)", r"\1")

    def _targets(self, name: str, addresses: list[str]) -> None:
        (self.directory / "local" / f"{name}.yml").write_text(f"- targets: {addresses}\n")

    @staticmethod
    def _change(path: Path, pattern: str, by) -> None:
        text, count = re.subn(pattern, by, path.read_text(), flags=re.MULTILINE)
        assert count, f"{pattern} is not in {path.name}"
        path.write_text(text)
