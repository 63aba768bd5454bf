"""`fleetcert onboard group ...`: enrollment groups."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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
from fleetcert.onboarding.authority_steps import require_certificate
from fleetcert.onboarding.issuing import readable_name
from fleetcert.onboarding.workspace import Workspace
from shared.errors import NotPossible

app = typer.Typer(help="Enrollment groups.", no_args_is_help=True)

GroupId = Annotated[str, typer.Argument(help="The enrollment group's id.")]


@app.callback()
def main() -> None:
    """Enrollment groups."""


@app.command("create")
def create(
    group: GroupId,
    directory: Directory = CERTS,
    ca_name: Annotated[
        list[str] | None, typer.Option(help="The CA at DPS; a second one to roll to. Default: the intermediate here.")
    ] = None,
    symmetric_key: Annotated[bool, typer.Option("--symmetric-key", help="Attest by keys derived from one.")] = False,
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
    """Create an enrollment group on the intermediate, whose devices get certificates by the credential policy."""
    from fleetcert.onboarding.attestations import ByAuthority, BySymmetricKey
    from fleetcert.onboarding.connecting import DEFAULT_API_VERSION, enrollments_of
    from fleetcert.onboarding.enrollment_steps import EnrollmentStep

    target, workspace = target_of(dps_name, None, None), Workspace(directory)
    terms = terms_of(credential_policy, adr_namespace, adr_authority, provisioning_status, reprovision_policy, iot_hub)
    attestation = BySymmetricKey() if symmetric_key else ByAuthority(_authorities(ca_name, workspace))

    async def work() -> None:
        async with enrollments_of(target, api_version or DEFAULT_API_VERSION) as service:
            step = EnrollmentStep(service, "enrollmentGroups", group, attestation, terms, force=force)
            await perform(None, [step], dry_run=dry_run)

    asyncio.run(work())


@app.command("show")
def show(group: GroupId, dps_name: DpsName = None, api_version: ApiVersion = None) -> None:
    """Show an enrollment group as DPS has it; keys are never shown."""
    show_document(target_of(dps_name, None, None), api_version, "enrollmentGroups", group)


@app.command("derive-keys")
def derive_keys(
    group: GroupId,
    out: Annotated[Path, typer.Option(help="The CSV to write, for your eyes only; keys are shown nowhere else.")],
    registration_id: Annotated[list[str] | None, typer.Argument(help="Devices.")] = None,
    roster: Annotated[Path | None, typer.Option("--csv", help="A list of devices, as `fleet issue` takes it.")] = None,
    dps_name: DpsName = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
) -> None:
    """Derive the keys of devices of a symmetric-key group (HMAC-SHA256 of their ids under the group's key)."""
    from fleetcert.onboarding.connecting import enrollments_of
    from fleetcert.onboarding.symmetric_keys import derive_key, primary_key, write_keys

    ids, target = _registration_ids(registration_id, roster), target_of(dps_name, None, None)

    async def work() -> str:
        async with enrollments_of(target) as service:
            return await primary_key(service, "enrollmentGroups", group)

    key = asyncio.run(work())
    write_keys(out, ((one, derive_key(key, one)) for one in ids), force=force)
    Console(soft_wrap=True, highlight=False).print(f"{out}: the keys of {len(ids)} devices", markup=False)


def _authorities(given: list[str] | None, workspace: Workspace) -> list[str]:
    if given is not None and len(given) > 2:
        raise NotPossible("a group attests by two CAs at most: --ca-name PRIMARY --ca-name SECONDARY")
    return given or [readable_name(require_certificate(workspace.intermediate))]


def _registration_ids(given: list[str] | None, roster: Path | None) -> list[str]:
    from fleetcert.onboarding.names import check_registration_id
    from fleetcert.onboarding.roster import read_roster

    listed = read_roster(roster, for_certificate=False) if roster else None
    if listed is not None and listed.rejected:
        first = listed.rejected[0]
        raise NotPossible(f"{roster}, line {first.line}: {first.reason}")
    ids = [check_registration_id(one, for_certificate=False) for one in given or ()]
    ids += [device.registration_id for device in listed.devices] if listed else []
    if not ids:
        raise NotPossible("name devices, or a list of them with --csv")
    return ids
