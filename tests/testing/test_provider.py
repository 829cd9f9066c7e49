"""The fake provider itself: its script, its memory, its bytes, its threads and its command."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import openai
import pytest

from otel_aicost.testing import FakeProvider, Reply, Request, Usage

pytest_plugins = ["pytester"]

ASKED: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "one two three"}]}


def conversation(provider: FakeProvider) -> str:
    """One of each answer that holds something random-looking, as a digest of the bytes."""
    digest = hashlib.sha256()
    with openai.OpenAI(base_url=provider.openai_url, api_key="x") as client:
        for _ in range(2):
            digest.update(client.chat.completions.with_raw_response.create(**ASKED).content)
            digest.update(client.audio.speech.create(model="tts-1", voice="alloy", input="hello").content)
        image: Any = client.images.with_raw_response.generate(model="gpt-image-1", prompt="one")
        digest.update(image.content)
    return digest.hexdigest()


def test_the_same_requests_get_the_same_bytes() -> None:
    """In another provider, and in the same one after a reset; another seed gives others."""
    with FakeProvider() as first, FakeProvider() as second, FakeProvider(seed=1) as other:
        said = conversation(first)
        assert conversation(second) == said
        assert conversation(other) != said
        first.reset()
        assert conversation(first) == said


def test_a_repeated_request_gets_another_id(client: openai.OpenAI) -> None:
    """No two responses share an id."""
    answers = [client.chat.completions.create(**ASKED) for _ in range(3)]
    assert len({answer.id for answer in answers}) == 3
    assert len({answer.choices[0].message.content for answer in answers}) == 1


def test_the_time_of_the_answers_can_be_set() -> None:
    """`created` is seconds since the epoch."""
    with (
        FakeProvider(created=1_700_000_000) as provider,
        openai.OpenAI(base_url=provider.openai_url, api_key="x") as client,
    ):
        assert client.chat.completions.create(**ASKED).created == 1_700_000_000


def test_the_requests_are_kept_as_they_came(provider: FakeProvider, client: openai.OpenAI) -> None:
    """Method, path, headers and the bytes of the body."""
    client.chat.completions.create(**ASKED, extra_headers={"X-Mine": "1"})
    client.models.list()
    first, second = provider.requests
    assert (first.method, first.path, first.header("x-mine"), first.model) == (
        "POST",
        "/v1/chat/completions",
        "1",
        "gpt-4o",
    )
    assert first.payload == ASKED
    assert len(first.body) == int(first.header("content-length") or 0)
    assert (second.method, second.target, second.body) == ("GET", "/v1/models", b"")
    assert first.header("x-absent") is None


def test_an_upload_is_read_field_by_field(provider: FakeProvider, client: openai.OpenAI) -> None:
    """Binary files come through unchanged, whatever bytes they hold."""
    sound = bytes(range(256)) * 2 + b"\r\n--\r\n"
    client.audio.transcriptions.create(model="whisper-1", file=("a.wav", sound), language="en")
    request = provider.requests[0]
    assert request.payload == {"model": "whisper-1", "language": "en"}
    assert request.files == {"file": sound}


def test_queued_replies_are_used_in_their_order(provider: FakeProvider, client: openai.OpenAI) -> None:
    """Then comes what is always said."""
    provider.next(Reply(text="first", times=2), Reply(text="second"))
    provider.always(Reply(text="later"))
    said = [client.chat.completions.create(**ASKED).choices[0].message.content for _ in range(5)]
    assert said == ["first", "first", "second", "later", "later"]


def test_a_script_can_look_at_the_request(provider: FakeProvider, client: openai.OpenAI) -> None:
    """A function of the request decides about the reply."""

    def script(request: Request) -> Reply:
        return Reply(usage=Usage(input_tokens=1000 if request.model == "gpt-4o" else 1))

    provider.always(script)
    used: list[Any] = [
        client.chat.completions.create(model=model, messages=ASKED["messages"]).usage
        for model in ("gpt-4o", "gpt-4o-mini")
    ]
    assert [usage.prompt_tokens for usage in used] == [1000, 1]


def test_a_reset_forgets_everything(provider: FakeProvider, client: openai.OpenAI) -> None:
    """Script and requests are as in a new provider."""
    provider.always(Reply(text="always"))
    provider.fail(400)
    provider.reset()
    assert client.chat.completions.create(**ASKED).choices[0].message.content != "always"
    assert len(provider.requests) == 1


def test_the_environment_leads_the_sdks_here(provider: FakeProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients made without arguments find the fake provider."""
    for name, value in provider.environ.items():
        monkeypatch.setenv(name, value)
    with openai.OpenAI() as client:
        assert client.chat.completions.create(**ASKED).usage


