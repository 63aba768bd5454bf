"""Azurite for the benches that write to the real thing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fleetcert.local.azurite import azurite


@contextmanager
def running_azurite() -> Iterator[str]:
    """The connection string of an Azurite that runs as long as the block."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, azurite(Path(folder)) as running:
        yield running.connection_string
