"""Perplexity: OpenAI's dialect with the cost of each answer stated; searches, embeddings and answers fetched later."""

from __future__ import annotations

from dataclasses import replace

from otel_aicost.model import Reading
from otel_aicost.providers import openai
from otel_aicost.providers.base import (
    AbsurdUsageError,
    Description,
    Endpoint,
    Fields,
    Json,
    Provider,
    Sent,
    mapping,
    moment,
    quantities,
    text,
)

APART: Fields = (("reasoning_tokens", ("reasoning_tokens",)), ("output_citation_tokens", ("citation_tokens",)))
"""What was generated beside the `completion_tokens`: our `output_tokens` hold it."""
SEARCHES: Fields = (
    ("web_searches", ("num_search_queries",)),
    ("web_searches", ("tool_calls_details", "search_web", "invocation")),
)


def adapt(body: Json) -> Json:
    """Write the cache reads and writes of the Agent API the way OpenAI does."""
    usage = mapping(body.get("usage"))
    details = mapping(usage.get("input_tokens_details"))
    told = {
        "cached_tokens": details.get("cache_read_input_tokens"),
        "cache_write_tokens": details.get("cache_creation_input_tokens"),
    }
    return {**body, "usage": {**usage, "input_tokens_details": {**details, **told}}} if any(told.values()) else body


def read(body: Json) -> Reading:
    """Any of its bodies. A stream states a usage all along, and a cost of 0 until its end."""
    found = openai.read(body)
    if found.usage is None:
        return found
    usage = mapping(body.get("usage"))
    try:
        apart = {meter: amount for meter, amount in quantities(usage, APART).items() if amount}
        searches = quantities(usage, SEARCHES)
    except AbsurdUsageError as error:
        return replace(found, usage=None, cost=None, invalid=str(error))
    counted = {**found.usage, **apart, **{meter: amount for meter, amount in searches.items() if amount}}
    if apart:
        counted["output_tokens"] = counted.get("output_tokens", 0) + sum(apart.values())
    final = bool(found.finish_reasons) or "choices" not in body
    return replace(found, usage=counted, final=final, cost=found.cost if final or found.cost else None)


def describe_search(_: Sent) -> Description:
    """A search is billed by the request, whatever it finds; it has no model, so it is called by its name."""
    return Description("search", usage={"requests": 1})


def describe_later(sent: Sent) -> Description:
    """A chat whose answer is fetched later is the same request, wrapped."""
    return openai.describe(replace(sent, body=mapping(sent.body.get("request"))))


def read_later(body: Json) -> Reading:
    """An answer that is fetched later, however often, is billed once."""
    job = text(body.get("id"))
    if body.get("status") != "COMPLETED" or job is None:
        return Reading(pending=True)
    found = read(mapping(body.get("response")))
    return replace(found, once=f"async/{job}", at_ns=moment(body.get("completed_at")))


PROVIDER = Provider(
    "perplexity",
    hosts=("api.perplexity.ai",),
    adapt=adapt,
    endpoints={
        "/chat/completions": replace(openai.CHAT, read=read),
        "/async/chat/completions": Endpoint("chat", read_later, describe_later),
        "/responses": replace(openai.RESPONSES, read=read),
        "/embeddings": Endpoint("embeddings", read, openai.describe),
        "/contextualizedembeddings": Endpoint("embeddings", read, openai.describe),
        "/decisions": Endpoint("chat", read, openai.describe),
        "/search": Endpoint("search", read, describe_search, body=False),
    },
    polls={"/async/chat/completions/*": Endpoint("chat", read_later, past=True, only_with_usage=True)},
)
