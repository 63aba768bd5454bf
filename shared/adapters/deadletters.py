"""Dead letters as blobs: one JSON document an event, at `{hub}/{partition}/{sequence}`.

The document holds the original bytes as base64, because blob metadata is too small for an event's properties.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContentSettings

from shared.adapters.containers import InOwnContainer
from shared.adapters.faults import error_code, faults
from shared.contracts import format_instant
from shared.domain.envelope import Envelope

SERVICE: Final = "blob storage"


class BlobDeadLetters(InOwnContainer):
    """One container, which is made where it is missing, before its first use."""

    async def keep(self, envelope: Envelope, reason: str) -> None:
        """Stores the event with the reason; where it is stored already, the first reason stays."""
        await self._ensure()
        with faults(SERVICE):
            try:
                await self._container.upload_blob(
                    envelope.event_id,
                    _document(envelope, reason),
                    overwrite=False,
                    content_settings=ContentSettings(content_type="application/json"),
                )
            except HttpResponseError as problem:
                if error_code(problem) != "BlobAlreadyExists":
                    raise


def _document(envelope: Envelope, reason: str) -> bytes:
    document = {
        "hub": envelope.hub,
        "partition": envelope.partition,
        "sequenceNumber": envelope.sequence_number,
        "enqueuedAt": format_instant(envelope.enqueued_at),
        "reason": reason,
        "properties": envelope.properties,
        "system": envelope.system,
        "body": base64.b64encode(envelope.body).decode(),
    }
    return json.dumps(document, indent=2, default=_readable).encode()


def _readable(value: Any) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
