"""The end of a device's onboarding credential is told in time, once a level."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from support.fakes import NOON

from shared.domain.fleet_alerts import FleetAlertType
from shared.domain.onboarding_watch import levels_that_outlive_a_certificate, watch_onboarding
from shared.domain.record import DeviceRecord, OnboardingCredential, State

DAY = timedelta(days=1)
END = NOON + 100 * DAY
RECORD = DeviceRecord(
    device_id="dev-1",
    registration_id="dev-1",
    hub="hub-1",
    first_seen=NOON,
    updated_at=NOON,
    state=State.VALID,
    onboarding=OnboardingCredential(thumbprint="aa", valid_until=END),
)


def test_each_level_is_told_once_and_the_next_is_known():
    record, heard, at = RECORD, [], NOON
    instants: list[datetime] = []
    while True:
        watched = watch_onboarding(record, at)
        heard += [(alert.type, alert.subject, alert.data["level"]) for alert in watched.alerts]
        record = replace(record, alerted=(*record.alerted, *watched.alerted))
        assert watch_onboarding(record, at).alerts == ()
        if watched.next_instant is None:
            break
        at = watched.next_instant
        instants.append(at)
    assert instants == [END - 30 * DAY, END - 7 * DAY, END - DAY, END]
    levels = ["30d", "7d", "1d", "expired"]
    assert heard == [(FleetAlertType.ONBOARDING_EXPIRING, "devices/dev-1", level) for level in levels]


def test_whoever_missed_levels_hears_the_last_of_them_alone():
    watched = watch_onboarding(RECORD, END - 2 * DAY)
    assert [alert.data["level"] for alert in watched.alerts] == ["7d"]
    assert len(watched.alerted) == 2


@pytest.mark.parametrize(
    "record",
    [
        replace(RECORD, onboarding=None),
        replace(RECORD, onboarding=OnboardingCredential(thumbprint="aa")),
        replace(RECORD, state=State.RETIRED),
        replace(RECORD, state=State.DISABLED),
    ],
)
def test_who_has_no_known_end_or_is_out_is_left_alone(record: DeviceRecord):
    watched = watch_onboarding(record, END)
    assert (watched.alerts, watched.next_instant) == ((), None)


def test_another_credential_is_told_anew_and_under_other_ids():
    first = watch_onboarding(RECORD, END)
    renewed = replace(RECORD, onboarding=OnboardingCredential(thumbprint="bb", valid_until=END), alerted=first.alerted)
    second = watch_onboarding(renewed, END)
    assert len(second.alerts) == 1
    assert second.alerts[0].id != first.alerts[0].id


def test_a_credential_without_a_thumbprint_is_told_by_its_end():
    nameless = replace(RECORD, onboarding=OnboardingCredential(valid_until=END))
    told = watch_onboarding(nameless, END).alerted
    assert watch_onboarding(replace(nameless, alerted=told), END).alerts == ()


def test_a_renewal_of_the_operational_certificate_forgets_its_own_levels_alone():
    told = watch_onboarding(RECORD, END).alerted
    assert levels_that_outlive_a_certificate(("warning", "critical", *told), RECORD.onboarding) == told
    assert levels_that_outlive_a_certificate(told, OnboardingCredential(thumbprint="bb")) == ()
    assert levels_that_outlive_a_certificate(told, None) == ()
