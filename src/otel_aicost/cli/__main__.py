"""`python -m otel_aicost.cli` is `aicost`."""

from __future__ import annotations

from otel_aicost.cli.app import main

main()
