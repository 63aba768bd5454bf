"""One MQTT connection: the state machine between the bytes and the session of the service that claimed it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from fleetcert.local.mqtt.codec import decode, encode
from fleetcert.local.mqtt.framing import Frames
from fleetcert.local.mqtt.packets import (
    ACCEPTED,
    NOT_AUTHORIZED,
    UNACCEPTABLE_PROTOCOL,
    Connack,
    ConnectPacket,
    Disconnect,
    MalformedPacket,
    Packet,
    Pingreq,
    Pingresp,
    Puback,
    Publish,
    Suback,
    Subscribe,
    Unsuback,
    Unsubscribe,
    UnsupportedProtocol,
)
from fleetcert.local.ports import Connect, MqttEndpoint, MqttSession, Refused

_LOG = logging.getLogger(__name__)


@runtime_checkable
class ResumingSession(Protocol):
    """A session that may continue an earlier one of its client (CONNECT without clean session)."""

    @property
    def session_present(self) -> bool:
        """Whether the client's subscriptions were kept."""


class Connection(asyncio.Protocol):
    """The server's end of a connection; an `MqttConnection` to its session."""

    def __init__(self, endpoints: Sequence[MqttEndpoint], connect_timeout_seconds: float) -> None:
        self._endpoints = endpoints
        self._connect_timeout_seconds = connect_timeout_seconds
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None
        self._session: MqttSession | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._silence_seconds = 0.0
        self._unacknowledged: set[int] = set()
        self._last_packet_id = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Gives the client a while to send its CONNECT."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._arm(self._connect_timeout_seconds)

    def data_received(self, data: bytes) -> None:
        """Handles each packet that is complete; the first bad one ends the connection."""
        try:
            for header, body in self._frames.feed(data):
                if self._is_closing():
                    return
                self._handle(decode(header, body))
        except UnsupportedProtocol as problem:
            self._refuse(UNACCEPTABLE_PROTOCOL, str(problem))
        except MalformedPacket as problem:
            _LOG.info("an MQTT connection broke the protocol: %s", problem)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tells the session, once."""
        self._arm(0)
        self._transport = None
        session, self._session = self._session, None
        if session is not None:
            session.on_closed()

    def publish(self, topic: str, payload: bytes, qos: int = 0) -> int | None:
        """Sends a PUBLISH; the packet id for QoS 1."""
        packet_id = self._next_packet_id() if qos else None
        self._send(Publish(topic, payload, qos, packet_id))
        return packet_id

    def close(self) -> None:
        """Ends the connection after what was written."""
        if self._transport is not None:
            self._transport.close()

    def _is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def _send(self, packet: Packet) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(encode(packet))

    def _handle(self, packet: Packet) -> None:
        if isinstance(packet, ConnectPacket):
            self._connect(packet)
        elif self._session is None:
            raise MalformedPacket("the first packet is not CONNECT")
        else:
            self._arm(self._silence_seconds)
            self._serve(self._session, packet)

    def _connect(self, packet: ConnectPacket) -> None:
        if self._session is not None:
            raise MalformedPacket("a second CONNECT")
        connect = self._presented(packet)
        endpoint = next((e for e in self._endpoints if e.claims(connect)), None)
        if endpoint is None:
            self._refuse(NOT_AUTHORIZED, f"no service for user name {connect.user_name!r}")
            return
        try:
            session = endpoint.accept(connect, self)
        except Refused as refusal:
            self._refuse(refusal.code, refusal.reason)
            return
        self._session = session
        # 1.5 times the keep-alive, as MQTT-3.1.2-24 has it.
        self._silence_seconds = packet.keep_alive_seconds * 1.5
        self._arm(self._silence_seconds)
        self._send(Connack(ACCEPTED, isinstance(session, ResumingSession) and session.session_present))

    def _presented(self, packet: ConnectPacket) -> Connect:
        assert self._transport is not None
        return Connect(
            client_id=packet.client_id,
            user_name=packet.user_name or "",
            password=packet.password or b"",
            clean_session=packet.clean_session,
            keep_alive_seconds=packet.keep_alive_seconds,
            peer_chain=self._transport.get_extra_info("peer_chain") or (),
        )

    def _refuse(self, return_code: int, reason: str) -> None:
        _LOG.info("an MQTT connection was refused with %d: %s", return_code, reason)
        self._send(Connack(return_code))
        self.close()

    def _serve(self, session: MqttSession, packet: Packet) -> None:
        match packet:
            case Publish():
                self._receive(session, packet)
            case Puback(packet_id=packet_id):
                self._acknowledged(session, packet_id)
            case Subscribe(packet_id=packet_id, filters=filters):
                granted = tuple(session.on_subscribe(name, qos) for name, qos in filters)
                self._send(Suback(packet_id, granted))
            case Unsubscribe(packet_id=packet_id, filters=names):
                for name in names:
                    session.on_unsubscribe(name)
                self._send(Unsuback(packet_id))
            case Pingreq():
                self._send(Pingresp())
            case Disconnect():
                self.close()
            case _:
                raise MalformedPacket(f"{type(packet).__name__} from a client")

    def _receive(self, session: MqttSession, packet: Publish) -> None:
        if packet.packet_id is not None:
            self._send(Puback(packet.packet_id))
        session.on_publish(packet.topic, packet.payload, packet.qos)

    def _acknowledged(self, session: MqttSession, packet_id: int) -> None:
        if packet_id in self._unacknowledged:
            self._unacknowledged.remove(packet_id)
            session.on_puback(packet_id)

    def _next_packet_id(self) -> int:
        """An id that no unacknowledged PUBLISH holds (MQTT-2.3.1-2)."""
        while True:
            self._last_packet_id = self._last_packet_id % 0xFFFF + 1
            if self._last_packet_id not in self._unacknowledged:
                self._unacknowledged.add(self._last_packet_id)
                return self._last_packet_id

    def _arm(self, seconds: float) -> None:
        """Closes the connection after so much silence; 0: never."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.close) if seconds else None
