"""Cloud-to-device messages on their way: queued, delivered, settled, and reported to who asked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from fleetcert.local.iothub import topics
from fleetcert.local.iothub.device import Device
from fleetcert.local.iothub.device_queue import QueuedMessage, Settled
from fleetcert.local.iothub.errors import device_not_found
from fleetcert.local.iothub.feedback import FeedbackQueue, feedback_record
from fleetcert.local.iothub.identity_registry import IdentityRegistry
from fleetcert.local.iothub.observations import Observations
from fleetcert.local.iothub.throttles import Throttle, Throttles
from fleetcert.local.ports import CloudToDeviceMessage
from shared.clock import Clock

_LOG = logging.getLogger(__name__)


class CloudToDevice:
    """The queues of all devices, and the feedback on what became of their messages."""

    def __init__(
        self, devices: IdentityRegistry, throttles: Throttles, observations: Observations, clock: Clock
    ) -> None:
        self.feedback = FeedbackQueue()
        self._devices = devices
        self._throttles = throttles
        self._observations = observations
        self._clock = clock

    def send(self, message: CloudToDeviceMessage) -> None:
        """Queues the message and delivers it where the device is connected.

        Raises: HubError 404001 (unknown or disabled), 403004, 403009, 413001, 429001.
        """
        self._throttles.check(Throttle.CLOUD_TO_DEVICE)
        device = self._devices.find(message.device_id)
        if device is None or not device.identity.enabled:
            raise device_not_found(message.device_id)
        now = self._clock.now()
        queued = QueuedMessage.of(message, now)
        topics.check_message_topic(device.device_id, queued)
        self.expire(device)
        device.queue.enqueue(queued)
        self._observations.of(device.device_id).messages["accepted"] += 1
        life = (queued.expires_at - now).total_seconds()
        asyncio.get_running_loop().call_later(max(0.0, life), self.expire, device)
        if device.session is not None:
            device.session.deliver_messages()

    def next_for(self, device: Device) -> QueuedMessage | None:
        """The next message for the device, locked until it is acknowledged or the connection ends."""
        self.expire(device)
        message = device.queue.lock_next()
        if message is not None:
            self._observations.of(device.device_id).messages["delivered"] += 1
        return message

    def acknowledge(self, device: Device, message: QueuedMessage) -> None:
        """The device has taken the message."""
        if (settled := device.queue.complete(message)) is not None:
            self._observations.of(device.device_id).messages["acknowledged"] += 1
            self._report(device, [settled])

    def release(self, device: Device) -> None:
        """The connection ended: what was not acknowledged will be delivered again.

        The lock of a message that went out over MQTT is taken to last as long as the connection (assumed).
        """
        self._report(device, device.queue.release())
        self.expire(device)

    def expire(self, device: Device) -> None:
        """Settles the messages whose time is over."""
        self._report(device, device.queue.expire(self._clock.now()))

    def purge(self, device: Device) -> int:
        """Empties the queue; returns how many messages that were."""
        settled = device.queue.purge()
        self._report(device, settled)
        return len(settled)

    def _report(self, device: Device, settled: Iterable[Settled]) -> None:
        now = self._clock.now()
        for one in settled:
            _LOG.debug("message %s to %s: %s", one.message.message_id, device.device_id, one.outcome)
            if one.wants_feedback:
                record = feedback_record(one, device.device_id, device.identity.generation_id, now)
                self.feedback.add(record, now)
