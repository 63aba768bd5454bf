"""`fleetcert onboard ca ...`: the onboarding CAs, here and at DPS."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from fleetcert.cli.onboarding.options import (
    CERTS,
    LONGEST_DAYS,
    Directory,
    DpsName,
    DryRun,
    Force,
    ForceKeys,
    IntermediatePassphrase,
    KeyKind,
    Keys,
    Level,
    ResourceGroup,
    RootPassphrase,
    Subscription,
    secret,
    target_of,
)
from fleetcert.cli.onboarding.performing import perform, perform_here
from fleetcert.onboarding.authority import load_authority
from fleetcert.onboarding.authority_steps import (
    AuthorityOptions,
    IntermediateCertificate,
    RootCertificate,
    intermediate_request,
    require_certificate,
)
from fleetcert.onboarding.describing import describe
from fleetcert.onboarding.issuing import INTERMEDIATE_LIFE, ROOT_LIFE, readable_name
from fleetcert.onboarding.ports import CertificateService
from fleetcert.onboarding.steps import Step
from fleetcert.onboarding.target import Target
from fleetcert.onboarding.workspace import CredentialFiles, Workspace

app = typer.Typer(help="The onboarding CAs.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The CAs are called NAME-root and NAME-intermediate.")]
OneLevel = Annotated[Level, typer.Argument(help="Which of the two.")]
RootDays = Annotated[int, typer.Option(min=1, max=LONGEST_DAYS, help="The root's life.")]
IntermediateDays = Annotated[
    int, typer.Option(min=1, max=LONGEST_DAYS, help="The intermediate's life, the root's at most.")
]
CertificateName = Annotated[
    str | None, typer.Option("--certificate-name", help="What it is called at DPS; its common name by default.")
]
Passphrase = Annotated[
    str | None, typer.Option(help="Opens the CA's key: prompt, file:PATH or env:NAME; never the passphrase itself.")
]


@app.callback()
def main() -> None:
    """The onboarding CAs."""


@app.command("create")
def create(
    name: Name,
    directory: Directory = CERTS,
    level: Annotated[Level | None, typer.Option(help="Only one of the two.")] = None,
    key_type: Keys = KeyKind.RSA,
    root_days: RootDays = ROOT_LIFE.days,
    intermediate_days: IntermediateDays = INTERMEDIATE_LIFE.days,
    root_passphrase: RootPassphrase = None,
    intermediate_passphrase: IntermediatePassphrase = None,
    force: ForceKeys = False,
    dry_run: DryRun = False,
) -> None:
    """Make a root and an intermediate CA; what is there already is kept."""
    workspace = Workspace(directory)
    options = AuthorityOptions(
        key_type=key_type.value,
        root_life=timedelta(days=root_days),
        intermediate_life=timedelta(days=intermediate_days),
        root_passphrase=secret(root_passphrase, "the root's key", workspace.root.key),
        intermediate_passphrase=secret(intermediate_passphrase, "the intermediate's key", workspace.intermediate.key),
        force=force,
    )
    steps: list[Step] = []
    if level is not Level.INTERMEDIATE:
        steps.append(RootCertificate(workspace, name, options))
    if level is not Level.ROOT:
        steps.append(intermediate_request(workspace, name, options))
        steps.append(IntermediateCertificate(workspace, name, options))
    perform_here(directory, steps, dry_run=dry_run)


@app.command("request")
def request(
    name: Name,
    directory: Directory = CERTS,
    key_type: Keys = KeyKind.RSA,
    intermediate_passphrase: IntermediatePassphrase = None,
    force: ForceKeys = False,
    dry_run: DryRun = False,
) -> None:
    """Make the intermediate's key and request, to be signed where the root's key is."""
    workspace = Workspace(directory)
    passphrase = secret(intermediate_passphrase, "the intermediate's key", workspace.intermediate.key)
    options = AuthorityOptions(key_type=key_type.value, intermediate_passphrase=passphrase, force=force)
    perform_here(directory, [intermediate_request(workspace, name, options)], dry_run=dry_run)


@app.command("sign")
def sign(
    name: Name,
    directory: Directory = CERTS,
    intermediate_days: IntermediateDays = INTERMEDIATE_LIFE.days,
    root_passphrase: RootPassphrase = None,
    intermediate_passphrase: IntermediatePassphrase = None,
    force: ForceKeys = False,
    dry_run: DryRun = False,
) -> None:
    """Sign the intermediate's request with the root."""
    workspace = Workspace(directory)
    options = AuthorityOptions(
        intermediate_life=timedelta(days=intermediate_days),
        root_passphrase=secret(root_passphrase, "the root's key", workspace.root.key),
        intermediate_passphrase=secret(intermediate_passphrase, "the intermediate's key", workspace.intermediate.key),
        force=force,
    )
    perform_here(directory, [IntermediateCertificate(workspace, name, options)], dry_run=dry_run)


