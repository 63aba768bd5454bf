"""A connected device: what it publishes and subscribes to, and what the hub sends it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509

from fleetcert.local.assumptions import Assumptions
from fleetcert.local.iothub import topics
from fleetcert.local.iothub.cloud_to_device import CloudToDevice
from fleetcert.local.iothub.device import Device
from fleetcert.local.iothub.device_queue import QueuedMessage
from fleetcert.local.iothub.errors import HubError, invalid_argument
from fleetcert.local.iothub.issuance import Issuance
from fleetcert.local.iothub.observations import Observations
from fleetcert.local.iothub.routes import Routes
from fleetcert.local.iothub.twins import Twins
from fleetcert.local.ports import MqttConnection
from shared.clock import Clock

_LOG = logging.getLogger(__name__)
_ISSUANCE_SINCE: Final = "2025-08-01"
_REFUSED: Final = 0x80


@dataclass(frozen=True, slots=True)
class SessionServices:
    """The parts of the hub that sessions use."""

    twins: Twins
    messages: CloudToDevice
    issuance: Issuance
    routes: Routes
    observations: Observations
    assumptions: Assumptions
    clock: Clock


class DeviceSession:
    """One connection of a device: an `MqttSession` to the server and a `LiveSession` to the hub.

    session_present: whether subscriptions of an earlier connection hold on.
    """

    def __init__(
        self,
        device: Device,
        connection: MqttConnection,
        services: SessionServices,
        certificate: x509.Certificate | None,
        *,
        api_version: str,
        clean_session: bool,
    ) -> None:
        self.certificate = certificate
        self.connected_at = services.clock.now()
        self.session_present = False
        self._device = device
        self._connection = connection
        self._services = services
        self._clean_session = clean_session
        self._may_renew = api_version >= _ISSUANCE_SINCE
        self._locked: dict[int, QueuedMessage] = {}
        self._expiry: asyncio.TimerHandle | None = None
        self._open = True

    def begin(self) -> None:
        """Takes the place of an earlier session of the device; queued messages follow the CONNACK."""
        loop, device = asyncio.get_running_loop(), self._device
        device.end_session("400027: a new connection of the same device")
        if self._clean_session:
            device.subscriptions.clear()
        self.session_present = bool(device.subscriptions)
        device.session = self
        device.identity.connection_updated_at = device.identity.last_activity_at = self.connected_at
        self._services.observations.of(device.device_id).last_certificate = self.certificate
        self._services.routes.connection_changed(device.device_id, connected=True)
        self._watch_certificate()
        loop.call_soon(self.deliver_messages)

    def on_publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Telemetry, twin requests, certificate requests; anything else ends the connection, as in Azure."""
        self._device.identity.last_activity_at = self._services.clock.now()
        if topic.startswith(topics.telemetry(self._device.device_id)):
            self._services.observations.of(self._device.device_id).telemetry += 1
        elif topic.startswith((topics.TWIN_GET, topics.TWIN_REPORT)):
            self._serve_twin(topic, payload)
        elif topic.startswith(topics.ISSUE_CERTIFICATE) and self._may_renew:
            self._serve_issuance(topic, payload)
        elif not topic.startswith(topics.METHOD_RESPONSES):
            self.end(f"a PUBLISH to {topic.partition('?')[0]}")

    def on_subscribe(self, topic_filter: str, qos: int) -> int:
        """Grants IoT Hub's own topics, QoS 1 at most. Queued messages follow the SUBACK."""
        if topic_filter not in self._subscribable():
            return _REFUSED
        granted = self._device.subscriptions[topic_filter] = min(qos, 1)
        if topic_filter == topics.device_bound(self._device.device_id):
            asyncio.get_running_loop().call_soon(self.deliver_messages)
        return granted

    def on_unsubscribe(self, topic_filter: str) -> None:
        """Forgets the subscription."""
        self._device.subscriptions.pop(topic_filter, None)

    def on_puback(self, packet_id: int) -> None:
        """A cloud-to-device message was taken; the acknowledgement of anything else changes nothing."""
        if (message := self._locked.pop(packet_id, None)) is not None:
            self._services.messages.acknowledge(self._device, message)

    def on_closed(self) -> None:
        """The connection is gone."""
        self._finish("the connection was closed")

    def end(self, reason: str) -> None:
        """Closes the connection."""
        self._finish(reason)
        self._connection.close()

    def deliver_messages(self) -> None:
        """Sends what waits in the queue; at QoS 0 a message is done when it is sent."""
        qos = self._device.subscriptions.get(topics.device_bound(self._device.device_id))
        while self._open and qos is not None:
            message = self._services.messages.next_for(self._device)
            if message is None:
                return
            topic = topics.message_topic(self._device.device_id, message)
            packet_id = self._connection.publish(topic, message.body, qos)
            if packet_id is None:
                self._services.messages.acknowledge(self._device, message)
            else:
                self._locked[packet_id] = message

    def notify_desired(self, patch: Mapping[str, Any], version: int) -> None:
        """Tells the device of changed desired properties, if it wants to know."""
        self._send(topics.DESIRED_PATCHES, topics.desired_patch(version), {**patch, "$version": version})

    def answer_issuance(self, status: int, request_id: str, document: Mapping[str, Any]) -> None:
        """Answers a request for a certificate."""
        self._send(topics.CREDENTIAL_RESPONSES, topics.credential_response(status, request_id), document)

    def _finish(self, reason: str) -> None:
        if not self._open:
            return
        self._open = False
        device, now = self._device, self._services.clock.now()
        if self._expiry is not None:
            self._expiry.cancel()
        device.session = None
        if self._clean_session:
            device.subscriptions.clear()
        device.identity.connection_updated_at = now
        self._services.observations.of(device.device_id).session_ends.append((now, reason))
        self._services.messages.release(device)
        self._services.routes.connection_changed(device.device_id, connected=False)
        _LOG.info("session of %s ended: %s", device.device_id, reason)

    def _watch_certificate(self) -> None:
        """Ends the session with the certificate that opened it, where that is assumed of Azure."""
        if self.certificate is None or not self._services.assumptions.session_ends_with_certificate:
            return
        left = self._left(self.certificate.not_valid_after_utc)
        if left <= 0:
            self.end("the certificate of the session expired")
        else:
            self._expiry = asyncio.get_running_loop().call_later(left, self._watch_certificate)

    def _left(self, instant: datetime) -> float:
        return (instant - self._services.clock.now()).total_seconds()

    def _subscribable(self) -> frozenset[str]:
        own = {topics.device_bound(self._device.device_id), topics.TWIN_RESPONSES, topics.DESIRED_PATCHES}
        renewal = {topics.CREDENTIAL_RESPONSES} if self._may_renew else set()
        return frozenset(own | renewal | {topics.METHOD_REQUESTS})

    def _serve_twin(self, topic: str, payload: bytes) -> None:
        request_id = topics.query_of(topic).get("$rid")
        if request_id is None:
            return
        try:
            answer, document = self._twin_answer(topic, request_id, payload)
        except HubError as error:
            answer = topics.twin_response(error.status, request_id)
            document = error.device_document(self._services.clock.now())
        self._send(topics.TWIN_RESPONSES, answer, document)

    def _twin_answer(self, topic: str, request_id: str, payload: bytes) -> tuple[str, Mapping[str, Any] | None]:
        twin = self._device.twin
        if topic.startswith(topics.TWIN_GET):
            both = {"desired": twin.desired.device_document(), "reported": twin.reported.device_document()}
            return topics.twin_response(200, request_id), both
        try:
            patch = json.loads(payload)
        except ValueError as problem:
            raise invalid_argument("The reported properties are not JSON.") from problem
        version = self._services.twins.report(self._device, patch)
        return topics.twin_response(204, request_id, version), None

    def _serve_issuance(self, topic: str, payload: bytes) -> None:
        request_id = topics.query_of(topic).get("$rid")
        if request_id is None or topics.CREDENTIAL_RESPONSES not in self._device.subscriptions:
            return
        try:
            accepted = self._services.issuance.request(self._device, request_id, payload)
        except HubError as error:
            self.answer_issuance(error.status, request_id, error.device_document(self._services.clock.now()))
        else:
            self.answer_issuance(202, request_id, accepted)

    def _send(self, subscription: str, topic: str, document: Mapping[str, Any] | None) -> None:
        qos = self._device.subscriptions.get(subscription)
        if self._open and qos is not None:
            payload = b"" if document is None else json.dumps(document, separators=(",", ":")).encode()
            self._connection.publish(topic, payload, qos)
