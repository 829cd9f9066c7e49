"""One billable response in the making: from its headers to the outcome that is priced."""

from __future__ import annotations

import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from otel_aicost import faults
from otel_aicost.capture.body import HiddenEvents, Observation, observe
from otel_aicost.capture.events import EventReader
from otel_aicost.capture.readers import JsonReader, LinesReader, Reader, SseReader, parse_json, reader_for
from otel_aicost.model import NO_USAGE, Outcome, Reading
from otel_aicost.text_tokens import tokens_of_request

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otel_aicost.capture import OpenCall
    from otel_aicost.capture.body import End
    from otel_aicost.model import Status, Usage, UsageState
    from otel_aicost.providers.base import Endpoint, Json, Provider

LARGE = 1024 * 1024
"""Bytes of JSON Lines from which on they are read in the background, a piece of this size at a time."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Exchange:
    """What was asked, of whom, and what came back."""

    __slots__ = ("_asked", "_endpoint", "_first", "_headers", "_open", "_path", "_provider", "_reader", "resends")

    def __init__(self, opened: OpenCall, provider: Provider, endpoint: Endpoint, asked: Json, path: str = "") -> None:
        self._open = opened
        self._provider = provider
        self._endpoint = endpoint
        self._asked = asked
        self._path = path
        self._first: int | None = None
        self._reader: Reader | EventReader | None = None
        self.resends = 0
        """Attempts before the one that was answered."""
        self._headers: Mapping[str, str] = NO_HEADERS

    def respond(self, response: Any, resends: int, *, injected: bool) -> None:  # noqa: ANN401 - httpx or httpx2
        """The headers of a successful response are here: read its body now, or as the application reads it."""
        try:
            content: bytes | None = response.content
        except Exception:  # noqa: BLE001 - ResponseNotRead, of httpx or of httpx2
            content = None
        self.resends = resends
        if content is not None:
            self.whole(content, response.headers)
            return
        observation = self.watch(response.headers)
        if injected and self._endpoint.usage_request is not None and isinstance(self._reader, SseReader):
            observation.hidden = HiddenEvents(self._endpoint.usage_request.undo)
        observe(response, observation)

    def whole(self, content: bytes, headers: Mapping[str, str]) -> None:
        """A response with all of its body; `headers` are found by their names in lower case."""
        endpoint, kind = self._endpoint, headers.get("content-type", "")
        if not endpoint.lines:
            self.parsed(parse_json(content) if endpoint.body and "json" in kind else None, headers)
        elif len(content) > LARGE:
            self._open.later(lambda: self._whole_lines(content))
        else:
            self._whole_lines(content)

    def _whole_lines(self, content: bytes) -> None:
        reader = LinesReader(self._endpoint, self._lines)
        for start in range(0, len(content), LARGE):
            reader.feed(content[start : start + LARGE])
        self.parsed(reader.body(whole=True))

    def _lines(self, lines: list[Json]) -> None:
        """Lines of a download that goes on; each of them is a response of its own."""
        self._open.finish(self._outcome(self._read({"lines": lines}), "read", None))

    def _lines_later(self, lines: list[Json]) -> None:
        self._open.later(lambda: self._lines(lines))

    def parsed(self, body: Json | None, headers: Mapping[str, str] = NO_HEADERS) -> None:
        """A response whose body is JSON that was parsed already; `None`: there is nothing to read in it."""
        self._open.responding()
        self._headers = headers
        self._open.finish(self._outcome(self._read(body), "read", None))

    def watch(self, headers: Mapping[str, str]) -> Observation:
        """What looks at a body that is still to come, chunk by chunk."""
        self._open.responding()
        self._headers = headers
        if self._endpoint.lines:
            self._reader = LinesReader(self._endpoint, self._lines_later)
        else:
            self._reader = reader_for(headers.get("content-type", ""), self._endpoint)
        return Observation(self._reader, self._ended, self._first_chunk)

    def watch_events(
        self, headers: Mapping[str, str] = NO_HEADERS, read_by: Callable[[Endpoint], EventReader] = EventReader
    ) -> Observation:
        """What looks at events that are still to come, parsed; see `events.Events`."""
        self._open.responding()
        self._headers = headers
        self._reader = read_by(self._endpoint)
        return Observation(self._reader, self._ended, self._first_chunk)

    def _first_chunk(self) -> None:
        self._first = time.perf_counter_ns()

    def _ended(self, how: End, error: BaseException | None) -> None:
        if how == "dropped":  # inside the garbage collector: no locks, no spans here
            ended = time.perf_counter_ns()
            self._open.later(lambda: self._settle(how, error, ended))
            return
        self._settle(how, error, time.perf_counter_ns())

    def _settle(self, how: End, error: BaseException | None, ended: int) -> None:
        try:
            body = None if self._reader is None else self._reader.body(whole=how == "read")
            if self._reader is not None and self._reader.complete:  # whatever came after the last event
                how, error = "read", None
        except Exception as failure:  # noqa: BLE001 - reading a response is one of the guarded places
            faults.report("capture.body", failure)
            body = None
        self._open.finish(self._outcome(self._read(body), how, error, ended))

    def _read(self, body: Json | None) -> Reading:
        """What the body says; a call whose body we fail to read is a call all the same."""
        try:
            if self._endpoint.headers is not None:
                body = {**self._endpoint.headers(self._headers), **(body or {})}
            if self._endpoint.asked is not None and body is not None:
                body = {**self._endpoint.asked(self._asked), **body}
            if self._endpoint.place is not None and body is not None:
                body = {**self._endpoint.place(self._path), **body}
            return Reading() if body is None else self._endpoint.read(self._provider.adapt(body))
        except Exception as failure:  # noqa: BLE001 - as above
            faults.report("capture.body", failure)
            return Reading()

    def _outcome(self, reading: Reading, how: End, error: BaseException | None, ended: int | None = None) -> Outcome:
        state, usage, estimated = self._usage(reading, how)
        return Outcome(
            status=self._status(reading, how),
            usage_state=state,
            usage=usage,
            estimated=estimated,
            reading=reading,
            error_type=self._error_type(reading, error),
            ended_ticks=time.perf_counter_ns() if ended is None else ended,
            first_chunk_ticks=self._first,
            resends=self.resends,
        )

    def _usage(  # noqa: PLR0911 - one for each state
        self, reading: Reading, how: End
    ) -> tuple[UsageState, Usage, bool]:
        """Where the usage stands, the quantities to price, and whether they are an estimate."""
        endpoint, known = self._endpoint, self._open.call.usage
        if reading.invalid is not None:
            return "invalid", NO_USAGE, False
        streamed = self._reader is not None and not isinstance(self._reader, JsonReader)
        if reading.usage is not None and (reading.final or not streamed):
            return "reported", {**known, **reading.usage} if endpoint.adds else reading.usage, False
        told = known and reading.usage is None and reading.error is None and not endpoint.adds
        if told or not endpoint.body:  # the request alone tells
            return "reported", known, False
        if endpoint.free or reading.error is not None:
            return "none", NO_USAGE, False
        if self._reader is not None and how != "read" and isinstance(self._reader, JsonReader):
            return "unread", NO_USAGE, False
        seen = 0 if self._reader is None else self._reader.seen_tokens()
        if reading.usage is not None:
            return self._at_least(reading.usage, seen)
        if not endpoint.text or self._reader is None:
            return "missing", NO_USAGE, False
        return "missing", {"input_tokens": tokens_of_request(self._asked), "output_tokens": seen}, True

    @staticmethod
    def _at_least(usage: Usage, seen: int) -> tuple[UsageState, Usage, bool]:
        """A provisional usage, with the text seen since in place of a smaller count of output."""
        reported = usage.get("output_tokens", 0)
        return "reported", {**usage, "output_tokens": max(reported, seen)}, True

    def _status(self, reading: Reading, how: End) -> Status:
        """A stream whose end never came is a part, even if the connection ended in good order."""
        if reading.error is not None:
            return "error"
        reader = self._reader
        cut = (
            reader is not None
            and bool(self._endpoint.ends)
            and not isinstance(reader, JsonReader)
            and not reader.complete
            and not (reading.usage is not None and reading.final)
        )
        return "partial" if cut or how != "read" else "ok"

    def _error_type(self, reading: Reading, error: BaseException | None) -> str | None:
        if error is not None:
            return type(error).__qualname__
        return reading.error or (None if self._reader is None else self._reader.error)
