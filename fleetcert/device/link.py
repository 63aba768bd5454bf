"""An MQTT 3.1.1 connection with questions that wait for their answers.

paho moves the bytes when it is told to, by a thread of this connection's own: its own thread waits with `select`, which
ends at file descriptor 1024 and with it, silently, the connection. Its reconnecting is off, too: the agent alone
decides when to return.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import paho.mqtt.client as mqtt

from shared.errors import InfrastructureFault

KEEP_ALIVE_SECONDS: Final = 60
NOT_AUTHORIZED: Final = {4: "bad user name or password", 5: "not authorized"}
"""MQTT 3.1.1, 3.2.2.3: the return codes that concern the device and not the server."""
_SUBSCRIPTION_REFUSED: Final = 0x80
_TICK_SECONDS: Final = 5.0
_CLOSING_SECONDS: Final = 2.0
_SLICE_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Dial:
    """How a connection is made. service: as faults name it. timeout: for each answer."""

    service: str
    client_id: str
    user_name: str
    tls: ssl.SSLContext
    password: str | None = field(default=None, repr=False)
    clean_session: bool = True
    timeout: timedelta = timedelta(seconds=15)


class NotAuthorized(Exception):
    """CONNACK 4 or 5; what it means is for the service's own client to say."""

    def __init__(self, code: int) -> None:
        super().__init__(NOT_AUTHORIZED[code])
        self.code = code


