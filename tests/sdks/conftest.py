"""SDKs other than openai's and anthropic's, driven over loopback against the fake provider."""

from __future__ import annotations

from capture.conftest import _running, counting, provider, spans, traced

__all__ = ["_running", "counting", "provider", "spans", "traced"]
