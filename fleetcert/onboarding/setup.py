"""Everything that the manual steps do, in their order, as one row of steps."""

from __future__ import annotations

from dataclasses import dataclass, field

from fleetcert.onboarding.attestations import ByAuthority
from fleetcert.onboarding.authority_steps import AuthorityOptions, authority_steps
from fleetcert.onboarding.bootstrap import DeviceOptions, device_steps
from fleetcert.onboarding.enrollment_steps import EnrollmentStep
from fleetcert.onboarding.issuing import intermediate_name, root_name
from fleetcert.onboarding.ports import CertificateService, EnrollmentService
from fleetcert.onboarding.possession import ProveAuthority, UploadAuthority
from fleetcert.onboarding.steps import Step
from fleetcert.onboarding.terms import Terms
from fleetcert.onboarding.workspace import CredentialFiles, Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is to be there. name: the CAs are called `{name}-root` and `{name}-intermediate`, here and at DPS."""

    name: str
    registration_id: str
    enrollment_group: str
    terms: Terms
    authorities: AuthorityOptions = field(default_factory=AuthorityOptions)
    device: DeviceOptions = field(default_factory=DeviceOptions)


def setup_steps(
    workspace: Workspace, certificates: CertificateService, enrollments: EnrollmentService, plan: Plan
) -> list[Step]:
    """The steps 2 to 7 of "Understanding X.509 and CSR Workflows". Raises: NotPossible where a name cannot be used."""
    root, intermediate = root_name(plan.name), intermediate_name(plan.name)
    options = plan.authorities

    def known_to_dps(files: CredentialFiles, name: str, passphrase: bytes | None) -> list[Step]:
        return [
            UploadAuthority(certificates, files, name),
            ProveAuthority(certificates, workspace, files, name, passphrase),
        ]

    return [
        *authority_steps(workspace, plan.name, options),
        *known_to_dps(workspace.root, root, options.root_passphrase),
        *known_to_dps(workspace.intermediate, intermediate, options.intermediate_passphrase),
        *device_steps(workspace, workspace.device, plan.registration_id, plan.device),
        EnrollmentStep(enrollments, "enrollmentGroups", plan.enrollment_group, ByAuthority([intermediate]), plan.terms),
    ]
