"""Cloud-to-device messages over AMQP, as azure-iot-hub sends them and as its own uamqp sees a refusal."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import uamqp
from azure.core.credentials import AccessToken
from azure.identity import ManagedIdentityCredential
from azure.iot.hub import IoTHubRegistryManager

QUEUE_LENGTH = 50
UNAUTHORIZED = (uamqp.errors.TokenAuthFailure, uamqp.errors.AuthenticationException)
"""The first; but uamqp at times reads the reason from memory that it has freed, and fails to decode what is there."""
IOT_HUB_SCOPE = "https://iothubs.azure.net/.default"


@pytest.fixture(scope="module")
def hub(azure: dict[str, Any]) -> Iterator[IoTHubRegistryManager]:
    with closing_amqp(IoTHubRegistryManager.from_connection_string(azure["iothub_service_connection_string"])) as hub:
        yield hub


@contextmanager
def closing_amqp(hub: IoTHubRegistryManager) -> Iterator[IoTHubRegistryManager]:
    """azure-iot-hub has no public way to close its connection, and uamqp left open blocks the interpreter's end."""
    try:
        yield hub
    finally:
        hub.amqp_svc_client.disconnect_sync()


@pytest.fixture
def device_id(hub: IoTHubRegistryManager) -> Iterator[str]:
    name = f"c2d-{uuid.uuid4().hex[:8]}"
    hub.create_device_with_certificate_authority(name, "enabled")
    yield name
    hub.delete_device(name)


@pytest.fixture
def senders() -> Iterator[Callable[[str, Callable[[], AccessToken]], uamqp.SendClient]]:
    """`senders(host, token)`: uamqp's own client on the hub's node, with nothing retried."""
    opened: list[uamqp.SendClient] = []

    def open_sender(host: str, token: Callable[[], AccessToken]) -> uamqp.SendClient:
        auth = uamqp.authentication.JWTTokenAuth(
            audience=IOT_HUB_SCOPE, uri=f"https://{host}", get_token=token, token_type=b"bearer"
        )
        auth.update_token()
        policy = uamqp.errors.ErrorPolicy(max_retries=0, on_error=lambda _: uamqp.errors.ErrorAction(retry=False))
        client = uamqp.SendClient(f"amqps://{host}/messages/devicebound", auth=auth, error_policy=policy)
        opened.append(client)
        return client

    yield open_sender
    for client in opened:
        client.close()


def queue_length(hub: IoTHubRegistryManager, device_id: str) -> int:
    return int(hub.get_device(device_id).cloud_to_device_message_count)


def message_to(device_id: str) -> uamqp.Message:
    properties = uamqp.message.MessageProperties(
        message_id=str(uuid.uuid4()), to=f"/devices/{device_id}/messages/devicebound"
    )
    return uamqp.Message(b"{}", properties=properties)


def outcome_of(client: uamqp.SendClient, message: uamqp.Message) -> tuple[Any, Any]:
    """What became of a message: uamqp's result, and the error that it came with."""
    outcomes: list[tuple[Any, Any]] = []
    message.on_send_complete = lambda result, error: outcomes.append((result, error))
    client.queue_message(message)
    client.send_all_messages(close_on_done=False)
    return outcomes[-1]


def test_a_message_is_queued_for_the_device(hub: IoTHubRegistryManager, device_id: str) -> None:
    properties = {"messageId": "m-1", "contentType": "application/json", "iothub-ack": "full"}
    hub.send_c2d_message(device_id, json.dumps({"command": "renewCertificate"}), properties)
    assert queue_length(hub, device_id) == 1


def test_a_device_that_the_hub_does_not_know_is_refused(hub: IoTHubRegistryManager) -> None:
    with pytest.raises(Exception, match="C2D message send failure"):
        hub.send_c2d_message("nobody", "{}")


def test_a_disabled_device_is_refused(hub: IoTHubRegistryManager, device_id: str) -> None:
    device = hub.get_device(device_id)
    hub.update_device_with_certificate_authority(device_id, device.etag, "disabled")
    with pytest.raises(Exception, match="C2D message send failure"):
        hub.send_c2d_message(device_id, "{}")


def test_a_wrong_key_is_refused(azure: dict[str, Any], device_id: str) -> None:
    key = azure["iothub_service_connection_string"].rpartition("SharedAccessKey=")[2]
    forged = azure["iothub_service_connection_string"].replace(key, "bm90IHRoZSBrZXk=")
    stranger = IoTHubRegistryManager.from_connection_string(forged)
    with closing_amqp(stranger), pytest.raises(UNAUTHORIZED):
        stranger.send_c2d_message(device_id, "{}")


def test_a_key_of_event_hubs_opens_no_hub(azure: dict[str, Any], device_id: str) -> None:
    members = dict(member.split("=", 1) for member in azure["eventhub_connection_string"].split(";") if member)
    forged = (
        f"HostName={azure['iothub_hostname']};SharedAccessKeyName={members['SharedAccessKeyName']};"
        f"SharedAccessKey={members['SharedAccessKey']}"
    )
    stranger = IoTHubRegistryManager.from_connection_string(forged)
    with closing_amqp(stranger), pytest.raises(UNAUTHORIZED):
        stranger.send_c2d_message(device_id, "{}")


def test_a_managed_identity_sends(
    azure: dict[str, Any], hub: IoTHubRegistryManager, credential: ManagedIdentityCredential, device_id: str
) -> None:
    keyless = IoTHubRegistryManager.from_token_credential(azure["iothub_hostname"], credential)
    with closing_amqp(keyless):
        keyless.send_c2d_message(device_id, "{}")
    assert queue_length(hub, device_id) == 1


def test_the_51st_message_is_refused_with_the_hubs_condition(
    azure: dict[str, Any],
    hub: IoTHubRegistryManager,
    credential: ManagedIdentityCredential,
    senders: Callable[..., uamqp.SendClient],
    device_id: str,
) -> None:
    client = senders(azure["iothub_hostname"], lambda: bearer(credential))
    outcomes = [outcome_of(client, message_to(device_id)) for _ in range(QUEUE_LENGTH + 1)]
    assert {result for result, _ in outcomes[:-1]} == {uamqp.constants.MessageSendResult.Ok}
    result, error = outcomes[-1]
    assert result == uamqp.constants.MessageSendResult.Error
    assert error.condition.value == b"amqp:resource-limit-exceeded"
    assert b"403004" in error.description
    assert queue_length(hub, device_id) == QUEUE_LENGTH


def test_an_unknown_device_is_not_found_and_the_link_lives_on(
    azure: dict[str, Any],
    credential: ManagedIdentityCredential,
    senders: Callable[..., uamqp.SendClient],
    device_id: str,
) -> None:
    client = senders(azure["iothub_hostname"], lambda: bearer(credential))
    _, error = outcome_of(client, message_to("nobody"))
    result, _ = outcome_of(client, message_to(device_id))
    assert error.condition.value == b"amqp:not-found"
    assert b"404001" in error.description
    assert result == uamqp.constants.MessageSendResult.Ok


def bearer(credential: ManagedIdentityCredential) -> AccessToken:
    token = credential.get_token(IOT_HUB_SCOPE)
    return AccessToken("Bearer " + token.token, token.expires_on)
