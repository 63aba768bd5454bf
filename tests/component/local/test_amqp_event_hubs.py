"""Partitions, positions, readers and publishers, without a connection."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from azure.eventhub._buffered_producer._partition_resolver import PartitionResolver
from hypothesis import given
from hypothesis import strategies as st

from fleetcert.local.amqp.encoding import encode
from fleetcert.local.amqp.errors import DecodeError
from fleetcert.local.amqp.messages import Header, Message
from fleetcert.local.amqp.types import Described, Symbol, Timestamp
from fleetcert.local.eventhubs.hashing import partition_of
from fleetcert.local.eventhubs.hubs import EventHubs
from fleetcert.local.eventhubs.partition import Partition
from fleetcert.local.eventhubs.position import SELECTOR_FILTER, StartPosition
from fleetcert.local.eventhubs.publisher import BATCH_FORMAT, Publisher
from fleetcert.local.eventhubs.receivers import ConsumerGroup
from fleetcert.local.ports import AmqpRefused, RoutedEvent

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class TickingClock:
    """A second passes at each look."""

    def __init__(self, step: timedelta = timedelta(seconds=1)) -> None:
        self.instant = NOW
        self.step = step

    def now(self) -> datetime:
        self.instant += self.step
        return self.instant


class Reader:
    def __init__(self, epoch: int | None = None) -> None:
        self.epoch = epoch
        self.refusal: AmqpRefused | None = None

    def disconnect(self, refusal: AmqpRefused) -> None:
        self.refusal = refusal


def a_message(text: str) -> bytes:
    return Message(data=text.encode()).encode()


def filled(count: int, **bounds: int) -> Partition:
    partition = Partition(TickingClock(), **bounds)
    for number in range(count):
        partition.append(a_message(str(number)))
    return partition


def bodies(partition: Partition) -> list[bytes]:
    return [event.message.body for event in partition.events]


@given(st.text(max_size=40), st.integers(1, 32))
def test_a_key_belongs_to_the_partition_that_azures_own_client_computes(key: str, count: int) -> None:
    octets = "".join(map(chr, key.encode()))
    assert partition_of(key, count) == int(
        PartitionResolver([str(n) for n in range(count)]).get_partition_id_by_partition_key(octets)
    )


def test_positions_rise_and_are_in_the_annotations() -> None:
    partition = filled(3)
    annotations = [event.message.annotations for event in partition.events]
    assert [each["x-opt-sequence-number"] for each in annotations] == [0, 1, 2]
    assert [each["x-opt-offset"] for each in annotations] == [str(event.offset) for event in partition.events]
    assert [each["x-opt-enqueued-time"] for each in annotations] == sorted(
        event.enqueued_at for event in partition.events
    )


def test_a_clock_that_is_set_back_does_not_break_the_order_by_time() -> None:
    partition = Partition(TickingClock(step=timedelta(seconds=-1)))
    times = [partition.append(a_message("x")).enqueued_at for _ in range(3)]
    assert times == sorted(times)


def test_the_oldest_events_are_dropped_and_numbers_go_on() -> None:
    partition = filled(25, max_events=10)
    assert len(partition.events) <= 10
    assert partition.end_sequence_number == 25
    assert partition.begin_sequence_number == partition.events[0].sequence_number
    assert bodies(partition)[-1] == b"24"


def test_memory_is_bounded_by_bytes_too() -> None:
    partition = filled(50, max_bytes=1000)
    assert sum(len(event.encoded) for event in partition.events) <= 1000
    assert bodies(partition)[-1] == b"49"


def test_a_reader_that_was_overtaken_goes_on_with_the_oldest_event() -> None:
    partition = filled(25, max_events=10)
    overtaken = partition.at(3)
    assert overtaken is not None
    assert overtaken.sequence_number == partition.begin_sequence_number
    assert partition.at(25) is None


def test_header_and_foreign_positions_do_not_pass() -> None:
    message = Header(durable=True).to_bytes() + Message(annotations={Symbol("x-opt-offset"): "9"}, data=b"x").encode()
    event = Partition(TickingClock()).append(message)
    assert event.message.annotations["x-opt-offset"] == "0"
    assert not event.encoded.startswith(Header(durable=True).to_bytes())


def start(selector: str, partition: Partition) -> int:
    filters = {Symbol(SELECTOR_FILTER): Described(Symbol(SELECTOR_FILTER), selector)}
    return StartPosition.of_filter(filters).resolve(partition)


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("amqp.annotation.x-opt-offset > '-1'", 0),
        ("amqp.annotation.x-opt-offset > '@latest'", 5),
        ("amqp.annotation.x-opt-offset > '0'", 1),
        ("amqp.annotation.x-opt-offset >= '0'", 0),
        ("amqp.annotation.x-opt-sequence-number > '-1'", 0),
        ("amqp.annotation.x-opt-sequence-number > '2'", 3),
        ("amqp.annotation.x-opt-sequence-number >= '2'", 2),
        (f"amqp.annotation.x-opt-enqueued-time > '{Timestamp.of(NOW)}'", 0),
        (f"amqp.annotation.x-opt-enqueued-time > '{Timestamp.of(NOW + timedelta(seconds=2))}'", 2),
        (f"amqp.annotation.x-opt-enqueued-time >= '{Timestamp.of(NOW + timedelta(seconds=2))}'", 1),
        (f"amqp.annotation.x-opt-enqueued-time > '{Timestamp.of(NOW + timedelta(days=1))}'", 5),
    ],
)
def test_a_selector_is_a_position(selector: str, expected: int) -> None:
    assert start(selector, filled(5)) == expected


def test_an_offset_resumes_behind_its_event_even_when_older_ones_are_gone() -> None:
    partition = filled(25, max_events=10)
    event = partition.events[4]
    assert start(f"amqp.annotation.x-opt-offset > '{event.offset}'", partition) == event.sequence_number + 1


def test_without_a_filter_reading_starts_at_the_beginning() -> None:
    assert StartPosition.of_filter(None).resolve(filled(5)) == 0


@pytest.mark.parametrize(
    "selector",
    [
        "amqp.annotation.x-opt-offset > '99999'",
        "amqp.annotation.x-opt-sequence-number > '5'",
        "amqp.annotation.x-opt-offset < '3'",
        "amqp.annotation.x-opt-publisher > '3'",
        "amqp.annotation.x-opt-offset > '1' OR TRUE",
        "",
    ],
)
def test_a_position_that_is_not_there_or_not_understood_is_refused(selector: str) -> None:
    with pytest.raises(AmqpRefused, match=r"com\.microsoft:argument-error"):
        start(selector, filled(5))


def test_a_higher_or_equal_epoch_disconnects_the_readers_that_are_there() -> None:
    group, shared, first, second = ConsumerGroup("g"), Reader(), Reader(epoch=1), Reader(epoch=1)
    for reader in (shared, first, second):
        group.admit("0", reader)
    assert [bool(reader.refusal) for reader in (shared, first, second)] == [True, True, False]
    assert shared.refusal is not None
    assert shared.refusal.condition == "amqp:link:stolen"


@pytest.mark.parametrize("epoch", [None, 1])
def test_a_lower_epoch_or_none_is_refused(epoch: int | None) -> None:
    group = ConsumerGroup("g")
    group.admit("0", Reader(epoch=2))
    with pytest.raises(AmqpRefused, match="amqp:link:stolen"):
        group.admit("0", Reader(epoch))
    group.admit("1", Reader(epoch))


def test_a_claim_ends_with_its_reader() -> None:
    group, claimant = ConsumerGroup("g"), Reader(epoch=2)
    group.admit("0", claimant)
    group.leave("0", claimant)
    group.admit("0", Reader())


def test_five_readers_may_share_a_partition() -> None:
    group = ConsumerGroup("g")
    for _ in range(5):
        group.admit("0", Reader())
    with pytest.raises(AmqpRefused, match="amqp:resource-limit-exceeded"):
        group.admit("0", Reader())


@pytest.fixture
def event_hubs() -> EventHubs:
    return EventHubs({"hub": 4}, ["workers"], TickingClock())


def a_batch(*messages: bytes, key: str | None = None) -> bytes:
    annotations = {Symbol("x-opt-partition-key"): key} if key else {}
    envelope = b"\x00\x53\x72" + encode(annotations)
    return envelope + b"".join(b"\x00\x53\x75" + encode(message) for message in messages)


def test_a_batch_stays_together_and_in_order(event_hubs: EventHubs) -> None:
    publisher = Publisher(event_hubs, "hub")
    publisher.receive(a_batch(a_message("1"), a_message("2"), key="k"), BATCH_FORMAT)
    partition = event_hubs.hub("hub").partitions[partition_of("k", 4)]
    assert bodies(partition) == [b"1", b"2"]
    assert [event.message.annotations["x-opt-partition-key"] for event in partition.events] == ["k", "k"]


@pytest.mark.parametrize("damaged", [b"\x00", b"\x00\x53\x75\xa0\x09", b"text"])
def test_a_batch_with_a_damaged_event_stores_none(event_hubs: EventHubs, damaged: bytes) -> None:
    with pytest.raises(DecodeError):
        Publisher(event_hubs, "hub").receive(a_batch(a_message("1"), damaged), BATCH_FORMAT)
    assert event_hubs.events("hub") == []


def test_events_without_a_key_go_round(event_hubs: EventHubs) -> None:
    publisher = Publisher(event_hubs, "HUB")
    for number in range(8):
        publisher.receive(a_message(str(number)), 0)
    assert [len(event_hubs.events("hub", partition)) for partition in range(4)] == [2, 2, 2, 2]


def test_a_partition_in_the_path_is_the_partition(event_hubs: EventHubs) -> None:
    Publisher(event_hubs, "hub/Partitions/3").receive(a_message("x"), 0)
    assert len(event_hubs.events("hub", 3)) == 1


@pytest.mark.parametrize("path", ["other", "hub/Partitions", "hub/Partitions/4", "hub/Partitions/-1", "hub/a/b/c"])
def test_what_does_not_exist_cannot_be_published_to(event_hubs: EventHubs, path: str) -> None:
    with pytest.raises(AmqpRefused):
        Publisher(event_hubs, path)


def test_a_routed_event_is_stored_with_all_that_iot_hub_says(event_hubs: EventHubs) -> None:
    event_hubs.publish(
        "hub",
        RoutedEvent(
            b"{}",
            "dev-1",
            {"opType": "updateTwin"},
            {"iothub-message-source": "twinChangeEvents", "iothub-enqueuedtime": NOW},
            content_type="application/json",
            correlation_id="c",
            user_id="hub",
        ),
    )
    (event,) = event_hubs.events("hub", partition_of("dev-1", 4))
    message = event.message
    assert message.annotations["iothub-message-source"] == "twinChangeEvents"
    assert message.annotations["iothub-enqueuedtime"].to_datetime() == NOW
    assert message.annotations["x-opt-partition-key"] == "dev-1"
    assert message.application_properties == {"opType": "updateTwin"}
    assert (message.properties.content_type, message.properties.user_id) == ("application/json", b"hub")
    assert message.body == b"{}"


def test_consumer_groups_are_the_ones_that_were_made(event_hubs: EventHubs) -> None:
    hub = event_hubs.hub("hub")
    assert hub.group("$default") is hub.group("$Default")
    assert hub.group("workers").name == "workers"
    with pytest.raises(AmqpRefused, match="amqp:not-found"):
        hub.group("nobody")
