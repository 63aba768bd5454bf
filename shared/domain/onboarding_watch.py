"""The end of a device's onboarding credential: once it has passed, an expired device cannot come back through DPS."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from shared.contracts import format_instant
from shared.domain.alerts import Alert, Escalation, device_alert
from shared.domain.fleet_alerts import FleetAlertType
from shared.domain.levels import ONBOARDING_LEVELS, Levels
from shared.domain.record import DeviceRecord, OnboardingCredential, State

_PREFIX: Final = "onboarding/"


def watch_onboarding(record: DeviceRecord, now: datetime, levels: Levels = ONBOARDING_LEVELS) -> Escalation:
    """`Fleetcert.Onboarding.Expiring`, once per device, credential and level. A device that is shut out is left alone.

    Of several levels that have passed only the last is told: a service that was down does not catch up aloud.
    """
    credential = record.onboarding_credential
    if credential is None or credential.valid_until is None or record.state in (State.RETIRED, State.DISABLED):
        return Escalation()
    prefix = _prefix(credential)
    told = {level.removeprefix(prefix) for level in record.alerted if level.startswith(prefix)}
    passed = levels.passed(credential.valid_until, now, told)
    alerts = tuple(_alert(record, credential, level, now) for level in passed[-1:])
    return Escalation(
        alerts,
        tuple(prefix + level for level in passed),
        levels.next_after(now, credential.valid_until),
    )


def levels_that_outlive_a_certificate(
    alerted: Iterable[str], credential: OnboardingCredential | None
) -> tuple[str, ...]:
    """What stays in `alerted` when the operational certificate is renewed: this credential is still the same."""
    if credential is None:
        return ()
    return tuple(level for level in alerted if level.startswith(_prefix(credential)))


def _alert(record: DeviceRecord, credential: OnboardingCredential, level: str, now: datetime) -> Alert:
    valid_until = format_instant(credential.valid_until) if credential.valid_until else None
    data = {"level": level, "thumbprint": credential.thumbprint, "validUntil": valid_until}
    occasion = _prefix(credential) + level
    return device_alert(FleetAlertType.ONBOARDING_EXPIRING, record.device_id, occasion, now, data)


def _prefix(credential: OnboardingCredential) -> str:
    """Tells this credential's levels from another's, and from those of the operational certificate."""
    end = format_instant(credential.valid_until) if credential.valid_until else ""
    return f"{_PREFIX}{credential.thumbprint or end}/"
