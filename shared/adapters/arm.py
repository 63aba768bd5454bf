"""The CA certificates of an IoT hub or of DPS, as Azure Resource Manager lists them, by identity.

Azure docs: REST, IoT Hub and DPS resource providers, "Certificates - List". A list has no pages: each holds 25 at most.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Sequence
from typing import Any, Final

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.rest import HttpRequest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from shared.adapters.faults import fault_of_status, faults
from shared.adapters.rest import rest_client
from shared.domain.ca_watch import ListedCertificate

SERVICE: Final = "Azure Resource Manager"
SCOPE: Final = "https://management.azure.com/.default"
HUB_API_VERSION: Final = "2026-05-01-preview"
"""Knows `policyResourceId`, by which a policy's successive issuing CAs are told apart from the others."""
DPS_API_VERSION: Final = "2022-12-12"


_log = logging.getLogger(__name__)


class ArmCertificates:
    """`{resource}/certificates`. endpoint: `https://management.azure.com`; resource_id: `/subscriptions/...`."""

    def __init__(self, endpoint: str, resource_id: str, api_version: str, credential: AsyncTokenCredential) -> None:
        self._url = f"{endpoint.rstrip('/')}{resource_id.rstrip('/')}/certificates"
        self._api_version = api_version
        self._client = rest_client(endpoint, credential, SCOPE)

    async def listed(self) -> Sequence[ListedCertificate]:
        """All that are listed; what cannot be read is left out and logged."""
        request = HttpRequest("GET", self._url, params={"api-version": self._api_version})
        with faults(SERVICE):
            response = await self._client.send_request(request)
            await response.read()
        if response.status_code != 200:
            raise fault_of_status(SERVICE, response.status_code, response.headers, response.text()[:500])
        return [c for document in response.json().get("value", ()) if (c := _listed(document)) is not None]

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()


def _listed(document: Any) -> ListedCertificate | None:
    properties = document["properties"]
    try:
        certificate = _certificate(properties["certificate"])
    except (KeyError, ValueError, TypeError, binascii.Error) as problem:
        _log.warning("the CA certificate %s cannot be read: %s", document.get("name"), problem)
        return None
    return ListedCertificate(
        name=document["name"],
        pem=certificate.public_bytes(serialization.Encoding.PEM).decode(),
        policy=properties.get("policyResourceId") or None,
        is_verified=bool(properties.get("isVerified")),
    )


def _certificate(text: str) -> x509.Certificate:
    """From base64 of DER or of PEM: Azure gives back what was uploaded."""
    raw = base64.b64decode(text)
    if raw.lstrip().startswith(b"-----BEGIN"):
        return x509.load_pem_x509_certificate(raw)
    return x509.load_der_x509_certificate(raw)
