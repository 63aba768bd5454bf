"""What is said over a connection: commands come in, reports and answers go out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fleetcert.device.commands import Refusal, id_of_unreadable, judge, read, way_of
from fleetcert.device.connection import Connection
from fleetcert.device.credential import Onboarding
from fleetcert.device.errors import ReportRefused
from fleetcert.device.events import Happened, Tell
from fleetcert.device.inbox import Inbox
from fleetcert.device.journal import Answer, Wish
from fleetcert.device.messages import Message
from fleetcert.device.options import World
from fleetcert.device.ports import Operational
from fleetcert.device.report import holds
from fleetcert.device.store import DeviceStore
from shared.contracts import RENEWAL_PROPERTY, RenewCertificate

log = logging.getLogger(__name__)


class Dialogue:
    """Judges commands, each once, and tells the twin what it does not hold yet."""

    def __init__(
        self,
        connection: Connection,
        inbox: Inbox,
        store: DeviceStore,
        onboarding: Onboarding,
        world: World,
        tell: Tell,
    ) -> None:
        self._connection = connection
        self._inbox = inbox
        self._store = store
        self._onboarding = onboarding
        self._describe = world.describe
        self._on_message = world.on_message
        self._tell = tell
        self._is_twin_told = False

    def begin(self) -> None:
        """A new connection: the twin may be another one, or have lost what it was told."""
        self._is_twin_told = False

    def hear(self, current: Operational) -> None:
        """Takes what has come. A command becomes the store's wish or an answer; the rest is the application's.

        Raises: DiskFault; the message is then heard again.
        """
        while message := self._inbox.first():
            self._consider(message, current)
            self._inbox.drop_first()

    def speak(self, current: Operational) -> None:
        """Sends what the twin does not hold yet. Raises: InfrastructureFault; what was not said is said next time."""
        if not self._is_twin_told:
            self._describe_to(self._connection.session.reported(), current)
            self._is_twin_told = True
        for answer in self._store.answers:
            self._report({RENEWAL_PROPERTY: answer.to_wire()}, current)
            self._store.told(answer)

    def _describe_to(self, twin: Mapping[str, Any], current: Operational) -> None:
        """From the first patch that the twin does not hold, all of them: a later one may undo an earlier one."""
        patches = list(self._describe(current.leaf, self._onboarding.leaf))
        held = next((number for number, patch in enumerate(patches) if not holds(twin, patch)), len(patches))
        for patch in patches[held:]:
            self._report(patch, current)

    def _consider(self, message: Message, current: Operational) -> None:
        try:
            command = read(message.body)
        except ValueError as problem:
            self._pass_over(message, str(problem), current)
            return
        if self._store.knows_command(command.command_id):
            self._tell(Happened.COMMAND_IGNORED, current, commandId=command.command_id, reason="Repeated")
        elif refusal := judge(command, current):
            self._refuse(command.command_id, refusal, current)
        else:
            self._obey(command, current)

    def _obey(self, command: RenewCertificate, current: Operational) -> None:
        self._store.hear(command.command_id, wish=Wish(command.command_id, way_of(command)))
        self._tell(Happened.COMMAND, current, commandId=command.command_id, reason=command.reason)

    def _refuse(self, command_id: str, refusal: Refusal, current: Operational) -> None:
        self._store.hear(command_id, answer=Answer(command_id, "refused", refusal.value))
        self._tell(Happened.COMMAND_REFUSED, current, commandId=command_id, reason=refusal.value)

    def _pass_over(self, message: Message, problem: str, current: Operational) -> None:
        command_id = id_of_unreadable(message.body)
        if command_id is None:
            self._tell(Happened.COMMAND_IGNORED, current, reason=problem)
            self._hand_over(message)
        elif not self._store.knows_command(command_id):
            self._refuse(command_id, Refusal.NOT_UNDERSTOOD, current)

    def _hand_over(self, message: Message) -> None:
        try:
            self._on_message(message)
        except Exception:  # the application's mistake must not cost the device its connection
            log.exception("the application failed over a message")

    def _report(self, patch: Mapping[str, Any], current: Operational) -> None:
        try:
            self._connection.session.report(patch)
        except ReportRefused as refusal:
            self._tell(Happened.REPORT_REFUSED, current, status=refusal.status)
        else:
            self._tell(Happened.REPORTED, current, properties=sorted(patch))
