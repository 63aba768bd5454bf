"""The enrollments of the Device Provisioning Service and what came in through them, in pages.

Azure docs: REST, DPS service: Enrollment Group - Query, Device Registration State - Query, Individual Enrollment -
Query.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from shared.adapters.dps import ALL_GROUPS, ServiceApi
from shared.adapters.faults import RequestRejected
from shared.contracts import normal_thumbprint, parse_instant
from shared.domain.ca_watch import DescribedCertificate
from shared.domain.inventory import EnrollmentGroup, Registration
from shared.services.reconciling import ContinuationExpired

ALL_INDIVIDUALS: Final = {"query": "SELECT * FROM enrollments"}
ALL_REGISTRATIONS: Final = {"query": "*"}


class DpsInventory(ServiceApi):
    """One provisioning service, whose enrollment groups and registrations can be listed."""

    async def list(self) -> Sequence[EnrollmentGroup]:
        """All enrollment groups."""
        return [_group(document) for document in await self._groups()]

    async def listed(self) -> Sequence[DescribedCertificate]:
        """The signing certificates of all enrollment groups, as DPS describes them."""
        return [c for document in await self._groups() for c in _signing_certificates(document)]

    async def registrations(self, group: str, continuation: str | None) -> tuple[Sequence[Registration], str | None]:
        """A page of the devices that are assigned through the group. Raises: ContinuationExpired."""
        path = ("registrations", group, "query")
        documents, rest = await self._page(path, ALL_REGISTRATIONS, continuation)
        return list(_registrations(documents)), rest

    async def individuals(self, continuation: str | None) -> tuple[Sequence[Registration], str | None]:
        """A page of the devices that are assigned through an enrollment of their own. Raises: ContinuationExpired."""
        documents, rest = await self._page(("enrollments", "query"), ALL_INDIVIDUALS, continuation)
        return [r for document in documents for r in _individual(document)], rest

    async def _groups(self) -> Sequence[dict[str, Any]]:
        return await self.query("enrollmentGroups", "query", query=ALL_GROUPS)

    async def _page(
        self, path: tuple[str, ...], query: dict[str, Any], continuation: str | None
    ) -> tuple[Sequence[dict[str, Any]], str | None]:
        try:
            return await self.page(path, query, continuation)
        except RequestRejected as problem:
            if problem.status == 400 and continuation:
                raise ContinuationExpired(f"DPS does not know the continuation: {problem}") from problem
            raise


def _signing_certificates(document: dict[str, Any]) -> Iterator[DescribedCertificate]:
    """Those that a group was given itself; one that refers to uploaded CA certificates has none of its own."""
    signing = (document["attestation"].get("x509") or {}).get("signingCertificates") or {}
    for place in ("primary", "secondary"):
        info = (signing.get(place) or {}).get("info")
        if info:
            yield DescribedCertificate(
                name=f"{document['enrollmentGroupId']}/{place}",
                thumbprint=normal_thumbprint(info["sha256Thumbprint"]),
                subject=info["subjectName"],
                not_before=parse_instant(info["notBeforeUtc"]),
                not_after=parse_instant(info["notAfterUtc"]),
            )


def _group(document: dict[str, Any]) -> EnrollmentGroup:
    return EnrollmentGroup(
        id=document["enrollmentGroupId"],
        attestation=document["attestation"]["type"],
        credential_policy=document.get("credentialPolicyName") or None,
        enabled=document.get("provisioningStatus") != "disabled",
    )


def _individual(document: dict[str, Any]) -> Iterator[Registration]:
    """A disabled enrollment is passed over: it may be the block of a device that is registered through a group."""
    if document.get("provisioningStatus") != "disabled":
        for registration in _registrations([document.get("registrationState") or {}]):
            yield replace(registration, credential_policy=document.get("credentialPolicyName") or None)


def _registrations(documents: Sequence[dict[str, Any]]) -> Iterator[Registration]:
    """Those that led to a device; a registration that failed names none."""
    for document in documents:
        if document.get("status") == "assigned" and document.get("deviceId"):
            yield Registration(
                registration_id=document["registrationId"],
                device_id=document["deviceId"],
                hub=str(document.get("assignedHub", "")).partition(":")[0].partition(".")[0],
            )
