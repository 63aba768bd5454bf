"""A fleet that shows every state at once: real devices on the local hub that report certificates of every age.

They report dates alone, which is all that Microsoft's documentation asks of a device, so that one start of the local
Azure can show what a fleet looks like after months.
"""

from __future__ import annotations

import base64
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin
from support.hub_clients import PlainDevice, eventually, hub_rest

from fleetcert.local.credentials import shared_access_signature
from shared.contracts import format_instant

LIFETIME = timedelta(days=30)
SITES = ("bern", "lyon", "oslo", "porto", "turin")
KINDS = ("pump", "meter", "valve", "gateway")


@dataclass(frozen=True)
class ShownDevice:
    """A device of the showcase. left: of its certificate's life; None: it reports none."""

    device_id: str
    left: timedelta | None
    tags: dict[str, str] = field(default_factory=dict)


def shown_devices(count: int, seed: int = 7) -> Iterator[ShownDevice]:
    """Most are well; some are in every other state."""
    dice = random.Random(seed)
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        tags = {"site": dice.choice(SITES), "kind": kind}
        yield ShownDevice(f"{kind}-{number:04}", _left(dice), tags)


def _left(dice: random.Random) -> timedelta | None:
    part = dice.random()
    if part < 0.03:
        return None
    if part < 0.06:
        return timedelta(hours=-dice.uniform(1, 60))
    if part < 0.11:
        return timedelta(days=dice.uniform(0.05, 3.4))
    if part < 0.20:
        return timedelta(days=dice.uniform(3.6, 6.9))
    return timedelta(days=dice.uniform(7.2, 29.5))


def connect(azure: dict[str, Any], device: ShownDevice) -> None:
    """Creates the device at the hub, with its tags, and lets it report."""
    registry = IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])
    identity = registry.create_device_with_sas(device.device_id, None, None, "enabled")
    twin = registry.get_twin(device.device_id)
    registry.update_twin(device.device_id, Twin(tags=device.tags), twin.etag)
    if device.left is not None:
        _report(azure, device, base64.b64decode(identity.authentication.symmetric_key.primary_key))


def _report(azure: dict[str, Any], device: ShownDevice, key: bytes) -> None:
    resource = f"{azure['mqtt_host']}%2Fdevices%2F{device.device_id}"
    token = shared_access_signature(resource, key, int(time.time()) + 3600, "").removesuffix("&skn=")
    until = datetime.now(UTC).replace(microsecond=0) + (device.left or timedelta())
    certificate = {
        "validFrom": format_instant(until - LIFETIME),
        "validUntil": format_instant(until),
        "thumbprint": random.Random(device.device_id).randbytes(32).hex(),
        "serialNumber": random.Random(f"serial {device.device_id}").randbytes(16).hex(),
        "issuer": "CN=policy-30d,O=contoso",
    }
    client = PlainDevice(azure, device.device_id, None, password=token)
    assert client.connect() == 0
    client.subscribe("$iothub/twin/res/#", 0)
    topic, _ = client.ask("$iothub/twin/PATCH/properties/reported/?$rid=1", json.dumps({"certificate": certificate}))
    assert "/204/" in topic, topic
    client.close()


def act(azure: dict[str, Any], path: str, body: dict[str, Any]) -> httpx.Response:
    """A request of an operator with every role."""
    headers = {"Authorization": f"Bearer {azure['roles']['all']}"}
    return httpx.post(f"{azure['functions_url']}/api/{path}", json=body, headers=headers, timeout=30).raise_for_status()


def summary(azure: dict[str, Any]) -> dict[str, Any]:
    """The fleet at a glance, as an operator reads it."""
    headers = {"Authorization": f"Bearer {azure['roles']['Fleet.Read']}"}
    answer = httpx.get(f"{azure['functions_url']}/api/fleet/summary", headers=headers, timeout=30)
    return dict(answer.raise_for_status().json())


def show_fleet(azure: dict[str, Any], count: int) -> None:
    """Brings the fleet up, shuts some devices out, and waits until all of it is counted."""
    devices = list(shown_devices(count))
    with hub_rest(azure):
        for device in devices:
            connect(azure, device)
    well = [device for device in devices if device.left and device.left > timedelta(days=8)]
    for device in well[:: max(1, len(well) // 6)]:
        act(azure, f"devices/{device.device_id}/disable", {"reason": "found in a returned crate, seal broken"})

    def counted() -> bool:
        snapshot = summary(azure)["snapshot"]
        return snapshot is not None and snapshot["total"] == count and snapshot["states"].get("disabled", 0) > 0

    eventually(counted, seconds=60)
