"""Devices at the local IoT Hub: Microsoft's own client, and plain MQTT for renewal over the hub."""

from __future__ import annotations

import asyncio
import json
import queue
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from azure.eventhub import EventData
from azure.eventhub.aio import EventHubConsumerClient, PartitionContext
from azure.iot.device import IoTHubDeviceClient, Message
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties
from cryptography.hazmat.primitives.asymmetric import ec
from support.hub_clients import (
    Operational,
    PlainDevice,
    chain_of,
    eventually,
    hub_rest,
    observed,
    operational_credentials,
    sdk_client,
    signing_request,
)

from fleetcert.certificates import thumbprint


@pytest.fixture(scope="module")
def hub(azure: dict[str, Any]) -> IoTHubRegistryManager:
    return IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])


@pytest.fixture(scope="module")
def rest(azure: dict[str, Any]) -> Iterator[httpx.Client]:
    with hub_rest(azure) as client:
        yield client


@pytest.fixture
def device_id() -> str:
    return f"dev-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def operational(azure: dict[str, Any], device_id: str, tmp_path: Path) -> Operational:
    return operational_credentials(azure, device_id, tmp_path)


@pytest.fixture
def device(azure: dict[str, Any], device_id: str, operational: Operational) -> Iterator[IoTHubDeviceClient]:
    client = sdk_client(azure, device_id, operational)
    client.connect()
    yield client
    client.shutdown()


def renewal_request(device_id: str, **more: Any) -> tuple[ec.EllipticCurvePrivateKey, str]:
    key = ec.generate_private_key(ec.SECP384R1())
    return key, json.dumps({"id": device_id, "csr": signing_request(device_id, key), **more})


ISSUE = "$iothub/credentials/POST/issueCertificate/?$rid="
ANSWERS = "$iothub/credentials/res/#"


def test_a_device_connects_with_its_operational_certificate_and_the_hub_names_it(
    device: IoTHubDeviceClient,
    device_id: str,
    operational: Operational,
    hub: IoTHubRegistryManager,
    rest: httpx.Client,
) -> None:
    assert device.connected
    assert hub.get_device(device_id).connection_state == "Connected"
    session = observed(rest, device_id)["session"]
    assert session["certificate"]["thumbprint"] == thumbprint(operational.leaf)


def test_what_a_device_reports_is_in_its_twin_on_both_sides(
    device: IoTHubDeviceClient, device_id: str, hub: IoTHubRegistryManager
) -> None:
    device.patch_twin_reported_properties({"certificate": {"serialNumber": "ab", "pem": "x"}})
    device.patch_twin_reported_properties({"certificate": {"pem": None}})
    assert device.get_twin()["reported"] == {"certificate": {"serialNumber": "ab"}, "$version": 3}
    assert hub.get_twin(device_id).properties.reported["certificate"] == {"serialNumber": "ab"}


def test_desired_properties_reach_a_connected_device(
    device: IoTHubDeviceClient, device_id: str, hub: IoTHubRegistryManager
) -> None:
    patches: queue.Queue[dict[str, Any]] = queue.Queue()
    device.on_twin_desired_properties_patch_received = patches.put
    hub.update_twin(device_id, Twin(tags={"site": "a"}, properties=TwinProperties(desired={"rate": 5})))
    assert patches.get(timeout=10) == {"rate": 5, "$version": 2}
    hub.replace_twin(device_id, Twin(properties=TwinProperties(desired={"level": 1})))
    assert patches.get(timeout=10) == {"rate": None, "level": 1, "$version": 3}


def test_a_cloud_to_device_message_arrives_with_its_properties(
    device: IoTHubDeviceClient, device_id: str, hub: IoTHubRegistryManager, rest: httpx.Client
) -> None:
    messages: queue.Queue[Message] = queue.Queue()
    device.on_message_received = messages.put
    properties = {"messageId": "m 1/ü", "contentType": "application/json", "x+y": "a&b=c"}
    hub.send_c2d_message(device_id, '{"command":"renew"}', properties)
    message = messages.get(timeout=10)
    assert message.data == b'{"command":"renew"}'
    assert (message.message_id, message.content_type) == ("m 1/ü", "application/json")
    assert message.custom_properties["x+y"] == "a&b=c"
    seen = eventually(lambda: (c := observed(rest, device_id)["cloudToDevice"])["acknowledged"] and c)
    assert seen == {"accepted": 1, "delivered": 1, "acknowledged": 1}


