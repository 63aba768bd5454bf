"""The Device Provisioning Service's own REST API, by identity: enrollments, enrollment groups, registrations.

Documents stay raw, so that putting back what was read loses nothing (Azure docs: REST, DPS service).
"""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import Sequence
from typing import Any, Final, Literal, cast
from urllib.parse import quote

from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy, AsyncRetryPolicy, UserAgentPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from shared.adapters.faults import fault_of_status, faults
from shared.adapters.request_spans import RequestSpans
from shared.errors import Conflict
from shared.services.ports import Block

SERVICE: Final = "device provisioning service"
SCOPE: Final = "https://azure-devices-provisioning.net/.default"
API_VERSION: Final = "2025-07-01-preview"
"""The first that knows `credentialPolicyName`: an older one would drop it from an enrollment that is put back."""
PAGE: Final = 1000
"""Asked for in queries; the service may give fewer on a page."""
_KEY_BYTES: Final = 64

type Document = dict[str, Any]
type Attestation = Literal["x509", "symmetricKey"]
type _Client = AsyncPipelineClient[HttpRequest, AsyncHttpResponse]

_log = logging.getLogger(__name__)


class ServiceApi:
    """Raw documents in and out.

    hostname: `{name}.azure-devices-provisioning.net`, with a port where it is not 443. trust: a PEM file of the CAs
    that the service's own certificate is checked by; the system's where it is not given.
    """

    def __init__(
        self,
        hostname: str,
        credential: AsyncTokenCredential,
        *,
        api_version: str = API_VERSION,
        trust: str | None = None,
    ) -> None:
        self.api_version = api_version
        self._client: _Client = AsyncPipelineClient(
            f"https://{hostname}",
            policies=[
                UserAgentPolicy("fleetcert"),
                AsyncRetryPolicy(
                    retry_total=2, retry_on_status_codes=[500, 502, 504], respect_retry_after_header=False
                ),
                AsyncBearerTokenCredentialPolicy(credential, SCOPE),
                RequestSpans(),
            ],
            connection_verify=trust or True,
        )

    async def get(self, *path: str) -> Document | None:
        """The document, or None where there is none."""
        response = await self._send("GET", path)
        return None if response.status_code == 404 else _document_of(response)

    async def put(self, *path: str, document: Document, etag: str | None = None) -> Document:
        """Creates or replaces; with `etag` only what is still at that version. Raises: Conflict."""
        headers = {"If-Match": f'"{etag.strip('"')}"'} if etag else {}
        response = await self._send("PUT", path, document, headers)
        if response.status_code == 412:
            raise Conflict(f"{'/'.join(path)} has changed")
        return _document_of(response)

    async def post(self, *path: str, document: Document | None = None) -> Any:
        """Runs an action or a query."""
        return _document_of(await self._send("POST", path, document))

    async def query(self, *path: str, query: Document) -> list[Document]:
        """Every document that a query finds."""
        documents: list[Document] = []
        continuation: str | None = None
        while True:
            found, continuation = await self.page(path, query, continuation)
            documents += found
            if continuation is None:
                return documents

    async def page(
        self, path: tuple[str, ...], query: Document, continuation: str | None
    ) -> tuple[Sequence[Document], str | None]:
        """A page of a query, and where the next begins; None where this was the last."""
        headers = {"x-ms-max-item-count": str(PAGE)} | ({"x-ms-continuation": continuation} if continuation else {})
        response = await self._send("POST", path, query, headers)
        found = cast(Sequence[Document], _document_of(response))
        return found, response.headers.get("x-ms-continuation") or None

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _send(
        self,
        method: str,
        path: tuple[str, ...],
        document: Document | None = None,
        headers: dict[str, str] | None = None,
    ) -> AsyncHttpResponse:
        url = self._client.format_url("/" + "/".join(quote(segment, safe="") for segment in path))
        request = HttpRequest(method, url, params={"api-version": self.api_version}, json=document, headers=headers)
        with faults(SERVICE):
            response = await self._client.send_request(request)
            await response.read()
        return response


class Enrollments:
    """Who may register, as containment needs it."""

    def __init__(self, api: ServiceApi) -> None:
        self._api = api

    async def group_attestation(self, enrollment_group: str) -> Attestation | None:
        """How devices of the group prove themselves, or None where there is no such group."""
        group = await self._api.get("enrollmentGroups", enrollment_group)
        return _attestation_of(group) if group is not None else None

    async def enrollment_group_of(self, registration_id: str) -> str | None:
        """The enrollment group that the registration came through, or None where that cannot be known.

        The documented registration state does not name its group. Where it does not, the service's only group is the
        answer; with several groups there is none.
        """
        registration = await self._api.get("registrations", registration_id)
        if registration is None:
            return None
        named = registration.get("enrollmentGroupId")
        return str(named) if named else await self._only_group()

    async def block(self, registration_id: str, onboarding_pem: str | None) -> Block:
        """Disables the registration id by an individual enrollment, which wins over the group.

        An existing enrollment is disabled in place under its ETag. A new one attests by `onboarding_pem` where given
        and readable, else by a symmetric key that nobody holds. Raises: Conflict.
        """
        existing = await self._api.get("enrollments", registration_id)
        if existing is not None:
            return await self._disable(existing)
        attestation = _attestation_by(onboarding_pem)
        document = {
            "registrationId": registration_id,
            "attestation": attestation,
            "provisioningStatus": "disabled",
        }
        await self._api.put("enrollments", registration_id, document=document)
        return Block(registration_id, attestation["type"])

    async def has_enrollment(self, registration_id: str) -> bool:
        """Whether an individual enrollment stands for the registration id, whatever its status."""
        return await self._api.get("enrollments", registration_id) is not None

    async def is_blocked(self, registration_id: str) -> bool:
        """Whether a disabled individual enrollment stands for the registration id."""
        enrollment = await self._api.get("enrollments", registration_id)
        return enrollment is not None and enrollment.get("provisioningStatus") == "disabled"

    async def close(self) -> None:
        """Closes the connections."""
        await self._api.close()

    async def _disable(self, enrollment: Document) -> Block:
        registration_id: str = enrollment["registrationId"]
        block = Block(registration_id, _attestation_of(enrollment))
        if enrollment.get("provisioningStatus") == "disabled":
            return block
        disabled = {**enrollment, "provisioningStatus": "disabled"}
        if block.attestation == "symmetricKey":  # a plain read hides the keys, and putting it back would change them
            disabled["attestation"] = await self._api.post("enrollments", registration_id, "attestationmechanism")
        await self._api.put("enrollments", registration_id, document=disabled, etag=enrollment["etag"])
        return block

    async def _only_group(self) -> str | None:
        groups = await self._api.post("enrollmentGroups", "query", document={"query": "SELECT * FROM enrollmentGroups"})
        return str(groups[0]["enrollmentGroupId"]) if len(groups) == 1 else None


def _document_of(response: AsyncHttpResponse) -> Document:
    if response.status_code not in (200, 201):
        raise fault_of_status(SERVICE, response.status_code, response.headers, response.text()[:500])
    return cast(Document, response.json())


def _attestation_of(document: Document) -> Attestation:
    return "x509" if document["attestation"]["type"] == "x509" else "symmetricKey"


def _attestation_by(onboarding_pem: str | None) -> Document:
    certificate = _first_certificate(onboarding_pem) if onboarding_pem else None
    if certificate is not None:
        return {"type": "x509", "x509": {"clientCertificates": {"primary": {"certificate": certificate}}}}
    return {"type": "symmetricKey", "symmetricKey": {"primaryKey": _random_key(), "secondaryKey": _random_key()}}


def _first_certificate(pem: str) -> str | None:
    """The leaf alone; None where the text is no certificate, which must not keep a device from being blocked."""
    try:
        leaf = x509.load_pem_x509_certificates(pem.encode())[0]
    except ValueError:
        _log.warning("The onboarding certificate is not readable: blocking by the registration id alone")
        return None
    return leaf.public_bytes(serialization.Encoding.PEM).decode()


def _random_key() -> str:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
