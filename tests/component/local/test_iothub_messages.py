"""The life of a cloud-to-device message and of the feedback on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fleetcert.local.iothub import feedback as fb
from fleetcert.local.iothub.device_queue import DeviceQueue, Outcome, QueuedMessage
from fleetcert.local.iothub.errors import HubError
from fleetcert.local.iothub.feedback import FeedbackQueue, feedback_record
from fleetcert.local.ports import CloudToDeviceMessage

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def message(message_id: str = "m1", *, ack: str = "full", expires: datetime | None = None, body: bytes = b"x") -> Any:
    system: dict[str, Any] = {"message_id": message_id}
    if expires is not None:
        system["absolute_expiry_time"] = expires
    return CloudToDeviceMessage("dev-1", body, system, {"iothub-ack": ack})


def queued(*ids: str) -> DeviceQueue:
    queue = DeviceQueue("dev-1")
    for message_id in ids:
        queue.enqueue(QueuedMessage.of(message(message_id), NOON))
    return queue


def test_messages_are_delivered_oldest_first_and_each_once() -> None:
    queue = queued("m1", "m2")
    first, second, third = queue.lock_next(), queue.lock_next(), queue.lock_next()
    assert first is not None
    assert second is not None
    assert (first.message_id, second.message_id, third) == ("m1", "m2", None)


def test_an_acknowledged_message_is_a_success_once() -> None:
    queue = queued("m1")
    locked = queue.lock_next()
    assert locked is not None
    settled = queue.complete(locked)
    assert settled is not None
    assert settled.outcome is Outcome.SUCCESS
    assert queue.complete(locked) is None
    assert len(queue) == 0


def test_what_was_not_acknowledged_is_delivered_again_until_the_tenth_time() -> None:
    queue = queued("m1")
    for _ in range(9):
        assert queue.lock_next() is not None
        assert queue.release() == []
    assert queue.lock_next() is not None
    (settled,) = queue.release()
    assert settled.outcome is Outcome.DELIVERY_COUNT_EXCEEDED
    assert len(queue) == 0


def test_the_51st_pending_message_is_403004_and_locked_ones_count() -> None:
    queue = queued(*(f"m{n}" for n in range(50)))
    queue.lock_next()
    with pytest.raises(HubError, match="403004"):
        queue.enqueue(QueuedMessage.of(message(), NOON))


def test_a_message_expires_at_its_time_unless_the_device_holds_it() -> None:
    queue = DeviceQueue("dev-1")
    for message_id in ("held", "waiting"):
        queue.enqueue(QueuedMessage.of(message(message_id, expires=NOON + HOUR), NOON))
    queue.lock_next()
    assert queue.expire(NOON + HOUR - timedelta(seconds=1)) == []
    (settled,) = queue.expire(NOON + HOUR)
    assert (settled.message.message_id, settled.outcome) == ("waiting", Outcome.EXPIRED)
    queue.release()
    assert [s.message.message_id for s in queue.expire(NOON + HOUR)] == ["held"]


def test_a_message_without_an_expiry_lives_for_an_hour() -> None:
    assert QueuedMessage.of(message(), NOON).expires_at == NOON + HOUR


def test_a_message_may_not_live_longer_than_two_days_or_have_over_64_kb() -> None:
    with pytest.raises(HubError, match="403009"):
        QueuedMessage.of(message(expires=NOON + timedelta(days=3)), NOON)
    with pytest.raises(HubError, match="413001"):
        QueuedMessage.of(message(body=b"x" * 65537), NOON)


def test_purging_takes_everything() -> None:
    queue = queued("m1", "m2")
    queue.lock_next()
    assert {s.outcome for s in queue.purge()} == {Outcome.PURGED}
    assert len(queue) == 0


@pytest.mark.parametrize(
    ("ack", "success", "failure"),
    [("none", False, False), ("positive", True, False), ("negative", False, True), ("full", True, True)],
)
def test_feedback_goes_to_who_asked_for_it(ack: str, success: bool, failure: bool) -> None:
    queue = DeviceQueue("dev-1")
    for message_id in ("m1", "m2"):
        queue.enqueue(QueuedMessage.of(message(message_id, ack=ack), NOON))
    locked = queue.lock_next()
    assert locked is not None
    settled = queue.complete(locked)
    assert settled is not None
    (expired,) = queue.expire(NOON + HOUR)
    assert (settled.wants_feedback, expired.wants_feedback) == (success, failure)


def test_a_feedback_record_says_what_azure_says() -> None:
    (settled,) = queued("m1").expire(NOON + HOUR)
    assert feedback_record(settled, "dev-1", "g1", NOON) == {
        "originalMessageId": "m1",
        "enqueuedTimeUtc": "2026-11-23T12:00:00.0000000Z",
        "statusCode": "Expired",
        "description": "Expired",
        "deviceId": "dev-1",
        "deviceGenerationId": "g1",
    }


def feedback_of(count: int) -> FeedbackQueue:
    queue = FeedbackQueue()
    for number in range(count):
        queue.add({"originalMessageId": str(number)}, NOON)
    return queue


def test_feedback_comes_in_batches_of_64() -> None:
    queue = feedback_of(65)
    first, second = queue.receive(NOON), queue.receive(NOON)
    assert first is not None
    assert second is not None
    assert (len(first.records), len(second.records)) == (64, 1)
    assert queue.receive(NOON) is None


def test_a_completed_batch_is_gone_and_its_lock_with_it() -> None:
    queue = feedback_of(1)
    batch = queue.receive(NOON)
    assert batch is not None
    assert batch.lock_token is not None
    queue.complete(batch.lock_token, NOON)
    assert queue.receive(NOON + fb.LOCK) is None
    with pytest.raises(HubError, match="412002"):
        queue.complete(batch.lock_token, NOON)


def test_an_abandoned_batch_and_one_whose_lock_ran_out_are_received_again() -> None:
    queue = feedback_of(1)
    first = queue.receive(NOON)
    assert first is not None
    token = first.lock_token
    assert token is not None
    queue.abandon(token, NOON)
    again = queue.receive(NOON)
    assert again is not None
    assert again.lock_token != token
    assert queue.receive(NOON + fb.LOCK - timedelta(seconds=1)) is None
    assert queue.receive(NOON + fb.LOCK) is not None


def test_feedback_that_nobody_completes_ends_after_ten_deliveries_or_an_hour() -> None:
    queue = feedback_of(1)
    for delivery in range(fb.MAX_DELIVERIES):
        assert queue.receive(NOON + fb.LOCK * delivery) is not None
    assert queue.receive(NOON + fb.LOCK * fb.MAX_DELIVERIES) is None
    assert feedback_of(1).receive(NOON + fb.TTL) is None
