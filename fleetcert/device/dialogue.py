"""What is said over a connection: commands come in, reports and answers go out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from fleetcert.device.commands import judge
from fleetcert.device.connection import Connection
from fleetcert.device.credential import OnboardingCredential
from fleetcert.device.errors import ReportRefused
from fleetcert.device.events import Happened
from fleetcert.device.keystore import Keystore, Operational
from fleetcert.device.ports import Describe
from shared.contracts import RENEWAL_PROPERTY, RenewCertificate


class Tell(Protocol):
    """Tells whoever watches the agent."""

    def __call__(self, event: Happened, concerned: Operational | None = None, **detail: Any) -> None:
        """`concerned`: the credential that it is about."""


class Dialogue:
    """Judges commands, each once, and tells the twin what it should know, each certificate once."""

    def __init__(
        self,
        connection: Connection,
        keystore: Keystore,
        onboarding: OnboardingCredential,
        describe: Describe,
        tell: Tell,
    ) -> None:
        self._connection = connection
        self._keystore = keystore
        self._onboarding = onboarding
        self._describe = describe
        self._tell = tell
        self._answers: deque[Mapping[str, Any]] = deque()

    def hear(self, messages: Iterable[bytes], current: Operational) -> None:
        """Takes commands. One that is obeyed becomes the keystore's `wanted`; one that is refused gets its answer."""
        for message in messages:
            try:
                self._consider(RenewCertificate.from_json(message), current)
            except ValueError as problem:
                self._tell(Happened.COMMAND_IGNORED, current, reason=str(problem))

    def speak(self, current: Operational) -> None:
        """Sends what the twin does not know yet. Raises: InfrastructureFault; what was not said is said next time."""
        if not self._keystore.is_reported:
            for patch in self._describe(current.credential.leaf, self._onboarding.leaf):
                self._report(patch, current)
            self._keystore.mark_reported()
        while self._answers:
            self._report(self._answers[0], current)
            self._answers.popleft()

    def answer_wish(self, outcome: str, reason: str) -> None:
        """Answers the command whose renewal was tried, if it was a command that asked for it."""
        if self._keystore.wanted:
            self._answer(self._keystore.wanted, outcome, reason)

    def _consider(self, command: RenewCertificate, current: Operational) -> None:
        if self._keystore.knows_command(command.command_id):
            self._tell(Happened.COMMAND_IGNORED, current, commandId=command.command_id, reason="Repeated")
            return
        refusal = judge(command, current)
        self._keystore.remember_command(command.command_id, renew=refusal is None)
        if refusal is None:
            self._tell(Happened.COMMAND, current, commandId=command.command_id, reason=command.reason)
            return
        self._answer(command.command_id, "refused", refusal)
        self._tell(Happened.COMMAND_REFUSED, current, commandId=command.command_id, reason=refusal.value)

    def _answer(self, command_id: str, outcome: str, reason: str) -> None:
        self._answers.append({RENEWAL_PROPERTY: {"commandId": command_id, "outcome": outcome, "reason": reason}})

    def _report(self, patch: Mapping[str, Any], current: Operational) -> None:
        try:
            self._connection.report(patch)
        except ReportRefused as refusal:
            self._tell(Happened.REPORT_REFUSED, current, status=refusal.status)
        else:
            self._tell(Happened.REPORTED, current, properties=sorted(patch))
