"""A client of the HTTP API, for the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from shared.errors import FleetcertError

LOCAL_AZURE: Final = Path(".local/azure.json")
"""What a running local Azure writes about itself; the default where it is there."""

_PAGE: Final = 500
_SECONDS: Final = 30.0
_REASON_PHRASE_OF_OTHERS: Final = "this is no answer of fleetcert: is the URL right?"


class ApiError(FleetcertError):
    """The API refused, or was not reached. The message is for people."""


class FleetApi:
    """The API at a base URL, for the bearer of a token. A context manager, which closes the connections."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=f"{url.rstrip('/')}/api", headers=headers, timeout=_SECONDS)

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

    def devices(self, limit: int) -> Iterator[Mapping[str, Any]]:
        """At most `limit` devices by expiry, page by page. Raises: ApiError."""
        cursor: str | None = None
        while limit > 0:
            parameters = {"limit": str(min(limit, _PAGE)), **({"cursor": cursor} if cursor else {})}
            page = self._call("GET", "/devices", params=parameters)
            yield from page["devices"]
            limit, cursor = limit - len(page["devices"]), page["cursor"]
            if cursor is None:
                return

    def device(self, device_id: str) -> Mapping[str, Any]:
        """One device. Raises: ApiError."""
        return self._call("GET", _path(device_id))

    def act(self, device_id: str, verb: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """`renew` or `disable`; the device as it is then. Raises: ApiError."""
        return self._call("POST", f"{_path(device_id)}/{verb}", json=dict(body))

    def _call(self, method: str, path: str, **request: Any) -> Mapping[str, Any]:
        try:
            answer = self._http.request(method, path, **request)
        except httpx.HTTPError as problem:
            raise ApiError(f"{self._http.base_url} cannot be reached: {problem}") from problem
        if not answer.is_success:
            raise ApiError(_problem(answer))
        document: Mapping[str, Any] = answer.json()
        return document


def _path(device_id: str) -> str:
    return f"/devices/{quote(device_id, safe='')}"


def _problem(answer: httpx.Response) -> str:
    """A problem document (RFC 9457) in one line, or what else came."""
    if not answer.headers.get("content-type", "").startswith("application/problem+json"):
        return f"{answer.status_code} {answer.reason_phrase}: {_REASON_PHRASE_OF_OTHERS}"
    problem = answer.json()
    return f"{problem['title']}: {problem.get('detail', '')} ({answer.status_code})"
