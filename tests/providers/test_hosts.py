"""Who is paid, by the host of the request; what is asked, by its path."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from otel_aicost.capture.sdks import SDKS
from otel_aicost.providers import (
    COMPATIBLE,
    ENDPOINTS,
    POLLS,
    STORED,
    UNKNOWN,
    endpoint_of,
    every,
    named,
    poll_of,
    provider_of,
)

if TYPE_CHECKING:
    from otel_aicost.providers.base import Endpoint

HOSTS = {
    "api.openai.com": "openai",
    "us.api.openai.com": "openai",
    "eu.api.openai.com": "openai",
    "jp.api.openai.com": "openai",
    "API.OpenAI.com": "openai",
    "api.openai.com.": "openai",
    "api.anthropic.com": "anthropic",
    "my-resource.openai.azure.com": "azure.ai.openai",
    "my-resource.cognitiveservices.azure.com": "azure.ai.openai",
    "my-resource.services.ai.azure.com": "azure.ai.inference",
    "my-model.eastus.models.ai.azure.com": "azure.ai.inference",
    "bedrock-runtime.us-east-1.amazonaws.com": "aws.bedrock",
    "bedrock-runtime-fips.us-west-2.amazonaws.com": "aws.bedrock",
    "bedrock-mantle.eu-west-1.api.aws": "aws.bedrock",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "us-east5-aiplatform.googleapis.com": "gcp.vertex_ai",
    "aiplatform.eu.rep.googleapis.com": "gcp.vertex_ai",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "api.groq.com": "groq",
    "api.together.ai": "together",
    "api.together.xyz": "together",
    "api-inference.together.ai": "together",
    "openrouter.ai": "openrouter",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "x_ai",
    "eu-west-1.api.x.ai": "x_ai",
    "api.perplexity.ai": "perplexity",
    "api.fireworks.ai": "fireworks",
    "api.mistral.ai": "mistral_ai",
    "api.eu.mistral.ai": "mistral_ai",
    "codestral.mistral.ai": "mistral_ai",
    "api.cohere.com": "cohere",
    "api.cohere.ai": "cohere",
    "api.deepinfra.com": "deepinfra",
    "api.cerebras.ai": "cerebras",
    "api.sambanova.ai": "sambanova",
    "integrate.api.nvidia.com": "nvidia",
    "api.moonshot.ai": "moonshot_ai",
    "dashscope.aliyuncs.com": "alibaba_cloud",
    "dashscope-intl.aliyuncs.com": "alibaba_cloud",
    "api.z.ai": "z_ai",
    "open.bigmodel.cn": "z_ai",
    "api.minimax.io": "minimax",
    "api.hyperbolic.xyz": "hyperbolic",
    "api.novita.ai": "novita",
    "api.studio.nebius.com": "nebius",
    "router.huggingface.co": "huggingface",
    "api.lambda.ai": "lambda",
    "llm.chutes.ai": "chutes",
    "api.friendli.ai": "friendli",
    "inference.baseten.co": "baseten",
    "ai-gateway.vercel.sh": "vercel_ai_gateway",
    "gateway.ai.cloudflare.com": "cloudflare_ai_gateway",
    "ai-gateway.helicone.ai": "helicone",
    "nano-gpt.com": "nano_gpt",
    "api.poe.com": "poe",
    "ollama.com": "ollama_cloud",
}


@pytest.mark.parametrize(("host", "name"), HOSTS.items())
def test_a_known_host_is_its_provider(host: str, name: str) -> None:
    """The names are those of the semantic conventions where there is one."""
    assert provider_of(host, 443, {}).name == name


@pytest.mark.parametrize(
    "host",
    ["example.com", "api.openai.com.evil.example", "notapi.openai.com.example", "openai.azure.com", "xapi.groq.com",
     "api.groq.com.example", "proxy.corp", "8.8.8.8", "", "evil-aiplatform.googleapis.com.example"],
)  # fmt: skip
def test_an_unknown_host_is_not_guessed(host: str) -> None:
    """Nobody's list price is taken for it."""
    assert provider_of(host, 443, {}) is COMPATIBLE


@pytest.mark.parametrize(
    ("port", "name"),
    [(11434, "ollama"), (8000, "vllm"), (1234, "lm_studio"), (8080, "llama_cpp"), (4000, "litellm_proxy"),
     (9999, "openai_compatible"), (None, "openai_compatible"), (443, "openai_compatible")],
)  # fmt: skip
@pytest.mark.parametrize(
    "host",
    ["localhost", "127.0.0.1", "127.8.8.8", "::1", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.9",
     "0.0.0.0", "fd00::1", "[::1]", "ollama", "gpu-box.local", "host.docker.internal", "gpu.lan", "LOCALHOST"],
)  # fmt: skip
def test_a_local_host_is_told_by_its_port(host: str, port: int | None, name: str) -> None:
    """A model server of one's own has no list price."""
    assert provider_of(host, port, {}).name == name


@pytest.mark.parametrize("host", ["172.15.0.1", "172.32.0.1", "11.0.0.1", "192.169.0.1", "gpu.example.com"])
def test_a_public_host_is_not_told_by_its_port(host: str) -> None:
    """The other side of the private networks."""
    assert provider_of(host, 11434, {}) is COMPATIBLE


