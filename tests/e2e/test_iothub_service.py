"""Back ends at the local IoT Hub: Microsoft's service client, and plain REST for what it hides."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.identity import ManagedIdentityCredential
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import (
    AuthenticationMechanism,
    ExportImportDevice,
    QuerySpecification,
    Twin,
    TwinProperties,
)
from msrest.exceptions import HttpOperationError
from support.hub_clients import PlainDevice, eventually, hub_rest, operational_credentials

FEEDBACK = "/messages/serviceBound/feedback"


@pytest.fixture(scope="module")
def hub(azure: dict[str, Any]) -> IoTHubRegistryManager:
    return IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])


@pytest.fixture(scope="module")
def rest(azure: dict[str, Any]) -> Iterator[httpx.Client]:
    with hub_rest(azure) as client:
        yield client


@pytest.fixture
def device_id(hub: IoTHubRegistryManager) -> Iterator[str]:
    """A device with a certificate-authority identity."""
    name = f"dev-{uuid.uuid4().hex[:8]}"
    hub.create_device_with_certificate_authority(name, "enabled")
    return name


def status_of(problem: pytest.ExceptionInfo[HttpOperationError]) -> int:
    return int(problem.value.response.status_code)


def feedback_on(rest: httpx.Client, message_id: str) -> dict[str, Any]:
    """The record on one message; batches that hold it are completed, and so are those of other tests."""

    def look() -> dict[str, Any] | None:
        response = rest.get(FEEDBACK)
        if response.status_code == 204:
            return None
        records = response.raise_for_status().json()
        assert response.headers["Content-Type"] == "application/vnd.microsoft.iothub.feedback.json"
        rest.delete(f"{FEEDBACK}/{response.headers['ETag'].strip('"')}").raise_for_status()
        return next((r for r in records if r["originalMessageId"] == message_id), None)

    return eventually(look)


def test_an_identity_is_created_read_disabled_and_deleted(hub: IoTHubRegistryManager, device_id: str) -> None:
    created = hub.get_device(device_id)
    assert (created.status, created.authentication.type) == ("enabled", "certificateAuthority")
    hub.update_device_with_certificate_authority(device_id, created.etag, "disabled", status_reason="stolen")
    disabled = hub.get_device(device_id)
    assert (disabled.status, disabled.status_reason) == ("disabled", "stolen")
    assert disabled.generation_id == created.generation_id
    hub.delete_device(device_id)
    with pytest.raises(HttpOperationError) as gone:
        hub.get_device(device_id)
    assert status_of(gone) == 404


def test_creating_a_device_twice_is_409001(hub: IoTHubRegistryManager, rest: httpx.Client, device_id: str) -> None:
    with pytest.raises(HttpOperationError) as problem:
        hub.create_device_with_certificate_authority(device_id, "enabled")
    assert status_of(problem) == 409
    answer = rest.put(f"/devices/{device_id}", json={"deviceId": device_id})
    assert answer.headers["iothub-errorcode"] == "DeviceAlreadyExists"
    expected = f"ErrorCode:DeviceAlreadyExists;A device with ID '{device_id}' is already registered."
    assert answer.json()["Message"] == expected
    assert answer.json()["ExceptionMessage"].startswith("Tracking ID:")


def test_a_stale_etag_is_412_for_identity_and_twin(hub: IoTHubRegistryManager, device_id: str) -> None:
    identity_etag, twin_etag = hub.get_device(device_id).etag, hub.get_twin(device_id).etag
    hub.update_device_with_certificate_authority(device_id, identity_etag, "enabled", status_reason="first")
    hub.update_twin(device_id, Twin(tags={"a": 1}), twin_etag)
    with pytest.raises(HttpOperationError) as stale_identity:
        hub.update_device_with_certificate_authority(device_id, identity_etag, "disabled")
    with pytest.raises(HttpOperationError) as stale_twin:
        hub.update_twin(device_id, Twin(tags={"a": 2}), twin_etag)
    with pytest.raises(HttpOperationError) as stale_delete:
        hub.delete_device(device_id, identity_etag)
    assert [status_of(p) for p in (stale_identity, stale_twin, stale_delete)] == [412, 412, 412]
    assert hub.get_twin(device_id).tags == {"a": 1}


def test_a_twin_is_merged_and_replaced(hub: IoTHubRegistryManager, device_id: str) -> None:
    hub.update_twin(device_id, Twin(tags={"a": 1, "b": 1}, properties=TwinProperties(desired={"x": 1})))
    merged = hub.update_twin(device_id, Twin(tags={"b": None}))
    assert merged.tags == {"a": 1}
    assert merged.properties.desired["x"] == 1
    replaced = hub.replace_twin(device_id, Twin(tags={"c": 1}))
    assert replaced.tags == {"c": 1}
    assert "x" not in replaced.properties.desired
    assert replaced.properties.desired["$version"] == 3


def test_a_query_pages_through_the_devices_it_selects(hub: IoTHubRegistryManager) -> None:
    site = uuid.uuid4().hex
    names = [f"{site}-{number}" for number in range(5)]
    result = hub.bulk_create_or_update_devices(
        [
            ExportImportDevice(
                id=name,
                import_mode="create",
                status="enabled",
                authentication=AuthenticationMechanism(type="certificateAuthority"),
                tags={"site": site},
            )
            for name in names
        ]
    )
    assert result.is_successful
    hub.update_device_with_certificate_authority(names[0], None, "disabled")
    query = QuerySpecification(query=f"SELECT * FROM devices WHERE tags.site = '{site}' AND status = 'enabled'")
    found, token = [], None
    for _ in range(3):
        page = hub.query_iot_hub(query, token, 2)
        assert len(page.items) <= 2
        found += [twin.device_id for twin in page.items]
        token = page.continuation_token
        if token is None:
            break
    assert found == names[1:]


def test_a_query_that_is_not_understood_says_so(rest: httpx.Client) -> None:
    answer = rest.post("/devices/query", json={"query": "SELECT COUNT() FROM devices"})
    assert answer.status_code == 400
    assert "only SELECT * FROM devices" in answer.json()["Message"]


def test_a_failed_bulk_entry_is_named_and_the_others_go_through(hub: IoTHubRegistryManager, device_id: str) -> None:
    fresh = f"{device_id}-fresh"
    authentication = AuthenticationMechanism(type="certificateAuthority")
    result = hub.bulk_create_or_update_devices(
        [ExportImportDevice(id=i, import_mode="create", authentication=authentication) for i in (device_id, fresh)]
    )
    assert not result.is_successful
    assert [(error.device_id, error.error_code) for error in result.errors] == [(device_id, "409001")]
    assert hub.get_device(fresh).status == "enabled"


def test_statistics_count_devices(hub: IoTHubRegistryManager, device_id: str) -> None:
    before = hub.get_device_registry_statistics()
    hub.update_device_with_certificate_authority(device_id, None, "disabled")
    after = hub.get_device_registry_statistics()
    assert after.total_device_count == before.total_device_count
    assert after.disabled_device_count == before.disabled_device_count + 1
    assert hub.get_service_statistics().connected_device_count >= 0


def test_the_sender_hears_that_the_device_took_the_message(
    azure: dict[str, Any], hub: IoTHubRegistryManager, rest: httpx.Client, tmp_path: Path
) -> None:
    name = f"dev-{uuid.uuid4().hex[:8]}"
    operational = operational_credentials(azure, name, tmp_path)
    with PlainDevice(azure, name, operational) as device:
        device.subscribe(f"devices/{name}/messages/devicebound/#")
        hub.send_c2d_message(name, "x", {"messageId": f"m-{name}", "iothub-ack": "full"})
        device.next_message()
        record = feedback_on(rest, f"m-{name}")
    assert (record["statusCode"], record["deviceId"]) == ("Success", name)
    assert record["deviceGenerationId"] == hub.get_device(name).generation_id


def test_purged_messages_are_reported_as_purged(hub: IoTHubRegistryManager, rest: httpx.Client, device_id: str) -> None:
    for number in range(2):
        hub.send_c2d_message(device_id, "x", {"messageId": f"{device_id}-{number}", "iothub-ack": "negative"})
    answer = rest.delete(f"/devices/{device_id}/commands").raise_for_status().json()
    assert (answer["deviceId"], answer["totalMessagesPurged"]) == (device_id, 2)
    assert feedback_on(rest, f"{device_id}-1")["statusCode"] == "Purged"
    assert hub.get_device(device_id).cloud_to_device_message_count == 0


def test_an_expired_message_is_reported_as_expired(
    hub: IoTHubRegistryManager, rest: httpx.Client, device_id: str
) -> None:
    properties = {
        "messageId": f"m-{device_id}",
        "iothub-ack": "negative",
        "expiryTimeUtc": int(time.time() * 1000) + 200,
    }
    hub.send_c2d_message(device_id, "x", properties)
    assert feedback_on(rest, f"m-{device_id}")["statusCode"] == "Expired"


def test_an_abandoned_batch_of_feedback_comes_again(
    hub: IoTHubRegistryManager, rest: httpx.Client, device_id: str
) -> None:
    hub.send_c2d_message(device_id, "x", {"messageId": f"m-{device_id}", "iothub-ack": "full"})
    rest.delete(f"/devices/{device_id}/commands").raise_for_status()
    batch = rest.get(FEEDBACK).raise_for_status()
    token = batch.headers["ETag"].strip('"')
    rest.post(f"{FEEDBACK}/{token}/abandon").raise_for_status()
    assert rest.delete(f"{FEEDBACK}/{token}").json()["Message"].startswith("ErrorCode:DeviceMessageLockLost")
    assert feedback_on(rest, f"m-{device_id}")["statusCode"] == "Purged"


def test_a_back_end_may_come_with_its_managed_identity(
    azure: dict[str, Any], credential: ManagedIdentityCredential, device_id: str
) -> None:
    hub = IoTHubRegistryManager.from_token_credential(azure["iothub_hostname"], credential)
    hub.send_c2d_message(device_id, "x")
    assert hub.get_device(device_id).cloud_to_device_message_count == 1


def test_a_direct_method_for_a_device_that_is_away_is_404103(rest: httpx.Client, device_id: str) -> None:
    answer = rest.post(f"/twins/{device_id}/methods", json={"methodName": "reboot"})
    assert (answer.status_code, answer.headers["iothub-errorcode"]) == (404, "DeviceNotOnline")
