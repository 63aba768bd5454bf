"""`fleetcert onboard ...`: the CA and the bootstrap certificates that devices are shipped with."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from fleetcert.onboarding.authority import create_hierarchy, issue_device_credential, load_authority
from shared.errors import NotPossible


class KeyKind(StrEnum):
    """The kinds of keys on offer."""

    RSA = "rsa"
    EC = "ec"


Keys = Annotated[KeyKind, typer.Option("--key-type", help="rsa (CAs 4096 bits, devices 2048) or ec (P-384, P-256).")]
Directory = Annotated[Path, typer.Option(help="Holds root/, ca/ and device/.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files that exist.")]

app = typer.Typer(help="Bootstrap credentials.", no_args_is_help=True)
ca = typer.Typer(help="The onboarding CA.", no_args_is_help=True)
device = typer.Typer(help="Devices' bootstrap certificates.", no_args_is_help=True)
app.add_typer(ca, name="ca")
app.add_typer(device, name="device")


@ca.callback()
def ca_main() -> None:
    """The onboarding CA."""


@device.callback()
def device_main() -> None:
    """Devices' bootstrap certificates."""


@ca.command("create")
def create_ca(
    name: Annotated[str, typer.Argument(help="The CAs are called NAME-root and NAME-intermediate.")],
    directory: Directory = Path("certs"),
    key_type: Keys = KeyKind.RSA,
    force: Force = False,
) -> None:
    """Make a root and an intermediate CA."""
    try:
        create_hierarchy(directory, name, key_type=key_type.value, force=force)
    except NotPossible as problem:
        raise typer.BadParameter(str(problem)) from problem
    typer.echo(f"{directory / 'ca' / 'intermediate-ca.pem'} is the CA to give to DPS")


@device.command("issue")
def issue(
    registration_id: Annotated[str, typer.Argument(help="The device's registration id: the certificate's name.")],
    directory: Directory = Path("certs"),
    output: Annotated[Path | None, typer.Option(help="Where to write; DIRECTORY/device where not given.")] = None,
    days: Annotated[int, typer.Option(min=1, help="The certificate's life.")] = 365,
    key_type: Keys = KeyKind.RSA,
    force: Force = False,
) -> None:
    """Issue a device's bootstrap certificate."""
    try:
        authority = load_authority(
            directory / "ca" / "intermediate-ca.pem",
            directory / "ca" / "intermediate-ca.key",
            directory / "root" / "root-ca.pem",
        )
        files = issue_device_credential(
            output or directory / "device",
            authority,
            registration_id,
            key_type=key_type.value,
            life=timedelta(days=days),
            force=force,
        )
    except (NotPossible, OSError, ValueError) as problem:
        raise typer.BadParameter(str(problem)) from problem
    typer.echo(f"{files.full_chain} and {files.key} are what the device needs")
