"""The devices of an ADR namespace, through Azure Resource Manager, by identity.

Two generations of the service do the same under other names, so that each is a table of names and one class serves
both. Requests are those of azure-mgmt-deviceregistry 1.2.0b1 (2), and of azure-rest-api-specs (3: deviceregistry,
registryDevices.tsp, registryDeviceAuthenticationProfiles.tsp); why they are written by hand: docs/decisions/0009.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.rest import AsyncHttpResponse, HttpRequest

from shared.adapters.faults import RequestRejected, fault_of_status, faults, retry_after
from shared.adapters.rest import rest_client
from shared.errors import InfrastructureFault
from shared.services.ports import RegistryDevice, RevocationOutcome

SERVICE: Final = "Azure Device Registry"
SCOPE: Final = "https://management.azure.com/.default"
MOST_PAGES: Final = 20
"""Pages of the namespace's devices that are searched for one whose resource does not bear its id."""
LOOKS: Final = 4
"""At work that ADR does in its own time, before we go and come back."""
LONGEST_PAUSE_SECONDS: Final = 3.0
_RESOURCE_NAME: Final = re.compile(r"[0-9a-zA-Z][a-zA-Z0-9-]{2,63}")

type Document = Mapping[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Generation:
    """How a generation names things. disabled, enabled: what a device's `switch` says then."""

    api_version: str
    devices: str
    switch: str
    enabled: object
    disabled: object
    revokes: Literal["device", "profiles"]


GENERATIONS: Final[Mapping[str, Generation]] = {
    "2": Generation("2026-03-01-preview", "devices", "enabled", True, False, "device"),
    "3": Generation("2026-11-02-preview", "registryDevices", "enablementState", "Enabled", "Disabled", "profiles"),
}


class AdrNamespace:
    """One namespace. endpoint: `https://management.azure.com`; namespace_id: its resource id, `/subscriptions/...`."""

    def __init__(
        self, endpoint: str, namespace_id: str, generation: Generation, credential: AsyncTokenCredential
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._devices = f"{self._endpoint}{namespace_id.rstrip('/')}/{generation.devices}"
        self._generation = generation
        self._client = rest_client(endpoint, credential, SCOPE)

    async def find(self, device_id: str) -> RegistryDevice | None:
        """The device, or None where the namespace does not know it.

        Its resource bears the device id where ARM allows that as a name; how Azure names the others is not documented,
        so that they are looked for by `externalDeviceId`.
        """
        if _RESOURCE_NAME.fullmatch(device_id):
            document = await self._get(f"{self._devices}/{device_id}")
            if document is not None and _external_id(document) in (device_id, None):
                return self._device(document)
        async for document in self._all():
            if _external_id(document) == device_id:
                return self._device(document)
        return None

    async def set_enabled(self, device: RegistryDevice, *, enabled: bool) -> None:
        """Enables or disables the device, and returns when that is so. Raises: InfrastructureFault."""
        wanted = self._generation.enabled if enabled else self._generation.disabled
        document = {"properties": {self._generation.switch: wanted}}
        response = await self._send("PATCH", f"{self._devices}/{device.name}", document)
        if response.status_code not in (200, 201, 202):
            raise _fault(response)
        monitor = _monitor(response)
        outcome = await self.outcome(monitor) if monitor else RevocationOutcome(is_done=True)
        if not outcome.is_done or outcome.failure:
            raise InfrastructureFault(SERVICE, outcome.failure or f"{device.name} is being changed still")

    async def revoke(self, device: RegistryDevice) -> str:
        """Begins to revoke all of the device's certificates.

        Where ADR tells how that stands (one address or several, parted by spaces); "" where it is done.
        """
        url = f"{self._devices}/{device.name}"
        if self._generation.revokes == "device":
            return await self._begun(f"{url}/revoke", {"disable": False})
        profiles = await self._issuing_profiles(url)
        monitors = [await self._begun(f"{url}/authenticationProfiles/{p}/revokeCertificates") for p in profiles]
        return " ".join(monitor for monitor in monitors if monitor)

    async def outcome(self, monitor: str) -> RevocationOutcome:
        """How work stands that was begun; it is looked at a few times before the answer is "not yet"."""
        for url in monitor.split():
            outcome = await self._awaited(url)
            if not outcome.is_done or outcome.failure:
                return outcome
        return RevocationOutcome(is_done=True)

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _awaited(self, url: str) -> RevocationOutcome:
        for look in range(LOOKS):
            response = await self._send("GET", self._own(url))
            if response.status_code == 404:
                return RevocationOutcome(is_done=True, failure="ADR does not know the request any more")
            if response.status_code not in (200, 202, 204):
                raise _fault(response)
            if (outcome := _outcome(response)).is_done:
                return outcome
            if look + 1 < LOOKS:
                await asyncio.sleep(min(retry_after(response.headers).total_seconds(), LONGEST_PAUSE_SECONDS))
        return RevocationOutcome(is_done=False)

    async def _issuing_profiles(self, device_url: str) -> list[str]:
        """The device's profiles whose certificates ADR has issued."""
        document = await self._get(f"{device_url}/authenticationProfiles") or {}
        return [
            profile["name"]
            for profile in document.get("value", ())
            if str(profile["properties"].get("authenticationType", "")).startswith("CertificateAuthority")
        ]

    async def _begun(self, url: str, document: Document | None = None) -> str:
        response = await self._send("POST", url, document)
        if response.status_code not in (200, 202, 204):
            raise _fault(response)
        return _monitor(response)

    async def _all(self) -> AsyncIterator[Document]:
        url: str | None = self._devices
        for _ in range(MOST_PAGES):
            page = await self._get(url) if url else None
            if page is None:
                return
            for document in page.get("value", ()):
                yield document
            url = self._own(page["nextLink"]) if page.get("nextLink") else None
        if url:
            _log.warning("the namespace has more devices than %d pages: the search ends there", MOST_PAGES)

    async def _get(self, url: str) -> Document | None:
        response = await self._send("GET", url)
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise _fault(response)
        document: Document = response.json()
        return document

    async def _send(self, method: str, url: str, document: Document | None = None) -> AsyncHttpResponse:
        versioned = {} if "api-version=" in url else {"api-version": self._generation.api_version}
        with faults(SERVICE):
            return await self._client.send_request(HttpRequest(method, url, params=versioned, json=document))

    def _device(self, document: Document) -> RegistryDevice:
        switch = document["properties"].get(self._generation.switch, self._generation.enabled)
        return RegistryDevice(document["name"], switch != self._generation.disabled)

    def _own(self, url: str) -> str:
        """An address that a service gave us, if our token may travel to it."""
        if not url.startswith(f"{self._endpoint}/"):
            raise RequestRejected(SERVICE, 0, "an answer leads to another host")
        return url


def _external_id(document: Document) -> str | None:
    external = document["properties"].get("externalDeviceId")
    return str(external) if external is not None else None


def _monitor(response: AsyncHttpResponse) -> str:
    """Where the work of a 202 can be followed (Azure docs: ARM, asynchronous operations)."""
    if response.status_code != 202:
        return ""
    address = response.headers.get("Location") or response.headers.get("Azure-AsyncOperation")
    if not address:
        raise InfrastructureFault(SERVICE, "a request was accepted without an address to follow it by")
    return address


def _outcome(response: AsyncHttpResponse) -> RevocationOutcome:
    if response.status_code == 202:
        return RevocationOutcome(is_done=False)
    document = response.json() if response.content else {}
    result = str(document.get("result") or document.get("status") or "Succeeded")
    match result:
        case "Succeeded":
            return RevocationOutcome(is_done=True)
        case "Failed" | "Canceled":
            error = document.get("error") or {}
            return RevocationOutcome(is_done=True, failure=f"{error.get('code', result)}: {error.get('message', '')}")
        case _:
            return RevocationOutcome(is_done=False)


def _fault(response: AsyncHttpResponse) -> Exception:
    return fault_of_status(SERVICE, response.status_code, response.headers, response.text()[:500])
