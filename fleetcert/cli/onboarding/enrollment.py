"""`fleetcert onboard enrollment ...`: individual enrollments."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509

from fleetcert.cli.onboarding.documents import show_document
from fleetcert.cli.onboarding.options import (
    CERTS,
    AdrAuthority,
    AdrNamespace,
    ApiVersion,
    Directory,
    DpsName,
    DryRun,
    Force,
    Hubs,
    Policy,
    ProvisioningStatus,
    Reprovision,
    Status,
    target_of,
    terms_of,
)
from fleetcert.cli.onboarding.performing import perform
from fleetcert.onboarding.issuing import mismatch
from fleetcert.onboarding.names import check_registration_id
from fleetcert.onboarding.workspace import Workspace, read_certificate
from shared.errors import NotPossible

app = typer.Typer(help="Individual enrollments.", no_args_is_help=True)

RegistrationId = Annotated[str, typer.Argument(help="The device's registration id.")]


@app.callback()
def main() -> None:
    """Individual enrollments."""


@app.command("create")
def create(
    registration_id: RegistrationId,
    directory: Directory = CERTS,
    certificate: Annotated[
        list[Path] | None, typer.Option(help="The device's certificate; a second one to roll to. Default: device.pem.")
    ] = None,
    symmetric_key: Annotated[bool, typer.Option("--symmetric-key", help="Attest by a key that DPS makes.")] = False,
    key_out: Annotated[Path | None, typer.Option(help="Where that key goes (CSV), for your eyes only.")] = None,
    device_id: Annotated[str | None, typer.Option(help="The id at the hub, where it is another.")] = None,
    credential_policy: Policy = "default",
    adr_namespace: AdrNamespace = None,
    adr_authority: AdrAuthority = None,
    provisioning_status: ProvisioningStatus = Status.ENABLED,
    reprovision_policy: Reprovision = None,
    iot_hub: Hubs = None,
    dps_name: DpsName = None,
    api_version: ApiVersion = None,
    force: Force = False,
    dry_run: DryRun = False,
) -> None:
    """Enroll one device by its own certificate or key; an individual enrollment wins over the group."""
    from fleetcert.onboarding.attestations import ByCertificate, BySymmetricKey
    from fleetcert.onboarding.connecting import DEFAULT_API_VERSION, enrollments_of
    from fleetcert.onboarding.enrollment_steps import EnrollmentStep
    from fleetcert.onboarding.symmetric_keys import check_replaceable, primary_key, write_keys

    check_registration_id(registration_id, for_certificate=not symmetric_key)
    target, workspace = target_of(dps_name, None, None), Workspace(directory)
    terms = terms_of(credential_policy, adr_namespace, adr_authority, provisioning_status, reprovision_policy, iot_hub)
    paths = certificate or [workspace.device.certificate]
    attestation = BySymmetricKey() if symmetric_key else ByCertificate(_certificates(registration_id, paths))
    if key_out is not None:
        check_replaceable(key_out, force=force)

    async def work() -> None:
        async with enrollments_of(target, api_version or DEFAULT_API_VERSION) as service:
            step = EnrollmentStep(
                service, "enrollments", registration_id, attestation, terms, device_id=device_id, force=force
            )
            await perform(None, [step], dry_run=dry_run)
            if key_out and symmetric_key and not dry_run:
                key = await primary_key(service, "enrollments", registration_id)
                write_keys(key_out, [(registration_id, key)], force=force)

    asyncio.run(work())


@app.command("show")
def show(registration_id: RegistrationId, dps_name: DpsName = None, api_version: ApiVersion = None) -> None:
    """Show an individual enrollment as DPS has it; keys are never shown."""
    show_document(target_of(dps_name, None, None), api_version, "enrollments", registration_id)


def _certificates(registration_id: str, paths: list[Path]) -> list[x509.Certificate]:
    """DPS takes the registration id from the common name, so that they have to be the same."""
    if len(paths) > 2:
        raise NotPossible("an enrollment holds two certificates at most: --certificate PRIMARY --certificate SECONDARY")
    certificates = [read_certificate(path) for path in paths]
    for path, certificate in zip(paths, certificates, strict=True):
        if (why := mismatch(certificate, name=registration_id)) is not None:
            raise NotPossible(f"{path}: {why}")
    return certificates
