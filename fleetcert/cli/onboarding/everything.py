"""`fleetcert onboard setup` and `fleetcert onboard status`: all steps at once, and what there is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.table import Column, Table

from fleetcert.cli.onboarding.options import (
    CERTS,
    LONGEST_DAYS,
    AdrAuthority,
    AdrNamespace,
    ApiVersion,
    Directory,
    DpsName,
    DryRun,
    IntermediatePassphrase,
    KeyKind,
    KeyPassphrase,
    Keys,
    Policy,
    Reprovision,
    ResourceGroup,
    RootPassphrase,
    Status,
    Subscription,
    secret,
    target_of,
    terms_of,
)
from fleetcert.cli.onboarding.performing import perform
from fleetcert.onboarding.target import Target
from fleetcert.onboarding.workspace import DeviceFiles, Workspace
from shared.contracts import format_instant

if TYPE_CHECKING:
    from fleetcert.onboarding.setup import Plan
    from fleetcert.onboarding.status import Item, Survey


class Output(StrEnum):
    """How the status is shown."""

    TABLE = "table"
    JSON = "json"


_STYLES: Final = {"good": "green", "ending": "yellow", "ended": "red", "wrong": "red", "missing": "red"}


def setup(
    registration_id: Annotated[str, typer.Argument(help="The device's registration id.")],
    group: Annotated[str, typer.Option(help="The enrollment group's id.")],
    name: Annotated[str | None, typer.Option(help="What the CAs are called; the registration id by default.")] = None,
    directory: Directory = CERTS,
    key_type: Keys = KeyKind.RSA,
    days: Annotated[int, typer.Option(min=1, max=LONGEST_DAYS, help="The device certificate's life.")] = 365,
    root_passphrase: RootPassphrase = None,
    intermediate_passphrase: IntermediatePassphrase = None,
    key_passphrase: KeyPassphrase = None,
    credential_policy: Policy = "default",
    adr_namespace: AdrNamespace = None,
    adr_authority: AdrAuthority = None,
    reprovision_policy: Reprovision = None,
    dps_name: DpsName = None,
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
    api_version: ApiVersion = None,
    dry_run: DryRun = False,
) -> None:
    """CAs, their proof at DPS, a device's certificate and the enrollment group, in one go.

    What is there already is kept, so that a run that was cut short is run again. Nothing is ever replaced: what differs
    is refused, and the single command with --force replaces it.
    """
    from fleetcert.onboarding.authority_steps import AuthorityOptions
    from fleetcert.onboarding.bootstrap import DeviceOptions
    from fleetcert.onboarding.setup import Plan

    workspace, target = Workspace(directory), target_of(dps_name, resource_group, subscription)
    opened = secret(intermediate_passphrase, "the intermediate's key", workspace.intermediate.key)
    plan = Plan(
        name=name or registration_id,
        registration_id=registration_id,
        enrollment_group=group,
        terms=terms_of(credential_policy, adr_namespace, adr_authority, Status.ENABLED, reprovision_policy, None),
        authorities=AuthorityOptions(
            key_type=key_type.value,
            root_passphrase=secret(root_passphrase, "the root's key", workspace.root.key),
            intermediate_passphrase=opened,
        ),
        device=DeviceOptions(
            key_type=key_type.value,
            life=timedelta(days=days),
            key_passphrase=secret(key_passphrase, "the device's key", workspace.device.key),
            ca_passphrase=opened,
        ),
    )
    asyncio.run(_set_up(workspace, target, plan, api_version, dry_run=dry_run))


def status(
    directory: Directory = CERTS,
    group: Annotated[str | None, typer.Option(help="An enrollment group that has to be there.")] = None,
    local_only: Annotated[bool, typer.Option("--local-only", help="Do not ask Azure.")] = False,
    ending_days: Annotated[int, typer.Option(min=0, help="From when on an end is near.")] = 90,
    output: Annotated[Output, typer.Option(help="table or json.")] = Output.TABLE,
    check: Annotated[bool, typer.Option("--check", help="Exit code 1 where anything is not good.")] = False,
    dps_name: DpsName = None,
    resource_group: ResourceGroup = None,
    subscription: Subscription = None,
    api_version: ApiVersion = None,
) -> None:
    """Show what there is here and in Azure, when it ends, and what is missing."""
    from fleetcert.onboarding.status import Survey

    survey = Survey(Workspace(directory), ending_days)
    items = survey.local()
    if not local_only:
        target = target_of(dps_name, resource_group, subscription)
        items += asyncio.run(_at_dps(survey, target, api_version, group))
    if output is Output.JSON:
        typer.echo(json.dumps([_document(item) for item in items], indent=2))
    else:
        _show(items)
    raise typer.Exit(1 if check and any(item.standing != "good" for item in items) else 0)


async def _set_up(workspace: Workspace, target: Target, plan: Plan, api_version: str | None, *, dry_run: bool) -> None:
    from fleetcert.onboarding.connecting import DEFAULT_API_VERSION, certificates_of, enrollments_of
    from fleetcert.onboarding.setup import setup_steps

    version = api_version or DEFAULT_API_VERSION
    async with certificates_of(target) as certificates, enrollments_of(target, version) as enrollments:
        await perform(workspace.directory, setup_steps(workspace, certificates, enrollments, plan), dry_run=dry_run)
    if not dry_run:
        _tell_what_to_copy(workspace.device)


def _tell_what_to_copy(device: DeviceFiles) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print("Copy to the device, the key to its secure element if it has one:")
    for path in (device.certificate, device.key, device.full_chain):
        console.print(f"  {path}", markup=False)


async def _at_dps(survey: Survey, target: Target, api_version: str | None, group: str | None) -> list[Item]:
    from fleetcert.onboarding.connecting import DEFAULT_API_VERSION, certificates_of, enrollments_of

    version = api_version or DEFAULT_API_VERSION
    async with certificates_of(target) as certificates, enrollments_of(target, version) as enrollments:
        return await survey.at_dps(certificates, enrollments, group)


def _show(items: Sequence[Item]) -> None:
    table = Table(*(Column(title, overflow="fold") for title in ("what", "where", "standing", "ends", "detail")))
    for item in items:
        ends = f"{item.ends:%Y-%m-%d}" if item.ends else ""
        style = _STYLES[item.standing.value]
        table.add_row(item.name, item.where, f"[{style}]{item.standing.value}[/]", ends, item.detail)
    Console().print(table)


def _document(item: Item) -> dict[str, str | None]:
    return {**asdict(item), "ends": format_instant(item.ends) if item.ends else None}
