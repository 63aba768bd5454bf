"""The CA certificates that a fleet depends on: generations, ends, and what is told of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from support.fakes import NOON

from fleetcert.certificates import CertificateAuthority, pem_chain
from shared.domain.ca_watch import (
    ISSUER_LEVELS,
    Issuer,
    IssuerState,
    ListedCertificate,
    Source,
    Watched,
    read_issuer,
    remaining,
    watch,
)
from shared.domain.fleet_alerts import FleetAlertType
from shared.domain.levels import Levels

DAY = timedelta(days=1)
POLICY = "/subscriptions/s/providers/Microsoft.DeviceRegistry/namespaces/n/credentials/default/policies/p"


@cache
def pem(name: str, begins: datetime = NOON - 100 * DAY, life: timedelta = 1825 * DAY) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    authority = CertificateAuthority.create_root(name, key, not_before=begins, not_after=begins + life)
    return pem_chain([authority.certificate]).decode()


def listed(text: str, now: datetime = NOON, policy: str | None = POLICY, source: Source = Source.HUB) -> Issuer:
    return read_issuer(source, ListedCertificate(name="ca", pem=text, policy=policy), now)


def look(known: Watched | None, issuers: list[Issuer], now: datetime = NOON) -> Watched:
    return watch(known.issuers if known else (), issuers, [Source.HUB], now, ISSUER_LEVELS)


def states(watched: Watched) -> list[IssuerState]:
    return [issuer.state for issuer in watched.issuers]


def told(watched: Watched) -> list[tuple[str, str | None]]:
    return [(alert.type, alert.data.get("level") or alert.data.get("state")) for alert in watched.alerts]


OLD, NEW = pem("old"), pem("new", NOON - DAY)


def test_a_young_ca_certificate_is_current_and_nothing_is_told():
    first = look(None, [listed(OLD)])
    assert (states(first), first.alerts) == ([IssuerState.CURRENT], ())


def test_a_successor_of_the_same_policy_makes_the_elder_rotated_and_that_is_told_once():
    first = look(None, [listed(OLD)])
    second = look(first, [listed(NEW), listed(OLD)], NOON + DAY)
    assert states(second) == [IssuerState.CURRENT, IssuerState.ROTATED]
    assert told(second) == [(FleetAlertType.ISSUER_ROTATED, "rotated")]
    assert second.alerts[0].data["successor"] == second.issuers[0].thumbprint
    assert look(second, [listed(NEW), listed(OLD)], NOON + 2 * DAY).alerts == ()


def test_ca_certificates_of_different_policies_or_subjects_are_no_generations():
    watched = look(None, [listed(OLD, policy=None), listed(NEW, policy=None), listed(pem("third"))])
    assert states(watched) == [IssuerState.CURRENT] * 3


def test_one_that_is_listed_no_more_is_gone_and_may_come_back():
    first = look(None, [listed(OLD)])
    second = look(first, [], NOON + DAY)
    assert (states(second), told(second)) == ([IssuerState.GONE], [(FleetAlertType.ISSUER_ROTATED, "gone")])
    third = look(second, [listed(OLD, NOON + 2 * DAY)], NOON + 2 * DAY)
    assert (states(third), third.alerts) == ([IssuerState.CURRENT], ())
    assert third.issuers[0].first_seen == NOON
    fourth = look(third, [], NOON + 3 * DAY)
    assert fourth.alerts[0].id != second.alerts[0].id, "it went away twice, and each time is news"


def test_a_list_that_was_not_asked_leaves_its_ca_certificates_as_they_were():
    first = watch((), [listed(OLD, source=Source.DPS)], [Source.DPS], NOON, ISSUER_LEVELS)
    assert states(look(first, [])) == [IssuerState.CURRENT]


def test_an_end_that_comes_near_is_told_once_a_level():
    end = listed(OLD).not_after
    known, heard = None, []
    for days in (400, 364, 363, 179, 29, 6, 0, -1):
        at = end - days * DAY
        known = look(known, [listed(OLD, at)], at)
        heard += told(known)
    levels = ["365d", "180d", "30d", "7d", "expired"]
    assert heard == [(FleetAlertType.ISSUER_EXPIRING, level) for level in levels]


def test_a_watch_that_begins_late_tells_the_nearest_level_alone():
    end = listed(OLD).not_after
    watched = look(None, [listed(OLD)], end - 20 * DAY)
    assert told(watched) == [(FleetAlertType.ISSUER_EXPIRING, "30d")]
    assert look(watched, [listed(OLD)], end - 19 * DAY).alerts == ()


def test_a_level_beyond_the_middle_of_a_short_life_warns_of_nothing():
    short = pem("short", NOON, 50 * DAY)
    for days, levels in ((0, []), (21, []), (44, [(FleetAlertType.ISSUER_EXPIRING, "7d")])):
        at = NOON + days * DAY
        assert told(look(None, [listed(short, at)], at)) == levels


def test_the_same_look_taken_again_tells_under_the_same_ids():
    first = look(None, [listed(OLD)])
    one, again = (look(first, [listed(NEW, NOON + n * DAY)], NOON + n * DAY) for n in (1, 2))
    assert [a.id for a in one.alerts] == [a.id for a in again.alerts]
    assert len(one.alerts) == 1


def test_who_is_gone_and_expired_for_long_is_forgotten():
    first = look(None, [listed(OLD)])
    gone = look(first, [], NOON + DAY)
    end = first.issuers[0].not_after
    assert remaining(gone.issuers, end + 89 * DAY, 90 * DAY)[1] == []
    assert remaining(gone.issuers, end + 91 * DAY, 90 * DAY)[0] == []
    assert remaining(first.issuers, end + 91 * DAY, 90 * DAY)[1] == [], "a hub that still lists it trusts it"


@pytest.mark.parametrize("text", ["30,7,1", "7,30,1,30"])
def test_levels_come_in_the_order_of_time_whatever_the_settings_order_is(text: str):
    assert [name for _, name in Levels.parse(text).instants(NOON)] == ["30d", "7d", "1d", "expired"]


def test_the_next_look_is_at_the_next_level_and_none_after_the_end():
    levels = Levels((30, 7))
    assert levels.next_after(NOON, NOON + 40 * DAY) == NOON + 10 * DAY
    assert levels.next_after(NOON, NOON + 3 * DAY) == NOON + 3 * DAY
    assert levels.next_after(NOON, NOON) is None
