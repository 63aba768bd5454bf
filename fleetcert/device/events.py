"""What an agent does, told to whoever watches it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from fleetcert.device.ports import Operational
from fleetcert.device.states import Link, State
from shared.contracts import format_instant

log = logging.getLogger(__name__)


class Happened(StrEnum):
    """What an event tells."""

    REGISTERED = "registered"
    ISSUED = "issued"
    CONNECTED = "connected"
    REPORTED = "reported"
    REPORT_REFUSED = "report-refused"
    COMMAND = "command"
    COMMAND_REFUSED = "command-refused"
    COMMAND_IGNORED = "command-ignored"
    RENEWED = "renewed"
    RENEWAL_FAILED = "renewal-failed"
    TURNED_TO_DPS = "turned-to-dps"
    ROLLED_BACK = "rolled-back"
    DISCONNECTED = "disconnected"
    EXPIRED = "expired"
    CLOCK_WRONG = "clock-wrong"
    REFUSED = "refused"
    BLOCKED = "blocked"
    FAULT = "fault"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """Something that an agent did or met. `thumbprint` and `not_after` are those of the certificate concerned."""

    event: Happened
    device_id: str
    at: datetime
    state: State
    link: Link
    thumbprint: str | None = None
    not_after: datetime | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """As one JSON object; `time` to the microsecond, so that events of one second keep their order."""
        return {
            "time": self.at.isoformat(),
            "event": self.event.value,
            "deviceId": self.device_id,
            "state": self.state.value,
            "link": self.link.value,
            "thumbprint": self.thumbprint,
            "notAfter": format_instant(self.not_after) if self.not_after else None,
            **self.detail,
        }


type Observer = Callable[[AgentEvent], None]


class Tell(Protocol):
    """Tells whoever watches the agent."""

    def __call__(self, event: Happened, concerned: Operational | None = None, **detail: Any) -> None:
        """`concerned`: the certificate that it is about."""


class Narrator:
    """A `Tell` for one device. standing: its state and link at this moment; now: the time to tell."""

    def __init__(
        self,
        device_id: str,
        observe: Observer,
        standing: Callable[[], tuple[State, Link]],
        now: Callable[[], datetime],
    ) -> None:
        self._device_id = device_id
        self._observe = observe
        self._standing = standing
        self._now = now

    def __call__(self, event: Happened, concerned: Operational | None = None, **detail: Any) -> None:
        """`concerned`: the certificate that it is about."""
        state, link = self._standing()
        told = AgentEvent(
            event=event,
            device_id=self._device_id,
            at=self._now(),
            state=state,
            link=link,
            thumbprint=concerned.thumbprint if concerned else None,
            not_after=concerned.not_after if concerned else None,
            detail=detail,
        )
        try:
            self._observe(told)
        except Exception:  # whoever watches must not be able to end the device's connection
            log.exception("the observer failed over %s", event)