def test_messages_wait_for_a_device_that_is_away(
    azure: dict[str, Any], device_id: str, operational: Operational, hub: IoTHubRegistryManager
) -> None:
    for number in range(3):
        hub.send_c2d_message(device_id, str(number))
    assert hub.get_device(device_id).cloud_to_device_message_count == 3
    with PlainDevice(azure, device_id, operational) as device:
        device.subscribe(f"devices/{device_id}/messages/devicebound/#")
        assert [device.next_message()[1] for _ in range(3)] == [b"0", b"1", b"2"]
        eventually(lambda: hub.get_device(device_id).cloud_to_device_message_count == 0)


def test_an_unacknowledged_message_is_delivered_again_to_the_subscription_that_was_kept(
    azure: dict[str, Any], device_id: str, operational: Operational, hub: IoTHubRegistryManager
) -> None:
    with PlainDevice(azure, device_id, operational, clean_session=False, acknowledge=False) as device:
        device.subscribe(f"devices/{device_id}/messages/devicebound/#")
        hub.send_c2d_message(device_id, "once more")
        device.next_message()
    with PlainDevice(azure, device_id, operational, clean_session=False) as device:
        assert device.flags["session present"] == 1
        assert device.next_message()[1] == b"once more"
        eventually(lambda: hub.get_device(device_id).cloud_to_device_message_count == 0)


async def routed_events(azure: dict[str, Any], event_hub: str, device_id: str, count: int) -> list[EventData]:
    """The first events of the device in an event hub."""
    found: list[EventData] = []
    enough = asyncio.Event()

    async def note(_context: PartitionContext, event: EventData | None) -> None:
        if event is not None and event.properties.get(b"deviceId") == device_id.encode():
            found.append(event)
            if len(found) == count:
                enough.set()

    client = EventHubConsumerClient.from_connection_string(
        azure["eventhub_connection_string"], "$Default", eventhub_name=event_hub
    )
    async with client:
        receiving = asyncio.create_task(client.receive(note, starting_position="-1"))
        await asyncio.wait_for(enough.wait(), 15)
        receiving.cancel()
    return found


def routed(event: EventData) -> tuple[bytes, bytes]:
    return event.properties[b"opType"], event.system_properties[b"iothub-message-source"]


async def test_what_happens_to_a_device_is_routed_to_the_event_hubs_in_order(
    azure: dict[str, Any], device: IoTHubDeviceClient, device_id: str
) -> None:
    await asyncio.to_thread(device.patch_twin_reported_properties, {"certificate": {"serialNumber": "ab"}})
    await asyncio.to_thread(device.disconnect)
    created, updated = await routed_events(azure, "iot-events", device_id, 2)
    assert routed(created) == (b"createDeviceIdentity", b"deviceLifecycleEvents")
    assert routed(updated) == (b"updateTwin", b"twinChangeEvents")
    assert json.loads(updated.body_as_str())["properties"]["reported"]["certificate"] == {"serialNumber": "ab"}
    assert updated.content_type == "application/json"
    came, went = await routed_events(azure, "connection-events", device_id, 2)
    assert routed(came) == (b"deviceConnected", b"deviceConnectionStateEvents")
    assert routed(went) == (b"deviceDisconnected", b"deviceConnectionStateEvents")
    assert came.body_as_json()["sequenceNumber"] < went.body_as_json()["sequenceNumber"]


def test_telemetry_is_accepted(device: IoTHubDeviceClient, device_id: str, rest: httpx.Client) -> None:
    for number in range(3):
        device.send_message(Message(json.dumps({"n": number}), content_type="application/json"))
    assert observed(rest, device_id)["telemetry"] == 3


def test_a_second_connection_of_a_device_ends_the_first(
    azure: dict[str, Any], device_id: str, operational: Operational, rest: httpx.Client
) -> None:
    first = PlainDevice(azure, device_id, operational)
    assert first.connect() == 0
    with PlainDevice(azure, device_id, operational):
        first.wait_until_lost()
        assert "400027" in observed(rest, device_id)["sessionEnds"][-1]["reason"]
        assert observed(rest, device_id)["session"] is not None


