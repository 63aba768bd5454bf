"""DPS over MQTT, with the CSR that Microsoft's own device SDKs do not send.

Facts: Azure docs, iot-mqtt-connect-to-iot-dps.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote

from fleetcert.device.credential import Onboarding
from fleetcert.device.csr import to_wire
from fleetcert.device.dps_https import TOKEN_LIFE
from fleetcert.device.errors import RegistrationRefused
from fleetcert.device.link import Dial, MqttLink, NotAuthorized
from fleetcert.device.registration import API_VERSION, DpsAnswer
from fleetcert.device.tls import client_context
from shared.errors import InfrastructureFault

RESPONSES: Final = "$dps/registrations/res/"
_CLIENT_VERSION: Final = quote("fleetcert-agent/1", safe="")


@dataclass(frozen=True, slots=True)
class MqttDps:
    """A `DpsTransport`. host: without scheme. ca_bundle: None: the system's CAs."""

    host: str
    id_scope: str
    onboarding: Onboarding
    ca_bundle: Path | None = None
    port: int = 8883

    @contextmanager
    def connect(self, registration_id: str) -> Iterator[MqttExchange]:
        """Raises: RegistrationRefused (401, for a token that DPS does not take), InfrastructureFault."""
        exchange = MqttExchange(self, registration_id)
        try:
            exchange.open()
            yield exchange
        finally:
            exchange.close()


class MqttExchange:
    """Register and poll on one connection."""

    def __init__(self, way: MqttDps, registration_id: str) -> None:
        self._way = way
        self._registration_id = registration_id
        self._request_ids = itertools.count(1)
        self._link = MqttLink(_dial(way, registration_id), self._receive)

    def open(self) -> None:
        """Raises: RegistrationRefused, InfrastructureFault."""
        try:
            self._link.open(self._way.host, self._way.port)
        except NotAuthorized as refusal:
            raise RegistrationRefused(401, str(refusal)) from refusal
        self._link.subscribe(f"{RESPONSES}#", 1)

    def register(self, request: bytes) -> DpsAnswer:
        """Asks for a registration. Raises: InfrastructureFault."""
        body = {"registrationId": self._registration_id, "csr": to_wire(request)}
        return self._ask("PUT/iotdps-register", "", json.dumps(body).encode())

    def poll(self, operation_id: str) -> DpsAnswer:
        """Asks how the registration stands. Raises: InfrastructureFault."""
        return self._ask("GET/iotdps-get-operationstatus", f"&operationId={quote(operation_id, safe='')}", b"")

    def close(self) -> None:
        """Ends the connection."""
        self._link.close()

    def _ask(self, action: str, query: str, body: bytes) -> DpsAnswer:
        request_id = str(next(self._request_ids))
        answer = self._link.expect(request_id)
        self._link.tell(f"$dps/registrations/{action}/?$rid={request_id}{query}", body)
        said: DpsAnswer = self._link.result(answer, "a registration")
        return said

    def _receive(self, topic: str, body: bytes) -> None:
        """`$dps/registrations/res/{status}/?$rid={request id}&retry-after={seconds}`; others answer nobody."""
        status, _, query = topic.removeprefix(RESPONSES).partition("/?")
        fields = dict(parse_qsl(query))
        if status.isdecimal() and "$rid" in fields:
            retry = fields.get("retry-after", "")
            pause = timedelta(seconds=int(retry)) if retry.isdecimal() else None
            self._link.answer(fields["$rid"], DpsAnswer(int(status), body, pause))


def _dial(way: MqttDps, registration_id: str) -> Dial:
    resource = f"{way.id_scope}/registrations/{registration_id}"
    try:
        tls = client_context(way.ca_bundle, way.onboarding.present)
    except OSError as problem:  # ssl.SSLError is one
        raise InfrastructureFault("TLS", str(problem)) from problem
    return Dial(
        service="DPS",
        client_id=registration_id,
        user_name=f"{resource}/api-version={API_VERSION}&ClientVersion={_CLIENT_VERSION}",
        tls=tls,
        password=way.onboarding.token(resource, datetime.now(UTC) + TOKEN_LIFE),
    )
