"""The MQTT listener's protocol factory."""

from __future__ import annotations

from collections.abc import Sequence

from fleetcert.local.mqtt.connection import Connection
from fleetcert.local.ports import MqttEndpoint


class MqttServer:
    """Serves several services on one listener: each CONNECT goes to the first endpoint that claims it."""

    def __init__(self, endpoints: Sequence[MqttEndpoint], *, connect_timeout_seconds: float = 10) -> None:
        self._endpoints = tuple(endpoints)
        self._connect_timeout_seconds = connect_timeout_seconds

    def protocol(self) -> Connection:
        """A new connection; pass this method to whatever listens.

        The transport must give the client's certificates as `get_extra_info("peer_chain")` where it has any.
        """
        return Connection(self._endpoints, self._connect_timeout_seconds)
