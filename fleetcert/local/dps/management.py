"""The ARM operations on DPS's CA certificates, as `azure-mgmt-iothubprovisioningservices` calls them."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler
from cryptography import x509
from msgspec import Struct

from fleetcert.certificates import common_name_of, der, sha1_thumbprint
from fleetcert.local.arm_protocol import ArmError, Provider, Scope, bad_request, read_document
from fleetcert.local.chains import read_certificate
from fleetcert.local.dps.authorities import CertificateAuthorities, UploadedAuthority
from fleetcert.local.dps.errors import Refusal

PROVIDER: Final = "Microsoft.Devices/provisioningServices"
API_VERSIONS: Final = ("2022-12-12", "2026-03-01-preview", "2026-08-31", "2026-11-01")
CODES: Final = {
    HTTPStatus.NOT_FOUND: "ResourceNotFound",
    HTTPStatus.CONFLICT: "Conflict",
    HTTPStatus.PRECONDITION_FAILED: "PreconditionFailed",
}


class UploadProperties(Struct, rename="camel", kw_only=True):
    """A CA certificate on its way in: base64 of DER or of PEM, or PEM."""

    certificate: str
    is_verified: bool = False


class UploadDocument(Struct, kw_only=True):
    """`CertificateResponse` as a caller writes it."""

    properties: UploadProperties


class ProofDocument(Struct, kw_only=True):
    """`VerificationCodeRequest`: the verification certificate."""

    certificate: str


class CertificateManagement:
    """Upload, verification code, verification."""

    def __init__(self, name: str, authorities: CertificateAuthorities, scope: Scope) -> None:
        self._name = name
        self._authorities = authorities
        self._scope = scope

    def provider(self) -> Provider:
        """The routes below the provisioning service."""
        return Provider(f"{PROVIDER}/{self._name}", API_VERSIONS, self._routes())

    def _routes(self) -> Iterable[tuple[str, str, Handler]]:
        certificate = "/certificates/{name}"
        routes: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "/certificates", self._list),
            ("GET", certificate, self._get),
            ("PUT", certificate, self._put),
            ("DELETE", certificate, self._delete),
            ("POST", f"{certificate}/generateVerificationCode", self._generate_verification_code),
            ("POST", f"{certificate}/verify", self._verify),
        )
        return [(method, path, _in_arm_terms(handler)) for method, path, handler in routes]

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"value": [self._to_wire(one) for one in self._authorities.all()]})

    async def _get(self, request: web.Request) -> web.Response:
        return self._respond(self._authorities.get(request.match_info["name"]))

    async def _put(self, request: web.Request) -> web.Response:
        properties = (await read_document(request, UploadDocument)).properties
        return self._respond(
            self._authorities.put(
                request.match_info["name"],
                _certificate(properties.certificate),
                is_verified=properties.is_verified,
                if_match=request.headers.get("If-Match"),
            )
        )

    async def _delete(self, request: web.Request) -> web.Response:
        self._authorities.delete(request.match_info["name"], request.headers.get("If-Match"))
        return web.Response(status=HTTPStatus.NO_CONTENT)

    async def _generate_verification_code(self, request: web.Request) -> web.Response:
        if_match = request.headers.get("If-Match")
        return self._respond(self._authorities.generate_verification_code(request.match_info["name"], if_match))

    async def _verify(self, request: web.Request) -> web.Response:
        proof = _certificate((await read_document(request, ProofDocument)).certificate)
        if_match = request.headers.get("If-Match")
        return self._respond(self._authorities.verify(request.match_info["name"], proof, if_match))

    def _respond(self, authority: UploadedAuthority) -> web.Response:
        return web.json_response(self._to_wire(authority), headers={"ETag": authority.etag})

    def _to_wire(self, authority: UploadedAuthority) -> dict[str, Any]:
        certificate = authority.certificate
        properties: dict[str, Any] = {
            "subject": common_name_of(certificate.subject),
            "expiry": format_datetime(certificate.not_valid_after_utc, usegmt=True),
            "thumbprint": sha1_thumbprint(certificate).upper(),
            "isVerified": authority.is_verified,
            "created": format_datetime(authority.created, usegmt=True),
            "updated": format_datetime(authority.updated, usegmt=True),
            "certificate": base64.b64encode(der(certificate)).decode(),
        }
        if authority.verification_code is not None:
            properties["verificationCode"] = authority.verification_code
        return {
            "id": self._scope.resource_id(f"{PROVIDER}/{self._name}/certificates/{authority.name}"),
            "name": authority.name,
            "type": f"{PROVIDER}/certificates",
            "etag": authority.etag.strip('"'),
            "properties": properties,
        }


def _certificate(text: str) -> x509.Certificate:
    try:
        return read_certificate(text)
    except ValueError as problem:
        raise bad_request(f"The certificate cannot be read: {problem}") from problem


def _in_arm_terms(handler: Handler) -> Handler:
    async def translated(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Refusal as refusal:
            code = CODES.get(refusal.status, "BadRequest")
            raise ArmError(refusal.status, code, refusal.message) from refusal

    return translated
