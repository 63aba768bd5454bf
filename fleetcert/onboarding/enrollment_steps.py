"""The steps that make enrollment groups and individual enrollments, and change them where that is forced."""

from __future__ import annotations

from typing import Final, Literal

from fleetcert.onboarding.attestations import Attestation
from fleetcert.onboarding.ports import Document, EnrollmentService
from fleetcert.onboarding.steps import Finding, Verdict
from fleetcert.onboarding.terms import Terms

type Kind = Literal["enrollmentGroups", "enrollments"]
"""As in the paths of DPS's service API."""

_ID_MEMBER: Final[dict[Kind, str]] = {"enrollmentGroups": "enrollmentGroupId", "enrollments": "registrationId"}
_TITLE: Final[dict[Kind, str]] = {"enrollmentGroups": "enrollment group", "enrollments": "individual enrollment"}


class EnrollmentStep:
    """An enrollment is there with this attestation and these terms. What the terms leave open is left as it is.

    device_id: of an individual enrollment, where it is not the registration id. force: one that differs is changed.
    """

    def __init__(
        self,
        service: EnrollmentService,
        kind: Kind,
        identity: str,
        attestation: Attestation,
        terms: Terms,
        *,
        device_id: str | None = None,
        force: bool = False,
    ) -> None:
        self.title = f"{_TITLE[kind]} {identity}"
        self._service = service
        self._path = (kind, identity)
        self._identity = {_ID_MEMBER[kind]: identity}
        self._attestation = attestation
        self._members = terms.members(service.api_version)
        if device_id is not None:
            self._members["deviceId"] = device_id
        self._force = force
        self._present: Document | None = None

    async def look(self) -> Finding:
        """Whether it is there, and what of it differs."""
        self._present = await self._service.get(*self._path)
        if self._present is None:
            return Finding(Verdict.MAKE, self._wanted())
        differences = self._differences(self._present)
        if not differences:
            return Finding(Verdict.KEEP, self._wanted())
        detail = "; ".join(differences)
        if self._force:
            return Finding(Verdict.REPLACE, detail)
        return Finding(Verdict.REFUSE, f"it is there and differs: {detail}; --force changes it")

    async def apply(self) -> str:
        """Creates it, or changes what differs under the ETag that the look has seen. Raises: Conflict."""
        if self._present is None:
            document = {**self._identity, **self._members, "attestation": self._attestation.document()}
            await self._service.put(*self._path, document=_without_nulls(document))
        else:
            await self._change(self._present)
        return self._wanted()

    async def _change(self, present: Document) -> None:
        document = {**present, **self._members, "attestation": await self._new_attestation(present)}
        await self._service.put(*self._path, document=_without_nulls(document), etag=present["etag"])

    async def _new_attestation(self, present: Document) -> Document:
        if not self._attestation.is_in(present["attestation"]):
            return self._attestation.document()
        if present["attestation"]["type"] != "symmetricKey":
            return dict(present["attestation"])
        # A plain read hides the keys, and putting it back without them would make new ones.
        return dict(await self._service.post(*self._path, "attestationmechanism"))

    def _differences(self, present: Document) -> list[str]:
        differences = [
            f"{name} is {present.get(name)!r}, not {wanted!r}"
            for name, wanted in self._members.items()
            if _unordered(present.get(name)) != _unordered(wanted)
        ]
        if not self._attestation.is_in(present["attestation"]):
            differences.append(f"it does not attest by {self._attestation}")
        return differences

    def _wanted(self) -> str:
        policy = self._members.get("credentialPolicyName") or self._members.get("certificatePolicyName")
        issues = f"certificates by policy {policy}" if policy else "no certificates"
        return f"{self._attestation}; issues {issues}; {self._members['provisioningStatus']}"


def _without_nulls(document: Document) -> Document:
    return {name: value for name, value in document.items() if value is not None}


def _unordered(value: object) -> object:
    """The order of hubs means nothing."""
    return sorted(value) if isinstance(value, list) else value
