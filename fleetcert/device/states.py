"""The states of an agent. The present one is always on the disk, and only these changes between them exist."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class State(StrEnum):
    """Where a device stands with its operational certificate.

    new: it has no key. registering: it asks DPS, with a key that is kept; an old certificate may still be there.
    proving: a new certificate waits for its first connection. committed: the hub took it, the twin is not told yet.
    rolled-back: the hub did not, and the old one is in use again. operational: nothing is open. renewing: a key and a
    request are made, while the old certificate stays in use.
    """

    NEW = "new"
    REGISTERING = "registering"
    PROVING = "proving"
    COMMITTED = "committed"
    ROLLED_BACK = "rolled-back"
    OPERATIONAL = "operational"
    RENEWING = "renewing"


SERVING: Final = frozenset({State.OPERATIONAL, State.RENEWING, State.COMMITTED, State.ROLLED_BACK})
"""The states in which a device lives on its current certificate."""

TRANSITIONS: Final[Mapping[State, frozenset[State]]] = MappingProxyType(
    {
        State.NEW: frozenset({State.REGISTERING}),
        State.REGISTERING: frozenset({State.PROVING, State.OPERATIONAL}),
        State.PROVING: frozenset({State.COMMITTED, State.ROLLED_BACK, State.REGISTERING}),
        State.COMMITTED: frozenset({State.OPERATIONAL, State.RENEWING, State.REGISTERING}),
        State.ROLLED_BACK: frozenset({State.OPERATIONAL, State.RENEWING, State.REGISTERING}),
        State.OPERATIONAL: frozenset({State.RENEWING, State.REGISTERING}),
        State.RENEWING: frozenset({State.PROVING, State.OPERATIONAL, State.REGISTERING}),
    }
)
"""From each state to those that may follow; to stay is always allowed."""


def may_follow(before: State, after: State) -> bool:
    """Whether `after` may come after `before`."""
    return after is before or after in TRANSITIONS[before]


class Link(StrEnum):
    """How a device stands with the hub at this moment; no disk knows. barred: refused, and waiting."""

    OFFLINE = "offline"
    ONLINE = "online"
    BARRED = "barred"
    STOPPED = "stopped"
