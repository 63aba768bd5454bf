"""What an agent does, told to whoever watches it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from shared.contracts import format_instant


class State(StrEnum):
    """Where an agent stands.

    registering: at DPS, without a certificate that the hub takes. proving: a new certificate waits for its first
    connection. connecting: on the way to the hub with the current certificate. operational: connected.
    renewing: connected, while a new certificate is asked for. blocked: refused by hub and DPS, waiting.
    """

    NEW = "new"
    REGISTERING = "registering"
    PROVING = "proving"
    CONNECTING = "connecting"
    OPERATIONAL = "operational"
    RENEWING = "renewing"
    BLOCKED = "blocked"
    STOPPED = "stopped"


class Happened(StrEnum):
    """What an event tells."""

    REGISTERED = "registered"
    CONNECTED = "connected"
    REPORTED = "reported"
    REPORT_REFUSED = "report-refused"
    COMMAND = "command"
    COMMAND_REFUSED = "command-refused"
    COMMAND_IGNORED = "command-ignored"
    RENEWED = "renewed"
    RENEWAL_FAILED = "renewal-failed"
    ROLLED_BACK = "rolled-back"
    DISCONNECTED = "disconnected"
    EXPIRED = "expired"
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
            "thumbprint": self.thumbprint,
            "notAfter": format_instant(self.not_after) if self.not_after else None,
            **self.detail,
        }


type Observer = Callable[[AgentEvent], None]
