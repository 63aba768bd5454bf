"""DPS's device API over MQTT (Azure docs: iot-mqtt-connect-to-iot-dps)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl, unquote

from fleetcert.local.dps.admission import Evidence
from fleetcert.local.dps.errors import Refusal, bad_request
from fleetcert.local.dps.registering import Answer, Caller, Registering, check_caller
from fleetcert.local.ports import Connect, MqttConnection, Refused
from shared.clock import Clock

USER_NAME: Final = re.compile(r"(?P<id_scope>[^/]+)/registrations/(?P<registration_id>[^/]+)/(?P<query>.*)", re.DOTALL)
RESPONSES: Final = "$dps/registrations/res/#"
REGISTER: Final = "$dps/registrations/PUT/iotdps-register/"
POLL: Final = "$dps/registrations/GET/iotdps-get-operationstatus/"
BAD_USER_NAME: Final = 4
NOT_AUTHORIZED: Final = 5


@dataclass(frozen=True, slots=True)
class _Request:
    """A request's topic: the action and what its query says."""

    action: str
    request_id: str
    operation_id: str


class ProvisioningMqtt:
    """The endpoint for `{idScope}/registrations/{registrationId}/api-version=..` user names.

    A wrong SAS token is refused at CONNECT (code 5). A client certificate is judged with the first request, whose
    answer can carry DPS's error.
    """

    def __init__(self, id_scope: str, registering: Registering, clock: Clock) -> None:
        self._id_scope = id_scope
        self._registering = registering
        self._clock = clock

    def claims(self, connect: Connect) -> bool:
        """Whether the user name is one of DPS's."""
        return USER_NAME.fullmatch(connect.user_name) is not None

    def accept(self, connect: Connect, connection: MqttConnection) -> ProvisioningSession:
        """Opens the session. Raises: Refused."""
        caller = self._caller(connect)
        try:
            check_caller(caller)
            if caller.evidence.token is not None:
                self._registering.check_credentials(caller)
        except Refusal as refusal:
            code = BAD_USER_NAME if refusal.status is HTTPStatus.BAD_REQUEST else NOT_AUTHORIZED
            raise Refused(code, refusal.message) from refusal
        return ProvisioningSession(caller, connection, self._registering, self._clock)

    def _caller(self, connect: Connect) -> Caller:
        parts = USER_NAME.fullmatch(connect.user_name)
        if parts is None:
            raise Refused(BAD_USER_NAME, "the user name is not one of DPS's")
        registration_id = unquote(parts["registration_id"])
        if parts["id_scope"] != self._id_scope:
            raise Refused(NOT_AUTHORIZED, "the id scope is unknown")
        if connect.client_id != registration_id:
            raise Refused(NOT_AUTHORIZED, "the client id is not the registration id")
        if not connect.password and not connect.peer_chain:
            raise Refused(NOT_AUTHORIZED, "neither a client certificate nor a token")
        token = connect.password.decode(errors="replace") or None
        evidence = Evidence(token=token) if token else Evidence(chain=connect.peer_chain)
        api_version = dict(parse_qsl(parts["query"])).get("api-version", "")
        return Caller(registration_id, evidence, api_version, "Mqtt")


class ProvisioningSession:
    """A device's connection to DPS."""

    def __init__(self, caller: Caller, connection: MqttConnection, registering: Registering, clock: Clock) -> None:
        self._caller = caller
        self._connection = connection
        self._registering = registering
        self._clock = clock
        self._granted_qos: int | None = None

    def on_publish(self, topic: str, payload: bytes, qos: int) -> None:
        """Answers a request; a topic that is none ends the connection."""
        request = _parse(topic)
        if request is None:
            self._connection.close()
            return
        try:
            answer = self._answer(request, payload)
        except Refusal as refusal:
            answer = Answer(refusal.status, refusal.body(self._clock.now()), refusal.retry_after)
        self._respond(request, answer)

    def on_subscribe(self, topic_filter: str, qos: int) -> int:
        """Grants the one filter that DPS knows."""
        if topic_filter != RESPONSES:
            return 0x80
        self._granted_qos = min(qos, 1)
        return self._granted_qos

    def on_unsubscribe(self, topic_filter: str) -> None:
        """No more responses."""
        if topic_filter == RESPONSES:
            self._granted_qos = None

    def on_puback(self, packet_id: int) -> None:
        """Nothing waits for it: a response that is lost is asked for again."""

    def on_closed(self) -> None:
        """Nothing to clean up: operations outlive connections."""

    def _answer(self, request: _Request, payload: bytes) -> Answer:
        if request.action == REGISTER:
            return self._registering.register(self._caller, payload)
        if not request.operation_id:
            raise bad_request("The operationId is missing")
        return self._registering.poll(self._caller, request.operation_id)

    def _respond(self, request: _Request, answer: Answer) -> None:
        # Without a subscription or a request id nobody could tell what the response belongs to.
        if self._granted_qos is None or not request.request_id:
            return
        retry = "" if answer.retry_after is None else f"&retry-after={answer.retry_after}"
        topic = f"$dps/registrations/res/{answer.status.value}/?$rid={request.request_id}{retry}"
        self._connection.publish(topic, json.dumps(answer.body).encode(), self._granted_qos)


def _parse(topic: str) -> _Request | None:
    action, _, query = topic.partition("?")
    if action not in (REGISTER, POLL):
        return None
    fields = dict(parse_qsl(query))
    return _Request(action, fields.get("$rid", ""), fields.get("operationId", ""))
