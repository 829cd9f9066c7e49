"""DashScope's own endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.testing.exchange import Answer

if TYPE_CHECKING:
    from otel_aicost.testing.exchange import Exchange
    from otel_aicost.testing.reply import Usage

FAILURE = b'id:9\nevent:error\n:HTTP_STATUS/500\ndata:{"code":"InternalError","message":"it broke"}\n\n'


def generation(exchange: Exchange) -> Answer:
    """POST /services/aigc/.../generation: a stream if a header asks for it, each event with the usage so far."""
    if exchange.request.header("x-dashscope-sse") != "enable":
        return exchange.whole(_said(exchange, exchange.text, "stop"))
    events = [_said(exchange, piece, "null") for piece in exchange.pieces]
    events.append(exchange.finish(_said(exchange, "", "stop")))
    head = "id:{}\nevent:result\n:HTTP_STATUS/200\ndata:"
    chunks = [head.format(at).encode() + exchange.encode(event) + b"\n\n" for at, event in enumerate(events, 1)]
    return Answer(chunks, "text/event-stream;charset=UTF-8", streamed=True, failure=FAILURE)


def embeddings(exchange: Exchange) -> Answer:
    """POST /services/embeddings/text-embedding/text-embedding."""
    return _done(exchange, {"embeddings": [{"text_index": 0, "embedding": [0.0, 1.0]}]}, _total)


def rerank(exchange: Exchange) -> Answer:
    """POST /services/rerank/text-rerank/text-rerank."""
    return _done(exchange, {"results": [{"index": 0, "relevance_score": 0.9}]}, _total)


def _done(exchange: Exchange, output: object, dialect: Any) -> Answer:  # noqa: ANN401
    return exchange.whole({"output": output, "usage": exchange.usage(dialect), "request_id": exchange.id("")})


def _said(exchange: Exchange, said: str, reason: str) -> dict[str, Any]:
    choice = {"message": {"role": "assistant", "content": said}, "finish_reason": reason}
    return {"output": {"choices": [choice]}, "usage": exchange.usage(_tokens), "request_id": exchange.id("")}


def _tokens(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
    }


def _total(usage: Usage) -> dict[str, Any]:
    return {"total_tokens": usage.input_tokens}
