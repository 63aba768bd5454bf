"""Dead letters for people: what could not be read, why, and sending it again once that is mended."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Literal

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.eventhub import EventData, EventHubProducerClient
from azure.eventhub.exceptions import EventHubError
from azure.storage.blob import BlobProperties, ContainerClient

from shared.contracts import format_instant, parse_instant
from shared.domain.replays import OF, replay_properties
from shared.errors import FleetcertError, NotFound

_REPLAYED_AT: Final = "replayedat"
"""The blob's metadata: names may hold no hyphen."""
_AT_ONCE: Final = 8

type Producers = Callable[[str], EventHubProducerClient]


class DeadLettersUnreadable(FleetcertError):
    """The container cannot be read."""


class CannotReplay(FleetcertError):
    """This dead letter cannot be sent again; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One event that could not be recorded. kept_at: when it became a dead letter. replayed_at: last sent again.

    reason None: the document itself cannot be read. replay_of: the id of the original that this is a replay of.
    """

    event_id: str
    kept_at: datetime
    replayed_at: datetime | None
    reason: str | None
    document: Mapping[str, Any]

    @property
    def replay_of(self) -> str | None:
        """The event id of the original, where this is an event that had been sent again already."""
        of = _mapping(self.document.get("properties")).get(OF)
        return str(of) if of else None

    @property
    def hub(self) -> str:
        """The event hub that it came from."""
        return self.event_id.partition("/")[0]

    def body(self) -> bytes:
        """The original bytes. Raises: CannotReplay."""
        try:
            return base64.b64decode(self.document["body"], validate=True)
        except (KeyError, TypeError, ValueError) as problem:
            raise CannotReplay(f"the dead letter holds no readable body: {problem!r}") from problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """Which dead letters: of an event hub, with a text in their reason; replayed ones only where `again`."""

    hub: str | None = None
    reason: str | None = None
    again: bool = True

    def takes(self, letter: DeadLetter) -> bool:
        """Whether the letter is selected."""
        if letter.replayed_at is not None and not self.again:
            return False
        return self.reason is None or self.reason.lower() in (letter.reason or "").lower()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one dead letter. problem: why it could not be sent."""

    event_id: str
    what: Literal["replayed", "would be replayed", "not replayed"]
    problem: str = ""


def read_all(container: ContainerClient, selector: Selector, limit: int) -> list[DeadLetter]:
    """At most `limit` dead letters by event hub, partition and sequence. Raises: DeadLettersUnreadable."""
    try:
        return list(islice((letter for letter in _letters(container, selector) if selector.takes(letter)), limit))
    except ResourceNotFoundError:
        return []  # the app makes the container at the first dead letter
    except AzureError as problem:
        raise DeadLettersUnreadable(f"{container.container_name} cannot be read: {problem.message}") from problem


def read_one(container: ContainerClient, event_id: str) -> DeadLetter:
    """One dead letter. Raises: NotFound, DeadLettersUnreadable."""
    try:
        return _letter(container, container.get_blob_client(event_id).get_blob_properties())
    except ResourceNotFoundError as problem:
        raise NotFound("dead letter", event_id) from problem
    except AzureError as problem:
        raise DeadLettersUnreadable(f"{container.container_name} cannot be read: {problem.message}") from problem


def replay(container: ContainerClient, letter: DeadLetter, producers: Producers) -> Outcome:
    """Sends the original bytes to the partition that they came from, and notes so at the blob, which stays."""
    try:
        _send(letter, event_of(letter), producers)
    except CannotReplay as problem:
        return Outcome(letter.event_id, "not replayed", str(problem))
    except EventHubError as problem:
        return Outcome(letter.event_id, "not replayed", f"the event hub {letter.hub} failed: {problem.message}")
    try:
        now = format_instant(datetime.now(UTC))
        container.get_blob_client(letter.event_id).set_blob_metadata({_REPLAYED_AT: now})
    except AzureError as problem:
        return Outcome(letter.event_id, "replayed", f"the dead letter could not be marked: {problem.message}")
    return Outcome(letter.event_id, "replayed")


def _send(letter: DeadLetter, event: EventData, producers: Producers) -> None:
    partition = str(letter.document.get("partition"))
    with producers(letter.hub) as producer:
        if partition not in producer.get_partition_ids():
            raise CannotReplay(f"the event hub {letter.hub} has no partition {partition}")
        batch = producer.create_batch(partition_id=partition)
        try:
            batch.add(event)
        except ValueError as problem:
            raise CannotReplay(f"the event hub {letter.hub} does not take it: {problem}") from problem
        producer.send_batch(batch)


def dry_run(letter: DeadLetter) -> Outcome:
    """What a replay would come to, as far as the dead letter alone tells."""
    try:
        event_of(letter)
    except CannotReplay as problem:
        return Outcome(letter.event_id, "not replayed", str(problem))
    return Outcome(letter.event_id, "would be replayed")


def event_of(letter: DeadLetter) -> EventData:
    """The original's bytes and properties, with what IoT Hub had noted of it. Raises: CannotReplay."""
    if letter.reason is None:
        raise CannotReplay("the dead letter itself cannot be read")
    event = EventData(letter.body())
    properties = _mapping(letter.document.get("properties"))
    for name, value in properties.items():
        if not isinstance(value, str | int | float | bool):
            raise CannotReplay(f"its property {name} is no text, number or flag")
    try:
        enqueued_at = parse_instant(letter.document["enqueuedAt"])
    except (KeyError, TypeError, ValueError) as problem:
        raise CannotReplay(f"the dead letter does not say when it was enqueued: {problem!r}") from problem
    system = _mapping(letter.document.get("system"))
    event.properties = dict[str | bytes, Any](
        replay_properties(letter.event_id, properties, system, enqueued_at).items()
    )
    return event


def _letters(container: ContainerClient, selector: Selector) -> Iterator[DeadLetter]:
    prefix = f"{selector.hub}/" if selector.hub else None
    blobs = container.list_blobs(name_starts_with=prefix, include=["metadata"])
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for page in blobs.by_page():
            yield from pool.map(lambda blob: _letter(container, blob), page)


def _letter(container: ContainerClient, blob: BlobProperties) -> DeadLetter:
    try:
        document = json.loads(container.download_blob(blob.name).readall())
    except ValueError:
        document = None
    replayed_at = (blob.metadata or {}).get(_REPLAYED_AT)
    readable = _mapping(document)
    return DeadLetter(
        event_id=blob.name,
        kept_at=blob.creation_time or datetime.now(UTC),
        replayed_at=parse_instant(replayed_at) if replayed_at else None,
        reason=str(readable["reason"]) if "reason" in readable else None,
        document=readable,
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
