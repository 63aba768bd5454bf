"""What the services measure while they are tested."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from support.measuring import Note, NotedMeters

from shared import telemetry


@pytest.fixture
def noted() -> Iterator[list[Note]]:
    """What is measured: name, value, attributes."""
    meters = NotedMeters()
    telemetry.connect(cast(Any, meters))
    yield meters.notes
    telemetry.disconnect()
