"""What an enrollment grants: the members that enrollment groups and individual enrollments have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Literal

from fleetcert.onboarding.ports import Document
from shared.errors import NotPossible

FIRST_WITH_AUTHORITIES: Final = "2026-11-01"
"""From this api-version on a credential policy belongs to a CA of an ADR namespace, and all three are named."""


_ALONE: Final = "credentialPolicyName"
_BELOW_AUTHORITY: Final = "certificatePolicyName"


def policy_member(api_version: str) -> str:
    """What the member is called that names an enrollment's policy. Versions begin with a date, so that they sort."""
    return _ALONE if api_version < FIRST_WITH_AUTHORITIES else _BELOW_AUTHORITY


class ReprovisionPolicy(StrEnum):
    """What happens when a device registers again; the words of `az iot dps enrollment-group`."""

    MIGRATE = "reprovisionandmigratedata"
    RESET = "reprovisionandresetdata"
    NEVER = "never"


_REPROVISIONING: Final[Mapping[ReprovisionPolicy, Mapping[str, bool]]] = MappingProxyType(
    {
        ReprovisionPolicy.MIGRATE: {"updateHubAssignment": True, "migrateDeviceData": True},
        ReprovisionPolicy.RESET: {"updateHubAssignment": True, "migrateDeviceData": False},
        ReprovisionPolicy.NEVER: {"updateHubAssignment": False, "migrateDeviceData": False},
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialPolicy:
    """The ADR policy that issues operational certificates. namespace, authority: where the api-version names them."""

    name: str
    namespace: str | None = None
    authority: str | None = None

    def members(self, api_version: str) -> Document:
        """As the version names it. Raises: NotPossible where it wants more, or less, than is given."""
        member = policy_member(api_version)
        if member == _ALONE:
            if self.namespace or self.authority:
                raise NotPossible(f"the api-version {api_version} knows a policy by its name alone")
            return {member: self.name}
        if not (self.namespace and self.authority):
            raise NotPossible(f"the api-version {api_version} wants the ADR namespace and the CA of the policy too")
        return {
            "namespaceName": self.namespace,
            "certificateAuthorityName": self.authority,
            member: self.name,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an enrollment grants. policy None: no certificates are issued. Else None is left to DPS, or as it is."""

    policy: CredentialPolicy | None
    status: Literal["enabled", "disabled"] = "enabled"
    reprovision: ReprovisionPolicy | None = None
    hubs: Sequence[str] = ()

    def members(self, api_version: str) -> Document:
        """The members of the document; null where there shall be none. Raises: NotPossible."""
        members: dict[str, Any] = {"provisioningStatus": self.status}
        if self.policy is not None:
            members |= self.policy.members(api_version)
        else:
            members[policy_member(api_version)] = None
        if self.reprovision is not None:
            members["reprovisionPolicy"] = dict(_REPROVISIONING[self.reprovision])
        if self.hubs:
            members["iotHubs"] = list(self.hubs)
        return members
