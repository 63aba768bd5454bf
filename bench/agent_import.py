"""Importing the device agent: what a device waits for at its start, and what a test of a library pays."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence

from bench.cold_start_vs_sdks import import_milliseconds
from bench.results import Goal, Result
from bench.runner import Effort


def measure(effort: Effort) -> Sequence[Result]:
    """Milliseconds, in an interpreter of its own."""
    with tempfile.TemporaryDirectory(prefix="bench-") as cache:
        names = ["fleetcert.device.program"]
        import_milliseconds(cache, names)  # the first one writes the bytecode
        value = statistics.median(import_milliseconds(cache, names) for _ in range(effort.of(15, 2)))
    return [
        Result(
            name="agent_import",
            value=value,
            unit="ms",
            goal=Goal("<=", 500),
            limit="cryptography and paho, whose urllib brings the standard library's HTTP with it",
        )
    ]
