"""The control packets of MQTT 3.1.1 (OASIS Standard, 29 October 2014) without the QoS 2 handshake, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GRANTED_FAILURE: Final = 0x80
"""The SUBACK return code of a refused subscription."""

ACCEPTED: Final = 0
UNACCEPTABLE_PROTOCOL: Final = 1
IDENTIFIER_REJECTED: Final = 2
NOT_AUTHORIZED: Final = 5


class MalformedPacket(Exception):
    """The bytes break the protocol; the connection must be closed without an answer."""


class UnsupportedProtocol(Exception):
    """A CONNECT of another protocol level; CONNACK 1 is the answer."""


@dataclass(frozen=True, slots=True)
class Will:
    """What the client wants published when its connection is lost."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False


@dataclass(frozen=True, slots=True)
class ConnectPacket:
    """CONNECT. `user_name` and `password` are None where their flags are not set."""

    client_id: str
    user_name: str | None = None
    password: bytes | None = None
    clean_session: bool = True
    keep_alive_seconds: int = 0
    will: Will | None = None


@dataclass(frozen=True, slots=True)
class Connack:
    """CONNACK with its return code."""

    return_code: int
    session_present: bool = False


@dataclass(frozen=True, slots=True)
class Publish:
    """PUBLISH. `packet_id` is None exactly for QoS 0."""

    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int | None = None
    retain: bool = False
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Puback:
    """PUBACK: a QoS 1 PUBLISH has arrived."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    """SUBSCRIBE: topic filters with the QoS that is asked for."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Suback:
    """SUBACK: for each filter the granted QoS, or 0x80."""

    packet_id: int
    return_codes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    """UNSUBSCRIBE."""

    packet_id: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unsuback:
    """UNSUBACK."""

    packet_id: int


@dataclass(frozen=True, slots=True)
class Pingreq:
    """PINGREQ."""


@dataclass(frozen=True, slots=True)
class Pingresp:
    """PINGRESP."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """DISCONNECT: the client goes in peace, and its will is void."""


type Packet = (
    ConnectPacket
    | Connack
    | Publish
    | Puback
    | Subscribe
    | Suback
    | Unsubscribe
    | Unsuback
    | Pingreq
    | Pingresp
    | Disconnect
)
