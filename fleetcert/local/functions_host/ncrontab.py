"""NCRONTAB schedules: six fields, seconds first (Azure docs: timer trigger, NCRONTAB expressions), in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta

from croniter import croniter

_FIELDS = 6


class Ncrontab:
    """A schedule. Five fields mean second 0; day of month and day of week must both match."""

    def __init__(self, expression: str) -> None:
        """Raises: ValueError."""
        fields = expression.split()
        if len(fields) == _FIELDS - 1:
            fields = ["0", *fields]
        if len(fields) != _FIELDS or not croniter.is_valid(" ".join(fields), second_at_beginning=True):
            raise ValueError(f"{expression!r} is not an NCRONTAB expression of 6 fields (seconds first)")
        self._expression = " ".join(fields)

    def next_after(self, instant: datetime) -> datetime:
        """The first occurrence (UTC) after an instant."""
        schedule = croniter(self._expression, instant, second_at_beginning=True, day_or=False)
        occurrence: datetime = schedule.get_next(datetime)
        return occurrence

    def is_shorter_than(self, period: timedelta, instant: datetime) -> bool:
        """Whether two of the next occurrences after an instant are closer than a period."""
        first = self.next_after(instant)
        return self.next_after(first) - first < period
