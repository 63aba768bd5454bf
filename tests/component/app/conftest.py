"""The real app in Microsoft's runtime, its services real too, and fakes behind the ports."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from support.audit_log import FakeAuditLog
from support.fakes import (
    FakeAlerts,
    FakeClock,
    FakeDeadLetters,
    FakeHub,
    FakeProvisioning,
    FakeQueue,
    FakeSender,
    FakeTable,
)
from support.feedback import FakeFeedback
from support.inventories import FakeInventories
from support.reconciling import FakeEnrollmentGroups, FakeFleetQuery

from fleetcert.local.functions_host.engine import Engine, Function, Outcome
from fleetcert.local.functions_host.wire import http_datum
from shared import composition
from shared.composition import Adapters

PROJECT = Path(__file__).parents[3]
TENANT = "11111111-1111-1111-1111-111111111111"
ENVIRONMENT = {
    "IOT_EVENTS": "iot-events",
    "DPS_EVENTS": "dps-events",
    "RENEWAL_COMMANDS": "renewal-commands",
    "CONTAINMENT": "containment",
    "IOTHUB_HOSTNAME": "hub-1.azure-devices.net",
    "IOTHUB_RESOURCE_ID": "/subscriptions/s/providers/Microsoft.Devices/IotHubs/hub-1",
    "DPS_SERVICE_HOSTNAME": "dps-1.azure-devices-provisioning.net",
    "EVENTGRID_TOPIC_ENDPOINT": "https://topic.example/api/events",
    "FleetStorage": "UseDevelopmentStorage=true",
    "SHARDS": "32",
    "WEBSITE_AUTH_ENABLED": "True",
    "FLEETCERT_TENANT_ID": TENANT,
}


@dataclass
class Ports:
    """The world behind the app."""

    table: FakeTable = field(default_factory=FakeTable)
    alerts: FakeAlerts = field(default_factory=FakeAlerts)
    renewal_commands: FakeQueue = field(default_factory=FakeQueue)
    containment: FakeQueue = field(default_factory=FakeQueue)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    audit: FakeAuditLog = field(default_factory=FakeAuditLog)
    inventories: FakeInventories = field(default_factory=FakeInventories)
    sender: FakeSender = field(default_factory=FakeSender)
    hub: FakeHub = field(default_factory=FakeHub)
    provisioning: FakeProvisioning = field(default_factory=FakeProvisioning)
    fleet_query: FakeFleetQuery = field(init=False)
    enrolled: FakeEnrollmentGroups = field(default_factory=FakeEnrollmentGroups)
    feedback: FakeFeedback = field(default_factory=FakeFeedback)

    def __post_init__(self) -> None:
        self.fleet_query = FakeFleetQuery(self.hub, FakeClock())


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def problem(self) -> str:
        """The last part of the problem's type; asserts that it is a problem document."""
        assert self.headers["content-type"] == "application/problem+json"
        document = self.json
        assert document["status"] == self.status
        assert document["title"]
        assert document["detail"]
        return str(document["type"]).removeprefix("urn:fleetcert:problem:")


class App:
    """The app as its host sees it."""

    def __init__(self, engine: Engine, functions: list[Function]) -> None:
        self._engine = engine
        self.functions = {function.name: function for function in functions}

    async def invoke(
        self,
        name: str,
        inputs: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        *,
        retries: int = 0,
        caller: str | None = None,
    ) -> Outcome:
        function = self.functions[name]
        with self._engine.invocation(function) as invocation_id:
            return await self._engine.invoke(function, invocation_id, inputs, metadata or {}, retries, caller)

    async def call(
        self,
        name: str,
        method: str = "GET",
        *,
        body: object = b"",
        device_id: str | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """An HTTP request; a body that is not bytes travels as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        json_headers = {} if isinstance(body, bytes) else {"content-type": "application/json"}
        request = http_datum(
            method=method,
            url=f"http://app.example/api/{name}",
            headers={**json_headers, **(headers or {})},
            query=query or {},
            params={"deviceId": device_id} if device_id is not None else {},
            body=raw,
        )
        outcome = await self.invoke(name, {"request": request})
        assert outcome.ok, outcome.error
        members = outcome.returned.value
        sent = {key.lower(): datum.value for key, datum in members["headers"].items()}
        return Answer(int(members["status_code"].value), sent, members["body"].value)


def principal_header(*roles: str, **changes: Any) -> dict[str, str]:
    """What the platform injects for a caller with these roles."""
    claims = {"oid": "o-1", "appid": "a-1", "tid": TENANT, "name": "ann", **changes.pop("claims", {})}
    document = {
        "auth_typ": "aad",
        "name_typ": "name",
        "role_typ": "roles",
        "claims": [
            *({"typ": kind, "val": value} for kind, value in claims.items() if value is not None),
            *({"typ": "roles", "val": role} for role in roles),
        ],
        **changes,
    }
    return {"x-ms-client-principal": base64.b64encode(json.dumps(document).encode()).decode()}


@pytest.fixture(scope="session")
def loaded() -> Iterator[App]:
    """The app, indexed once: the runtime loads one app a process."""
    engine = Engine(PROJECT)
    functions = asyncio.run(engine.start())
    yield App(engine, functions)
    engine.stop()


@pytest.fixture
def ports() -> Ports:
    return Ports()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The app's environment; a test may change it before the app's first use."""
    environment = dict(ENVIRONMENT)
    monkeypatch.setattr(composition.app, "_environment", environment)
    monkeypatch.setattr(composition.app, "_services", None)
    monkeypatch.setattr(composition.app, "_composing", asyncio.Lock())
    for cached in ("settings", "principals"):
        composition.app.__dict__.pop(cached, None)
    return environment


@pytest.fixture
def fleet_app(loaded: App, ports: Ports, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """The app over the fakes."""
    monkeypatch.setattr(composition, "build_adapters", lambda _: Adapters(**vars(ports)))
    monkeypatch.setattr(composition.app, "_adapters", None)
    yield loaded
    for cached in ("settings", "principals"):
        composition.app.__dict__.pop(cached, None)


@pytest.fixture
def headers() -> Any:
    """Makes the header of a caller: `headers("Fleet.Read")`."""
    return principal_header
