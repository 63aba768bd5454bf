"""What the emulated services need of each other, as small protocols. Each service implements its own side.

All emulated services share one process and one event loop, so these calls are plain and synchronous.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509


@dataclass(frozen=True, slots=True)
class RoutedEvent:
    """An event on its way into an event hub.

    properties: AMQP application properties. annotations: AMQP message annotations (`iothub-...`).
    """

    body: bytes
    partition_key: str
    properties: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str | datetime] = field(default_factory=dict)
    content_type: str | None = None
    content_encoding: str | None = None
    correlation_id: str | None = None
    user_id: str | None = None


class EventSink(Protocol):
    """The event hubs, as IoT Hub's routes and DPS's diagnostic settings see them."""

    def publish(self, event_hub: str, event: RoutedEvent) -> None:
        """Appends the event to the partition of its key."""


class CsrRefused(Exception):
    """The issuing CA will not sign. `code` is a documented error code (400037: CSR invalid)."""

    def __init__(self, message: str, code: int = 400037) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Registry(Protocol):
    """The Azure Device Registry namespace, as DPS and IoT Hub see it."""

    def register(self, device_id: str, policy: str | None) -> None:
        """The device exists in the namespace from now on (idempotent); certificates come from `policy`."""

    def issue(self, device_id: str, csr: bytes, policy: str | None = None) -> Sequence[x509.Certificate]:
        """Leaf, issuing CA and root for a DER CSR whose common name is the device's id.

        `policy` None: the one that the device was registered with. Raises: CsrRefused.
        """

    def refusal(self, device_id: str, certificate: x509.Certificate) -> str | None:
        """Why ADR would not have this certificate used now (device disabled, certificate revoked), or None."""


class ProvisionedHub(Protocol):
    """An IoT Hub as DPS and ADR see it."""

    @property
    def host_name(self) -> str:
        """What a device is told to connect to (`assignedHub`): a host name without a port."""

    def provision(self, device_id: str, *, authentication: Mapping[str, Any], initial_twin: Mapping[str, Any]) -> None:
        """Creates the identity if there is none, else leaves its status and twin as they are.

        authentication: the identity's member of that name ({"type": "certificateAuthority"}, {"type": "selfSigned", ..}
        or {"type": "sas", "symmetricKey": {..}}); it is brought up to date on an identity that exists.
        initial_twin: {"tags": {...}, "properties": {"desired": {...}}}, for a new identity only.
        """

    def has_device(self, device_id: str) -> bool:
        """Whether the identity exists."""

    def trust(self, authorities: Mapping[str, x509.Certificate]) -> None:
        """Replaces the CA certificates that ADR has synchronized into the hub, by name."""


class Refused(Exception):
    """An MQTT CONNECT is answered with this return code (4 bad user name or password, 5 not authorized) and closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Connect:
    """An MQTT 3.1.1 CONNECT and the TLS client certificates that came with its connection.

    peer_chain: as the client presented it, leaf first; empty without a client certificate. NOT verified by TLS: the
    endpoint verifies it, so that a refusal is an answer and not a broken handshake.
    """

    client_id: str
    user_name: str
    password: bytes
    clean_session: bool
    keep_alive_seconds: int
    peer_chain: Sequence[x509.Certificate]


class MqttConnection(Protocol):
    """The server's end of a connection, as a session uses it."""

    def publish(self, topic: str, payload: bytes, qos: int = 0) -> int | None:
        """Sends a PUBLISH; the packet id for QoS 1."""

    def close(self) -> None:
        """Ends the connection."""


class MqttSession(Protocol):
    """One accepted connection, as its endpoint sees it."""

    def on_publish(self, topic: str, payload: bytes, qos: int) -> None:
        """The client published. (The server has already acknowledged QoS 1.)"""

    def on_subscribe(self, topic_filter: str, qos: int) -> int:
        """The client subscribes. Returns the granted QoS, or 0x80 to refuse."""

    def on_unsubscribe(self, topic_filter: str) -> None:
        """The client unsubscribes."""

    def on_puback(self, packet_id: int) -> None:
        """The client acknowledged a QoS 1 PUBLISH of ours."""

    def on_closed(self) -> None:
        """The connection is gone, whoever ended it."""


class MqttEndpoint(Protocol):
    """A service behind the one MQTT listener on 8883; the server picks it by the form of the user name."""

    def claims(self, connect: Connect) -> bool:
        """Whether the CONNECT is for this service."""

    def accept(self, connect: Connect, connection: MqttConnection) -> MqttSession:
        """Opens the session. Raises: Refused."""


class AmqpRefused(Exception):
    """An AMQP message, link or token is refused with this condition, e.g. `amqp:not-found`."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description


@dataclass(frozen=True, slots=True)
class CloudToDeviceMessage:
    """A message as a back end sent it over AMQP to `/messages/devicebound`.

    system: message_id, correlation_id, content_type, content_encoding, absolute_expiry_time (aware datetime), user_id
    where given. properties: application properties, `iothub-ack` among them.
    """

    device_id: str
    body: bytes
    system: Mapping[str, Any]
    properties: Mapping[str, Any]


class CloudToDeviceSink(Protocol):
    """IoT Hub's device queues, as its AMQP endpoint sees them."""

    def send(self, message: CloudToDeviceMessage) -> None:
        """Queues for the device. Raises: AmqpRefused with IoT Hub's own conditions and error codes."""


class Credentials(Protocol):
    """Who may call: SAS keys and bearer tokens. `resource` is the token's audience, e.g. https://iothubs.azure.net."""

    def check_sas(self, token: str, *, key_is_base64: bool) -> None:
        """Checks a `SharedAccessSignature sr=..&sig=..&se=..&skn=..`. Raises: PermissionError that says why."""

    def check_bearer(self, token: str, resource: str) -> None:
        """Checks a token of the local identity endpoint for `resource`. Raises: PermissionError that says why."""
