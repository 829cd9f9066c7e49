"""Asking an admin API over HTTPS: with a key that goes nowhere else, page by page, patiently."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from decimal import Decimal
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import requests

from otel_aicost.bills.bill import BillError, unexpected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Parameters = Sequence[tuple[str, str]]

TRIES: Final = 4
CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 60.0
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 20.0
MOST_PAGES: Final = 1_000
_AGAIN: Final = frozenset({408, 409, 429, 500, 502, 503, 504, 529})


@dataclass(frozen=True, slots=True)
class Access:
    """Where to ask, and as whom."""

    base_url: str
    header: str
    """The header that carries the key, and what stands before it there."""
    before: str
    key: str
    variable: str
    """The environment variable the key came from: what an error names instead of the key."""
    where: str
    """Where such keys are made."""
    others: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Access({self.base_url!r}, {self.variable})"


class Door:
    """One admin API. Every error is a `BillError` that names neither the key nor a part of it."""

    def __init__(self, access: Access, told: Callable[[str], object] = lambda _: None) -> None:
        """`told` is called with what is waited for."""
        self._access = access
        self._told = told
        self._base = _checked(access.base_url)
        self._session = requests.Session()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def buckets(self, path: str, parameters: Parameters) -> Iterator[Mapping[str, Any]]:
        """Every bucket of every page of `path`."""
        token: str | None = None
        seen: set[str] = set()
        for _ in range(MOST_PAGES):
            page = self._page(path, [*parameters, *([("page", token)] if token else [])])
            data = page.get("data")
            if not isinstance(data, list) or not all(isinstance(each, dict) for each in data):
                msg = f"{path} has no list of buckets under `data`"
                raise unexpected(msg)
            yield from data
            token = page.get("next_page") if page.get("has_more") else None
            if token is None:
                return
            if not isinstance(token, str) or token in seen:
                msg = f"{path} gives the same page again and again"
                raise unexpected(msg)
            seen.add(token)
        msg = f"{path} has more than {MOST_PAGES:,} pages"
        raise unexpected(msg)

    def _page(self, path: str, parameters: Parameters) -> dict[str, Any]:
        response = self._answered(self._base + path, parameters)
        try:
            page = json.loads(response.content, parse_float=Decimal)
        except (ValueError, RecursionError):
            msg = f"{path} is no JSON"
            raise unexpected(msg) from None
        if not isinstance(page, dict):
            msg = f"{path} is no JSON object"
            raise unexpected(msg)
        return page

    def _answered(self, url: str, parameters: Parameters) -> requests.Response:
        pause = FIRST_PAUSE
        for again in range(TRIES - 1, -1, -1):
            try:
                response = self._session.get(
                    url,
                    params=list(parameters),
                    auth=self._signed,  # also keeps `requests` from putting a password of ~/.netrc in its place
                    timeout=(CONNECT_SECONDS, ANSWER_SECONDS),
                    allow_redirects=False,  # the key is for this host
                )
            except (requests.ConnectionError, requests.Timeout) as error:
                if not again:
                    msg = f"{self._base} cannot be reached: {_reason(error)}"
                    raise BillError(msg) from None
                wait = pause
            except requests.RequestException as error:
                msg = f"{self._base} cannot be asked: {_reason(error)}".replace(self._access.key, "***")
                raise BillError(msg) from None
            else:
                if response.ok and response.status_code not in range(300, 400):
                    return response
                if not again or response.status_code not in _AGAIN:
                    raise self._refused(response)
                wait = _retry_after(response, pause)
            self._told(f"{self._base} does not answer well; asking again in {wait:.0f} s")
            time.sleep(wait)
            pause = min(pause * 3, LONGEST_PAUSE)
        raise AssertionError  # pragma: no cover - the last round returns or raises

    def _signed(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        access = self._access
        request.headers.update({**access.others, access.header: access.before + access.key})
        return request

    def _refused(self, response: requests.Response) -> BillError:
        status, access = response.status_code, self._access
        said = _message(response).replace(access.key, "***")
        if status == requests.codes.unauthorized:
            return BillError(
                f"the key in {access.variable} was not accepted (401{said}); an admin key is needed: {access.where}"
            )
        if status == requests.codes.forbidden:
            return BillError(
                f"the key in {access.variable} may not read costs (403{said}); it must be an admin key of the "
                f"organization: {access.where}"
            )
        if status == requests.codes.too_many_requests:
            return BillError(f"{self._base} is asked too often (429{said}), also after waiting; try again in a minute")
        if status in range(300, 400):
            return BillError(f"{self._base} sends us elsewhere ({status}), and the key is not sent on; see --base-url")
        return BillError(f"{self._base} answered {status}{said}")


def _checked(base_url: str) -> str:
    try:
        parts = urlsplit(base_url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if parts.scheme not in {"http", "https"} or not host or parts.query or parts.fragment or parts.username:
        msg = "--base-url: expected an address such as https://api.openai.com"
        raise BillError(msg)
    if parts.scheme == "http" and not _loopback(host):
        msg = "--base-url: a key is sent over https only, except to this machine"
        raise BillError(msg)
    return base_url.rstrip("/")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _retry_after(response: requests.Response, pause: float) -> float:
    text = response.headers.get("Retry-After", "")
    try:
        wanted = float(text)
    except ValueError:
        try:
            wanted = parsedate_to_datetime(text).timestamp() - time.time()
        except (ValueError, TypeError):
            wanted = pause
    return min(max(wanted, 0.0), LONGEST_PAUSE)


def _message(response: requests.Response) -> str:
    """What the provider says of it, as far as it is text."""
    try:
        error = response.json().get("error")
        text = error.get("message") if isinstance(error, dict) else error
    except (ValueError, AttributeError, RecursionError):
        return ""
    return f": {' '.join(text.split())[:200]}" if isinstance(text, str) else ""


def _reason(error: BaseException) -> str:
    """The end of the chain of an error of `requests`: what the operating system says."""
    if isinstance(error, requests.Timeout):
        return "it does not answer in time"
    reason = getattr(error.args[0], "reason", None) if error.args else None
    text = str(reason or error)
    return " ".join(text.rpartition(">: ")[2].rpartition("): ")[2].split())[:200]
