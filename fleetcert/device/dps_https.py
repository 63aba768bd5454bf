"""DPS over HTTPS, by the standard library alone.

A certificate authenticates by mutual TLS, a symmetric key by a token. Where the environment names a proxy for https
(`https_proxy`, `no_proxy`), TLS goes through its tunnel, end to end.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from fleetcert.device.credential import Onboarding
from fleetcert.device.csr import to_wire
from fleetcert.device.registration import API_VERSION, DpsAnswer
from fleetcert.device.tls import client_context
from shared.errors import InfrastructureFault

TOKEN_LIFE: Final = timedelta(hours=1)
_TIMEOUT_SECONDS: Final = 30.0
_LARGEST_ANSWER: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class HttpsDps:
    """A `DpsTransport`. endpoint: base URL. ca_bundle: None: the system's CAs."""

    endpoint: str
    id_scope: str
    onboarding: Onboarding
    ca_bundle: Path | None = None

    @contextmanager
    def connect(self, registration_id: str) -> Iterator[HttpsExchange]:
        """Raises: InfrastructureFault; the connection itself is made with the first request."""
        try:
            tls = client_context(self.ca_bundle, self.onboarding.present)
        except OSError as problem:  # ssl.SSLError is one
            raise InfrastructureFault("TLS", str(problem)) from problem
        connection = _connection(self.endpoint, tls)
        try:
            yield HttpsExchange(connection, self, registration_id)
        finally:
            connection.close()


class HttpsExchange:
    """Register and poll on one connection, which is made anew where the server has closed it meanwhile."""

    def __init__(self, connection: HTTPSConnection, way: HttpsDps, registration_id: str) -> None:
        self._connection = connection
        self._way = way
        self._registration_id = registration_id
        base = urlsplit(way.endpoint).path.rstrip("/")
        self._path = f"{base}/{quote(way.id_scope, safe='')}/registrations/{quote(registration_id, safe='')}"

    def register(self, request: bytes) -> DpsAnswer:
        """Asks for a registration. Raises: InfrastructureFault."""
        body = {"registrationId": self._registration_id, "csr": to_wire(request)}
        return self._ask("PUT", f"{self._path}/register", body)

    def poll(self, operation_id: str) -> DpsAnswer:
        """Asks how the registration stands. Raises: InfrastructureFault."""
        path = f"{self._path}/operations/{quote(operation_id, safe='')}"
        try:
            return self._ask("GET", path)
        except InfrastructureFault:  # the server may have ended the connection while it was idle
            self._connection.close()
            return self._ask("GET", path)

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> DpsAnswer:
        content = None if body is None else json.dumps(body).encode()
        try:
            self._connection.request(method, f"{path}?api-version={API_VERSION}", content, self._headers())
            response = self._connection.getresponse()
            document = response.read(_LARGEST_ANSWER)
        except (OSError, HTTPException) as problem:
            raise InfrastructureFault("DPS", str(problem) or type(problem).__name__) from problem
        return DpsAnswer(response.status, document, _retry_after(response.getheader("retry-after", "")))

    def _headers(self) -> dict[str, str]:
        resource = f"{self._way.id_scope}/registrations/{self._registration_id}"
        token = self._way.onboarding.token(resource, datetime.now(UTC) + TOKEN_LIFE)
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        return headers | ({"Authorization": token} if token else {})


def _connection(endpoint: str, tls: ssl.SSLContext) -> HTTPSConnection:
    target = urlsplit(endpoint)
    if target.scheme != "https" or not target.hostname:
        raise InfrastructureFault("DPS", f"{endpoint!r} is no https URL")
    proxy = urlsplit(getproxies().get("https", ""))
    if not proxy.hostname or proxy_bypass(target.netloc):
        return HTTPSConnection(target.hostname, target.port, timeout=_TIMEOUT_SECONDS, context=tls)
    connection = HTTPSConnection(proxy.hostname, proxy.port, timeout=_TIMEOUT_SECONDS, context=tls)
    connection.set_tunnel(target.hostname, target.port or 443)
    return connection


def _retry_after(text: str) -> timedelta | None:
    return timedelta(seconds=int(text)) if text.isdecimal() else None
