"""MQTT 3.1.1 packets to bytes and back. What the standard forbids is a MalformedPacket."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from fleetcert.local.mqtt import fields
from fleetcert.local.mqtt.fields import Reader
from fleetcert.local.mqtt.framing import encode_length
from fleetcert.local.mqtt.packets import (
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
    Will,
)

_PROTOCOL: Final = "MQTT"
_LEVEL: Final = 4

_CONNECT, _CONNACK, _PUBLISH, _PUBACK = 1, 2, 3, 4
_SUBSCRIBE, _SUBACK, _UNSUBSCRIBE, _UNSUBACK = 8, 9, 10, 11
_PINGREQ, _PINGRESP, _DISCONNECT = 12, 13, 14


def decode(header: int, body: bytes) -> Packet:
    """The packet with this first byte and body.

    Raises: MalformedPacket; UnsupportedProtocol for a CONNECT of another version. QoS 2 is malformed here, because
    IoT Hub closes the connection on it (Azure docs: Communicate with an IoT hub using MQTT).
    """
    kind, flags = header >> 4, header & 0x0F
    if kind == _PUBLISH:
        return _decode_publish(flags, body)
    known = _DECODERS.get(kind)
    if known is None:
        raise MalformedPacket(f"packet type {kind}")
    expected_flags, decoder = known
    if flags != expected_flags:
        raise MalformedPacket(f"flags {flags:04b} on packet type {kind}")
    reader = Reader(body)
    packet = decoder(reader)
    reader.end()
    return packet


def _decode_publish(flags: int, body: bytes) -> Publish:
    qos = flags >> 1 & 3
    if qos > 1:
        raise MalformedPacket(f"PUBLISH with QoS {qos}")
    reader = Reader(body)
    topic = reader.string()
    if not topic or "#" in topic or "+" in topic:
        raise MalformedPacket(f"PUBLISH to {topic!r}")
    packet_id = reader.packet_id() if qos else None
    return Publish(topic, reader.rest(), qos, packet_id, retain=bool(flags & 1), duplicate=bool(flags & 8))


def _decode_connect(reader: Reader) -> ConnectPacket:
    if reader.string() != _PROTOCOL:
        raise MalformedPacket("CONNECT of another protocol")
    if (level := reader.byte()) != _LEVEL:
        raise UnsupportedProtocol(f"protocol level {level}")
    flags = _connect_flags(reader.byte())
    keep_alive = reader.uint16()
    client_id = reader.string()
    will = Will(reader.string(), reader.binary(), flags >> 3 & 3, bool(flags & 0x20)) if flags & 4 else None
    user_name = reader.string() if flags & 0x80 else None
    password = reader.binary() if flags & 0x40 else None
    return ConnectPacket(client_id, user_name, password, bool(flags & 2), keep_alive, will)


def _connect_flags(flags: int) -> int:
    """The flags of a CONNECT, after the rules that bind them (MQTT-3.1.2-3, -11 to -15, -22)."""
    has_will, will_qos, will_retain = flags & 4, flags >> 3 & 3, flags & 0x20
    if flags & 1 or will_qos > 2 or (not has_will and (will_qos or will_retain)):
        raise MalformedPacket(f"CONNECT flags {flags:08b}")
    if flags & 0x40 and not flags & 0x80:
        raise MalformedPacket("CONNECT with a password and no user name")
    return flags


def _decode_connack(reader: Reader) -> Connack:
    session_present = bool(reader.byte() & 1)
    return Connack(reader.byte(), session_present)


def _decode_puback(reader: Reader) -> Puback:
    return Puback(reader.packet_id())


def _decode_subscribe(reader: Reader) -> Subscribe:
    packet_id = reader.packet_id()
    filters = [_subscription(reader)]
    while not reader.exhausted:
        filters.append(_subscription(reader))
    return Subscribe(packet_id, tuple(filters))


def _subscription(reader: Reader) -> tuple[str, int]:
    topic_filter, qos = _topic_filter(reader), reader.byte()
    if qos > 2:
        raise MalformedPacket(f"SUBSCRIBE with QoS {qos}")
    return topic_filter, qos


def _topic_filter(reader: Reader) -> str:
    if not (topic_filter := reader.string()):
        raise MalformedPacket("an empty topic filter")
    return topic_filter


def _decode_suback(reader: Reader) -> Suback:
    return Suback(reader.packet_id(), tuple(reader.rest()))


def _decode_unsubscribe(reader: Reader) -> Unsubscribe:
    packet_id = reader.packet_id()
    filters = [_topic_filter(reader)]
    while not reader.exhausted:
        filters.append(_topic_filter(reader))
    return Unsubscribe(packet_id, tuple(filters))


def _decode_unsuback(reader: Reader) -> Unsuback:
    return Unsuback(reader.packet_id())


_DECODERS: Final[dict[int, tuple[int, Callable[[Reader], Packet]]]] = {
    _CONNECT: (0, _decode_connect),
    _CONNACK: (0, _decode_connack),
    _PUBACK: (0, _decode_puback),
    _SUBSCRIBE: (2, _decode_subscribe),
    _SUBACK: (0, _decode_suback),
    _UNSUBSCRIBE: (2, _decode_unsubscribe),
    _UNSUBACK: (0, _decode_unsuback),
    _PINGREQ: (0, lambda _: Pingreq()),
    _PINGRESP: (0, lambda _: Pingresp()),
    _DISCONNECT: (0, lambda _: Disconnect()),
}


def encode(packet: Packet) -> bytes:
    """The packet as it travels."""
    header, body = _encode_parts(packet)
    return bytes((header,)) + encode_length(len(body)) + body


def _encode_parts(packet: Packet) -> tuple[int, bytes]:
    match packet:
        case Publish():
            return _encode_publish(packet)
        case ConnectPacket():
            return _CONNECT << 4, _encode_connect(packet)
        case Connack():
            return _CONNACK << 4, bytes((packet.session_present, packet.return_code))
        case Subscribe() | Suback() | Unsubscribe():
            return _encode_subscription(packet)
        case Puback():
            return _PUBACK << 4, fields.uint16(packet.packet_id)
        case Unsuback():
            return _UNSUBACK << 4, fields.uint16(packet.packet_id)
        case Pingreq():
            return _PINGREQ << 4, b""
        case Pingresp():
            return _PINGRESP << 4, b""
        case Disconnect():
            return _DISCONNECT << 4, b""


def _encode_publish(packet: Publish) -> tuple[int, bytes]:
    flags = packet.duplicate << 3 | packet.qos << 1 | packet.retain
    identifier = b"" if packet.packet_id is None else fields.uint16(packet.packet_id)
    return _PUBLISH << 4 | flags, fields.string(packet.topic) + identifier + packet.payload


def _encode_subscription(packet: Subscribe | Suback | Unsubscribe) -> tuple[int, bytes]:
    identifier = fields.uint16(packet.packet_id)
    match packet:
        case Subscribe(filters=filters):
            wanted = b"".join(fields.string(name) + bytes((qos,)) for name, qos in filters)
            return _SUBSCRIBE << 4 | 2, identifier + wanted
        case Suback(return_codes=return_codes):
            return _SUBACK << 4, identifier + bytes(return_codes)
        case Unsubscribe(filters=names):
            return _UNSUBSCRIBE << 4 | 2, identifier + b"".join(map(fields.string, names))


def _encode_connect(packet: ConnectPacket) -> bytes:
    flags = packet.clean_session << 1
    payload = fields.string(packet.client_id)
    if packet.will is not None:
        flags |= 4 | packet.will.qos << 3 | packet.will.retain << 5
        payload += fields.string(packet.will.topic) + fields.binary(packet.will.payload)
    if packet.user_name is not None:
        flags |= 0x80
        payload += fields.string(packet.user_name)
    if packet.password is not None:
        flags |= 0x40
        payload += fields.binary(packet.password)
    head = fields.string(_PROTOCOL) + bytes((_LEVEL, flags)) + fields.uint16(packet.keep_alive_seconds)
    return head + payload
