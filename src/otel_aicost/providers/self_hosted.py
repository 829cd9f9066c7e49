"""Model servers on this machine or a private network, told by the port they listen on by default.

They have no list price. Another local port is `openai_compatible`: it may be a proxy to someone who is paid.
"""

from __future__ import annotations

from otel_aicost.providers.base import Provider

PROVIDERS = (
    Provider("vllm", ports=(8000,)),
    Provider("lm_studio", ports=(1234,)),
    Provider("llama_cpp", ports=(8080,)),
    Provider("litellm_proxy", ports=(4000,)),
)
