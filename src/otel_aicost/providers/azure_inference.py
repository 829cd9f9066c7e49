"""Azure's hosts of models that are not OpenAI's; the wire is OpenAI's, and Mistral's for what OpenAI has not."""

from __future__ import annotations

from otel_aicost.providers import mistral_ai
from otel_aicost.providers.base import Provider

PROVIDER = Provider(
    "azure.ai.inference",
    hosts=("*.services.ai.azure.com", "*.models.ai.azure.com"),
    endpoints={"/ocr": mistral_ai.OCR},
)
