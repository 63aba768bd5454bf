"""`POST /api/devices/{deviceId}/renew|disable|enable|revoke`: what is done to one device by hand."""

from __future__ import annotations

import azure.functions as func

from functions.edge import Call, Reply, serves
from functions.replies import accepted, condition
from shared.composition import app
from shared.schemas.queries import NoQuery
from shared.schemas.requests import DisableRequest, EnableRequest, RenewRequest, RevokeRequest
from shared.schemas.routes import DISABLE_DEVICE, ENABLE_DEVICE, RENEW_DEVICE, REVOKE_DEVICE

blueprint = func.Blueprint()


@serves(blueprint, RENEW_DEVICE)
async def renew_device(call: Call[NoQuery, RenewRequest]) -> Reply:
    """A renewal by hand."""
    device_id, claim, expected = call.device_id, call.claim, condition(call)
    actor, reason = call.principal.actor, call.body.reason
    devices = (await app.services()).devices
    return accepted(await devices.renew(device_id, actor, reason, expected, asked_at=claim.at, is_again=claim.is_again))


@serves(blueprint, DISABLE_DEVICE)
async def disable_device(call: Call[NoQuery, DisableRequest]) -> Reply:
    """Containment by hand."""
    device_id, wanted, expected = call.device_id, call.body, condition(call)
    actor = call.principal.actor
    containment = (await app.services()).containment
    record = await containment.disable(device_id, actor, wanted.reason, wanted.onboarding_pem, condition=expected)
    return accepted(record)


@serves(blueprint, ENABLE_DEVICE)
async def enable_device(call: Call[NoQuery, EnableRequest]) -> Reply:
    """The way back in."""
    device_id, claim, expected = call.device_id, call.claim, condition(call)
    actor, reason = call.principal.actor, call.body.reason
    enable = (await app.services()).containment.enable
    return accepted(await enable(device_id, actor, reason, expected, is_again=claim.is_again))


@serves(blueprint, REVOKE_DEVICE)
async def revoke_device(call: Call[NoQuery, RevokeRequest]) -> Reply:
    """Revocation, where an ADR namespace is configured."""
    device_id, claim, expected = call.device_id, call.claim, condition(call)
    actor, reason = call.principal.actor, call.body.reason
    revoke = (await app.services()).containment.revoke
    return accepted(await revoke(device_id, actor, reason, expected, asked_at=claim.at, is_again=claim.is_again))
