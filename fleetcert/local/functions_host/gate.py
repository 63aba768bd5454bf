"""App Service Authentication, played locally: tokens are verified here, and only this gate writes the principal.

Azure docs: "Work with user identities in Azure App Service authentication" (headers, client principal, session cookie).
A caller without a token passes without a principal; the app decides, as with "allow unauthenticated requests".
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import jwt
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from fleetcert.local.functions_host.sign_in import sign_in_page

DEFAULT_AUDIENCE: Final = "api://fleetcert"
_ALGORITHMS: Final = ["RS256", "ES256"]  # Entra signs with RS256, the local issuer with ES256
_COOKIE: Final = "AppServiceAuthSession"
_PRINCIPAL_HEADERS: Final = ("x-ms-client-principal", "x-ms-token-")
_LONG_NAMES: Final[Mapping[str, str]] = {  # the claims that App Service renames for the aad provider
    "oid": "http://schemas.microsoft.com/identity/claims/objectidentifier",
    "tid": "http://schemas.microsoft.com/identity/claims/tenantid",
}
_NAME_TYPE: Final = "name"
_ROLE_TYPE: Final = "roles"
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10)

type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
type Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GateSettings:
    """Where tokens come from. jwks: URL of the signing keys. login: URL that gives a token for `?role=`, or None."""

    jwks: str
    audience: str = DEFAULT_AUDIENCE
    login: str | None = None

    @classmethod
    def read(cls, settings: Mapping[str, str]) -> GateSettings | None:
        """From FLEETCERT_GATE_JWKS, FLEETCERT_GATE_AUDIENCE, FLEETCERT_GATE_LOGIN; None: no gate, no principals."""
        jwks = settings.get("FLEETCERT_GATE_JWKS")
        if not jwks:
            return None
        audience = settings.get("FLEETCERT_GATE_AUDIENCE") or DEFAULT_AUDIENCE
        return cls(jwks, audience, settings.get("FLEETCERT_GATE_LOGIN") or None)


class TokenVerifier:
    """Checks bearer tokens against the issuer's published keys."""

    def __init__(self, settings: GateSettings) -> None:
        self._keys = jwt.PyJWKClient(settings.jwks)
        self._audience = settings.audience

    async def claims(self, token: str) -> Claims:
        """The claims of a valid token. Raises: jwt.PyJWTError that says why it is not."""
        key = await asyncio.to_thread(self._keys.get_signing_key_from_jwt, token)
        claims: Claims = jwt.decode(
            token, key, algorithms=_ALGORITHMS, audience=self._audience, options={"require": ["exp", "aud"]}
        )
        return claims


class Gate:
    """Strips forged principals from every request and adds the one that a valid token proves."""

    def __init__(self, settings: GateSettings | None) -> None:
        self._settings = settings
        self._verifier = TokenVerifier(settings) if settings else None

    def add_routes(self, router: web.UrlDispatcher) -> None:
        """Adds the `/.auth` endpoints."""
        router.add_get("/.auth/me", self._me)
        router.add_get("/.auth/login/aad", self._choose)
        router.add_get("/.auth/login/local", self._login)
        router.add_get("/.auth/logout", self._logout)

    async def pass_on(self, request: web.Request) -> CIMultiDict[str]:
        """The headers as the app may see them. Raises: web.HTTPUnauthorized for a token that is not valid."""
        headers = CIMultiDict(
            (name, value) for name, value in request.headers.items() if not name.lower().startswith(_PRINCIPAL_HEADERS)
        )
        claims = await self._identify(request)
        if claims is not None:
            headers.extend(principal_headers(claims))
        return headers

    async def _identify(self, request: web.Request) -> Claims | None:
        if self._verifier is None:
            return None
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            token = request.cookies.get(_COOKIE, "")
        if not token and scheme.lower() != "bearer":
            return None
        try:
            return await self._verifier.claims(token.strip())
        except jwt.PyJWKClientConnectionError as error:
            raise web.HTTPServiceUnavailable(text=f"the token issuer's keys cannot be read: {error}") from error
        except jwt.PyJWTError as error:
            raise _unauthorized(str(error)) from error

    async def _me(self, request: web.Request) -> web.Response:
        claims = await self._identify(request)
        if claims is None:
            raise _unauthorized("not signed in")
        user = {"provider_name": "aad", "user_id": claims.get("name", ""), "user_claims": _claim_list(claims)}
        return web.json_response([user])

    async def _choose(self, request: web.Request) -> web.Response:
        """Where Azure shows Entra's sign-in, a page asks who one would like to be."""
        self._require_login()
        return web.Response(text=sign_in_page(_local_target(request)), content_type="text/html")

    async def _login(self, request: web.Request) -> web.Response:
        url = self._require_login().update_query(role=",".join(request.query.getall("role", ["all"])))
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, session.get(url) as answer:
            if answer.status != web.HTTPOk.status_code:
                raise web.HTTPBadRequest(text=f"the identity endpoint refuses this role: {await answer.text()}")
            token = (await answer.json())["access_token"]
        response = web.Response(status=302, headers={"Location": _local_target(request)})
        response.set_cookie(_COOKIE, token, httponly=True, samesite="Lax")
        return response

    def _require_login(self) -> URL:
        if self._settings is None or self._settings.login is None:
            raise web.HTTPNotFound(text="FLEETCERT_GATE_LOGIN is not set: there is no local login")
        return URL(self._settings.login)

    async def _logout(self, request: web.Request) -> web.Response:
        response = web.Response(status=302, headers={"Location": _local_target(request)})
        response.del_cookie(_COOKIE)
        return response


def principal_headers(claims: Claims) -> dict[str, str]:
    """The headers that App Service adds for a signed-in caller."""
    principal = {"auth_typ": "aad", "name_typ": _NAME_TYPE, "role_typ": _ROLE_TYPE, "claims": _claim_list(claims)}
    return {
        "X-MS-CLIENT-PRINCIPAL": base64.b64encode(json.dumps(principal).encode()).decode("ascii"),
        "X-MS-CLIENT-PRINCIPAL-ID": str(claims.get("oid", "")),
        "X-MS-CLIENT-PRINCIPAL-NAME": str(claims.get("name", "")),
        "X-MS-CLIENT-PRINCIPAL-IDP": "aad",
    }


def _claim_list(claims: Claims) -> list[dict[str, str]]:
    return [
        {"typ": _LONG_NAMES.get(name, name), "val": str(value)}
        for name, given in claims.items()
        for value in (given if isinstance(given, list) else [given])
    ]


def _local_target(request: web.Request) -> str:
    """Where to go after login or logout: a path of this site, never another site's address."""
    target = request.query.get("post_login_redirect_uri") or request.query.get("post_logout_redirect_uri") or "/"
    return target if target.startswith("/") and not target.startswith(("//", "/\\")) else "/"


def _unauthorized(reason: str) -> web.HTTPUnauthorized:
    printable = "".join(character for character in reason if character.isprintable() and character != '"')
    challenge = f'Bearer error="invalid_token", error_description="{printable}"'
    return web.HTTPUnauthorized(headers={"WWW-Authenticate": challenge})
