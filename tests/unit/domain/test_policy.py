from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from support.fakes import NOON

from shared.domain.policy import RenewalPolicy
from shared.domain.record import Certificate, Evidence

DAY = timedelta(days=1)
lifetimes = st.integers(60, 90 * 86_400).map(lambda s: timedelta(seconds=s))
windows = st.integers(1, 200 * 86_400).map(lambda s: timedelta(seconds=s))


def certificate(lifetime: timedelta, identity: str = "aa") -> Certificate:
    return Certificate(
        identity=identity,
        valid_from=NOON,
        valid_until=NOON + lifetime,
        evidence=Evidence.PARSED,
        first_seen=NOON,
    )


def test_a_thirty_day_certificate_is_wanted_renewed_seven_days_before_its_end() -> None:
    assert RenewalPolicy().opens_at(certificate(30 * DAY)) == NOON + 23 * DAY


def test_a_seven_day_certificate_is_not_due_all_its_life() -> None:
    assert RenewalPolicy().opens_at(certificate(7 * DAY)) == NOON + 7 * DAY * 2 / 3


@given(lifetimes, windows)
def test_the_window_is_never_more_than_its_share_of_the_life(lifetime: timedelta, window: timedelta) -> None:
    policy = RenewalPolicy(window=window)
    assert policy.window_of(certificate(lifetime)) <= lifetime / 3
    assert policy.opens_at(certificate(lifetime)) > NOON


@given(lifetimes, windows, st.text(min_size=1, max_size=20))
def test_the_instants_of_a_window_stand_in_order(lifetime: timedelta, window: timedelta, device_id: str) -> None:
    policy, held = RenewalPolicy(window=window), certificate(lifetime)
    due = policy.due_at(held, device_id)
    assert policy.opens_at(held) <= due <= policy.warns_at(held) <= policy.escalates_at(held) <= held.valid_until


def test_the_spread_is_stable_and_differs_between_devices_and_certificates() -> None:
    policy, held = RenewalPolicy(), certificate(30 * DAY)
    assert policy.due_at(held, "dev-1") == policy.due_at(held, "dev-1")
    assert policy.due_at(held, "dev-1") != policy.due_at(held, "dev-2")
    assert policy.due_at(held, "dev-1") != policy.due_at(certificate(30 * DAY, "bb"), "dev-1")


def test_the_spread_is_near_uniform_over_the_first_quarter_of_the_window() -> None:
    policy, held = RenewalPolicy(), certificate(30 * DAY)
    bins = [0] * 10
    for number in range(10_000):
        offset = policy.due_at(held, f"device-{number}") - policy.opens_at(held)
        bins[int(offset / (7 * DAY / 4) * 10)] += 1
    chi_square = sum((count - 1000) ** 2 / 1000 for count in bins)
    assert chi_square < 27.9  # 9 degrees of freedom, p = 0.001


def test_patience_doubles_with_each_attempt() -> None:
    policy, held = RenewalPolicy(), certificate(30 * DAY)
    assert [policy.patience(held, n) / timedelta(hours=1) for n in (1, 2, 3, 4)] == [1, 2, 4, 8]


@given(lifetimes, windows)
def test_a_window_holds_a_few_commands_however_short_it_is(lifetime: timedelta, window: timedelta) -> None:
    policy = RenewalPolicy(window=window, command_ttl=timedelta(days=30))
    held = certificate(lifetime)
    assert policy.command_life(held) * 8 <= policy.window_of(held) + timedelta(microseconds=8)
    assert policy.command_life(held) <= timedelta(days=2)


def test_a_share_is_exact() -> None:
    assert RenewalPolicy(share=Fraction(1, 3)).window_of(certificate(3 * DAY)) == DAY
