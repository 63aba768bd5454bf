"""Options that several commands of `fleetcert onboard` share, and what becomes of them."""

from __future__ import annotations

import logging
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from fleetcert.cli.api import LOCAL_AZURE
from fleetcert.onboarding import target as targets
from fleetcert.onboarding.passphrases import FORMS, read_passphrase
from fleetcert.onboarding.target import Target
from fleetcert.onboarding.terms import CredentialPolicy, ReprovisionPolicy, Terms
from fleetcert.onboarding.workspace import CredentialFiles, Workspace

CERTS: Final = Path("certs")
LONGEST_DAYS: Final = 36500
"""A century: more is a slip of the hand."""
_AZURE: Final = "Azure"
_SECRET: Final = f"{FORMS}; never the passphrase itself."


class KeyKind(StrEnum):
    """The kinds of keys on offer."""

    RSA = "rsa"
    EC = "ec"
    P256 = "p256"
    P384 = "p384"


class Level(StrEnum):
    """One of the two CAs."""

    ROOT = "root"
    INTERMEDIATE = "intermediate"

    def files(self, workspace: Workspace) -> CredentialFiles:
        """Where it lies."""
        return workspace.root if self is Level.ROOT else workspace.intermediate


class Status(StrEnum):
    """Whether devices may register."""

    ENABLED = "enabled"
    DISABLED = "disabled"


Keys = Annotated[
    KeyKind, typer.Option("--key-type", help="rsa (CAs 4096 bits, devices 2048), ec (P-384, P-256), p256 or p384.")
]
Directory = Annotated[Path, typer.Option(envvar="FLEETCERT_CERTS", help="Holds root/, ca/ and device/.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there and differs.")]
ForceKeys = Annotated[bool, typer.Option("--force", help="Replace keys and certificates that are there.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]
RootPassphrase = Annotated[str | None, typer.Option(help=f"Encrypts or opens the root's key: {_SECRET}")]
IntermediatePassphrase = Annotated[
    str | None, typer.Option(help=f"Encrypts or opens the intermediate's key: {_SECRET}")
]
KeyPassphrase = Annotated[str | None, typer.Option(help=f"Encrypts devices' keys: {_SECRET}")]

DpsName = Annotated[
    str | None,
    typer.Option(envvar=targets.DPS, rich_help_panel=_AZURE, help="The provisioning service; else the local one."),
]
ResourceGroup = Annotated[
    str | None, typer.Option(envvar=targets.RESOURCE_GROUP, rich_help_panel=_AZURE, help="The resource group of DPS.")
]
Subscription = Annotated[
    str | None, typer.Option(envvar=targets.SUBSCRIPTION, rich_help_panel=_AZURE, help="The subscription's id.")
]
ApiVersion = Annotated[
    str | None,
    typer.Option(
        envvar="FLEETCERT_DPS_API_VERSION",
        rich_help_panel=_AZURE,
        help="Of DPS's service API; from 2026-11-01 on a policy is named with its namespace and CA.",
    ),
]

Policy = Annotated[
    str, typer.Option("--credential-policy", help="The ADR policy that issues; '' for an enrollment without.")
]
AdrNamespace = Annotated[
    str | None, typer.Option(envvar="FLEETCERT_ADR_NAMESPACE", help="The policy's namespace, where the version asks.")
]
AdrAuthority = Annotated[
    str | None, typer.Option(envvar="FLEETCERT_ADR_AUTHORITY", help="The policy's CA, where the version asks.")
]
ProvisioningStatus = Annotated[Status, typer.Option(help="Whether devices may register.")]
Reprovision = Annotated[ReprovisionPolicy | None, typer.Option(help="When a device registers again; DPS: the first.")]
Hubs = Annotated[list[str] | None, typer.Option("--iot-hub", help="A hub that may be assigned; any where not given.")]


def target_of(dps_name: str | None, resource_group: str | None, subscription: str | None) -> Target:
    """The Azure that is meant, with the environment that its clients need. Raises: TargetUnknown."""
    logging.getLogger("azure").setLevel(logging.ERROR)  # azure-identity warns with a page for each way it has tried
    target = Target.of(dps_name, resource_group, subscription, LOCAL_AZURE)
    target.enter(os.environ)
    return target


def secret(source: str | None, purpose: str, key: Path) -> bytes | None:
    """A passphrase, if one is named; asked for twice where the key is still to be made. Raises: NotPossible."""
    if source is None:
        return None

    def prompt(text: str) -> str:
        return str(typer.prompt(text, hide_input=True, confirmation_prompt=not key.exists(), err=True))

    return read_passphrase(source, purpose, os.environ, prompt)


def terms_of(
    policy: str,
    namespace: str | None,
    authority: str | None,
    status: Status,
    reprovision: ReprovisionPolicy | None,
    hubs: list[str] | None,
) -> Terms:
    """What an enrollment grants."""
    return Terms(
        policy=CredentialPolicy(name=policy, namespace=namespace, authority=authority) if policy else None,
        status="enabled" if status is Status.ENABLED else "disabled",
        reprovision=reprovision,
        hubs=hubs or (),
    )
