"""The identity registry and the twins of an IoT Hub, over the REST pipeline of azure-iot-hub.

The SDK's models know only the fields of their day: an identity that is read into them and put back has lost the rest.
So the requests run through the SDK's own pipeline (its login, its session), and the documents stay raw.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any, Final, Literal, cast
from urllib.parse import quote

from azure.core.credentials import TokenCredential
from azure.core.exceptions import AzureError
from azure.iot.hub import IoTHubRegistryManager
from msrest.exceptions import ClientException
from msrest.universal_http import ClientRequest

from shared.adapters.faults import fault_of_status
from shared.adapters.request_spans import note_answer, requesting
from shared.errors import Conflict, InfrastructureFault, NotFound
from shared.services.ports import Identity

SERVICE: Final = "IoT hub"
_TIMEOUT_SECONDS: Final = 30

type _Document = dict[str, Any]


class IotHub:
    """One hub. The SDK blocks, so that every request runs on a thread of its own."""

    def __init__(self, hostname: str, credential: TokenCredential) -> None:
        self._hostname = hostname
        self._credential = credential
        self._building = threading.Lock()
        self._manager: IoTHubRegistryManager | None = None

    async def get_identity(self, device_id: str) -> Identity | None:
        """The identity, or None where the hub does not know the device."""
        document = await asyncio.to_thread(self._read, f"devices/{quote(device_id, safe='')}")
        return _identity(document) if document is not None else None

    async def set_status(self, identity: Identity, status: Literal["enabled", "disabled"], reason: str) -> Identity:
        """Changes status and statusReason, puts all the rest back as read, under If-Match.

        Raises: Conflict, NotFound.
        """
        document = {**identity.document, "status": status, "statusReason": reason}
        return _identity(await asyncio.to_thread(self._write_identity, identity, document))

    async def purge_commands(self, device_id: str) -> int:
        """Removes all messages that wait for the device (Azure docs: REST, Purge Command Queue); how many they were."""
        return await asyncio.to_thread(self._purge, f"devices/{quote(device_id, safe='')}/commands")

    async def get_twin(self, device_id: str) -> Mapping[str, Any] | None:
        """The whole twin as IoT Hub's REST API gives it, or None."""
        return await asyncio.to_thread(self._read, f"twins/{quote(device_id, safe='')}")

    async def close(self) -> None:
        """Closes the connections."""
        if self._manager is not None:
            await asyncio.to_thread(self._manager.protocol.close)

    def _read(self, path: str) -> _Document | None:
        response = self._send("GET", path, {})
        if response.status_code == 404:
            return None
        return _document_of(response)

    def _purge(self, path: str) -> int:
        response = self._send("DELETE", path, {})
        return 0 if response.status_code == 404 else int(_document_of(response).get("totalMessagesPurged") or 0)

    def _write_identity(self, identity: Identity, document: _Document) -> _Document:
        path = f"devices/{quote(identity.device_id, safe='')}"
        response = self._send("PUT", path, {"If-Match": f'"{identity.etag}"'}, document)
        match response.status_code:
            case 404:
                raise NotFound("device", identity.device_id)
            case 412:
                raise Conflict(f"identity {identity.device_id} has changed")
        return _document_of(response)

    def _send(self, method: str, path: str, headers: Mapping[str, str], document: _Document | None = None) -> Any:
        """One request; the answer is a `requests.Response` whatever its status."""
        try:
            protocol = self._connected().protocol
            url = f"{protocol.config.base_url}/{path}?api-version={protocol.api_version}"
            request = ClientRequest(method, url, {"Accept": "application/json", **headers})
            if document is not None:
                request.headers["Content-Type"] = "application/json; charset=utf-8"
                request.add_content(document)
            with requesting(method, url) as span:
                response = protocol.config.pipeline.run(request, stream=False).http_response.internal_response
                note_answer(span, response.status_code)
                return response
        except (ClientException, AzureError) as problem:
            raise InfrastructureFault(SERVICE, str(problem)) from problem

    def _connected(self) -> IoTHubRegistryManager:
        with self._building:
            if self._manager is None:
                self._manager = _manager(self._hostname, self._credential)
            return self._manager


def _manager(hostname: str, credential: TokenCredential) -> IoTHubRegistryManager:
    manager = IoTHubRegistryManager.from_token_credential(hostname, credential)
    config = manager.protocol.config
    config.keep_alive = True
    config.connection.timeout = _TIMEOUT_SECONDS
    # Retried in place, a throttle would hold a thread, and its Retry-After would be lost to the caller.
    config.retry_policy.policy.status_forcelist = ()
    return manager


def _document_of(response: Any) -> _Document:
    if response.status_code != 200:
        raise fault_of_status(SERVICE, response.status_code, response.headers, response.text[:500])
    return cast(_Document, response.json())


def _identity(document: _Document) -> Identity:
    return Identity(
        device_id=document["deviceId"],
        status=document["status"],
        status_reason=document.get("statusReason") or "",
        connected=document.get("connectionState") == "Connected",
        etag=document["etag"],
        document=document,
    )
