"""What systemd is told: that the agent runs, and in words how it stands (`systemctl status`).

Protocol: systemd's documentation of sd_notify. Elsewhere nobody is told.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from fleetcert.device.events import AgentEvent
from shared.contracts import format_instant


@dataclass(frozen=True, slots=True)
class Systemd:
    """address: of the socket in NOTIFY_SOCKET; None: there is no systemd."""

    address: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Reads NOTIFY_SOCKET; an `@` stands for the zero byte of an abstract socket."""
        address = environment.get("NOTIFY_SOCKET")
        return cls(f"\0{address[1:]}" if address and address.startswith("@") else address)

    def is_ready(self) -> None:
        """The agent has its store, and begins."""
        self._send("READY=1")

    def tell(self, event: AgentEvent) -> None:
        """How it stands after this event."""
        until = f", certificate until {format_instant(event.not_after)}" if event.not_after else ""
        self._send(f"STATUS={event.state}, {event.link}{until}; last: {event.event}")

    def _send(self, state: str) -> None:
        if self.address is None:
            return
        # Whether it is heard is no matter of life for a device.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(state.encode(), self.address)
