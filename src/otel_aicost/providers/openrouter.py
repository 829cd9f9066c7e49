"""OpenRouter: OpenAI's and Anthropic's dialects, with the cost of each answer stated; reranking, images and video."""

from __future__ import annotations

from dataclasses import replace

from otel_aicost.model import Reading
from otel_aicost.providers import openai
from otel_aicost.providers.base import AbsurdUsageError, Endpoint, Fields, Json, Provider, mapping, quantities, text

RERANK: Fields = (("rerank_searches", ("search_units",)), ("input_tokens", ("total_tokens",)))


def read_rerank(body: Json) -> Reading:
    """Search units or tokens, by who does it."""
    found, usage = openai.read(body), mapping(body.get("usage"))
    try:
        counted = {meter: amount for meter, amount in quantities(usage, RERANK).items() if amount}
    except AbsurdUsageError as error:
        return replace(found, usage=None, invalid=str(error))
    return replace(found, usage=counted or None, cost=openai.stated_cost(usage))


def read_images(body: Json) -> Reading:
    """Tokens and a cost; the images are counted where neither is stated."""
    found = openai.read_images(body)
    return replace(found, cost=openai.stated_cost(mapping(body.get("usage"))))


def read_video(body: Json) -> Reading:
    """A video is billed when it is there; what is stated of it is its cost."""
    job, cost = text(body.get("id")), openai.stated_cost(mapping(body.get("usage")))
    if body.get("status") != "completed" or job is None or cost is None:
        return Reading(pending=True)
    return Reading(response_id=job, usage={"requests": 1}, cost=cost, once=f"videos/{job}")


PROVIDER = Provider(
    "openrouter",
    hosts=("openrouter.ai", "*.openrouter.ai"),
    endpoints={
        "/rerank": Endpoint("rerank", read_rerank, openai.describe),
        "/images": Endpoint("image_generation", read_images, openai.describe_images, ends=(b'.completed"',)),
        "/videos": Endpoint("video_generation", read_video, openai.describe),
    },
    polls={"/videos/*": Endpoint("video_generation", read_video, past=True, only_with_usage=True)},
)
