"""A Prometheus and an Alertmanager for tests: real ones, each on a port and in a directory of its own."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Self, TypeVar

    T = TypeVar("T")

FETCHED = Path(__file__).parents[1] / ".tools" / "prometheus" / "bin"
FEATURES = "created-timestamp-zero-ingestion,exemplar-storage"
"""The flags that docs/prometheus.md asks for."""
PATIENCE = 60.0
"""Seconds after which something that was to happen did not: only a failure waits so long."""


def program(name: str) -> str:
    """Where `prometheus`, `promtool`, `alertmanager` or `amtool` is: fetched by `scripts/get-prometheus`, or installed."""
    for found in (FETCHED / name, shutil.which(name), shutil.which(f"prometheus-{name}")):
        if found and Path(found).exists():
            return str(found)
    msg = f"no {name} for the tests: run scripts/get-prometheus (make test does)"
    raise RuntimeError(msg)


class Sample(NamedTuple):
    """One element of an instant vector; a metric's name is the label `__name__`."""

    labels: dict[str, str]
    value: float


class Series(NamedTuple):
    """One element of a range query: its values at each second of `times`."""

    labels: dict[str, str]
    times: list[float]
    values: list[float]


class QueryError(Exception):
    """The server's own words on a request that it refused."""


class _Daemon:
    """A server with an HTTP API, run in the directory of its configuration; gone with `remove()` or a `with`."""

    ready = "/-/ready"

    def __init__(self, name: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"aicost-{name}-"))
        self.log = self.directory / "log"
        self.config = self.directory / f"{name}.yml"
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def arguments(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        """Start it, again if it was stopped (its data is kept), and wait until it is ready."""
        for _ in range(5):
            # Another process may take the port between the probe and the start: then the next one is tried.
            self.port = self.port or free_port()
            with self.log.open("ab") as stream:
                self._process = subprocess.Popen(
                    [program(self._name), *self.arguments()], stdout=stream, stderr=stream, cwd=self.config.parent
                )
            if self._wait_ready():
                return
            if "address already in use" not in self.output():
                break
            self.port = 0
        self.remove()
        msg = f"{self._name} does not start: {self.output()[-3000:]}"
        raise RuntimeError(msg)

    def _wait_ready(self) -> bool:
        assert self._process is not None
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self._process.poll() is None:
            with contextlib.suppress(OSError, QueryError):
                self.request(self.ready)
                return True
            time.sleep(0.05)
        return False

    def output(self) -> str:
        """What it wrote to its log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def stop(self) -> None:
        """End it as an operator would; its data and its port are kept."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Stop it and delete all of it."""
        self.stop()
        output = self.output()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.output = lambda: output  # type: ignore[method-assign]  # what it said outlives it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def request(self, path: str, data: object = None, **parameters: object) -> str:
        """GET a path, or POST `data` as JSON (`b""` is an empty body). Raises QueryError for an error's answer."""
        query = urllib.parse.urlencode({k: v for k, v in parameters.items() if v is not None}, doseq=True)
        body = data if isinstance(data, bytes) else None if data is None else json.dumps(data).encode()
        headers = {"Content-Type": "application/json"} if body else {}
        request = urllib.request.Request(f"{self.url}{path}{'?' + query if query else ''}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                msg = f"{path}: {error.code} {error.read().decode(errors='replace')}"
            raise QueryError(msg) from None


class Prometheus(_Daemon):
    """`Prometheus(scraping("127.0.0.1:9464"))`, or the path of a `prometheus.yml` that is used in its place."""

    def __init__(self, config: str | Path | Mapping[str, Any], *, features: str = FEATURES) -> None:
        super().__init__("prometheus")
        self._features = features
        if isinstance(config, Path):
            self.config = config
        else:
            self.configure(config)
        self.start()

    @classmethod
    def started_elsewhere(cls, port: int) -> Self:
        """One to ask only: it is another's to stop and to remove."""
        one = cls.__new__(cls)
        one.port = port
        return one

    def arguments(self) -> list[str]:
        return [
            f"--config.file={self.config}",
            f"--storage.tsdb.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--web.enable-lifecycle",
            *([f"--enable-feature={self._features}"] if self._features else []),
        ]

    def configure(self, config: str | Mapping[str, Any]) -> None:
        """Write another configuration; `reload()` makes it count."""
        self.config.write_text(config if isinstance(config, str) else yaml.safe_dump(dict(config)))

    def reload(self) -> None:
        """Read the configuration and the rules again."""
        self.request("/-/reload", b"")

    def api(self, path: str, **parameters: object) -> Any:
        """The `data` of an answer of `/api/v1/<path>`."""
        return json.loads(self.request(f"/api/v1/{path}", **parameters))["data"]

    def query(self, expression: str, at: float | None = None) -> list[Sample]:
        """An instant query, now or at a Unix time; a scalar is a sample without labels."""
        data = self.api("query", query=expression, time=at)
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return [Sample(one["metric"], float(one["value"][1])) for one in data["result"]]

    def value(self, expression: str, at: float | None = None) -> float:
        """The value of an expression that has exactly one."""
        (sample,) = self.query(expression, at)
        return sample.value

    def range(self, expression: str, start: float, end: float, step: float = 1) -> list[Series]:
        """A range query between two Unix times."""
        data = self.api("query_range", query=expression, start=start, end=end, step=step)
        return [
            Series(one["metric"], [float(at) for at, _ in one["values"]], [float(value) for _, value in one["values"]])
            for one in data["result"]
        ]

    def series(self, *selectors: str) -> list[dict[str, str]]:
        """The label sets that match."""
        return self.api("series", **{"match[]": selectors})

    def label_values(self, label: str, *selectors: str) -> list[str]:
        return self.api(f"label/{label}/values", **{"match[]": selectors})

    def exemplars(self, expression: str, start: float, end: float) -> list[dict[str, Any]]:
        return self.api("query_exemplars", query=expression, start=start, end=end)

    def alerts(self, state: str = "firing") -> list[dict[str, Any]]:
        """Alerts of the rules in this state: `labels`, `annotations`, `value` ..."""
        return [alert for alert in self.api("alerts")["alerts"] if alert["state"] == state]

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with its health and its last error."""
        return [rule for group in self.api("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        return self.api("targets", state="active")["activeTargets"]

    def wait_scrape(self, count: int = 1) -> None:
        """Wait until each target gave `count` whole scrapes that began after this call."""
        for _ in range(count):
            wait(partial(self._scraped_since, time.time()))

    def _scraped_since(self, moment: float) -> bool:
        targets = self.targets()
        return bool(targets) and all(_began(one) > moment and one["health"] == "up" for one in targets)

    def wait_for(self, expression: str) -> list[Sample]:
        """Wait until an expression has a value; all that it has then."""
        return wait(lambda: self.query(expression))


class Alertmanager(_Daemon):
    """An Alertmanager with this configuration: text, a mapping, or the path of a file that is used in its place."""

    def __init__(self, config: str | Path | Mapping[str, Any], *, external_url: str | None = None) -> None:
        super().__init__("alertmanager")
        if isinstance(config, Path):
            self.config = config
        else:
            self.config.write_text(config if isinstance(config, str) else yaml.safe_dump(dict(config)))
        self._external_url = external_url
        self.start()

    def arguments(self) -> list[str]:
        return [
            f"--config.file={self.config}",
            f"--storage.path={self.directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            "--cluster.listen-address=",
            *([f"--web.external-url={self._external_url}"] if self._external_url else []),
        ]

    def alerts(self, **parameters: object) -> list[dict[str, Any]]:
        """Its active alerts; `parameters` as in its API: `filter=`, `inhibited=`, `silenced=`."""
        return json.loads(self.request("/api/v2/alerts", **parameters))

    def post(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Raise or resolve alerts: `[{"labels": {...}, "annotations": {...}, "endsAt": ...}]`."""
        self.request("/api/v2/alerts", list(alerts))


def scraping(
    *targets: str,
    interval: str = "1s",
    rules: Iterable[Path] = (),
    alertmanagers: Iterable[str] = (),
    job: str = "aicost",
) -> dict[str, Any]:
    """A configuration that scrapes `host:port`s each `interval`, and as often evaluates rules without one of their own."""
    return {
        "global": {"scrape_interval": interval, "evaluation_interval": interval, "scrape_timeout": interval},
        "rule_files": [str(path) for path in rules],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": list(alertmanagers)}]}]},
        "scrape_configs": [{"job_name": job, "static_configs": [{"targets": list(targets)}]}],
    }


def wait(ask: Callable[[], T], seconds: float = PATIENCE) -> T:
    """Ask until the answer is a true one, and give it; TimeoutError with the last answer after so many seconds."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        if time.monotonic() > end:
            msg = f"still {answer!r} after {seconds:g} s"
            raise TimeoutError(msg)
        time.sleep(0.05)
    return answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _began(target: Mapping[str, Any]) -> float:
    """When the last scrape of a target began, as a Unix time; it is shown once it has ended."""
    return datetime.fromisoformat(target["lastScrape"]).timestamp()