def test_the_users_map_wins() -> None:
    """With a port before without, over the table and over local ports."""
    mapped = {
        "proxy.corp": "openai",
        "localhost:8080": "anthropic",
        "localhost": "groq",
        "api.openai.com": "my_gateway",
    }
    assert provider_of("proxy.corp", 443, mapped) is named("openai")
    assert provider_of("PROXY.corp.", 8443, mapped) is named("openai")
    assert provider_of("localhost", 8080, mapped) is named("anthropic")
    assert provider_of("localhost", 8081, mapped) is named("groq")
    assert provider_of("localhost", 11434, mapped) is named("groq")
    assert provider_of("api.openai.com", 443, mapped).name == "my_gateway"
    assert provider_of("api.openai.com", 443, {"api.openai.com:8443": "x"}).name == "openai"


def test_a_mapped_provider_keeps_its_manners() -> None:
    """A proxy to Groq answers as Groq does; Amazon's request decides the price there as well."""
    assert provider_of("proxy.corp", None, {"proxy.corp": "groq"}).adapt is named("groq").adapt
    assert provider_of("proxy.corp", None, {"proxy.corp": "aws.bedrock"}).priced_by_request


def test_every_provider_has_a_name_of_its_own() -> None:
    """And every port belongs to one of them."""
    names = [provider.name for provider in every()]
    assert len(set(names)) == len(names)
    ports = [port for provider in every() for port in provider.ports]
    assert len(ports) == len(set(ports))


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/chat/completions", "chat"),
        ("chat/completions", "chat"),
        ("/v1/chat/completions?api-version=1", "chat"),
        ("/deployments/my-gpt/chat/completions", "chat"),
        ("/openai/deployments/my-gpt/embeddings", "embeddings"),
        ("https://other.example/v1/chat/completions", "chat"),
        ("/completions", "text_completion"),
        ("/responses", "chat"),
        ("/responses?beta=true", "chat"),
        ("/responses/compact", "chat"),
        ("/embeddings", "embeddings"),
        ("/audio/speech", "speech"),
        ("/audio/transcriptions", "transcription"),
        ("/audio/translations", "translation"),
        ("/images/generations", "image_generation"),
        ("/images/edits", "image_generation"),
        ("/images/variations", "image_generation"),
        ("/v1/messages", "chat"),
        ("/v1/messages?beta=true", "chat"),
        ("/chat/completions/", "chat"),
    ],
)
def test_a_path_names_an_operation(path: str, operation: str) -> None:
    """Whatever stands before it."""
    endpoint = endpoint_of(path)
    assert endpoint.operation == operation
    assert not endpoint.free
    assert not endpoint.only_with_usage


@pytest.mark.parametrize(
    "path",
    ["/moderations", "/responses/input_tokens", "/v1/messages/count_tokens", "/v1/messages/count_tokens?beta=true"],
)
def test_a_free_endpoint_is_free(path: str) -> None:
    """By the provider's own rules."""
    assert endpoint_of(path).free


@pytest.mark.parametrize(
    "path", ["/tomorrow", "/files", "/v1/files", "/threads", "/threads/t/messages", "/videos/characters", "/", ""]
)
def test_a_path_nobody_knows_is_unknown(path: str) -> None:
    """Recorded only with a usage."""
    assert endpoint_of(path) is UNKNOWN
    assert UNKNOWN.only_with_usage


@pytest.mark.parametrize("path", ["/chat/completions/chatcmpl-1", "/v1/chat/completions/chatcmpl-1?x=1"])
def test_a_change_of_something_stored_is_no_call(path: str) -> None:
    """It returns the usage of long ago."""
    assert endpoint_of(path) is STORED
    assert STORED.read({"usage": {"prompt_tokens": 5}}).usage is None


FILES_READ = """
import json, sys
import otel_aicost.capture.stainless
from otel_aicost.providers import provider_of
read = []
for host in ("api.openai.com", "api.anthropic.com", "eu.openai.azure.com", "api.groq.com"):
    provider_of(host, 443, {"proxy.corp": "groq"})
    files = [name for name in ("openai", "anthropic", "groq", "bedrock") if "otel_aicost.providers." + name in sys.modules]
    read.append(files)
print(json.dumps(read))
"""


def test_the_files_of_other_providers_are_read_with_the_first_call_to_one() -> None:
    """However many there are, they cost a program that asks OpenAI and Anthropic nothing."""
    done = subprocess.run([sys.executable, "-c", FILES_READ], check=True, capture_output=True, text=True)
    first = ["openai", "anthropic"]
    assert json.loads(done.stdout) == [first, first, first, [*first, "groq", "bedrock"]]


def test_every_sdk_has_a_home_that_is_there() -> None:
    """Who is paid at a host that nobody knows."""
    assert all(named(sdk.home) for sdk in SDKS if sdk.home)


def test_every_endpoint_is_found_by_its_own_path() -> None:
    """The table does not shadow itself."""
    assert all(endpoint_of(path) is endpoint for path, endpoint in ENDPOINTS.items())
    assert all(endpoint_of(path.replace("*", "x_1")) is endpoint for path, endpoint in ENDPOINTS.items())
    assert all(poll_of(path.replace("*", "x_1")) is endpoint for path, endpoint in POLLS.items())


@pytest.mark.parametrize("endpoint", POLLS.values())
def test_a_poll_counts_only_what_it_finds(endpoint: Endpoint) -> None:
    """No budget can stop it, and most of what is fetched was counted when it was made."""
    assert endpoint.past
    assert endpoint.only_with_usage
    assert not endpoint.read({}).usage
    assert not endpoint.read({}).others
