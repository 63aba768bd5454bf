from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import CertificateAuthority, LeafProfile, der, pem_chain
from fleetcert.local.chains import chain_length, read_certificate
from fleetcert.local.dps.authorities import LIMIT, CertificateAuthorities
from fleetcert.local.dps.errors import Refusal

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
DAY = timedelta(days=1)
CLIENT = LeafProfile(extended_key_usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))
SERVER = LeafProfile(extended_key_usages=(ExtendedKeyUsageOID.SERVER_AUTH,))


class Clock:
    def now(self) -> datetime:
        return NOW


def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


ROOT = CertificateAuthority.create_root("root", key(), not_before=NOW - DAY, not_after=NOW + 9 * DAY)
INTERMEDIATE = ROOT.issue_authority("intermediate", key(), not_before=NOW - DAY, not_after=NOW + 8 * DAY)
OTHER = CertificateAuthority.create_root("root", key(), not_before=NOW - DAY, not_after=NOW + 9 * DAY)


def leaf(issuer=INTERMEDIATE, name="dev-1", profile=CLIENT, not_before=NOW - DAY, not_after=NOW + DAY):
    return issuer.issue_leaf(name, key().public_key(), profile, not_before=not_before, not_after=not_after)


@pytest.fixture
def authorities() -> CertificateAuthorities:
    return CertificateAuthorities(Clock())


@pytest.fixture
def challenge(authorities):
    uploaded = authorities.put("ca", INTERMEDIATE.certificate)
    return authorities.generate_verification_code("ca", uploaded.etag)


def test_an_uploaded_certificate_attests_nobody_until_it_is_verified(authorities, challenge):
    assert authorities.verified("ca") is None

    authorities.verify("ca", leaf(name=challenge.verification_code), challenge.etag)

    assert authorities.verified("CA") == INTERMEDIATE.certificate


@pytest.mark.parametrize(
    ("issuer", "name", "not_after"),
    [(INTERMEDIATE, "another code", NOW + DAY), (ROOT, None, NOW + DAY), (OTHER, None, NOW + DAY)],
    ids=["wrong code", "signed by the CA above", "signed by somebody of the same name"],
)
def test_a_proof_of_possession_has_to_be_the_code_signed_by_the_ca(authorities, challenge, issuer, name, not_after):
    proof = leaf(issuer, name or challenge.verification_code, not_after=not_after)

    with pytest.raises(Refusal) as refused:
        authorities.verify("ca", proof, challenge.etag)

    assert refused.value.status is HTTPStatus.BAD_REQUEST
    assert authorities.verified("ca") is None


def test_an_expired_proof_proves_nothing(authorities, challenge):
    proof = leaf(name=challenge.verification_code, not_after=NOW - timedelta(seconds=1))

    with pytest.raises(Refusal, match="expired"):
        authorities.verify("ca", proof, challenge.etag)


def test_a_code_of_before_is_worth_nothing(authorities, challenge):
    renewed = authorities.generate_verification_code("ca", challenge.etag)

    with pytest.raises(Refusal, match="common name"):
        authorities.verify("ca", leaf(name=challenge.verification_code), renewed.etag)


@pytest.mark.parametrize("if_match", [None, '"another"'])
def test_every_change_needs_the_present_etag(authorities, challenge, if_match):
    for change in (
        lambda: authorities.put("ca", ROOT.certificate, if_match=if_match),
        lambda: authorities.delete("ca", if_match),
        lambda: authorities.generate_verification_code("ca", if_match),
        lambda: authorities.verify("ca", leaf(name=challenge.verification_code), if_match),
    ):
        with pytest.raises(Refusal) as refused:
            change()
        assert refused.value.status is HTTPStatus.PRECONDITION_FAILED


def test_a_replaced_certificate_has_to_be_verified_again(authorities, challenge):
    verified = authorities.verify("ca", leaf(name=challenge.verification_code), challenge.etag)

    authorities.put("ca", ROOT.certificate, if_match=verified.etag)

    assert authorities.verified("ca") is None


def test_an_upload_may_be_verified_at_once(authorities):
    authorities.put("ca", ROOT.certificate, is_verified=True)

    assert authorities.verified("ca") == ROOT.certificate


def test_what_is_no_ca_certificate_is_not_taken(authorities):
    with pytest.raises(Refusal, match="not a CA"):
        authorities.put("ca", leaf())


def test_there_is_room_for_25_certificates(authorities):
    for number in range(LIMIT):
        authorities.put(f"ca-{number}", ROOT.certificate)

    with pytest.raises(Refusal):
        authorities.put("one-more", ROOT.certificate)


@pytest.mark.parametrize(
    "text",
    [
        pem_chain([ROOT.certificate]).decode(),
        base64.b64encode(der(ROOT.certificate)).decode(),
        base64.b64encode(pem_chain([ROOT.certificate])).decode(),
    ],
    ids=["PEM", "base64 of DER", "base64 of PEM"],
)
def test_certificates_are_read_in_the_three_forms_that_azures_tools_send(text):
    assert read_certificate(text) == ROOT.certificate


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN CERTIFICATE-----", "a" * 5, "-----BEGIN ü"])
def test_what_is_no_certificate_is_a_value_error(text):
    with pytest.raises(ValueError):  # noqa: PT011 - the messages are those of three libraries
        read_certificate(text)


@pytest.mark.parametrize(
    ("anchors", "length"),
    [([INTERMEDIATE.certificate], 2), ([ROOT.certificate], 3), ([OTHER.certificate], None), ([], None)],
)
def test_a_chain_may_end_at_an_intermediate_or_a_root(anchors, length):
    assert chain_length([leaf(), INTERMEDIATE.certificate, ROOT.certificate], anchors, NOW) == length


def test_a_chain_with_a_hole_leads_nowhere():
    assert chain_length([leaf()], [ROOT.certificate], NOW) is None


def test_a_leaf_cannot_issue():
    device_key = key()
    device = INTERMEDIATE.issue_leaf("d", device_key.public_key(), CLIENT, not_before=NOW - DAY, not_after=NOW + DAY)
    child = leaf(CertificateAuthority(device, device_key))

    assert chain_length([child, device], [INTERMEDIATE.certificate], NOW) is None


def test_an_intermediate_that_may_not_go_deeper_does_not():
    deeper = INTERMEDIATE.issue_authority("deeper", key(), not_before=NOW - DAY, not_after=NOW + DAY)

    assert chain_length([leaf(deeper), deeper.certificate, INTERMEDIATE.certificate], [ROOT.certificate], NOW) is None


@pytest.mark.parametrize("instant", [NOW - 2 * DAY, NOW + 2 * DAY], ids=["before", "after"])
def test_a_chain_holds_only_while_its_leaf_is_valid(instant):
    assert chain_length([leaf()], [INTERMEDIATE.certificate], instant) is None


def test_a_chain_ends_with_its_anchor():
    long_lived = leaf(not_after=NOW + 30 * DAY)

    assert chain_length([long_lived], [INTERMEDIATE.certificate], NOW + 8 * DAY + timedelta(hours=1)) is None


def test_a_certificate_for_servers_is_no_clients():
    assert chain_length([leaf(profile=SERVER)], [INTERMEDIATE.certificate], NOW) is None
