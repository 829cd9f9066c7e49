"""Embeddings, audio, images and the free endpoints of the fake provider, read by the real SDK."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING, Any

import pytest

from otel_aicost.testing import FakeProvider, Reply, Usage

if TYPE_CHECKING:
    import openai

SOUND: Any = ("talk.wav", b"\0\xff\r\n" * 1500)
"""6,000 bytes: six seconds by the fake provider's rule."""


def upload(client: openai.OpenAI, path: str, body: dict[str, str], cast_to: Any = object) -> Any:
    form: Any = {"headers": {"Content-Type": "multipart/form-data"}}
    return client.post(path, cast_to=cast_to, body=body, files={"file": SOUND}, options=form)


def test_embeddings_are_the_same_as_floats_and_in_base64(client: openai.OpenAI) -> None:
    """The SDK asks for base64 unless told otherwise; a vector has length 1."""
    packed = client.embeddings.create(model="text-embedding-3-small", input="one two", dimensions=64)
    plain = client.embeddings.create(
        model="text-embedding-3-small", input="one two", dimensions=64, encoding_format="float"
    )
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, rel=1e-6)
    assert math.hypot(*plain.data[0].embedding) == pytest.approx(1)
    assert packed.usage.to_dict() == {"prompt_tokens": 2, "total_tokens": 2}


@pytest.mark.parametrize(
    ("given", "count", "tokens"),
    [("a b", 1, 2), (["a b", "c"], 2, 3), ([1, 2, 3], 1, 3), ([[1, 2], [3]], 2, 3)],
)
def test_every_form_of_input_is_counted(client: openai.OpenAI, given: Any, count: int, tokens: int) -> None:
    """One text or token list is one input; a token id counts as one token."""
    answer = client.embeddings.create(model="text-embedding-3-small", input=given, dimensions=4)
    assert (len(answer.data), answer.usage.prompt_tokens) == (count, tokens)
    assert len(answer.data[0].embedding) == 4


async def test_the_async_client_reads_embeddings(async_client: openai.AsyncOpenAI) -> None:
    """Without `dimensions` a vector has 1,536."""
    answer = await async_client.embeddings.create(model="text-embedding-3-small", input="one")
    assert len(answer.data[0].embedding) == 1536


def test_speech_is_binary_and_as_long_as_its_text(provider: FakeProvider, client: openai.OpenAI) -> None:
    """The audio has no usage; the same text sounds the same after a reset."""
    asked: Any = {"model": "tts-1-hd", "voice": "alloy", "input": "ten chars." * 30}
    first = client.audio.speech.create(**asked)
    provider.reset()
    assert len(first.content) == 32 * 300
    assert first.content == client.audio.speech.create(**asked).content
    assert first.response.headers["content-type"] == "audio/mpeg"


def test_speech_can_be_streamed_to_a_file(client: openai.OpenAI, tmp_path: Any) -> None:
    """Binary bodies come in several chunks."""
    speech = client.audio.speech.with_streaming_response
    with speech.create(model="tts-1", voice="alloy", input="x" * 300, response_format="wav") as answer:
        answer.stream_to_file(tmp_path / "speech.wav")
    assert (tmp_path / "speech.wav").stat().st_size == 32 * 300


def test_speech_events_end_with_a_usage(provider: FakeProvider, client: openai.OpenAI) -> None:
    """With `stream_format="sse"` the audio comes in events and the last one states the usage."""
    provider.next(Reply(usage=Usage(input_tokens=8, output_tokens=90)))
    body = {"model": "gpt-4o-mini-tts", "voice": "alloy", "input": "hello", "stream_format": "sse"}
    text = client.post("/audio/speech", cast_to=str, body=body)
    assert text.endswith(
        '"type":"speech.audio.done","usage":{"input_tokens":8,"output_tokens":90,"total_tokens":98}}\n\n'
    )


def test_whisper_is_billed_by_the_second(client: openai.OpenAI) -> None:
    """A thousand bytes are one second."""
    answer: Any = client.audio.transcriptions.create(model="whisper-1", file=SOUND)
    assert answer.to_dict()["usage"] == {"type": "duration", "seconds": 6}
    verbose: Any = client.audio.transcriptions.create(model="whisper-1", file=SOUND, response_format="verbose_json")
    assert float(verbose.duration) == 6.0


def test_the_length_of_the_audio_can_be_scripted(provider: FakeProvider, client: openai.OpenAI) -> None:
    """5.5 minutes, whatever the file."""
    provider.next(Reply(usage=Usage(input_audio_seconds=330)))
    answer: Any = client.audio.transcriptions.create(model="whisper-1", file=SOUND)
    assert answer.to_dict()["usage"]["seconds"] == 330


