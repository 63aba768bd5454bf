"""A look at a device's twin, where events have not told enough."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from shared.domain import reasons
from shared.domain.applying import apply
from shared.domain.changes import Policies, Reduction
from shared.domain.deciding import Decision
from shared.domain.events import IdentityDeleted
from shared.domain.parsing import read_twin
from shared.domain.record import DISPATCH_PATIENCE, DeviceRecord
from shared.domain.reducing import reduce
from shared.errors import BadEvent
from shared.logs import about
from shared.services.ports import Hub

_log = logging.getLogger(__name__)

LOOK_AGAIN: Final = timedelta(minutes=5)
"""When a look that failed is taken again; the device's other deadlines do not wait for it."""


class Looks:
    """Reads twins and lets them change records."""

    def __init__(self, hub: Hub, policies: Policies) -> None:
        self._hub = hub
        self._policies = policies

    async def look(self, record: DeviceRecord, decision: Decision, now: datetime) -> Reduction:
        """The record after a look; a device that the hub does not know any more is retired.

        Raises: InfrastructureFault.
        """
        base = apply(record, replace(decision, action=None), now)
        looked = replace(base.record, look_at=None)
        twin = await self._hub.get_twin(record.device_id)
        event_id = f"look/{record.device_id}/{now.isoformat()}"
        try:
            if twin is None:
                gone = IdentityDeleted(
                    event_id=event_id, enqueued_at=now, device_id=record.device_id, hub=record.hub, at=now
                )
                reduction = reduce(looked, gone, self._policies)
            else:
                news = read_twin(twin, device_id=record.device_id, hub=record.hub, event_id=event_id, at=now)
                reduction = reduce(looked, news, self._policies)
        except BadEvent as bad:
            fields = about(device_id=record.device_id, reason=bad.reason)
            _log.warning("the twin of %s cannot be read: %s", record.device_id, bad.reason, extra=fields)
            return Reduction(replace(looked, reason=reasons.EVALUATION_FAILED), base.history)
        if reduction is None:
            return Reduction(looked, base.history)
        return Reduction(_with_outbox(reduction.record, now), (*base.history, *reduction.history))


def _with_outbox(record: DeviceRecord, now: datetime) -> DeviceRecord:
    return replace(record, dispatch_by=record.dispatch_by or now + DISPATCH_PATIENCE) if record.pending else record
