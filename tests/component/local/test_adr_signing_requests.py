from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from fleetcert.certificates import common_name
from fleetcert.local.adr.signing_requests import MAX_REQUEST_BYTES, approved_key
from fleetcert.local.ports import CsrRefused

DER = serialization.Encoding.DER
P384 = ec.generate_private_key(ec.SECP384R1())
NAMED = common_name("dev-1")


def request(key=P384, subject=NAMED, algorithm=None) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, algorithm or hashes.SHA384()).public_bytes(DER)


@pytest.mark.parametrize("curve", [ec.SECP384R1(), ec.SECP256R1()])
def test_a_request_with_a_key_on_an_approved_curve_gives_that_key(curve):
    key = ec.generate_private_key(curve)

    assert approved_key(request(key), "dev-1") == key.public_key()


def test_a_request_with_an_rsa_key_of_2048_bits_is_taken():
    key = rsa.generate_private_key(65537, 2048)

    assert approved_key(request(key), "dev-1") == key.public_key()


@pytest.mark.parametrize(
    "key",
    [
        rsa.generate_private_key(65537, 1024),
        ec.generate_private_key(ec.SECP224R1()),
        ec.generate_private_key(ec.SECP521R1()),
    ],
    ids=["RSA 1024", "P-224", "P-521"],
)
def test_another_key_is_refused(key):
    with pytest.raises(CsrRefused, match="the key of the CSR must be"):
        approved_key(request(key, algorithm=hashes.SHA256()), "dev-1")


def test_a_key_of_another_kind_is_refused():
    key = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name("dev-1"))

    with pytest.raises(CsrRefused, match="the key of the CSR must be"):
        approved_key(builder.sign(key, None).public_bytes(DER), "dev-1")


@pytest.mark.parametrize(
    "subject",
    [
        common_name("dev-2"),
        common_name("DEV-1"),
        x509.Name([]),
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in ("dev-1", "dev-2")]),
    ],
    ids=["another", "another case", "none", "two"],
)
def test_the_common_name_has_to_be_the_id_and_nothing_else(subject):
    with pytest.raises(CsrRefused, match="common name"):
        approved_key(request(subject=subject), "dev-1")


def test_a_request_signed_by_another_key_proves_no_possession():
    genuine = request()
    tampered = genuine[:-4] + bytes(octet ^ 1 for octet in genuine[-4:])

    with pytest.raises(CsrRefused, match="signature"):
        approved_key(tampered, "dev-1")


@pytest.mark.parametrize("garbage", [b"", b"hello", b"-----BEGIN CERTIFICATE REQUEST-----"])
def test_what_is_no_der_request_is_refused(garbage):
    with pytest.raises(CsrRefused, match="DER"):
        approved_key(garbage, "dev-1")


def test_a_request_over_8_kb_is_refused_before_it_is_parsed():
    with pytest.raises(CsrRefused, match="bytes"):
        approved_key(request() + bytes(MAX_REQUEST_BYTES), "dev-1")


def test_a_refusal_carries_the_documented_code():
    with pytest.raises(CsrRefused) as refused:
        approved_key(b"", "dev-1")

    assert refused.value.code == 400037
