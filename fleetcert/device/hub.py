"""IoT Hub over MQTT 3.1.1 with the operational certificate.

Facts: Azure docs, iot-mqtt-connect-to-iot-hub; for `$iothub/credentials` the C# SDK's branch feature/iot-csr-preview.
"""

from __future__ import annotations

import itertools
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from fleetcert.device.chains import Chain
from fleetcert.device.csr import chain_from_wire, to_wire
from fleetcert.device.errors import ConnectionRefused, IssuanceError, IssuanceRefused, ReportRefused
from fleetcert.device.link import Dial, MqttLink, NotAuthorized
from fleetcert.device.messages import Message
from fleetcert.device.ports import IssuanceRequest, Operational
from fleetcert.device.tls import client_context
from shared.errors import InfrastructureFault, Throttled

API_VERSION: Final = "2025-08-01-preview"
TWIN_RESPONSES: Final = "$iothub/twin/res/"
CREDENTIAL_RESPONSES: Final = "$iothub/credentials/res/"
THROTTLED: Final = 429
ACCEPTED: Final = 202
_SERVICE: Final = "IoT Hub"


@dataclass(frozen=True, slots=True)
class MqttHub:
    """The way to an IoT Hub.

    ca_bundle: what the hub's server certificate must chain to; None: the system's CAs. timeout: for each answer.
    issuance_timeout: from a request for a certificate to the certificate; Azure keeps a request for half a day, but a
    device can go to DPS meanwhile.
    """

    ca_bundle: Path | None = None
    port: int = 8883
    timeout: timedelta = timedelta(seconds=15)
    issuance_timeout: timedelta = timedelta(minutes=2)

    def connect(
        self, operational: Operational, on_message: Callable[[Message], None], on_lost: Callable[[], None]
    ) -> MqttSession:
        """Connects, and subscribes to cloud-to-device messages and to the twin's answers.

        Raises: ConnectionRefused, InfrastructureFault.
        """
        session = MqttSession(operational, self, on_message, on_lost)
        try:
            session.open()
        except BaseException:  # whatever it was, the connection's thread and socket must not outlive it
            session.close()
            raise
        return session


