"""Dead letters as operators meet them: on Azurite, with an event hub that remembers what it was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import pytest
from azure.eventhub import EventData
from azure.eventhub.exceptions import EventHubError
from azure.storage.blob import ContainerClient
from support.events import claim, hub_event, twin_event
from support.fakes import NOON
from typer.testing import CliRunner

from fleetcert.cli import dead_letters as command
from fleetcert.operating.connections import Connections
from fleetcert.operating.dead_letters import DeadLetter, Selector, dry_run, read_all, read_one, replay
from shared.adapters.deadletters import BlobDeadLetters
from shared.domain.envelope import Envelope
from shared.domain.replays import ENQUEUED_AT, OF, SYSTEM
from shared.errors import NotFound


@dataclass
class FakeHub:
    """A producer's client: events by partition; `fault` is raised by the next send."""

    sent: list[tuple[str, EventData]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    largest: int = 1000
    fault: Exception | None = None

    def __call__(self, event_hub: str) -> Any:
        self.asked.append(event_hub)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def get_partition_ids(self) -> list[str]:
        return ["0", "1"]

    def create_batch(self, partition_id: str) -> FakeBatch:
        return FakeBatch(partition_id, self.largest)

    def send_batch(self, batch: FakeBatch) -> None:
        if self.fault:
            raise self.fault
        self.sent.extend((batch.partition_id, event) for event in batch.events)


@dataclass
class FakeBatch:
    partition_id: str
    largest: int
    events: list[EventData] = field(default_factory=list)

    def add(self, event: EventData) -> None:
        if len(event.body_as_str()) > self.largest:
            raise ValueError("EventDataBatch has reached its size limit")
        self.events.append(event)


BAD = hub_event(b'{"certificate": ', "twinChangeEvents", "updateTwin", sequence=7)
OTHERS = [
    (twin_event({"certificate": claim()}, sequence=8), "unexpected KeyError"),
    (Envelope("dps-events", "1", 3, NOON, b"[]", {}, {}), "no JSON object"),
]


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


@pytest.fixture
def container(storage: str, fresh_name: str) -> Iterator[ContainerClient]:
    """Three dead letters, as the app keeps them."""

    async def keep() -> None:
        letters = BlobDeadLetters.from_connection_string(storage, fresh_name)
        for envelope, reason in [(BAD, "no JSON: Expecting value"), *OTHERS]:
            await letters.keep(envelope, reason)
        await letters.close()

    asyncio.run(keep())
    with ContainerClient.from_connection_string(storage, fresh_name) as client:
        yield client


def ids(letters: list[DeadLetter]) -> list[str]:
    return [letter.event_id for letter in letters]


def put(container: ContainerClient, name: str, **changes: Any) -> DeadLetter:
    """A dead letter that differs from the first one."""
    document = {**json.loads(container.download_blob(BAD.event_id).readall()), **changes}
    container.upload_blob(name, json.dumps(document).encode())
    return read_one(container, name)


def test_dead_letters_are_listed_with_their_reason(container: ContainerClient):
    letters = read_all(container, Selector(), 10)
    assert ids(letters) == ["dps-events/1/3", "iot-events/0/7", "iot-events/0/8"]
    assert [letter.reason for letter in letters] == [
        "no JSON object",
        "no JSON: Expecting value",
        "unexpected KeyError",
    ]


def test_a_list_is_narrowed_by_hub_and_by_reason_and_cut_at_a_limit(container: ContainerClient):
    assert ids(read_all(container, Selector(hub="iot-events"), 10)) == ["iot-events/0/7", "iot-events/0/8"]
    assert ids(read_all(container, Selector(reason="keyerror"), 10)) == ["iot-events/0/8"]
    assert len(read_all(container, Selector(), 2)) == 2


def test_where_nothing_ever_went_wrong_the_list_is_empty(storage: str, fresh_name: str):
    assert read_all(ContainerClient.from_connection_string(storage, fresh_name), Selector(), 10) == []


def test_a_dead_letter_that_is_not_there_is_not_found(container: ContainerClient):
    with pytest.raises(NotFound):
        read_one(container, "iot-events/0/999")


def test_a_replay_sends_the_original_bytes_and_what_iot_hub_had_noted_to_the_same_partition(
    container: ContainerClient, hub: FakeHub
):
    outcome = replay(container, read_one(container, BAD.event_id), hub)
    assert (outcome.what, outcome.problem) == ("replayed", "")
    ((partition, event),) = hub.sent
    assert (hub.asked, partition, event.body_as_str()) == (["iot-events"], "0", BAD.body.decode())
    assert event.properties == {
        **BAD.properties,
        OF: "iot-events/0/7",
        ENQUEUED_AT: "2026-11-23T12:00:00Z",
        SYSTEM: json.dumps(dict(BAD.system), sort_keys=True),
    }


def test_a_replayed_letter_stays_and_says_so_and_is_not_selected_again(container: ContainerClient, hub: FakeHub):
    replay(container, read_one(container, BAD.event_id), hub)
    assert read_one(container, BAD.event_id).replayed_at is not None
    assert BAD.event_id not in ids(read_all(container, Selector(again=False), 10))
    assert BAD.event_id in ids(read_all(container, Selector(again=True), 10))


def test_a_second_dead_letter_of_an_event_names_the_first_and_so_does_its_own_replay(
    container: ContainerClient, hub: FakeHub
):
    replay(container, read_one(container, BAD.event_id), hub)
    ((_, event),) = hub.sent
    second = put(container, "iot-events/0/50", sequenceNumber=50, properties=dict(event.properties or {}))
    assert second.replay_of == "iot-events/0/7"
    replay(container, second, hub)
    assert (hub.sent[1][1].properties or {})[OF] == "iot-events/0/7"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"body": "no base64!"}, "no readable body"),
        ({"body": None}, "no readable body"),
        ({"enqueuedAt": "soon"}, "when it was enqueued"),
        ({"properties": {"a": [1]}}, "property a is no text"),
        ({"partition": "9"}, "no partition 9"),
        ({"body": "YWJj" * 1000}, "does not take it"),
    ],
)
def test_what_cannot_be_replayed_says_why_and_is_not_marked(
    container: ContainerClient, hub: FakeHub, changes: dict[str, Any], problem: str
):
    letter = put(container, "iot-events/0/60", **changes)
    outcome = replay(container, letter, hub)
    assert outcome.what == "not replayed"
    assert problem in outcome.problem
    assert hub.sent == []
    assert read_one(container, "iot-events/0/60").replayed_at is None


