"""`python -m otel_aicost.testing`: the fake provider in a shell."""

from __future__ import annotations

import argparse
import sys
import threading
from typing import TYPE_CHECKING

from otel_aicost.testing.provider import FakeProvider
from otel_aicost.testing.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Sequence

_EXAMPLES = """\
examples:
  python -m otel_aicost.testing --port 8080
  python -m otel_aicost.testing --port 8080 --fail-first 2 --status 429
  python -m otel_aicost.testing --port 8080 --text "Hello!" --chunk-delay 0.2

then, in another shell:
  export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=x
  export ANTHROPIC_BASE_URL=http://127.0.0.1:8080 ANTHROPIC_API_KEY=x
  export OTEL_AICOST_PROVIDER_HOSTS=127.0.0.1:8080=openai
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        provider = FakeProvider(port=options.port, seed=options.seed).start()
    except OSError as error:
        print(f"cannot listen on 127.0.0.1:{options.port}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return 1
    if options.fail_first:
        provider.fail(options.status, times=options.fail_first)
    provider.always(Reply(text=options.text, delay=options.delay, chunk_delay=options.chunk_delay))
    print(f"fake provider: OpenAI at {provider.openai_url}, Anthropic at {provider.url} (Ctrl-C stops it)")  # noqa: T201
    sys.stdout.flush()
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        pass
    finally:
        provider.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m otel_aicost.testing",
        description="A fake OpenAI and Anthropic on a port of 127.0.0.1, for tests. It costs nothing.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=8080, help="0 takes any free one (default: 8080)")
    parser.add_argument("--text", help="the answer (default: one fixed sentence)")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="before each answer")
    parser.add_argument("--chunk-delay", type=float, default=0.0, metavar="SECONDS", help="before each chunk")
    parser.add_argument("--fail-first", type=int, default=0, metavar="N", help="the first N requests fail")
    parser.add_argument("--status", type=int, default=500, help="how they fail (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other ids")
    return parser


if __name__ == "__main__":
    sys.exit(main())
