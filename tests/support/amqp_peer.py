"""A peer of the AMQP server, frame by frame, with credentials and a hub that are as small as can be."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote_plus

from fleetcert.local.amqp.composites import Composite
from fleetcert.local.amqp.frames import AMQP_HEADER, SASL_FRAME, SASL_HEADER, FrameBuffer, write_frame
from fleetcert.local.amqp.messages import Message, Properties
from fleetcert.local.amqp.performatives import (
    RECEIVER,
    SENDER,
    Attach,
    Begin,
    Detach,
    Disposition,
    Flow,
    Open,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    Source,
    Target,
    Transfer,
)
from fleetcert.local.amqp.server import AmqpServer
from fleetcert.local.amqp.types import ULong
from fleetcert.local.ports import AmqpRefused, CloudToDeviceMessage

KEY = "a key that is text"
HUB_KEY = base64.b64encode(b"k" * 32).decode()
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
CONSUMER = "hub/ConsumerGroups/$Default/Partitions/0"


class FixedClock:
    def __init__(self) -> None:
        self.instant = NOW

    def now(self) -> datetime:
        return self.instant


class Keys:
    """One policy per service, checked by their signatures; one bearer token."""

    BEARER = f"h.{base64.urlsafe_b64encode(b'{"exp": 1900000000}').decode().rstrip('=')}.s"

    def check_sas(self, token: str, *, key_is_base64: bool) -> None:
        fields = dict(parse_qsl(token.removeprefix("SharedAccessSignature ")))
        key = base64.b64decode(HUB_KEY) if key_is_base64 else KEY.encode()
        if not fields or fields["sig"] != signature(quote_plus(fields["sr"]), fields["se"], key):
            raise PermissionError("InvalidSignature: The token has an invalid signature.")

    def check_bearer(self, token: str, resource: str) -> None:
        if token != self.BEARER:
            raise PermissionError(f"no token for {resource}")


class Hub:
    """Takes messages for the device d1."""

    def __init__(self) -> None:
        self.messages: list[CloudToDeviceMessage] = []

    def send(self, message: CloudToDeviceMessage) -> None:
        if message.device_id != "d1":
            raise AmqpRefused("amqp:not-found", "404001 DeviceNotFound")
        self.messages.append(message)


def signature(resource: str, expiry: str, key: bytes) -> str:
    return base64.b64encode(hmac.digest(key, f"{resource}\n{expiry}".encode(), hashlib.sha256)).decode()


def sas(resource: str, key: bytes, lifetime: timedelta = timedelta(hours=1)) -> str:
    return sas_until(resource, key, int((NOW + lifetime).timestamp()))


def sas_until(resource: str, key: bytes, expiry: int) -> str:
    quoted = quote_plus(resource)
    signed = quote_plus(signature(quoted, str(expiry), key))
    return f"SharedAccessSignature sr={quoted}&sig={signed}&se={expiry}&skn=p"


class Socket(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True


class Peer:
    """The client's end of a connection, frame by frame."""

    def __init__(self, server: AmqpServer) -> None:
        self.socket = Socket()
        self.connection = server.protocol()
        self.connection.connection_made(self.socket)
        self._received = FrameBuffer()

    async def says(self, *frames: bytes) -> None:
        for frame in frames:
            self.connection.data_received(frame)
        await asyncio.sleep(0)

    async def sends(self, *performatives: Composite, payload: bytes = b"", channel: int = 0) -> list[Composite]:
        """Sends frames, the payload with the last; returns what comes back."""
        for performative in performatives[:-1]:
            await self.says(write_frame(channel, performative))
        await self.says(write_frame(channel, performatives[-1], payload))
        return self.answers()

    def answers(self) -> list[Composite]:
        return [performative for performative, _ in self.frames()]

    def frames(self) -> list[tuple[Composite, bytes]]:
        self._received.feed(self.socket.written)
        self.socket.written = b""
        frames = []
        while (frame := self._received.frame()) is not None:
            if frame.body:
                frames.append(frame.read())
        return frames

    def header(self) -> bytes:
        self._received.feed(self.socket.written)
        self.socket.written = b""
        header = self._received.protocol_header()
        assert header is not None
        return header

    async def opens(
        self, mechanism: str = "ANONYMOUS", response: bytes | None = None, **options: Any
    ) -> list[Composite]:
        init = SaslInit(mechanism=mechanism, initial_response=response, hostname="localhost")
        await self.says(SASL_HEADER, write_frame(0, init, kind=SASL_FRAME), AMQP_HEADER)
        assert self.header() == SASL_HEADER
        mechanisms, outcome = self.frames_until_header()
        assert isinstance(mechanisms, SaslMechanisms)
        assert outcome == SaslOutcome(outcome=0)
        begin = Begin(next_outgoing_id=0, incoming_window=5000, outgoing_window=5000)
        return await self.sends(Open(container_id="peer", **options), begin)

    def frames_until_header(self) -> list[Composite]:
        frames = []
        for _ in range(2):
            frame = self._received.frame()
            assert frame is not None
            frames.append(frame.read()[0])
        assert self._received.protocol_header() == AMQP_HEADER
        return frames

    async def attaches(
        self, handle: int, *, to: str | None = None, source: str | None = None, **options: Any
    ) -> list[Composite]:
        """Attaches a link that sends `to` an address, or receives from a `source`."""
        role = RECEIVER if source else SENDER
        attach = Attach(
            name=f"link-{handle}",
            handle=handle,
            role=role,
            source=Source(address=source or "me"),
            target=Target(address=to or f"reply-{handle}"),
            **options,
        )
        return await self.sends(attach)

    async def puts_token(self, audience: str, token: str, kind: str = "servicebus.windows.net:sastoken") -> Message:
        """Puts a token by `$cbs`; the answer."""
        await self.attaches(100, to="$cbs")
        await self.attaches(101, source="$cbs")
        credit = Flow(
            incoming_window=5000, next_outgoing_id=0, outgoing_window=5000, handle=101, delivery_count=0, link_credit=10
        )
        await self.sends(credit)
        request = Message(
            properties=Properties(message_id=ULong(7), reply_to="reply-101"),
            application_properties={"operation": "put-token", "type": kind, "name": audience},
            value=token,
        )
        await self.says(write_frame(0, Transfer(handle=100, delivery_id=0, delivery_tag=b"1"), request.encode()))
        (disposition, _), (transfer, payload) = self.frames()
        assert isinstance(disposition, Disposition)
        assert isinstance(transfer, Transfer)
        answer = Message.decode(payload)
        assert answer.properties.correlation_id == 7
        await self.sends(Detach(handle=100, closed=True), Detach(handle=101, closed=True))
        return answer

    async def may_use_event_hubs(self, lifetime: timedelta = timedelta(hours=1)) -> None:
        answer = await self.puts_token("sb://localhost/hub", sas("sb://localhost/hub", KEY.encode(), lifetime))
        assert answer.application_properties["status-code"] == 202


def credit(handle: int, amount: int, *, seen: int = 0, window: int = 5000, drain: bool = False) -> Flow:
    """Credit for `amount` deliveries after the `seen` ones, and room for `window` frames after them."""
    return Flow(
        next_incoming_id=seen,
        incoming_window=window,
        next_outgoing_id=0,
        outgoing_window=5000,
        handle=handle,
        delivery_count=seen,
        link_credit=amount,
        drain=drain,
    )
