"""Entity-group transactions on the wire (Azure docs: Performing entity group transactions).

The SDK makes each of them from e-mail messages and parses the answer as one: three quarters of the CPU that recording
took (bench/record_vs_naive). Here the same bytes are written and read as text; retries, identity and transport remain
those of azure-core.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import quote, urlsplit

from azure.core import AsyncPipelineClient
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncRetryPolicy,
    DistributedTracingPolicy,
    HttpLoggingPolicy,
    RequestIdPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.rest import AsyncHttpResponse, HttpRequest

from shared.errors import SettingsError
from shared.services.ports import Row, Value, Write

API_VERSION: Final = "2020-12-06"
"""The first whose tables take Entra tokens (Azure docs: Versioning for Azure Storage)."""
_SCOPE: Final = "https://storage.azure.com/.default"
_ACCEPTED: Final = 202
_INT32: Final = range(-(2**31), 2**31)
_JSON: Final = (
    "Content-Type: application/json\r\nAccept: application/json;odata=minimalmetadata\r\nDataServiceVersion: 3.0"
)
_STATUS: Final = re.compile(rb"HTTP/1\.[01] (\d{3})")
_ETAG: Final = re.compile(rb"\r\netag: *([^\r\n]+)", re.IGNORECASE)
_PLACE: Final = re.compile(r"(\d+):")


@dataclass(slots=True)
class TransactionRefused(Exception):
    """Nothing was written. place: of the operation that failed. code: the service's own, e.g. `EntityAlreadyExists`."""

    place: int
    status: int
    code: str
    detail: str


class Transactions:
    """Sends the transactions of one table."""

    def __init__(self, endpoint: str, table: str, credential: object) -> None:
        """endpoint: the account's. credential: its named key or a token credential. Raises: SettingsError."""
        self._endpoint = endpoint.rstrip("/")
        self._table = f"{self._endpoint}/{table}"
        self._client: AsyncPipelineClient[HttpRequest, AsyncHttpResponse] = AsyncPipelineClient(
            self._endpoint,
            policies=[
                UserAgentPolicy("fleetcert"),
                RequestIdPolicy(),
                AsyncRetryPolicy(),
                authentication(credential),
                DistributedTracingPolicy(),
                HttpLoggingPolicy(),
            ],
        )

    async def submit(self, partition: str, writes: Sequence[Write]) -> dict[str, str]:
        """All of the writes or none. The new ETags of what was written, by key.

        Raises: TransactionRefused; HttpResponseError where the request as a whole was refused, AzureError.
        """
        boundary = uuid.uuid4().hex
        request = HttpRequest(
            "POST",
            f"{self._endpoint}/$batch",
            headers={
                "Content-Type": f"multipart/mixed; boundary=batch_{boundary}",
                "Accept": "application/json",
                "DataServiceVersion": "3.0",
                "MaxDataServiceVersion": "3.0;NetFx",
                "x-ms-version": API_VERSION,
            },
            content=self._body(partition, writes, boundary),
        )
        response = await self._client.send_request(request)
        if response.status_code != _ACCEPTED:
            raise HttpResponseError(response=response)
        etags = list(_answers(response.content))
        return {w.row.key: etag for w, etag in zip(writes, etags, strict=True) if w.kind != "delete"}

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.close()

    def _body(self, partition: str, writes: Sequence[Write], boundary: str) -> bytes:
        lines = [f"--batch_{boundary}", f"Content-Type: multipart/mixed; boundary=changeset_{boundary}", ""]
        for place, write in enumerate(writes):
            lines += [
                f"--changeset_{boundary}",
                "Content-Type: application/http",
                "Content-Transfer-Encoding: binary",
                f"Content-ID: {place}",
                "",
                *self._operation(partition, write),
            ]
        lines += [f"--changeset_{boundary}--", f"--batch_{boundary}--", ""]
        return "\r\n".join(lines).encode("ascii")

    def _operation(self, partition: str, write: Write) -> list[str]:
        """One request of the transaction, without the line that ends it."""
        keys = f"PartitionKey='{_quoted(partition)}',RowKey='{_quoted(write.row.key)}'"
        match write.kind:
            case "insert":
                head = [f"POST {self._table} HTTP/1.1", _JSON, "Prefer: return-no-content"]
            case "upsert":
                head = [f"PUT {self._table}({keys}) HTTP/1.1", _JSON]
            case "replace":
                head = [f"PUT {self._table}({keys}) HTTP/1.1", _JSON, f"If-Match: {write.row.etag}"]
            case "delete":
                return [f"DELETE {self._table}({keys}) HTTP/1.1", _JSON, "If-Match: *", "", ""]
        return [*head, "", _entity(partition, write.row)]