class MqttLink:
    """One connection. on_message and on_lost are called by its thread; the latter once, if it ends by itself."""

    def __init__(
        self, dial: Dial, on_message: Callable[[str, bytes], None], on_lost: Callable[[], None] = lambda: None
    ) -> None:
        self._dial = dial
        self._on_message = on_message
        self._on_lost = on_lost
        self._timeout = dial.timeout.total_seconds()
        self._waiting: dict[str, Future[Any]] = {}
        self._gate = threading.Lock()
        self._is_over = False
        self._is_open = False
        self._ring, self._bell = socket.socketpair()
        self._client = self._new_client()
        self._thread = threading.Thread(target=self._move_bytes, name=f"mqtt {dial.client_id}", daemon=True)

    def open(self, host: str, port: int) -> None:
        """Raises: NotAuthorized, InfrastructureFault."""
        connack = self.expect("connack")
        try:
            self._client.connect(host, port, KEEP_ALIVE_SECONDS)
        except (OSError, ValueError) as problem:  # among them servers that are not trusted, and names that are none
            raise self._fault(str(problem)) from problem
        self._thread.start()
        code = self.result(connack, "CONNECT")
        if code in NOT_AUTHORIZED:
            raise NotAuthorized(code)
        if code != mqtt.CONNACK_ACCEPTED:
            raise self._fault(f"CONNECT answered with {code}")
        self._is_open = True

    def subscribe(self, topic_filter: str, qos: int) -> None:
        """Raises: InfrastructureFault where it is refused or not answered."""
        with self._gate:  # the answer must not come before we know the id under which to expect it
            _, mid = self._client.subscribe(topic_filter, qos)
            if self._is_over or mid is None:
                raise self._gone()
            granted = self._waiting[f"suback {mid}"] = Future()
        self._wake()
        if self.result(granted, "SUBSCRIBE") == _SUBSCRIPTION_REFUSED:
            raise self._fault(f"SUBSCRIBE to {topic_filter} was refused")

    def tell(self, topic: str, payload: bytes) -> None:
        """Publishes at QoS 0: what is answered by a message needs no other acknowledgement."""
        self._client.publish(topic, payload)
        self._wake()

    def deliver(self, topic: str, payload: bytes) -> None:
        """Publishes at QoS 1 and waits until the server has it. Raises: InfrastructureFault."""
        sent = self._client.publish(topic, payload, qos=1)
        self._wake()
        if sent.rc != mqtt.MQTT_ERR_SUCCESS:
            raise self._gone()
        waited = 0.0
        while not sent.is_published():
            if self._is_over:
                raise self._gone()
            if waited >= self._timeout:
                raise self._fault("no answer to PUBLISH")
            sent.wait_for_publish(_SLICE_SECONDS)
            waited += _SLICE_SECONDS

    def expect(self, key: str) -> Future[Any]:
        """What will be answered under this key. Raises: InfrastructureFault where the connection is over."""
        with self._gate:
            if self._is_over:
                raise self._gone()
            answer = self._waiting[key] = Future()
        return answer

    def answer(self, key: str, value: object) -> None:
        """The answer has come; one that nobody waits for is dropped."""
        with self._gate:
            waiting = self._waiting.pop(key, None)
        if waiting and not waiting.done():
            waiting.set_result(value)

    def result(self, answer: Future[Any], question: str, timeout: timedelta | None = None) -> Any:
        """Raises: InfrastructureFault where it does not come in time."""
        try:
            return answer.result(timeout.total_seconds() if timeout else self._timeout)
        except TimeoutError as problem:
            raise self._fault(f"no answer to {question}") from problem

    def abort(self) -> None:
        """Ends the connection at once, from any thread: whoever waits is told."""
        if connection := self._client.socket():
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._wake()
        self._end()

    def close(self) -> None:
        """Ends the connection in order; nobody is told."""
        with self._gate:
            self._is_open = False
        self._client.disconnect()
        self._wake()
        if self._thread.ident is not None:
            self._thread.join(_CLOSING_SECONDS)
            self.abort()
            self._thread.join(_CLOSING_SECONDS)
        self._end()
        self._let_go()

    def _new_client(self) -> mqtt.Client:
        dial = self._dial
        client = mqtt.Client(dial.client_id, dial.clean_session, protocol=mqtt.MQTTv311, reconnect_on_failure=False)
        client.tls_set_context(dial.tls)
        client.username_pw_set(dial.user_name, dial.password)
        client.on_connect = lambda _client, _data, _flags, code: self.answer("connack", code)
        client.on_subscribe = lambda _client, _data, mid, granted: self.answer(f"suback {mid}", granted[0])
        client.on_message = lambda _client, _data, message: self._on_message(message.topic, bytes(message.payload))
        client.on_socket_register_write = lambda *_: self._wake()  # else paho writes at once, from any thread
        return client

    def _move_bytes(self) -> None:
        try:
            with selectors.PollSelector() as selector:
                selector.register(self._ring, selectors.EVENT_READ)
                connection = self._client.socket()
                selector.register(connection, selectors.EVENT_READ)
                while self._client.socket() is connection:
                    self._move_some(selector, connection)
        finally:  # whatever ended this thread, nobody may wait for it for ever
            self._end()

    def _move_some(self, selector: selectors.BaseSelector, connection: ssl.SSLSocket) -> None:
        wants_to_write = selectors.EVENT_WRITE if self._client.want_write() else 0
        selector.modify(connection, selectors.EVENT_READ | wants_to_write)
        for key, _ in selector.select(_TICK_SECONDS):
            if key.fileobj is self._ring:
                self._ring.recv(4096)
        self._client.loop_read()
        while self._client.socket() is connection and connection.pending():  # TLS has it, the kernel has it no more
            self._client.loop_read()
        if self._client.want_write():
            self._client.loop_write()
        self._client.loop_misc()

    def _wake(self) -> None:
        with suppress(OSError):  # it is closed, or full of calls that were not heard yet
            self._bell.send(b"!", socket.MSG_DONTWAIT)

    def _end(self) -> None:
        with self._gate:
            was_over, self._is_over = self._is_over, True
            waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.set_exception(self._gone())
        if self._is_open and not was_over:
            self._on_lost()

    def _let_go(self) -> None:
        """Ends the cycle of references by which a collector would find the sockets much later."""
        client = self._client
        client.on_connect = client.on_subscribe = client.on_message = client.on_socket_register_write = None
        self._ring.close()
        self._bell.close()

    def _fault(self, problem: str) -> InfrastructureFault:
        return InfrastructureFault(self._dial.service, problem)

    def _gone(self) -> InfrastructureFault:
        return self._fault("the connection is gone")
