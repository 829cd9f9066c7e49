"""Streamed responses that an SDK opens in a `with` of its own: the response is seen when it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_aicost.capture.boundary import attempt

if TYPE_CHECKING:
    from otel_aicost.capture.boundary import Pending


class Opening:
    """The context manager of a response, inside the SDK: no application gets hold of it."""

    __slots__ = ("_context", "_pending")

    def __init__(self, context: Any, pending: Pending) -> None:  # noqa: ANN401 - of httpx or of the SDK
        self._context = context
        self._pending = pending

    def __enter__(self) -> Any:  # noqa: ANN401 - the SDK's own response
        try:
            response = self._context.__enter__()
        except BaseException as error:
            attempt(self._pending.fail, error)
            raise
        attempt(self._pending.answered, response)
        return response

    def __exit__(self, *error: object) -> bool | None:
        left: bool | None = self._context.__exit__(*error)
        return left

    async def __aenter__(self) -> Any:  # noqa: ANN401
        try:
            response = await self._context.__aenter__()
        except BaseException as error:
            attempt(self._pending.fail, error)
            raise
        attempt(self._pending.answered, response)
        return response

    async def __aexit__(self, *error: object) -> bool | None:
        left: bool | None = await self._context.__aexit__(*error)
        return left
