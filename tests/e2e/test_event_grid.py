"""The custom topic as azure-eventgrid's own publisher and a CloudEvents webhook meet it."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient
from azure.identity import ManagedIdentityCredential

SOURCE = "/tests/event-grid"


def an_event(**data: Any) -> CloudEvent:
    return CloudEvent(source=SOURCE, type="Fleetcert.Test", subject="devices/d1", id=str(uuid.uuid4()), data=data)


def publisher(azure: dict[str, Any], credential: Any) -> EventGridPublisherClient:
    return EventGridPublisherClient(azure["eventgrid_endpoint"], credential, retry_total=0)


def logged(azure: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {event["id"]: event for event in httpx.get(azure["eventgrid_log_url"]).json()}


def post(
    azure: dict[str, Any], events: Any, content_type: str = "application/cloudevents-batch+json"
) -> httpx.Response:
    headers = {"aeg-sas-key": azure["eventgrid_key"], "Content-Type": content_type}
    url = f"{azure['eventgrid_endpoint']}?api-version=2018-01-01"
    return httpx.post(url, content=json.dumps(events), headers=headers)


def test_what_a_managed_identity_publishes_is_in_the_log(azure: dict[str, Any]):
    event = an_event(thumbprint="ab")
    with publisher(azure, ManagedIdentityCredential()) as client:
        client.send([event, an_event()])
    entry = logged(azure)[event.id]
    assert (entry["type"], entry["subject"], entry["data"]) == ("Fleetcert.Test", "devices/d1", {"thumbprint": "ab"})
    assert (entry["source"], entry["specversion"]) == (SOURCE, "1.0")


def test_the_topics_key_publishes_too(azure: dict[str, Any]):
    event = an_event()
    with publisher(azure, AzureKeyCredential(azure["eventgrid_key"])) as client:
        client.send(event)
    assert event.id in logged(azure)


def test_a_wrong_key_is_refused(azure: dict[str, Any]):
    with publisher(azure, AzureKeyCredential("bm90IHRoZSBrZXk=")) as client, pytest.raises(ClientAuthenticationError):
        client.send(an_event())


def test_a_token_for_another_service_is_refused(azure: dict[str, Any]):
    token = ManagedIdentityCredential().get_token("https://iothubs.azure.net/.default").token
    url = f"{azure['eventgrid_endpoint']}?api-version=2018-01-01"
    answer = httpx.post(url, json=[], headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "Unauthorized")


def test_an_event_of_another_schema_is_refused(azure: dict[str, Any]):
    event = EventGridEvent(subject="s", event_type="t", data={}, data_version="1")
    with (
        publisher(azure, AzureKeyCredential(azure["eventgrid_key"])) as client,
        pytest.raises(HttpResponseError) as refusal,
    ):
        client.send(event)
    assert refusal.value.status_code == 400


GOOD = {"id": "1", "source": SOURCE, "specversion": "1.0", "type": "t"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"id": None}, "missing or empty: id"),
        ({"source": ""}, "missing or empty: source"),
        ({"type": 7}, "missing or empty: type"),
        ({"specversion": "0.3"}, "is not 1.0"),
        ({"subject": ""}, "subject"),
        ({"time": "yesterday"}, "not an RFC 3339 instant"),
        ({"time": "2026-11-23T10:00:00"}, "has no offset"),
        ({"deviceId": "d1"}, "lower-case"),
        ({"data": 1, "data_base64": "AA=="}, "exclude each other"),
    ],
)
def test_an_event_that_breaks_the_schema_is_refused_and_none_of_its_batch_is_taken(
    azure: dict[str, Any], change: dict[str, Any], says: str
):
    good = an_event()
    answer = post(azure, [{**GOOD, "id": good.id}, {**GOOD, **change}])
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"][0]["code"]) == (400, "BadRequest", "BadRequest")
    assert "event 1 " in error["message"]
    assert says in error["message"]
    assert good.id not in logged(azure)


def test_a_request_larger_than_a_megabyte_is_refused(azure: dict[str, Any]):
    answer = post(azure, [{**GOOD, "data": "x" * 1024 * 1024}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "RequestEntityTooLarge")


class Receiver:
    """A webhook that answers as it is told and notes what it got."""

    def __init__(self) -> None:
        self.allowed_origin = "eventgrid.azure.net"
        self.answers: list[int] = []
        self.received: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self.url = ""

    async def options(self, request: web.Request) -> web.Response:
        assert request.headers["WebHook-Request-Origin"] == "eventgrid.azure.net"
        return web.Response(headers={"WebHook-Allowed-Origin": self.allowed_origin})

    async def post(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/cloudevents+json"
        assert request.headers["aeg-event-type"] == "Notification"
        self.received.put_nowait((request.headers["aeg-delivery-count"], await request.json()))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    application = web.Application()
    application.router.add_route("OPTIONS", "/hook", receiver.options)
    application.router.add_post("/hook", receiver.post)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield receiver
    await runner.cleanup()


async def subscribe(azure: dict[str, Any], name: str, url: str, attempts: int = 30) -> httpx.Response:
    body = {
        "properties": {
            "destination": {"endpointType": "WebHook", "properties": {"endpointUrl": url}},
            "eventDeliverySchema": "CloudEventSchemaV1_0",
            "retryPolicy": {"maxDeliveryAttempts": attempts},
        }
    }
    token = await asyncio.to_thread(ManagedIdentityCredential().get_token, "https://management.azure.com/.default")
    base = azure["eventgrid_endpoint"].removesuffix("/api/events")
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token.token}"}) as client:
        return await client.put(f"{base}/eventSubscriptions/{name}", json=body)


async def publish(azure: dict[str, Any], event: CloudEvent) -> None:
    with publisher(azure, AzureKeyCredential(azure["eventgrid_key"])) as client:
        await asyncio.to_thread(client.send, event)


async def next_of(receiver: Receiver, event: CloudEvent) -> str:
    """The delivery count under which the event arrives next; other tests' events pass by."""
    async with asyncio.timeout(10):
        while True:
            count, received = await receiver.received.get()
            if received["id"] == event.id:
                return count


