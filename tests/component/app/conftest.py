"""The real app in Microsoft's runtime, its services real too, and fakes behind the ports."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from aiohttp import web
from support.audit_log import FakeAuditLog
from support.exports import FakeExports
from support.fakes import (
    FakeAlerts,
    FakeClock,
    FakeDeadLetters,
    FakeHub,
    FakeProvisioning,
    FakeQueue,
    FakeRegistry,
    FakeSender,
    FakeTable,
)
from support.feedback import FakeFeedback
from support.inventories import FakeInventories
from support.reconciling import FakeEnrollmentGroups, FakeFleetQuery

from fleetcert.local.credentials import TENANT_ID, Tokens
from fleetcert.local.functions_host.engine import Engine, Function, Outcome
from fleetcert.local.functions_host.gate import Gate, GateSettings
from fleetcert.local.functions_host.http import HttpFront, HttpFunction
from fleetcert.local.functions_host.invoker import Invoker
from fleetcert.local.functions_host.keys import Keys
from fleetcert.local.functions_host.outputs import OutputBindings
from fleetcert.local.functions_host.wire import http_datum
from fleetcert.local.identity import API_AUDIENCE, IdentityEndpoint, ManagedIdentity
from shared import composition
from shared.composition import sdks
from shared.composition.ports import Adapters

PROJECT = Path(__file__).parents[3]
TENANT = "11111111-1111-1111-1111-111111111111"
ENVIRONMENT = {
    "IOT_EVENTS": "iot-events",
    "DPS_EVENTS": "dps-events",
    "RENEWAL_COMMANDS": "renewal-commands",
    "CONTAINMENT": "containment",
    "OPERATIONS": "operations",
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
    operations: FakeQueue = field(default_factory=FakeQueue)
    exports: FakeExports = field(default_factory=FakeExports)
    dead_letters: FakeDeadLetters = field(default_factory=FakeDeadLetters)
    audit: FakeAuditLog = field(default_factory=FakeAuditLog)
    inventories: FakeInventories = field(default_factory=FakeInventories)
    sender: FakeSender = field(default_factory=FakeSender)
    hub: FakeHub = field(default_factory=FakeHub)
    provisioning: FakeProvisioning = field(default_factory=FakeProvisioning)
    fleet_query: FakeFleetQuery = field(init=False)
    enrolled: FakeEnrollmentGroups = field(default_factory=FakeEnrollmentGroups)
    feedback: FakeFeedback = field(default_factory=FakeFeedback)
    registry: FakeRegistry | None = None

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

    def front(self, gate: Gate) -> web.Application:
        """The host's own HTTP front over the app, behind a gate."""
        http = [HttpFunction(f, f.trigger) for f in self.functions.values() if f.trigger["type"] == "httpTrigger"]
        invoker = Invoker(self._engine, OutputBindings({}, "base64"))
        return HttpFront(http, "api", invoker, gate, Keys()).application(_no_status, _run_nothing)

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
        params: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """An HTTP request; a body that is not bytes travels as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        json_headers = {} if isinstance(body, bytes) else {"content-type": "application/json"}
        request = http_datum(
            method=method,
            url=f"http://app.example/api/{name}?{urlencode(query or {})}",
            headers={**json_headers, **(headers or {})},
            query=query or {},
            params={**(params or {}), **({"deviceId": device_id} if device_id is not None else {})},
            body=raw,
        )
        outcome = await self.invoke(name, {"request": request})
        assert outcome.ok, outcome.error
        members = outcome.returned.value
        sent = {key.lower(): datum.value for key, datum in members["headers"].items()}
        return Answer(int(members["status_code"].value), sent, members["body"].value)


def _no_status() -> dict[str, Any]:
    return {}


async def _run_nothing(_: str) -> bool:
    return False


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
    monkeypatch.setattr(sdks, "build_adapters", lambda _: Adapters(**vars(ports)))
    monkeypatch.setattr(composition.app, "_adapters", None)
    yield loaded
    for cached in ("settings", "principals"):
        composition.app.__dict__.pop(cached, None)


@dataclass(frozen=True)
class Served:
    """The app over the fakes behind the local functions host's HTTP front and gate, and tokens for it."""

    url: str
    tokens: Tokens
    http: httpx.AsyncClient

    def token(self, *roles: str, **changes: Any) -> str:
        """A caller's token, with these roles; `changes` are of its claims."""
        claims = {"oid": "o-1", "appid": "a-1", "name": "ann", "roles": list(roles), **changes}
        return self.tokens.issue(API_AUDIENCE, claims, timedelta(hours=1))[0]

    async def ask(self, method: str, path: str, token: str | None = None, **request: Any) -> httpx.Response:
        """A request below `/api/`; a path is sent as it is written."""
        authorization = {"Authorization": f"Bearer {token}"} if token is not None else {}
        headers = {**authorization, **request.pop("headers", {})}
        url = httpx.URL(f"{self.url}/").copy_with(raw_path=f"/api/{path}".encode())
        return await self.http.request(method, url, headers=headers, **request)


@asynccontextmanager
async def listening(application: web.Application) -> AsyncIterator[str]:
    """An application on a free port of the loopback; its URL."""
    runner = web.AppRunner(application, max_line_size=2**16)  # what is too long for a line is the host's to refuse
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def served(fleet_app: App, environment: dict[str, str]) -> AsyncIterator[Served]:
    """The app as callers reach it."""
    environment["FLEETCERT_TENANT_ID"] = TENANT_ID
    tokens = Tokens()
    async with listening(IdentityEndpoint(tokens, ManagedIdentity()).application()) as identity:
        gate = Gate(GateSettings(jwks=f"{identity}/discovery/keys"))
        async with listening(fleet_app.front(gate)) as url, httpx.AsyncClient(timeout=30) as http:
            yield Served(url, tokens, http)


@pytest.fixture
def headers() -> Any:
    """Makes the header of a caller: `headers("Fleet.Read")`."""
    return principal_header
