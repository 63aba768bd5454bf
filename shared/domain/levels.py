"""How long before an end people are told of it: each level once, and one that was missed is made up for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

EXPIRED: Final = "expired"


@dataclass(frozen=True, slots=True)
class Levels:
    """Days before an end, the most first; the end itself is a level too.

    A level that lies before the middle of a short life warns of nothing and is left out.
    """

    days: tuple[int, ...]

    @classmethod
    def parse(cls, text: str) -> Self:
        """From a setting, e.g. `365,180,30,7`."""
        return cls(tuple(int(part) for part in text.split(",")))

    def instants(self, end: datetime, life: timedelta | None = None) -> list[tuple[datetime, str]]:
        """When each level is reached, in order, and its name: `30d`, ..., `expired`."""
        days = [d for d in sorted(set(self.days), reverse=True) if life is None or timedelta(days=d) <= life / 2]
        return [*((end - timedelta(days=d), f"{d}d") for d in days), (end, EXPIRED)]

    def passed(
        self, end: datetime, now: datetime, told: Collection[str], life: timedelta | None = None
    ) -> tuple[str, ...]:
        """The levels that were reached and not told; only the last of them is news."""
        return tuple(name for at, name in self.instants(end, life) if at <= now and name not in told)

    def next_after(self, now: datetime, end: datetime, life: timedelta | None = None) -> datetime | None:
        """When the next level is reached; None once all are behind."""
        return next((at for at, _ in self.instants(end, life) if at > now), None)


ONBOARDING_LEVELS: Final = Levels((30, 7, 1))
