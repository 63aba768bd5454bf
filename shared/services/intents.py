"""The records of devices that are shut out or let in, as those see them who take the steps.

A step reads what it is about to change, then asks whether that is still wanted, then writes under the version that it
read. Whoever changes the intent meanwhile finds either the write done or the version moved on: no step that has become
wrong can land after the one that undoes it.
"""

from __future__ import annotations

from collections.abc import Callable

from shared.domain.changes import Reduction
from shared.domain.record import DeviceRecord
from shared.services.rows import Stored
from shared.services.store import FleetStore

type Progress = Callable[[DeviceRecord], Reduction | None]


class Intents:
    """Asks for them, and notes what was done."""

    def __init__(self, store: FleetStore) -> None:
        self._store = store

    async def are_as_in(self, record: DeviceRecord) -> bool:
        """Whether what is wanted of the device is still what `record` says. Raises: InfrastructureFault."""
        stored = await self._store.load(record.device_id)
        return stored is not None and _intent(stored.record) == _intent(record)

    async def note(self, record: DeviceRecord, progress: Progress) -> list[Stored]:
        """Stores the progress, unless something else is wanted by now. Raises: InfrastructureFault."""

        def reducer(_: str, current: DeviceRecord | None) -> Reduction | None:
            return progress(current) if current is not None and _intent(current) == _intent(record) else None

        return await self._store.update([record.device_id], reducer)


def _intent(record: DeviceRecord) -> tuple[object, ...]:
    containment, revocation = record.containment, record.revocation
    release = containment.release if containment else None
    return (
        record.incarnation,
        containment and containment.requested_at,
        release and release.requested_at,
        revocation and (revocation.requested_at, revocation.has_work),
    )
