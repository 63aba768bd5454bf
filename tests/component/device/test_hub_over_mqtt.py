"""The device's side of IoT Hub's MQTT protocol, on a real wire, against a peer that does what each test says."""

from __future__ import annotations

import base64
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.mqtt_peer import Peer, serving_mqtt
from support.tls_server import Pki, create_pki

from fleetcert.certificates import der
from fleetcert.device.errors import ConnectionRefused, IssuanceRefused, ReportRefused
from fleetcert.device.hub import MqttHub, MqttSession
from fleetcert.device.messages import Message
from fleetcert.device.ports import IssuanceRequest, Operational
from shared.errors import InfrastructureFault, Throttled

SHORT = timedelta(seconds=0.5)
REQUEST = IssuanceRequest("request-1", b"csr")
DEVICE_BOUND = "devices/dev-1/messages/devicebound/"


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return create_pki(tmp_path_factory.mktemp("pki"))


class Device:
    """A session's other end: what came, and whether it was lost."""

    def __init__(self, pki: Pki, peer: Peer) -> None:
        self.messages: list[Message] = []
        self.lost = threading.Event()
        certificate, key = pki.folder / "client.crt", pki.folder / "client.key"
        self.operational = Operational(
            "localhost", "dev-1", tuple(pki.client_chain), lambda context: context.load_cert_chain(certificate, key)
        )
        self.hub = MqttHub(pki.folder / "ca.crt", peer.port, timeout=SHORT, issuance_timeout=SHORT)

    def connect(self) -> MqttSession:
        return self.hub.connect(self.operational, self.messages.append, self.lost.set)

    @contextmanager
    def connected(self) -> Iterator[MqttSession]:
        session = self.connect()
        try:
            yield session
        finally:
            session.close()


@pytest.fixture
def serve(pki: Pki) -> Iterator[Callable[..., tuple[Peer, Device]]]:
    with ExitStack() as stack:

        def start(**options: Any) -> tuple[Peer, Device]:
            peer = stack.enter_context(serving_mqtt(pki, Peer(**options)))
            return peer, Device(pki, peer)

        yield start


def twin(status: int, document: Any = b"", suffix: str = "") -> Callable[[Peer, str, bytes], None]:
    """Answers every twin request."""

    def answer(peer: Peer, topic: str, _payload: bytes) -> None:
        request_id = topic.partition("$rid=")[2]
        peer.say(f"$iothub/twin/res/{status}/?$rid={request_id}{suffix}", document)

    return answer


def credentials(*answers: tuple[int, Any]) -> Callable[[Peer, str, bytes], None]:
    """Answers every request for a certificate with these, one after the other."""

    def answer(peer: Peer, topic: str, _payload: bytes) -> None:
        request_id = topic.partition("$rid=")[2]
        for status, document in answers:
            peer.say(f"$iothub/credentials/res/{status}/?$rid={request_id}", document)

    return answer


def eventually(look: Callable[[], Any], seconds: float = 5) -> Any:
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return seen


def test_a_device_says_who_it_is_and_shows_its_chain(serve: Any, pki: Pki) -> None:
    peer, device = serve()
    with device.connected():
        connect = peer.connects[0]
        assert connect.client_id == "dev-1"
        assert connect.user_name == "localhost/dev-1/?api-version=2025-08-01-preview"
        assert not connect.clean_session
        assert list(connect.peer_chain) == pki.client_chain
    assert peer.closed.wait(5)
    assert not device.lost.is_set()


@pytest.mark.parametrize(("code", "error"), [(4, ConnectionRefused), (5, ConnectionRefused), (3, InfrastructureFault)])
def test_a_return_code_is_told_apart_from_a_fault(serve: Any, code: int, error: type[Exception]) -> None:
    _, device = serve(refuses_with=code)
    with pytest.raises(error):
        device.connect()
    assert not [thread for thread in threading.enumerate() if thread.name == "mqtt dev-1"]


def test_a_subscription_that_is_refused_is_a_fault(serve: Any) -> None:
    _, device = serve(refused_filters={"$iothub/twin/res/#"})
    with pytest.raises(InfrastructureFault, match="refused"):
        device.connect()


@pytest.mark.parametrize("host", ["nowhere.invalid", "", "x" * 300])
def test_a_hub_whose_name_leads_nowhere_is_a_fault(serve: Any, host: str) -> None:
    _, device = serve()
    device.operational = Operational(host, "dev-1", device.operational.chain, device.operational.present)
    with pytest.raises(InfrastructureFault):
        device.connect()


