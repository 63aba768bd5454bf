"""Twin changes without a certificate, which most are, against an empty function on the same trigger.

Both run in Microsoft's Python runtime, one app a process, on the same batches of 100 events.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.app import ENVIRONMENT
from bench.noise_child import BATCH
from bench.results import Goal, Result
from bench.runner import Effort, in_turn

_ROOT: Final = Path(__file__).parents[1]


class _Child:
    """An app at work in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.storage_requests = 0

    def events_per_second(self, batches: int) -> float:
        """Invokes the function with so many batches."""
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the child has no pipes")
        stdin.write(f"{batches}\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        self.storage_requests = answer["storage_requests"]
        return float(batches * BATCH / answer["seconds"])


@contextmanager
def _child(app: Path, function: str) -> Iterator[_Child]:
    command = [sys.executable, "-m", "bench.noise_child", str(app), function]
    with subprocess.Popen(  # noqa: S603  # our own module
        command, cwd=_ROOT, env={**os.environ, **ENVIRONMENT}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _Child(process)
        finally:
            process.stdin and process.stdin.close()
            process.wait(10)


def measure(effort: Effort) -> Sequence[Result]:
    """Events a second of both, and that noise asks nothing of storage."""
    batches = effort.of(100, 3)
    with _child(_ROOT, "record_hub_events") as ours, _child(Path(__file__).parent / "empty_app", "empty") as empty:
        for side in (ours, empty):
            side.events_per_second(batches)  # warm
        rounds = effort.of(9, 2)
        value, against = in_turn(
            rounds, lambda: ours.events_per_second(batches), lambda: empty.events_per_second(batches)
        )
        requests = ours.storage_requests
    return [
        Result(
            name="noise_vs_empty",
            value=value,
            unit="events/s",
            against=against,
            goal=Goal(">=", 0.9),
            also={"no storage request for noise": requests == 0},
            limit="the runtime's own work on a batch's metadata, which both sides pay; no storage request",
        )
    ]
