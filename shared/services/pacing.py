"""How many commands may leave in a minute, and when each of them does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from typing import Final

_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Budget:
    """What this back end takes of IoT Hub's throttle for cloud-to-device sends; others use the hub too.

    per_minute: the hub's throttle (Azure docs: 100 a minute and unit in S1 and S2). share: our part of it.
    """

    per_minute: int = 100
    share: Fraction = Fraction(1, 2)

    @property
    def commands(self) -> int:
        """Commands a minute, at least one."""
        return max(1, int(self.per_minute * self.share))

    def delay(self, place: int) -> timedelta:
        """How long the command at the given place (0, 1, ...) of a tick waits, so that a tick's commands are even."""
        return _MINUTE * place / self.commands

    def slot(self, place: int) -> timedelta:
        """How long a command over the budget waits: until the minute that has room for its place begins.

        Waiting for its own instant in that minute would miss the tick at its beginning, and every second minute would
        send nothing.
        """
        return _MINUTE * (place // self.commands)

    def has_room(self, place: int) -> bool:
        """Whether the place lies within this minute."""
        return place < self.commands
