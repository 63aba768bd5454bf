"""A receiver's webhook gets an alert of each type, after it has failed once, and every one is what its schema says."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from aiohttp import web
from azure.identity.aio import ManagedIdentityCredential
from support.alert_schemas import validate

from shared.adapters.alerts import EventGridAlerts
from shared.domain.alerts import Alert
from shared.schemas.alert_examples import data_of, event_of
from shared.schemas.alerts import MODELS

SOURCE = f"/tests/alert-receiver/{uuid.uuid4()}"


class Receiver:
    """A webhook that takes nothing the first time that it is offered, and drops what it has seen."""

    def __init__(self) -> None:
        self.url = ""
        self.offered: Counter[str] = Counter()
        self.taken: dict[str, dict[str, Any]] = {}
        self.all_taken = asyncio.Event()

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("OPTIONS", "/alerts", self._agree)
        application.router.add_post("/alerts", self._take)
        return application

    async def _agree(self, request: web.Request) -> web.Response:
        return web.Response(headers={"WebHook-Allowed-Origin": request.headers["WebHook-Request-Origin"]})

    async def _take(self, request: web.Request) -> web.Response:
        event = await request.json()
        if event["source"] != SOURCE:  # another test's
            return web.Response()
        self.offered[event["id"]] += 1
        if self.offered[event["id"]] == 1:
            return web.Response(status=503)
        self.taken[event["id"]] = event
        if {e["type"] for e in self.taken.values()} == MODELS.keys():
            self.all_taken.set()
        return web.Response()


@pytest.fixture
async def receiver(azure: dict[str, Any]) -> AsyncIterator[Receiver]:
    """A receiver that Event Grid knows."""
    receiver = Receiver()
    runner = web.AppRunner(receiver.application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/alerts"
    async with ManagedIdentityCredential() as credential:
        token = await credential.get_token("https://management.azure.com/.default")
    subscription = {
        "properties": {
            "destination": {"endpointType": "WebHook", "properties": {"endpointUrl": receiver.url}},
            "eventDeliverySchema": "CloudEventSchemaV1_0",
        }
    }
    base = azure["eventgrid_endpoint"].removesuffix("/api/events")
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token.token}"}) as http:
        answer = await http.put(f"{base}/eventSubscriptions/alert-receiver", json=subscription)
    assert answer.status_code == 201, answer.text
    yield receiver
    await runner.cleanup()


async def test_a_receiver_gets_each_type_of_alert_again_until_it_takes_it(azure: dict[str, Any], receiver: Receiver):
    now = datetime.now(UTC)
    alerts = [Alert(str(uuid.uuid4()), kind, event_of(kind)["subject"], now, data_of(kind)) for kind in MODELS]
    async with ManagedIdentityCredential() as credential:
        told = EventGridAlerts(azure["eventgrid_endpoint"], SOURCE, credential)
        await told.publish(alerts)
        await told.publish(alerts)  # as after a crash: the same ids
        await told.close()
    async with asyncio.timeout(30):
        await receiver.all_taken.wait()
    assert receiver.taken.keys() == {alert.id for alert in alerts}  # no id is taken for two
    assert min(receiver.offered.values()) >= 2  # each was refused once
    for event in receiver.taken.values():
        assert event["dataschema"] == f"urn:fleetcert:schema:{event['type']}:1"
        validate(event["dataschema"], event["data"])
