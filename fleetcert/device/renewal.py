"""When the certificate in use is renewed, and what becomes of an attempt."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from fleetcert.device.errors import Barred
from fleetcert.device.events import Happened, Tell
from fleetcert.device.issuing import Issuing
from fleetcert.device.options import AgentOptions
from fleetcert.device.ports import Operational, Timer
from fleetcert.device.reckoning import Reckoning
from fleetcert.device.schedule import Backoff, patience, renewal_time
from fleetcert.device.store import DeviceStore
from shared.errors import InfrastructureFault

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Renewal:
    """Renews at the command's call or by itself, and after a failure with patience."""

    def __init__(
        self,
        store: DeviceStore,
        issuing: Issuing,
        reckoning: Reckoning,
        timer: Timer,
        options: AgentOptions,
        tell: Tell,
    ) -> None:
        self._store = store
        self._issuing = issuing
        self._reckoning = reckoning
        self._timer = timer
        self._options = options
        self._tell = tell
        self._trouble = Backoff(options.first_pause, options.longest_pause)
        self._not_before = timer()

    def time_left(self, current: Operational) -> timedelta:
        """How long until the certificate is to be renewed; zero or less where it is time."""
        pause = timedelta(seconds=self._not_before - self._timer())
        return max(pause, self._due_at(current) - self._reckoning.now())

    def attempt(self, current: Operational) -> None:
        """Asks for a successor while the current certificate stays in use, whatever becomes of this.

        Raises: DiskFault, Stopped.
        """
        wish = self._store.wish
        try:
            self._issuing.renew(current, (wish and wish.way) or self._options.renew_by)
        except Barred as refusal:
            self._store.give_up(refusal.problem)
            self._postpone(current, refusal)
        except InfrastructureFault as fault:
            self._postpone(current, fault)
        else:
            self.look_at_the_clock()
            self._tell(Happened.ISSUED, self._store.candidate)

    def put_off(self) -> None:
        """The attempt came to nothing at the hub: the next one comes later, and ever later."""
        self._rest(self._trouble.next())

    def succeeded(self, proven: Operational) -> None:
        """The new certificate is in use. A life that is over as soon as it begins must not be renewed in a circle."""
        self._not_before = self._timer()
        if self.time_left(proven) > timedelta():
            self._trouble.reset()
        else:
            self.put_off()

    def look_at_the_clock(self) -> None:
        """A certificate was issued just now: it tells the time, too."""
        candidate = self._store.candidate
        if candidate and self._reckoning.learn(candidate.not_before, renewal_time(candidate)):
            seconds = self._reckoning.correction.total_seconds()
            self._tell(Happened.CLOCK_WRONG, candidate, correctionSeconds=seconds)

    def _due_at(self, current: Operational) -> datetime:
        if self._store.wish or self._store.attempt:
            return current.not_before
        if self._options.self_renewal is None:
            return _NEVER
        return renewal_time(current, self._options.self_renewal)

    def _postpone(self, current: Operational, problem: Barred | InfrastructureFault) -> None:
        self._rest(patience(problem, self._trouble))
        self._tell(Happened.RENEWAL_FAILED, current, reason=str(problem))

    def _rest(self, duration: timedelta) -> None:
        self._not_before = self._timer() + duration.total_seconds()