def test_a_device_renews_over_the_hub_and_connects_with_what_it_got(
    azure: dict[str, Any], device_id: str, operational: Operational, tmp_path: Path, rest: httpx.Client
) -> None:
    key, request = renewal_request(device_id)
    with PlainDevice(azure, device_id, operational) as device:
        device.subscribe(ANSWERS)
        topic, accepted = device.ask(f"{ISSUE}req-1", request)
        assert topic == "$iothub/credentials/res/202/?$rid=req-1"
        topic, issued = device.next_message()
    assert topic == "$iothub/credentials/res/200/?$rid=req-1"
    assert json.loads(issued)["correlationId"] == json.loads(accepted)["correlationId"]
    chain = chain_of(json.loads(issued)["certificates"])
    assert len(chain) == 3
    assert chain[0].serial_number != operational.leaf.serial_number
    renewed = Operational.write(tmp_path, "renewed", key, chain)
    with PlainDevice(azure, device_id, renewed):
        assert observed(rest, device_id)["session"]["certificate"]["thumbprint"] == thumbprint(chain[0])


def test_one_renewal_at_a_time_unless_it_replaces_the_pending_one(
    azure: dict[str, Any], device_id: str, operational: Operational
) -> None:
    with PlainDevice(azure, device_id, operational) as device:
        device.subscribe(ANSWERS)
        for request_id, more in (("req-1", {}), ("req-2", {}), ("req-3", {"replace": "req-1"})):
            device.client.publish(f"{ISSUE}{request_id}", renewal_request(device_id, **more)[1], 1)
        answers = [device.next_message() for _ in range(4)]
    assert [topic.removeprefix("$iothub/credentials/res/") for topic, _ in answers] == [
        "202/?$rid=req-1",
        "409/?$rid=req-2",
        "202/?$rid=req-3",
        "200/?$rid=req-3",
    ]
    conflict = json.loads(answers[1][1])
    assert conflict["errorCode"] == 409004
    assert conflict["info"]["requestId"] == "req-1"


@pytest.mark.parametrize(
    ("request_id", "change", "code"),
    [
        ("req-1", {"id": "somebody-else"}, 400004),
        ("req-1", {"csr": "***"}, 400004),
        ("req-1", {"csr": "A" * 8193}, 400004),
        ("req-1", {"unknown": 1}, 400004),
        ("req-1", {"replace": "!"}, 400004),
        ("x", {}, 400004),
        ("req-1", {"replace": "req-0"}, 412001),
    ],
)
def test_a_bad_renewal_request_gets_its_documented_code(
    azure: dict[str, Any],
    device_id: str,
    operational: Operational,
    request_id: str,
    change: dict[str, Any],
    code: int,
) -> None:
    request = {**json.loads(renewal_request(device_id)[1]), **change}
    with PlainDevice(azure, device_id, operational) as device:
        device.subscribe(ANSWERS)
        topic, answer = device.ask(f"{ISSUE}{request_id}", json.dumps(request))
    assert json.loads(answer)["errorCode"] == code
    assert topic == f"$iothub/credentials/res/{code // 1000}/?$rid={request_id}"


def test_a_csr_for_another_name_is_accepted_and_then_refused_by_the_issuer(
    azure: dict[str, Any], device_id: str, operational: Operational
) -> None:
    csr = signing_request("somebody-else", ec.generate_private_key(ec.SECP384R1()))
    with PlainDevice(azure, device_id, operational) as device:
        device.subscribe(ANSWERS)
        assert "/202/" in device.ask(f"{ISSUE}req-1", json.dumps({"id": device_id, "csr": csr}))[0]
        topic, answer = device.next_message()
    assert "/400/" in topic
    assert json.loads(answer)["errorCode"] == 400037


def test_renewal_needs_the_preview_version_of_the_api(
    azure: dict[str, Any], device_id: str, operational: Operational
) -> None:
    with PlainDevice(azure, device_id, operational, api_version="2021-04-12") as device:
        assert device.subscribe(ANSWERS) == 0x80
