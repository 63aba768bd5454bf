"""All devices of an IoT Hub, as its query lists them in pages (Azure docs: REST, Query - Get Twins)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from shared.adapters.faults import fault_of_status
from shared.adapters.iothub import SERVICE, IotHub
from shared.services.reconciling import ContinuationExpired

ALL_TWINS: Final = {"query": "SELECT * FROM devices"}
PAGE: Final = 1000
"""Asked for; the service may give fewer on a page."""


class HubQuery(IotHub):
    """One hub, whose devices can be listed."""

    async def count(self) -> int:
        """How many devices the registry has (Azure docs: REST, Service - Get Device Registry Statistics)."""
        statistics = await asyncio.to_thread(self._read, "statistics/devices")
        return int(statistics["totalDeviceCount"]) if statistics else 0

    async def page(self, continuation: str | None) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        """A page of twins, and where the list goes on. Raises: ContinuationExpired."""
        return await asyncio.to_thread(self._query, continuation)

    def _query(self, continuation: str | None) -> tuple[Sequence[Mapping[str, Any]], str | None]:
        headers = {"x-ms-max-item-count": str(PAGE)} | ({"x-ms-continuation": continuation} if continuation else {})
        response = self._send("POST", "devices/query", headers, ALL_TWINS)
        if response.status_code == 400 and continuation:
            raise ContinuationExpired(f"IoT Hub does not know the continuation: {response.text[:200]}")
        if response.status_code != 200:
            raise fault_of_status(SERVICE, response.status_code, response.headers, response.text[:500])
        return response.json(), response.headers.get("x-ms-continuation") or None
