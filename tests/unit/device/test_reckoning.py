"""The time as a device reckons it: the clock's, unless an issuer has proven it wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleetcert.device.reckoning import TOLERANCE, Reckoning

START = datetime(2026, 11, 23, tzinfo=UTC)
YEARS = timedelta(days=20 * 365)
ERRORS = st.timedeltas(-YEARS, YEARS)
LIVES = st.timedeltas(timedelta(minutes=1), timedelta(days=90))


class Clocks:
    def __init__(self, wrong: timedelta) -> None:
        self.true, self.wrong = START, wrong

    def now(self) -> datetime:
        return self.true + self.wrong

    def timer(self) -> float:
        return (self.true - START).total_seconds()


def reckoning(wrong: timedelta, earliest: datetime | None = None) -> tuple[Clocks, Reckoning]:
    clocks = Clocks(wrong)
    return clocks, Reckoning(clocks, clocks.timer, earliest)


@given(ERRORS, LIVES, st.timedeltas(timedelta(), timedelta(days=30)))
def test_after_an_issuance_the_reckoned_time_never_strays_further_than_a_certificates_plausible_life(
    wrong: timedelta, life: timedelta, later: timedelta
) -> None:
    clocks, reckoned = reckoning(wrong)
    was_wrong = reckoned.learn(START, START + life * 0.8)
    clocks.true += later
    error = abs(reckoned.now() - clocks.true)
    assert error < timedelta(seconds=1) if was_wrong else error <= max(TOLERANCE, life)


@given(st.timedeltas(-TOLERANCE, TOLERANCE), LIVES)
def test_a_clock_that_is_right_by_minutes_is_left_alone(wrong: timedelta, life: timedelta) -> None:
    clocks, reckoned = reckoning(wrong)
    assert not reckoned.learn(START, START + life * 0.8)
    assert reckoned.now() == clocks.now()


@given(ERRORS, ERRORS, LIVES)
def test_a_clock_that_is_set_counts_again(wrong: timedelta, set_to: timedelta, life: timedelta) -> None:
    clocks, reckoned = reckoning(wrong)
    reckoned.learn(START, START + life * 0.8)
    clocks.wrong = set_to
    if abs(set_to - wrong) > TOLERANCE:
        assert reckoned.now() == clocks.now()


def test_an_issuer_that_dates_back_by_hours_proves_nothing() -> None:
    _, reckoned = reckoning(timedelta())
    assert not reckoned.learn(START - timedelta(hours=6), START + timedelta(days=20))


def test_a_clock_cannot_be_before_the_beginning_of_the_certificate_in_use() -> None:
    clocks, reckoned = reckoning(-YEARS, earliest=START)
    assert reckoned.now() == START
    clocks.true += timedelta(hours=1)
    assert reckoned.now() == START + timedelta(hours=1)


def test_correction_is_what_the_clock_lacks() -> None:
    _, reckoned = reckoning(timedelta(days=400))
    reckoned.learn(START, START + timedelta(days=20))
    correction: Any = reckoned.correction
    assert correction == -timedelta(days=400)