def test_a_server_that_is_not_trusted_gets_nothing(serve: Any, pki: Pki) -> None:
    peer, device = serve()
    device.hub = MqttHub(pki.folder / "client.crt", peer.port)
    with pytest.raises(InfrastructureFault, match="certificate verify failed"):
        device.connect()
    assert peer.connects == []


def test_the_twin_is_read(serve: Any) -> None:
    _, device = serve(on_publish=twin(200, {"desired": {"$version": 1}, "reported": {"a": 1, "$version": 4}}))
    with device.connected() as session:
        assert session.reported() == {"a": 1, "$version": 4}


def test_a_twin_that_may_not_be_read_is_reported_to_as_if_it_held_nothing(serve: Any) -> None:
    _, device = serve(on_publish=twin(404))
    with device.connected() as session:
        assert session.reported() == {}


@pytest.mark.parametrize("document", [b"no json", [], 7])
def test_a_twin_that_cannot_be_read_is_a_fault(serve: Any, document: Any) -> None:
    _, device = serve(on_publish=twin(200, document))
    with device.connected() as session, pytest.raises(InfrastructureFault):
        session.reported()


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, ReportRefused), (403, ReportRefused), (429, Throttled), (500, InfrastructureFault)],
)
def test_the_twins_status_decides_whether_a_report_is_worth_repeating(
    serve: Any, status: int, error: type[Exception]
) -> None:
    _, device = serve(on_publish=twin(status))
    with device.connected() as session, pytest.raises(error):
        session.report({"certificate": None})


def test_a_report_is_done_when_the_twin_says_so(serve: Any) -> None:
    peer, device = serve(on_publish=twin(204, suffix="&$version=7"))
    with device.connected() as session:
        session.report({"certificate": {"validFrom": "x"}})
    topic, body = peer.published[0]
    assert topic.startswith("$iothub/twin/PATCH/properties/reported/?$rid=")
    assert json.loads(body) == {"certificate": {"validFrom": "x"}}


def test_an_answer_that_never_comes_is_a_fault_and_a_late_one_harms_nobody(serve: Any) -> None:
    peer, device = serve()
    with device.connected() as session:
        with pytest.raises(InfrastructureFault, match="no answer"):
            session.report({})
        peer.say_from_outside("$iothub/twin/res/204/?$rid=1", b"")
        peer.say_from_outside("$iothub/twin/res/what/?$rid=1", b"")
        peer.say_from_outside("$iothub/twin/res/204", b"")
        peer.on_publish = twin(204)
        session.report({})


def test_messages_arrive_with_their_properties_and_are_acknowledged(serve: Any) -> None:
    peer, device = serve()
    with device.connected():
        peer.say_from_outside(f"{DEVICE_BOUND}%24.mid=m-1&kind=a%20b", b"hello", 1)
        eventually(lambda: peer.acknowledged)
    assert device.messages == [Message(b"hello", {"$.mid": "m-1", "kind": "a b"})]


def test_a_thousand_messages_in_one_packet_of_the_network_all_arrive(serve: Any) -> None:
    peer, device = serve()
    with device.connected():
        for number in range(1000):
            peer.say_from_outside(DEVICE_BOUND, str(number).encode(), 1)
        eventually(lambda: len(peer.acknowledged) == 1000, seconds=20)
    assert [int(message.body) for message in device.messages] == list(range(1000))


def test_an_application_message_is_sent_when_the_hub_has_acknowledged_it(serve: Any) -> None:
    peer, device = serve()
    with device.connected() as session:
        for number in range(50):
            session.send(Message(str(number).encode(), {"unit": "C/s"}))
    assert len(peer.published) == 50
    assert peer.published[0] == ("devices/dev-1/messages/events/unit=C%2Fs", b"0")


def test_a_connection_that_the_hub_ends_is_told_once_and_whoever_waits_is_told_too(serve: Any) -> None:
    _, device = serve(on_publish=lambda peer, _topic, _payload: peer.connection.close())
    session = device.connect()
    with pytest.raises(InfrastructureFault, match="the connection is gone"):
        session.report({})
    assert device.lost.wait(5)
    for act in (lambda: session.report({}), lambda: session.send(Message(b"x")), session.reported):
        with pytest.raises(InfrastructureFault, match="gone"):
            act()
    device.lost.clear()
    session.close()
    assert not device.lost.is_set()


def test_an_abort_from_another_thread_ends_every_wait(serve: Any) -> None:
    _, device = serve()
    device.hub = MqttHub(device.hub.ca_bundle, device.hub.port, timeout=timedelta(seconds=30))
    session = device.connect()
    began = time.monotonic()
    threading.Timer(0.2, session.abort).start()
    with pytest.raises(InfrastructureFault, match="gone"):
        session.reported()
    assert time.monotonic() - began < 15
    session.close()


