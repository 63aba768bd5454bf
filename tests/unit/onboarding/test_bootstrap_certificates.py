"""The onboarding CA and its devices' certificates: profiles, files, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from fleetcert.certificates import CertificateAuthority, common_name_of, is_issued_by
from fleetcert.device.credential import Credential
from fleetcert.onboarding.authority import (
    Hierarchy,
    create_hierarchy,
    issue_device,
    issue_device_credential,
    load_authority,
)
from fleetcert.onboarding.issuing import certify_device, certify_intermediate, make_root
from fleetcert.onboarding.keys import KeyType, authority_key, device_key, signature_hash
from shared.errors import NotPossible


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    return tmp_path / "certs"


@pytest.fixture
def hierarchy(certs: Path) -> Hierarchy:
    return create_hierarchy(certs, "my-device", key_type="ec")


def test_the_hierarchy_has_the_names_and_lifetimes_of_the_manual_steps(certs: Path, hierarchy: Hierarchy) -> None:
    root, intermediate = hierarchy.root.certificate, hierarchy.intermediate.certificate
    assert common_name_of(root.subject) == "my-device-root"
    assert common_name_of(intermediate.subject) == "my-device-intermediate"
    assert root.not_valid_after_utc - root.not_valid_before_utc == timedelta(days=3650)
    assert intermediate.not_valid_after_utc - intermediate.not_valid_before_utc == timedelta(days=1825)
    for certificate, path_length in ((root, 1), (intermediate, 0)):
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
        assert (constraints.critical, constraints.value) == (True, x509.BasicConstraints(True, path_length))
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert usage.value.key_cert_sign
        assert usage.value.crl_sign
    assert {str(path.relative_to(certs)) for path in certs.rglob("*.*")} == {
        "root/root-ca.key",
        "root/root-ca.pem",
        "ca/intermediate-ca.key",
        "ca/intermediate-ca.pem",
    }


@pytest.mark.parametrize(("key_type", "enciphers"), [("rsa", True), ("ec", False)])
def test_a_device_certificate_has_the_profile_of_the_manual_steps(
    hierarchy: Hierarchy, key_type: KeyType, enciphers: bool
) -> None:
    leaf = issue_device(hierarchy.intermediate, "my-device", key_type=key_type).leaf
    extensions = leaf.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    assert common_name_of(leaf.subject) == "my-device"
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=365)
    assert (constraints.critical, constraints.value.ca) == (False, False)
    assert (usage.critical, usage.value.digital_signature, usage.value.key_encipherment) == (True, True, enciphers)
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert names.get_values_for_type(x509.DNSName) == ["my-device"]


@pytest.mark.parametrize("kind", [x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier])
def test_every_certificate_has_both_key_identifiers(
    hierarchy: Hierarchy, kind: type[x509.SubjectKeyIdentifier | x509.AuthorityKeyIdentifier]
) -> None:
    leaf = issue_device(hierarchy.intermediate, "my-device", key_type="ec").leaf
    for certificate in (*hierarchy.intermediate.chain, leaf):
        assert certificate.extensions.get_extension_for_class(kind)


def test_an_id_that_is_no_host_name_is_in_no_alternative_name(hierarchy: Hierarchy) -> None:
    leaf = issue_device(hierarchy.intermediate, "AA:BB:CC", key_type="ec").leaf
    assert common_name_of(leaf.subject) == "AA:BB:CC"
    with pytest.raises(x509.ExtensionNotFound):
        leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)


@pytest.mark.parametrize(
    ("key_type", "authority_curve", "device_curve", "digest"),
    [("ec", ec.SECP384R1, ec.SECP256R1, "sha384"), ("p256", ec.SECP256R1, ec.SECP256R1, "sha256"),
     ("p384", ec.SECP384R1, ec.SECP384R1, "sha384")],
)  # fmt: skip
def test_a_hash_is_as_strong_as_the_curve(
    key_type: KeyType, authority_curve: type[ec.EllipticCurve], device_curve: type[ec.EllipticCurve], digest: str
) -> None:
    of_authority, of_device = authority_key(key_type), device_key(key_type)
    assert isinstance(of_authority, ec.EllipticCurvePrivateKey)
    assert isinstance(of_device, ec.EllipticCurvePrivateKey)
    assert isinstance(of_authority.curve, authority_curve)
    assert isinstance(of_device.curve, device_curve)
    assert signature_hash(of_authority).name == digest


def test_an_intermediate_can_make_no_further_ca(hierarchy: Hierarchy) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    key = ec.generate_private_key(ec.SECP256R1())
    rogue = hierarchy.intermediate.issue_authority("rogue", key, not_before=now, not_after=now + timedelta(days=1))
    leaf = issue_device(rogue, "my-device", key_type="ec")
    verifier = PolicyBuilder().store(Store([hierarchy.root.certificate])).build_client_verifier()
    with pytest.raises(VerificationError):
        verifier.verify(leaf.leaf, list(leaf.chain[1:-1]))


def test_keys_are_for_their_owner_alone_and_certificates_for_everybody(certs: Path, hierarchy: Hierarchy) -> None:
    issue_device_credential(certs / "device", hierarchy.intermediate, "my-device", key_type="ec")
    assert {path.stat().st_mode & 0o777 for path in certs.rglob("*.key")} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in certs.rglob("*.pem")} == {0o644}


def test_nothing_is_overwritten_unless_forced(certs: Path, hierarchy: Hierarchy) -> None:
    before = (certs / "root/root-ca.pem").read_bytes()
    with pytest.raises(NotPossible, match=r"root-ca\.key exists"):
        create_hierarchy(certs, "other", key_type="ec")
    assert (certs / "root/root-ca.pem").read_bytes() == before
    create_hierarchy(certs, "other", key_type="ec", force=True)
    assert (certs / "root/root-ca.pem").read_bytes() != before


def test_a_device_credential_is_not_overwritten_either(certs: Path, hierarchy: Hierarchy) -> None:
    issue_device_credential(certs, hierarchy.intermediate, "my-device", key_type="ec")
    with pytest.raises(NotPossible):
        issue_device_credential(certs, hierarchy.intermediate, "my-device", key_type="ec")


def test_an_authority_that_was_loaded_issues_the_same_chain(certs: Path, hierarchy: Hierarchy) -> None:
    loaded = load_authority(
        certs / "ca/intermediate-ca.pem", certs / "ca/intermediate-ca.key", certs / "root/root-ca.pem"
    )
    assert loaded.chain == hierarchy.intermediate.chain
    assert issue_device(loaded, "my-device", key_type="ec").chain[1:] == hierarchy.intermediate.chain


def test_a_key_of_another_authority_is_refused(certs: Path, hierarchy: Hierarchy) -> None:
    with pytest.raises(NotPossible, match=r"root-ca\.key is the key of another certificate"):
        load_authority(certs / "ca/intermediate-ca.pem", certs / "root/root-ca.key")


def test_a_root_that_did_not_issue_the_intermediate_is_refused(
    tmp_path: Path, certs: Path, hierarchy: Hierarchy
) -> None:
    create_hierarchy(tmp_path / "other", "my-device", key_type="ec")
    other = tmp_path / "other/root/root-ca.pem"
    with pytest.raises(NotPossible, match="was not issued by my-device-root"):
        load_authority(certs / "ca/intermediate-ca.pem", certs / "ca/intermediate-ca.key", other)


def test_a_device_certificate_never_outlives_its_authority(hierarchy: Hierarchy) -> None:
    leaf = issue_device(hierarchy.intermediate, "my-device", key_type="ec", life=timedelta(days=9999)).leaf
    assert leaf.not_valid_after_utc == hierarchy.intermediate.certificate.not_valid_after_utc


def test_an_authority_that_has_ended_issues_nothing() -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    key = authority_key("p256")
    ended = CertificateAuthority.create_root(
        "old-root", key, not_before=now - timedelta(days=2), not_after=now - timedelta(days=1)
    )
    intermediate = ended.issue_authority(
        "young-intermediate", authority_key("p256"), not_before=now, not_after=now + timedelta(days=9)
    )
    with pytest.raises(NotPossible, match="the CA old-root can issue nothing: it ended on"):
        certify_intermediate(ended, "my-device", key.public_key())
    with pytest.raises(NotPossible, match="the CA old-root can issue nothing: it ended on"):
        certify_device(intermediate, "my-device", device_key("p256").public_key())


def test_an_intermediate_for_a_request_is_the_roots(certs: Path) -> None:
    root, key = make_root("my-device", authority_key("p256")), authority_key("p384")
    certificate = certify_intermediate(root, "my-device", key.public_key())
    assert is_issued_by(certificate, root.certificate)
    assert certificate.public_key() == key.public_key()


def test_the_full_chain_file_is_what_tls_needs(certs: Path, hierarchy: Hierarchy) -> None:
    files = issue_device_credential(certs, hierarchy.intermediate, "my-device", key_type="ec")
    credential = Credential.from_pem(files.key.read_bytes(), files.full_chain.read_bytes())
    assert credential.chain[1:] == hierarchy.intermediate.chain
    assert files.chain.read_bytes() in files.full_chain.read_bytes()
