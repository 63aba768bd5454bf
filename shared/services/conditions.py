"""What a caller may say about a record before it is changed: looked at in the same read that the write has to meet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for its name alone: the edge loads this at a cold start
    from shared.domain.record import DeviceRecord

type Condition = Callable[[DeviceRecord | None], None]
"""Raises: PreconditionFailed where the record (None: there is none) is not as the caller knows it."""


def whatever_stands(_: DeviceRecord | None) -> None:
    """The condition of a caller who has said nothing."""
