"""Connection events on their way through IoT Hub's route, the event hub and the app."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.data.tables import TableClient
from support.hub_clients import PlainDevice, eventually, operational_credentials

from shared.domain import keys, reasons

SHUT_OUT = {"reason": "e2e: lost"}


@pytest.fixture
def device_id() -> str:
    return f"conn-{uuid.uuid4().hex[:8]}"


def call(azure: dict[str, Any], method: str, path: str, **options: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {azure['roles']['all']}"}
    return httpx.request(method, f"{azure['functions_url']}/api/{path}", headers=headers, timeout=20, **options)


def rows(azure: dict[str, Any], device_id: str, kind: str) -> list[dict[str, Any]]:
    """The device's rows of a kind, in the order of their keys."""
    settings = azure["settings"]
    shard = keys.shard_of(device_id, int(settings["SHARDS"]))
    with TableClient.from_connection_string(azure["storage_connection_string"], settings["FLEET_TABLE"]) as table:
        found = table.query_entities(f"PartitionKey eq '{shard}' and RowKey ge '{kind}!' and RowKey lt '{kind}\"'")
        return [dict(row) for row in found if row["RowKey"].startswith(f"{kind}!{device_id}")]


def known(azure: dict[str, Any], device_id: str) -> bool:
    return call(azure, "GET", f"devices/{device_id}").status_code == 200


def test_a_disconnect_event_completes_a_containment_before_a_second_look_could(
    azure: dict[str, Any], device_id: str, tmp_path: Path
) -> None:
    with PlainDevice(azure, device_id, operational_credentials(azure, device_id, tmp_path)) as device:
        eventually(lambda: known(azure, device_id), seconds=20)
        assert call(azure, "POST", f"devices/{device_id}/disable", json=SHUT_OUT).status_code == 202
        device.wait_until_lost()
    # the connection before it may be heard of first: its event waited until the device was known to be shut out
    eventually(lambda: [row for row in rows(azure, device_id, "seen") if row["connected"] is False], seconds=20)
    verified = eventually(lambda: _verification(azure, device_id), seconds=20)
    assert json.loads(verified["details"])["evidence"].startswith("disconnect event of ")
    [contained] = rows(azure, device_id, "contained")
    assert contained["verifiedAt"] >= contained["requestedAt"]


def test_the_connections_of_others_are_not_written_down(azure: dict[str, Any], device_id: str, tmp_path: Path) -> None:
    other = f"{device_id}-other"
    with PlainDevice(azure, other, operational_credentials(azure, other, tmp_path)):
        pass
    with PlainDevice(azure, device_id, operational_credentials(azure, device_id, tmp_path)) as device:
        eventually(lambda: known(azure, device_id), seconds=20)
        call(azure, "POST", f"devices/{device_id}/disable", json=SHUT_OUT)
        device.wait_until_lost()
    eventually(lambda: rows(azure, device_id, "seen"), seconds=20)
    assert rows(azure, other, "seen") == []


def _verification(azure: dict[str, Any], device_id: str) -> dict[str, Any] | None:
    history = rows(azure, device_id, "history")
    return next((row for row in history if row["kind"] == reasons.HISTORY_DISCONNECTED), None)
