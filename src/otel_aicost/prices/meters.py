"""How meters contain one another: `cache_read_tokens` are `input_tokens`, and are not billed twice.

Each meter is a set of dimensions; one with more of them lies within one with fewer. Our names are those of
the units of genai-prices but for the few in `THEIR_NAMES`; a test holds this table against theirs.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Dimensions: TypeAlias = frozenset[tuple[str, str]]

THEIR_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "reasoning_tokens": "output_reasoning_tokens",
        "document_pages": "input_document_pages",
        "file_searches": "storage_searches",
    }
)
"""Our meter -> the unit of genai-prices, where the two differ."""

MODALITIES = ("text", "audio", "image", "video")

SAME_THING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "input_characters": ("input_tokens",),
        "input_audio_seconds": ("input_audio_tokens",),
        "output_audio_seconds": ("output_audio_tokens",),
        "output_images": ("output_image_tokens",),
    }
)
"""A meter -> those that measure the same thing in tokens: where they are billed, this one is information."""


def _dimensions(family: str, **others: str) -> Dimensions:
    return frozenset({"family": family, **others}.items())


def _tokens(**others: str) -> Dimensions:
    return _dimensions("tokens", **others)


def _token_meters(modality: str | None) -> dict[str, Dimensions]:
    """The token meters of one modality, or those of all modalities together."""
    mid = f"{modality}_" if modality else ""
    kind = {"modality": modality} if modality else {}
    read, write = {"token_type": "cache_read"}, {"token_type": "cache_write"}
    reasoning = f"output_{mid}reasoning_tokens" if modality else "reasoning_tokens"
    return {
        f"input_{mid}tokens": _tokens(direction="input", **kind),
        f"output_{mid}tokens": _tokens(direction="output", **kind),
        f"cache_{mid}read_tokens": _tokens(direction="input", **kind, **read),
        f"cache_{mid}write_tokens": _tokens(direction="input", **kind, **write),
        f"cache_{mid}write_5m_tokens": _tokens(direction="input", cache_ttl="5m", **kind, **write),
        f"cache_{mid}write_1h_tokens": _tokens(direction="input", cache_ttl="1h", **kind, **write),
        f"input_{mid}tool_tokens": _tokens(direction="input", token_type="tool", **kind),  # noqa: S106 - a kind of token
        reasoning: _tokens(direction="output", token_type="reasoning", **kind),  # noqa: S106
        f"output_{mid}citation_tokens": _tokens(direction="output", token_type="citation", **kind),  # noqa: S106
    }


DIMENSIONS: Mapping[str, Dimensions] = MappingProxyType(
    {
        **{meter: of for modality in (None, *MODALITIES) for meter, of in _token_meters(modality).items()},
        "input_characters": _dimensions("characters", direction="input"),
        "input_text_messages": _dimensions("messages", direction="input", modality="text"),
        "audio_seconds": _dimensions("durations", modality="audio"),
        "input_audio_seconds": _dimensions("durations", modality="audio", direction="input"),
        "output_audio_seconds": _dimensions("durations", modality="audio", direction="output"),
        "output_video_seconds": _dimensions("video"),
        "output_images": _dimensions("images"),
        "input_pixels": _dimensions("pixels", direction="input"),
        "document_pages": _dimensions("document_pages", direction="input"),
        "input_annotated_document_pages": _dimensions("document_pages", direction="input", page_type="annotated"),
        "rerank_searches": _dimensions("rerank"),
        "web_searches": _dimensions("tool_calls", tool_type="web_search"),
        "social_searches": _dimensions("tool_calls", tool_type="social_search"),
        "file_searches": _dimensions("tool_calls", tool_type="storage_search"),
        "code_executions": _dimensions("tool_calls", tool_type="code_execution"),
        "requests": _dimensions("requests"),
        "matrix_elements": _dimensions("matrix_elements"),
        "web_fetches": _dimensions("tool_calls", tool_type="web_fetch"),
        "maps_groundings": _dimensions("tool_calls", tool_type="maps_grounding"),
        **{
            f"guardrail_{check}_units": _dimensions("guardrail", check=check)
            for check in ("content", "attack", "topic", "personal_data", "grounding", "reasoning", "free")
        },
        "guardrail_images": _dimensions("guardrail_images"),
        "classifications": _dimensions("classifications"),
        "output_videos": _dimensions("videos"),
        "cache_token_hours": _dimensions("storage"),
        "batch_requests": _dimensions("batch_requests"),
        "training_tokens": _dimensions("training"),
        "training_seconds": _dimensions("training_durations"),
    }
)
_READ = ("token_type", "cache_read")
_BY_DIMENSIONS = {of: meter for meter, of in DIMENSIONS.items()}


def lies_within(meter: str, container: str) -> bool:
    """Whether every unit of `meter` is one of `container` too; a meter lies within itself."""
    if meter == container:
        return True
    inner, outer = DIMENSIONS.get(meter), DIMENSIONS.get(container)
    return inner is not None and outer is not None and outer <= inner


def uncached(meter: str) -> str | None:
    """What the same tokens would be, had they not been read from a cache; `None` for what is not read from one."""
    of = DIMENSIONS.get(meter, frozenset())
    return _BY_DIMENSIONS.get(of - {_READ}) if _READ in of else None


def overlap(one: str, other: str) -> str | None:
    """The meter of what is both, e.g. cached audio of cached and audio; `None` if nothing can be both.

    Also `None` where one lies within the other.
    """
    first, second = DIMENSIONS.get(one), DIMENSIONS.get(other)
    if first is None or second is None or first <= second or second <= first:
        return None
    both = first | second
    if len({name for name, _ in both}) < len(both):  # they differ in a dimension: disjoint
        return None
    return _BY_DIMENSIONS.get(both)


def outermost(meters: Iterable[str]) -> list[str]:
    """Those of the meters that lie within no other one of them."""
    given = list(meters)
    return [meter for meter in given if not any(o != meter and lies_within(meter, o) for o in given)]
