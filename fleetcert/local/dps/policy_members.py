"""How an enrollment names its credential policy: one member in 2025, three since 2026-11-01.

Facts: azure-rest-api-specs, DPS service data plane. That a version refuses the other's members is assumed.
"""

from __future__ import annotations

from typing import Final

from fleetcert.local.dps.documents import EnrollmentDocument
from fleetcert.local.dps.errors import bad_request

BY_NAME: Final = ("2025-07-01-preview",)
BY_AUTHORITY: Final = ("2026-11-01", "2026-11-02-preview")
AUTHORITY: Final = "default"
"""The device registry here is of the generation before, whose one credential has this name."""


def check_policy_members(document: EnrollmentDocument, version: str, namespace: str) -> None:
    """Raises: Refusal 400 where the members are not of this api-version, or do not name what there is."""
    if document.credential_policy_name is not None and version not in BY_NAME:
        raise bad_request(f"The member credentialPolicyName needs the api-version {BY_NAME[0]}")
    three = (document.namespace_name, document.certificate_authority_name, document.certificate_policy_name)
    if not any(three):
        return
    if version not in BY_AUTHORITY:
        raise bad_request(f"The member certificatePolicyName needs the api-version {BY_AUTHORITY[0]}")
    if not all(three):
        raise bad_request("namespaceName, certificateAuthorityName and certificatePolicyName go together")
    if document.namespace_name != namespace:
        raise bad_request(f"The ADR namespace {document.namespace_name!r} is not linked to this service")
    if document.certificate_authority_name != AUTHORITY:
        raise bad_request(f"The ADR namespace has no CA {document.certificate_authority_name!r}")