@app.command("show")
def show(directory: Directory = CERTS) -> None:
    """Show both CAs with their thumbprints, as Azure shows them."""
    workspace, console = Workspace(directory), Console(soft_wrap=True, highlight=False)
    for level in Level:
        files = level.files(workspace)
        console.print(describe(files.certificate, require_certificate(files)), markup=False)


@app.command("upload")
def upload(
    level: OneLevel,
    directory: Directory = CERTS,
    certificate_name: CertificateName = None,
    dps_name: DpsName = None,
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
    force: Force = False,
    dry_run: DryRun = False,
) -> None:
    """Upload a CA's certificate to DPS."""
    from fleetcert.onboarding.possession import UploadAuthority

    at = _at_dps(level, directory, certificate_name, target_of(dps_name, resource_group, subscription))
    _perform(at, lambda service: UploadAuthority(service, at.files, at.name, force=force), dry_run=dry_run)


@app.command("code")
def code(
    level: OneLevel,
    directory: Directory = CERTS,
    certificate_name: CertificateName = None,
    dps_name: DpsName = None,
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
) -> None:
    """Ask DPS for a verification code and print it; the one before is void."""
    from fleetcert.onboarding.connecting import certificates_of
    from fleetcert.onboarding.possession import request_code

    at = _at_dps(level, directory, certificate_name, target_of(dps_name, resource_group, subscription))

    async def work() -> str:
        async with certificates_of(at.target) as service:
            return (await request_code(service, at.name)).code

    typer.echo(asyncio.run(work()))


@app.command("prove")
def prove(
    level: OneLevel,
    code: Annotated[str, typer.Option(help="The verification code, as `ca code` prints it.")],
    directory: Directory = CERTS,
    passphrase: Passphrase = None,
) -> None:
    """Make the verification certificate for a code, where the CA's key is."""
    from fleetcert.onboarding.possession import write_proof

    workspace = Workspace(directory)
    files = level.files(workspace)
    authority = load_authority(
        files.certificate, files.key, passphrase=secret(passphrase, f"the {level.value}'s key", files.key)
    )
    with workspace.locked():
        proof = asyncio.run(write_proof(workspace, files, authority, code))
    Console(soft_wrap=True, highlight=False).print(describe(workspace.proof(files).certificate, proof), markup=False)


@app.command("verify")
def verify(
    level: OneLevel,
    directory: Directory = CERTS,
    proof: Annotated[Path | None, typer.Option(help="A verification certificate; made here where not given.")] = None,
    certificate_name: CertificateName = None,
    passphrase: Passphrase = None,
    dps_name: DpsName = None,
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
    dry_run: DryRun = False,
) -> None:
    """Prove to DPS that a CA's key is yours: code, verification certificate, verification."""
    from fleetcert.onboarding.possession import ProveAuthority, ShowProof

    at = _at_dps(level, directory, certificate_name, target_of(dps_name, resource_group, subscription))
    opened = None if proof else secret(passphrase, f"the {level.value}'s key", at.files.key)

    def step(service: CertificateService) -> Step:
        if proof is not None:
            return ShowProof(service, at.files, at.name, proof)
        return ProveAuthority(service, at.workspace, at.files, at.name, opened)

    _perform(at, step, dry_run=dry_run)


@dataclass(frozen=True, slots=True)
class _AtDps:
    """A CA of a workspace, and what it is called at which DPS."""

    target: Target
    workspace: Workspace
    files: CredentialFiles
    name: str


def _at_dps(level: Level, directory: Path, certificate_name: str | None, target: Target) -> _AtDps:
    workspace = Workspace(directory)
    files = level.files(workspace)
    return _AtDps(target, workspace, files, certificate_name or readable_name(require_certificate(files)))


def _perform(at: _AtDps, step: Callable[[CertificateService], Step], *, dry_run: bool) -> None:
    from fleetcert.onboarding.connecting import certificates_of

    async def work() -> None:
        async with certificates_of(at.target) as service:
            await perform(at.workspace.directory, [step(service)], dry_run=dry_run)

    asyncio.run(work())
