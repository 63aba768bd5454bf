"""The AMQP server: who is behind which address, and who may attach to it."""

from __future__ import annotations

import re
from functools import partial
from typing import Final
from weakref import WeakSet

from fleetcert.local.amqp.cbs import CBS, CbsNode
from fleetcert.local.amqp.connection import Connection
from fleetcert.local.amqp.devicebound import DEVICEBOUND, DeviceboundTarget
from fleetcert.local.amqp.grants import Grants, Service
from fleetcert.local.amqp.links import IncomingLink, OutgoingLink
from fleetcert.local.amqp.nodes import LinkSource, LinkTarget
from fleetcert.local.amqp.requests import ReplySource, RequestNode, RequestTarget
from fleetcert.local.amqp.sasl import SaslServer
from fleetcert.local.eventhubs.hubs import EventHubs
from fleetcert.local.eventhubs.management import MANAGEMENT, ManagementNode
from fleetcert.local.eventhubs.publisher import Publisher
from fleetcert.local.eventhubs.reader import open_reader
from fleetcert.local.ports import AmqpRefused, CloudToDeviceSink, Credentials
from shared.clock import Clock, SystemClock

_AUTHORITY: Final = re.compile(r"^[a-z]+://[^/]*", re.IGNORECASE)


class AmqpServer:
    """Event Hubs and, where there is a `command_sink`, IoT Hub's cloud-to-device node.

    `protocol` is a factory for `loop.create_server`, with or without TLS.
    """

    def __init__(
        self,
        event_hubs: EventHubs,
        command_sink: CloudToDeviceSink | None,
        credentials: Credentials,
        clock: Clock | None = None,
    ) -> None:
        self._event_hubs = event_hubs
        self._command_sink = command_sink
        self._clock = clock or SystemClock()
        self._sasl = SaslServer(credentials, self._clock)
        self._request_nodes: dict[str, RequestNode] = {
            CBS: CbsNode(credentials),
            MANAGEMENT: ManagementNode(event_hubs),
        }
        self._connections: WeakSet[Connection] = WeakSet()

    def protocol(self) -> Connection:
        """The protocol of a new connection."""
        connection = Connection(self, self._sasl, Grants(self._clock))
        self._connections.add(connection)
        return connection

    def close(self) -> None:
        """Closes all connections; the listeners are their opener's."""
        for connection in tuple(self._connections):
            connection.close()

    def open_source(self, link: OutgoingLink) -> LinkSource:
        """The peer wants messages from the link's address. Raises: AmqpRefused."""
        path = node_path(link.address)
        if path in self._request_nodes:
            return ReplySource(link, path)
        authorize(link, Service.EVENT_HUBS, path)
        return open_reader(self._event_hubs, link, path)

    def open_target(self, link: IncomingLink) -> LinkTarget:
        """The peer wants to send messages to the link's address. Raises: AmqpRefused."""
        path = node_path(link.address)
        if path in self._request_nodes:
            return RequestTarget(link, path, self._request_nodes[path])
        if path.lower() == DEVICEBOUND and self._command_sink is not None:
            authorize(link, Service.IOT_HUB, path)
            return DeviceboundTarget(self._command_sink)
        authorize(link, Service.EVENT_HUBS, path)
        return Publisher(self._event_hubs, path)


def node_path(address: str | None) -> str:
    """The path of an address, which clients write as a URI. Raises: AmqpRefused where there is none."""
    path = _AUTHORITY.sub("", address or "").strip("/")
    if not path:
        raise AmqpRefused("amqp:invalid-field", "the link names no address")
    return path


def authorize(link: OutgoingLink | IncomingLink, service: Service, path: str) -> None:
    """The link needs a token for its path, now and as long as it lives. Raises: AmqpRefused."""
    link.permission = partial(link.session.grants.require, service, path)
    link.permission()
