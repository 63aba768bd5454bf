"""What stands at the far end of a link: the server's side of AMQP's nodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from fleetcert.local.amqp.links import IncomingLink, OutgoingLink


class LinkSource(Protocol):
    """A node's end of a link on which the server sends."""

    def pump(self) -> None:
        """Sends what there is while `link.ready`; called whenever that may have become true."""

    def close(self) -> None:
        """The link is gone."""


class LinkTarget(Protocol):
    """A node's end of a link on which the peer sends. max_message_size: bytes."""

    max_message_size: int

    def receive(self, message: bytes, message_format: int) -> Callable[[], None] | None:
        """Takes a message. What it returns is called once the message's outcome is on its way.

        Raises: AmqpRefused and DecodeError, which reject this message.
        """

    def close(self) -> None:
        """The link is gone."""


class ReplySink(Protocol):
    """A link on which answers go out."""

    def put(self, message: bytes) -> None:
        """Sends an answer as soon as the peer has room for it."""


class Nodes(Protocol):
    """All nodes of a server, by address. A link's `permission` is set by whoever opens it."""

    def open_source(self, link: OutgoingLink) -> LinkSource:
        """The peer wants messages from the link's address. Raises: AmqpRefused."""

    def open_target(self, link: IncomingLink) -> LinkTarget:
        """The peer wants to send messages to the link's address. Raises: AmqpRefused."""
