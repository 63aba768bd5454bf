"""Where a consumer starts to read: the selector filter of its link."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Self

from fleetcert.local.amqp.types import Described, Timestamp
from fleetcert.local.eventhubs.partition import Partition
from fleetcert.local.ports import AmqpRefused

SELECTOR_FILTER: Final = "apache.org:selector-filter:string"

_SELECTOR: Final = re.compile(
    r"\s*amqp\.annotation\.x-opt-(?P<by>offset|sequence-number|enqueued-time(?:-utc)?)"
    r"\s*(?P<operator>>=?)\s*'(?P<value>@latest|-?\d{1,18})'\s*"
)
_START: Final = -1
"""As an offset: before the first event."""


@dataclass(frozen=True, slots=True)
class StartPosition:
    """A position as the client names it. value: None for the end of the log (`@latest`)."""

    by: str
    value: int | None
    inclusive: bool

    @classmethod
    def of_filter(cls, filters: dict[Any, Any] | None) -> Self:
        """The position in a source's filter set; without one, the beginning. Raises: AmqpRefused."""
        selector = (filters or {}).get(SELECTOR_FILTER)
        if isinstance(selector, Described):
            selector = selector.value
        if selector is None:
            return cls("offset", _START, inclusive=False)
        match = _SELECTOR.fullmatch(selector) if isinstance(selector, str) else None
        if match is None:
            raise AmqpRefused("com.microsoft:argument-error", f"The filter '{selector}' is not supported.")
        value = None if match["value"] == "@latest" else int(match["value"])
        return cls(match["by"], value, inclusive=match["operator"] == ">=")

    def resolve(self, partition: Partition) -> int:
        """The sequence number of the first event to read. Raises: AmqpRefused for a position that is yet to come."""
        if self.value is None:
            return partition.end_sequence_number
        if self.by == "offset":
            self._refuse_beyond(self.value, partition.last_offset, "offset")
            return partition.after_offset(self.value, inclusive=self.inclusive)
        if self.by == "sequence-number":
            self._refuse_beyond(self.value, partition.end_sequence_number - 1, "sequence number")
            return self.value if self.inclusive else self.value + 1
        return partition.after_time(Timestamp(self.value), inclusive=self.inclusive)

    def _refuse_beyond(self, value: int, last: int, kind: str) -> None:
        if value > last:
            reason = f"The supplied {kind} '{value}' is invalid. The last {kind} in the system is '{last}'"
            raise AmqpRefused("com.microsoft:argument-error", reason)
