"""What operators do not want to be told for a while. A suppression always has an end, an author and a reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from shared.contracts import AlertType
from shared.domain.alerts import Alert
from shared.domain.record import Actor

ANY: Final = "*"
TAG: Final = "tag:"

CONTAINMENT_ALERTS: Final = frozenset(
    {
        AlertType.DEVICE_DISABLED,
        AlertType.DEVICE_CONTAINMENT_UNVERIFIED,
        AlertType.DEVICE_BLOCKED_REGISTRATION_ATTEMPT,
        "Fleetcert.Device.Enabled",
        "Fleetcert.Device.Revoked",
    }
)
"""These are about security: each is told on its own, whatever was agreed for the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """What is not told until `until`.

    alert_type: a CloudEvents type, or `*`. device: a device id, `tag:{name}={value}`, or `*`. ruled_at: None in a row
    that was written before it was kept.
    """

    id: str
    alert_type: str
    device: str
    until: datetime
    actor: Actor
    reason: str
    ruled_at: datetime | None = None

    @property
    def tag(self) -> tuple[str, str] | None:
        """Name and value, where devices are chosen by a tag."""
        if not self.device.startswith(TAG):
            return None
        name, _, value = self.device.removeprefix(TAG).partition("=")
        return name, value

    def covers(self, alert: Alert, tags: Mapping[str, str]) -> bool:
        """Whether it keeps this alert back; `tags` are those of the alert's device."""
        if alert.type in CONTAINMENT_ALERTS or self.alert_type not in (ANY, alert.type):
            return False
        if self.tag is not None:
            name, value = self.tag
            return tags.get(name) == value
        return self.device in (ANY, alert.data.get("deviceId"))
