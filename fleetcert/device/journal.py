"""What a device remembers over a power loss, as one JSON document that is replaced whole."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from fleetcert.device.ports import Way
from fleetcert.device.states import State, may_follow

FORMAT: Final = 2
REMEMBERED_COMMANDS: Final = 64
"""IoT Hub holds at most 50 messages for a device, so that no older command can come again."""
KEPT_ANSWERS: Final = 8
"""The twin shows the last answer only: older ones that could not be told are worth less than the room they take."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """A key that was certified, and where: its name in the key store, hub and device id."""

    key: str
    hub: str
    device_id: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A certificate that is being asked for. request_id: of the request to the hub, kept before it is sent."""

    key: str
    way: Way
    request_id: str


@dataclass(frozen=True, slots=True)
class Wish:
    """A command whose renewal is still to be done. way: what it asked for, where it did."""

    command_id: str
    way: Way | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a command, for the twin's reported property `renewal`."""

    command_id: str
    outcome: str
    reason: str | None = None

    def to_wire(self) -> dict[str, str | None]:
        """Every member, so that a merge patch leaves nothing of the answer before it."""
        return {"commandId": self.command_id, "outcome": self.outcome, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Journal:
    """One moment of a device.

    current: in use. candidate: issued, and not proven yet; proofs: how often that was tried. commands: ids that were
    heard, newest last. answers: to be told to the twin.
    """

    state: State = State.NEW
    current: Entry | None = None
    candidate: Entry | None = None
    attempt: Attempt | None = None
    proofs: int = 0
    wish: Wish | None = None
    commands: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()

    @property
    def keys(self) -> frozenset[str]:
        """The names of all keys that are needed."""
        return frozenset(one.key for one in (self.current, self.candidate, self.attempt) if one)

    def moved(self, state: State, **changes: Any) -> Self:
        """The journal in another state. Raises: ValueError where that state may not follow."""
        if not may_follow(self.state, state):
            raise ValueError(f"{state} may not follow {self.state}")
        return replace(self, state=state, **changes)

    def answered(self, answer: Answer | None) -> Self:
        """The journal with one more answer to tell."""
        return self if answer is None else replace(self, answers=(*self.answers, answer)[-KEPT_ANSWERS:])

    def to_json(self) -> bytes:
        """The document."""
        return json.dumps({"format": FORMAT, **asdict(self)}, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Journal:
        """Raises: ValueError, KeyError, TypeError where the document is not one of ours."""
        document = json.loads(data)
        if document["format"] != FORMAT:
            raise ValueError(f"format {document['format']} is not known")
        return cls(
            state=State(document["state"]),
            current=_entry(document["current"]),
            candidate=_entry(document["candidate"]),
            attempt=_attempt(document["attempt"]),
            proofs=int(document["proofs"]),
            wish=_wish(document["wish"]),
            commands=tuple(map(str, document["commands"])),
            answers=tuple(Answer(**answer) for answer in document["answers"]),
        )


def read_journal(file: Path) -> Journal:
    """The journal in a file; an empty one where there is none that can be read. Raises: OSError of the disk."""
    if not file.exists():
        return Journal()
    try:
        return Journal.from_json(file.read_bytes())
    except (ValueError, KeyError, TypeError) as problem:
        log.warning("%s cannot be read and counts as empty: %s", file, problem)
        return Journal()


def _entry(document: dict[str, str] | None) -> Entry | None:
    return None if document is None else Entry(**document)


def _attempt(document: dict[str, str] | None) -> Attempt | None:
    if document is None:
        return None
    return Attempt(document["key"], Way(document["way"]), document["request_id"])


def _wish(document: dict[str, str] | None) -> Wish | None:
    if document is None:
        return None
    return Wish(document["command_id"], Way(document["way"]) if document["way"] else None)
