from __future__ import annotations

import pytest

from otel_aicost.text_tokens import BYTES_PER_TOKEN, tokens_of_request


@pytest.mark.parametrize("key", ["input", "prompt", "message", "texts", "query", "documents", "inputText", "contents"])
def test_a_prompt_is_counted_once(key):
    """Whichever dialect it is told in."""
    assert tokens_of_request({key: "x" * 40 * BYTES_PER_TOKEN}) == 40
