"""What the app tells Application Insights while a device lives: through the real exporter, over the local Azure."""

from __future__ import annotations

import uuid
from typing import Any

import httpx
import pytest
from support.insights import base, measured, operation, received, wait_for

GAUGES = {
    "fleetcert.certificates",
    "fleetcert.certificates.expiring",
    "fleetcert.sweep.age",
    "fleetcert.sweep.last_success",
    "fleetcert.containment.in_progress",
    "fleetcert.containment.unverified",
    "fleetcert.dead_letters.waiting",
    "fleetcert.poison.waiting",
    "fleetcert.issuers.earliest_expiry",
}


def spans(azure: dict[str, Any], trace: str) -> dict[str, Any]:
    """The spans of a trace by name."""
    return {base(i)["name"]: i for i in received(azure, "RemoteDependencyData") if operation(i) == trace}


def test_a_request_is_followed_from_its_caller_into_the_table(azure: dict[str, Any]):
    trace = uuid.uuid4().hex
    headers = {
        "Authorization": f"Bearer {azure['roles']['Fleet.Read']}",
        "traceparent": f"00-{trace}-{'ab' * 8}-01",
    }
    device = f"nobody-{trace[:8]}"
    assert httpx.get(f"{azure['functions_url']}/api/devices/{device}", headers=headers).status_code == 404
    found = wait_for(lambda: spans(azure, trace))
    shown = found["show_device"]
    assert base(shown)["properties"]["fleetcert.device.id"] == device
    assert shown["tags"]["ai.cloud.role"] == "fleetcert"
    assert found["get fleet"]["tags"]["ai.operation.parentId"] == base(shown)["id"]
    assert (base(found["get fleet"])["type"], base(found["get fleet"])["data"]) == ("azure.tables", "get")


def test_what_an_operator_watches_is_reported_with_zeros(azure: dict[str, Any]):
    def names() -> set[str]:
        found = {name for name, _, _ in measured(received(azure, "MetricData"))}
        return found if found >= GAUGES else set()

    assert wait_for(names) >= GAUGES
    points = measured(received(azure, "MetricData"))
    states = {a["state"] for name, _, a in points if name == "fleetcert.certificates"}
    assert {"unknown", "valid", "due", "overdue", "expired", "disabled"} <= states, "a state without devices is zero"
    commands = [value for name, value, _ in points if name == "fleetcert.commands.sent"]
    assert commands, "a counter that has counted nothing is zero"


@pytest.mark.parametrize("kind", ["RemoteDependencyData", "MetricData"])
def test_every_item_comes_from_the_app(azure: dict[str, Any], kind: str):
    found = wait_for(lambda: received(azure, kind))
    assert {item["tags"]["ai.cloud.role"] for item in found if base(item).get("name") != "inner"} >= {"fleetcert"}
