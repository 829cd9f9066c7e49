"""The providers' own words for what went wrong: error bodies, headers, and error events in a stream."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from otel_aicost.testing.exchange import Answer, Exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

RETRYABLE = frozenset({408, 409, 429, 500, 502, 503, 504, 529})

_OPENAI: Mapping[int, tuple[str, str, str | None]] = {
    400: ("Invalid value for 'messages': expected an array.", "invalid_request_error", "invalid_value"),
    401: ("Incorrect API key provided: fake. You can find your API key in the dashboard.",
          "invalid_request_error", "invalid_api_key"),
    403: ("You are not allowed to sample from this model.", "invalid_request_error", None),
    404: ("The model `{model}` does not exist or you do not have access to it.",
          "invalid_request_error", "model_not_found"),
    429: ("Rate limit reached for {model} on requests per min (RPM): Limit 3, Used 3, Requested 1.",
          "requests", "rate_limit_exceeded"),
    500: ("The server had an error while processing your request. Sorry about that!", "server_error", None),
    503: ("The engine is currently overloaded, please try again later.", "server_error", "overloaded"),
}  # fmt: skip
_ANTHROPIC: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request_error", "messages: at least one message is required"),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "model: {model}"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "Number of request tokens has exceeded your per-minute rate limit"),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}
_AMAZON: Mapping[int, str] = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
_GOOGLE: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


def failure(exchange: Exchange, family: str) -> Answer:
    """The error answer of `family`: openai, anthropic, amazon, google or voyage."""
    status = exchange.reply.status
    body, headers = _FAMILIES[family](status, exchange.model)
    if status in RETRYABLE:
        wait = exchange.reply.retry_after
        headers |= {"retry-after": str(math.ceil(wait)), "retry-after-ms": str(round(wait * 1000))}
    return Answer([exchange.encode(exchange.reply.error or body)], status=status, headers=headers)


def openai_error(status: int, model: str = "") -> dict[str, Any]:
    """The error JSON of OpenAI."""
    nearest = status if status in _OPENAI else _nearest(status)
    message, kind, code = _OPENAI[nearest]
    return {"error": {"message": message.format(model=model), "type": kind, "param": None, "code": code}}


def anthropic_error(status: int, model: str = "") -> dict[str, Any]:
    """The error JSON of Anthropic."""
    kind, message = _ANTHROPIC[status if status in _ANTHROPIC else _nearest(status)]
    return {
        "type": "error",
        "error": {"type": kind, "message": message.format(model=model)},
        "request_id": "req_fake",
    }


def openai_event(exchange: Exchange) -> bytes:
    """An error in the middle of a chat stream."""
    return exchange.event(exchange.reply.error or openai_error(500))


def responses_event(exchange: Exchange) -> bytes:
    """An error in the middle of a stream of the Responses API."""
    flat = {"type": "error", "sequence_number": exchange.reply.error_after, **openai_error(500)["error"]}
    flat |= {"type": "error", "code": "server_error"}
    return exchange.event(exchange.reply.error or flat, "error")


def anthropic_event(exchange: Exchange) -> bytes:
    """An error in the middle of a stream of messages."""
    return exchange.event(exchange.reply.error or anthropic_error(529), "error")


def _nearest(status: int) -> int:
    return 400 if status < 500 else 500  # noqa: PLR2004


def _openai(status: int, model: str) -> tuple[dict[str, Any], dict[str, str]]:
    return openai_error(status, model), {}


def _anthropic(status: int, model: str) -> tuple[dict[str, Any], dict[str, str]]:
    return anthropic_error(status, model), {}


def _amazon(status: int, model: str) -> tuple[dict[str, Any], dict[str, str]]:
    message = anthropic_error(status, model)["error"]["message"]
    return {"message": message}, {"x-amzn-errortype": _AMAZON.get(status, "InternalServerException")}


def _google(status: int, model: str) -> tuple[dict[str, Any], dict[str, str]]:
    message = anthropic_error(status, model)["error"]["message"]
    return {"error": {"code": status, "message": message, "status": _GOOGLE.get(status, "INTERNAL")}}, {}


def _voyage(status: int, model: str) -> tuple[dict[str, Any], dict[str, str]]:
    return {"detail": openai_error(status, model)["error"]["message"]}, {}


_FAMILIES: Mapping[str, Callable[[int, str], tuple[dict[str, Any], dict[str, str]]]] = {
    "openai": _openai,
    "anthropic": _anthropic,
    "amazon": _amazon,
    "google": _google,
    "voyage": _voyage,
}
