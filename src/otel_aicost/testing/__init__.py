"""A fake provider for tests: OpenAI and Anthropic on a local port, with every usage and every fault.

```python
from otel_aicost.testing import FakeProvider, Reply, Usage

with FakeProvider() as provider:
    provider.next(Reply(text="Hello!", usage=Usage(input_tokens=1500, output_tokens=2000)))
    client = openai.OpenAI(base_url=provider.openai_url, api_key="x")
```

It needs the standard library only. From a shell: `python -m otel_aicost.testing --port 8080`.
"""

from __future__ import annotations

from otel_aicost.testing.provider import FakeProvider
from otel_aicost.testing.reply import FROM_REQUEST, Reply, ToolCall, Usage
from otel_aicost.testing.request import Request

__all__ = ["FROM_REQUEST", "FakeProvider", "Reply", "Request", "ToolCall", "Usage"]
