"""The CA certificates that were uploaded to DPS, and the proof that whoever uploaded them holds the key."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from http import HTTPStatus
from typing import Final

from cryptography import x509

from fleetcert.certificates import common_name_of, is_issued_by
from fleetcert.local.chains import is_authority, is_valid_at
from fleetcert.local.dps.errors import Refusal, bad_request, not_found, precondition_failed
from fleetcert.local.dps.etags import matches, new_etag
from shared.clock import Clock

LIMIT: Final = 25
"""CA certificates per service (Azure docs: iot-dps-limits)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadedAuthority:
    """A CA certificate under its name. Only a verified one attests devices."""

    name: str
    certificate: x509.Certificate
    is_verified: bool
    created: datetime
    updated: datetime
    etag: str
    verification_code: str | None = None


class CertificateAuthorities:
    """The CA certificates of the service. Names are case-insensitive, as everywhere in ARM."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._by_name: dict[str, UploadedAuthority] = {}

    def all(self) -> Sequence[UploadedAuthority]:
        """Every CA certificate, in the order of upload."""
        return tuple(self._by_name.values())

    def get(self, name: str) -> UploadedAuthority:
        """Raises: Refusal 404."""
        try:
            return self._by_name[name.casefold()]
        except KeyError:
            raise not_found(f"The certificate {name!r} does not exist") from None

    def verified(self, name: str) -> x509.Certificate | None:
        """The certificate, if it exists and possession of its key was proved."""
        authority = self._by_name.get(name.casefold())
        return authority.certificate if authority and authority.is_verified else None

    def put(
        self, name: str, certificate: x509.Certificate, *, is_verified: bool = False, if_match: str | None = None
    ) -> UploadedAuthority:
        """Uploads a CA certificate, or replaces one, which needs its ETag and a new proof.

        is_verified: take it as verified at once, which Azure allows to those who may upload. Raises: Refusal.
        """
        existing = self._by_name.get(name.casefold())
        if existing and not (if_match and matches(if_match, existing.etag)):
            raise precondition_failed()
        if not is_authority(certificate):
            raise bad_request("The certificate is not a CA certificate (basicConstraints CA:TRUE)")
        if existing is None and len(self._by_name) >= LIMIT:
            raise Refusal(HTTPStatus.CONFLICT, f"A service holds at most {LIMIT} CA certificates")
        now = self._clock.now()
        return self._store(
            UploadedAuthority(
                name=name,
                certificate=certificate,
                is_verified=is_verified,
                created=existing.created if existing else now,
                updated=now,
                etag=new_etag(),
            )
        )

    def delete(self, name: str, if_match: str | None) -> None:
        """Raises: Refusal 404 or 412."""
        self._checked(name, if_match)
        del self._by_name[name.casefold()]

    def generate_verification_code(self, name: str, if_match: str | None) -> UploadedAuthority:
        """A new code that the owner of the key puts into a certificate's common name. Raises: Refusal."""
        authority = self._checked(name, if_match)
        return self._store(self._changed(replace(authority, verification_code=secrets.token_hex(24).upper())))

    def verify(self, name: str, proof: x509.Certificate, if_match: str | None) -> UploadedAuthority:
        """Accepts a certificate that the CA issued to the verification code as the proof of possession.

        Raises: Refusal 400 where the proof proves nothing, 404 or 412.
        """
        authority = self._checked(name, if_match)
        if authority.verification_code is None:
            raise bad_request("Generate a verification code first")
        if common_name_of(proof.subject) != authority.verification_code:
            raise bad_request("The common name of the verification certificate is not the verification code")
        if not is_valid_at(proof, self._clock.now()):
            raise bad_request("The verification certificate is expired or not valid yet")
        if not is_issued_by(proof, authority.certificate):
            raise bad_request("The verification certificate was not signed by the CA's key")
        return self._store(self._changed(replace(authority, is_verified=True, verification_code=None)))

    def _checked(self, name: str, if_match: str | None) -> UploadedAuthority:
        authority = self.get(name)
        if if_match is None or not matches(if_match, authority.etag):
            raise precondition_failed()
        return authority

    def _changed(self, authority: UploadedAuthority) -> UploadedAuthority:
        return replace(authority, etag=new_etag(), updated=self._clock.now())

    def _store(self, authority: UploadedAuthority) -> UploadedAuthority:
        self._by_name[authority.name.casefold()] = authority
        return authority
