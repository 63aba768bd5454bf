"""The one connection that an agent has to the hub, or has not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from fleetcert.device.inbox import Inbox
from fleetcert.device.keystore import Operational
from fleetcert.device.ports import Hub, HubSession
from shared.clock import Clock
from shared.errors import InfrastructureFault


class Connection:
    """Opens sessions one after the other; what they bring goes into `inbox`."""

    def __init__(self, hub: Hub, inbox: Inbox, clock: Clock) -> None:
        self._hub = hub
        self._inbox = inbox
        self._clock = clock
        self._session: HubSession | None = None
        self._since: datetime | None = None

    def open(self, operational: Operational) -> None:
        """Ends the session there is, and opens one. Raises: ConnectionRefused, InfrastructureFault."""
        self.close()
        on_lost = partial(self._inbox.lose, self._inbox.new_session())
        self._session = self._hub.connect(operational, self._inbox.put, on_lost)
        self._since = self._clock.now()

    def close(self) -> None:
        """Ends the session, if there is one."""
        session, self._session, self._since = self._session, None, None
        if session:
            session.close()

    def is_lost(self) -> bool:
        """Whether there is no session, or the one there was has ended."""
        return self._session is None or self._inbox.session_is_lost()

    def has_lasted(self, duration: timedelta) -> bool:
        """Whether there is a session, perhaps lost by now, that was opened at least that long ago."""
        return self._since is not None and self._clock.now() - self._since >= duration

    def report(self, patch: Mapping[str, Any]) -> None:
        """Patches the reported properties. Raises: ReportRefused, InfrastructureFault."""
        if self._session is None:
            raise InfrastructureFault("IoT Hub", "not connected")
        self._session.report(patch)
