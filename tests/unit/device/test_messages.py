"""Messages as MQTT topics carry them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from fleetcert.device.messages import Message

TEXT = st.text(min_size=1, max_size=10)


@given(st.binary(max_size=20), st.dictionaries(TEXT, st.text(max_size=10), max_size=4))
def test_what_is_sent_can_be_read_back_whatever_its_properties(body: bytes, properties: dict[str, str]) -> None:
    topic = Message(body, properties).to_topic("dev-1")
    assert topic.startswith("devices/dev-1/messages/events/")
    assert topic.count("/") == 4
    assert Message.from_topic(topic, body) == Message(body, properties)


def test_a_cloud_to_device_message_keeps_its_properties() -> None:
    topic = (
        "devices/dev-1/messages/devicebound/%24.to=%2Fdevices%2Fdev-1%2Fmessages%2Fdevicebound&%24.mid=m-1&a%20b=c%26d"
    )
    message = Message.from_topic(topic, b"x")
    assert message.properties == {"$.to": "/devices/dev-1/messages/devicebound", "$.mid": "m-1", "a b": "c&d"}
