"""The device's side of DPS over MQTT, on a real wire, against a peer that does what each test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from support.mqtt_peer import Peer, serving_mqtt
from support.tls_server import Pki, create_pki

from fleetcert.device.credential import Onboarding, OnboardingCredential, SymmetricKeyCredential
from fleetcert.device.dps_mqtt import MqttDps
from fleetcert.device.errors import RegistrationRefused
from fleetcert.device.registration import DpsAnswer
from shared.errors import InfrastructureFault


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return create_pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def serve(pki: Pki) -> Iterator[Callable[..., tuple[Peer, MqttDps]]]:
    with ExitStack() as stack:

        def start(onboarding: Onboarding | None = None, **options: Any) -> tuple[Peer, MqttDps]:
            peer = stack.enter_context(serving_mqtt(pki, Peer(**options)))
            certificate = OnboardingCredential(
                pki.folder / "client.crt", pki.folder / "client.key", pki.client_chain[0]
            )
            return peer, MqttDps("localhost", "0ne1", onboarding or certificate, pki.folder / "ca.crt", peer.port)

        yield start


def answering(status: int, suffix: str, body: bytes) -> Callable[[Peer, str, bytes], None]:
    def answer(peer: Peer, topic: str, _payload: bytes) -> None:
        request_id = topic.partition("$rid=")[2].partition("&")[0]
        peer.say("$dps/registrations/res/whatever", b"")  # nobody's answer
        peer.say(f"$dps/registrations/res/{status}/?$rid={request_id}{suffix}", body)

    return answer


def test_a_registration_with_a_csr_and_its_polls_go_over_one_connection(serve: Any, pki: Pki) -> None:
    peer, dps = serve(on_publish=answering(202, "&retry-after=3", b'{"operationId":"5"}'))
    with dps.connect("dev-1") as exchange:
        assert exchange.register(b"request") == DpsAnswer(202, b'{"operationId":"5"}', timedelta(seconds=3))
        peer.on_publish = answering(200, "", b"{}")
        assert exchange.poll("5.a") == DpsAnswer(200, b"{}", None)
    (connect,) = peer.connects
    assert connect.client_id == "dev-1"
    assert connect.user_name.startswith("0ne1/registrations/dev-1/api-version=2025-07-01-preview&ClientVersion=")
    assert list(connect.peer_chain) == pki.client_chain
    (register, body), (poll, _) = peer.published
    assert register == "$dps/registrations/PUT/iotdps-register/?$rid=1"
    assert poll == "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=5.a"
    assert json.loads(body) == {"registrationId": "dev-1", "csr": "cmVxdWVzdA=="}
    assert peer.closed.wait(5)


def test_a_symmetric_key_goes_along_as_the_password(serve: Any) -> None:
    peer, dps = serve(onboarding=SymmetricKeyCredential(bytes(32)), on_publish=answering(202, "", b"{}"))
    with dps.connect("dev-1") as exchange:
        exchange.register(b"request")
    assert peer.connects[0].password.startswith(b"SharedAccessSignature sr=0ne1%2Fregistrations%2Fdev-1&sig=")
    assert peer.connects[0].peer_chain == ()


@pytest.mark.parametrize(
    ("code", "error"), [(5, RegistrationRefused), (4, RegistrationRefused), (3, InfrastructureFault)]
)
def test_a_refused_connection_is_told_apart_from_a_fault(serve: Any, code: int, error: type[Exception]) -> None:
    _, dps = serve(refuses_with=code)
    with pytest.raises(error), dps.connect("dev-1"):
        pass


def test_a_connection_that_ends_before_the_answer_is_a_fault(serve: Any) -> None:
    _, dps = serve(on_publish=lambda peer, _topic, _payload: peer.connection.close())
    with dps.connect("dev-1") as exchange, pytest.raises(InfrastructureFault, match="DPS: the connection is gone"):
        exchange.register(b"request")
