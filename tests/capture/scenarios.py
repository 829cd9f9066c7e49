"""Every endpoint and every way of calling it, each told as what the application sees."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any

import anthropic
import openai
import pydantic
import pytest

from capture.world import BEDROCK_CLAUDE, CLAUDE, GPT, VERTEX_CLAUDE
from otel_aicost.testing import Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from otel_aicost.model import Quantity


class Answer(pydantic.BaseModel):
    word: str


SPOKEN = [{"role": "user", "content": "one two three"}]
WAVE = ("a.wav", b"RIFF" + b"\0" * 2000)
PICTURE = ("a.png", b"\x89PNG" + b"\0" * 20)

CHAT_USAGE = Usage(input_tokens=1500, output_tokens=200, cache_read_tokens=1000, reasoning_tokens=50)
CHAT_COUNTED = {
    "input_tokens": 1500,
    "output_tokens": 200,
    "cache_read_tokens": 1000,
    "reasoning_tokens": 50,
}
CLAUDE_USAGE = Usage(
    input_tokens=1500,
    output_tokens=200,
    cache_read_tokens=1000,
    cache_write_tokens=300,
    cache_write_1h_tokens=100,
)
CLAUDE_COUNTED = {
    "input_tokens": 1500,
    "output_tokens": 200,
    "cache_read_tokens": 1000,
    "cache_write_tokens": 300,
    "cache_write_5m_tokens": 200,
    "cache_write_1h_tokens": 100,
}
AUDIO_USAGE = Usage(input_tokens=120, input_audio_tokens=100, output_tokens=30)
AUDIO_COUNTED = {"input_tokens": 120, "input_audio_tokens": 100, "output_tokens": 30}
IMAGE_USAGE = Usage(input_tokens=40, output_tokens=1000, output_image_tokens=1000)
IMAGE_COUNTED = {"input_tokens": 40, "output_tokens": 1000, "output_image_tokens": 1000}


@dataclass(frozen=True)
class Endpoint:
    """One method of an SDK, what to ask it, and what a call of it must be counted as."""

    name: str
    client: str
    method: str
    asked: Mapping[str, Any]
    counted: Mapping[str, Quantity]
    operation: str = "chat"
    usage: object = CHAT_USAGE
    shapes: tuple[str, ...] = ("plain", "raw", "read", "parsed")
    reply: Mapping[str, Any] = field(default_factory=dict)
    free: bool = False

    @property
    def script(self) -> Reply:
        return Reply(usage=self.usage, **self.reply)


WHOLE = ("plain", "raw", "raw_unparsed", "read", "parsed", "json", "chunks", "text")
STREAM = ("stream", "in_with", "raw_stream", "lines", "chunks", "next")
BINARY = ("plain", "raw_unparsed", "read", "chunks")
CHAT_ASKED = {"model": GPT, "messages": SPOKEN}
CHAT_STREAM = {**CHAT_ASKED, "stream": True, "stream_options": {"include_usage": True}}
CLAUDE_ASKED = {"model": CLAUDE, "max_tokens": 100, "messages": SPOKEN}
CLAUDE_STREAM = {**CLAUDE_ASKED, "stream": True}
RESPONSES = {"model": GPT, "input": "one two three"}
TOLD = {"thinking": "let me see", "text": "Sixteen tonnes, said he, and what do you get?"}


def _claude(name: str, client: str, model: str, method: str = "messages.create") -> list[Endpoint]:
    asked = {**CLAUDE_ASKED, "model": model}
    return [
        Endpoint(name, client, method, asked, CLAUDE_COUNTED, usage=CLAUDE_USAGE, reply=TOLD, shapes=WHOLE),
        Endpoint(
            f"{name} streamed",
            client,
            method,
            {**asked, "stream": True},
            CLAUDE_COUNTED,
            usage=CLAUDE_USAGE,
            shapes=STREAM,
            reply=TOLD,
        ),
    ]


def _chat(name: str, client: str) -> list[Endpoint]:
    return [
        Endpoint(name, client, "chat.completions.create", CHAT_ASKED, CHAT_COUNTED, shapes=WHOLE),
        Endpoint(f"{name} streamed", client, "chat.completions.create", CHAT_STREAM, CHAT_COUNTED, shapes=STREAM),
    ]


_PARSE = (
    "chat.completions.parse" if hasattr(openai.resources.chat.Completions, "parse") else "beta.chat.completions.parse"
)
_HELPER = _PARSE.replace("parse", "stream")
_WANTED = {"text": '{"word": "hello"}'}
_EVERYWHERE = [
    *_chat("chat", "openai"),
    *_chat("azure chat", "azure"),
    Endpoint(
        "chat parse", "openai", _PARSE, {**CHAT_ASKED, "response_format": Answer}, CHAT_COUNTED,
        shapes=("plain", "raw") if _PARSE.startswith("chat") else ("plain",), reply=_WANTED,
    ),
    Endpoint(
        "chat stream()", "openai", _HELPER,
        {**CHAT_ASKED, "stream_options": {"include_usage": True}, "response_format": Answer},
        CHAT_COUNTED, shapes=("helper", "helper_final"), reply=_WANTED,
    ),
    Endpoint(
        "completions", "openai", "completions.create", {"model": "gpt-3.5-turbo-instruct", "prompt": "one two"},
        CHAT_COUNTED, "text_completion",
    ),
    Endpoint(
        "completions streamed", "openai", "completions.create",
        {"model": "gpt-3.5-turbo-instruct", "prompt": "one", "stream": True, "stream_options": {"include_usage": True}},
        CHAT_COUNTED, "text_completion", shapes=STREAM,
    ),
    Endpoint(
        "embeddings", "openai", "embeddings.create",
        {"model": "text-embedding-3-small", "input": ["one", "two"], "dimensions": 8},
        {"input_tokens": 1500}, "embeddings",
    ),
    Endpoint(
        "moderations", "openai", "moderations.create", {"model": "omni-moderation-latest", "input": "one"},
        {}, "moderation", free=True,
    ),
    Endpoint(
        "images by token", "openai", "images.generate", {"model": "gpt-image-1", "prompt": "a cat", "size": "1024x1024"},
        IMAGE_COUNTED, "image_generation", usage=IMAGE_USAGE,
    ),
    Endpoint(
        "images by piece", "openai", "images.generate", {"model": "dall-e-3", "prompt": "a cat", "size": "1024x1024"},
        {"output_images": 1}, "image_generation", usage=Reply().usage,
    ),
    Endpoint(
        "image edit", "openai", "images.edit", {"model": "gpt-image-1", "prompt": "a cat", "image": PICTURE},
        IMAGE_COUNTED, "image_generation", usage=IMAGE_USAGE, shapes=("plain", "raw", "read"),
    ),
    Endpoint(
        "transcription by token", "openai", "audio.transcriptions.create",
        {"model": "gpt-4o-transcribe", "file": WAVE}, AUDIO_COUNTED, "transcription", usage=AUDIO_USAGE,
    ),
    Endpoint(
        "transcription by second", "openai", "audio.transcriptions.create", {"model": "whisper-1", "file": WAVE},
        {"input_audio_seconds": 330}, "transcription", usage=Usage(input_audio_seconds=330.0),
    ),
    Endpoint(
        "translation", "openai", "audio.translations.create",
        {"model": "whisper-1", "file": WAVE, "response_format": "verbose_json"},
        {"input_audio_seconds": 2}, "translation", usage=Reply().usage,
    ),
    Endpoint(
        "speech", "openai", "audio.speech.create", {"model": "tts-1-hd", "voice": "alloy", "input": "x" * 500},
        {"input_characters": 500}, "speech", shapes=BINARY,
    ),
    Endpoint(
        "post", "openai", "post", {"path": "/chat/completions", "body": CHAT_ASKED, "cast_to": object},
        CHAT_COUNTED, shapes=("plain",),
    ),
    Endpoint(
        "post streamed", "openai", "post",
        {
            "path": "/chat/completions", "body": CHAT_STREAM, "cast_to": object, "stream": True,
            "stream_cls": openai.Stream[object],
        },
        CHAT_COUNTED, shapes=("stream",),
    ),
    Endpoint(
        "unknown post", "openai", "post", {"path": "/tomorrow", "body": {"model": GPT}, "cast_to": object},
        {"input_tokens": 7, "output_tokens": 3}, "unknown", shapes=("plain",),
        reply={"json": {"model": GPT, "usage": {"input_tokens": 7, "output_tokens": 3}}},
    ),
    *_claude("messages", "anthropic", CLAUDE),
    *_claude("beta messages", "anthropic", CLAUDE, "beta.messages.create"),
    *_claude("bedrock", "bedrock", BEDROCK_CLAUDE),
    *_claude("vertex", "vertex", VERTEX_CLAUDE),
    Endpoint(
        "messages stream()", "anthropic", "messages.stream", CLAUDE_ASKED, CLAUDE_COUNTED, usage=CLAUDE_USAGE,
        shapes=("helper", "helper_text", "helper_message", "helper_final_text", "helper_done"), reply=TOLD,
    ),
    Endpoint(
        "count_tokens", "anthropic", "beta.messages.count_tokens", {"model": CLAUDE, "messages": SPOKEN},
        {}, "count_tokens", free=True, shapes=("plain", "raw", "read"),
    ),
]  # fmt: skip
_NEWER = [
    Endpoint("responses", "openai", "responses.create", RESPONSES, CHAT_COUNTED, shapes=WHOLE),
    Endpoint(
        "responses streamed", "openai", "responses.create", {**RESPONSES, "stream": True}, CHAT_COUNTED, shapes=STREAM
    ),
    Endpoint(
        "responses parse", "openai", "responses.parse", {**RESPONSES, "text_format": Answer}, CHAT_COUNTED,
        shapes=("plain", "raw"), reply=_WANTED,
    ),
    Endpoint(
        "responses stream()", "openai", "responses.stream", {**RESPONSES, "text_format": Answer}, CHAT_COUNTED,
        shapes=("helper", "helper_response"), reply=_WANTED,
    ),
    Endpoint(
        "images streamed", "openai", "images.generate",
        {"model": "gpt-image-1", "prompt": "a cat", "stream": True, "partial_images": 2},
        IMAGE_COUNTED, "image_generation", usage=IMAGE_USAGE, shapes=STREAM,
    ),
    Endpoint(
        "transcription streamed", "openai", "audio.transcriptions.create",
        {"model": "gpt-4o-transcribe", "file": WAVE, "stream": True},
        AUDIO_COUNTED, "transcription", usage=AUDIO_USAGE, shapes=STREAM,
    ),
    Endpoint(
        "speech streamed", "openai", "audio.speech.create",
        {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "x" * 500, "stream_format": "sse"},
        {"input_tokens": 120, "output_tokens": 30}, "speech", usage=AUDIO_USAGE, shapes=("lines", "chunks"),
    ),
    Endpoint(
        "messages parse", "anthropic", "messages.parse", {**CLAUDE_ASKED, "output_format": Answer},
        CLAUDE_COUNTED, usage=CLAUDE_USAGE, shapes=("plain",), reply=_WANTED,
    ),
    Endpoint(
        "beta messages stream()", "anthropic", "beta.messages.stream", CLAUDE_ASKED, CLAUDE_COUNTED,
        usage=CLAUDE_USAGE, shapes=("helper", "helper_message"), reply=TOLD,
    ),
    Endpoint(
        "messages count_tokens", "anthropic", "messages.count_tokens", {"model": CLAUDE, "messages": SPOKEN},
        {}, "count_tokens", free=True, shapes=("plain",),
    ),
]  # fmt: skip
"""What the oldest supported SDKs do not have yet."""


def _newest() -> bool:
    return hasattr(openai.OpenAI, "responses") and hasattr(anthropic.resources.Messages, "parse")


ENDPOINTS = _EVERYWHERE + (_NEWER if _newest() else [])
_DEPRECATED = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
"""The newest SDK says so of the whole method; it is to be counted for as long as it is there."""
MATRIX = [
    pytest.param(
        endpoint, shape, id=f"{endpoint.name}-{shape}", marks=[_DEPRECATED] if endpoint.name == "translation" else []
    )
    for endpoint in ENDPOINTS
    for shape in endpoint.shapes
]


# --- what the application sees ---------------------------------------------------------------------------------


def seen(value: Any) -> Any:
    """A result as something that can be compared: its type and all it holds."""
    if isinstance(value, pydantic.BaseModel):
        return type(value), value.model_dump(warnings=False), getattr(value, "_request_id", None)
    if hasattr(value, "content") and isinstance(value.content, bytes):
        return type(value), value.content
    if isinstance(value, (list, tuple)):
        return [seen(item) for item in value]
    return type(value), value


def answered(response: Any, *more: Any) -> Any:
    headers = {name: value for name, value in response.headers.items() if name != "date"}
    return type(response), response.status_code, headers, [seen(item) for item in more]


def members(stream: Any) -> list[str]:
    return sorted(name for name in dir(stream) if not name.startswith("_"))


def resolve(client: Any, dotted: str) -> Callable[..., Any]:
    return reduce(getattr, dotted.split("."), client)


def variant(client: Any, dotted: str, wrapper: str) -> Callable[..., Any]:
    """`chat.completions.create` -> `chat.completions.with_raw_response.create`."""
    resource, _, name = dotted.rpartition(".")
    return getattr(getattr(resolve(client, resource), wrapper), name)


def run(client: Any, endpoint: Endpoint, shape: str) -> Any:
    """Call the endpoint in this shape; what the application sees of it."""
    return SYNC[shape](client, endpoint.method, dict(endpoint.asked))


async def run_async(client: Any, endpoint: Endpoint, shape: str) -> Any:
    asked = dict(endpoint.asked)
    if asked.get("stream_cls") is not None:
        asked["stream_cls"] = openai.AsyncStream[object]
    return await ASYNC[shape](client, endpoint.method, asked)


def _plain(client: Any, method: str, asked: dict[str, Any]) -> Any:
    return seen(resolve(client, method)(**asked))


def _raw(client: Any, method: str, asked: dict[str, Any]) -> Any:
    response = variant(client, method, "with_raw_response")(**asked)
    return answered(response, response.parse(), response.http_response.content, response.http_response.text)


def _raw_unparsed(client: Any, method: str, asked: dict[str, Any]) -> Any:
    response = variant(client, method, "with_raw_response")(**asked)
    return answered(response, response.http_response.content)


def _read(client: Any, method: str, asked: dict[str, Any]) -> Any:
    with variant(client, method, "with_streaming_response")(**asked) as response:
        return answered(response, response.read())


def _parsed(client: Any, method: str, asked: dict[str, Any]) -> Any:
    with variant(client, method, "with_streaming_response")(**asked) as response:
        return answered(response, response.parse())


def _json(client: Any, method: str, asked: dict[str, Any]) -> Any:
    with variant(client, method, "with_streaming_response")(**asked) as response:
        return answered(response, response.json())


def _chunks(client: Any, method: str, asked: dict[str, Any]) -> Any:
    with variant(client, method, "with_streaming_response")(**asked) as response:
        return answered(response, b"".join(response.iter_bytes(7)))


def _text(client: Any, method: str, asked: dict[str, Any]) -> Any:
    with variant(client, method, "with_streaming_response")(**asked) as response:
        return answered(response, "".join(response.iter_text()))


def _lines(client: Any, method: str, asked: dict[str, Any]) -> Any:
    with variant(client, method, "with_streaming_response")(**asked) as response:
        return answered(response, list(response.iter_lines()))


def _stream(client: Any, method: str, asked: dict[str, Any]) -> Any:
    stream = resolve(client, method)(**asked)
    return type(stream), members(stream), seen(list(stream))


def _in_with(client: Any, method: str, asked: dict[str, Any]) -> Any:
    with resolve(client, method)(**asked) as stream:
        return type(stream), seen(list(stream)), stream.response.is_closed


def _next(client: Any, method: str, asked: dict[str, Any]) -> Any:
    stream = resolve(client, method)(**asked)
    taken = []
    while (item := next(stream, None)) is not None:
        taken.append(seen(item))
    stream.close()
    return taken


def _raw_stream(client: Any, method: str, asked: dict[str, Any]) -> Any:
    response = variant(client, method, "with_raw_response")(**asked)
    stream = response.parse()
    return answered(response), type(stream), seen(list(stream))


def _helper(client: Any, method: str, asked: dict[str, Any]) -> Any:
    with resolve(client, method)(**asked) as stream:
        return type(stream), members(stream), seen(list(stream))


def _helper_calling(name: str) -> Callable[..., Any]:
    def call(client: Any, method: str, asked: dict[str, Any]) -> Any:
        with resolve(client, method)(**asked) as stream:
            return seen(getattr(stream, name)())

    return call


def _helper_text(client: Any, method: str, asked: dict[str, Any]) -> Any:
    with resolve(client, method)(**asked) as stream:
        return list(stream.text_stream), seen(stream.get_final_message())


SYNC: dict[str, Callable[[Any, str, dict[str, Any]], Any]] = {
    "plain": _plain,
    "raw": _raw,
    "raw_unparsed": _raw_unparsed,
    "read": _read,
    "parsed": _parsed,
    "json": _json,
    "chunks": _chunks,
    "text": _text,
    "lines": _lines,
    "stream": _stream,
    "in_with": _in_with,
    "next": _next,
    "raw_stream": _raw_stream,
    "helper": _helper,
    "helper_final": _helper_calling("get_final_completion"),
    "helper_response": _helper_calling("get_final_response"),
    "helper_message": _helper_calling("get_final_message"),
    "helper_final_text": _helper_calling("get_final_text"),
    "helper_done": _helper_calling("until_done"),
    "helper_text": _helper_text,
}


async def _awaited(value: Any) -> Any:
    return await value if hasattr(value, "__await__") else value


async def _listed(stream: Any) -> list[Any]:
    return [item async for item in stream]


async def _async_plain(client: Any, method: str, asked: dict[str, Any]) -> Any:
    return seen(await resolve(client, method)(**asked))


async def _async_raw(client: Any, method: str, asked: dict[str, Any]) -> Any:
    response = await variant(client, method, "with_raw_response")(**asked)
    return answered(response, await _awaited(response.parse()), response.http_response.content)


async def _async_raw_unparsed(client: Any, method: str, asked: dict[str, Any]) -> Any:
    response = await variant(client, method, "with_raw_response")(**asked)
    return answered(response, response.http_response.content)


async def _async_read(client: Any, method: str, asked: dict[str, Any]) -> Any:
    async with variant(client, method, "with_streaming_response")(**asked) as response:
        return answered(response, await response.read())


async def _async_parsed(client: Any, method: str, asked: dict[str, Any]) -> Any:
    async with variant(client, method, "with_streaming_response")(**asked) as response:
        return answered(response, await response.parse())


async def _async_json(client: Any, method: str, asked: dict[str, Any]) -> Any:
    async with variant(client, method, "with_streaming_response")(**asked) as response:
        return answered(response, await response.json())


async def _async_chunks(client: Any, method: str, asked: dict[str, Any]) -> Any:
    async with variant(client, method, "with_streaming_response")(**asked) as response:
        return answered(response, b"".join(await _listed(response.iter_bytes(7))))


async def _async_text(client: Any, method: str, asked: dict[str, Any]) -> Any:
    async with variant(client, method, "with_streaming_response")(**asked) as response:
        return answered(response, "".join(await _listed(response.iter_text())))


async def _async_lines(client: Any, method: str, asked: dict[str, Any]) -> Any:
    async with variant(client, method, "with_streaming_response")(**asked) as response:
        return answered(response, await _listed(response.iter_lines()))


async def _async_stream(client: Any, method: str, asked: dict[str, Any]) -> Any:
    stream = await resolve(client, method)(**asked)
    return type(stream), members(stream), seen(await _listed(stream))


async def _async_in_with(client: Any, method: str, asked: dict[str, Any]) -> Any:
    async with await resolve(client, method)(**asked) as stream:
        return type(stream), seen(await _listed(stream)), stream.response.is_closed


async def _async_next(client: Any, method: str, asked: dict[str, Any]) -> Any:
    stream = await resolve(client, method)(**asked)
    taken = []
    while (item := await anext(stream, None)) is not None:
        taken.append(seen(item))
    await stream.close()
    return taken


async def _async_raw_stream(client: Any, method: str, asked: dict[str, Any]) -> Any:
    response = await variant(client, method, "with_raw_response")(**asked)
    stream = await _awaited(response.parse())
    return answered(response), type(stream), seen(await _listed(stream))


async def _async_helper(client: Any, method: str, asked: dict[str, Any]) -> Any:
    async with resolve(client, method)(**asked) as stream:
        return type(stream), members(stream), seen(await _listed(stream))


def _async_helper_calling(name: str) -> Callable[..., Awaitable[Any]]:
    async def call(client: Any, method: str, asked: dict[str, Any]) -> Any:
        async with resolve(client, method)(**asked) as stream:
            return seen(await getattr(stream, name)())

    return call


async def _async_helper_text(client: Any, method: str, asked: dict[str, Any]) -> Any:
    async with resolve(client, method)(**asked) as stream:
        return await _listed(stream.text_stream), seen(await stream.get_final_message())


ASYNC: dict[str, Callable[[Any, str, dict[str, Any]], Awaitable[Any]]] = {
    "plain": _async_plain,
    "raw": _async_raw,
    "raw_unparsed": _async_raw_unparsed,
    "read": _async_read,
    "parsed": _async_parsed,
    "json": _async_json,
    "chunks": _async_chunks,
    "text": _async_text,
    "lines": _async_lines,
    "stream": _async_stream,
    "in_with": _async_in_with,
    "next": _async_next,
    "raw_stream": _async_raw_stream,
    "helper": _async_helper,
    "helper_final": _async_helper_calling("get_final_completion"),
    "helper_response": _async_helper_calling("get_final_response"),
    "helper_message": _async_helper_calling("get_final_message"),
    "helper_final_text": _async_helper_calling("get_final_text"),
    "helper_done": _async_helper_calling("until_done"),
    "helper_text": _async_helper_text,
}
