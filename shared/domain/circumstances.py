"""What rules beyond one device: pauses, maintenance windows, and issuing CAs that were rotated or revoked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.record import Actor, Certificate, DeviceRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """No command is sent to these devices until `until`. tag: `name=value`; None pauses the fleet."""

    id: str
    until: datetime
    tag: str | None = None
    actor: Actor
    reason: str
    ruled_at: datetime

    def holds(self, record: DeviceRecord, now: datetime) -> bool:
        """Whether the device is paused now."""
        if now >= self.until:
            return False
        if self.tag is None:
            return True
        name, _, value = self.tag.partition("=")
        return record.tags.get(name) == value


@dataclass(frozen=True, slots=True)
class Interval:
    """A maintenance window as it happens: commands may leave from `start` to before `end`."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Circumstances:
    """All of that at one moment.

    windows: the maintenance windows that are open or to come, in their order; None: commands may leave at any time.
    rotated, revoked: issuing CAs, by their key identifier in hex, whose certificates shall be replaced, or are not
    accepted any more. (Not by name: a CA and its successor may bear the same one.)
    """

    pauses: tuple[Pause, ...] = ()
    windows: tuple[Interval, ...] | None = None
    rotated: frozenset[str] = field(default_factory=frozenset)
    revoked: frozenset[str] = field(default_factory=frozenset)

    def paused_until(self, record: DeviceRecord, now: datetime) -> datetime | None:
        """When the last of the pauses that hold the device ends; None where none does."""
        return max((pause.until for pause in self.pauses if pause.holds(record, now)), default=None)

    def next_opening(self, now: datetime) -> datetime | None:
        """`now` where commands may leave, else when the next window opens; None where none is to come."""
        if self.windows is None:
            return now
        openings = (max(now, window.start) for window in self.windows if window.end > now)
        return min(openings, default=None)

    def has_rotated(self, certificate: Certificate) -> bool:
        """Whether the certificate comes from an issuing CA that was replaced while it is still trusted."""
        return certificate.authority_key_id in self.rotated

    def has_revoked(self, certificate: Certificate) -> bool:
        """Whether the certificate comes from an issuing CA that is not trusted any more."""
        return certificate.authority_key_id in self.revoked
