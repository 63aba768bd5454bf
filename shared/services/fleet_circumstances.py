"""What rules beyond one device, as it stands now: pauses and issuers from the table, windows from a setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
from cryptography import x509

from shared.clock import Clock
from shared.domain.ca_watch import Issuer, IssuerState, Source
from shared.domain.circumstances import Circumstances, Interval, Pause
from shared.domain.record import Actor
from shared.errors import SettingsError
from shared.services.issuers import stored_issuers
from shared.services.pauses import Pauses
from shared.services.ports import Table

CACHE_LIFE: Final = timedelta(seconds=30)
AHEAD: Final = timedelta(days=35)
"""How far ahead windows are expanded: further than any renewal window reaches."""


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """A window that recurs. cron: five fields, in `zone`; daylight saving follows the zone."""

    cron: str
    length: timedelta
    zone: ZoneInfo

    def intervals(self, now: datetime) -> Iterator[Interval]:
        """The windows that are open now or begin within 35 days."""
        from cronsim import CronSim  # only where windows are set: a cold start need not wait for it

        starts = CronSim(self.cron, (now - self.length).astimezone(self.zone))
        for start in takewhile(lambda s: s < now + AHEAD, starts):
            yield Interval(start.astimezone(now.tzinfo), start.astimezone(now.tzinfo) + self.length)


class FleetCircumstances:
    """Reads them, and remembers the table's part for 30 seconds. windows: None lets commands leave at any time."""

    def __init__(self, table: Table, windows: Sequence[MaintenanceWindow] | None, clock: Clock) -> None:
        self._table = table
        self._windows = windows
        self._clock = clock
        self._pauses = Pauses(table, clock)
        self._standing: tuple[Pause, ...] = ()
        self._issuers: tuple[Issuer, ...] = ()
        self._known_until: datetime | None = None

    async def current(self) -> Circumstances:
        """As they are now. Raises: InfrastructureFault."""
        now = self._clock.now()
        if self._known_until is None or self._known_until <= now:
            self._standing = await self._pauses.standing()
            self._issuers = tuple(await stored_issuers(self._table))
            self._known_until = now + CACHE_LIFE
        return Circumstances(
            pauses=tuple(pause for pause in self._standing if pause.until > now),
            windows=self._intervals(now),
            rotated=self._keys_of(IssuerState.ROTATED),
            revoked=self._keys_of(IssuerState.GONE),
        )

    async def pauses(self) -> tuple[Pause, ...]:
        """The pauses that stand, read anew, for whoever asks what was ruled. Raises: InfrastructureFault."""
        return await self._pauses.standing()

    async def pause(
        self, until: datetime, actor: Actor, reason: str, tag: str | None = None, pause_id: str | None = None
    ) -> Pause:
        """Holds commands back, for the fleet or for a tag `name=value`; a second pause of the same replaces the first.

        Raises: NotPossible without an end in the future, a reason or room, InfrastructureFault.
        """
        pause = await self._pauses.pause(until, actor, reason, tag, pause_id)
        self._known_until = None
        return pause

    async def resume(self, actor: Actor, reason: str, tag: str | None = None, event_id: str | None = None) -> bool:
        """Ends a pause now. Whether one stood. Raises: Conflict, InfrastructureFault."""
        stood = await self._pauses.resume(actor, reason, tag, event_id)
        self._known_until = None
        return stood

    def _intervals(self, now: datetime) -> tuple[Interval, ...] | None:
        if self._windows is None:
            return None
        found = (interval for window in self._windows for interval in window.intervals(now))
        return tuple(sorted(found, key=lambda interval: interval.start))

    def _keys_of(self, state: IssuerState) -> frozenset[str]:
        return frozenset(key_identifier(i.pem) for i in self._issuers if i.source is Source.HUB and i.state is state)


def read_windows(text: str | None, zone: str) -> tuple[MaintenanceWindow, ...] | None:
    """The windows in a setting like `0 2 * * 6 for PT4H; 0 1 * * 1-5 for PT2H`. None where there are none.

    Raises: SettingsError.
    """
    if text is None:
        return None
    return tuple(_window(part.strip(), _zone(zone)) for part in text.split(";") if part.strip())


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as problem:  # unknown, malformed, or no file of that name
        raise SettingsError("MAINTENANCE_TIME_ZONE", "is no time zone: set it to e.g. Europe/Zurich") from problem


def _window(text: str, zone: ZoneInfo) -> MaintenanceWindow:
    from cronsim import CronSim, CronSimError

    cron, _, length = text.partition(" for ")
    try:
        CronSim(cron.strip(), datetime(2026, 1, 1, tzinfo=zone))
        duration = msgspec.convert(length.strip(), timedelta)
    except (CronSimError, msgspec.ValidationError) as problem:
        raise SettingsError("MAINTENANCE_WINDOWS", f"{text!r} is no window: write e.g. 0 2 * * 6 for PT4H") from problem
    if not timedelta() < duration <= timedelta(days=7):
        raise SettingsError("MAINTENANCE_WINDOWS", f"{text!r} has no length of up to 7 days: write e.g. for PT4H")
    return MaintenanceWindow(cron.strip(), duration, zone)


def key_identifier(pem: str) -> str:
    """The subject key identifier of a CA certificate in hex, as its leaves name it; computed where it names none."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest.hex()
    except x509.ExtensionNotFound:
        return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest.hex()
