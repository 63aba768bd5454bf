"""Sessions: windows in both directions, and the links that share them (AMQP 1.0, part 2, section 2.5)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Final, Protocol

from fleetcert.local.amqp.composites import Composite
from fleetcert.local.amqp.errors import SessionViolation
from fleetcert.local.amqp.grants import Grants
from fleetcert.local.amqp.links import IncomingLink, Link, OutgoingLink
from fleetcert.local.amqp.nodes import Nodes, ReplySink
from fleetcert.local.amqp.performatives import RECEIVER, Attach, Begin, Detach, Disposition, End, Error, Flow, Transfer
from fleetcert.local.ports import AmqpRefused

WINDOW: Final = 5000
"""Transfer frames that the peer may send before the next flow."""

HANDLE_MAX: Final = 255

TRANSFER_OVERHEAD: Final = 128
"""Room in a frame for its header and the TRANSFER in front of the payload."""


class SessionConnection(Protocol):
    """The connection as its sessions use it."""

    @property
    def grants(self) -> Grants:
        """What the peer may do."""

    @property
    def writable(self) -> bool:
        """Whether the socket takes more bytes now."""

    @property
    def peer_max_frame_size(self) -> int:
        """In bytes."""

    def send(self, channel: int, performative: Composite, payload: bytes = b"") -> None:
        """Sends a frame."""


class Session:
    """One session of a connection. Both ends use the same channel number."""

    def __init__(self, connection: SessionConnection, channel: int, begin: Begin, nodes: Nodes) -> None:
        self.channel = channel
        self.ended = False
        self._connection = connection
        self._nodes = nodes
        self._links: dict[int, Link] = {}
        self._replies: dict[str, dict[str, ReplySink]] = {}
        self._next_incoming_id = begin.next_outgoing_id
        self._received_since_flow = 0
        self._next_outgoing_id = 0
        self._next_delivery_id = 0
        self._peer_window = begin.incoming_window
        self._backlog: deque[tuple[Transfer, bytes]] = deque()
        self.send(
            Begin(
                remote_channel=channel,
                next_outgoing_id=self._next_outgoing_id,
                incoming_window=WINDOW,
                outgoing_window=WINDOW,
                handle_max=HANDLE_MAX,
            )
        )

    @property
    def grants(self) -> Grants:
        """What the peer of this connection may do."""
        return self._connection.grants

    @property
    def open_for_transfer(self) -> bool:
        """Whether a message can be sent now."""
        return self._connection.writable and self._peer_window > 0 and not self._backlog and not self.ended

    @property
    def links(self) -> Iterable[Link]:
        """The links that are attached or wait for the peer's DETACH."""
        return tuple(self._links.values())

    def replies_to(self, node: str) -> dict[str, ReplySink]:
        """The links on which a request/response node answers, by the address they deliver to."""
        return self._replies.setdefault(node, {})

    def send(self, performative: Composite) -> None:
        """Sends a frame of the session."""
        self._connection.send(self.channel, performative)

    def transfer(self, transfer: Transfer, message: bytes) -> None:
        """Sends a message in as many frames as it takes; frames that the window has no room for wait."""
        transfer.delivery_id = self._next_delivery_id
        self._next_delivery_id = (self._next_delivery_id + 1) & 0xFFFFFFFF
        size = self._connection.peer_max_frame_size - TRANSFER_OVERHEAD
        last = max(0, len(message) - 1) // size * size
        for start in range(0, last + 1, size):
            self._backlog.append((replace(transfer, more=start < last), message[start : start + size]))
        self._work_off_backlog()

    def flow(self, *, handle: int, delivery_count: int, link_credit: int, drain: bool = False) -> None:
        """Sends a link's flow with the session's windows in it."""
        self._received_since_flow = 0
        self.send(
            Flow(
                next_incoming_id=self._next_incoming_id,
                incoming_window=WINDOW,
                next_outgoing_id=self._next_outgoing_id,
                outgoing_window=WINDOW,
                handle=handle,
                delivery_count=delivery_count,
                link_credit=link_credit,
                drain=drain,
            )
        )

    def on_frame(self, performative: Composite, payload: bytes) -> None:
        """A frame of this session other than BEGIN and END. Raises: SessionViolation, DecodeError."""
        match performative:
            case Attach():
                self._on_attach(performative)
            case Flow():
                self._on_flow(performative)
            case Transfer():
                self._on_transfer(performative, payload)
            case Detach():
                self._on_detach(performative)
            case Disposition():
                pass  # Deliveries are not tracked: an event stays in its log whatever a consumer thinks of it.
            case _:
                raise SessionViolation("amqp:not-allowed", f"{type(performative).__name__} on a session")

    def pump(self) -> None:
        """Sends what could not be sent before."""
        self._work_off_backlog()
        for link in self.links:
            if isinstance(link, OutgoingLink) and link.source is not None and not link.detached:
                link.source.pump()

    def end(self, error: Error | None = None) -> None:
        """Ends the session from this side, or answers the peer's END."""
        self.close()
        self.send(End(error=error))

    def close(self) -> None:
        """The session is no more, and nothing is sent."""
        self.ended = True
        for link in self.links:
            if not link.detached:
                link.close()
        self._links.clear()

    def _on_attach(self, attach: Attach) -> None:
        attached = self._links.get(attach.handle)
        if attach.handle > HANDLE_MAX or (attached is not None and not attached.detached):
            raise SessionViolation("amqp:session:handle-in-use", f"handle {attach.handle}")
        link = OutgoingLink(self, attach) if attach.role is RECEIVER else IncomingLink(self, attach)
        self._links[attach.handle] = link
        try:
            self._open(link)
        except AmqpRefused as refusal:
            self.send(link.confirm(refused=True))
            link.detach(refusal)
            return
        self.send(link.confirm(refused=False))
        if isinstance(link, IncomingLink):
            link.grant_credit()

    def _open(self, link: OutgoingLink | IncomingLink) -> None:
        if isinstance(link, OutgoingLink):
            link.source = self._nodes.open_source(link)
        else:
            link.target = self._nodes.open_target(link)

    def _on_flow(self, flow: Flow) -> None:
        seen = flow.next_incoming_id or 0
        self._peer_window = seen + flow.incoming_window - self._next_outgoing_id
        self._work_off_backlog()
        if flow.handle is None:
            self.pump()
            return
        link = self._link(flow.handle)
        if isinstance(link, OutgoingLink) and not link.detached:
            link.on_flow(flow)
        elif isinstance(link, IncomingLink) and not link.detached and flow.echo:
            link.grant_credit()

    def _on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        self._next_incoming_id = (self._next_incoming_id + 1) & 0xFFFFFFFF
        self._received_since_flow += 1
        link = self._link(transfer.handle)
        if not isinstance(link, IncomingLink):
            raise SessionViolation("amqp:not-allowed", "a transfer on a link that receives")
        if link.detached:
            return
        link.on_transfer(transfer, payload)
        if self._received_since_flow > WINDOW // 2 and not link.detached:
            link.grant_credit()

    def _on_detach(self, detach: Detach) -> None:
        link = self._link(detach.handle)
        link.detach()
        self._links.pop(detach.handle, None)

    def _link(self, handle: int) -> Link:
        link = self._links.get(handle)
        if link is None:
            raise SessionViolation("amqp:session:unattached-handle", f"handle {handle}")
        return link

    def _work_off_backlog(self) -> None:
        while self._backlog and self._peer_window > 0:
            transfer, part = self._backlog.popleft()
            self._connection.send(self.channel, transfer, part)
            self._next_outgoing_id = (self._next_outgoing_id + 1) & 0xFFFFFFFF
            self._peer_window -= 1
