"""Drill: a device is stolen. It works, until the operator shuts it out, and then neither the hub nor DPS lets it in."""

from __future__ import annotations

from fleetcert.device.events import Happened
from fleetcert.local.drills.devices import Devices
from fleetcert.local.drills.stage import DrillFailed, Stage


def run(stage: Stage, device_id: str, seconds: float) -> None:
    """Onboards the device, and follows it until it is shut out, or so many seconds have passed. Raises: DrillFailed."""
    if stage.cloud.record(device_id).get("containment"):
        raise DrillFailed(f"{device_id} is shut out already: take another --device, or `fleetcert fleet enable` it")
    with Devices(stage, [device_id]) as devices:
        stage.wait_for(f"{device_id} is recorded", lambda: not stage.behind([device_id]))
        stage.tell(f"{device_id} is onboarded, connected and recorded. It is stolen: shut it out.")
        _follow(stage, devices, device_id, seconds)


def _follow(stage: Stage, devices: Devices, device_id: str, seconds: float) -> None:
    wait = stage.wait_for
    wait("somebody shut it out", lambda: stage.cloud.record(device_id).get("containment") is not None, seconds)
    stage.tell("the record says that it shall be shut out")
    wait("its connection ended", lambda: bool(devices.met(Happened.DISCONNECTED)))
    stage.tell("IoT Hub has ended its connection")
    for service in ("IoT Hub", "DPS"):
        _refused(stage, devices, device_id, service)
    wait("fleetcert has seen the refusal", lambda: _containment(stage, device_id).get("refusedAt") is not None)
    wait("its connection was seen gone", lambda: _containment(stage, device_id).get("disconnectedAt") is not None)
    stage.tell("fleetcert has seen its connection gone and its registration refused: it is shut out")


def _refused(stage: Stage, devices: Devices, device_id: str, service: str) -> None:
    stage.wait_for(f"{service} refused it", lambda: bool(devices.met(Happened.REFUSED, service)))
    refusal = devices.all(Happened.REFUSED, device_id, service)[0]
    stage.tell(f"{service} refuses it: {refusal.detail['reason']} ({refusal.detail['code']})")


def _containment(stage: Stage, device_id: str) -> dict[str, object]:
    return dict(stage.cloud.record(device_id).get("containment") or {})
