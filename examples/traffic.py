"""Programs that call fake AI providers without end, for `make stack` and docker-compose.yml: `python traffic.py`."""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from otel_aicost.testing import FakeProvider, Reply, Request, Usage

WORKERS = 2
ALIVE = Path(os.environ.get("TMPDIR", "/tmp")) / "aicost-traffic"  # noqa: S108  # says nothing but that it is young
MODELS = {
    "gpt-4o": (1_500, 700),
    "gpt-4o-mini": (4_000, 900),
    "gpt-4.1-mini": (2_500, 400),
    "claude-sonnet-4-6": (9_000, 600),
    "claude-haiku-4-5": (3_000, 400),
    "gpt-from-the-future": (800, 200),
}
"""Model -> input and output tokens of a usual call. Nobody knows the price of the last."""
FEATURES = {  # feature -> its team, its models with how often each is used
    "search": ("growth", {"gpt-4.1-mini": 6, "claude-haiku-4-5": 3, "gpt-from-the-future": 0.3}),
    "pitch": ("growth", {"gpt-4o": 3, "claude-sonnet-4-6": 4}),
    "support": ("care", {"gpt-4o-mini": 8, "claude-haiku-4-5": 4}),
    "summary": ("care", {"gpt-4o-mini": 5}),
    "agent": ("platform", {"claude-sonnet-4-6": 1}),
}
USERS = ("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi")


def main() -> int:
    """Start the fake providers and the workers; run until stopped."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worker", action="store_true", help="call the providers that the environment names")
    parser.add_argument("--check", action="store_true", help="exit with 0 if calls were made in the last minute")
    options = parser.parse_args()
    if options.check:
        return 0 if ALIVE.exists() and time.time() - ALIVE.stat().st_mtime < 60 else 1  # noqa: PLR2004
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        work() if options.worker else serve()
    return 0


def serve() -> None:
    """Two fake providers, and the workers that call them."""
    with FakeProvider() as openai, FakeProvider() as anthropic:
        for provider in (openai, anthropic):
            provider.always(answer)
        environ = {
            "OTEL_SERVICE_NAME": "example",
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            **os.environ,
            **anthropic.environ,
            **{name: value for name, value in openai.environ.items() if name.startswith("OPENAI_")},
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
            "OTEL_AICOST_PROVIDER_HOSTS": f"127.0.0.1:{openai.port}=openai,127.0.0.1:{anthropic.port}=anthropic",
        }
        run = shutil.which("opentelemetry-instrument", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH')}")
        command = [run or "opentelemetry-instrument", sys.executable, __file__, "--worker"]
        workers = [subprocess.Popen(command, env=environ) for _ in range(WORKERS)]  # noqa: S603
        try:
            while all(worker.poll() is None for worker in workers):
                if openai.requests:
                    ALIVE.touch()
                time.sleep(1)
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()


def answer(request: Request) -> Reply:
    """What a provider says: it takes a while, a prompt is cached now and then, and some calls fail."""
    chance = random.Random()  # noqa: S311
    if chance.random() < 0.02:  # noqa: PLR2004
        return Reply(status=500)
    told, said = MODELS[request.model or ""]
    told, said = int(told * chance.uniform(0.5, 2)), int(said * chance.lognormvariate(0, 0.5))
    cached = int(told * 0.8) if chance.random() < 0.6 else 0  # noqa: PLR2004
    usage = Usage(input_tokens=told, cache_read_tokens=cached, output_tokens=said)
    return Reply(usage=usage, delay=chance.lognormvariate(-1.5, 0.6))


def work() -> None:
    """What an application does: calls, with a word on who pays for them."""
    import anthropic  # noqa: PLC0415  # only a worker needs the SDKs
    import openai  # noqa: PLC0415

    from otel_aicost import BudgetExceeded, tags  # noqa: PLC0415

    gpt, claude = openai.OpenAI(max_retries=1), anthropic.Anthropic(max_retries=1)
    chance = random.Random(os.getpid())  # noqa: S311
    while True:
        time.sleep(chance.expovariate(4))
        feature = chance.choice(list(FEATURES))
        team, models = FEATURES[feature]
        model = chance.choices(list(models), list(models.values()))[0]
        who = {"job": "nightly-7"} if feature == "agent" else {"user": chance.choice(USERS)}
        ask = [{"role": "user", "content": f"{feature}, please."}]
        try:
            with tags(feature=feature, team=team, **who):
                if model.startswith("claude"):
                    claude.messages.create(model=model, max_tokens=1_000, messages=ask)
                elif chance.random() < 0.5:  # noqa: PLR2004
                    gpt.chat.completions.create(model=model, messages=ask)
                else:
                    options = {"include_usage": True}
                    list(gpt.chat.completions.create(model=model, messages=ask, stream=True, stream_options=options))
        except BudgetExceeded:
            time.sleep(1)
        except (openai.OpenAIError, anthropic.AnthropicError):
            pass


if __name__ == "__main__":
    sys.exit(main())
