"""OpenAI's endpoints, which are also the dialect of every OpenAI-compatible host."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from typing import Any

from otel_aicost.model import NO_CONDITIONS, Conditions, Reading
from otel_aicost.providers import openai_tools
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Fields,
    Json,
    Provider,
    Sent,
    UsageRequest,
    dollars,
    items,
    mapping,
    once,
    parameters,
    quantities,
    seconds,
    text,
)

PROVIDER = Provider("openai", hosts=("api.openai.com", "*.api.openai.com"), regional="api.openai.com")

TICKS_PER_DOLLAR = Decimal(10**10)
"""xAI states costs in these: https://docs.x.ai/developers/cost-tracking"""

USAGE: Fields = (
    ("input_tokens", ("prompt_tokens",)),
    ("input_tokens", ("input_tokens",)),
    ("output_tokens", ("completion_tokens",)),
    ("output_tokens", ("output_tokens",)),
    *(
        (meter, (details, key))
        for details in ("prompt_tokens_details", "input_tokens_details", "input_token_details")
        for meter, key in (
            ("cache_read_tokens", "cached_tokens"),
            ("cache_write_tokens", "cache_write_tokens"),
            ("input_audio_tokens", "audio_tokens"),
            ("input_image_tokens", "image_tokens"),
        )
    ),
    *(
        (meter, (details, key))
        for details in ("completion_tokens_details", "output_tokens_details", "output_token_details")
        for meter, key in (
            ("reasoning_tokens", "reasoning_tokens"),
            ("output_audio_tokens", "audio_tokens"),
            ("output_image_tokens", "image_tokens"),
        )
    ),
    ("input_audio_seconds", ("seconds",)),
)

WAITING = frozenset({"queued", "in_progress"})
"""The status of what is still being made."""

PARAMETERS = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_output_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
    "service_tier": "openai.request.service_tier",
}


def describe(sent: Sent) -> Description:
    """Model and parameters of a request."""
    return Description(text(sent.body.get("model")), parameters(sent.body, PARAMETERS))


def describe_speech(sent: Sent) -> Description:
    """Speech is billed by the characters of its input."""
    spoken = sent.body.get("input")
    return Description(
        text(sent.body.get("model")), usage={"input_characters": len(spoken) if isinstance(spoken, str) else 0}
    )


def read(body: Json) -> Reading:
    """Any of the OpenAI bodies: `usage` in its several spellings, the tier it ran on, the cost where it is stated."""
    usage = mapping(body.get("usage"))
    facts: dict[str, Any] = {
        "model": text(body.get("model")),
        "response_id": text(body.get("id")),
        "conditions": conditions(body),
        "finish_reasons": tuple(
            reason for choice in items(body.get("choices")) if (reason := text(choice.get("finish_reason")))
        ),
        "error": _failure(body) if body.get("status") == "failed" else None,
    }
    try:
        counted = {**quantities(usage, USAGE), **openai_tools.fees(body)}
    except AbsurdUsageError as error:
        return Reading(**facts, invalid=str(error))
    return Reading(**facts, usage=counted or None, cost=stated_cost(usage), others=openai_tools.parts(body))


def read_response(body: Json) -> Reading:
    """A response; one made in the background is fetched until it is there, and may come as a stream as well."""
    found = read(body)
    if body.get("background") is not True or found.response_id is None:
        return found
    waits = str(body.get("status")) in WAITING and found.usage is None
    return once(replace(found, pending=waits), f"response:{found.response_id}")


def _failure(body: Json) -> str:
    return text(mapping(body.get("error")).get("code")) or "failed"


def conditions(body: Json) -> Conditions:
    """The service tier the call really ran on."""
    tier = text(body.get("service_tier"))
    return {"service_tier": tier} if tier and tier not in {"default", "auto", "standard"} else NO_CONDITIONS


