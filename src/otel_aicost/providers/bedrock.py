"""Amazon Bedrock: the model of the request names region profile and version, so it decides the price."""

from __future__ import annotations

from otel_aicost.providers.base import Provider

PROVIDER = Provider(
    "aws.bedrock",
    hosts=("bedrock-runtime*.amazonaws.com", "bedrock-mantle*.api.aws"),
    priced_by_request=True,
)
