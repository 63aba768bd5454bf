"""`fleetcert onboard device ...`: the bootstrap credential of one device."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from fleetcert.cli.onboarding.options import (
    CERTS,
    LONGEST_DAYS,
    Directory,
    DryRun,
    ForceKeys,
    IntermediatePassphrase,
    KeyKind,
    KeyPassphrase,
    Keys,
    secret,
)
from fleetcert.cli.onboarding.performing import perform_here
from fleetcert.onboarding.bootstrap import DeviceOptions, device_request, device_steps
from fleetcert.onboarding.issuing import DEVICE_LIFE
from fleetcert.onboarding.workspace import DeviceFiles, Workspace

app = typer.Typer(help="A device's bootstrap certificate.", no_args_is_help=True)

RegistrationId = Annotated[str, typer.Argument(help="The device's registration id: the certificate's common name.")]
Output = Annotated[Path | None, typer.Option(help="Where to write; DIRECTORY/device where not given.")]
Days = Annotated[int, typer.Option(min=1, max=LONGEST_DAYS, help="The certificate's life, its CAs' at most.")]


@app.callback()
def main() -> None:
    """A device's bootstrap certificate."""


@app.command("request")
def request(
    registration_id: RegistrationId,
    directory: Directory = CERTS,
    output: Output = None,
    key_type: Keys = KeyKind.RSA,
    key_passphrase: KeyPassphrase = None,
    force: ForceKeys = False,
    dry_run: DryRun = False,
) -> None:
    """Make a device's key and request, on the device, to be issued where the intermediate's key is."""
    workspace, files = Workspace(directory), _files(directory, output)
    options = DeviceOptions(
        key_type=key_type.value, key_passphrase=secret(key_passphrase, "the device's key", files.key), force=force
    )
    steps = [device_request(workspace, files, registration_id, options)]
    perform_here(files.certificate.parent, steps, dry_run=dry_run)


@app.command("issue")
def issue(
    registration_id: RegistrationId,
    directory: Directory = CERTS,
    output: Output = None,
    csr: Annotated[Path | None, typer.Option(help="Issue for this request; the key stays where it is.")] = None,
    days: Days = DEVICE_LIFE.days,
    key_type: Keys = KeyKind.RSA,
    key_passphrase: KeyPassphrase = None,
    intermediate_passphrase: IntermediatePassphrase = None,
    force: ForceKeys = False,
    dry_run: DryRun = False,
) -> None:
    """Issue a device's bootstrap certificate, and write the chains beside it; what is there already is kept."""
    workspace, files = Workspace(directory), _files(directory, output)
    options = DeviceOptions(
        key_type=key_type.value,
        life=timedelta(days=days),
        key_passphrase=secret(key_passphrase, "the device's key", files.key),
        ca_passphrase=secret(intermediate_passphrase, "the intermediate's key", workspace.intermediate.key),
        force=force,
    )
    steps = device_steps(workspace, files, registration_id, options, csr)
    perform_here(files.certificate.parent, steps, dry_run=dry_run)


def _files(directory: Path, output: Path | None) -> DeviceFiles:
    return DeviceFiles.in_folder(output) if output else Workspace(directory).device
