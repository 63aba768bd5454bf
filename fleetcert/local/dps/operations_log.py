"""DPS's resource log, category DeviceOperations: one record for each attestation attempt.

The members are those of Azure docs: monitor-iot-dps-reference; how they arrive in an event hub is not documented, so
the shape is one of our assumptions.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any, Literal
from uuid import uuid4

from fleetcert.local.assumptions import Assumptions
from fleetcert.local.instants import precise
from fleetcert.local.ports import EventSink, RoutedEvent
from shared.clock import Clock

type Protocol = Literal["Mqtt", "Http"]


class OperationsLog:
    """Writes to the event hub of the diagnostic setting."""

    def __init__(
        self,
        sink: EventSink,
        clock: Clock,
        assumptions: Assumptions,
        *,
        resource_id: str,
        event_hub: str = "dps-events",
    ) -> None:
        self._sink = sink
        self._clock = clock
        self._assumptions = assumptions
        self._resource_id = resource_id.upper()
        self._event_hub = event_hub

    def succeeded(self, registration_id: str, protocol: Protocol) -> None:
        """The device proved itself and was let in."""
        self._write(
            registration_id, protocol, {"resultType": "Success", "resultSignature": "", "resultDescription": ""}
        )

    def failed(self, registration_id: str, protocol: Protocol, status: HTTPStatus, description: str) -> None:
        """The device was refused; `resultSignature` is the HTTP status."""
        result = {"resultType": "Failure", "resultSignature": str(status.value), "resultDescription": description}
        self._write(registration_id, protocol, result)

    def _write(self, registration_id: str, protocol: Protocol, result: dict[str, str]) -> None:
        record = self._record(registration_id, protocol, result)
        body = {"records": [record]} if self._assumptions.dps_log_shape == "records" else record
        event = RoutedEvent(json.dumps(body).encode(), registration_id, content_type="application/json")
        self._sink.publish(self._event_hub, event)

    def _record(self, registration_id: str, protocol: Protocol, result: dict[str, str]) -> dict[str, Any]:
        properties = {"id": registration_id, "type": "Registration", "protocol": protocol}
        return {
            "time": precise(self._clock.now()),
            "resourceId": self._resource_id,
            "operationName": "AttestationAttempt",
            "operationVersion": "March2019",
            "category": "DeviceOperations",
            "level": "Information" if result["resultType"] == "Success" else "Error",
            **result,
            "durationMs": "0",
            "correlationId": str(uuid4()),
            "properties": json.dumps(properties),
            "location": "local",
        }
