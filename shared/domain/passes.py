"""A pass of `reconcile` over the whole fleet: how far it has come, as its row in the table keeps it. Pure.

The row is `cursor!reconcile` in the partition `fleet`; a request for a pass is a row beside it. Which devices the hub
has listed is kept as marks of 8 bytes, a row for each page and shard: at a million devices 1,000 writes of 16 small
rows a pass, in the place of a write for each device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from shared.domain.keys import escape

CURSOR_KEY: Final = "cursor!reconcile"
REQUEST_KEY: Final = "cursor!reconcile!request"
GROUPS: Final = ("group!", 'group"')
"""The range [low, high) of the enrollment groups' rows."""
MOST_RESTARTS: Final = 5
"""How often a list may have to be read from its start again before the pass gives up."""

_MARK_BYTES: Final = 8
_MARK: Final = 2 * _MARK_BYTES


class Phase(StrEnum):
    """What a pass is at. They follow each other in this order."""

    TWINS = "twins"
    GROUPS = "groups"
    REGISTRATIONS = "registrations"
    INDIVIDUALS = "individuals"
    ABSENT = "absent"
    CLEARING = "clearing"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One pass.

    expected: how many devices the hub said that it has; shards: how many the table has. continuation, group, shard and
    after: where the phase goes on. next_request_at: no query before that. found: devices that the table did not know;
    gone: retired; recontained: shut out again; looked_at: read one by one because a list left a doubt; restarts: lists
    that were read from the start again. failure: why the pass gave up ("" where it did not).
    """

    id: str
    started_at: datetime
    next_request_at: datetime
    expected: int
    shards: int
    phase: Phase = Phase.TWINS
    finished_at: datetime | None = None
    failure: str = ""
    continuation: str = ""
    group: str = ""
    shard: int = 0
    after: str = ""
    pages: int = 0
    listed: int = 0
    registrations: int = 0
    found: int = 0
    repaired: int = 0
    unchanged: int = 0
    unreadable: int = 0
    looked_at: int = 0
    gone: int = 0
    recontained: int = 0
    restarts: int = 0

    @property
    def progress(self) -> tuple[int, int]:
        """How much of the present phase is done, and of how much."""
        match self.phase:
            case Phase.TWINS:
                return self.listed, max(self.listed, self.expected)
            case Phase.REGISTRATIONS | Phase.INDIVIDUALS:
                return self.registrations, max(self.registrations, self.listed)
            case Phase.ABSENT:
                return self.shard, self.shards
            case _:
                return int(self.phase is Phase.DONE), 1

    def counting(self, tally: Mapping[str, int]) -> Pass:
        """With what a step has done, by the names of the counts."""
        return replace(self, **{name: getattr(self, name) + count for name, count in tally.items()})

    def entering(self, phase: Phase) -> Pass:
        """At the start of a phase."""
        return replace(self, phase=phase, continuation="", group="", shard=0, after="")

    def restarted(self) -> Pass:
        """The list's continuation is no good any more: its phase begins again, or the pass gives up."""
        if self.restarts >= MOST_RESTARTS:
            return replace(self.entering(Phase.CLEARING), failure=f"the list of {self.phase} kept breaking off")
        begun = replace(self.entering(self.phase), restarts=self.restarts + 1)
        return replace(begun, listed=0) if self.phase is Phase.TWINS else replace(begun, registrations=0)

    def to_values(self) -> dict[str, Any]:
        """The members of the row; what is None is left out."""
        values = {_camel(f.name): getattr(self, f.name) for f in fields(self)}
        return {name: str(v) if isinstance(v, Phase) else v for name, v in values.items() if v is not None}

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Pass:
        """The pass in a row that was read."""
        known: dict[str, Any] = {f.name: values[name] for f in fields(cls) if (name := _camel(f.name)) in values}
        return cls(**{**known, "phase": Phase(known["phase"])})


def seen_key(pass_id: str, partition: str, page: int) -> str:
    """The row of what a page held of a shard."""
    return f"pass!{pass_id}!{partition}!{page:06d}"


def seen_range(pass_id: str, partition: str = "") -> tuple[str, str]:
    """The range [low, high) of the marks of a pass, in one shard or in all."""
    prefix = f"pass!{pass_id}!{partition}!" if partition else f"pass!{pass_id}!"
    return prefix, f'{prefix[:-1]}"'


def mark(device_id: str) -> str:
    """A device id as 16 hex digits. Two of a million alike: once in 37 million passes, and then one waits longer."""
    return hashlib.blake2b(device_id.encode(), digest_size=_MARK_BYTES).hexdigest()


def joined(device_ids: Iterable[str]) -> str:
    """The marks of these devices, one behind the other."""
    return "".join(mark(device_id) for device_id in device_ids)


def parted(marks: str) -> list[str]:
    """The marks that were joined."""
    return [marks[start : start + _MARK] for start in range(0, len(marks), _MARK)]


def group_key(group_id: str) -> str:
    """The row of an enrollment group."""
    return f"{GROUPS[0]}{escape(group_id)}"


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.capitalize() for part in others)
