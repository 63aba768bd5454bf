"""What a device asks to have signed."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from fleetcert.certificates import common_name_of
from fleetcert.device.csr import KeyKind, chain_from_wire, new_key, signing_request, to_wire


@pytest.mark.parametrize("registration_id", ["dev-1", "Press_7:left.rear", "x" * 64])
def test_a_request_names_the_registration_id_exactly_and_nothing_else(registration_id: str) -> None:
    request = x509.load_der_x509_csr(signing_request(registration_id, new_key()))
    assert common_name_of(request.subject) == registration_id
    assert len(list(request.subject)) == 1


def test_a_request_is_signed_by_its_own_p384_key() -> None:
    key = new_key()
    request = x509.load_der_x509_csr(signing_request("dev-1", key))
    assert request.is_signature_valid
    assert isinstance(request.signature_hash_algorithm, hashes.SHA384)
    assert isinstance(key.curve, ec.SECP384R1)
    assert request.public_key() == key.public_key()


@pytest.mark.parametrize("kind", [KeyKind.P256, KeyKind.RSA])
def test_other_kinds_of_keys_are_signed_with_sha256(kind: KeyKind) -> None:
    request = x509.load_der_x509_csr(signing_request("dev-1", new_key(kind)))
    assert request.is_signature_valid
    assert isinstance(request.signature_hash_algorithm, hashes.SHA256)


def test_an_empty_chain_is_none() -> None:
    with pytest.raises(ValueError, match="empty"):
        chain_from_wire([])


def test_on_the_wire_a_request_is_base64_of_der_in_one_line() -> None:
    request = signing_request("dev-1", new_key())
    text = to_wire(request)
    assert base64.b64decode(text, validate=True) == request
    assert "\n" not in text
    assert "BEGIN" not in text


@pytest.mark.parametrize("text", ["", "AAAA", "no base64!"])
def test_a_chain_with_something_else_in_it_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        chain_from_wire([text])
