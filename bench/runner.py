"""How a bench is measured: medians of several rounds, the two sides in turn, so that a noisy machine disturbs both."""

from __future__ import annotations

import importlib
import statistics
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from bench.results import Result

BENCHES: Final = (
    "noise_vs_empty",
    "record_vs_naive",
    "requests_per_change",
    "sweep_requests",
    "azurite_range_ms",
    "decisions_per_second",
    "record_bytes",
    "event_to_record",
    "cold_start_vs_sdks",
    "agent_import",
    "pacing_budget_used",
    "issue_vs_floor",
    "monthly_cost",
)
"""The modules of this package that measure something, in the order in which they run."""

ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. quick: a smoke test, whose figures mean little."""

    quick: bool = False

    @property
    def rounds(self) -> int:
        """How often each side is measured."""
        return 2 if self.quick else ROUNDS

    def of(self, full: int, quick: int) -> int:
        """A size, or its smaller sister for a smoke test."""
        return quick if self.quick else full


class Bench(Protocol):
    """A module that measures."""

    def measure(self, effort: Effort) -> Sequence[Result]:
        """Runs the bench."""


class UnknownBench(Exception):
    """No bench has that name."""


def run(names: Sequence[str], effort: Effort) -> Iterator[Result]:
    """The results of these benches, or of all, one after the other. Raises: UnknownBench."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        raise UnknownBench(f"{', '.join(unknown)}: there are {', '.join(BENCHES)}")
    for name in names or BENCHES:
        bench: Bench = importlib.import_module(f"bench.{name}")
        yield from bench.measure(effort)


def in_turn(rounds: int, ours: Callable[[], float], theirs: Callable[[], float]) -> tuple[float, float]:
    """The medians of both sides, measured one after the other, the first of them in turn."""
    sides: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            sides[side].append((ours, theirs)[side]())
    return statistics.median(sides[0]), statistics.median(sides[1])


async def in_turn_async(
    rounds: int, ours: Callable[[], Awaitable[float]], theirs: Callable[[], Awaitable[float]]
) -> tuple[float, float]:
    """As `in_turn`, for what runs on the loop."""
    sides: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            sides[side].append(await (ours, theirs)[side]())
    return statistics.median(sides[0]), statistics.median(sides[1])
