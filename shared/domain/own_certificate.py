"""A certificate that is said to be a device's, as PEM: whether it can be read and names the device. Pure."""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import NameOID

_LONGEST_NAME: Final = 128
"""Of a common name that is told; DPS's registration ids are no longer."""


class NotItsOwn(ValueError):
    """The certificate cannot be this device's: says why, in words for people."""


def own_certificate(pem: str, registration_id: str) -> x509.Certificate:
    """The first certificate of a PEM text. DPS compares its common name with the registration id, without case.

    The text may come from the device, and so may be made to hurt: a subject is read only when it is asked for, and
    fails then, and a version that X.509 does not have is no ValueError. Raises: NotItsOwn.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        names = [str(a.value) for a in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, x509.InvalidVersion) as problem:
        raise NotItsOwn("it is no certificate that can be read") from problem
    if [name.casefold() for name in names] != [registration_id.casefold()]:
        told = ", ".join(names)[:_LONGEST_NAME] or "missing"
        raise NotItsOwn(f"its common name is {told}, and the registration id {registration_id}")
    return certificate


def leaf_of(pem: str, registration_id: str) -> str:
    """The certificate alone, as an enrollment needs it. Raises: NotItsOwn."""
    return own_certificate(pem, registration_id).public_bytes(serialization.Encoding.PEM).decode()
