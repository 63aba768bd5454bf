"""How devices prove themselves to an enrollment: written for DPS, and compared with what DPS has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from cryptography import x509

from fleetcert.certificates import pem_chain, thumbprint
from fleetcert.onboarding.ports import Document


class Attestation(Protocol):
    """One way."""

    def document(self) -> Document:
        """`attestation` of a new enrollment."""

    def is_in(self, present: Document) -> bool:
        """Whether the `attestation` that DPS gives out is this one."""

    def __str__(self) -> str:
        """For people."""


@dataclass(frozen=True, slots=True)
class ByAuthority:
    """A chain that leads to one of DPS's verified CA certificates: a primary, and perhaps a secondary to roll to."""

    names: Sequence[str]

    def document(self) -> Document:
        """By reference: a CA certificate that is replaced at DPS need not be replaced here."""
        references: dict[str, str] = dict(zip(("primary", "secondary"), self.names, strict=False))
        return {"type": "x509", "x509": {"caReferences": references}}

    def is_in(self, present: Document) -> bool:
        """Names of ARM resources are compared without case."""
        references = _inner(present, "x509", "caReferences")
        there = [str(name).casefold() for part in ("primary", "secondary") if (name := references.get(part))]
        return present.get("type") == "x509" and there == [name.casefold() for name in self.names]

    def __str__(self) -> str:
        return f"CA {', '.join(self.names)}"


@dataclass(frozen=True, slots=True)
class ByCertificate:
    """One of these very certificates: a primary, and perhaps a secondary."""

    certificates: Sequence[x509.Certificate]

    def document(self) -> Document:
        """The certificates in PEM."""
        texts = [{"certificate": pem_chain([certificate]).decode()} for certificate in self.certificates]
        pair = dict(zip(("primary", "secondary"), texts, strict=False))
        return {"type": "x509", "x509": {"clientCertificates": pair}}

    def is_in(self, present: Document) -> bool:
        """DPS gives out thumbprints, never certificates."""
        pair = _inner(present, "x509", "clientCertificates")
        there = [_thumbprint(pair.get(part)) for part in ("primary", "secondary") if pair.get(part)]
        return present.get("type") == "x509" and there == [thumbprint(one) for one in self.certificates]

    def __str__(self) -> str:
        return f"certificate {', '.join(thumbprint(one).upper() for one in self.certificates)}"


@dataclass(frozen=True, slots=True)
class BySymmetricKey:
    """Keys that DPS makes. A group's devices use keys derived from them."""

    def document(self) -> Document:
        """Without keys: DPS generates them, so that none is ever sent."""
        return {"type": "symmetricKey"}

    def is_in(self, present: Document) -> bool:
        """Whatever the keys are."""
        return present.get("type") == "symmetricKey"

    def __str__(self) -> str:
        return "symmetric keys"


def _inner(document: Document, *names: str) -> dict[str, Any]:
    """A member of a member; empty where there is none, or DPS writes null."""
    for name in names:
        document = document.get(name) or {}
    return document


def _thumbprint(certificate: Document | None) -> str:
    return str(_inner(certificate or {}, "info").get("sha256Thumbprint", "")).casefold()