def test_a_connection_beyond_file_descriptor_1024_works_like_any_other(serve: Any) -> None:
    _, device = serve(on_publish=twin(204))
    with ExitStack() as stack:
        for _ in range(1100):
            stack.callback(os.close, os.dup(0))
        with device.connected() as session:
            session.report({})


def test_connections_leave_neither_threads_nor_file_descriptors_behind(serve: Any) -> None:
    _, device = serve(on_publish=twin(204))
    with device.connected() as session:
        session.report({})
    before = open_files(), threading.active_count()
    for _ in range(5):
        with device.connected() as session:
            session.report({})
    assert eventually(lambda: (open_files(), threading.active_count()) <= before)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# -- certificates from the hub ---------------------------------------------------------------------------------------


def chain(pki: Pki) -> list[str]:
    return [base64.b64encode(der(certificate)).decode() for certificate in pki.client_chain]


def test_a_certificate_is_accepted_and_then_issued(serve: Any, pki: Pki) -> None:
    accepted = {"correlationId": "c", "operationExpires": "2026-11-23T22:00:00Z"}
    issued = {"correlationId": "c", "certificates": chain(pki)}
    peer, device = serve(on_publish=credentials((202, accepted), (200, issued)))
    with device.connected() as session:
        assert list(session.request_certificate(REQUEST)) == pki.client_chain
    topic, body = peer.published[0]
    assert topic == "$iothub/credentials/POST/issueCertificate/?$rid=request-1"
    assert json.loads(body) == {"id": "dev-1", "csr": base64.b64encode(b"csr").decode()}


def test_a_request_in_place_of_another_says_which(serve: Any, pki: Pki) -> None:
    peer, device = serve(on_publish=credentials((200, {"certificates": chain(pki)})))
    with device.connected() as session:
        session.request_certificate(IssuanceRequest("request-2", b"csr", replace="*"))
    assert json.loads(peer.published[0][1])["replace"] == "*"


@pytest.mark.parametrize("accepted_first", [True, False])
def test_an_error_keeps_its_code_its_pause_and_its_information(serve: Any, accepted_first: bool) -> None:
    error = {
        "errorCode": 409004,
        "message": "pending",
        "retryAfter": 5,
        "info": {"requestId": "older", "operationExpires": "2026-11-23T22:00:00Z"},
    }
    answers = [*([(202, {})] if accepted_first else []), (409, error)]
    _, device = serve(on_publish=credentials(*answers))
    with device.connected() as session, pytest.raises(IssuanceRefused, match="pending") as refusal:
        session.request_certificate(REQUEST)
    assert refusal.value.error.code == 409004
    assert refusal.value.error.retry_after == timedelta(seconds=5)
    assert refusal.value.error.info["requestId"] == "older"


@pytest.mark.parametrize("document", [b"", b"[]", {"errorCode": "x"}, {"errorCode": 400040, "retryAfter": "soon"}])
def test_an_error_that_cannot_be_read_keeps_its_status(serve: Any, document: Any) -> None:
    _, device = serve(on_publish=credentials((400, document)))
    with device.connected() as session, pytest.raises(IssuanceRefused) as refusal:
        session.request_certificate(REQUEST)
    assert refusal.value.error.code // 1000 == 400


@pytest.mark.parametrize("document", [{}, {"certificates": []}, {"certificates": ["AAAA"]}, {"certificates": 7}, b"x"])
def test_certificates_that_cannot_be_read_are_a_fault(serve: Any, document: Any) -> None:
    _, device = serve(on_publish=credentials((200, document)))
    with device.connected() as session, pytest.raises(InfrastructureFault):
        session.request_certificate(REQUEST)


@pytest.mark.parametrize("answers", [[], [(202, {})]], ids=["no answer", "accepted and never issued"])
def test_a_request_that_is_not_answered_is_a_fault(serve: Any, answers: list[tuple[int, Any]]) -> None:
    _, device = serve(on_publish=credentials(*answers))
    with device.connected() as session, pytest.raises(InfrastructureFault, match="no answer"):
        session.request_certificate(REQUEST)


def test_a_hub_that_knows_no_such_request_refuses_the_subscription_and_the_session_goes_on(serve: Any) -> None:
    peer, device = serve(refused_filters={"$iothub/credentials/res/#"})
    with device.connected() as session:
        with pytest.raises(InfrastructureFault, match="refused"):
            session.request_certificate(REQUEST)
        peer.on_publish = twin(204)
        session.report({})
