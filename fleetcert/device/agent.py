"""The agent: a small state machine that keeps a device provisioned, connected and in possession of a fresh certificate.

new -> registering -> proving -> operational -> renewing -> proving -> operational. A new certificate replaces the old
one only after it has opened the hub once, else the agent rolls back. Keys are made here and never leave the device.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fleetcert.device.connection import Connection
from fleetcert.device.credential import Credential, OnboardingCredential
from fleetcert.device.csr import new_key, signing_request
from fleetcert.device.dialogue import Dialogue
from fleetcert.device.errors import Barred, ConnectionRefused
from fleetcert.device.events import AgentEvent, Happened, State
from fleetcert.device.inbox import Inbox
from fleetcert.device.keystore import Keystore, Operational
from fleetcert.device.options import AgentOptions, World
from fleetcert.device.schedule import Backoff, renewal_time
from shared.errors import InfrastructureFault, Throttled

LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
PROOFS: Final = 3
"""How often a new certificate may fail to reach the hub before the agent returns to the old one."""


class Agent:
    """One device. One thread calls `step`; commands and lost connections arrive in `inbox` from any."""

    def __init__(
        self,
        registration_id: str,
        onboarding: OnboardingCredential,
        keystore: Keystore,
        world: World,
        options: AgentOptions | None = None,
    ) -> None:
        self.inbox = Inbox()
        self.state = _first_state(keystore)
        self._registration_id = registration_id
        self._keystore = keystore
        self._registrar, self._clock, self._observe = world.registrar, world.clock, world.observe
        self._options = options or AgentOptions()
        self._connection = Connection(world.hub, self.inbox, world.clock)
        self._dialogue = Dialogue(self._connection, keystore, onboarding, world.describe, self._tell)
        self._trouble = Backoff(self._options.first_pause, self._options.longest_pause)
        self._renewal_trouble = Backoff(self._options.first_pause, self._options.longest_pause)
        self._retry_at = self._renew_after = LONG_AGO
        self._failed_proofs = 0
        self._steps = {
            State.NEW: self._register,
            State.REGISTERING: self._register,
            State.PROVING: self._prove,
            State.CONNECTING: self._connect,
            State.OPERATIONAL: self._operate,
            State.BLOCKED: self._try_again,
        }

    def step(self) -> datetime:
        """Does what is due now and returns the instant at which to be called again, unless the inbox rings before.

        Raises: Stopped, where the registrar was told to end; OSError of the disk.
        """
        before = self.state
        if self._clock.now() >= self._retry_at:
            try:
                self._steps[self.state]()
            except Barred as refusal:
                self._shut_out(refusal)
            except InfrastructureFault as fault:
                self._wait_out(fault)
        return self._wake_at(has_moved=self.state is not before)

    def close(self) -> None:
        """Disconnects. What is on the disk is enough to go on later."""
        self._connection.close()
        self.state = State.STOPPED
        self._tell(Happened.STOPPED)

    def _register(self) -> None:
        self.state = State.REGISTERING
        self._enroll()
        self.state = State.PROVING

    def _connect(self) -> None:
        current = self._keystore.current
        if current is None or self._has_expired(current):
            self.state = State.REGISTERING
            return
        try:
            self._connection.open(current)
        except ConnectionRefused as refusal:
            # The hub does not say why. If DPS still takes the device, it also gives it a certificate that works.
            self._tell_refusal(refusal)
            self.state = State.REGISTERING
            return
        self.state = State.OPERATIONAL
        self._tell(Happened.CONNECTED, current)

    def _operate(self) -> None:
        current = self._current()
        if self._has_expired(current):
            self._expire(current)
        elif self._connection.is_lost():
            self._reconnect(current)
        else:
            self._dialogue.hear(self.inbox.take_commands(), current)
            if self._clock.now() >= self._renewal_due(current):
                self._renew(current)
            if self.state is State.OPERATIONAL:
                self._dialogue.speak(current)

    def _prove(self) -> None:
        """Opens the hub with the new certificate; only then does it replace the old one."""
        candidate = self._keystore.candidate
        if candidate is None:
            raise RuntimeError("only a certificate that was issued can be proven")
        self._end_session()
        try:
            self._connection.open(candidate)
        except ConnectionRefused as refusal:
            self._roll_back(candidate, refusal.problem)
            raise
        except InfrastructureFault as fault:
            self._failed_proofs += 1
            if self._failed_proofs >= PROOFS and self._keystore.current:
                self._roll_back(candidate, fault.problem)
            raise
        self._commit(candidate)

    def _try_again(self) -> None:
        self.state = _first_state(self._keystore)

    def _enroll(self) -> None:
        """Has a new key certified and keeps both beside what is in use. Raises: Barred, InfrastructureFault."""
        key = new_key()
        assignment = self._registrar.register(self._registration_id, signing_request(self._registration_id, key))
        try:
            credential = Credential(key, assignment.chain)
        except ValueError as problem:
            raise InfrastructureFault("DPS", f"the issued certificate cannot be used: {problem}") from problem
        self._keystore.keep_candidate(assignment.hub, assignment.device_id, credential)
        self._failed_proofs = 0
        self._tell(Happened.REGISTERED, self._keystore.candidate)

    def _renew(self, current: Operational) -> None:
        """Asks for a successor while the old certificate stays in use, whatever becomes of this."""
        self.state = State.RENEWING
        try:
            self._enroll()
        except Barred as refusal:
            self._dialogue.answer_wish("failed", refusal.problem)
            self._keystore.give_up_renewal()
            self._postpone_renewal(current, refusal)
        except InfrastructureFault as fault:
            self._postpone_renewal(current, fault)
        else:
            self.state = State.PROVING

    def _postpone_renewal(self, current: Operational, problem: Barred | InfrastructureFault) -> None:
        self._renew_after = self._clock.now() + _patience(problem, self._renewal_trouble)
        self.state = State.OPERATIONAL
        self._tell(Happened.RENEWAL_FAILED, current, reason=str(problem))

    def _commit(self, proven: Operational) -> None:
        replaced = self._keystore.current
        self._keystore.commit()
        self.state = State.OPERATIONAL
        self._tell(Happened.CONNECTED, proven)
        if replaced:
            self._tell(Happened.RENEWED, proven, replaced=replaced.credential.thumbprint)
        self._renew_after = LONG_AGO
        if self._clock.now() < self._renewal_due(proven):
            self._renewal_trouble.reset()
        else:  # to a clock that runs ahead every certificate is due as soon as it is issued
            self._renew_after = self._clock.now() + self._renewal_trouble.next()

    def _roll_back(self, candidate: Operational, reason: str) -> None:
        self._dialogue.answer_wish("failed", reason)
        self._keystore.discard_candidate()
        self._renew_after = self._clock.now() + self._renewal_trouble.next()
        self._tell(Happened.ROLLED_BACK, candidate, reason=reason)
        self.state = _first_state(self._keystore)

    def _expire(self, current: Operational) -> None:
        self._end_session()
        self.state = State.REGISTERING
        self._tell(Happened.EXPIRED, current)
        self._pause(self._trouble.next())

    def _reconnect(self, current: Operational) -> None:
        """The hub ended the session. A pause comes first: a hub that does it to one does it to many."""
        self._end_session()
        self.state = State.CONNECTING
        self._tell(Happened.DISCONNECTED, current)
        self._pause(self._trouble.next())

    def _end_session(self) -> None:
        if self._connection.has_lasted(self._options.settled_after):
            self._trouble.reset()
        self._connection.close()

    def _shut_out(self, refusal: Barred) -> None:
        self.state = State.BLOCKED
        self._pause(self._trouble.next())
        self._tell_refusal(refusal)
        self._tell(Happened.BLOCKED, self._keystore.current, retryAt=self._retry_at.isoformat())

    def _wait_out(self, fault: InfrastructureFault) -> None:
        self._pause(_patience(fault, self._trouble))
        self._tell(Happened.FAULT, self._keystore.current, problem=str(fault), retryAt=self._retry_at.isoformat())

    def _pause(self, duration: timedelta) -> None:
        self._retry_at = self._clock.now() + duration

    def _has_expired(self, operational: Operational) -> bool:
        return self._clock.now() >= operational.credential.not_after

    def _renewal_due(self, current: Operational) -> datetime:
        if self._keystore.wanted:
            return self._renew_after
        if self._options.self_renewal is None:
            return current.credential.not_after
        return max(renewal_time(current.credential, self._options.self_renewal), self._renew_after)

    def _wake_at(self, *, has_moved: bool) -> datetime:
        now = self._clock.now()
        if now < self._retry_at:
            return self._retry_at
        if has_moved or self.state is not State.OPERATIONAL:
            return now
        current = self._current()
        return min(self._renewal_due(current), current.credential.not_after)

    def _current(self) -> Operational:
        current = self._keystore.current
        if current is None:
            raise RuntimeError("an agent at work holds a certificate")
        return current

    def _tell_refusal(self, refusal: Barred) -> None:
        self._tell(
            Happened.REFUSED, self._keystore.current, by=refusal.service, code=refusal.code, reason=refusal.problem
        )

    def _tell(self, event: Happened, concerned: Operational | None = None, **detail: Any) -> None:
        credential = concerned.credential if concerned else None
        self._observe(
            AgentEvent(
                event=event,
                device_id=self._registration_id,
                at=self._clock.now(),
                state=self.state,
                thumbprint=credential.thumbprint if credential else None,
                not_after=credential.not_after if credential else None,
                detail=detail,
            )
        )


def _first_state(keystore: Keystore) -> State:
    """Where an agent begins that finds this store, be it at the first start or after a power loss."""
    if keystore.candidate:
        return State.PROVING
    return State.CONNECTING if keystore.current else State.NEW


def _patience(problem: Barred | InfrastructureFault, backoff: Backoff) -> timedelta:
    pause = backoff.next()
    return max(pause, problem.retry_after) if isinstance(problem, Throttled) else pause