def test_other_transcriptions_are_billed_by_the_token(provider: FakeProvider, client: openai.OpenAI) -> None:
    """Audio and text tokens of the input are told apart."""
    provider.next(Reply(text="a b", usage=Usage(input_tokens=70, input_audio_tokens=60, output_tokens=2)))
    answer: Any = client.audio.transcriptions.create(model="gpt-4o-transcribe", file=SOUND)
    assert answer.to_dict()["usage"] == {
        "type": "tokens",
        "input_tokens": 70,
        "input_token_details": {"audio_tokens": 60, "text_tokens": 10},
        "output_tokens": 2,
        "total_tokens": 72,
    }


@pytest.mark.parametrize("kind", ["text", "srt", "vtt"])
def test_written_transcripts_have_no_usage(client: openai.OpenAI, kind: Any) -> None:
    """Plain text, SubRip and WebVTT hold the text and nothing else."""
    asked: Any = {"model": "whisper-1", "response_format": kind}
    transcript = client.audio.transcriptions.with_raw_response.create(file=SOUND, **asked).text
    text = transcript if isinstance(transcript, str) else transcript()  # a method in newer versions
    assert "The fake provider" in text
    assert "usage" not in text


def test_a_transcription_can_be_streamed(client: openai.OpenAI) -> None:
    """The last event has the whole text and the usage."""
    body = {"model": "gpt-4o-transcribe", "stream": "true"}
    text = upload(client, "/audio/transcriptions", body, str)
    assert "event: transcript.text.delta" in text
    assert '"type":"transcript.text.done"' in text
    assert '"audio_tokens":60' in text


def test_a_translation_states_a_usage_only_when_told(provider: FakeProvider, client: openai.OpenAI) -> None:
    """Its JSON is text alone; `verbose_json` has the duration."""
    provider.next(Reply(), Reply(usage=Usage(input_audio_seconds=9)))
    bare, told, verbose = (
        upload(client, "/audio/translations", {"model": "whisper-1", "response_format": kind})
        for kind in ("json", "json", "verbose_json")
    )
    assert bare.keys() == {"text"}
    assert told["usage"] == {"type": "duration", "seconds": 9}
    assert verbose["duration"] == 6.0


async def test_the_async_client_reads_audio(async_client: openai.AsyncOpenAI) -> None:
    """Uploads and binary answers work asynchronously, too."""
    heard: Any = await async_client.audio.transcriptions.create(model="whisper-1", file=SOUND)
    spoken = await async_client.audio.speech.create(model="tts-1", voice="alloy", input="ten chars.")
    assert heard.to_dict()["usage"]["seconds"] == 6
    assert len(spoken.content) == 320


def test_images_billed_by_the_token_state_usage_size_and_quality(client: openai.OpenAI) -> None:
    """What was left to the model is settled in the answer."""
    answer: Any = client.images.generate(model="gpt-image-1", prompt="one two", n=2, quality="low")
    told = answer.to_dict()
    assert base64.b64decode(told["data"][1]["b64_json"]).startswith(b"\x89PNG")
    assert (told["size"], told["quality"]) == ("1024x1024", "low")
    assert told["usage"]["input_tokens"] == 2
    assert told["usage"]["output_tokens_details"] == {"text_tokens": 0, "image_tokens": 2000}


def test_images_billed_by_the_piece_state_nothing(client: openai.OpenAI) -> None:
    """DALL-E answers with addresses and no usage."""
    answer: Any = client.images.generate(model="dall-e-3", prompt="one", size="1792x1024", quality="hd")
    assert set(answer.to_dict()) == {"created", "data"}
    assert answer.data[0].url.startswith("https://images.invalid/")


def test_images_can_be_edited_and_varied(client: openai.OpenAI) -> None:
    """Uploads of pictures are read as forms."""
    picture: Any = ("cat.png", b"\x89PNG")
    edited: Any = client.images.edit(model="gpt-image-1", image=picture, prompt="one two three")
    assert edited.to_dict()["usage"]["input_tokens"] == 3
    varied = upload(client, "/images/variations", {"n": "2"})
    assert (varied.keys(), len(varied["data"])) == ({"created", "data"}, 2)


def test_images_can_be_streamed(client: openai.OpenAI) -> None:
    """Partial images come before the one that is paid for."""
    body = {"model": "gpt-image-1", "prompt": "one", "stream": True, "partial_images": 2}
    text = client.post("/images/generations", cast_to=str, body=body)
    assert text.count("event: image_generation.partial_image") == 2
    assert text.count('"usage":{') == 1


def test_the_free_endpoints_answer(client: openai.OpenAI) -> None:
    """Moderations flag nothing; the models are listed."""
    assert [result.flagged for result in client.moderations.create(input=["a", "b"]).results] == [
        False,
        False,
    ]
    assert "gpt-4o" in [model.id for model in client.models.list()]
    assert client.models.retrieve("gpt-4o").id == "gpt-4o"
