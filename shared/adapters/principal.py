"""The caller in `X-MS-CLIENT-PRINCIPAL`, which App Service Authentication puts before the app.

The header is believed only where the platform says that it authenticates (`WEBSITE_AUTH_ENABLED`): elsewhere anybody
could have written it. Azure docs: App Service, Work with user identities in authentication.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Final

import msgspec
from msgspec import Struct

from shared.schemas.access import Principal, Unauthenticated

HEADER: Final = "x-ms-client-principal"
_MAX_HEADER_CHARACTERS: Final = 64 * 1024
_ROLES: Final = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
_OBJECT_ID: Final = ("oid", "http://schemas.microsoft.com/identity/claims/objectidentifier")
_TENANT: Final = ("tid", "http://schemas.microsoft.com/identity/claims/tenantid")
_APP_ID: Final = ("azp", "appid")
_NAME: Final = ("name", "preferred_username", "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name")


class _Claim(Struct, frozen=True):
    typ: str
    val: str


class _Header(Struct, frozen=True, kw_only=True):
    auth_typ: str
    name_typ: str | None = None
    role_typ: str | None = None
    claims: tuple[_Claim, ...]

    def values(self, *types: str | None) -> Iterator[str]:
        """The values of the claims of these types, in the order of the types."""
        return (claim.val for kind in types for claim in self.claims if claim.typ == kind and claim.val)

    def first(self, *types: str | None) -> str:
        return next(self.values(*types), "")


class PlatformPrincipals:
    """Reads callers. tenant_id: callers of other tenants are refused; None admits whom the platform admits."""

    def __init__(self, *, platform_authenticates: bool, tenant_id: str | None) -> None:
        self._platform_authenticates = platform_authenticates
        self._tenant_id = tenant_id

    def principal(self, headers: Mapping[str, str]) -> Principal:
        """The caller of a request with these headers (names in any case). Raises: Unauthenticated."""
        if not self._platform_authenticates:
            raise Unauthenticated("the platform does not authenticate callers: no principal is believed")
        header = _decoded(next((value for name, value in headers.items() if name.lower() == HEADER), ""))
        if header.auth_typ != "aad":
            raise Unauthenticated("only principals of Microsoft Entra are accepted")
        if self._tenant_id and header.first(*_TENANT).lower() != self._tenant_id.lower():
            raise Unauthenticated("the principal is of another tenant")
        object_id = header.first(*_OBJECT_ID)
        if not object_id:
            raise Unauthenticated("the principal has no object id")
        return Principal(
            name=header.first(header.name_typ, *_NAME) or object_id,
            object_id=object_id,
            app_id=header.first(*_APP_ID),
            roles=frozenset(header.values(header.role_typ, *_ROLES)),
        )


def _decoded(text: str) -> _Header:
    if not text:
        raise Unauthenticated("there is no principal")
    if len(text) > _MAX_HEADER_CHARACTERS:
        raise Unauthenticated("the principal is too large")
    try:
        return msgspec.json.decode(base64.b64decode(text, validate=True), type=_Header)
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError) as problem:
        raise Unauthenticated("the principal cannot be read") from problem
