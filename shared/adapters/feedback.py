"""IoT Hub's feedback queue over REST: azure-iot-hub has no receiver that returns the body.

Azure docs: REST, IoT Hub service, cloud-to-device messages (receive, complete, abandon feedback notification). As for
messages to devices, the lock token is the answer's ETag.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline.policies import AsyncBearerTokenCredentialPolicy, UserAgentPolicy
from azure.core.rest import AsyncHttpResponse, HttpRequest

from shared.adapters.faults import fault_of_status, faults
from shared.adapters.request_spans import RequestSpans
from shared.errors import Conflict, InfrastructureFault
from shared.services.feedback import FeedbackBatch

SERVICE: Final = "IoT hub"
SCOPE: Final = "https://iothubs.azure.net/.default"
API_VERSION: Final = "2021-04-12"
"""That of azure-iot-hub 2.7."""
_PATH: Final = "/messages/serviceBound/feedback"

type _Client = AsyncPipelineClient[HttpRequest, AsyncHttpResponse]


class HubFeedback:
    """The queue of one hub. Nothing is retried in place: a second receive would borrow a second batch."""

    def __init__(self, hostname: str, credential: AsyncTokenCredential) -> None:
        policies = [UserAgentPolicy("fleetcert"), AsyncBearerTokenCredentialPolicy(credential, SCOPE), RequestSpans()]
        self._client: _Client = AsyncPipelineClient(f"https://{hostname}", policies=policies)

    async def receive(self) -> FeedbackBatch | None:
        """Borrows the oldest batch that nobody holds; None where there is none."""
        response = await self._send("GET")
        if response.status_code == 204:
            return None
        if response.status_code != 200:
            raise fault_of_status(SERVICE, response.status_code, response.headers, response.text()[:500])
        lock_token = response.headers.get("ETag", "").strip('"')
        if not lock_token:
            raise InfrastructureFault(SERVICE, "feedback came without a lock token")
        return FeedbackBatch(lock_token, response.content)

    async def complete(self, lock_token: str) -> None:
        """Removes the batch. Raises: Conflict where the loan has ended."""
        await self._settle("DELETE", quote(lock_token, safe=""))

    async def abandon(self, lock_token: str) -> None:
        """Gives the batch back. Raises: Conflict where the loan has ended."""
        await self._settle("POST", quote(lock_token, safe=""), "abandon")

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    async def _settle(self, method: str, *path: str) -> None:
        response = await self._send(method, *path)
        if response.status_code == 412:
            raise Conflict("the loan of a feedback batch has ended")
        if response.status_code != 204:
            raise fault_of_status(SERVICE, response.status_code, response.headers, response.text()[:500])

    async def _send(self, method: str, *path: str) -> AsyncHttpResponse:
        url = self._client.format_url("/".join((_PATH, *path)))
        with faults(SERVICE):
            return await self._client.send_request(HttpRequest(method, url, params={"api-version": API_VERSION}))