def authentication(credential: object) -> AsyncBearerTokenCredentialPolicy[Any, Any] | SharedKeyLite:
    """The policy by which requests say who sends them. Raises: SettingsError."""
    if isinstance(credential, AzureNamedKeyCredential):
        return SharedKeyLite(credential)
    if isinstance(credential, AsyncTokenCredential):
        return AsyncBearerTokenCredentialPolicy(credential, _SCOPE)
    raise SettingsError("FleetStorage", "give a connection string with an account key, or use an identity")


class SharedKeyLite(SansIOHTTPPolicy[HttpRequest, AsyncHttpResponse]):
    """Signs by the account's key: for local storage, since in Azure there is an identity.

    Azure docs: Authorize with Shared Key (Table service, Shared Key Lite).
    """

    def __init__(self, credential: AzureNamedKeyCredential) -> None:
        self._credential = credential

    def on_request(self, request: PipelineRequest[HttpRequest]) -> None:
        account, key = self._credential.named_key
        date = format_datetime(datetime.now(UTC), usegmt=True)
        signed = f"{date}\n/{account}{urlsplit(request.http_request.url).path}"
        signature = base64.b64encode(hmac.digest(base64.b64decode(key), signed.encode(), hashlib.sha256)).decode()
        request.http_request.headers["x-ms-date"] = date
        request.http_request.headers["Authorization"] = f"SharedKeyLite {account}:{signature}"


def _quoted(key: str) -> str:
    return quote(key.replace("'", "''"), safe="")


def _entity(partition: str, row: Row) -> str:
    """The row as JSON with the types that JSON does not have (Azure docs: Payload format for Table service)."""
    members: dict[str, Any] = {"PartitionKey": partition, "RowKey": row.key}
    for name, value in row.values.items():
        members |= _typed(name, value)
    return json.dumps(members, separators=(",", ":"))


def _typed(name: str, value: Value) -> dict[str, Any]:
    if isinstance(value, datetime):
        return {name: f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}", f"{name}@odata.type": "Edm.DateTime"}
    if isinstance(value, int) and not isinstance(value, bool) and not _INT32[0] <= value <= _INT32[-1]:
        return {name: str(value), f"{name}@odata.type": "Edm.Int64"}
    return {name: value}


def _answers(content: bytes) -> Iterator[str]:
    """The ETag of each operation, empty where it has none. Raises: TransactionRefused."""
    starts = list(_STATUS.finditer(content))
    for number, start in enumerate(starts):
        part = content[start.end() : starts[number + 1].start() if number + 1 < len(starts) else len(content)]
        status = int(start[1])
        if not 200 <= status < 300:
            raise _refused(status, part)
        etag = _ETAG.search(part)
        yield etag[1].decode().strip() if etag else ""


def _refused(status: int, part: bytes) -> TransactionRefused:
    """The service tells the operation by a number before its message: `3:The update condition ...`."""
    found = re.search(rb"\{.*\}", part, re.DOTALL)
    error = json.loads(found[0]).get("odata.error", {}) if found else {}
    detail = str(error.get("message", {}).get("value", ""))
    place = _PLACE.match(detail)
    return TransactionRefused(int(place[1]) if place else 0, status, str(error.get("code", "")), detail)