def stated_cost(usage: Json) -> Decimal | None:
    """The cost that some compatible hosts put into the usage, in dollars."""
    cost = usage.get("cost")
    if cost is None:
        ticks = dollars(usage.get("cost_in_usd_ticks"))
        return None if ticks is None else ticks / TICKS_PER_DOLLAR
    stated = dollars(cost.get("total_cost") if isinstance(cost, dict) else cost)
    if stated is not None and usage.get("is_byok"):  # OpenRouter's fee; the model is billed to a key of one's own
        return stated + (dollars(mapping(usage.get("cost_details")).get("upstream_inference_cost")) or 0)
    return stated


def read_response_event(event: Json) -> Json:
    """The event that ends a Responses stream holds the whole response."""
    return mapping(event.get("response"))


def read_images(body: Json) -> Reading:
    """Image models bill tokens where they report them, else images by size and quality."""
    reading = replace(read(body), others=openai_tools.drawn(mapping(body.get("svg_usage"))))
    if reading.usage is not None or reading.invalid:
        return reading
    return replace(reading, usage={"output_images": len(items(body.get("data")))})


def describe_images(sent: Sent) -> Description:
    """The size and quality asked for decide the price of an image."""
    base = describe(sent)
    return Description(
        base.model,
        base.parameters,
        conditions={key: value for key in ("size", "quality") if (value := text(sent.body.get(key)))},
    )


def read_transcription(body: Json) -> Reading:
    """Tokens or seconds; older `verbose_json` bodies state only the duration of the audio."""
    if not body.get("usage") and body.get("duration") is not None:
        return read({"usage": {"seconds": seconds(body["duration"])}})  # came as a string for a time
    return read(body)


def ask_for_usage(body: Json) -> Json | None:
    """Chat streams report no usage unless `stream_options.include_usage` is set."""
    options = mapping(body.get("stream_options"))
    if "include_usage" in options:
        return None
    return {**body, "stream_options": {**options, "include_usage": True}}


def undo_usage(event: bytes) -> bytes:
    """Asking adds an event without choices that holds the usage, and `"usage":null` to each of the others."""
    if b'"usage"' not in event:
        return event
    if _NO_CHOICES.search(event) and _USAGE.search(event):
        return b""
    return _NULL_USAGE.sub(b"", event)


_NO_CHOICES = re.compile(rb'"choices":\s*\[\s*\]')
_USAGE = re.compile(rb'"usage":\s*\{')
_NULL_USAGE = re.compile(rb',\s*"usage":\s*null|"usage":\s*null\s*,\s*')
_ASK = UsageRequest(ask_for_usage, undo_usage)
_TEXT = ("content", "reasoning_content", "reasoning", "refusal", "arguments", "text")
_DONE = (b"[DONE]",)
CHAT = Endpoint("chat", read, describe, ends=_DONE, text=_TEXT, usage_request=_ASK)
RESPONSES = Endpoint(
    "chat",
    read_response,
    describe,
    fragment=read_response_event,
    ends=(b'"response.completed"', b'"response.incomplete"', b'"response.failed"'),
    text=("delta",),
)
TRANSCRIPTION = Endpoint("transcription", read_transcription, describe, ends=(b'"transcript.text.done"',))
IMAGES = Endpoint("image_generation", read_images, describe_images, ends=(b'.completed"',))

ENDPOINTS = {
    "/chat/completions": CHAT,
    "/completions": Endpoint("text_completion", read, describe, ends=_DONE, text=("text",), usage_request=_ASK),
    "/responses": RESPONSES,
    "/responses/compact": RESPONSES,
    "/decisions": Endpoint("chat", read, describe),
    "/embeddings": Endpoint("embeddings", read, describe),
    "/audio/speech": Endpoint("speech", read, describe_speech, body=False, ends=(b'"speech.audio.done"',)),
    "/audio/transcriptions": TRANSCRIPTION,
    "/audio/translations": Endpoint("translation", read_transcription, describe),
    "/images/generations": IMAGES,
    "/images/edits": IMAGES,
    "/images/variations": IMAGES,
    "/moderations": Endpoint("moderation", read, describe, free=True),
    "/responses/input_tokens": Endpoint("count_tokens", read, describe, free=True),
}

STORED_UNDER = ("/chat/completions",)
"""A POST to an id under one of these changes what is stored there."""
