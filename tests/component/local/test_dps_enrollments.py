from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetcert.certificates import CertificateAuthority, LeafProfile, der
from fleetcert.local.dps.attestation import AuthorityReferences, ClientCertificates, SigningCertificates
from fleetcert.local.dps.bulk import change_in_bulk
from fleetcert.local.dps.documents import BulkDocument, EnrollmentGroupDocument, IndividualEnrollmentDocument
from fleetcert.local.dps.enrollments import Enrollments
from fleetcert.local.dps.errors import Refusal

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
CLIENT = LeafProfile(extended_key_usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))
KEY = ec.generate_private_key(ec.SECP256R1())
CA = CertificateAuthority.create_root("ca", KEY, not_before=NOW, not_after=NOW + timedelta(days=9))
LEAF = CA.issue_leaf("dev-1", KEY.public_key(), CLIENT, not_before=NOW, not_after=NOW + timedelta(days=9))
KEYS = {
    "primaryKey": base64.b64encode(bytes(32)).decode(),
    "secondaryKey": base64.b64encode(bytes([1] * 32)).decode(),
}


class Clock:
    def now(self) -> datetime:
        return NOW


@pytest.fixture
def groups() -> Enrollments[EnrollmentGroupDocument]:
    return Enrollments(Clock(), lambda: ["hub"], group=True)


@pytest.fixture
def individuals() -> Enrollments[IndividualEnrollmentDocument]:
    return Enrollments(Clock(), lambda: ["hub"], group=False)


def text(certificate) -> dict[str, str]:
    return {"certificate": base64.b64encode(der(certificate)).decode()}


def group(**members) -> EnrollmentGroupDocument:
    document = {"enrollmentGroupId": "grp", "attestation": {"type": "symmetricKey", "symmetricKey": KEYS}, **members}
    return msgspec.convert(document, EnrollmentGroupDocument)


def individual(registration_id="dev-1", **members) -> IndividualEnrollmentDocument:
    document = {"registrationId": registration_id, "attestation": {"type": "symmetricKey"}, **members}
    return msgspec.convert(document, IndividualEnrollmentDocument)


def x509(**mechanism) -> dict[str, object]:
    return {"type": "x509", "x509": mechanism}


def test_an_enrollment_gets_the_defaults_of_dps(groups):
    document = groups.put(group()).document

    assert document.provisioning_status == "enabled"
    assert document.allocation_policy == "hashed"
    assert document.reprovision_policy == {"updateHubAssignment": True, "migrateDeviceData": True}
    assert document.created_date_time_utc == "2026-11-23T10:00:00.0000000Z"


@pytest.mark.parametrize(
    ("if_match", "exists"), [('"another"', True), ("*", False), ('"any"', False)], ids=["stale", "none", "gone"]
)
def test_a_write_under_an_etag_that_does_not_hold_is_a_412(groups, if_match, exists):
    if exists:
        groups.put(group())

    with pytest.raises(Refusal) as refused:
        groups.put(group(), if_match)

    assert refused.value.status is HTTPStatus.PRECONDITION_FAILED


@pytest.mark.parametrize("form", ['"{}"', "{}", "*"])
def test_a_write_under_the_present_etag_changes_it(groups, form):
    before = groups.put(group()).etag

    after = groups.put(group(), form.format(before.strip('"'))).etag

    assert after != before


def test_a_write_without_an_etag_overwrites(groups):
    groups.put(group())

    assert groups.put(group(provisioningStatus="disabled")).is_enabled is False


def test_a_delete_under_a_stale_etag_is_a_412_and_deletes_nothing(groups):
    groups.put(group())

    with pytest.raises(Refusal) as refused:
        groups.delete("grp", '"stale"')

    assert refused.value.status is HTTPStatus.PRECONDITION_FAILED
    assert groups.find("grp")


def test_ids_are_compared_without_case(individuals):
    individuals.put(individual("Dev-1"))

    assert individuals.get("dEV-1").id == "Dev-1"


@pytest.mark.parametrize("identity", ["", "a b", "ends-with.", "a/b", "x" * 129, "ü"])
def test_an_id_that_dps_does_not_allow_is_refused(individuals, identity):
    with pytest.raises(Refusal, match="not allowed"):
        individuals.put(individual(identity))


def test_the_document_shows_no_symmetric_keys(groups):
    attestation = groups.put(group()).document.attestation

    assert msgspec.to_builtins(attestation) == {"type": "symmetricKey"}


