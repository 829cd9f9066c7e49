"""Azure's hosts of OpenAI's models; the wire is OpenAI's, the request names a deployment."""

from __future__ import annotations

from otel_aicost.providers.base import Provider

IN_PATH = "/deployments/"
"""A path with this names the deployment, and so the model, whatever the body says."""

OPENAI = Provider("azure.ai.openai", hosts=("*.openai.azure.com", "*.cognitiveservices.azure.com"))
