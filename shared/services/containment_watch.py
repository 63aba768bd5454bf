"""How many devices are on their way out, and how many are out by a block that nobody has proven: two gauges.

Read from the index rows `contained!{id}`: its cost follows the devices that are shut out, not the fleet.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared import telemetry
from shared.services.seen import SeenRows


@dataclass(frozen=True, slots=True)
class Contained:
    """What a look found. in_progress: not seen gone yet; unverified: the block at DPS is not proven."""

    devices: int
    in_progress: int
    unverified: int


class ContainmentWatch:
    """Looks at all that are shut out."""

    def __init__(self, rows: SeenRows) -> None:
        self._rows = rows

    async def look(self) -> Contained:
        """One look, and the gauges set. Raises: InfrastructureFault."""
        rows = (await self._rows.contained()).values()
        found = Contained(
            devices=len(rows),
            in_progress=sum(row.verified_at is None for row in rows),
            unverified=sum(not row.is_proven for row in rows),
        )
        telemetry.note(telemetry.CONTAINMENT_IN_PROGRESS, found.in_progress)
        telemetry.note(telemetry.CONTAINMENT_UNVERIFIED, found.unverified)
        return found
