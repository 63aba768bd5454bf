"""The agent: keeps a device provisioned, connected and in possession of a fresh certificate.

Its states are in `states.py`, and always on the disk. A new certificate replaces the old one only after it has opened
the hub once, else the agent rolls back. Keys are made here and never leave the device.
"""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import Final

from fleetcert.device.connection import Connection
from fleetcert.device.credential import Onboarding
from fleetcert.device.dialogue import Dialogue
from fleetcert.device.errors import Barred, ConnectionRefused
from fleetcert.device.events import Happened, Narrator
from fleetcert.device.inbox import Inbox
from fleetcert.device.issuing import Issuing
from fleetcert.device.messages import Message
from fleetcert.device.options import AgentOptions, World
from fleetcert.device.ports import Operational
from fleetcert.device.reckoning import Reckoning
from fleetcert.device.renewal import Renewal
from fleetcert.device.schedule import Backoff, patience
from fleetcert.device.states import SERVING, Link, State
from fleetcert.device.store import DeviceStore
from shared.errors import InfrastructureFault

PROOFS: Final = 3
"""How often a new certificate may fail to reach the hub before the agent looks for another way."""
_NOW: Final = timedelta()
_A_DAY: Final = timedelta(days=1)


class Agent:
    """One device. One thread calls `step`; `send` and `interrupt` may be called from any.

    The `world` observes events, and takes the cloud-to-device messages that are no commands of ours.
    """

    def __init__(
        self,
        registration_id: str,
        onboarding: Onboarding,
        store: DeviceStore,
        world: World,
        options: AgentOptions | None = None,
    ) -> None:
        options, newest = options or AgentOptions(), store.candidate or store.current
        self.inbox, self.link = Inbox(), Link.OFFLINE
        self._store, self._options, self._timer = store, options, world.timer
        self._reckoning = Reckoning(world.clock, world.timer, newest.not_before if newest else None)
        tell = self._tell = Narrator(registration_id, world.observe, self._standing, self._reckoning.now)
        connection = self._connection = Connection(world.hub, self.inbox, world.timer)
        self._issuing = Issuing(registration_id, world.registrar, store, connection, options.key_kind, tell)
        self._renewal = Renewal(store, self._issuing, self._reckoning, world.timer, options, tell)
        self._dialogue = Dialogue(connection, self.inbox, store, onboarding, world, tell)
        self._trouble = Backoff(options.first_pause, options.longest_pause)
        self._hope = Backoff(options.hub_given_up_after, max(options.hub_given_up_after, _A_DAY))
        self._retry_at, self._hope_until = world.timer(), 0.0
        self._take_hope()
        self._is_turned_away = False
        self._told_expired: str | None = None

    @property
    def state(self) -> State:
        """Where the device stands; on the disk it is the same."""
        return self._store.state

    def step(self) -> timedelta:
        """Does what is due now and returns after how long to be called again, unless the inbox rings before.

        Raises: Stopped, where the registrar was told to end; KeyStoreLocked.
        """
        before = self._standing()
        if self._timer() >= self._retry_at:
            try:
                self._work()
            except Barred as refusal:
                self._shut_out(refusal)
            except InfrastructureFault as fault:
                self._wait_out(fault)
        return self._rest(has_moved=self._standing() != before)

    def send(self, message: Message) -> None:
        """Sends the application's message over the agent's connection. Raises: InfrastructureFault: not sent."""
        self._connection.session.send(message)

    def interrupt(self) -> None:
        """Ends whatever the agent waits for: its runner is about to end."""
        self.inbox.ring()
        self._connection.abort()

    def close(self) -> None:
        """Disconnects, and leaves the store. What is on the disk is enough to go on later."""
        self._connection.close()
        self._store.close()
        self.link = Link.STOPPED
        self._tell(Happened.STOPPED, self._store.current)

    # -- what is done in each state ----------------------------------------------------------------------------------

    def _work(self) -> None:
        if self.state is State.PROVING:
            self._prove()
        elif self.state in SERVING:
            self._serve()
        else:
            self._register()

    def _register(self) -> None:
        """Without a certificate that the hub takes. An old one is tried first, for the hub may take it again."""
        current = self._store.current
        if current and not self._is_turned_away:
            if self._admits(current):
                self._store.regain()
            return
        self._is_turned_away = False
        try:
            self._issuing.register()
        except (Barred, InfrastructureFault):
            if self._store.candidate:  # the hub did not take it, but may by now
                self._store.move(State.PROVING)
            raise
        self._renewal.look_at_the_clock()
        self._tell(Happened.REGISTERED, self._store.candidate)

    def _prove(self) -> None:
        """Opens the hub with the new certificate; only then does it replace the old one."""
        candidate = self._store.candidate
        if candidate is None:
            raise RuntimeError("only a certificate that was issued can be proven")
        proofs = self._store.note_proof()
        self._end_session()
        try:
            self._connection.open(candidate)
        except (ConnectionRefused, InfrastructureFault) as problem:
            is_undecided = isinstance(problem, InfrastructureFault) and proofs % PROOFS != 0
            if is_undecided or not self._falls_back(candidate, problem.problem):
                raise
        else:
            self._commit(candidate)

    def _serve(self) -> None:
        current = self._current()
        self._note_expiry(current)
        if self._connection.was_lost():
            self._reconnect(current)
        elif not self._connection.is_open():
            self._admits(current)
        else:
            self._dialogue.hear(current)
            if self._renewal.time_left(current) <= _NOW:
                self._renewal.attempt(current)
            if self.state in SERVING:
                self._dialogue.speak(current)
                self._settle()

    def _settle(self) -> None:
        if self.state in {State.COMMITTED, State.ROLLED_BACK}:
            self._store.move(State.OPERATIONAL)

    # -- a new certificate -------------------------------------------------------------------------------------------

    def _commit(self, proven: Operational) -> None:
        replaced = self._store.current
        self._store.commit()
        self._is_connected(proven)
        if replaced:
            self._tell(Happened.RENEWED, proven, replaced=replaced.thumbprint)
        self._renewal.succeeded(proven)

    def _falls_back(self, candidate: Operational, reason: str) -> bool:
        """Whether the old certificate opens the hub where the new one does not: then it is the new one's fault.

        Else it is the device or the network, and another certificate would not do better: this one is tried again, and
        DPS is asked for another only once in a while.
        """
        current = self._store.current
        if current and self._opens(current):
            self._store.roll_back(reason)
            self._renewal.put_off()
            self._tell(Happened.ROLLED_BACK, candidate, reason=reason)
            self._is_connected(current)
            return True
        if self._has_expired(candidate) or self._hope_is_given_up():
            self._turn_away()
        return False

    def _opens(self, certificate: Operational) -> bool:
        try:
            self._connection.open(certificate)
        except (ConnectionRefused, InfrastructureFault):
            return False
        return True

    # -- the hub -----------------------------------------------------------------------------------------------------

    def _admits(self, current: Operational) -> bool:
        """Connects with the current certificate; where the hub will not have it, DPS is asked next.

        Raises: InfrastructureFault.
        """
        try:
            self._connection.open(current)
        except ConnectionRefused as refusal:
            # The hub does not say why. If DPS still takes the device, it also gives it a certificate that works.
            self._tell_refusal(refusal)
            self._turn_away()
            return False
        except InfrastructureFault:
            if self._has_expired(current) or self._hope_is_given_up():
                self._turn_away()
            raise
        self._is_connected(current)
        return True

    def _is_connected(self, certificate: Operational) -> None:
        self.link = Link.ONLINE
        self._hope.reset()
        self._dialogue.begin()
        self._tell(Happened.CONNECTED, certificate)

    def _turn_away(self) -> None:
        self._is_turned_away = True
        self._take_hope()
        self._store.move(State.REGISTERING)

    def _take_hope(self) -> None:
        """For how long the hub may be out of reach, or refuse, before DPS is asked for another: ever longer."""
        self._hope_until = self._timer() + self._hope.next().total_seconds()

    def _hope_is_given_up(self) -> bool:
        return self._timer() >= self._hope_until

    def _reconnect(self, current: Operational) -> None:
        """The hub ended the session. A pause comes first: a hub that does it to one does it to many."""
        self._end_session()
        self._take_hope()
        self._tell(Happened.DISCONNECTED, current)
        self._pause(self._trouble.next())

    def _end_session(self) -> None:
        if self._connection.has_lasted(self._options.settled_after):
            self._trouble.reset()
        self._connection.close()
        self.link = Link.OFFLINE

    # -- time and trouble --------------------------------------------------------------------------------------------

    def _has_expired(self, certificate: Operational) -> bool:
        return self._reckoning.now() >= certificate.not_after

    def _note_expiry(self, current: Operational) -> None:
        """An expired certificate stays in use for as long as the hub lets it: the hub knows the time better."""
        if self._has_expired(current) and self._told_expired != current.thumbprint:
            self._told_expired = current.thumbprint
            self._tell(Happened.EXPIRED, current)

    def _rest(self, *, has_moved: bool) -> timedelta:
        waiting = self._retry_at - self._timer()
        if waiting > 0:
            return timedelta(microseconds=ceil(waiting * 1e6))  # rounded down, it would ask again too early
        if has_moved or self.state not in SERVING or self.link is not Link.ONLINE:
            return _NOW
        current = self._current()
        to_renewal, to_expiry = self._renewal.time_left(current), current.not_after - self._reckoning.now()
        return max(_NOW, min(to_renewal, to_expiry) if to_expiry > _NOW else to_renewal)

    def _pause(self, duration: timedelta) -> None:
        self._retry_at = self._timer() + duration.total_seconds()

    def _shut_out(self, refusal: Barred) -> None:
        self.link = Link.BARRED
        self._pause(self._trouble.next())
        self._tell_refusal(refusal)
        self._tell(Happened.BLOCKED, self._store.current, retrySeconds=self._seconds_to_retry())

    def _wait_out(self, fault: InfrastructureFault) -> None:
        self._pause(patience(fault, self._trouble))
        retry = self._seconds_to_retry()
        self._tell(Happened.FAULT, self._store.current, problem=str(fault), retrySeconds=retry)

    def _seconds_to_retry(self) -> float:
        return round(self._retry_at - self._timer(), 1)

    def _current(self) -> Operational:
        current = self._store.current
        if current is None:
            raise RuntimeError("an agent at work holds a certificate")
        return current

    def _standing(self) -> tuple[State, Link]:
        return self.state, self.link

    def _tell_refusal(self, refusal: Barred) -> None:
        self._tell(Happened.REFUSED, self._store.current, by=refusal.service, code=refusal.code, reason=refusal.problem)
