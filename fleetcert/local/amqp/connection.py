"""Connections: protocol headers, SASL, OPEN and CLOSE, idle time-outs (AMQP 1.0, part 2, section 2.4)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from fleetcert.local.amqp.composites import Composite
from fleetcert.local.amqp.errors import ConnectionViolation, SessionViolation
from fleetcert.local.amqp.frames import (
    AMQP_HEADER,
    HEARTBEAT,
    MAX_FRAME_SIZE,
    MIN_MAX_FRAME_SIZE,
    SASL_FRAME,
    SASL_HEADER,
    Frame,
    FrameBuffer,
    write_frame,
)
from fleetcert.local.amqp.grants import Grants
from fleetcert.local.amqp.nodes import Nodes
from fleetcert.local.amqp.performatives import Begin, Close, End, Error, Open, SaslInit
from fleetcert.local.amqp.sasl import SaslServer
from fleetcert.local.amqp.session import Session

IDLE_TIMEOUT_SECONDS: Final = 240.0
"""A peer from which nothing comes for so long is gone. Event Hubs' own bound is four minutes."""

CHANNEL_MAX: Final = 255
TICK_SECONDS: Final = 1.0
FLUSH_BYTES: Final = 65_536

logger = logging.getLogger(__name__)


class Connection(asyncio.Protocol):
    """One peer. Its frames are handled as they come; what is sent leaves at the end of the loop's turn."""

    def __init__(self, nodes: Nodes, sasl: SaslServer, grants: Grants) -> None:
        self.grants = grants
        self.writable = True
        self.peer_max_frame_size = MAX_FRAME_SIZE
        self._nodes = nodes
        self._sasl = sasl
        self._incoming = FrameBuffer()
        self._step: Callable[[], bool] = self._read_first_header
        self._sessions: dict[int, Session] = {}
        self._opened = False
        self._closed = True  # until it is made
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._peer_idle_seconds: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._closed = False
        self._loop = asyncio.get_running_loop()
        self._last_received = self._last_sent = self._loop.time()
        self._ticking = self._loop.call_later(TICK_SECONDS, self._tick)

    def connection_lost(self, _exc: Exception | None) -> None:
        """The socket is closed, by whomever."""
        self._closed = True
        self._ticking.cancel()
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()

    def pause_writing(self) -> None:
        """The peer reads more slowly than we write."""
        self.writable = False

    def resume_writing(self) -> None:
        """The peer has caught up."""
        self.writable = True
        for session in tuple(self._sessions.values()):
            session.pump()

    def data_received(self, data: bytes) -> None:
        """Handles all frames that are complete now. A violation ends the connection, and no other."""
        self._last_received = self._loop.time()
        self._incoming.feed(data)
        try:
            while not self._closed and self._step():
                pass
        except ConnectionViolation as violation:
            logger.info("a connection is closed: %s", violation)
            self.close(Error(condition=violation.condition, description=violation.description))

    def send(self, channel: int, performative: Composite, payload: bytes = b"") -> None:
        """Sends a frame."""
        self._write(write_frame(channel, performative, payload))

    def close(self, error: Error | None = None) -> None:
        """Says CLOSE, where there has been an OPEN, and closes the socket once that is out."""
        if self._closed:
            return
        if self._opened:
            self.send(0, Close(error=error))
        self._flush()
        self._closed = True
        self._transport.close()

    def _read_first_header(self) -> bool:
        header = self._incoming.protocol_header()
        if header is None:
            return False
        if header != SASL_HEADER:
            # A server that wants SASL answers with the header that it wants (section 5.3.1).
            self._write(SASL_HEADER)
            self.close()
            return False
        self._write(SASL_HEADER + write_frame(0, self._sasl.offer(), kind=SASL_FRAME))
        self._step = self._read_sasl_init
        return True

    def _read_sasl_init(self) -> bool:
        frame = self._incoming.frame()
        if frame is None:
            return False
        init = frame.read()[0]
        if frame.kind != SASL_FRAME or not isinstance(init, SaslInit):
            raise ConnectionViolation("amqp:not-allowed", "a SASL exchange starts with sasl-init")
        outcome = self._sasl.judge(init, self.grants)
        self._write(write_frame(0, outcome, kind=SASL_FRAME))
        if outcome.outcome:
            self.close()
        self._step = self._read_second_header
        return True

    def _read_second_header(self) -> bool:
        header = self._incoming.protocol_header()
        if header is None:
            return False
        self._write(AMQP_HEADER)
        if header != AMQP_HEADER:
            self.close()
        self._step = self._read_frame
        return True

    def _read_frame(self) -> bool:
        frame = self._incoming.frame()
        if frame is not None and frame.body:
            self._on_frame(frame)
        return frame is not None

    def _on_frame(self, frame: Frame) -> None:
        performative, payload = frame.read()
        if isinstance(performative, Open) is self._opened:
            raise ConnectionViolation("amqp:illegal-state", "the first frame is OPEN, and no other is")
        match performative:
            case Open():
                self._on_open(performative)
            case Close():
                self.close()
            case Begin():
                self._on_begin(frame.channel, performative)
            case End():
                self._on_end(frame.channel)
            case _:
                self._on_session_frame(frame.channel, performative, payload)

    def _on_open(self, peer: Open) -> None:
        size = MAX_FRAME_SIZE if peer.max_frame_size is None else peer.max_frame_size
        self._opened = True
        idle = int(IDLE_TIMEOUT_SECONDS * 1000)
        limits = Open(
            container_id="fleetcert", max_frame_size=MAX_FRAME_SIZE, channel_max=CHANNEL_MAX, idle_time_out=idle
        )
        self.send(0, limits)
        if size < MIN_MAX_FRAME_SIZE:
            raise ConnectionViolation("amqp:invalid-field", f"max-frame-size {size} is below {MIN_MAX_FRAME_SIZE}")
        self.peer_max_frame_size = min(size, MAX_FRAME_SIZE)
        self._peer_idle_seconds = peer.idle_time_out / 1000 if peer.idle_time_out else None

    def _on_begin(self, channel: int, begin: Begin) -> None:
        present = self._sessions.get(channel)
        if channel > CHANNEL_MAX or (present is not None and not present.ended):
            raise ConnectionViolation("amqp:not-allowed", f"channel {channel} cannot begin a session")
        self._sessions[channel] = Session(self, channel, begin, self._nodes)

    def _on_end(self, channel: int) -> None:
        session = self._session(channel)
        if not session.ended:
            session.end()

    def _on_session_frame(self, channel: int, performative: Composite, payload: bytes) -> None:
        session = self._session(channel)
        # Until the peer has seen that its session ended, its frames say nothing; and azure-eventhub goes on to detach
        # the links of sessions that it has ended itself.
        if session.ended:
            return
        try:
            session.on_frame(performative, payload)
        except SessionViolation as violation:
            logger.info("a session is ended: %s", violation)
            session.end(Error(condition=violation.condition, description=violation.description))

    def _session(self, channel: int) -> Session:
        session = self._sessions.get(channel)
        if session is None:
            raise ConnectionViolation("amqp:not-allowed", f"no session is on channel {channel}")
        return session

    def _write(self, data: bytes) -> None:
        if self._closed:
            return
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.append(data)
        self._outgoing_bytes += len(data)
        if self._outgoing_bytes >= FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        if self._outgoing and not self._closed:
            data = b"".join(self._outgoing)
            self._outgoing.clear()
            self._outgoing_bytes = 0
            self._last_sent = self._loop.time()
            self._transport.write(data)

    def _tick(self) -> None:
        """Keeps the peer's idle time-out from running out, minds our own, and the expiry of tokens."""
        now = self._loop.time()
        if now - self._last_received > IDLE_TIMEOUT_SECONDS:
            self.close(Error(condition="amqp:resource-limit-exceeded", description="the connection was idle"))
            return
        if self._opened and self._peer_idle_seconds and now - self._last_sent > self._peer_idle_seconds / 3:
            self._write(HEARTBEAT)
        for session in tuple(self._sessions.values()):
            for link in session.links:
                link.check_permission()
        delay = min(TICK_SECONDS, (self._peer_idle_seconds or TICK_SECONDS) / 3)
        self._ticking = self._loop.call_later(delay, self._tick)
