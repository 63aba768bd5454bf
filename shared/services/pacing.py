"""How many commands may leave in a minute, and when each of them does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Final

MINUTE: Final = timedelta(minutes=1)
ISSUANCES: Final = 500
REGISTRATIONS: Final = 1000
"""What ADR issues and DPS registers in a minute (Azure docs: limits of both): a renewal needs one of each."""

DPS_OPERATIONS: Final = 1000
"""Requests of its service API that DPS takes in a minute (Azure docs: DPS limits)."""
REQUESTS_A_DISABLE: Final = 6
"""Of the identity registry, to shut a device out: looked at, disabled, looked at again, two looks; DPS gets no more."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What this back end takes of Azure's throttles in a minute; others use the same hub, ADR and DPS.

    per_minute: the hub's throttle for sends (Azure docs: 100 a minute and unit in S1 and S2). share: our part of each.
    others: the throttles of other services that the same work meets.
    """

    per_minute: int = 100
    share: Fraction = Fraction(1, 2)
    others: tuple[int, ...] = (ISSUANCES, REGISTRATIONS)

    @property
    def commands(self) -> int:
        """Commands a minute, at least one: our share of the smallest throttle that a renewal meets."""
        return max(1, int(min(self.per_minute, *self.others) * self.share))

    def delay(self, place: int) -> timedelta:
        """How long after the minute's beginning its place (0, 1, ...) comes, so that commands leave evenly."""
        return MINUTE * place / self.commands

    def slot(self, place: int) -> timedelta:
        """How long after the minute's beginning the one begins that has room for a place beyond it.

        A command that waited for its own instant there would miss the tick at the beginning, and every second minute
        would send nothing.
        """
        return MINUTE * (place // self.commands)

    def has_room(self, place: int) -> bool:
        """Whether the place lies within this minute."""
        return place < self.commands


def disabling(registry_per_minute: int, share: Fraction) -> Budget:
    """How many devices a bulk request may shut out in a minute, so that both throttles have room for everybody else."""
    return Budget(registry_per_minute // REQUESTS_A_DISABLE, share, (DPS_OPERATIONS // REQUESTS_A_DISABLE,))
