"""What reaches people: many alerts of a kind at once become one digest, and what is suppressed is counted, not sent.

Alerts about containment are told one by one and whatever is suppressed. An alert's id decides nothing here and stays as
it is; a digest's id follows from the ids that it stands for, so that a dispatch that is repeated gives the same digest.
"""

from __future__ import annotations

import logging
import uuid
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Protocol

from shared import telemetry
from shared.domain.alerts import Alert
from shared.domain.fleet_alerts import FleetAlertType
from shared.domain.suppressing import CONTAINMENT_ALERTS, Suppression
from shared.errors import InfrastructureFault
from shared.services.ports import Alerts
from shared.services.store import FleetStore

DIGEST_ABOVE: Final = 20
FIRST_IDS: Final = 100
_DIGESTS: Final = uuid.UUID("b2c1a8f4-3f0d-5e7c-8a8e-0d5d2b7e4c11")

_log = logging.getLogger(__name__)


class CurrentSuppressions(Protocol):
    """What is not to be told now."""

    async def current(self) -> tuple[Suppression, ...]:
        """Those that have not ended. Raises: InfrastructureFault."""


class DeviceTags(Protocol):
    """The tags of devices, for suppressions that choose by tag."""

    async def tags_of(self, device_ids: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        """Tags by device id; a device that is not known is absent. Raises: InfrastructureFault."""


class RecordedTags:
    """The tags that the records hold."""

    def __init__(self, store: FleetStore) -> None:
        self._store = store

    async def tags_of(self, device_ids: Collection[str]) -> Mapping[str, Mapping[str, str]]:
        """Tags by device id."""
        known = await self._store.load_many(device_ids)
        return {device_id: stored.record.tags for device_id, stored in known.items()}


class Telling:
    """The port `Alerts` over another: suppresses, digests, and hands on. threshold: the most of a kind told singly."""

    def __init__(
        self, alerts: Alerts, suppressions: CurrentSuppressions, tags: DeviceTags, threshold: int = DIGEST_ABOVE
    ) -> None:
        self._alerts = alerts
        self._suppressions = suppressions
        self._tags = tags
        self._threshold = threshold

    async def publish(self, alerts: Sequence[Alert]) -> None:
        """Publishes what is left, in as few requests as the service allows. Raises: InfrastructureFault."""
        told = self._digested(await self._unsuppressed(alerts))
        if told:
            await self._alerts.publish(told)

    async def _unsuppressed(self, alerts: Sequence[Alert]) -> Sequence[Alert]:
        try:
            suppressions = await self._suppressions.current()
            tags = await self._tags_of(alerts, suppressions)
        except InfrastructureFault as fault:  # rather told in vain than silent because the table is down
            _log.warning("suppressions cannot be read, everything is told: %s", fault)
            return alerts
        kept = [a for a in alerts if not _is_covered(a, suppressions, tags)]
        if len(kept) < len(alerts):
            _count_suppressed(Counter(a.type for a in alerts) - Counter(a.type for a in kept))
        return kept

    async def _tags_of(
        self, alerts: Sequence[Alert], suppressions: Sequence[Suppression]
    ) -> Mapping[str, Mapping[str, str]]:
        if all(s.tag is None for s in suppressions):
            return {}
        return await self._tags.tags_of({d for a in alerts if (d := a.data.get("deviceId")) is not None})

    def _digested(self, alerts: Sequence[Alert]) -> list[Alert]:
        kinds: dict[str, list[Alert]] = defaultdict(list)
        for alert in alerts:
            kinds[alert.type].append(alert)
        told: list[Alert] = []
        for kind, group in kinds.items():
            if len(group) > self._threshold and kind not in CONTAINMENT_ALERTS:
                telemetry.note(telemetry.DIGESTS, 1, {"alert.type": kind})
                told.append(digest(group))
            else:
                told.extend(group)
        return told


def digest(alerts: Sequence[Alert]) -> Alert:
    """One alert for many of a kind.

    data: `alertType`, `count`, and in `deviceIds` the first 100 in their order, parted by spaces, which no id holds.
    """
    identifier = uuid.uuid5(_DIGESTS, "\n".join(sorted(alert.id for alert in alerts)))
    about = sorted({alert.data.get("deviceId") or alert.subject for alert in alerts})
    data = {
        "alertType": alerts[0].type,
        "count": str(len(alerts)),
        "deviceIds": " ".join(about[:FIRST_IDS]),
    }
    return Alert(str(identifier), FleetAlertType.DIGEST, "fleet", max(alert.time for alert in alerts), data)


def _is_covered(alert: Alert, suppressions: Sequence[Suppression], tags: Mapping[str, Mapping[str, str]]) -> bool:
    of_device = tags.get(alert.data.get("deviceId") or "", {})
    return any(s.covers(alert, of_device) for s in suppressions)


def _count_suppressed(counts: Mapping[str, int]) -> None:
    for kind, count in counts.items():
        telemetry.note(telemetry.SUPPRESSED_ALERTS, count, {"alert.type": kind})
        _log.info("%d alerts %s suppressed", count, kind)