async def test_a_webhook_that_agrees_gets_the_events_and_again_until_it_takes_them(
    azure: dict[str, Any], receiver: Receiver
):
    assert (await subscribe(azure, "retried", receiver.url)).status_code == 201
    receiver.answers = [503]
    event = an_event()
    await publish(azure, event)
    assert [await next_of(receiver, event), await next_of(receiver, event)] == ["0", "1"]


async def test_a_webhook_that_does_not_allow_the_origin_is_not_subscribed(azure: dict[str, Any], receiver: Receiver):
    receiver.allowed_origin = "elsewhere.example"
    answer = await subscribe(azure, "refused", receiver.url)
    assert answer.status_code == 400
    assert "elsewhere.example" in answer.json()["error"]["message"]


@pytest.mark.parametrize(("answers", "reason"), [([400], "400"), ([500, 500], "MaxDeliveryAttemptsExceeded")])
async def test_an_event_that_is_never_taken_ends_among_the_dead(
    azure: dict[str, Any], receiver: Receiver, answers: list[int], reason: str
):
    name = f"dead-{reason.lower()}"
    await subscribe(azure, name, receiver.url, attempts=2)
    receiver.answers = list(answers)
    event = an_event()
    await publish(azure, event)
    for _ in answers:
        await next_of(receiver, event)
    dead = await _dead(azure, name, event.id)
    assert (dead["reason"], dead["attempts"]) == (reason, len(answers))


async def _dead(azure: dict[str, Any], subscription: str, event_id: str) -> dict[str, Any]:
    url = azure["eventgrid_log_url"].replace("/log", "/dead-letters")
    async with asyncio.timeout(5), httpx.AsyncClient() as client:
        while True:
            for dead in (await client.get(url)).json():
                if (dead["subscription"], dead["event"]["id"]) == (subscription, event_id):
                    return dead
            await asyncio.sleep(0.02)
