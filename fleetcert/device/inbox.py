"""What reaches an agent from other threads: messages, lost connections, and the call to look up."""

from __future__ import annotations

import threading
from collections import deque
from datetime import timedelta

from fleetcert.device.messages import Message


class Inbox:
    """Safe for any thread. Every arrival rings, and `wait` returns at the first ring since `hush`."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._bell = threading.Event()
        self._messages: deque[Message] = deque()
        self._session = 0
        self._lost = 0

    def put(self, message: Message) -> None:
        """A cloud-to-device message has come."""
        self._messages.append(message)
        self._bell.set()

    def first(self) -> Message | None:
        """The oldest message, which stays until it is done with."""
        return self._messages[0] if self._messages else None

    def drop_first(self) -> None:
        """The oldest message is done with."""
        self._messages.popleft()

    def new_session(self) -> int:
        """The number under which the next connection may be reported as lost: the end of an older one means nothing."""
        with self._gate:
            self._session += 1
            return self._session

    def lose(self, session: int) -> None:
        """The connection of that number has ended, and not by us."""
        with self._gate:
            self._lost = max(self._lost, session)
        self._bell.set()

    def session_is_lost(self) -> bool:
        """Whether the newest connection has ended."""
        with self._gate:
            return self._lost == self._session

    def ring(self) -> None:
        """Wakes whoever waits."""
        self._bell.set()

    def hush(self) -> None:
        """From here on `wait` waits for what is new."""
        self._bell.clear()

    def wait(self, at_most: timedelta) -> None:
        """Returns when it rings, or after that time."""
        self._bell.wait(max(0.0, at_most.total_seconds()))
