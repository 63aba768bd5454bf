"""The server as a peer on the wire meets it: headers, SASL, tokens, sessions, links, credit and time-outs."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from support.amqp_peer import CONSUMER, KEY, FixedClock, Hub, Keys, Peer, sas, sas_until

from fleetcert.local.amqp import connection as connection_module
from fleetcert.local.amqp.frames import AMQP_HEADER, SASL_FRAME, SASL_HEADER, write_frame
from fleetcert.local.amqp.performatives import (
    Attach,
    Begin,
    Detach,
    Flow,
    Open,
    SaslInit,
    SaslOutcome,
)
from fleetcert.local.amqp.server import AmqpServer
from fleetcert.local.eventhubs.hubs import EventHubs


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock()


@pytest.fixture
def event_hubs(clock: FixedClock) -> EventHubs:
    return EventHubs({"hub": 1}, clock=clock)


@pytest.fixture
def hub() -> Hub:
    return Hub()


@pytest.fixture
def server(event_hubs: EventHubs, hub: Hub, clock: FixedClock) -> AmqpServer:
    return AmqpServer(event_hubs, hub, Keys(), clock)


@pytest.fixture
async def peer(server: AmqpServer) -> Peer:
    return Peer(server)


async def test_a_client_without_sasl_is_shown_the_sasl_header(peer: Peer) -> None:
    await peer.says(AMQP_HEADER)
    assert peer.socket.written == SASL_HEADER
    assert peer.socket.closed


async def test_an_unknown_mechanism_fails_authentication(peer: Peer) -> None:
    await peer.says(SASL_HEADER, write_frame(0, SaslInit(mechanism="CRAM-MD5"), kind=SASL_FRAME))
    peer.header()
    assert peer.answers()[-1] == SaslOutcome(outcome=1)
    assert peer.socket.closed


async def test_the_server_answers_open_and_begin_with_its_limits(peer: Peer) -> None:
    opened, begun = await peer.opens()
    assert isinstance(opened, Open)
    assert (opened.max_frame_size, opened.idle_time_out) == (65_536, 240_000)
    assert isinstance(begun, Begin)
    assert begun.remote_channel == 0


async def test_a_key_by_sasl_plain_opens_event_hubs(peer: Peer) -> None:
    await peer.opens("PLAIN", b"\0policy\0" + KEY.encode())
    attached, flow = await peer.attaches(0, to="amqps://localhost/hub")
    assert isinstance(attached, Attach)
    assert isinstance(flow, Flow)


async def test_a_wrong_key_by_sasl_plain_fails(peer: Peer) -> None:
    init = SaslInit(mechanism="PLAIN", initial_response=b"\0policy\0another key")
    await peer.says(SASL_HEADER, write_frame(0, init, kind=SASL_FRAME))
    peer.header()
    assert peer.answers()[-1] == SaslOutcome(outcome=1)


@pytest.mark.parametrize("mechanism", ["ANONYMOUS", "MSSBCBS", "EXTERNAL"])
@pytest.mark.parametrize("path", [{"to": "hub"}, {"source": CONSUMER}, {"to": "messages/devicebound"}])
async def test_a_link_without_a_token_is_refused(peer: Peer, mechanism: str, path: dict[str, str]) -> None:
    await peer.opens(mechanism)
    attached, detached = await peer.attaches(0, **path)
    assert isinstance(attached, Attach)
    assert (attached.source is None) is ("source" in path)
    assert isinstance(detached, Detach)
    assert detached.error is not None
    assert detached.error.condition == "amqp:unauthorized-access"


async def test_a_forged_token_is_answered_with_401(peer: Peer) -> None:
    await peer.opens()
    answer = await peer.puts_token("sb://localhost/hub", sas("sb://localhost/hub", b"another key"))
    assert answer.application_properties["status-code"] == 401
    assert "InvalidSignature" in answer.application_properties["status-description"]


@pytest.mark.parametrize(
    "signed", ["sb://localhost/other", "sb://localhost/hub/consumergroups/$default", "sb://elsewhere/"]
)
async def test_a_token_signed_for_another_resource_is_answered_with_401(peer: Peer, signed: str) -> None:
    await peer.opens()
    answer = await peer.puts_token("sb://localhost/hub", sas(signed, KEY.encode()))
    assert answer.application_properties["status-code"] == 401


async def test_a_token_of_another_kind_is_answered_with_401(peer: Peer) -> None:
    await peer.opens()
    answer = await peer.puts_token("sb://localhost/hub", "x", kind="saml")
    assert answer.application_properties["status-code"] == 401


@pytest.mark.parametrize(
    ("audience", "token"),
    [
        ("sb://[", "SharedAccessSignature sr=a&sig=b&se=1&skn=p"),
        ("sb://localhost/hub", "nothing of the kind"),
    ],
    ids=["an audience that is no URI", "no token"],
)
async def test_a_malformed_token_is_answered(peer: Peer, audience: str, token: str) -> None:
    await peer.opens()
    answer = await peer.puts_token(audience, token)
    assert answer.application_properties["status-code"] == 401


async def test_an_expiry_beyond_all_years_is_answered_with_401(peer: Peer) -> None:
    await peer.opens()
    answer = await peer.puts_token("sb://localhost/hub", sas_until("sb://localhost/hub", KEY.encode(), 10**15))
    assert answer.application_properties["status-code"] == 401


async def test_a_token_for_one_event_hub_opens_no_other(peer: Peer) -> None:
    await peer.opens()
    await peer.may_use_event_hubs()
    _, detached = await peer.attaches(0, to="hubs")
    assert isinstance(detached, Detach)
    assert detached.error is not None
    assert detached.error.condition == "amqp:unauthorized-access"


async def test_an_expired_token_refuses_new_links(peer: Peer, clock: FixedClock) -> None:
    await peer.opens()
    await peer.may_use_event_hubs()
    clock.instant += timedelta(hours=1)
    _, detached = await peer.attaches(0, to="hub")
    assert isinstance(detached, Detach)
    assert detached.error is not None
    assert "ExpiredToken" in (detached.error.description or "")


async def test_an_expired_token_ends_a_link_that_is_open(
    server: AmqpServer, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "TICK_SECONDS", 0.001)
    peer = Peer(server)
    await peer.opens()
    await peer.may_use_event_hubs()
    await peer.attaches(0, source=CONSUMER)
    clock.instant += timedelta(hours=2)
    await asyncio.sleep(0.01)
    (detached,) = peer.answers()
    assert isinstance(detached, Detach)
    assert detached.error is not None
    assert detached.error.condition == "amqp:unauthorized-access"


async def test_a_bearer_token_for_iot_hub_opens_no_event_hub(peer: Peer) -> None:
    await peer.opens()
    answer = await peer.puts_token("https://iothubs.azure.net/.default", f"Bearer {Keys.BEARER}", kind="bearer")
    assert answer.application_properties["status-code"] == 202
    attached, _ = await peer.attaches(0, to="messages/devicebound")
    assert isinstance(attached, Attach)
    _, detached = await peer.attaches(1, to="hub")
    assert isinstance(detached, Detach)
