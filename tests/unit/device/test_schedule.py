"""Renewal without a command, and patience."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fleetcert.device.schedule import SPREAD, Backoff, renewal_time

START = datetime(2026, 11, 23, tzinfo=UTC)


def certificate(life: timedelta, thumbprint: str) -> Any:
    return SimpleNamespace(not_before=START, not_after=START + life, thumbprint=thumbprint)


@given(
    st.timedeltas(timedelta(seconds=10), timedelta(days=90)),
    st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}"),
    st.fractions(Fraction(1, 10), Fraction(9, 10)),
)
def test_renewal_lies_between_the_share_of_the_life_and_the_spread_after_it(
    life: timedelta, thumbprint: str, share: Fraction
) -> None:
    at = renewal_time(certificate(life, thumbprint), share) - START
    slack = timedelta(microseconds=2)
    assert life * float(share) - slack <= at <= life * float(share + SPREAD) + slack
    assert at < life


def test_devices_with_the_same_certificate_life_do_not_renew_at_the_same_time() -> None:
    life = timedelta(days=30)
    times = {renewal_time(certificate(life, f"{number:02x}" * 32)) for number in range(256)}
    assert len(times) == 256


def test_the_time_does_not_change_when_it_is_asked_again() -> None:
    one = certificate(timedelta(days=30), "ab" * 32)
    assert renewal_time(one) == renewal_time(one)


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_pauses_double_up_to_the_cap_and_are_never_shorter_than_half(seed: int, failures: int) -> None:
    backoff = Backoff(timedelta(seconds=1), timedelta(minutes=15), Random(seed))
    for count in range(failures):
        whole = min(timedelta(minutes=15), timedelta(seconds=2 ** min(count, 20)))
        assert whole / 2 <= backoff.next() <= whole


def test_after_a_success_the_pauses_are_short_again() -> None:
    backoff = Backoff()
    for _ in range(20):
        backoff.next()
    backoff.reset()
    assert backoff.next() <= timedelta(seconds=1)
