"""Mistral: OpenAI's dialect for text; pages, seconds of audio, conversations with connectors, batches."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from otel_aicost.model import Reading
from otel_aicost.providers import openai
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Endpoint,
    Fields,
    Json,
    Provider,
    items,
    mapping,
    moment,
    quantities,
    text,
)

if TYPE_CHECKING:
    from otel_aicost.model import Quantity

SECONDS: Fields = (("input_audio_seconds", ("prompt_audio_seconds",)),)
CONNECTORS: Fields = (
    ("connector_tokens", ("connector_tokens",)),
    ("web_searches", ("connectors", "web_search")),
    ("web_searches", ("connectors", "web_search_premium")),
    ("code_executions", ("connectors", "code_interpreter")),
    ("file_searches", ("connectors", "document_library")),
    ("output_images", ("connectors", "image_generation")),
)
FAILED = "conversation.response.error"
PAGES: Fields = (("document_pages", ("pages_processed",)),)


def read(body: Json) -> Reading:
    """Any answer of text. What connectors read is input too, beside the tokens of the prompt."""
    found = openai.read(body)
    usage = mapping(body.get("usage"))
    try:
        more = {meter: amount for meter, amount in quantities(usage, SECONDS + CONNECTORS).items() if amount}
    except AbsurdUsageError as error:
        return replace(found, usage=None, invalid=str(error))
    if not more or found.invalid is not None:
        return replace(found, conditions=_tier(usage))
    counted: dict[str, Quantity] = {**(found.usage or {}), **more}
    counted["input_tokens"] = counted.get("input_tokens", 0) + counted.pop("connector_tokens", 0)
    return replace(found, usage=counted, conditions=_tier(usage))


def _tier(usage: Json) -> dict[str, str]:
    tier = text(usage.get("service_tier"))
    return {"service_tier": tier} if tier and tier not in {"standard", "default", "auto"} else {}


def read_transcription(body: Json) -> Reading:
    """Audio is billed by its seconds; the tokens that are stated beside them are not billed again."""
    found = read(body)
    heard = (found.usage or {}).get("input_audio_seconds")
    return found if heard is None else replace(found, usage={"input_audio_seconds": heard})


def read_ocr(body: Json) -> Reading:
    """Pages; they cost more where they were annotated."""
    model = text(body.get("model"))
    try:
        pages = quantities(mapping(body.get("usage_info")), PAGES)
    except AbsurdUsageError as error:
        return Reading(model, invalid=str(error))
    images = (image for page in items(body.get("pages")) for image in items(page.get("images")))
    if pages and (body.get("document_annotation") or any(image.get("image_annotation") for image in images)):
        pages["input_annotated_document_pages"] = pages["document_pages"]
    return Reading(model, text(body.get("id")), pages or None)


def read_conversation(body: Json) -> Reading:
    """The model is the one that wrote: what was asked may be an agent."""
    models = (text(output.get("model")) for output in items(body.get("outputs")))
    model = text(body.get("model")) or next((name for name in models if name), None)
    return replace(
        read(body), model=model, response_id=text(body.get("conversation_id")), error=text(body.get("failed"))
    )


def fragment(event: Json) -> Json:
    """Each delta of a conversation names its model, its last event has the usage, its first the conversation."""
    told = {key: event[key] for key in ("model", "usage", "conversation_id") if event.get(key) is not None}
    return {**told, "failed": str(event.get("code") or "error")} if event.get("type") == FAILED else told


def read_batch(body: Json) -> Reading:
    """The results of a batch, as a file of lines or inside its job: each is billed once, at the batch price."""
    lines = items(body.get("lines")) or items(body.get("outputs"))
    return Reading(others=tuple(found for line in lines if (found := _result(line)) is not None))


def _result(line: Json) -> Reading | None:
    body = mapping(mapping(line.get("response")).get("body"))
    job, mark = text(line.get("id")), text(line.get("custom_id"))
    if not body or job is None:
        return None
    scanned = "usage_info" in body
    found = read_ocr(body) if scanned else read(body)
    return replace(
        found,
        conditions={**found.conditions, "processing": "batch"},
        once=f"batch/{job}/{mark}/{found.response_id}",
        at_ns=moment(body.get("created")),
        operation="ocr"
        if scanned
        else "chat"
        if "choices" in body
        else "embeddings"
        if "data" in body
        else "moderation",
    )


CHAT = replace(openai.CHAT, read=read, usage_request=None)
CONVERSATION = Endpoint(
    "chat",
    read_conversation,
    openai.describe,
    fragment=fragment,
    marks=(b'"usage"', b'"model"', b'"conversation_id"', FAILED.encode()),
    ends=(b'"conversation.response.done"', b'"conversation.response.error"'),
    text=("content",),
)
TRANSCRIPTION = Endpoint("transcription", read_transcription, openai.describe, ends=(b'"transcription.done"',))
OCR = Endpoint("ocr", read_ocr, openai.describe)
CLASSIFIER = Endpoint("moderation", read, openai.describe)
BATCH = Endpoint("batch", read_batch, past=True, only_with_usage=True)

PROVIDER = Provider(
    "mistral_ai",
    hosts=("api.mistral.ai", "api.*.mistral.ai", "codestral.mistral.ai"),
    endpoints={
        "/chat/completions": CHAT,
        "/agents/completions": CHAT,
        "/fim/completions": replace(CHAT, operation="text_completion"),
        "/embeddings": Endpoint("embeddings", read, openai.describe),
        "/ocr": OCR,
        "/audio/transcriptions": TRANSCRIPTION,
        "/conversations": CONVERSATION,
        "/conversations/*": CONVERSATION,
        "/conversations/*/restart": CONVERSATION,
        "/moderations": CLASSIFIER,
        "/chat/moderations": CLASSIFIER,
        "/classifications": CLASSIFIER,
        "/chat/classifications": CLASSIFIER,
    },
    polls={"/files/*/content": replace(BATCH, lines=True), "/batch/jobs/*": BATCH},
)
