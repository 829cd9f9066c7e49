"""What `make stack` runs: traffic, `aicost serve`, Prometheus, Alertmanager and a mail catcher, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from email import message_from_bytes, policy
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from aiosmtpd.controller import Controller

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[1]
FETCHED = ROOT / ".tools" / "prometheus" / "bin"
PATIENCE = 60
"""Seconds that a part may take to be ready, or to end."""


class StackError(Exception):
    """The stack cannot start or go on; the message says why."""


class Ports(NamedTuple):
    """Where each part listens, all on 127.0.0.1. The ones shipped in deploy/prometheus are the defaults."""

    aicost: int = 9464
    prometheus: int = 9090
    alertmanager: int = 9093
    smtp: int = 1025


def main() -> int:
    """Run the stack and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the ledger, logs and mails in this directory")
    parser.add_argument("--free-ports", action="store_true", help="take any free ports, not the usual ones")
    parser.add_argument("--ledger", metavar="URL", help="a ledger on PostgreSQL, in place of a SQLite file")
    options = parser.parse_args()
    # A program that was started in the background ignores Ctrl-C unless it says otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as stack:
        directory = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aicost-stack-")))
        directory.mkdir(parents=True, exist_ok=True)
        ports = Ports(*(free_port() for _ in Ports())) if options.free_ports else Ports()
        try:
            run(directory.resolve(), ports, options.ledger, stack)
        except StackError as error:
            print(f"stack: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nStopping ...", flush=True)
    return 0


