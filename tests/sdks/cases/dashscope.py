"""Calls of the dashscope SDK, whose clients are classes."""

from __future__ import annotations

from typing import Any

import dashscope
from dashscope.aigc.generation import AioGeneration
from dashscope.aigc.multimodal_conversation import AioMultiModalConversation

from capture.world import KEY
from sdks.driving import CACHED, CACHED_COUNTED, COUNTED, SPOKEN, Case, Kind

CHAT = {"model": "qwen-max", "messages": SPOKEN, "result_format": "message"}
SEEN = {"model": "qwen-vl-max", "messages": [{"role": "user", "content": [{"text": "one two three"}]}]}


class Client:
    """What is called of the SDK, and where it sends its requests."""

    def __init__(self, url: str, generation: Any, conversation: Any) -> None:
        self.generation, self.conversation = generation, conversation
        self.there = {"api_key": KEY, "base_address": f"{url}/api/v1"}

    def close(self) -> None:
        """Its connections are everybody's."""

    async def aclose(self) -> None:
        """Those of an event loop are its own."""
        try:
            from dashscope.api_entities.aio_session import close_shared_aio_session
        except ImportError:
            return
        await close_shared_aio_session()


KIND = Kind(
    "dashscope",
    "alibaba_cloud",
    "dashscope",
    lambda url: Client(url, dashscope.Generation, dashscope.MultiModalConversation),
    lambda url: Client(url, AioGeneration, AioMultiModalConversation),
    (
        Case("chat", lambda client: client.generation.call(**CHAT, **client.there), CACHED_COUNTED, usage=CACHED),
        Case(
            "chat streamed", lambda client: client.generation.call(**CHAT, **client.there, stream=True), COUNTED,
            streamed=True,
        ),
        Case(
            "chat with pictures streamed",
            lambda client: client.conversation.call(**SEEN, **client.there, stream=True), COUNTED, streamed=True,
        ),
        Case("chat with pictures", lambda client: client.conversation.call(**SEEN, **client.there), COUNTED),
    ),
    None,
    None,
    aclose=lambda client: client.aclose(),
)  # fmt: skip
