"""Event Hubs as Microsoft's own clients meet it. The tests share the namespace: each looks for its own events only."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
import uamqp
from azure.eventhub.aio import EventHubProducerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage
from azure.eventhub.exceptions import AuthenticationError, ConnectError, ConnectionLostError, EventHubError
from azure.eventhub.extensions.checkpointstoreblobaio import BlobCheckpointStore
from azure.identity import ManagedIdentityCredential
from azure.iot.hub import IoTHubRegistryManager
from azure.storage.blob.aio import ContainerClient
from support.event_hub_clients import (
    HUB,
    PATIENCE_SECONDS,
    Received,
    consumer,
    marked,
    members,
    over_tls,
    producer,
    receiving,
)

from fleetcert.local.config import OTHER_CONSUMER_GROUP

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sender(azure: dict[str, Any]) -> AsyncIterator[EventHubProducerClient]:
    """One producer for all tests: opening a link takes azure-eventhub more than a second."""
    async with producer(azure) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def received(azure: dict[str, Any]) -> AsyncIterator[Received]:
    """What one consumer gets of all partitions, from their beginning on."""
    async with receiving(consumer(azure)) as everything:
        yield everything


async def test_an_event_for_a_partition_is_read_from_that_partition(
    sender: EventHubProducerClient, received: Received, mark: str
) -> None:
    await sender.send_batch([marked(mark, "to one")], partition_id="1")
    await received.until(1, mark)
    assert (received.bodies(mark), received.partitions(mark)) == (["to one"], ["1"])


async def test_events_of_one_partition_key_share_a_partition_in_their_order(
    sender: EventHubProducerClient, received: Received, mark: str
) -> None:
    for number in range(5):
        await sender.send_batch([marked(mark, str(number))], partition_key="device-7")
    events = await received.until(5, mark)
    assert received.bodies(mark) == ["0", "1", "2", "3", "4"]
    assert len(set(received.partitions(mark))) == 1
    assert {event.partition_key for event in events} == {b"device-7"}


async def test_a_batch_arrives_event_by_event_with_rising_positions(
    sender: EventHubProducerClient, received: Received, mark: str
) -> None:
    batch = await sender.create_batch(partition_id="0")
    for number in range(200):
        batch.add(marked(mark, str(number)))
    await sender.send_batch(batch)
    events = await received.until(200, mark)
    numbers = [event.sequence_number for event in events]
    offsets = [int(event.offset or "") for event in events]
    assert received.bodies(mark) == [str(number) for number in range(200)]
    assert numbers == list(range(numbers[0], numbers[0] + 200))
    assert offsets == sorted(set(offsets))


async def test_an_event_of_300_kilobytes_passes_in_several_frames_both_ways(
    sender: EventHubProducerClient, received: Received, mark: str
) -> None:
    body = "".join(chr(65 + number % 26) for number in range(300_000))
    await sender.send_batch([marked(mark, body)], partition_id="0")
    await received.until(1, mark)
    assert received.bodies(mark) == [body]


async def test_an_event_beyond_a_megabyte_is_refused(sender: EventHubProducerClient, mark: str) -> None:
    batch = await sender.create_batch()
    with pytest.raises(ValueError, match="size limit: 1048576"):
        batch.add(marked(mark, b"x" * 1_100_000))
    with pytest.raises(EventHubError, match="message-size-exceeded"):
        await sender.send_event(marked(mark, b"x" * 1_100_000))


async def test_properties_and_annotations_reach_the_consumer(
    sender: EventHubProducerClient, received: Received, mark: str
) -> None:
    message = AmqpAnnotatedMessage(
        data_body=b"{}",
        application_properties={"mark": mark, "opType": "updateTwin"},
        annotations={"iothub-message-source": "twinChangeEvents"},
        properties={"content_type": "application/json", "correlation_id": "c-1"},
    )
    before = datetime.now(UTC)
    await sender.send_event(message, partition_id="0")
    event = (await received.until(1, mark))[0]
    assert event.properties[b"opType"] == b"updateTwin"
    assert event.system_properties[b"iothub-message-source"] == b"twinChangeEvents"
    assert (event.content_type, event.correlation_id) == ("application/json", "c-1")
    assert event.enqueued_time is not None
    assert abs((event.enqueued_time - before).total_seconds()) < PATIENCE_SECONDS


async def test_a_routed_event_carries_iot_hubs_annotations(azure: dict[str, Any]) -> None:
    device_id = f"routed-{uuid.uuid4().hex[:8]}"
    hub = IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])
    await asyncio.to_thread(hub.create_device_with_certificate_authority, device_id, "enabled")
    async with receiving(consumer(azure, "iot-events"), by=b"deviceId") as routed:
        event = (await routed.until(1, device_id))[0]
    assert event.system_properties[b"iothub-message-source"] == b"deviceLifecycleEvents"
    assert event.system_properties[b"iothub-connection-device-id"] == device_id.encode()
    assert event.properties[b"opType"] == b"createDeviceIdentity"
    assert event.partition_key == device_id.encode()


async def test_another_consumer_group_gets_every_event_too(
    azure: dict[str, Any], sender: EventHubProducerClient, received: Received, mark: str
) -> None:
    await sender.send_batch([marked(mark)], partition_id="0")
    await received.until(1, mark)
    async with receiving(consumer(azure, group=OTHER_CONSUMER_GROUP)) as others:
        await others.until(1, mark)


async def test_latest_skips_what_is_there_and_gets_what_comes(
    azure: dict[str, Any], sender: EventHubProducerClient, mark: str
) -> None:
    await sender.send_batch([marked(mark, "before")], partition_id="0")
    async with receiving(consumer(azure), partition_id="0", starting_position="@latest") as latest:
        # The client does not say when its link is there: it is once one of a row of events has come.
        for _ in range(200):
            await sender.send_batch([marked(mark, "after")], partition_id="0")
            await asyncio.sleep(0.05)
            if latest.bodies(mark):
                break
        assert set(latest.bodies(mark)) == {"after"}


async def test_a_datetime_starts_at_the_first_event_after_it(
    azure: dict[str, Any], sender: EventHubProducerClient, mark: str
) -> None:
    await sender.send_batch([marked(mark, "old")], partition_id="0")
    await asyncio.sleep(0.01)
    between = datetime.now(UTC)
    await asyncio.sleep(0.01)
    await sender.send_batch([marked(mark, "new")], partition_id="0")
    async with receiving(consumer(azure), partition_id="0", starting_position=between) as later:
        await later.until(1, mark)
        assert later.bodies(mark) == ["new"]


@pytest.mark.parametrize("inclusive", [True, False])
async def test_a_sequence_number_starts_at_or_after_its_event(
    azure: dict[str, Any], sender: EventHubProducerClient, received: Received, mark: str, inclusive: bool
) -> None:
    await sender.send_batch([marked(mark, text) for text in ("first", "second")], partition_id="0")
    start = (await received.until(2, mark))[0].sequence_number
    position = {"partition_id": "0", "starting_position": start, "starting_position_inclusive": inclusive}
    async with receiving(consumer(azure), **position) as later:
        await later.until(2 if inclusive else 1, mark)
        assert later.bodies(mark) == (["first", "second"] if inclusive else ["second"])


async def test_a_consumer_resumes_after_its_checkpoint(
    azure: dict[str, Any], sender: EventHubProducerClient, mark: str
) -> None:
    store = {"conn_str": azure["storage_connection_string"], "container_name": f"checkpoints-{mark}"}
    async with ContainerClient.from_connection_string(**store) as container:
        await container.create_container()
    await sender.send_batch([marked(mark, text) for text in ("1", "2", "3")], partition_id="1")
    # A consumer that checkpoints claims its partitions with an epoch, so it stays out of the other tests' group.
    checkpoints = BlobCheckpointStore.from_connection_string(**store)
    async with receiving(
        consumer(azure, group=OTHER_CONSUMER_GROUP, checkpoint_store=checkpoints), checkpoint=True
    ) as first:
        await first.until(3, mark)
    await sender.send_batch([marked(mark, text) for text in ("4", "5")], partition_id="1")
    checkpoints = BlobCheckpointStore.from_connection_string(**store)
    async with receiving(consumer(azure, group=OTHER_CONSUMER_GROUP, checkpoint_store=checkpoints)) as second:
        await second.until(2, mark)
    assert (first.bodies(mark), second.bodies(mark)) == (["1", "2", "3"], ["4", "5"])


async def test_a_higher_epoch_takes_the_partition_over_and_a_lower_one_is_refused(
    azure: dict[str, Any], sender: EventHubProducerClient, mark: str
) -> None:
    await sender.send_batch([marked(mark)], partition_id="0")

    def claiming(epoch: int) -> Any:
        return receiving(consumer(azure, group=OTHER_CONSUMER_GROUP), partition_id="0", owner_level=epoch)

    async with claiming(1) as first:
        await first.until(1, mark)
        async with claiming(2) as second:
            await second.until(1, mark)
            stolen = await first.until_error()
            async with claiming(1) as third:
                refused = await third.until_error()
    for error in (stolen, refused):
        assert isinstance(error, ConnectionLostError)
        assert "amqp:link:stolen" in str(error)


async def test_the_event_hub_tells_its_properties(azure: dict[str, Any]) -> None:
    async with consumer(azure, "iot-events") as client:
        properties = await client.get_eventhub_properties()
    assert properties["eventhub_name"] == "iot-events"
    assert properties["partition_ids"] == ["0", "1", "2", "3"]
    assert properties["created_at"] <= datetime.now(UTC)


async def test_a_partition_tells_its_end(sender: EventHubProducerClient, mark: str) -> None:
    before = await sender.get_partition_properties("1")
    await sender.send_batch([marked(mark), marked(mark)], partition_id="1")
    after = await sender.get_partition_properties("1")
    assert after["last_enqueued_sequence_number"] >= before["last_enqueued_sequence_number"] + 2
    assert int(after["last_enqueued_offset"]) > int(before["last_enqueued_offset"])
    assert not after["is_empty"]
    assert after["beginning_sequence_number"] <= after["last_enqueued_sequence_number"]


async def test_an_event_hub_that_does_not_exist_is_not_found(azure: dict[str, Any], mark: str) -> None:
    async with producer(azure, "no-such-hub") as client:
        with pytest.raises(ConnectError, match="404"):
            await client.get_eventhub_properties()
        with pytest.raises(ConnectError, match="404"):
            await client.send_event(marked(mark))


@pytest.mark.parametrize(
    ("path", "condition"),
    [
        (f"{HUB}/ConsumerGroups/nobody/Partitions/0", b"amqp:not-found"),
        (f"{HUB}/ConsumerGroups/$Default/Partitions/9", b"com.microsoft:argument-out-of-range"),
        ("no-such-hub/ConsumerGroups/$Default/Partitions/0", b"amqp:not-found"),
    ],
)
async def test_a_consumer_of_what_does_not_exist_is_refused(azure: dict[str, Any], path: str, condition: bytes) -> None:
    refusal = await asyncio.to_thread(refusal_of, azure, uamqp.address.Source(f"amqps://localhost/{path}"))
    assert getattr(refusal.condition, "value", refusal.condition) == condition


async def test_a_position_that_is_yet_to_come_is_refused(azure: dict[str, Any]) -> None:
    source = uamqp.address.Source(f"amqps://localhost/{HUB}/ConsumerGroups/$Default/Partitions/0")
    source.set_filter(b"amqp.annotation.x-opt-sequence-number > '1000000000'")
    refusal = await asyncio.to_thread(refusal_of, azure, source)
    assert b"The supplied sequence number '1000000000' is invalid" in refusal.description


def refusal_of(azure: dict[str, Any], source: uamqp.address.Source) -> uamqp.errors.LinkDetach:
    """What uamqp is told. (azure-eventhub keeps a refused attach to itself and tries again, for ever.)"""
    plain = members(azure["eventhub_connection_string"])
    auth = uamqp.authentication.SASTokenAuth.from_shared_access_key(
        f"sb://localhost/{source.address.split('/')[3]}",
        plain["SharedAccessKeyName"],
        plain["SharedAccessKey"],
        verify=azure["ca_bundle"],
    )
    policy = uamqp.errors.ErrorPolicy(max_retries=0, on_error=lambda _: uamqp.errors.ErrorAction(retry=False))
    client = uamqp.ReceiveClient(source, auth=auth, error_policy=policy, timeout=PATIENCE_SECONDS * 1000)
    try:
        with pytest.raises(uamqp.errors.LinkDetach) as refusal:
            client.receive_message_batch()
        return refusal.value
    finally:
        client.close()


async def test_a_wrong_key_is_an_authentication_error(azure: dict[str, Any], mark: str) -> None:
    plain = azure["eventhub_connection_string"]
    forged = plain.replace(members(plain)["SharedAccessKey"], "bm90IHRoZSBrZXk=")
    async with producer({"eventhub_connection_string": forged}) as client:
        with pytest.raises(AuthenticationError, match="401"):
            await client.send_event(marked(mark))


async def test_a_key_of_iot_hub_opens_no_event_hub(azure: dict[str, Any], mark: str) -> None:
    hub = members(azure["iothub_service_connection_string"])
    forged = (
        f"Endpoint=sb://localhost:5672;SharedAccessKeyName={hub['SharedAccessKeyName']};"
        f"SharedAccessKey={hub['SharedAccessKey']};UseDevelopmentEmulator=true"
    )
    async with producer({"eventhub_connection_string": forged}) as client:
        with pytest.raises(AuthenticationError, match="401"):
            await client.send_event(marked(mark))


async def test_tls_on_the_standard_port_is_verified_against_the_ca_bundle(azure: dict[str, Any], mark: str) -> None:
    secure = {"eventhub_connection_string": over_tls(azure)}
    async with producer(secure, connection_verify=azure["ca_bundle"]) as client:
        await client.send_batch([marked(mark, "over TLS")], partition_id="0")
    async with receiving(consumer(secure, connection_verify=azure["ca_bundle"]), partition_id="0") as read:
        await read.until(1, mark)
    async with producer(secure) as stranger:
        with pytest.raises(EventHubError, match="certificate verify failed"):
            await stranger.send_event(marked(mark))
    assert read.bodies(mark) == ["over TLS"]


async def test_a_managed_identity_sends_with_its_bearer_token(
    azure: dict[str, Any], credential: ManagedIdentityCredential, received: Received, mark: str
) -> None:
    options = {"connection_verify": azure["ca_bundle"], "retry_total": 0}
    async with EventHubProducerClient("localhost", HUB, _Asynchronous(credential), **options) as client:
        await client.send_batch([marked(mark)], partition_id="0")
    await received.until(1, mark)


class _Asynchronous:
    """azure-identity's synchronous credential for an asynchronous client."""

    def __init__(self, credential: ManagedIdentityCredential) -> None:
        self._credential = credential

    async def get_token(self, *scopes: str, **options: Any) -> Any:
        return await asyncio.to_thread(self._credential.get_token, *scopes, **options)

    async def close(self) -> None:
        """The credential is the session's."""
