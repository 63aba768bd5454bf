"""IoT Hub over MQTT 3.1.1 with the operational certificate.

Facts: Azure docs, iot-mqtt-connect-to-iot-hub. paho's own reconnecting is off: the agent alone decides when to return.
"""

from __future__ import annotations

import itertools
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt

from fleetcert.device.errors import ConnectionRefused, ReportRefused
from fleetcert.device.keystore import Operational
from fleetcert.device.tls import client_context
from shared.errors import InfrastructureFault, Throttled

API_VERSION: Final = "2025-08-01-preview"
KEEP_ALIVE_SECONDS: Final = 60
TWIN_RESPONSES: Final = "$iothub/twin/res/"
THROTTLED: Final = 429
SUBSCRIPTION_REFUSED: Final = 0x80
NOT_AUTHORIZED: Final = {4: "bad user name or password", 5: "not authorized"}
"""MQTT 3.1.1, 3.2.2.3: the return codes that concern the device and not the server."""


class MqttHub:
    """The way to an IoT Hub. `ca_bundle` is what the hub's server certificate must chain to."""

    def __init__(self, ca_bundle: Path, port: int = 8883, timeout: timedelta = timedelta(seconds=15)) -> None:
        self._ca_bundle = ca_bundle
        self._port = port
        self._timeout = timeout

    def connect(
        self, operational: Operational, on_command: Callable[[bytes], None], on_lost: Callable[[], None]
    ) -> MqttSession:
        """Connects, and subscribes to commands and to the twin's answers.

        Raises: ConnectionRefused, InfrastructureFault.
        """
        tls = client_context(self._ca_bundle, operational.file)
        session = MqttSession(operational, tls, on_command, on_lost, self._timeout)
        try:
            session.open(self._port)
        except BaseException:  # whatever it was, paho's thread and socket must not outlive it
            session.close()
            raise
        return session


class MqttSession:
    """One connection to the hub. paho's thread calls the callbacks."""

    def __init__(
        self,
        operational: Operational,
        tls: ssl.SSLContext,
        on_command: Callable[[bytes], None],
        on_lost: Callable[[], None],
        timeout: timedelta,
    ) -> None:
        self._hub, self._device_id = operational.hub, operational.device_id
        self._on_command, self._on_lost = on_command, on_lost
        self._timeout = timeout.total_seconds()
        self._request_ids = itertools.count(1)
        self._waiting: dict[str, Future[int]] = {}
        self._gate = threading.Lock()
        self._over = False
        self._opened = False
        self._client = self._new_client(tls)

    def open(self, port: int) -> None:
        """Raises: ConnectionRefused, InfrastructureFault."""
        connack = self._expect("connack")
        try:
            self._client.connect(self._hub, port, KEEP_ALIVE_SECONDS)
        except OSError as problem:  # ssl.SSLError is one: a server whose certificate is not trusted
            raise InfrastructureFault("IoT Hub", str(problem)) from problem
        self._client.loop_start()
        code = self._result(connack, "CONNECT")
        if code in NOT_AUTHORIZED:
            raise ConnectionRefused(code, NOT_AUTHORIZED[code])
        if code != mqtt.CONNACK_ACCEPTED:
            raise InfrastructureFault("IoT Hub", f"CONNECT answered with {code}")
        self._subscribe(f"{TWIN_RESPONSES}#", 0)
        self._subscribe(f"devices/{self._device_id}/messages/devicebound/#", 1)
        self._opened = True

    def report(self, patch: Mapping[str, Any]) -> None:
        """Patches the reported properties and waits for the hub's answer.

        Raises: ReportRefused, Throttled, InfrastructureFault.
        """
        request_id = str(next(self._request_ids))
        answer = self._expect(request_id)
        self._client.publish(f"$iothub/twin/PATCH/properties/reported/?$rid={request_id}", json.dumps(patch))
        status = self._result(answer, "a twin patch")
        if status == THROTTLED:
            raise Throttled("IoT Hub", timedelta(seconds=5))
        if status >= 500:
            raise InfrastructureFault("IoT Hub", f"the twin answered {status}")
        if status >= 400:
            raise ReportRefused(status)

    def close(self) -> None:
        """Ends the connection in order; nobody is told."""
        with self._gate:
            self._over = True
        self._client.disconnect()
        self._client.loop_stop()

    def _new_client(self, tls: ssl.SSLContext) -> mqtt.Client:
        client = mqtt.Client(self._device_id, clean_session=False, protocol=mqtt.MQTTv311, reconnect_on_failure=False)
        client.tls_set_context(tls)
        client.username_pw_set(f"{self._hub}/{self._device_id}/?api-version={API_VERSION}")
        client.on_connect = lambda _client, _data, _flags, code: self._answer("connack", code)
        client.on_subscribe = lambda _client, _data, mid, granted: self._answer(f"suback {mid}", granted[0])
        client.on_message = lambda _client, _data, message: self._on_message(message)
        client.on_disconnect = lambda _client, _data, _code: self._on_disconnect()
        return client

    def _subscribe(self, topic_filter: str, qos: int) -> None:
        with self._gate:  # the answer must not come before we know the id under which to expect it
            _, mid = self._client.subscribe(topic_filter, qos)
            if self._over or mid is None:
                raise _gone()
            granted = self._waiting[f"suback {mid}"] = Future()
        if self._result(granted, "SUBSCRIBE") == SUBSCRIPTION_REFUSED:
            raise InfrastructureFault("IoT Hub", f"SUBSCRIBE to {topic_filter} was refused")

    def _expect(self, key: str) -> Future[int]:
        with self._gate:
            if self._over:
                raise _gone()
            answer = self._waiting[key] = Future()
        return answer

    def _answer(self, key: str, value: int) -> None:
        with self._gate:
            waiting = self._waiting.pop(key, None)
        if waiting and not waiting.done():
            waiting.set_result(value)

    def _result(self, answer: Future[int], request: str) -> int:
        try:
            return answer.result(self._timeout)
        except TimeoutError as problem:
            raise InfrastructureFault("IoT Hub", f"no answer to {request}") from problem

    def _on_message(self, message: mqtt.MQTTMessage) -> None:
        if message.topic.startswith(TWIN_RESPONSES):  # $iothub/twin/res/{status}/?$rid={request id}&$version=..
            status, _, query = message.topic.removeprefix(TWIN_RESPONSES).partition("/?$rid=")
            if status.isdecimal():  # an exception here would end paho's thread, and with it the session, unnoticed
                self._answer(query.partition("&")[0], int(status))
        else:
            self._on_command(bytes(message.payload))

    def _on_disconnect(self) -> None:
        with self._gate:
            was_over, self._over = self._over, True
            waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.set_exception(_gone())
        if self._opened and not was_over:
            self._on_lost()


def _gone() -> InfrastructureFault:
    return InfrastructureFault("IoT Hub", "the connection is gone")
