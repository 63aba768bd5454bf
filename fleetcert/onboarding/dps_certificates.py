"""DPS's CA certificates through Azure Resource Manager, by Microsoft's own management client.

The client is no part of the deployed app and so no dependency of it: it is in the group `onboard` of pyproject.toml.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypedDict

from azure.core import MatchConditions
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from cryptography import x509

from fleetcert.certificates import pem_chain
from fleetcert.onboarding.ports import Challenge, UploadedCertificate
from fleetcert.onboarding.target import Target
from shared.adapters.faults import faults
from shared.errors import Conflict, FleetcertError, NotFound

if TYPE_CHECKING:
    from azure.mgmt.iothubprovisioningservices.aio import IotDpsClient
    from azure.mgmt.iothubprovisioningservices.models import CertificateResponse

SERVICE: Final = "Azure Resource Manager"
SCOPE: Final = "https://management.azure.com/.default"
PACKAGE: Final = "azure-mgmt-iothubprovisioningservices"
CHANGED: Final = frozenset({409, 412})


class NotInstalled(FleetcertError):
    """A package is missing that only this command needs."""


class _Where(TypedDict):
    certificate_name: str
    resource_group_name: str
    provisioning_service_name: str


class DpsCertificates:
    """Implements `CertificateService`. A context manager, which closes the connections. Raises: NotInstalled."""

    def __init__(self, target: Target, credential: AsyncTokenCredential) -> None:
        subscription, self._resource_group = target.resource()
        self._dps = target.dps
        self._client = _client()(
            credential,
            subscription,
            base_url=target.arm_endpoint,
            credential_scopes=[SCOPE],
            connection_verify=target.trust or True,
        )

    async def __aenter__(self) -> Self:
        """The service itself."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connections."""
        await self._client.close()

    async def get(self, name: str) -> UploadedCertificate | None:
        """One of them, or None where there is none of this name."""
        with faults(SERVICE):
            try:
                return _uploaded(await self._client.dps_certificate.get(**self._where(name)))
            except ResourceNotFoundError as missing:
                if _is_certificate_missing(missing):
                    return None
                raise

    async def list(self) -> Sequence[UploadedCertificate]:
        """All of them."""
        with faults(SERVICE):
            listed = await self._client.dps_certificate.list(self._resource_group, self._dps)
        return [_uploaded(one) for one in listed.value or ()]

    async def upload(self, name: str, certificate: x509.Certificate, etag: str | None) -> UploadedCertificate:
        """Creates it, or replaces the version with this ETag. Raises: Conflict."""
        from azure.mgmt.iothubprovisioningservices.models import CertificateProperties, CertificateResponse

        document = CertificateResponse(properties=CertificateProperties(certificate=pem_chain([certificate])))
        condition = _unchanged(etag) if etag else {}
        with _versions(name):
            return _uploaded(
                await self._client.dps_certificate.create_or_update(
                    **self._where(name), certificate_description=document, **condition
                )
            )

    async def generate_code(self, name: str, etag: str) -> Challenge:
        """A new verification code. Raises: Conflict, NotFound."""
        with _versions(name):
            answer = await self._client.dps_certificate.generate_verification_code(
                **self._where(name), **_unchanged(etag)
            )
        code = answer.properties.verification_code if answer.properties else None
        if not code or not answer.etag:
            raise NotFound("verification code of", name)
        return Challenge(code, answer.etag)

    async def verify(self, name: str, proof: x509.Certificate, etag: str) -> UploadedCertificate:
        """Proves possession. Raises: Conflict, RequestRejected where the proof proves nothing."""
        from azure.mgmt.iothubprovisioningservices.models import VerificationCodeRequest

        document = VerificationCodeRequest(certificate=pem_chain([proof]).decode())
        with _versions(name):
            return _uploaded(
                await self._client.dps_certificate.verify_certificate(
                    **self._where(name), request=document, **_unchanged(etag)
                )
            )

    def _where(self, name: str) -> _Where:
        return {
            "certificate_name": name,
            "resource_group_name": self._resource_group,
            "provisioning_service_name": self._dps,
        }


@contextmanager
def _versions(name: str) -> Iterator[None]:
    """Raises: Conflict where somebody else changed it first."""
    with faults(SERVICE):
        try:
            yield
        except HttpResponseError as problem:
            if problem.status_code in CHANGED:
                raise Conflict(
                    f"the CA certificate {name} was changed meanwhile: look, and run this again"
                ) from problem
            raise


def _unchanged(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def _uploaded(response: CertificateResponse) -> UploadedCertificate:
    properties = response.properties
    assert properties is not None
    return UploadedCertificate(
        name=response.name or "",
        thumbprint=(properties.thumbprint or "").upper(),
        is_verified=bool(properties.is_verified),
        not_after=properties.expiry,
        etag=response.etag or "",
    )


def _is_certificate_missing(missing: ResourceNotFoundError) -> bool:
    """Rather than the whole group or subscription, which must not look like an empty service."""
    return (missing.error.code if missing.error else None) not in ("ResourceGroupNotFound", "SubscriptionNotFound")


def _client() -> type[IotDpsClient]:
    try:
        from azure.mgmt.iothubprovisioningservices.aio import IotDpsClient
    except ModuleNotFoundError as problem:
        raise NotInstalled(f"this needs the package {PACKAGE}: `make setup` installs it, or pip") from problem
    return IotDpsClient
