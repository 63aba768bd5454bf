"""`fleetcert fleet renew|disable|enable|revoke`: one device at once, or many, which is a dry run until `--apply`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console

from fleetcert.cli.api import FleetApi, device_path
from fleetcert.cli.following import followed, show_ended
from fleetcert.cli.output import Document, Form, Output, show_document, show_json, show_rows
from fleetcert.cli.selecting import Authority, Devices, Expiring, Group, IdsFrom, State, Tag, selector

DeviceId = Annotated[str, typer.Argument(help="The device's id.")]
Reason = Annotated[str, typer.Option(help="Why, for the history.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it; without this, a bulk request only says what it would do.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before many devices are touched.")]
MaxAffected = Annotated[int, typer.Option(min=1, help="Touch none where it would be more.")]
Wait = Annotated[bool, typer.Option(help="Stay until the operation has ended.")]
OnboardingCert = Annotated[
    typer.FileText | None, typer.Option(help="PEM: the onboarding certificate, where fleetcert does not know it.")
]


def renew(
    reason: Reason,
    devices: Devices = None,
    ids_from: IdsFrom = None,
    tag: Tag = None,
    group: Group = None,
    issuer: Authority = None,
    state: State = None,
    expiring_before: Expiring = None,
    apply: Apply = False,
    yes: Yes = False,
    max_affected: MaxAffected = 50,
    wait: Wait = True,
    output: Output = Form.TABLE,
) -> None:
    """Ask a device to renew its certificate now, or many of them."""
    chosen = selector(devices, ids_from, tag, group, issuer, state, expiring_before)
    with FleetApi.from_environment(os.environ) as api:
        if (device_id := _one(devices, ids_from)) is not None:
            show_document(output, api.post(device_path(device_id, "renew"), {"reason": reason}))
            return
        request = {"selector": chosen, "reason": reason, "maxAffected": max_affected}
        _many(api, "renew", request, output, apply=apply, asks=not yes, waits=wait)


def disable(
    reason: Reason,
    devices: Devices = None,
    ids_from: IdsFrom = None,
    tag: Tag = None,
    group: Group = None,
    issuer: Authority = None,
    state: State = None,
    expiring_before: Expiring = None,
    onboarding_cert: OnboardingCert = None,
    apply: Apply = False,
    yes: Yes = False,
    max_affected: MaxAffected = 50,
    wait: Wait = True,
    output: Output = Form.TABLE,
) -> None:
    """Shut a device out, at the hub and at DPS, or many of them."""
    chosen, device_id = selector(devices, ids_from, tag, group, issuer, state, expiring_before), _one(devices, ids_from)
    if onboarding_cert and device_id is None:
        raise typer.BadParameter("--onboarding-cert is of one device")
    with FleetApi.from_environment(os.environ) as api:
        if device_id is not None:
            body = {"reason": reason} | ({"onboardingPem": onboarding_cert.read()} if onboarding_cert else {})
            show_document(output, api.post(device_path(device_id, "disable"), body))
            return
        request = {"selector": chosen, "reason": reason, "maxAffected": max_affected}
        _many(api, "disable", request, output, apply=apply, asks=not yes, waits=wait)


def enable(device_id: DeviceId, reason: Reason, output: Output = Form.TABLE) -> None:
    """Let a device in again that was disabled: what disable did is undone, and only that."""
    with FleetApi.from_environment(os.environ) as api:
        show_document(output, api.post(device_path(device_id, "enable"), {"reason": reason}))


def revoke(device_id: DeviceId, reason: Reason, output: Output = Form.TABLE) -> None:
    """Make every certificate that a device was ever issued worthless; it may come back through DPS."""
    with FleetApi.from_environment(os.environ) as api:
        show_document(output, api.post(device_path(device_id, "revoke"), {"reason": reason}))


def _one(devices: list[str] | None, ids_from: object) -> str | None:
    """The device, where it is one that was named."""
    return devices[0] if devices and len(devices) == 1 and not ids_from else None


def _many(
    api: FleetApi, verb: str, request: Mapping[str, Any], output: Form, *, apply: bool, asks: bool, waits: bool
) -> None:
    """A dry run; and where it is meant, the operation."""
    if not apply or asks:
        preview = _looked_at(api, verb, request)
        if not apply:
            _show_preview(output, verb, preview)
            return
        if output is Form.TABLE:
            _show_devices(preview)
        typer.confirm(f"{verb} {preview['affected']} devices?", abort=True, err=True)
    begun = api.post(f"bulk/{verb}", {**request, "dryRun": False})
    if waits:
        show_ended(output, followed(api, begun))
    else:
        show_document(output, begun)


def _looked_at(api: FleetApi, verb: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """The dry run over the whole fleet, part by part."""
    part = api.post(f"bulk/{verb}", {**request, "dryRun": True})
    whole = dict(part)
    while part["cursor"]:
        part = api.post(f"bulk/{verb}", {**request, "dryRun": True, "cursor": part["cursor"]})
        whole["matched"] += part["matched"]
        whole["affected"] += part["affected"]
        whole["devices"] = [*whole["devices"], *part["devices"]][:100]
    return whole | {"cursor": None, "exceeds": whole["affected"] > whole["maxAffected"]}


def _show_preview(output: Form, verb: str, preview: Document) -> None:
    if output is Form.JSON:
        show_json(preview)
        return
    _show_devices(preview)
    console = Console()
    console.print(f"{verb} would touch {preview['affected']} of {preview['matched']} devices that were chosen.")
    if preview["exceeds"]:
        console.print(f"That is more than --max-affected {preview['maxAffected']}: it would be refused.", style="red")
    console.print("This was a dry run: --apply does it.")


def _show_devices(preview: Document) -> None:
    show_rows(Form.TABLE, preview["devices"], ("deviceId", "state", "obstacle"))
    if len(preview["devices"]) < preview["matched"]:
        Console().print(f"These are the first {len(preview['devices'])}.")
