"""A device as the hub holds it: identity, twin, queue, and its session while it is connected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509

from fleetcert.local.instants import precise_or_never
from fleetcert.local.iothub.device_queue import DeviceQueue
from fleetcert.local.iothub.identity import Identity, authentication_document
from fleetcert.local.iothub.merge import Document
from fleetcert.local.iothub.twin import Twin


class LiveSession(Protocol):
    """A connected device, as the hub's other parts use it."""

    @property
    def certificate(self) -> x509.Certificate | None:
        """The certificate that opened the session; None for symmetric keys."""

    @property
    def connected_at(self) -> datetime:
        """When the session was opened."""

    def deliver_messages(self) -> None:
        """Sends what waits in the device's queue."""

    def notify_desired(self, patch: Mapping[str, Any], version: int) -> None:
        """Tells the device of changed desired properties."""

    def answer_issuance(self, status: int, request_id: str, document: Mapping[str, Any]) -> None:
        """Answers a request for a certificate."""

    def end(self, reason: str) -> None:
        """Closes the connection."""


@dataclass(slots=True, eq=False)
class Device:
    """A device. `subscriptions` outlive its connections (CONNECT without clean session): topic filter to QoS."""

    identity: Identity
    queue: DeviceQueue
    twin: Twin = field(default_factory=Twin)
    subscriptions: dict[str, int] = field(default_factory=dict)
    session: LiveSession | None = None

    @property
    def device_id(self) -> str:
        """The device id."""
        return self.identity.device_id

    def end_session(self, reason: str) -> None:
        """Disconnects the device if it is connected."""
        if self.session is not None:
            self.session.end(reason)

    def identity_document(self) -> Document:
        """The identity as the REST API gives it."""
        return self.identity.document(connected=self.session is not None, pending_messages=len(self.queue))

    def twin_document(self) -> Document:
        """The whole twin as the REST API and queries give it (api-version 2021-04-12)."""
        identity = self.identity
        authentication = authentication_document(identity.written.authentication)
        return {
            "deviceId": identity.device_id,
            "etag": self.twin.etag,
            "deviceEtag": identity.etag,
            "status": identity.written.status,
            "statusReason": identity.written.status_reason,
            "statusUpdateTime": precise_or_never(identity.status_updated_at),
            "connectionState": "Disconnected" if self.session is None else "Connected",
            "lastActivityTime": precise_or_never(identity.last_activity_at),
            "cloudToDeviceMessageCount": len(self.queue),
            "authenticationType": authentication["type"],
            "x509Thumbprint": authentication["x509Thumbprint"],
            "modelId": "",
            "version": self.twin.version,
            "tags": self.twin.tags,
            "properties": self.twin_properties(),
            "capabilities": dict(identity.written.capabilities),
        }

    def twin_properties(self) -> Document:
        """Desired and reported properties with their metadata."""
        return {"desired": self.twin.desired.document(), "reported": self.twin.reported.document()}
