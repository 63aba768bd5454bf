"""The Device Provisioning Service's own REST API, by identity: enrollments, enrollment groups, registrations.

Documents stay raw, so that putting back what was read loses nothing (Azure docs: REST, DPS service).
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Sequence
from typing import Any, Final, Literal, cast
from urllib.parse import quote

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.rest import AsyncHttpResponse, HttpRequest

from shared.adapters.faults import RequestRejected, fault_of_status, faults
from shared.adapters.rest import rest_client
from shared.domain.record import Before
from shared.errors import Conflict, EnrollmentRefused, InfrastructureFault
from shared.services.ports import Credential, Enrollment

SERVICE: Final = "device provisioning service"
SCOPE: Final = "https://azure-devices-provisioning.net/.default"
API_VERSION: Final = "2025-07-01-preview"
"""The first that knows `credentialPolicyName`: an older one would drop it from an enrollment that is put back."""
ALL_GROUPS: Final = {"query": "SELECT * FROM enrollmentGroups"}
PAGE: Final = 1000
"""Asked for in queries; the service may give fewer on a page."""
MOST_PAGES: Final = 100
"""Of one query. A service has at most 100 enrollment groups (Azure docs: DPS limits), so that more is a loop."""
_KEY_BYTES: Final = 64
_KEYS: Final = ("primaryKey", "secondaryKey")
_MARK: Final = "fleetcert"
"""The member of an enrollment's `optionalDeviceInformation` by which we know a block of ours."""