class MqttSession:
    """One connection to the hub."""

    def __init__(
        self,
        operational: Operational,
        way: MqttHub,
        on_message: Callable[[Message], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._hub, self._device_id = operational.hub, operational.device_id
        self._way = way
        self._on_message = on_message
        self._request_ids = itertools.count(1)
        self._hears_credentials = False
        dial = Dial(
            service=_SERVICE,
            client_id=self._device_id,
            user_name=f"{self._hub}/{self._device_id}/?api-version={API_VERSION}",
            tls=_tls(way.ca_bundle, operational),
            clean_session=False,
            timeout=way.timeout,
        )
        self._link = MqttLink(dial, self._receive, on_lost)

    def open(self) -> None:
        """Raises: ConnectionRefused, InfrastructureFault."""
        try:
            self._link.open(self._hub, self._way.port)
        except NotAuthorized as refusal:
            raise ConnectionRefused(refusal.code, str(refusal)) from refusal
        self._link.subscribe(f"{TWIN_RESPONSES}#", 0)
        self._link.subscribe(f"devices/{self._device_id}/messages/devicebound/#", 1)

    def reported(self) -> Mapping[str, Any]:
        """The reported properties as the twin holds them; none where it does not say.

        Raises: Throttled, InfrastructureFault.
        """
        status, body = self._ask_twin("$iothub/twin/GET/", b"")
        if status != 200:  # what cannot be read is reported once more
            return {}
        reported: Mapping[str, Any] = _object(body).get("reported", {})
        return reported

    def report(self, patch: Mapping[str, Any]) -> None:
        """Patches the reported properties and waits for the hub's answer.

        Raises: ReportRefused, Throttled, InfrastructureFault.
        """
        status, _ = self._ask_twin("$iothub/twin/PATCH/properties/reported/", json.dumps(patch).encode())
        if status >= 400:
            raise ReportRefused(status)

    def request_certificate(self, request: IssuanceRequest) -> Chain:
        """Has the hub sign, and waits for it: 202 says that it will, 200 brings the chain.

        Raises: IssuanceRefused, InfrastructureFault.
        """
        if not self._hears_credentials:
            self._link.subscribe(f"{CREDENTIAL_RESPONSES}#", 1)
            self._hears_credentials = True
        first = self._link.expect(f"202 {request.request_id}")
        last = self._link.expect(request.request_id)
        topic = f"$iothub/credentials/POST/issueCertificate/?$rid={request.request_id}"
        self._link.tell(topic, json.dumps(_issuance_document(self._device_id, request)).encode())
        self._link.result(first, "a request for a certificate")
        status, body = self._link.result(last, "a request for a certificate", self._way.issuance_timeout)
        if status != 200:
            raise IssuanceRefused(_issuance_error(status, body))
        try:
            return chain_from_wire(_object(body)["certificates"])
        except (KeyError, TypeError, ValueError) as problem:
            raise InfrastructureFault(_SERVICE, f"the issued certificate cannot be read: {problem}") from problem

    def send(self, message: Message) -> None:
        """Sends a message to the cloud and waits until the hub has it. Raises: InfrastructureFault."""
        self._link.deliver(message.to_topic(self._device_id), message.body)

    def abort(self) -> None:
        """Ends the connection at once, from any thread: whoever waits gets an InfrastructureFault."""
        self._link.abort()

    def close(self) -> None:
        """Ends the connection in order; nobody is told."""
        self._link.close()

    def _ask_twin(self, topic: str, body: bytes) -> tuple[int, bytes]:
        request_id = str(next(self._request_ids))
        answer = self._link.expect(request_id)
        self._link.tell(f"{topic}?$rid={request_id}", body)
        status, document = self._link.result(answer, "a twin request")
        if status == THROTTLED:
            raise Throttled(_SERVICE, timedelta(seconds=5))
        if status >= 500:
            raise InfrastructureFault(_SERVICE, f"the twin answered {status}")
        return status, document

    def _receive(self, topic: str, body: bytes) -> None:
        for prefix in (TWIN_RESPONSES, CREDENTIAL_RESPONSES):
            if topic.startswith(prefix):
                self._answered(topic.removeprefix(prefix), body)
                return
        self._on_message(Message.from_topic(topic, body))

    def _answered(self, topic: str, body: bytes) -> None:
        """`{status}/?$rid={request id}&..`; what is of another form answers nobody."""
        status, _, query = topic.partition("/?$rid=")
        request_id = query.partition("&")[0]
        if not status.isdecimal():
            return
        self._link.answer(f"{ACCEPTED} {request_id}", None)  # a refusal comes without it
        if int(status) != ACCEPTED:
            self._link.answer(request_id, (int(status), body))


def _tls(ca_bundle: Path | None, operational: Operational) -> ssl.SSLContext:
    try:
        return client_context(ca_bundle, operational.present)
    except OSError as problem:  # ssl.SSLError is one
        raise InfrastructureFault("TLS", str(problem)) from problem


def _issuance_document(device_id: str, request: IssuanceRequest) -> dict[str, str]:
    """Unknown members are refused (400004), so `replace` is there only where it says something."""
    document = {"id": device_id, "csr": to_wire(request.csr)}
    return document | ({"replace": request.replace} if request.replace else {})


def _issuance_error(status: int, body: bytes) -> IssuanceError:
    try:
        document = _object(body)
        retry_after, info = document.get("retryAfter"), document.get("info")
        return IssuanceError(
            code=int(document.get("errorCode") or status * 1000),
            message=str(document.get("message", "")),
            retry_after=timedelta(seconds=float(retry_after)) if retry_after else None,
            info={str(k): str(v) for k, v in info.items()} if isinstance(info, dict) else {},
        )
    except (InfrastructureFault, TypeError, ValueError):
        return IssuanceError(status * 1000, "an answer that cannot be read")


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except ValueError as problem:
        raise InfrastructureFault(_SERVICE, "the answer is no JSON") from problem
    if not isinstance(document, dict):
        raise InfrastructureFault(_SERVICE, "the answer is no JSON object")
    return document
