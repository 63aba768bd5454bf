"""Links: one direction of messages between the peer and a node, with credit (AMQP 1.0, part 2, section 2.6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from fleetcert.local.amqp.errors import DecodeError
from fleetcert.local.amqp.grants import Grants
from fleetcert.local.amqp.nodes import LinkSource, LinkTarget, ReplySink
from fleetcert.local.amqp.performatives import (
    RECEIVER,
    SETTLED,
    Accepted,
    Attach,
    Detach,
    Disposition,
    Error,
    Flow,
    Rejected,
    Target,
    Transfer,
)
from fleetcert.local.ports import AmqpRefused

CREDIT: Final = 300
"""Messages that a peer may send on a link before it needs new credit."""


class LinkSession(Protocol):
    """The session as its links use it."""

    @property
    def grants(self) -> Grants:
        """What the peer of this connection may do."""

    @property
    def open_for_transfer(self) -> bool:
        """Whether a message can be sent now: the peer's window is open and the socket takes bytes."""

    def send(self, performative: Detach | Disposition) -> None:
        """Sends a frame of the session."""

    def transfer(self, transfer: Transfer, message: bytes) -> None:
        """Sends a message in as many frames as it takes, under the next delivery id."""

    def flow(self, *, handle: int, delivery_count: int, link_credit: int, drain: bool = False) -> None:
        """Sends a link's flow with the session's windows in it."""

    def replies_to(self, node: str) -> dict[str, ReplySink]:
        """The links of this session on which a request/response node answers, by the address they deliver to."""


def error_of(refusal: AmqpRefused | DecodeError) -> Error:
    """A refusal as it is written."""
    return Error(condition=refusal.condition, description=refusal.description)


class Link:
    """What both directions share. `attached` is the peer's ATTACH."""

    def __init__(self, session: LinkSession, attached: Attach) -> None:
        self.session = session
        self.attached = attached
        self.handle = attached.handle
        self.detached = False
        self.permission: Callable[[], None] = lambda: None

    def detach(self, refusal: AmqpRefused | None = None) -> None:
        """Ends the link; its node hears of it."""
        if not self.detached:
            self.close()
            error = error_of(refusal) if refusal else None
            self.session.send(Detach(handle=self.handle, closed=True, error=error))

    def close(self) -> None:
        """The link is no more, and nothing is sent."""
        self.detached = True

    def check_permission(self) -> None:
        """Detaches the link where its token has run out in the meantime."""
        try:
            self.permission()
        except AmqpRefused as refusal:
            self.detach(refusal)

    def confirm(self, *, refused: bool) -> Attach:
        """The answering ATTACH; a refused link is attached without its terminus, and detached at once."""
        peer_receives = self.attached.role is RECEIVER
        return Attach(
            name=self.attached.name,
            handle=self.handle,
            role=not self.attached.role,
            snd_settle_mode=self.attached.snd_settle_mode,
            rcv_settle_mode=0,
            source=None if refused and peer_receives else self.attached.source,
            target=None if refused and not peer_receives else self.attached.target,
            initial_delivery_count=0 if peer_receives else None,
            max_message_size=self.max_message_size,
        )

    @property
    def max_message_size(self) -> int | None:
        """In bytes; None where the server is the one that sends."""
        return None


class OutgoingLink(Link):
    """A link on which the server sends."""

    def __init__(self, session: LinkSession, attached: Attach) -> None:
        super().__init__(session, attached)
        self.source: LinkSource | None = None
        self.address = attached.source.address if attached.source else None
        self.reply_address = attached.target.address if isinstance(attached.target, Target) else None
        self._settled = attached.snd_settle_mode == SETTLED
        self._delivery_count = 0
        self._credit = 0

    @property
    def ready(self) -> bool:
        """Whether a message may be sent now."""
        return self._credit > 0 and not self.detached and self.session.open_for_transfer

    def deliver(self, message: bytes) -> None:
        """Sends one message. What becomes of it is not tracked: no node here takes a message back."""
        self._credit -= 1
        self._delivery_count += 1
        tag = self._delivery_count.to_bytes(4, "big")
        transfer = Transfer(handle=self.handle, delivery_tag=tag, message_format=0, settled=self._settled)
        self.session.transfer(transfer, message)

    def on_flow(self, flow: Flow) -> None:
        """The peer grants credit; what it grants counts from the deliveries that it has seen."""
        self._credit = (flow.delivery_count or 0) + (flow.link_credit or 0) - self._delivery_count
        if self.source is not None:
            self.source.pump()
        if flow.drain and self._credit > 0:
            self._delivery_count += self._credit
            self._credit = 0
            self.session.flow(handle=self.handle, delivery_count=self._delivery_count, link_credit=0, drain=True)

    def close(self) -> None:
        """The node hears that the link is gone."""
        super().close()
        if self.source is not None:
            self.source.close()


class IncomingLink(Link):
    """A link on which the peer sends."""

    def __init__(self, session: LinkSession, attached: Attach) -> None:
        super().__init__(session, attached)
        self.target: LinkTarget | None = None
        self.address = attached.target.address if isinstance(attached.target, Target) else None
        self._delivery_count = 0
        self._credit = 0
        self._first: Transfer | None = None
        self._parts = bytearray()

    @property
    def max_message_size(self) -> int | None:
        """In bytes; the node's."""
        return self.target.max_message_size if self.target else None

    def grant_credit(self) -> None:
        """Tells the peer how many messages it may send now, and opens the session's window again."""
        self._credit = CREDIT
        self.session.flow(handle=self.handle, delivery_count=self._delivery_count, link_credit=self._credit)

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """A frame with a message or a part of one."""
        first = self._first = self._first or transfer
        if transfer.aborted:
            self._forget_delivery()
            return
        self._parts += payload
        if len(self._parts) > (self.max_message_size or 0):
            self._forget_delivery()
            limit = f"the link takes messages of up to {self.max_message_size} bytes"
            self.detach(AmqpRefused("amqp:link:message-size-exceeded", limit))
        elif not transfer.more:
            message = bytes(self._parts)
            self._forget_delivery()
            self._take(first, message)

    def close(self) -> None:
        """The node hears that the link is gone."""
        super().close()
        if self.target is not None:
            self.target.close()

    def _take(self, first: Transfer, message: bytes) -> None:
        # More than was granted is taken all the same: azure-eventhub renews its own credit when it has none left, and
        # messages are worked off as they come, so that nothing piles up here.
        self._delivery_count += 1
        self._credit = max(0, self._credit - 1)
        outcome, afterwards = self._outcome(message, first.message_format or 0)
        if not first.settled and first.delivery_id is not None:
            self.session.send(
                Disposition(role=RECEIVER, first=first.delivery_id, last=first.delivery_id, settled=True, state=outcome)
            )
        # uamqp takes a reply for an answer only once its request is settled.
        if afterwards is not None:
            afterwards()
        if self._credit <= CREDIT // 2 and not self.detached:
            self.grant_credit()

    def _outcome(self, message: bytes, message_format: int) -> tuple[Accepted | Rejected, Callable[[], None] | None]:
        assert self.target is not None
        try:
            self.permission()
            return Accepted(), self.target.receive(message, message_format)
        except (AmqpRefused, DecodeError) as refusal:
            return Rejected(error=error_of(refusal)), None

    def _forget_delivery(self) -> None:
        self._first = None
        self._parts.clear()
