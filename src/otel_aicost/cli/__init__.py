"""The command `aicost`: it reads arguments and prints; what it prints is decided on lower floors."""

from __future__ import annotations

from otel_aicost.cli.app import main

__all__ = ["main"]
