"""A message to `/messages/devicebound` as the hub sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from fleetcert.local.amqp.devicebound import to_device_message
from fleetcert.local.amqp.messages import Message, Properties
from fleetcert.local.amqp.types import Symbol, Timestamp
from fleetcert.local.ports import AmqpRefused

EXPIRY = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def a_message(to: str | None = "/devices/d1/messages/devicebound", **properties: Any) -> Message:
    return Message(
        properties=Properties(to=to, **properties), application_properties={"iothub-ack": "full"}, data=b"{}"
    )


def test_system_properties_are_plain_values_and_only_those_given() -> None:
    message = a_message(
        message_id="m", content_type=Symbol("application/json"), absolute_expiry_time=Timestamp.of(EXPIRY)
    )
    received = to_device_message(message)
    assert received.device_id == "d1"
    assert received.body == b"{}"
    assert received.properties == {"iothub-ack": "full"}
    assert received.system == {
        "message_id": "m",
        "content_type": "application/json",
        "absolute_expiry_time": EXPIRY,
    }
    assert type(received.system["content_type"]) is str


@pytest.mark.parametrize(("written", "device_id"), [("d%231", "d#1"), ("a+b", "a+b"), ("a:b@c", "a:b@c")])
def test_an_id_may_be_quoted(written: str, device_id: str) -> None:
    assert to_device_message(a_message(f"/devices/{written}/messages/devicebound")).device_id == device_id


@pytest.mark.parametrize("to", [None, "", "/devices//messages/devicebound", "/devices/d1", "d1"])
def test_a_message_to_nobody_is_refused(to: str | None) -> None:
    with pytest.raises(AmqpRefused, match="amqp:invalid-field"):
        to_device_message(a_message(to))


def test_an_expiry_beyond_all_years_is_refused() -> None:
    with pytest.raises(AmqpRefused, match="absolute_expiry_time"):
        to_device_message(a_message(absolute_expiry_time=Timestamp(2**62)))
