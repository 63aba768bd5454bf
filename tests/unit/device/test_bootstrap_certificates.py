"""The onboarding CA and its devices' certificates, judged by two verifiers that are not ours."""

from __future__ import annotations

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from fleetcert.certificates import common_name_of
from fleetcert.device.credential import Credential
from fleetcert.onboarding import authority as authorities
from fleetcert.onboarding.authority import (
    Hierarchy,
    KeyType,
    create_hierarchy,
    issue_device,
    issue_device_credential,
    load_authority,
)
from shared.errors import NotPossible

generate_rsa = rsa.generate_private_key


@pytest.fixture
def rsa_sizes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the RSA keys that were asked for; what is made is smaller, because 4096 bits take seconds."""
    sizes: list[int] = []

    def generate(public_exponent: int, key_size: int) -> rsa.RSAPrivateKey:
        sizes.append(key_size)
        return generate_rsa(public_exponent, 2048)

    monkeypatch.setattr(authorities.rsa, "generate_private_key", generate)
    return sizes


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    return tmp_path / "certs"


@pytest.fixture
def hierarchy(certs: Path) -> Hierarchy:
    return create_hierarchy(certs, "my-device", key_type="ec")


@pytest.mark.parametrize("key_type", ["rsa", "ec"])
def test_both_verifiers_take_the_bootstrap_certificate(certs: Path, rsa_sizes: list[int], key_type: KeyType) -> None:
    hierarchy = create_hierarchy(certs, "my-device", key_type=key_type)
    files = issue_device_credential(certs / "device", hierarchy.intermediate, "my-device", key_type=key_type)
    leaf, intermediate, root = x509.load_pem_x509_certificates(files.full_chain.read_bytes())
    verified = PolicyBuilder().store(Store([root])).build_client_verifier().verify(leaf, [intermediate])
    assert len(verified.chain) == 3
    openssl = shutil.which("openssl")
    if openssl:
        trust = ["-CAfile", certs / "root/root-ca.pem", "-untrusted", certs / "ca/intermediate-ca.pem"]
        command = [openssl, "verify", "-x509_strict", "-purpose", "sslclient", *trust, files.certificate]
        subprocess.run(command, check=True, capture_output=True)
    assert rsa_sizes == ([4096, 4096, 2048] if key_type == "rsa" else [])


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


def test_a_device_certificate_has_the_profile_of_the_manual_steps(hierarchy: Hierarchy, rsa_sizes: list[int]) -> None:
    leaf = issue_device(hierarchy.intermediate, "my-device").leaf
    extensions = leaf.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert common_name_of(leaf.subject) == "my-device"
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=365)
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (usage.critical, usage.value.digital_signature, usage.value.key_encipherment) == (True, True, True)
    assert list(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert names.get_values_for_type(x509.DNSName) == ["my-device"]
    assert rsa_sizes == [2048]


def test_an_intermediate_can_make_no_further_ca(hierarchy: Hierarchy) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    soon = now + timedelta(days=1)
    key = ec.generate_private_key(ec.SECP256R1())
    rogue = hierarchy.intermediate.issue_authority("rogue", key, not_before=now, not_after=soon)
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
    with pytest.raises(ValueError, match="another key"):
        load_authority(certs / "ca/intermediate-ca.pem", certs / "root/root-ca.key")


def test_a_device_certificate_never_outlives_its_authority(hierarchy: Hierarchy) -> None:
    leaf = issue_device(hierarchy.intermediate, "my-device", key_type="ec", life=timedelta(days=9999)).leaf
    assert leaf.not_valid_after_utc == hierarchy.intermediate.certificate.not_valid_after_utc


def test_the_full_chain_file_is_what_tls_needs(certs: Path, hierarchy: Hierarchy) -> None:
    files = issue_device_credential(certs, hierarchy.intermediate, "my-device", key_type="ec")
    credential = Credential.from_pem(files.key.read_bytes(), files.full_chain.read_bytes())
    assert credential.chain[1:] == hierarchy.intermediate.chain
    assert files.chain.read_bytes() in files.full_chain.read_bytes()
