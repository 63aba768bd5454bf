"""An onboarding certificate as an enrollment needs it: the leaf alone, and of this device. Pure."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID


class NotItsOwn(ValueError):
    """The certificate cannot be this device's: says why, in words for people."""


def leaf_of(pem: str, registration_id: str) -> str:
    """The first certificate of a PEM text. DPS compares its common name with the registration id, without case.

    Raises: NotItsOwn.
    """
    try:
        leaf = x509.load_pem_x509_certificates(pem.encode())[0]
    except ValueError as problem:
        raise NotItsOwn("it is no certificate that can be read") from problem
    names = [str(a.value) for a in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if [name.casefold() for name in names] != [registration_id.casefold()]:
        raise NotItsOwn(
            f"its common name is {', '.join(names) or 'missing'}, and the registration id {registration_id}"
        )
    return leaf.public_bytes(serialization.Encoding.PEM).decode()
