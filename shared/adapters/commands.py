"""Renewal commands as cloud-to-device messages over AMQP, on `uamqp`, the library below azure-iot-hub.

azure-iot-hub's own send retries three times without a pause, hides why a message was refused, and may not be shared
between threads. Here one thread owns one link, and every message is sent once.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from enum import Enum
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import uamqp
from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError
from uamqp.authentication import JWTTokenAuth, TokenRetryPolicy
from uamqp.constants import DONE_STATES
from uamqp.errors import AMQPError, ErrorPolicy

from shared.adapters.amqp_conditions import SERVICE, error_of
from shared.contracts import RenewCertificate
from shared.errors import CommandRefused, InfrastructureFault, Throttled

SCOPE: Final = "https://iothubs.azure.net/.default"
_SEND_SECONDS: Final = 30.0
_IDLE_SECONDS: Final = 120.0
"""IoT Hub closes a connection that was idle for four minutes (Azure docs: IoT Hub AMQP); ours is renewed before."""


class CloudToDeviceSender:
    """Sends to the devices of one hub. Its link is opened at the first message and again after a failure."""

    def __init__(self, hostname: str, credential: TokenCredential) -> None:
        self._hostname = urlsplit(f"//{hostname}").hostname or hostname  # AMQP has a port of its own: 5671
        self._credential = credential
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cloud-to-device")
        self._link: _Link | None = None

    async def send(self, command: RenewCertificate, expires: datetime) -> None:
        """Sends once, without hidden retries. Raises: CommandRefused, Throttled, InfrastructureFault."""
        message = _message(command, expires)
        await asyncio.get_running_loop().run_in_executor(self._worker, self._send, message)

    async def close(self) -> None:
        """Closes the link and ends the thread."""
        await asyncio.get_running_loop().run_in_executor(self._worker, self._drop)
        self._worker.shutdown()

    def _send(self, message: uamqp.Message) -> None:
        try:
            self._usable_link().send(message)
        except (CommandRefused, Throttled):
            raise  # the message was refused; the link is sound
        except (AMQPError, AzureError, TimeoutError, ValueError, RuntimeError) as problem:
            # uamqp's C core raises ValueError and RuntimeError where a connection is broken
            self._drop()
            raise InfrastructureFault(SERVICE, f"{type(problem).__name__}: {problem}") from problem
        except InfrastructureFault:
            self._drop()
            raise

    def _usable_link(self) -> _Link:
        if self._link is not None and self._link.is_stale:
            self._drop()
        if self._link is None:
            self._link = _Link.open(self._hostname, self._token)
        return self._link

    def _drop(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with contextlib.suppress(AMQPError, TimeoutError, ValueError, RuntimeError):  # it is broken already
                link.close()

    def _token(self) -> AccessToken:
        token = self._credential.get_token(SCOPE)
        return AccessToken(f"Bearer {token.token}", token.expires_on)


class _Link:
    """A sender link to `/messages/devicebound`; to be used by one thread."""

    def __init__(self, client: uamqp.SendClient) -> None:
        self._client = client
        self._used_at = time.monotonic()

    @classmethod
    def open(cls, hostname: str, get_token: Callable[[], AccessToken]) -> Self:
        """A link that is authorized by a token (claims-based security) at its first message."""
        auth = JWTTokenAuth(
            audience=SCOPE,
            uri=f"https://{hostname}",
            get_token=get_token,
            token_type=b"bearer",
            retry_policy=TokenRetryPolicy(retries=0),
        )
        target = f"amqps://{hostname}/messages/devicebound"
        return cls(uamqp.SendClient(target, auth=auth, error_policy=ErrorPolicy(max_retries=0)))

    @property
    def is_stale(self) -> bool:
        """Whether the hub may have closed the connection meanwhile."""
        return time.monotonic() - self._used_at > _IDLE_SECONDS

    def send(self, message: uamqp.Message) -> None:
        """Sends and waits for the hub's answer. Raises: errors of uamqp's, and those of `error_of`."""
        answers: list[Any] = []
        message.on_send_complete = lambda _result, answer: answers.append(answer)
        self._client.open()
        self._client.queue_message(message)
        self._work_until_settled(message)
        self._used_at = time.monotonic()
        if isinstance(answers[-1], Exception):
            raise _refusal(answers[-1])

    def close(self) -> None:
        """Ends the connection."""
        self._client.close()

    def _work_until_settled(self, message: uamqp.Message) -> None:
        give_up_at = time.monotonic() + _SEND_SECONDS
        while message.state not in DONE_STATES:
            if time.monotonic() > give_up_at:
                raise InfrastructureFault(SERVICE, f"no answer within {_SEND_SECONDS:.0f} s")
            if not self._client.do_work():
                raise InfrastructureFault(SERVICE, "the connection was closed")


def _message(command: RenewCertificate, expires: datetime) -> uamqp.Message:
    properties = uamqp.message.MessageProperties(
        message_id=command.command_id,
        to=f"/devices/{quote(command.device_id, safe='')}/messages/devicebound",
        content_type="application/json",
        content_encoding="utf-8",
        absolute_expiry_time=int(expires.timestamp() * 1000),
    )
    return uamqp.Message(command.to_json(), properties=properties, application_properties={"iothub-ack": "full"})


def _refusal(answer: Exception) -> Exception:
    condition = getattr(answer, "condition", None)
    if condition is None:
        return InfrastructureFault(SERVICE, f"{type(answer).__name__}: {answer}")
    return error_of(_text(condition), _text(getattr(answer, "description", None)))


def _text(value: object) -> str:
    plain = value.value if isinstance(value, Enum) else value
    return plain.decode(errors="replace") if isinstance(plain, bytes) else str(plain or "")
