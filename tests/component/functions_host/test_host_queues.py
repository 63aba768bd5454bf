"""Queue triggers on Azurite in the real runtime: delivery, retries, poison queues and concurrency."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue import QueueClient


def encoded(body: str) -> str:
    return base64.b64encode(body.encode()).decode()


@pytest.fixture(scope="module")
def jobs(storage: Any) -> Iterator[QueueClient]:
    with QueueClient.from_connection_string(storage.connection_string, "jobs") as queue:
        try:
            queue.create_queue()
        except ResourceExistsError:
            queue.clear_messages()
        yield queue


def poisoned(storage: Any) -> list[str]:
    with QueueClient.from_connection_string(storage.connection_string, "jobs-poison") as queue:
        try:
            return [message.content for message in queue.peek_messages(32)]
        except ResourceNotFoundError:
            return []


def finished(storage: Any) -> list[str]:
    with QueueClient.from_connection_string(storage.connection_string, "done") as queue:
        try:
            return [json.loads(base64.b64decode(message.content))["done"] for message in queue.peek_messages(32)]
        except ResourceNotFoundError:
            return []


def test_a_message_reaches_the_function_once_with_its_metadata(sample_host: Any, jobs: Any, eventually: Any) -> None:
    sent = jobs.send_message(encoded("hello"))

    eventually(lambda: sample_host.noted("work", phase="end", body="hello"))
    eventually(lambda: jobs.get_queue_properties().approximate_message_count == 0)
    (run,) = sample_host.noted("work", phase="start", body="hello")
    assert (run["id"], run["attempt"]) == (sent.id, 1)
    assert datetime.fromisoformat(run["inserted"]) == sent.inserted_on


def test_what_the_function_returns_goes_to_its_output_queue(
    sample_host: Any, jobs: Any, storage: Any, eventually: Any
) -> None:
    jobs.send_message(encoded("to be returned"))

    eventually(lambda: "to be returned" in finished(storage))


def test_a_message_that_keeps_failing_is_tried_again_and_then_poisoned(
    sample_host: Any, jobs: Any, storage: Any, eventually: Any
) -> None:
    jobs.send_message(encoded("fail always"))

    eventually(lambda: encoded("fail always") in poisoned(storage))
    attempts = [run["attempt"] for run in sample_host.noted("work", phase="start", body="fail always")]
    assert attempts == [1, 2]
    assert "fail always" not in finished(storage)
    eventually(lambda: jobs.get_queue_properties().approximate_message_count == 0)


def test_a_message_that_is_not_base64_is_poisoned_unread(
    sample_host: Any, jobs: Any, storage: Any, eventually: Any
) -> None:
    jobs.send_message("plain text!")

    eventually(lambda: "plain text!" in poisoned(storage))
    assert not sample_host.noted("work", body="plain text!")


def test_no_more_messages_are_in_flight_than_batch_size_and_threshold_allow(
    sample_host: Any, jobs: Any, eventually: Any
) -> None:
    for number in range(5):
        jobs.send_message(encoded(f"slow {number}"))

    def runs() -> list[dict[str, Any]]:
        return [run for run in sample_host.noted("work") if run["body"].startswith("slow")]

    eventually(lambda: len([run for run in runs() if run["phase"] == "end"]) == 5)
    in_flight, most = 0, 0
    for run in sorted(runs(), key=lambda run: run["at"]):
        in_flight += 1 if run["phase"] == "start" else -1
        most = max(most, in_flight)
    assert most == 2
