"""A cloud on a wire, for one test: the local MQTT server with an endpoint that does what the test says."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from support.tls_server import Pki

from fleetcert.local.mqtt.server import MqttServer
from fleetcert.local.ports import Connect, MqttConnection, Refused
from fleetcert.local.tls import serve_tls

type OnPublish = Callable[["Peer", str, bytes], None]


@dataclass
class Peer:
    """An `MqttEndpoint` and its one session. It answers a publication by what `on_publish` does."""

    on_publish: OnPublish = lambda _peer, _topic, _payload: None
    refuses_with: int | None = None
    refused_filters: set[str] = field(default_factory=set)
    connects: list[Connect] = field(default_factory=list)
    published: list[tuple[str, bytes]] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    loop: asyncio.AbstractEventLoop | None = None
    connection: MqttConnection | None = None

    def claims(self, _connect: Connect) -> bool:
        return True

    def accept(self, connect: Connect, connection: MqttConnection) -> Session:
        self.connects.append(connect)
        if self.refuses_with is not None:
            raise Refused(self.refuses_with, "as the test wants it")
        self.connection = connection
        return Session(self)

    def say(self, topic: str, document: Any, qos: int = 0) -> None:
        """Publishes to the client; from the server's own thread."""
        assert self.connection is not None
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.connection.publish(topic, body, qos)

    def say_from_outside(self, topic: str, document: Any, qos: int = 0) -> None:
        """The same from a test's thread."""
        assert self.loop is not None
        self.loop.call_soon_threadsafe(self.say, topic, document, qos)

    def hang_up(self) -> None:
        assert self.loop is not None
        assert self.connection is not None
        self.loop.call_soon_threadsafe(self.connection.close)


@dataclass
class Session:
    peer: Peer

    def on_publish(self, topic: str, payload: bytes, qos: int) -> None:
        self.peer.published.append((topic, payload))
        self.peer.on_publish(self.peer, topic, payload)

    def on_subscribe(self, topic_filter: str, qos: int) -> int:
        return 0x80 if topic_filter in self.peer.refused_filters else qos

    def on_unsubscribe(self, topic_filter: str) -> None: ...

    def on_puback(self, packet_id: int) -> None:
        self.peer.acknowledged.append(packet_id)

    def on_closed(self) -> None:
        self.peer.closed.set()


@contextmanager
def serving_mqtt(pki: Pki, peer: Peer) -> Iterator[Peer]:
    """The peer behind TLS on a free port, in a thread of its own."""
    ready = threading.Event()

    async def serve() -> None:
        server = await serve_tls(MqttServer([peer]).protocol, "127.0.0.1", 0, *pki.server)
        peer.port, peer.loop = server.sockets[0].getsockname()[1], asyncio.get_running_loop()
        ending.append(asyncio.Event())
        ready.set()
        await ending[0].wait()
        server.close()
        server.close_clients()

    ending: list[asyncio.Event] = []
    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield peer
    finally:
        assert peer.loop is not None
        peer.loop.call_soon_threadsafe(ending[0].set)
        thread.join()
