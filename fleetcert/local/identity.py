"""Managed identity locally: the token endpoint that azure-identity asks, the keys that check its tokens, and operators.

Azure docs: "How to use managed identities for App Service and Azure Functions" (REST endpoint reference, 2019-08-01).
"""

from __future__ import annotations

import hmac
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from aiohttp import web

from fleetcert.local.credentials import Tokens

API_AUDIENCE: Final = "api://fleetcert"
ROLES: Final = ("Fleet.Read", "Certificates.Renew", "Devices.Contain")
ALL_ROLES: Final = "all"

_API_VERSION: Final = "2019-08-01"
_MANAGED_IDENTITY_LIFETIME: Final = timedelta(hours=24)
_OPERATOR_LIFETIME: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class ManagedIdentity:
    """The identity that the app runs with. header: the secret of IDENTITY_HEADER, against forged requests."""

    client_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    object_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    header: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)


def operator_token(tokens: Tokens, roles: str) -> str:
    """A token of a local operator for the HTTP API. roles: app roles, parted by commas; `all` stands for every one.

    Raises: ValueError for a role that there is not.
    """
    named = roles.split(",")
    if unknown := sorted({*named} - {*ROLES, ALL_ROLES}):
        raise ValueError(f"there is no role {unknown[0]!r}, only {', '.join((*ROLES, ALL_ROLES))}")
    claims = {
        "oid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"fleetcert/local/operator/{roles}")),
        "appid": str(uuid.uuid5(uuid.NAMESPACE_URL, "fleetcert/local/cli")),
        "name": f"Local operator ({', '.join(named)})",
        "roles": list(ROLES) if ALL_ROLES in named else named,
        "ver": "1.0",
    }
    return tokens.issue(API_AUDIENCE, claims, _OPERATOR_LIFETIME)[0]


def operator_tokens(tokens: Tokens) -> dict[str, str]:
    """A token for each role, and for `all`."""
    return {role: operator_token(tokens, role) for role in (*ROLES, ALL_ROLES)}


class IdentityEndpoint:
    """The HTTP endpoint: `/msi/token`, `/discovery/keys`, and `/local/token` for the browser's login."""

    def __init__(self, tokens: Tokens, identity: ManagedIdentity) -> None:
        self._tokens = tokens
        self._identity = identity

    def application(self) -> web.Application:
        """The endpoint as an aiohttp application."""
        application = web.Application()
        application.router.add_get("/msi/token", self._managed_identity_token)
        application.router.add_get("/discovery/keys", self._keys)
        application.router.add_get("/local/token", self._operator_token)
        return application

    async def _managed_identity_token(self, request: web.Request) -> web.Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        resource = request.query["resource"]
        token, expiry = self._tokens.issue(resource, self._app_claims(), _MANAGED_IDENTITY_LIFETIME)
        return web.json_response(
            {
                "access_token": token,
                "expires_on": str(expiry),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": self._identity.client_id,
            }
        )

    def _refusal(self, request: web.Request) -> web.Response | None:
        header = request.headers.get("X-IDENTITY-HEADER", "")
        if not hmac.compare_digest(header.encode(), self._identity.header.encode()):
            return _error(401, "the header X-IDENTITY-HEADER is missing or wrong")
        if request.query.get("api-version") != _API_VERSION:
            return _error(400, f"api-version must be {_API_VERSION}")
        if not request.query.get("resource"):
            return _error(400, "the parameter resource is missing")
        if request.query.get("client_id", self._identity.client_id) != self._identity.client_id:
            return _error(400, "no user-assigned identity with this client_id")
        return None

    def _app_claims(self) -> Mapping[str, str]:
        identity = self._identity
        return {"oid": identity.object_id, "sub": identity.object_id, "appid": identity.client_id, "ver": "1.0"}

    async def _keys(self, _request: web.Request) -> web.Response:
        return web.json_response(self._tokens.key_set())

    async def _operator_token(self, request: web.Request) -> web.Response:
        roles = request.query.get("role", ALL_ROLES)
        try:
            return web.json_response({"access_token": operator_token(self._tokens, roles), "token_type": "Bearer"})
        except ValueError as problem:
            return _error(400, str(problem))


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)
