"""Request/response nodes: a request comes on one link, its answer goes out on another of the same session."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from fleetcert.local.amqp.links import IncomingLink, OutgoingLink
from fleetcert.local.amqp.messages import Message, Properties
from fleetcert.local.amqp.types import Int
from fleetcert.local.ports import AmqpRefused

MAX_REQUEST_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Answer:
    """A status as HTTP has them, and a body."""

    status: int
    description: str
    body: Mapping[str, Any] | None = field(default=None)


class RequestNode(Protocol):
    """Answers requests."""

    def answer(self, request: Message, link: IncomingLink) -> Answer:
        """The answer to a request that came on this link."""


class ReplySource:
    """The link on which answers go out. They wait for credit."""

    def __init__(self, link: OutgoingLink, node: str) -> None:
        self._link = link
        self._node = node
        self._waiting: deque[bytes] = deque()
        link.session.replies_to(node)[link.reply_address or ""] = self

    def put(self, message: bytes) -> None:
        """Sends the answer, at once where the peer has room for it."""
        self._waiting.append(message)
        self.pump()

    def pump(self) -> None:
        """Sends what waits."""
        while self._waiting and self._link.ready:
            self._link.deliver(self._waiting.popleft())

    def close(self) -> None:
        """Nobody listens any more."""
        replies = self._link.session.replies_to(self._node)
        if replies.get(self._link.reply_address or "") is self:
            del replies[self._link.reply_address or ""]


class RequestTarget:
    """The link on which requests come."""

    max_message_size = MAX_REQUEST_BYTES

    def __init__(self, link: IncomingLink, name: str, node: RequestNode) -> None:
        self._link = link
        self._name = name
        self._node = node

    def receive(self, message: bytes, _message_format: int) -> Callable[[], None]:
        """Answers the request. Raises: AmqpRefused where there is no link to answer on, DecodeError."""
        request = Message.decode(message)
        replies = self._link.session.replies_to(self._name)
        reply_to = request.properties.reply_to or ""
        source = replies.get(reply_to) or next(reversed(replies.values()), None)
        if source is None:
            raise AmqpRefused("amqp:precondition-failed", f"no link receives the answers of {self._name}")
        answer = encode_answer(request, self._node.answer(request, self._link))
        return lambda: source.put(answer)

    def close(self) -> None:
        """Nothing waits on this side."""


def encode_answer(request: Message, answer: Answer) -> bytes:
    """The answering message."""
    status = {"status-code": Int(answer.status), "status-description": answer.description}
    body = dict(answer.body) if answer.body is not None else None
    properties = Properties(correlation_id=request.properties.message_id)
    return Message(properties=properties, application_properties=status, value=body).encode()
