"""The one connection that an agent has to the hub, or has not."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from fleetcert.device.inbox import Inbox
from fleetcert.device.ports import Hub, HubSession, Operational, Timer
from shared.errors import InfrastructureFault


class Connection:
    """Opens sessions one after the other; what they bring goes into `inbox`."""

    def __init__(self, hub: Hub, inbox: Inbox, timer: Timer) -> None:
        self._hub = hub
        self._inbox = inbox
        self._timer = timer
        self._session: HubSession | None = None
        self._since = 0.0

    @property
    def session(self) -> HubSession:
        """The session. Raises: InfrastructureFault where there is none."""
        if self._session is None:
            raise InfrastructureFault("IoT Hub", "not connected")
        return self._session

    def open(self, operational: Operational) -> None:
        """Ends the session there is, and opens one. Raises: ConnectionRefused, InfrastructureFault."""
        self.close()
        on_lost = partial(self._inbox.lose, self._inbox.new_session())
        self._session = self._hub.connect(operational, self._inbox.put, on_lost)
        self._since = self._timer()

    def close(self) -> None:
        """Ends the session, if there is one."""
        session, self._session = self._session, None
        if session:
            session.close()

    def abort(self) -> None:
        """Ends the session from any thread: what waits for an answer gets none."""
        if session := self._session:
            session.abort()

    def is_open(self) -> bool:
        """Whether there is a session that has not ended."""
        return self._session is not None and not self._inbox.session_is_lost()

    def was_lost(self) -> bool:
        """Whether there is a session, and it has ended by itself."""
        return self._session is not None and self._inbox.session_is_lost()

    def has_lasted(self, duration: timedelta) -> bool:
        """Whether there is a session, perhaps lost by now, that was opened at least that long ago."""
        return self._session is not None and self._timer() - self._since >= duration.total_seconds()