def test_a_letter_that_is_not_even_json_is_listed_and_not_replayed(container: ContainerClient, hub: FakeHub):
    container.upload_blob("iot-events/0/70", b"\xff{")
    letter = read_one(container, "iot-events/0/70")
    assert letter.reason is None
    assert "cannot be read" in replay(container, letter, hub).problem
    assert "cannot be read" in dry_run(letter).problem


def test_an_event_hub_that_fails_leaves_the_letter_unmarked(container: ContainerClient, hub: FakeHub):
    hub.fault = EventHubError("unauthorized")
    outcome = replay(container, read_one(container, BAD.event_id), hub)
    assert "iot-events failed" in outcome.problem
    assert read_one(container, BAD.event_id).replayed_at is None


@pytest.fixture
def run(container: ContainerClient, hub: FakeHub, storage: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The command, at this container and event hub."""
    found = Connections(storage, settings={"DEAD_LETTERS": str(container.container_name)})
    monkeypatch.setattr(Connections, "from_environment", classmethod(lambda cls, *_: found))
    monkeypatch.setattr(Connections, "producer", lambda _, event_hub: hub(event_hub))
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(command.app, arguments)


def test_the_list_is_a_table_of_ids_ages_and_reasons(run: Any):
    output = run("list").output
    assert "iot-events/0/7" in output
    assert "no JSON: Expecting value" in output
    assert "0s" in output or "1s" in output
    assert "more than 1" in run("list", "--limit", "1").output


def test_one_is_shown_with_its_properties_and_its_bytes(run: Any):
    output = run("show", "iot-events/0/7").output
    assert '"reason": "no JSON: Expecting value"' in output
    assert '"opType": "updateTwin"' in output
    assert '{"certificate": ' in output


def test_many_are_only_replayed_when_it_is_said(run: Any, hub: FakeHub):
    dry = run("replay", "--hub", "iot-events")
    assert dry.exit_code == 0
    assert "Nothing was sent" in dry.output
    assert hub.sent == []
    assert run("replay", "--hub", "iot-events", "--execute").exit_code == 0
    assert len(hub.sent) == 2
    run("replay", "--all", "--execute")
    assert hub.asked == ["iot-events", "iot-events", "dps-events"], "what was replayed is left out"


def test_a_run_stops_at_its_limit_and_says_so(run: Any, hub: FakeHub):
    assert "more than 2" in run("replay", "--all", "--execute", "--limit", "2").output
    assert len(hub.sent) == 2


def test_one_is_replayed_at_once_and_a_failure_is_the_exit_code(run: Any, hub: FakeHub):
    assert run("replay", "iot-events/0/7").exit_code == 0
    assert len(hub.sent) == 1
    hub.fault = EventHubError("away")
    assert run("replay", "iot-events/0/7").exit_code == 1


@pytest.mark.parametrize("arguments", [(), ("--all", "--hub", "x"), ("iot-events/0/7", "--all")])
def test_exactly_one_selector_is_taken(run: Any, hub: FakeHub, arguments: tuple[str, ...]):
    assert run("replay", *arguments).exit_code == 2
    assert hub.asked == []
