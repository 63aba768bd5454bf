"""Connections to the Azure that a target names, for the time of one command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import ClientAuthenticationError

from fleetcert.onboarding.dps_certificates import DpsCertificates
from fleetcert.onboarding.ports import CertificateService, EnrollmentService
from fleetcert.onboarding.target import Target
from shared.adapters.credential import async_credential
from shared.adapters.dps import API_VERSION, ServiceApi
from shared.errors import FleetcertError, InfrastructureFault

DEFAULT_API_VERSION = API_VERSION
"""Of DPS's service API."""


class NotSignedIn(FleetcertError):
    """Azure does not know who asks."""


@asynccontextmanager
async def certificates_of(target: Target) -> AsyncIterator[CertificateService]:
    """DPS's CA certificates, by the caller's own identity. Raises: TargetUnknown, NotInstalled, NotSignedIn."""
    async with _identity(target) as credential, DpsCertificates(target, credential) as service:
        yield service


@asynccontextmanager
async def enrollments_of(target: Target, api_version: str = API_VERSION) -> AsyncIterator[EnrollmentService]:
    """DPS's enrollments, by the caller's own identity. Raises: NotSignedIn."""
    async with _identity(target) as credential:
        service = ServiceApi(target.dps_host, credential, api_version=api_version, trust=target.trust)
        try:
            yield service
        finally:
            await service.close()


@asynccontextmanager
async def _identity(target: Target) -> AsyncIterator[AsyncTokenCredential]:
    """Who asks: the local identity, or whatever azure-identity finds, `az login` among others."""
    async with async_credential(managed=target.is_local, client_id=None) as credential:
        try:
            yield credential
        except InfrastructureFault as fault:
            cause = fault.__cause__
            if isinstance(cause, ClientAuthenticationError) and cause.response is None:  # no request was even sent
                raise NotSignedIn("you are not signed in to Azure here: `az login`, and run this again") from fault
            raise
