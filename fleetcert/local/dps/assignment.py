"""What follows on attestation: a hub, an identity in it, a device in ADR, and a certificate."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import msgspec
from cryptography import x509

from fleetcert.certificates import der, thumbprint
from fleetcert.local.dps.admission import Admission
from fleetcert.local.dps.attestation import certificate_info
from fleetcert.local.dps.documents import EnrollmentDocument, InitialTwin
from fleetcert.local.dps.enrollments import allowed_hubs
from fleetcert.local.dps.errors import bad_request
from fleetcert.local.dps.etags import new_etag
from fleetcert.local.dps.registrations import Registration
from fleetcert.local.ports import CsrRefused, ProvisionedHub, Registry

NO_POLICY: Final = "The enrollment is linked to no credential policy, so no certificate can be issued"


@dataclass(frozen=True, slots=True)
class Assignment:
    """The outcome: the registration, how the device proved itself, and its operational certificate where it asked."""

    registration: Registration
    admission: Admission
    issued: Sequence[x509.Certificate] = ()

    def to_wire(self) -> dict[str, Any]:
        """`registrationState` as the device sees it. Its member `x509` describes the onboarding certificate."""
        state = self.registration.to_wire()
        group = {"enrollmentGroupId": self.registration.group} if self.registration.group else {}
        if self.admission.leaf is not None:
            state["x509"] = {"certificateInfo": msgspec.to_builtins(certificate_info(self.admission.leaf)), **group}
        else:
            state["symmetricKey"] = group
        if self.issued:
            state["issuedCertificateChain"] = [base64.b64encode(der(one)).decode() for one in self.issued]
        return state


class Assigner:
    """Assigns devices to the linked hubs."""

    def __init__(self, registry: Registry, hubs: Mapping[str, ProvisionedHub]) -> None:
        self._registry = registry
        self._hubs = hubs

    def assign(
        self,
        admission: Admission,
        registration_id: str,
        csr: bytes | None,
        existing: Registration | None,
        now: datetime,
    ) -> Assignment:
        """Provisions the device to its hub and ADR, then has its CSR signed.

        The order is Azure's: where the CSR is refused, the device exists and the registration has failed.
        """
        # The first spelling of a registration id stays: it is the device's id, and hubs tell case apart.
        identity = existing.registration_id if existing else registration_id
        hub = self._hub_for(admission.enrollment.document, identity, existing)
        registration = _registration(admission, identity, hub, existing, now)
        policy = admission.enrollment.document.policy
        self._provision(admission, registration.device_id, hub, with_certificate=csr is not None)
        if policy is not None:
            self._registry.register(registration.device_id, policy)
        if csr is None:
            return Assignment(registration, admission)
        return self._issue(registration, admission, csr, policy)

    def _provision(self, admission: Admission, device_id: str, hub: ProvisionedHub, *, with_certificate: bool) -> None:
        twin = admission.enrollment.document.initial_twin or InitialTwin()
        authentication = {"type": "certificateAuthority"} if with_certificate else _own_authentication(admission)
        hub.provision(device_id, authentication=authentication, initial_twin=msgspec.to_builtins(twin))

    def _issue(self, registration: Registration, admission: Admission, csr: bytes, policy: str | None) -> Assignment:
        if policy is None:
            return Assignment(_failed(registration, CsrRefused(NO_POLICY)), admission)
        try:
            return Assignment(registration, admission, self._registry.issue(registration.device_id, csr, policy))
        except CsrRefused as refused:
            return Assignment(_failed(registration, refused), admission)

    def _hub_for(
        self, document: EnrollmentDocument, registration_id: str, existing: Registration | None
    ) -> ProvisionedHub:
        candidates = sorted(set(allowed_hubs(document)) & set(self._hubs) or self._hubs)
        if not candidates:
            raise bad_request("No IoT hub is linked to this service")
        keeps_its_hub = existing is not None and (existing.hub in candidates or not _may_move(document))
        if existing is not None and keeps_its_hub and existing.hub in self._hubs:
            return self._hubs[existing.hub]
        digest = hashlib.sha256(registration_id.casefold().encode()).digest()
        index = int.from_bytes(digest[:8]) % len(candidates) if document.allocation_policy == "hashed" else 0
        return self._hubs[candidates[index]]


def _may_move(document: EnrollmentDocument) -> bool:
    return (document.reprovision_policy or {}).get("updateHubAssignment", True)


def _registration(
    admission: Admission, registration_id: str, hub: ProvisionedHub, existing: Registration | None, now: datetime
) -> Registration:
    device_id = admission.enrollment.device_id(registration_id)
    return Registration(
        registration_id=registration_id,
        device_id=device_id,
        group=admission.enrollment.id if admission.enrollment.is_group else None,
        hub=hub.host_name,
        status="assigned",
        substatus=_substatus(device_id, hub, existing),
        created=existing.created if existing else now,
        updated=now,
        etag=new_etag(),
    )


def _failed(registration: Registration, refused: CsrRefused) -> Registration:
    return replace(registration, status="failed", error_code=refused.code, error_message=refused.message)


def _substatus(device_id: str, hub: ProvisionedHub, existing: Registration | None) -> str:
    if existing is None or existing.status != "assigned":
        return "initialAssignment"
    if existing.hub != hub.host_name:
        return "deviceDataReset"  # twins are not moved between local hubs, so `migrateDeviceData` is not honoured
    return existing.substatus if hub.has_device(device_id) else "reprovisionedToInitialAssignment"


def _own_authentication(admission: Admission) -> dict[str, Any]:
    """The identity's authentication where no certificate is asked for: the device keeps what it proved itself with."""
    if admission.keys is not None:
        return {"type": "sas", "symmetricKey": admission.keys.to_wire()}
    assert admission.leaf is not None
    primary = thumbprint(admission.leaf).upper()
    return {"type": "selfSigned", "x509Thumbprint": {"primaryThumbprint": primary, "secondaryThumbprint": None}}
