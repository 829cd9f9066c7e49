"""Other names of a model under which its price may be listed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_ARN = re.compile(r"arn:[^:]+:bedrock:[^:]*:[^:]*:(?:foundation-model|inference-profile)/(.+)")
_GEOGRAPHY = re.compile(r"(?:us|eu|apac|ap|jp|au|ca|in|sa|me|af)\.([a-z0-9-]+\..+)")
"""Not `global.`, which costs less than a region, nor `us-gov.`, which costs more than others."""


def named(provider: str, models: Sequence[str]) -> tuple[str, ...]:
    """Each model, followed by its other names, the more particular first."""
    if provider != "aws.bedrock":
        return tuple(models)
    return tuple(dict.fromkeys(name for model in models for name in _on_bedrock(model)))


def _on_bedrock(model: str) -> list[str]:
    """An ARN without what stands before the id; then the profile of a geography as the model in one region."""
    names = [model]
    for shape in (_ARN, _GEOGRAPHY):
        found = shape.fullmatch(names[-1])
        if found is not None:
            names.append(found[1])
    return names