type Document = dict[str, Any]
type Attestation = Literal["x509", "symmetricKey"]


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
        self._client = rest_client(f"https://{hostname}", credential, SCOPE, trust=trust)

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

    async def delete(self, *path: str, etag: str) -> None:
        """Removes what is still at that version; content where there is none. Raises: Conflict."""
        response = await self._send("DELETE", path, headers={"If-Match": f'"{etag.strip('"')}"'})
        if response.status_code == 412:
            raise Conflict(f"{'/'.join(path)} has changed")
        if response.status_code not in (200, 204, 404):
            raise fault_of_status(SERVICE, response.status_code, response.headers, response.text()[:500])

    async def post(self, *path: str, document: Document | None = None) -> Any:
        """Runs an action or a query."""
        return _document_of(await self._send("POST", path, document))

    async def query(self, *path: str, query: Document) -> list[Document]:
        """Every document that a query finds. Raises: InfrastructureFault where its pages do not end."""
        documents: list[Document] = []
        continuation: str | None = None
        for _ in range(MOST_PAGES):
            found, continuation = await self.page(path, query, continuation)
            documents += found
            if continuation is None:
                return documents
        raise InfrastructureFault(SERVICE, f"{'/'.join(path)} has more than {MOST_PAGES} pages")

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
            return await self._client.send_request(request)


class Enrollments:
    """Who may register, as containment needs it."""

    def __init__(self, api: ServiceApi) -> None:
        self._api = api

    async def group_attestation(self, enrollment_group: str) -> Attestation | None:
        """How devices of the group prove themselves, or None where there is no such group."""
        group = await self._api.get("enrollmentGroups", enrollment_group)
        if group is None:
            return None
        return "x509" if group["attestation"]["type"] == "x509" else "symmetricKey"

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

    async def enrollment(self, registration_id: str) -> Enrollment | None:
        """The individual enrollment of the registration id, or None."""
        document = await self._api.get("enrollments", registration_id)
        return _enrollment(document) if document is not None else None

    async def create_block(self, registration_id: str, credential: Credential, mark: str) -> Enrollment:
        """A disabled individual enrollment, which wins over the group.

        Made in bulk mode `create`, the one that replaces nothing. Raises: Conflict where one stands there,
        EnrollmentRefused.
        """
        document = await self._block(registration_id, credential, mark)
        answer = await self._api.post("enrollments", document={"mode": "create", "enrollments": [document]})
        made = await self.enrollment(registration_id)
        if answer.get("isSuccessful") and made is not None:
            return made
        if made is not None:
            raise Conflict(f"an enrollment of {registration_id} was made meanwhile")
        raise EnrollmentRefused(f"enrollment {registration_id}: {_first_error(answer)}")

    async def rewrite_block(self, block: Enrollment, credential: Credential, mark: str) -> Enrollment:
        """A block of ours, made anew in its place. Raises: Conflict, EnrollmentRefused."""
        document = await self._block(block.registration_id, credential, mark)
        try:
            put = await self._api.put("enrollments", block.registration_id, document=document, etag=block.etag)
        except RequestRejected as rejected:
            raise EnrollmentRefused(f"enrollment {block.registration_id}: {rejected}") from rejected
        return _enrollment(put)

    async def set_enrollment_status(self, enrollment: Enrollment, status: Before) -> Enrollment:
        """The same enrollment, enabled or disabled. Raises: Conflict.

        A plain read hides the keys, and putting it back would change them: so the mechanism is read by itself.
        """
        document = {**enrollment.document, "provisioningStatus": status.value}
        if enrollment.attestation != "x509":
            document["attestation"] = await self._api.post(
                "enrollments", enrollment.registration_id, "attestationmechanism"
            )
        put = await self._api.put("enrollments", enrollment.registration_id, document=document, etag=enrollment.etag)
        return _enrollment(put)

    async def remove(self, enrollment: Enrollment) -> None:
        """Deletes it. Raises: Conflict where it has changed; content where there is none."""
        await self._api.delete("enrollments", enrollment.registration_id, etag=enrollment.etag)

    async def is_blocked(self, registration_id: str) -> bool:
        """Whether a disabled individual enrollment stands for the registration id."""
        enrollment = await self.enrollment(registration_id)
        return enrollment is not None and enrollment.status is Before.DISABLED

    async def close(self) -> None:
        """Closes the connections."""
        await self._api.close()

    async def _block(self, registration_id: str, credential: Credential, mark: str) -> Document:
        return {
            "registrationId": registration_id,
            "attestation": await self._attestation(registration_id, credential),
            "provisioningStatus": "disabled",
            "optionalDeviceInformation": {_MARK: mark},
        }

    async def _attestation(self, registration_id: str, credential: Credential) -> Document:
        match credential.kind:
            case "x509":
                places = zip(("primary", "secondary"), credential.leaves, strict=False)
                certificates = {place: {"certificate": leaf} for place, leaf in places}
                return {"type": "x509", "x509": {"clientCertificates": certificates}}
            case "symmetricKey":
                group = await self._api.post("enrollmentGroups", credential.group, "attestationmechanism")
                keys = {name: _derived(key, registration_id) for name, key in group["symmetricKey"].items()}
                return {"type": "symmetricKey", "symmetricKey": keys}
            case _:
                return {"type": "symmetricKey", "symmetricKey": {name: _random_key() for name in _KEYS}}

    async def _only_group(self) -> str | None:
        groups = await self._api.query("enrollmentGroups", "query", query=ALL_GROUPS)
        return str(groups[0]["enrollmentGroupId"]) if len(groups) == 1 else None


def _document_of(response: AsyncHttpResponse) -> Document:
    if response.status_code not in (200, 201):
        raise fault_of_status(SERVICE, response.status_code, response.headers, response.text()[:500])
    return cast(Document, response.json())


def _enrollment(document: Document) -> Enrollment:
    about = document.get("optionalDeviceInformation") or {}
    return Enrollment(
        registration_id=document["registrationId"],
        status=Before.DISABLED if document.get("provisioningStatus") == "disabled" else Before.ENABLED,
        attestation=document["attestation"]["type"],
        etag=document["etag"],
        mark=str(about.get(_MARK) or ""),
        document=document,
    )


def _first_error(answer: Document) -> str:
    errors = answer.get("errors") or [{}]
    return f"{errors[0].get('errorCode')} {errors[0].get('errorStatus')}"


def _derived(group_key: str, registration_id: str) -> str:
    """A device's key of its group's (Azure docs: concepts-symmetric-key-attestation, group enrollments)."""
    signature = hmac.digest(base64.b64decode(group_key), registration_id.encode(), "sha256")
    return base64.b64encode(signature).decode()


def _random_key() -> str:
    return base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()
