"""Calls of the together SDK."""

from __future__ import annotations

import together

from sdks.driving import COUNTED, SPOKEN, Case, Kind, stainless

CHAT = {"model": "meta-llama/Llama-3.3-70B-Instruct-Turbo", "messages": SPOKEN}
RERANK = {"model": "mixedbread-ai/Mxbai-Rerank-Large-V2", "query": "one", "documents": ["one", "two"]}
PICTURE = {"model": "black-forest-labs/FLUX.1-schnell", "prompt": "a cat", "n": 2, "width": 1024, "height": 768}

KIND = Kind(
    "together",
    "together",
    "stainless",
    stainless(together.Together, "/together/v1"),
    stainless(together.AsyncTogether, "/together/v1"),
    (
        Case("chat", lambda client: client.chat.completions.create(**CHAT), COUNTED),
        Case("chat streamed", lambda client: client.chat.completions.create(**CHAT, stream=True), COUNTED, streamed=True),
        Case(
            "embeddings", lambda client: client.embeddings.create(model="BAAI/bge-large-en-v1.5", input="one"),
            {"input_tokens": 1500}, "embeddings",
        ),
        Case("rerank", lambda client: client.rerank.create(**RERANK), COUNTED, "rerank"),
        Case("images", lambda client: client.images.generate(**PICTURE), {"output_images": 2}, "image_generation"),
        Case(
            "video", lambda client: client.videos.create(model="minimax/video-01-director", prompt="a cat"), {},
            "video_generation", records=0,
        ),
    ),
    "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo",
    {"max_retries": 2},
)  # fmt: skip