async def test_fifty_calls_at_once_are_answered(provider: FakeProvider, async_client: openai.AsyncOpenAI) -> None:
    """Each gets the answer to its own request."""
    provider.always(lambda request: Reply(text=f"{request.payload['messages'][0]['content']} indeed"))

    async def call(number: int) -> str:
        stream = await async_client.chat.completions.create(
            model="gpt-4o", messages=[{"role": "user", "content": f"call {number}"}], stream=True
        )
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    said = await asyncio.gather(*(call(number) for number in range(50)))
    assert said == [f"call {number} indeed" for number in range(50)]
    assert Counter(request.path for request in provider.requests) == {"/v1/chat/completions": 50}


def test_a_client_that_goes_away_is_not_mentioned(
    provider: FakeProvider, client: openai.OpenAI, capfd: pytest.CaptureFixture[str]
) -> None:
    """Broken-off streams and half-sent requests print nothing, and the next call works."""
    provider.next(Reply(text="word " * 5000, chunk_delay=0.0001, times=3))
    for _ in range(3):
        with client.chat.completions.create(**ASKED, stream=True) as stream:
            next(iter(stream))
    with socket.create_connection(("127.0.0.1", provider.port)) as connection:
        connection.sendall(b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 500\r\n\r\n{")
    with socket.create_connection(("127.0.0.1", provider.port)) as connection:
        connection.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        connection.recv(100)
    assert client.chat.completions.create(**ASKED).usage
    provider.close()
    assert capfd.readouterr() == ("", "")


def test_close_ends_every_thread(provider: FakeProvider, client: openai.OpenAI) -> None:
    """Idle keep-alive connections do not keep it; closing twice is nothing."""
    before = threading.active_count()
    client.chat.completions.create(**ASKED)
    assert threading.active_count() > before
    provider.close()
    provider.close()
    assert threading.active_count() == before - 1


def test_the_address_of_a_stopped_provider_is_an_error() -> None:
    """The message says what to do."""
    with pytest.raises(RuntimeError, match="with FakeProvider"):
        _ = FakeProvider().url


def test_a_taken_port_is_an_error(provider: FakeProvider) -> None:
    """Two providers cannot share a port."""
    with pytest.raises(OSError, match="in use"):
        FakeProvider(port=provider.port).start()


def command(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "otel_aicost.testing", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_command_serves_until_interrupted() -> None:
    """It says where it is, answers as told, and ends quietly on Ctrl-C."""
    with command("--port", "0", "--text", "Hello!", "--fail-first", "1", "--status", "429") as process:
        assert process.stdout
        url = process.stdout.readline().split()[4].rstrip(",")
        with openai.OpenAI(base_url=url, api_key="x", max_retries=1) as client:
            assert client.chat.completions.create(**ASKED).choices[0].message.content == "Hello!"
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()  # a server that does not end must not hold up the tests
    assert (process.returncode, errors) == (0, "")


def test_the_command_explains_itself(provider: FakeProvider) -> None:
    """`--help` has examples; a taken port is said in one line."""
    with command("--help") as helped:
        assert "examples:" in helped.communicate()[0]
    with command("--port", str(provider.port)) as refused:
        _, errors = refused.communicate()
    assert refused.returncode == 1
    assert errors.startswith(f"cannot listen on 127.0.0.1:{provider.port}: ")


def test_the_pytest_fixture_is_a_running_provider(pytester: pytest.Pytester) -> None:
    """Loaded with `-p`, `fake_provider` is fresh for each test and the SDKs find it."""
    pytester.makepyfile(
        """
        import openai

        def test_it(fake_provider):
            with openai.OpenAI() as client:
                client.moderations.create(input="hi")
            assert len(fake_provider.requests) == 1
        """
    )
    result = pytester.runpytest_subprocess("-p", "otel_aicost.testing.pytest_plugin")
    result.assert_outcomes(passed=1)
