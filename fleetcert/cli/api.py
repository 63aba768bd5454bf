"""A client of the HTTP API, for the command line.

What changes something carries an idempotency key, so that it may be sent again after a fault and is done once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, Final, Self
from urllib.parse import quote
from uuid import uuid4

import httpx

from shared.errors import FleetcertError

LOCAL_AZURE: Final = Path(".local/azure.json")
"""What a running local Azure writes about itself; the default where it is there."""

_PAGE: Final = 500
_SECONDS: Final = 60.0
_TRIES: Final = 4
_LONGEST_WAIT: Final = 30.0
_PIECE: Final = 4 * 2**20
_REASON_PHRASE_OF_OTHERS: Final = "this is no answer of fleetcert: is the URL right?"
_AGAIN: Final = frozenset(
    {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT}
)

type Document = Mapping[str, Any]


class ApiError(FleetcertError):
    """The API refused, or was not reached. The message is for people."""


class FleetApi:
    """The API at a base URL, for the bearer of a token. A context manager, which closes the connections."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=f"{url.rstrip('/')}/api/", headers=headers, timeout=_SECONDS)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """FLEETCERT_URL and FLEETCERT_TOKEN, else the local Azure. Raises: ApiError where there is neither."""
        url, token = environment.get("FLEETCERT_URL"), environment.get("FLEETCERT_TOKEN")
        if url and token:
            return cls(url, token)
        if url or token:
            raise ApiError("set both FLEETCERT_URL and FLEETCERT_TOKEN, or none of them")
        if not LOCAL_AZURE.exists():
            raise ApiError(f"there is no {LOCAL_AZURE}: run `make up`, or set FLEETCERT_URL and FLEETCERT_TOKEN")
        local = json.loads(LOCAL_AZURE.read_text())
        if not local["functions_url"]:
            raise ApiError("the local Azure runs without the app")
        return cls(local["functions_url"], local["roles"]["all"])

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the connections."""
        self._http.close()

    def get(self, path: str) -> Document:
        """What stands below `/api/`, e.g. `fleet/summary`. Raises: ApiError."""
        return _json(self._call("GET", path))

    def post(self, path: str, body: Document) -> Document:
        """Changes something, once however often it has to be sent. Raises: ApiError."""
        return _json(self._call("POST", path, json=dict(body), headers={"Idempotency-Key": str(uuid4())}))

    def pages(self, path: str, member: str, limit: int, wanted: Mapping[str, str] | None = None) -> Iterator[Document]:
        """At most `limit` members of a list, page by page. Raises: ApiError."""
        cursor: str | None = None
        while limit > 0:
            parameters = {**(wanted or {}), "limit": str(min(limit, _PAGE)), **({"cursor": cursor} if cursor else {})}
            page = _json(self._call("GET", path, params=parameters))
            yield from page[member]
            limit, cursor = limit - len(page[member]), page["cursor"]
            if cursor is None:
                return

    def download(self, path: str, out: BinaryIO) -> Iterator[tuple[int, int]]:
        """Writes a file in pieces: how many bytes are there, of how many. Raises: ApiError."""
        done, size = 0, 1
        while done < size:
            answer = self._call("GET", path, headers={"Range": f"bytes={done}-{done + _PIECE - 1}"})
            out.write(answer.content)
            done += len(answer.content)
            size = int(answer.headers["content-range"].rpartition("/")[2])
            yield done, size

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Sends until there is an answer that another attempt would not better."""
        for attempt in range(_TRIES):
            is_last = attempt == _TRIES - 1
            try:
                answer = self._http.request(method, path, **request)
            except httpx.HTTPError as problem:
                if is_last or isinstance(problem, httpx.ConnectError):
                    raise ApiError(f"{self._http.base_url} cannot be reached: {problem}") from problem
                time.sleep(2**attempt / 4)
                continue
            if answer.is_success:
                return answer
            if is_last or answer.status_code not in _AGAIN:
                break
            time.sleep(_wait(answer, attempt))
        raise ApiError(_problem(answer))


def device_path(device_id: str, *rest: str) -> str:
    """A device's path, or of what lies below it. Raises: ApiError for an id that no path can hold."""
    if device_id in (".", ".."):
        raise ApiError(f"no path can hold the id {device_id!r}: choose it with --ids-from")
    return "/".join(("devices", quote(device_id, safe=""), *rest))


def _json(answer: httpx.Response) -> Document:
    document: Document = answer.json()
    return document


def _wait(answer: httpx.Response, attempt: int) -> float:
    """The seconds that the answer asks for, within reason."""
    asked = answer.headers.get("retry-after", "")
    return min(float(asked) if asked.isdecimal() else 2.0**attempt, _LONGEST_WAIT)


def _problem(answer: httpx.Response) -> str:
    """A problem document (RFC 9457) in one line, or what else came."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return f"{answer.status_code} {answer.reason_phrase}: {_REASON_PHRASE_OF_OTHERS}"
    problem = answer.json()
    return f"{problem['title']}: {problem.get('detail', '')} ({answer.status_code})"
