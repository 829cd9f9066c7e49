"""What `make demo` runs: an unmodified script under `opentelemetry-instrument`, then what it cost."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from otel_aicost.testing import FakeProvider, Reply, Request, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

APP = Path(__file__).with_name("demo_app.py")
BUDGETS = Path(__file__).with_name("aicost.yaml")
RUNS = (("pitch", "alice"), ("pitch", "bob"), ("summary", "alice"), ("search", "bob"))
"""(feature, user) of each run of the script."""
PITCH = "Cold water at the summit, and a bottle that outlives your boots. " * 8
SCRIPT = {
    "gpt-4o": Reply(text=PITCH, usage=Usage(input_tokens=1_500, output_tokens=2_000)),
    "claude-sonnet-4-6": Reply(
        text=PITCH, usage=Usage(input_tokens=12_000, cache_read_tokens=10_000, output_tokens=800)
    ),
    "tts-1-hd": Reply(),
    "whisper-1": Reply(text="They like the bottle.", usage=Usage(input_audio_seconds=330)),
    "gpt-4o-mini": Reply(usage=Usage(input_tokens=4_000, output_tokens=1_000)),
    "text-embedding-3-small": Reply(usage=Usage(input_tokens=50_000)),
    "claude-haiku-4-5": Reply(usage=Usage(input_tokens=3_000, output_tokens=400)),
    "gpt-4.1-mini": Reply(text="bottles for cyclists, insulated cups, repair days"),
}
"""Model -> what the fake providers say it used, so that every dollar below is known in advance."""
AT_ONCE = 2
"""Runs at the same time; the import of both SDKs keeps a core busy for two seconds."""
RUN_SECONDS = 60


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the ledger in this directory")
    keep = parser.parse_args(arguments).keep
    try:
        if keep is not None:
            demo(keep)
        else:
            with tempfile.TemporaryDirectory(prefix="aicost-demo-") as directory:
                demo(Path(directory))
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


def demo(directory: Path) -> None:
    """Start the fake providers, run the script, show the reports."""
    began = time.monotonic()
    with FakeProvider() as openai, FakeProvider() as anthropic:
        for provider in (openai, anthropic):
            provider.always(scripted)
        say(f"Two fake providers stand in for OpenAI ({openai.url}) and Anthropic ({anthropic.url}).")
        say("The same script, four times. It knows nothing of otel-aicost: only its environment does.")
        environ = environment(directory, openai, anthropic)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda run: run_app(environ, *run), RUNS))
        tell_costs(environ, len(openai.requests) + len(anthropic.requests))
        tell_budgets(environ)
    say(f"All this took {time.monotonic() - began:.0f} seconds and no money.")


def tell_costs(environ: dict[str, str], made: int) -> None:
    """What the calls cost, by whom; and that all of them are there."""
    recorded = json.loads(aicost(environ, "report", "--by", "model", "--format", "json"))["total"]["calls"]
    if recorded != made:
        msg = f"the script made {made} calls and the ledger has {recorded} of them"
        raise DemoError(msg)
    say(f"{made} calls were made, {recorded} are in the ledger. What did they cost?")
    for dimension in ("model", "feature", "user"):
        show(environ, "report", "--by", dimension)
    say("And how does one of these prices come about?")
    newest = json.loads(aicost(environ, "calls", "--model", "claude-sonnet-4-6", "--limit", "1", "--format", "json"))
    show(environ, "prices", "explain", newest["calls"][0]["id"])
    say("In your own code one line tells who pays: with otel_aicost.tags(feature='pitch', user='alice'): ...")


def tell_budgets(environ: dict[str, str]) -> None:
    """A loop that nobody stops, but its budget."""
    say(f"Now an agent that never stops. {BUDGETS.name} has a budget for each of its runs:")
    print(*(f"    {line}" for line in BUDGETS.read_text().splitlines() if line.startswith("  - ")), sep="\n")
    run_app(environ, "agent", "carol", "job=nightly-7")
    show(environ, "budgets")
    show(environ, "alerts")
    show(environ, "calls", "--status", "blocked")


def scripted(request: Request) -> Reply:
    """What a fake provider answers."""
    return SCRIPT[request.model or ""]


def environment(directory: Path, openai: FakeProvider, anthropic: FakeProvider) -> dict[str, str]:
    """The environment of the script: where the providers are, and where the ledger is to be."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    directory.mkdir(parents=True, exist_ok=True)
    return {
        **inherited,
        **anthropic.environ,
        **{name: value for name, value in openai.environ.items() if name.startswith("OPENAI_")},
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
        "OTEL_SERVICE_NAME": "pitch-writer",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_AICOST_LEDGER": str(directory / "ledger.db"),
        "OTEL_AICOST_CONFIG": str(BUDGETS),
        "OTEL_AICOST_PROVIDER_HOSTS": f"127.0.0.1:{openai.port}=openai,127.0.0.1:{anthropic.port}=anthropic",
    }


def run_app(environ: dict[str, str], feature: str, user: str, *more: str) -> None:
    """Run the script once, its calls tagged with who pays for them."""
    tags = ",".join([f"feature={feature}", f"user={user}", *more])
    command = [tool("opentelemetry-instrument"), sys.executable, str(APP), feature]
    said = run(command, {**environ, "OTEL_AICOST_TAGS": tags}, complaints=subprocess.STDOUT)
    shown = f"OTEL_AICOST_TAGS={tags} opentelemetry-instrument python {APP.name} {feature}"
    print(f"  $ {shown}", *(f"    {line}" for line in said.splitlines()), sep="\n", flush=True)


def show(environ: dict[str, str], *arguments: str) -> None:
    """Print a command of `aicost` and what it prints."""
    print(f"\n  $ aicost {' '.join(arguments)}\n", flush=True)
    print(aicost(environ, *arguments).rstrip(), flush=True)


def aicost(environ: dict[str, str], *arguments: str) -> str:
    """What a command of `aicost` prints."""
    return run([tool("aicost"), *arguments], environ)


def run(command: Sequence[str], environ: dict[str, str], complaints: int | None = None) -> str:
    """The output of a command that has to succeed. What it complains about is shown to the user."""
    try:
        done = subprocess.run(  # noqa: S603  # our own commands, no user input
            command,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            timeout=RUN_SECONDS,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise DemoError(str(error)) from error
    return done.stdout


def tool(name: str) -> str:
    """A command of this environment, whether or not it is activated."""
    beside = str(Path(sys.executable).parent)
    found = shutil.which(name, path=os.pathsep.join([beside, os.environ.get("PATH", "")]))
    if found is None:
        msg = f"{name} is not installed in this environment; `make demo` installs what it needs"
        raise DemoError(msg)
    return found


def say(sentence: str) -> None:
    """Tell the user what happens."""
    print(f"\n{sentence}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
