"""Drill: the issuing CA is revoked under a running fleet. Devices are refused, and come back through DPS."""

from __future__ import annotations

from fleetcert.device.events import Happened
from fleetcert.local.config import POLICY
from fleetcert.local.drills.devices import Devices
from fleetcert.local.drills.stage import Stage

_REASON = "IssuerRevoked"


def run(stage: Stage, count: int) -> None:
    """Revokes the issuing CA of the default policy while so many devices are connected. Raises: DrillFailed."""
    with Devices(stage, [f"drill-issuer-{number}" for number in range(1, count + 1)]) as devices:
        stage.wait_for("every device is recorded", lambda: not stage.behind(devices.ids))
        stage.tell(f"{count} devices are connected and recorded, under the CA {_issuers(stage, devices)}")
        stage.cloud.revoke_issuer(POLICY)
        revoked = stage.seconds
        stage.tell("ADR has revoked that CA: the hub does not trust it any more; sessions that stand live on")
        stage.wait_for("fleetcert knows of it", lambda: all(_is_written_off(stage, d) for d in devices.ids))
        stage.tell(f"fleetcert expects nothing of their certificates any more ({_REASON})")
        _cut_off(stage, devices)
        stage.tell(f"all are back and recorded, {stage.seconds - revoked:.0f} s after the revocation")


def _cut_off(stage: Stage, devices: Devices) -> None:
    """What any failover of the hub does: the connections end, and devices must open them anew."""
    count = len(devices.ids)
    devices.reconnect()
    stage.tell("every connection is cut, and the devices open them again")
    stage.wait_for("every device was refused", lambda: len(devices.met(Happened.REFUSED, "IoT Hub")) == count)
    stage.tell(f"IoT Hub has refused {count} of {count}: each goes to DPS with a new key")
    stage.wait_for("every device is back", lambda: all(_is_back(devices, d) for d in devices.ids))
    stage.wait_for("every record is right", lambda: not stage.behind(devices.ids))
    stage.wait_for("every record is valid", lambda: all(_state(stage, d) == "valid" for d in devices.ids))
    stage.tell(f"{count} of {count} are connected with certificates of {_issuers(stage, devices)}")


def _is_back(devices: Devices, device_id: str) -> bool:
    """Whether its last connection is later than its first refusal."""
    refused = devices.all(Happened.REFUSED, device_id)[0].at
    return devices.all(Happened.CONNECTED, device_id)[-1].at > refused


def _is_written_off(stage: Stage, device_id: str) -> bool:
    return bool(stage.cloud.record(device_id).get("reason") == _REASON)


def _state(stage: Stage, device_id: str) -> str:
    return str(stage.cloud.record(device_id).get("state"))


def _issuers(stage: Stage, devices: Devices) -> str:
    names = {str((stage.cloud.record(d).get("certificate") or {}).get("issuer")) for d in devices.ids}
    return " and ".join(sorted(names))
