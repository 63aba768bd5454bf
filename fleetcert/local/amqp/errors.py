"""What can be wrong with a peer's bytes and frames, by how much of the conversation ends with it.

A refused link or message is `fleetcert.local.ports.AmqpRefused`; these end more than that.
"""

from __future__ import annotations


class ProtocolViolation(Exception):
    """The peer broke the protocol. `condition` is an AMQP error condition, e.g. `amqp:not-allowed`."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description


class ConnectionViolation(ProtocolViolation):
    """The connection ends: CLOSE carries the condition."""


class DecodeError(ConnectionViolation):
    """Bytes that are no AMQP value, or a value that is not what its place demands."""

    def __init__(self, description: str) -> None:
        super().__init__("amqp:decode-error", description)


class SessionViolation(ProtocolViolation):
    """The session ends: END carries the condition. The connection's other sessions live on."""