def run(directory: Path, ports: Ports, ledger: str | None, stack: ExitStack) -> None:
    """Start every part, say where it is, and wait until one ends or the user ends all."""
    for name, port in ports._asdict().items():
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                msg = f"port {port}, for {name}, is in use; --free-ports takes others"
                raise StackError(msg)
    config = configuration(directory, ports)
    environ = environment(directory, ledger)
    catch_mails(directory / "mails", ports.smtp, stack)
    parts: dict[str, subprocess.Popen[bytes]] = {}
    for name, command, ready in commands(directory, ports):
        with (directory / f"{name}.log").open("ab") as log:
            part = subprocess.Popen(command, env=environ, cwd=config, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
        stack.callback(end, part)
        parts[name] = part
        if ready:
            wait_for(name, ready, part, directory)
    announce(directory, ports, "URL" if ledger else str(directory / "ledger.db"))
    while True:
        for name, part in parts.items():
            if part.poll() is not None:
                msg = f"{name} has ended: see {log_end(directory, name)}"
                raise StackError(msg)
        time.sleep(0.5)


def commands(directory: Path, ports: Ports) -> list[tuple[str, list[str], str | None]]:
    """Each part: its name, what is run, and the address that answers once it is ready."""
    local = "http://127.0.0.1"
    alertmanager = f"{local}:{ports.alertmanager}"
    return [
        ("alertmanager", [program("alertmanager"), "--config.file=alertmanager.yml", "--cluster.listen-address=",
                          f"--storage.path={directory / 'alertmanager'}",
                          f"--web.listen-address=127.0.0.1:{ports.alertmanager}"], f"{alertmanager}/-/ready"),
        ("aicost-serve", [program("aicost"), "serve", "--port", str(ports.aicost), "--alertmanager", alertmanager],
         f"{local}:{ports.aicost}/healthz"),
        ("traffic", [sys.executable, str(ROOT / "examples" / "traffic.py")], None),
        ("prometheus", [program("prometheus"), "--config.file=prometheus.yml",
                        "--enable-feature=created-timestamp-zero-ingestion,exemplar-storage",
                        f"--storage.tsdb.path={directory / 'prometheus'}",
                        f"--web.listen-address=127.0.0.1:{ports.prometheus}"], f"{local}:{ports.prometheus}/-/ready"),
    ]  # fmt: skip


def configuration(directory: Path, ports: Ports) -> Path:
    """The directory of the configuration: the shipped one itself, or a copy with other ports in it."""
    shipped = ROOT / "deploy" / "prometheus"
    if ports == Ports():
        return shipped
    copy = directory / "config"
    shutil.copytree(shipped, copy, dirs_exist_ok=True)
    (copy / "local" / "aicost.yml").write_text(f'- targets: ["127.0.0.1:{ports.aicost}"]\n')
    (copy / "local" / "alertmanager.yml").write_text(f'- targets: ["127.0.0.1:{ports.alertmanager}"]\n')
    (copy / "local" / "webhook-url").write_text(f"http://127.0.0.1:{ports.aicost}/alerts/alertmanager\n")
    mails = copy / "alertmanager.yml"
    mails.write_text(mails.read_text().replace("127.0.0.1:1025", f"127.0.0.1:{ports.smtp}"))
    return copy


def environment(directory: Path, ledger: str | None) -> dict[str, str]:
    """What all parts have in common: the ledger, the budgets."""
    inherited: Mapping[str, str] = {k: v for k, v in os.environ.items() if not k.startswith("OTEL_")}
    return {
        **inherited,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "XDG_STATE_HOME": str(directory / "state"),
        "OTEL_AICOST_LEDGER": ledger or str(directory / "ledger.db"),
        "OTEL_AICOST_CONFIG": str(ROOT / "examples" / "stack.yaml"),
    }


class Postman:
    """Takes mails, saves each as a file and says that it came."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(exist_ok=True)

    async def handle_DATA(self, _server: object, _session: object, envelope) -> str:  # noqa: ANN001, N802
        """One mail."""
        mail = message_from_bytes(envelope.content, policy=policy.default)
        path = self._directory / f"{time.time_ns()}.eml"
        path.write_bytes(envelope.content)
        print(f"{time.strftime('%H:%M:%S')}  mail to {', '.join(envelope.rcpt_tos)}: {mail['Subject']}", flush=True)
        return "250 OK"


def catch_mails(directory: Path, port: int, stack: ExitStack) -> None:
    """Start the mail catcher."""
    catcher = Controller(Postman(directory), hostname="127.0.0.1", port=port)
    catcher.start()
    stack.callback(catcher.stop)


def wait_for(name: str, address: str, part: subprocess.Popen[bytes], directory: Path) -> None:
    """Wait until a part answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and part.poll() is None:
        try:
            opener.open(address, timeout=5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    msg = f"{name} does not start: see {log_end(directory, name)}"
    raise StackError(msg)


def log_end(directory: Path, name: str) -> str:
    """The path of a log, and the end of it."""
    path = directory / f"{name}.log"
    return f"{path}\n{path.read_text(errors='replace')[-1500:]}"


def end(part: subprocess.Popen[bytes]) -> None:
    """End a part as Ctrl-C would; it is given time to write what it holds."""
    part.terminate()
    try:
        part.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        part.kill()
        part.wait()


def announce(directory: Path, ports: Ports, ledger: str) -> None:
    """Say where everything is."""
    local = "http://127.0.0.1"
    print(
        "It runs; Ctrl-C stops it. In two or three minutes a budget is spent, and there is a mail.",
        f"  numbers       {local}:{ports.aicost}/metrics",
        f"  Prometheus    {local}:{ports.prometheus}/api/v1/alerts",
        f"  Alertmanager  {local}:{ports.alertmanager}",
        f"  mails         {directory / 'mails'}",
        f"  ledger        aicost budgets --ledger {ledger}",
        "For Grafana give it this Prometheus and the dashboards in grafana/dashboards; `make up` has it.",
        sep="\n",
        flush=True,
    )


def program(name: str) -> str:
    """A program that was fetched, of this environment, or installed."""
    places = os.pathsep.join([str(FETCHED), str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=places) or shutil.which(f"prometheus-{name}", path=places)
    if found is None:
        msg = f"there is no {name}; `make stack` installs what it needs"
        raise StackError(msg)
    return found


def free_port() -> int:
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
