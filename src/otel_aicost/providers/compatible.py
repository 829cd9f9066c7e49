"""Hosts that speak OpenAI's dialect and add nothing of their own: a name and a host each."""

from __future__ import annotations

from otel_aicost.providers.base import Provider

PROVIDERS = (
    Provider("x_ai", hosts=("api.x.ai", "*.api.x.ai")),
    Provider("fireworks", hosts=("api.fireworks.ai",)),
    Provider("deepinfra", hosts=("api.deepinfra.com",)),
    Provider("cerebras", hosts=("api.cerebras.ai",)),
    Provider("sambanova", hosts=("api.sambanova.ai",)),
    Provider("nvidia", hosts=("integrate.api.nvidia.com",)),
    Provider("moonshot_ai", hosts=("api.moonshot.ai", "api.moonshot.cn")),
    Provider("z_ai", hosts=("api.z.ai", "open.bigmodel.cn")),
    Provider("minimax", hosts=("api.minimax.io", "api.minimaxi.com")),
    Provider("hyperbolic", hosts=("api.hyperbolic.xyz",)),
    Provider("novita", hosts=("api.novita.ai",)),
    Provider("nebius", hosts=("api.studio.nebius.*",)),
    Provider("huggingface", hosts=("router.huggingface.co",)),
    Provider("lambda", hosts=("api.lambda.ai",)),
    Provider("chutes", hosts=("llm.chutes.ai",)),
    Provider("friendli", hosts=("api.friendli.ai",)),
    Provider("baseten", hosts=("inference.baseten.co",)),
    # Gateways: whose price applies is theirs to say (`usage.cost`) or the user's.
    Provider("vercel_ai_gateway", hosts=("ai-gateway.vercel.sh",)),
    Provider("cloudflare_ai_gateway", hosts=("gateway.ai.cloudflare.com",)),
    Provider("helicone", hosts=("ai-gateway.helicone.ai",)),
    Provider("nano_gpt", hosts=("nano-gpt.com",)),
    Provider("poe", hosts=("api.poe.com",)),
)