def test_keys_that_are_not_given_are_made_anew(individuals):
    first = individuals.put(individual()).attestation
    second = individuals.put(individual()).attestation

    assert first != second  # whoever writes back what was read, without the keys, has rolled them


@pytest.mark.parametrize(
    "bad", ["no base64!", base64.b64encode(bytes(15)).decode(), base64.b64encode(bytes(65)).decode()]
)
def test_a_symmetric_key_is_base64_of_16_to_64_bytes(groups, bad):
    with pytest.raises(Refusal, match="symmetric key"):
        groups.put(group(attestation={"type": "symmetricKey", "symmetricKey": {**KEYS, "primaryKey": bad}}))


def test_a_group_attests_by_reference_or_by_signing_certificate(groups):
    by_name = groups.put(group(attestation=x509(caReferences={"primary": "a", "secondary": "b"}))).attestation
    by_certificate = groups.put(group(attestation=x509(signingCertificates={"primary": text(CA.certificate)})))

    assert by_name == AuthorityReferences(["a", "b"])
    assert by_certificate.attestation == SigningCertificates([CA.certificate])


def test_an_individual_enrollment_attests_by_the_devices_own_certificate(individuals):
    enrollment = individuals.put(individual(attestation=x509(clientCertificates={"primary": text(LEAF)})))

    assert enrollment.attestation == ClientCertificates([LEAF])


def test_a_certificate_comes_back_as_information_and_survives_being_written_back(individuals):
    read = individuals.put(individual(attestation=x509(clientCertificates={"primary": text(LEAF)}))).document
    primary = read.attestation.x509.client_certificates.primary
    assert primary.certificate is None
    assert primary.info.subject_name == "CN=dev-1"

    written = individuals.put(read)

    assert written.attestation == ClientCertificates([LEAF])


@pytest.mark.parametrize(
    "mechanism",
    [
        x509(clientCertificates={"primary": text(LEAF)}),
        x509(signingCertificates={"primary": text(LEAF)}),
        x509(signingCertificates={"primary": {"certificate": "nonsense"}}),
        x509(signingCertificates={"primary": {"info": {"sha256Thumbprint": "00"}}}),
        x509(signingCertificates={}),
        x509(),
        {"type": "x509"},
        {"type": "none"},
    ],
    ids=["not a group's", "no CA", "unreadable", "unknown information", "empty pair", "empty", "nothing", "none"],
)
def test_a_mechanism_that_attests_nobody_is_refused(groups, mechanism):
    with pytest.raises(Refusal) as refused:
        groups.put(group(attestation=mechanism))

    assert refused.value.status is HTTPStatus.BAD_REQUEST


def test_tpm_is_refused_and_not_imitated(individuals):
    with pytest.raises(Refusal, match="TPM"):
        individuals.put(individual(attestation={"type": "tpm", "tpm": {"endorsementKey": "k"}}))


@pytest.mark.parametrize(
    "members", [{"iotHubs": ["elsewhere"]}, {"iotHubHostName": "elsewhere"}, {"allocationPolicy": "custom"}]
)
def test_a_hub_that_cannot_be_assigned_is_refused(groups, members):
    with pytest.raises(Refusal):
        groups.put(group(**members))


def bulk(mode, *documents) -> BulkDocument:
    return BulkDocument(mode=mode, enrollments=list(documents))


def test_in_bulk_each_enrollment_succeeds_or_fails_by_itself(individuals):
    individuals.put(individual("here"))

    result = change_in_bulk(individuals, bulk("create", individual("new"), individual("here")))

    assert result["isSuccessful"] is False
    assert [error["registrationId"] for error in result["errors"]] == ["here"]
    assert individuals.find("new")


@pytest.mark.parametrize(("etag", "successful"), [(None, False), ('"stale"', False), ("present", True)])
def test_a_bulk_update_may_insist_on_the_etag(individuals, etag, successful):
    present = individuals.put(individual()).etag

    document = individual(etag=present if etag == "present" else etag)

    assert change_in_bulk(individuals, bulk("updateIfMatchETag", document))["isSuccessful"] is successful


@pytest.mark.parametrize("mode", ["update", "updateIfMatchETag", "delete"])
def test_a_bulk_change_of_what_does_not_exist_is_an_error(individuals, mode):
    assert change_in_bulk(individuals, bulk(mode, individual()))["errors"][0]["errorCode"] == 404201


@pytest.mark.parametrize("count", [0, 11])
def test_a_bulk_holds_one_to_ten(individuals, count):
    with pytest.raises(Refusal):
        change_in_bulk(individuals, bulk("create", *[individual(f"d{number}") for number in range(count)]))
