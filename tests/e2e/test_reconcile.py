"""`fleetcert reconcile` against the local Azure: what no event tells is found, by the lists of the hub and of DPS."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.data.tables import TableClient
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin
from support.hub_clients import eventually, operational_credentials
from support.local_azure import Up

from shared.domain import keys

type Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(running: Up, azure: dict[str, Any]) -> Cli:
    """Runs `fleetcert` beside the local Azure."""

    def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).with_name("fleetcert"), *arguments],
            cwd=running.folder.parent,
            env={"PATH": "", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return cli


@pytest.fixture
def table(azure: dict[str, Any]) -> Iterator[TableClient]:
    with TableClient.from_connection_string(azure["storage_connection_string"], "fleet") as table:
        yield table


@pytest.fixture
def registry(azure: dict[str, Any]) -> IoTHubRegistryManager:
    return IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])


@pytest.fixture
def device_id() -> str:
    return f"reconcile-{uuid.uuid4().hex[:8]}"


def shown(azure: dict[str, Any], device_id: str) -> dict[str, Any] | None:
    """The device as the API has it."""
    headers = {"Authorization": f"Bearer {azure['roles']['Fleet.Read']}"}
    answer = httpx.get(f"{azure['functions_url']}/api/devices/{device_id}", headers=headers, timeout=20)
    return dict(answer.json()) if answer.status_code == 200 else None


def rows_of(table: TableClient, device_id: str) -> list[dict[str, Any]]:
    """The device's own rows, but for its history."""
    found = table.query_entities("deviceId eq @id", parameters={"id": device_id})
    others = [dict(row) for row in found if not row["RowKey"].startswith(("history!", "audit!"))]
    record = table.query_entities("RowKey eq @key", parameters={"key": keys.device_key(device_id)})
    return others + [dict(row) for row in record]


def forget(table: TableClient, device_id: str) -> None:
    """As if no event had ever told of the device."""
    for row in rows_of(table, device_id):
        table.delete_entity(row["PartitionKey"], row["RowKey"])


def test_a_device_that_no_event_told_of_is_found_with_its_tags_and_its_group(
    azure: dict[str, Any],
    cli: Cli,
    table: TableClient,
    registry: IoTHubRegistryManager,
    device_id: str,
    tmp_path: Path,
):
    operational_credentials(azure, device_id, tmp_path)
    registry.update_twin(device_id, Twin(tags={"site": {"city": "Bern"}}))
    eventually(lambda: shown(azure, device_id), seconds=20)
    forget(table, device_id)
    assert shown(azure, device_id) is None
    done = cli("reconcile", "start", "--wait")
    assert done.returncode == 0, done.stderr
    assert "done" in done.stdout
    assert shown(azure, device_id) is not None
    record = next(row for row in rows_of(table, device_id) if "record" in row)["record"]
    assert '"site.city":"Bern"' in record
    assert '"enrollment_group":"fleet"' in record
    assert '"issues_certificates":true' in record


def test_a_device_whose_deletion_was_lost_is_retired(
    azure: dict[str, Any], cli: Cli, table: TableClient, registry: IoTHubRegistryManager, device_id: str
):
    registry.create_device_with_certificate_authority(device_id, "enabled")
    eventually(lambda: shown(azure, device_id), seconds=20)
    alive = rows_of(table, device_id)
    registry.delete_device(device_id)
    eventually(lambda: (shown(azure, device_id) or {}).get("state") == "retired", seconds=20)
    for row in alive:
        table.upsert_entity(row)
    assert (shown(azure, device_id) or {}).get("state") != "retired"
    done = cli("reconcile", "start", "--wait")
    assert done.returncode == 0, done.stderr
    assert (shown(azure, device_id) or {}).get("state") == "retired"


def test_the_status_of_the_last_pass_is_shown(cli: Cli):
    status = cli("reconcile", "status", "--wait")
    assert status.returncode == 0, status.stderr
    assert "finished" in status.stdout
