from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.events import DAY, ISSUER, STRANGER, device_pem, twisted_pem
from support.fakes import NOON

from shared.domain.believing import believe, merge
from shared.domain.events import Claim
from shared.domain.policy import BeliefPolicy
from shared.domain.record import Evidence
from shared.errors import BadEvent

POLICY = BeliefPolicy(validity=30 * DAY)


def claim(valid_from=NOON, lifetime=30 * DAY, thumbprint="aa", pem=None) -> Claim:
    return Claim(valid_from=valid_from, valid_until=valid_from + lifetime, thumbprint=thumbprint, pem=pem)


def test_honest_dates_are_believed_as_reported() -> None:
    belief = believe(claim(), "dev-1", NOON, POLICY)
    assert belief.mismatch is None
    assert belief.certificate.evidence is Evidence.REPORTED
    assert belief.certificate.valid_until == NOON + 30 * DAY


def test_a_certificate_is_believed_over_the_dates_beside_it() -> None:
    pem = device_pem("dev-1", lifetime=10 * DAY)
    belief = believe(claim(pem=pem, thumbprint=None), "dev-1", NOON, POLICY)
    assert belief.certificate.valid_until == NOON + 10 * DAY
    assert belief.certificate.evidence is Evidence.PARSED
    assert belief.certificate.key_algorithm == "secp384r1"
    assert belief.mismatch is not None
    assert "validUntil" in belief.mismatch


def test_a_thumbprint_that_is_not_the_certificates_is_a_mismatch() -> None:
    belief = believe(claim(pem=device_pem("dev-1"), thumbprint="AA:BB"), "dev-1", NOON, POLICY)
    assert belief.mismatch == "thumbprint is not the certificate's"


def test_another_devices_certificate_is_not_believed_at_all() -> None:
    with pytest.raises(BadEvent, match="its common name is dev-2"):
        believe(claim(pem=device_pem("dev-2")), "dev-1", NOON, POLICY)


def test_a_pem_that_is_no_certificate_is_not_believed_at_all() -> None:
    with pytest.raises(BadEvent, match="is no certificate that can be read"):
        believe(claim(pem="-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"), "dev-1", NOON, POLICY)


@pytest.mark.parametrize("where", ["subject", "issuer", "version", "key"])
def test_a_certificate_that_fails_only_when_it_is_looked_at_is_a_bad_event_and_no_bug(where: str) -> None:
    with pytest.raises(BadEvent, match=r"certificate\.pem cannot be used: .* read"):
        believe(claim(pem=twisted_pem("dev-1", where)), "dev-1", NOON, POLICY)


@pytest.mark.parametrize("pem", [True, False])
def test_nobody_talks_himself_out_of_renewal(pem: bool) -> None:
    far = 30_000 * DAY if not pem else 800 * DAY
    forged = device_pem("dev-1", lifetime=far) if pem else None
    belief = believe(claim(lifetime=far, pem=forged, thumbprint=None), "dev-1", NOON, POLICY)
    assert belief.certificate.valid_until == NOON + 30 * DAY
    assert belief.mismatch is not None


def test_a_clock_that_is_ahead_by_years_is_put_right() -> None:
    belief = believe(claim(valid_from=NOON + 26_000 * DAY), "dev-1", NOON, POLICY)
    assert belief.certificate.valid_from == NOON
    assert belief.certificate.valid_until == NOON + 30 * DAY


def test_a_clock_that_is_a_little_ahead_is_nothing_to_talk_about() -> None:
    assert believe(claim(valid_from=NOON + timedelta(minutes=4)), "dev-1", NOON, POLICY).mismatch is None


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**9))
def test_no_claim_reaches_beyond_what_the_policy_could_have_issued(start: int, lifetime: int) -> None:
    told = claim(valid_from=NOON + timedelta(seconds=start), lifetime=timedelta(seconds=lifetime))
    try:
        believed = believe(told, "dev-1", NOON, POLICY).certificate
    except BadEvent:
        return
    assert believed.valid_from < believed.valid_until <= NOON + POLICY.validity + POLICY.skew


VERIFYING = BeliefPolicy(validity=30 * DAY, issuers=(ISSUER,))


def test_a_certificate_of_a_trusted_issuer_is_verified_and_needs_no_bound() -> None:
    pem = device_pem("dev-1", lifetime=80 * DAY)
    belief = believe(claim(lifetime=80 * DAY, pem=pem, thumbprint=None), "dev-1", NOON, VERIFYING)
    assert (belief.certificate.evidence, belief.mismatch) == (Evidence.VERIFIED, None)
    assert belief.certificate.valid_until == NOON + 80 * DAY


def test_a_certificate_of_a_stranger_is_no_more_than_parsed_and_told() -> None:
    pem = device_pem("dev-1", issuer=STRANGER)
    belief = believe(claim(pem=pem, thumbprint=None), "dev-1", NOON, VERIFYING)
    assert belief.certificate.evidence is Evidence.PARSED
    assert belief.mismatch == "no trusted issuing CA has signed the certificate"


def test_a_forger_who_takes_the_issuers_name_is_no_issuer() -> None:
    assert STRANGER.certificate.subject == ISSUER.subject
    belief = believe(claim(pem=device_pem("dev-1", issuer=STRANGER)), "dev-1", NOON, VERIFYING)
    assert belief.certificate.evidence is Evidence.PARSED


def test_dates_alone_can_be_refused() -> None:
    with pytest.raises(BadEvent, match="REQUIRE_PEM"):
        believe(claim(), "dev-1", NOON, BeliefPolicy(require_pem=True))


def test_stronger_evidence_replaces_weaker_and_the_first_sight_stays() -> None:
    weak = believe(claim(), "dev-1", NOON, POLICY).certificate
    strong = believe(claim(pem=device_pem("dev-1")), "dev-1", NOON + DAY, POLICY).certificate
    merged = merge(weak, strong)
    assert merged.certificate.evidence is Evidence.PARSED
    assert merged.certificate.first_seen == NOON
    assert merge(strong, weak).certificate.evidence is Evidence.PARSED


def test_of_equal_accounts_the_earlier_end_is_kept() -> None:
    short = believe(claim(lifetime=9 * DAY), "dev-1", NOON, POLICY).certificate
    long = believe(claim(lifetime=20 * DAY), "dev-1", NOON, POLICY).certificate
    for known, heard in ((short, long), (long, short)):
        merged = merge(known, heard)
        assert merged.certificate.valid_until == short.valid_until
        assert merged.mismatch is not None
