"""How many devices one core decides on in a second, of a fleet in all of its states."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from bench.fleet import record_of
from bench.results import Result
from bench.runner import Effort
from bench.traffic import MORNING
from shared.domain.deciding import decide
from shared.domain.policy import RenewalPolicy

_AGES: Final = [timedelta(days=days) for days in (1, 10, 22, 24, 26, 28, 29.9, 31)]
"""Of certificates that live 30 days: current, in the window, overdue, expired."""


def measure(effort: Effort) -> Sequence[Result]:
    """Decisions a second, the median of the rounds."""
    count, policy = effort.of(20_000, 200), RenewalPolicy()
    records = [record_of(f"device-{n:07}", MORNING - _AGES[n % len(_AGES)]) for n in range(count)]

    def once() -> float:
        started = time.perf_counter()
        for record in records:
            decide(record, MORNING, policy)
        return count / (time.perf_counter() - started)

    value = statistics.median(once() for _ in range(effort.rounds))
    return [
        Result(
            name="decisions_per_second",
            value=value,
            unit="decisions/s",
            limit="Python on one core; a tick that is due for a whole hub's minute holds 50 to 500",
        )
    ]
