"""One Alertmanager: what fires is posted to its API, again and again, until it is over."""

from __future__ import annotations

import math
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import requests

from otel_aicost import faults
from otel_aicost.config import shown_url
from otel_aicost.errors import AICostError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from otel_aicost.server.pages import Labels, Page

PATH: Final = "/api/v2/alerts"
SECONDS: Final = 5.0
"""The longest that one try may take to connect, and to answer."""
LASTS_SECONDS: Final = 300
"""Alertmanager takes an alert for resolved when it was not heard of for so long."""
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
_SECOND: Final = 10**9


class PostError(AICostError):
    """Alertmanager did not take the alerts; the text holds no secret."""


class Alertmanager:
    """Posts what fires from a thread of its own, so that one that hangs holds up nobody else."""

    def __init__(self, url: str) -> None:
        """`url` as a browser has it, a path before `/api` and `user:password@` included."""
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._changed = threading.Condition()
        self._firing: Mapping[Labels, Page] | None = None
        self._closing = False
        self.posted = 0
        """Posts that were taken, and (below) tries that were not."""
        self.failed = 0
        self._thread = threading.Thread(target=self._run, name="aicost-alertmanager", daemon=True)
        self._thread.start()

    def __str__(self) -> str:
        return shown_url(self._url)

    def tell(self, firing: Mapping[Labels, Page]) -> None:
        """Post that these fire, and that whatever fired before does no more. It returns at once."""
        with self._changed:
            self._firing = dict(firing)
            self._changed.notify()

    def close(self) -> None:
        """Post no more. What fires ends by itself in Alertmanager, unless somebody else tells of it."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def _run(self) -> None:
        told: Mapping[Labels, Page] = {}
        pause = 0.0
        while (firing := self._next(pause)) is not None:
            try:
                self._post(firing, [page for labels, page in told.items() if labels not in firing])
            except PostError as error:
                self.failed += 1
                faults.say(str(self), "budget alerts were not posted and are tried again: %s", error)
                pause = min(LONGEST_PAUSE, pause * 2 or FIRST_PAUSE)
                self._again(firing)
            else:
                told, pause = firing, 0.0

    def _next(self, pause: float) -> Mapping[Labels, Page] | None:
        """What to post next, after the pause; `None` at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing, pause)
            self._changed.wait_for(lambda: self._closing or self._firing is not None)
            firing, self._firing = self._firing, None
            return None if self._closing else firing

    def _again(self, firing: Mapping[Labels, Page]) -> None:
        with self._changed:
            if self._firing is None:  # else there is news
                self._firing = firing

    def _post(self, firing: Mapping[Labels, Page], over: Sequence[Page]) -> None:
        now = time.time()
        alerts = [_document(page, min(now + LASTS_SECONDS, page.until or math.inf)) for page in firing.values()]
        alerts += [_document(page, now) for page in over]
        if not alerts:
            return
        try:
            answer = self._session.post(f"{self._url}{PATH}", json=alerts, timeout=SECONDS, allow_redirects=False)
        except (requests.RequestException, ValueError) as error:
            msg = f"{self} cannot be reached ({_reason(error)})"
            raise PostError(msg) from None
        if answer.status_code != requests.codes.ok:
            msg = f"{self} answered {answer.status_code}: {' '.join(answer.text.split())[:200]}"
            raise PostError(msg)
        self.posted += 1


def _document(page: Page, ends: float) -> dict[str, Any]:
    return {
        "labels": dict(page.labels),
        "annotations": dict(page.annotations),
        "startsAt": _iso(min(page.starts_ns / _SECOND, ends)),
        "endsAt": _iso(ends),
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def _reason(error: Exception) -> str:
    """The innermost reason: what is around it repeats the address, password included."""
    inner: BaseException = error
    while (cause := getattr(inner, "reason", None) or inner.__cause__ or inner.__context__) is not None:
        if not isinstance(cause, BaseException):
            break
        inner = cause
    return (getattr(inner, "strerror", None) or type(inner).__name__).strip()
